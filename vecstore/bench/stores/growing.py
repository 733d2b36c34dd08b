"""
A store that grows from nothing in calls of many rows, with single upserts in between.

What it writes over what a user handed over is its write amplification: log, prepared log,
checkpoints and graph included, from the first call to the end of `close`.
"""

from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from vecstore.bench.stores.bulk import allocated_bytes
from vecstore.bench.stores.counters import written, written_since
from vecstore.bench.stores.database import Setup
from vecstore.bench.stores.histogram import spread
from vecstore.bench.stores.ours import FULL, load_kernels, open_store
from vecstore.bench.stores.plan import Bench, Rows
from vecstore.bench.stores.process import in_fresh_process
from vecstore.bench.stores.records import Records, ingested_bytes, make_records
from vecstore.storage.files import Files
from vecstore.storage.manifest import read_current
from vecstore.store import VecStore


def measure(bench: Bench, rows: Rows, name: str) -> dict[str, Any]:
    """
    Grow a store to all of the rows, and leave it there.

    Parameters
    ----------
    bench : Bench
        Where.
    rows : Rows
        What goes in.
    name : str
        Of the store's directory.

    Returns
    -------
    dict
        The fields ``growing.*`` of the document.
    """
    plan = bench.plan
    bench.tell(f"growing to {rows.n:,} rows")
    setup = bench.setup(name, rows, FULL)
    steps = {"call": plan.call, "single": plan.single}
    return in_fresh_process("growing", setup=setup, rows=str(rows.path), n=rows.n, **steps)


def turn(setup: dict[str, Any], rows: str, n: int, call: int, single: int) -> dict[str, Any]:
    """
    Grow one store; runs in a process of its own.

    Parameters
    ----------
    setup : dict
        Fields of a `Setup`.
    rows : str
        A file of float32[at least n, dim].
    n : int
        Rows in the end.
    call : int
        Rows in a call.
    single : int
        Upserts between two such calls, one by one.

    Returns
    -------
    dict
        ``n``, ``calls``, ``calls_s``, ``optimize_s``, ``close_s``, ``ingested_bytes``,
        ``passed_bytes``, ``taken_bytes``, ``passed_per_byte``, ``taken_per_byte``,
        ``checkpoints``, ``disk_bytes``; ``single`` with the fields of `histogram.spread`.
    """
    source = np.load(rows, mmap_mode="r")
    load_kernels(setup["metric"])
    path = Path(setup["path"])
    before, ingested = written(path.parent), 0
    many_s: list[float] = []
    single_s: list[float] = []
    store = open_store(Setup(**setup))
    for first in range(0, n, call + single):
        records = make_records(source[first : min(n, first + call + single)].copy(), first)
        ingested += ingested_bytes(records)
        _put(store, records, call, many_s, single_s)
    began = perf_counter()
    store.optimize()
    optimized = perf_counter()
    store.close()
    closed = perf_counter()
    passed, taken = written_since(before, path.parent)
    return {
        "n": n,
        "calls": len(many_s),
        "calls_s": sum(many_s),
        "optimize_s": optimized - began,
        "close_s": closed - optimized,
        "ingested_bytes": ingested,
        "passed_bytes": passed,
        "taken_bytes": taken,
        "passed_per_byte": passed and passed / ingested,
        "taken_per_byte": taken and taken / ingested,
        # creating the store made the first generation
        "checkpoints": read_current(Files(), path).generation - 1,
        "disk_bytes": allocated_bytes(path),
        "single": spread(single_s),
    }


def _put(
    store: VecStore, records: Records, call: int, many_s: list[float], single_s: list[float]
) -> None:
    ids, vectors, metadata = records
    began = perf_counter()
    store.upsert_many(ids[:call], vectors[:call], metadata[:call])
    many_s.append(perf_counter() - began)
    for record in zip(ids[call:], vectors[call:], metadata[call:], strict=True):
        began = perf_counter()
        store.upsert(*record)
        single_s.append(perf_counter() - began)
