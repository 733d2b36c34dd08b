"""
What stores do until they crash: named lists of steps.

A step is one call, or one that has no influence on what a store holds (`changes` is false): a
store that never crashed is not given the latter. Rows and times follow from where a step stands.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from vecstore.store import VecStore

DIM = 4
BEGAN = 1_000_000
CONFIG = {
    "maintenance": "inline",
    "flat_threshold": 8,
    "hnsw": {"m": 2, "ef_construction": 8},
}


class Step(NamedTuple):
    """
    One call.

    Attributes
    ----------
    name : str
        For messages.
    call : callable
        Takes the store.
    changes : bool
        Whether the store holds something else afterwards.
    during : str or None
        A file of a checkpoint: the step is taken when this is about to be written.
    """

    name: str
    call: Callable[[VecStore], object]
    changes: bool = True
    during: str | None = None


class Workload(NamedTuple):
    """Settings of a store, beyond `CONFIG`, and the steps that it is taken through."""

    settings: dict[str, object]
    steps: tuple[Step, ...]


def rows(seed, n=1):
    """Make float64[n, DIM], different for each seed."""
    return np.random.default_rng(seed).standard_normal((n, DIM))


def upsert(record_id, seed, **given):
    row = rows(seed)[0]
    return Step(f"upsert {record_id}", lambda store: store.upsert(record_id, row, **given))


def fill(label, n, seed):
    """Upsert n records in one call, with metadata of every kind."""
    ids = [f"{label}{i}" for i in range(n)]
    facts = [{"n": i, "half": i / 2, "text": "é" * i, "list": [i, None, True]} for i in range(n)]
    call = lambda store: store.upsert_many(ids, rows(seed, n), facts)  # noqa: E731
    return Step(f"upsert {n} {label}", call)


def one(method, *given, **named):
    """Call a method."""
    return Step(f"{method} {given}", lambda store: getattr(store, method)(*given, **named))


def batch(*operations):
    return Step("batch", lambda store: store.batch(list(operations)))


def amid(role, step):
    """Take a step in the middle of a checkpoint."""
    return step._replace(name=f"{step.name} when {role} is written", during=role)


CHECKPOINT = Step("checkpoint", VecStore.checkpoint, changes=False)
REOPEN = Step("reopen", VecStore.close, changes=False)
"""The store is closed, and opened again."""
OPTIMIZE = Step("optimize", VecStore.optimize)
COMPACT = Step("compact", VecStore.compact)
LONG = {"longer than": "a sector " * 120}


def same(i):
    """Give metadata as long as `LONG`, different for each digit."""
    return {"longer than": f"sector {i} " * 120}


AFTER = upsert("after", 999, metadata=LONG)
"""What every recovered store is asked to do."""

_CALLS = (
    upsert("a", 1, metadata={"is": "first"}),
    upsert("b", 2, metadata={"is": "second"}, ttl_s=3600),
    fill("c", 5, 3),
    upsert("a", 4),
    one("update_metadata", "b", {"more": [1, 2.5]}, merge=True),
    one("soft_delete", "c1"),
    one("delete", "c0"),
    one("restore", "c1"),
    one("set_ttl", "c2", 1.0),
    fill("d", 4, 5),  # reaches the threshold of the graph
    one("delete_many", ["d0", "c3"]),
    batch(
        {"op": "upsert", "id": "e", "vector": rows(6)[0], "metadata": {"in": "a batch"}},
        {"op": "delete", "id": "a"},
        {"op": "soft_delete", "id": "d1"},
        {"op": "upsert", "id": "e", "vector": rows(7)[0]},
        {"op": "update_metadata", "id": "b", "metadata": {}},
    ),
    one("expire"),
    one("restore", "d1"),
    upsert("f", 8, ttl_s=9999),
)

WORKLOADS = {
    "calls": Workload({}, _CALLS),
    "checkpoints": Workload(
        {},
        (
            CHECKPOINT,
            *_CALLS[:3],
            CHECKPOINT,
            *_CALLS[3:9],
            CHECKPOINT,
            CHECKPOINT,
            *_CALLS[9:12],
            REOPEN,
            *_CALLS[12:],
            CHECKPOINT,
            REOPEN,
            upsert("last", 9),
        ),
    ),
    # as long as the call after the crash: what was lost must not come back behind it
    "equals": Workload({}, tuple(upsert(f"same{i}", i, metadata=same(i)) for i in range(6))),
    "amid": Workload(
        {},
        (
            *_CALLS[:3],
            amid("vectors", upsert("v", 11)),
            amid("hnsw_index", fill("g", 4, 12)),
            amid("manifest", one("delete", "c0")),
            amid("CURRENT", upsert("w", 13)),
            REOPEN,
            amid("ids", one("soft_delete", "c1")),
            amid("checksums", upsert("c2", 14)),
        ),
    ),
    "automatic": Workload(
        {"checkpoint_bytes": 400},
        (
            *_CALLS,
            *(upsert(f"long{i}", 20 + i, metadata=LONG) for i in range(6)),
            REOPEN,
            *(upsert(f"long{i}", 30 + i, metadata=LONG) for i in range(2, 7)),
        ),
    ),
    "graph": Workload(
        {},
        (
            fill("a", 30, 1),
            OPTIMIZE,
            fill("b", 6, 2),
            upsert("a3", 3),
            OPTIMIZE,
            OPTIMIZE,
            upsert("c", 4),
            CHECKPOINT,
            upsert("d", 5),
            OPTIMIZE,
            REOPEN,
            one("delete", "a4"),
            fill("e", 9, 6),
        ),
    ),
    "absorb": Workload(
        {"checkpoint_bytes": 20_000},
        (
            fill("a", 5, 1),
            fill("b", 200, 2),
            upsert("a1", 3),
            fill("c", 70, 4),  # the second batch is due
            CHECKPOINT,
            one("delete", "c9"),
            fill("d", 250, 5),  # and the third
            one("soft_delete", "d1"),
        ),
    ),
    "compact": Workload(
        {},
        (
            fill("a", 12, 1),
            one("delete_many", ["a1", "a2", "a11"]),
            COMPACT,
            upsert("a3", 2),
            one("soft_delete", "a5"),
            COMPACT,
            COMPACT,
            REOPEN,
            fill("b", 3, 3),
            one("delete_many", [f"a{i}" for i in (0, 3, 4, 6, 7, 8, 9, 10)]),
            CHECKPOINT,
            OPTIMIZE,
            COMPACT,
            one("delete_many", ["b0", "b1", "b2"]),
            COMPACT,
            upsert("c", 4),
        ),
    ),
    "snapshots": Workload(
        {},
        (
            fill("a", 10, 1),
            one("create_snapshot", "A"),
            upsert("b", 2),
            one("delete", "a0"),
            one("create_snapshot", "B"),
            upsert("c", 3),
            one("restore_snapshot", "A"),
            upsert("d", 4),
            fill("e", 3, 5),
            CHECKPOINT,  # writes rows where those of B would be, were they not copied
            REOPEN,
            one("restore_snapshot", "B"),
            one("delete_snapshot", "A"),
            one("delete", "b"),
            COMPACT,
            CHECKPOINT,
            one("restore_snapshot", "B"),
            upsert("f", 6),
            one("delete_snapshot", "B"),
        ),
    ),
}
