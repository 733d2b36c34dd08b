"""
Opening a store that was closed: how long it takes beyond imports, and what memory it takes.

Each turn is a fresh process that has imported VecStore and nothing else. Files are in the page
cache of the system, as those of a program that is started again are. Kernels are loaded by the
first query, so its time is told apart.
"""

from time import perf_counter
from typing import Any

import numpy as np

from vecstore.bench.stores.counters import resident, resident_since
from vecstore.bench.stores.ours import FULL
from vecstore.bench.stores.plan import Bench, Rows
from vecstore.bench.stores.process import in_fresh_process
from vecstore.bench.sweep import quiet
from vecstore.store import open

SIZES = (100, 10, 1)
"""Parts of the rows that stores are opened with: a hundredth, a tenth, all."""


def measure(bench: Bench, rows: Rows, name: str, data_bytes: int) -> list[dict[str, Any]]:
    """
    Open stores of several sizes, in turn.

    Parameters
    ----------
    bench : Bench
        Where.
    rows : Rows
        What the largest of them holds.
    name : str
        Directory of the largest one, which is there.
    data_bytes : int
        What a user handed over to it.

    Returns
    -------
    list of dict
        The fields ``opening[].*`` of the document.
    """
    stores: dict[int, tuple[str, int]] = {rows.n: (str(bench.folder / name), data_bytes)}
    for part in SIZES:
        n = max(1, rows.n // part)
        if n not in stores:
            bench.tell(f"filling {n:,} rows")
            setup = bench.setup(f"rows-{n}", rows, FULL)
            filled = in_fresh_process(
                "growing", setup=setup, rows=str(rows.path), n=n, call=n, single=0
            )
            stores[n] = setup["path"], filled["ingested_bytes"]
    turns: dict[int, list[dict[str, Any]]] = {n: [] for n in sorted(stores)}
    for number in range(bench.plan.rounds):
        bench.tell(f"opening, round {number + 1} of {bench.plan.rounds}")
        for n, own in turns.items():
            own.append(in_fresh_process("opening", path=stores[n][0], rows=str(rows.path)))
    return [_summary(n, own, stores[n][1]) for n, own in turns.items()]


def _summary(n: int, turns: list[dict[str, Any]], data_bytes: int) -> dict[str, Any]:
    taken = [one["open_ms"] for one in turns]
    grown = [one["resident_bytes"] for one in turns if one["resident_bytes"] is not None]
    private = [one["private_bytes"] for one in turns if one["private_bytes"] is not None]
    return {
        "n": n,
        "open_ms": min(taken),
        "rounds": taken,
        "first_query_ms": min(one["first_query_ms"] for one in turns),
        "data_bytes": data_bytes,
        "resident_bytes": max(grown, default=None),
        "private_bytes": max(private, default=None),
        "share": max(grown) / data_bytes if grown else None,
    }


def turn(path: str, rows: str) -> dict[str, Any]:
    """
    Open a store once; runs in a process of its own.

    Parameters
    ----------
    path : str
        The store, closed.
    rows : str
        A file of float32[at least 1, dim]; its first row is asked for.

    Returns
    -------
    dict
        ``open_ms``, ``first_query_ms``, and the growth of memory by opening: ``resident_bytes``
        and ``private_bytes``.
    """
    query = np.load(rows, mmap_mode="r")[0].copy()
    before = resident()
    with quiet():
        began = perf_counter()
        store = open(path)
        opened = perf_counter()
    grown = resident_since(before)
    asked = perf_counter()
    store.query(query, k=1)
    answered = perf_counter()
    store.close()
    return {
        "open_ms": 1000 * (opened - began),
        "first_query_ms": 1000 * (answered - asked),
        "resident_bytes": grown and grown.total,
        "private_bytes": grown and grown.private,
    }
