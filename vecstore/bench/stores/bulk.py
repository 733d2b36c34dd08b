"""
Bulk loads: from nothing to a closed database whose graph holds every row, durable.

A turn begins with creating the database and ends when it is closed and every file and directory
that it left is synced, so that those who sync nothing by themselves do not win by it. In between
every database brings its graph up to date, where it has one; then, while the clock is stopped,
it is asked how many records it has and whether some of them find themselves.
"""

import os
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from vecstore.bench.stores.database import Setup
from vecstore.bench.stores.plan import Bench, Rows
from vecstore.bench.stores.records import make_records
from vecstore.bench.stores.registry import contestants, make_database
from vecstore.bench.stores.rounds import Score, interleave
from vecstore.bench.sweep import quiet

ASKED = 20
_STEPS = ("load_s", "build_s", "close_s", "sync_s")
_FIGURES = ("version", "told", "count", "found", "seconds", *_STEPS, "disk_bytes")


def measure(bench: Bench, rows: Rows) -> list[dict[str, Any]]:
    """
    Give every database its turns.

    Parameters
    ----------
    bench : Bench
        Where.
    rows : Rows
        What goes in, all of it.

    Returns
    -------
    list of dict
        The fields ``bulk[].*`` of the document.
    """
    taking_part = [one for one in contestants(bench.plan.peers) if one.variant.bulk]
    scores = interleave(bench, "bulk", rows, taking_part, bench.plan.loads, n=rows.n)
    ours = min(one["seconds"] for one in scores[0].turns)
    return [_summary(score, ours) for score in scores]


def _summary(score: Score, ours: float) -> dict[str, Any]:
    name, variant = score.contestant
    best = min(score.turns, key=lambda one: one["seconds"], default=None)
    return {
        "database": name,
        "label": variant.label,
        "graph": variant.graph,
        **(best or dict.fromkeys(_FIGURES)),
        "rounds": [one["seconds"] for one in score.turns],
        "ratio": best and ours / best["seconds"],
        "failed": score.failed,
    }


def turn(name: str, setup: dict[str, Any], rows: str, n: int) -> dict[str, Any]:
    """
    Load one database once; runs in a process of its own.

    Parameters
    ----------
    name : str
        The database.
    setup : dict
        Fields of a `Setup`.
    rows : str
        A file of float32[at least n, dim].
    n : int
        Rows to load.

    Returns
    -------
    dict
        ``version``, ``told``, ``count``, ``found`` (the share of `ASKED` rows that found
        themselves), ``seconds`` (all of the next four), ``load_s``, ``build_s``, ``close_s``,
        ``sync_s``, and ``disk_bytes``.
    """
    records = make_records(np.load(rows)[:n])
    database = make_database(name, Setup(**setup))
    database.warm()
    with quiet():
        marks = [perf_counter()]
        database.create()
        database.load(records)
        marks.append(perf_counter())
        database.build()
        marks.append(perf_counter())
    asked = range(0, n, max(1, n // ASKED))
    found = [database.nearest(records.vectors[row]) == records.ids[row] for row in asked]
    known = {
        **database.facts()._asdict(),
        "count": database.count(),
        "found": float(np.mean(found)),
    }
    marks.append(perf_counter())
    database.close()
    marks.append(perf_counter())
    sync_tree(Path(setup["path"]))
    marks.append(perf_counter())
    load_s, build_s, _, close_s, sync_s = np.diff(marks).tolist()
    steps = dict(zip(_STEPS, (load_s, build_s, close_s, sync_s), strict=True))
    disk_bytes = allocated_bytes(Path(setup["path"]))
    return {**known, "seconds": sum(steps.values()), **steps, "disk_bytes": disk_bytes}


def sync_tree(root: Path) -> None:
    """
    Make everything below a directory durable.

    Parameters
    ----------
    root : Path
        The directory.
    """
    for path in (root, *root.rglob("*")):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def allocated_bytes(root: Path) -> int:
    """
    Measure what a directory takes on the medium.

    Parameters
    ----------
    root : Path
        The directory.

    Returns
    -------
    int
        Bytes; holes take none.
    """
    return sum(512 * path.lstat().st_blocks for path in root.rglob("*"))
