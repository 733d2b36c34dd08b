"""
How long a single upsert waits while the store is busy with itself.

Records go one by one into a large store, as fast as it takes them, so that the graph is absorbing
most of the time; now and then another thread asks for a checkpoint. Each upsert counts to what went
on when it began or ended: ``checkpoint`` (whatever else), else ``absorb``, else ``quiet``. Nothing
is left out: neither garbage collection nor what the system does to the process.
"""

import threading
from time import perf_counter
from typing import Any

import numpy as np

from vecstore.bench.stores.database import Setup
from vecstore.bench.stores.histogram import EDGES_US, bucket_counts, spread
from vecstore.bench.stores.ours import FULL, load_kernels, open_store
from vecstore.bench.stores.plan import Bench, Rows
from vecstore.bench.stores.process import in_fresh_process
from vecstore.bench.stores.records import Records, make_records
from vecstore.store import VecStore

GROUPS = ("quiet", "absorb", "checkpoint")
ABSORBER = "vecstore-absorb"
"""Name of the thread that grows the graph."""


def measure(bench: Bench, rows: Rows, name: str) -> dict[str, Any]:
    """
    Put more records into the large store, which changes it.

    Parameters
    ----------
    bench : Bench
        Where.
    rows : Rows
        What the store holds.
    name : str
        Its directory, which is there.

    Returns
    -------
    dict
        The fields ``waiting.*`` of the document.
    """
    plan = bench.plan
    count = min(plan.waits, rows.n - 1)
    bench.tell(f"{count:,} single upserts into {rows.n:,} rows")
    setup = bench.setup(name, rows, FULL)
    more = {"count": count, "checkpoints": plan.checkpoints}
    return in_fresh_process("waiting", setup=setup, rows=str(rows.path), n=rows.n, **more)


def turn(setup: dict[str, Any], rows: str, n: int, count: int, checkpoints: int) -> dict[str, Any]:
    """
    Time single upserts into a large store; runs in a process of its own.

    Parameters
    ----------
    setup : dict
        Fields of a `Setup`; the store is there.
    rows : str
        A file of float32[at least n, dim].
    n : int
        Rows of the store.
    count : int
        Upserts, fewer than n.
    checkpoints : int
        Checkpoints, spread over them.

    Returns
    -------
    dict
        ``edges_us``, ``checkpoint_s`` (a list), and ``groups``: for ``all`` and each of `GROUPS`
        its ``name``, the fields of `histogram.spread` and ``counts``.
    """
    source = np.load(rows, mmap_mode="r")
    # between neighbours in the file: like the rows of the store, and none of them
    middles = (source[:count] + source[1 : count + 1]) / np.float32(2)
    late = make_records(np.asarray(middles, np.float32), first=n)
    load_kernels(setup["metric"])
    checkpoint_s: list[float] = []
    with open_store(Setup(**setup)) as store:
        store.query(late.vectors[0], k=1)
        taken, states = _upsert_all(store, late, checkpoints, checkpoint_s)
    samples = {"all": taken}
    for group in GROUPS:
        samples[group] = [wait for wait, state in zip(taken, states, strict=True) if state == group]
    return {
        "edges_us": list(EDGES_US),
        "checkpoint_s": checkpoint_s,
        "groups": [
            {"name": name, **spread(waits), "counts": bucket_counts(waits)}
            for name, waits in samples.items()
        ],
    }


def group_of(before: str, after: str) -> str:
    """
    Say to what an upsert counts.

    Parameters
    ----------
    before, after : str
        Of `GROUPS`: what went on when it began and when it ended.

    Returns
    -------
    str
        The heavier of the two.

    Examples
    --------
    >>> group_of("checkpoint", "absorb"), group_of("quiet", "absorb"), group_of("quiet", "quiet")
    ('checkpoint', 'absorb', 'quiet')
    """
    return max(before, after, key=GROUPS.index)


def _upsert_all(
    store: VecStore, late: Records, checkpoints: int, checkpoint_s: list[float]
) -> tuple[list[float], list[str]]:
    """Time every upsert, and say in which group it is."""
    count = len(late.ids)
    due = {count * (number + 1) // (checkpoints + 1) for number in range(checkpoints)}
    busy: list[threading.Thread] = []

    def _checkpoint() -> None:
        began = perf_counter()
        store.checkpoint()
        checkpoint_s.append(perf_counter() - began)

    taken, states = [], []
    before = _state(busy)
    for number, record in enumerate(zip(*late, strict=True)):
        if number in due:
            busy.append(threading.Thread(target=_checkpoint))
            busy[-1].start()
            before = "checkpoint"
        began = perf_counter()
        store.upsert(*record)
        taken.append(perf_counter() - began)
        after = _state(busy)
        states.append(group_of(before, after))
        before = after
    for thread in busy:
        thread.join()
    return taken, states


def _state(checkpoints: list[threading.Thread]) -> str:
    if any(thread.is_alive() for thread in checkpoints):
        return "checkpoint"
    absorbing = any(thread.name == ABSORBER for thread in threading.enumerate())
    return "absorb" if absorbing else "quiet"
