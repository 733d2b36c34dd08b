"""
Single upserts, each acknowledged before the next one begins.

Every contestant gets the same records in the same order, one call each. A turn starts an empty
database in a fresh process, puts a few records in that are not timed, then times call by call. In
every round each contestant has one turn, in an order that changes (`sweep.turn_order`).
"""

from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from vecstore.bench.stores.counters import written, written_since
from vecstore.bench.stores.database import Setup
from vecstore.bench.stores.histogram import SPREAD, spread
from vecstore.bench.stores.plan import Bench, Rows
from vecstore.bench.stores.records import make_records
from vecstore.bench.stores.registry import OURS, contestants, make_database
from vecstore.bench.stores.rounds import Score, interleave
from vecstore.bench.sweep import quiet

UNTIMED = 50
_FIGURES = ("version", "told", "upserts_per_s", "passed_bytes", "taken_bytes", *SPREAD)


def measure(bench: Bench, rows: Rows) -> list[dict[str, Any]]:
    """
    Give every contestant its turns.

    Parameters
    ----------
    bench : Bench
        Where.
    rows : Rows
        What goes in.

    Returns
    -------
    list of dict
        The fields ``singles[].*`` of the document.
    """
    plan = bench.plan
    taking_part = [one for one in contestants(plan.peers) if one.variant.singles]
    count = min(plan.upserts, rows.n - UNTIMED)
    more = {"count": count, "most_s": plan.most_s}
    scores = interleave(bench, "singles", rows, taking_part, plan.rounds, **more)
    ours = max(one["upserts_per_s"] for one in scores[0].turns)
    assert scores[0].contestant.name == OURS
    return [_summary(score, ours) for score in scores]


def _summary(score: Score, ours: float) -> dict[str, Any]:
    name, variant = score.contestant
    best = max(score.turns, key=lambda one: one["upserts_per_s"], default=None)
    return {
        "database": name,
        "label": variant.label,
        "survives": variant.survives,
        **(best or dict.fromkeys(_FIGURES)),
        "rounds": [one["upserts_per_s"] for one in score.turns],
        "ratio": best and ours / best["upserts_per_s"],
        "failed": score.failed,
    }


def turn(name: str, setup: dict[str, Any], rows: str, count: int, most_s: float) -> dict[str, Any]:
    """
    Time one contestant once; runs in a process of its own.

    Parameters
    ----------
    name : str
        The database.
    setup : dict
        Fields of a `Setup`.
    rows : str
        A file of float32[at least `UNTIMED` + count, dim].
    count : int
        Upserts to time.
    most_s : float
        Seconds after which no further one begins.

    Returns
    -------
    dict
        ``version``, ``told``, ``upserts_per_s``, ``passed_bytes`` and ``taken_bytes`` an upsert,
        and the fields of `histogram.spread`.
    """
    records = make_records(np.load(rows, mmap_mode="r")[: UNTIMED + count].copy())
    database = make_database(name, Setup(**setup))
    root = Path(setup["path"])
    database.warm()
    database.create()
    taken = []
    with quiet():
        for number, record in enumerate(zip(*records, strict=True)):
            if number == UNTIMED:
                before, end = written(root), perf_counter() + most_s
            began = perf_counter()
            database.upsert(*record)
            ended = perf_counter()
            taken.append(ended - began)
            if number >= UNTIMED and ended > end:
                break
        out = written_since(before, root)
    facts = database.facts()
    database.close()
    timed = taken[UNTIMED:]
    return {
        **facts._asdict(),
        "upserts_per_s": len(timed) / sum(timed),
        "passed_bytes": out.passed and out.passed / len(timed),
        "taken_bytes": out.taken and out.taken / len(timed),
        **spread(timed),
    }
