"""What the tests of the store share: a clock to set, a place for stores, and brute force."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

import vecstore

SMALL = {"flat_threshold": 8, "maintenance": "inline"}
WHERE = ["memory", "log", "generation"]
"""Where a store that is reopened was kept: nowhere, in its log, or in a generation."""


class Clock:
    """Unix milliseconds that move only when told to."""

    def __init__(self, now: int = 1_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += round(seconds * 1000)


class Place:
    """
    Memory, or a directory in which `again` closes a store and opens it anew.

    What was written is then read back from the log, or from a generation.
    """

    def __init__(self, where: str, path: Path) -> None:
        self.path = None if where == "memory" else path
        self._checkpoints = where == "generation"
        self._settings: dict[str, Any] = {}
        self._opened = ExitStack()

    def open(self, **settings: Any) -> vecstore.VecStore:
        self._settings = {"metric": "euclidean", "config": SMALL, **settings}
        store = vecstore.open(self.path or ":memory:", **self._settings)
        self._opened.callback(store.close)
        return store

    def again(self, store: vecstore.VecStore) -> vecstore.VecStore:
        if self.path is None:
            return store
        if self._checkpoints:
            store.checkpoint()
        store.close()
        return self.open(**self._settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()


def contents(store: vecstore.VecStore) -> dict[str, Any]:
    """Everything that can be asked of a store, as plain data to compare."""
    return {
        "fingerprint": store.fingerprint(),
        "stats": store.stats(),
        "ids": store.ids(),
        "records": [
            (r.id, r.vector.tolist(), repr(r.metadata), r.created_at, r.expires_at, r.deleted_at)
            for r in store.records(deleted=True)
        ],
    }


def grid(n: int, dim: int = 4, seed: int = 0) -> np.ndarray:
    """Integer vectors without a zero among them: distances are exact, ties are many."""
    return np.random.default_rng(seed).integers(1, 9, (n, dim)).astype(np.float32)


def names(n: int, prefix: str = "r") -> list[str]:
    return [f"{prefix}{i}" for i in range(n)]


def euclidean(row: np.ndarray, query: np.ndarray) -> float:
    return float(np.sqrt(((row.astype(np.float64) - query) ** 2).sum()))


def nearest(
    rows: list[tuple[str, np.ndarray]],
    query: np.ndarray,
    k: int,
    distance: Callable[[np.ndarray, np.ndarray], float] = euclidean,
) -> list[str]:
    """The ids of the k nearest rows, which come in slot order, ties by slot."""
    ranked = sorted((distance(row, query), at) for at, (_, row) in enumerate(rows))
    return [rows[at][0] for _, at in ranked[:k]]


def mixed(place: Place) -> vecstore.VecStore:
    """Open a small store with a graph, a tail, and records in every state."""
    store = place.open(clock=Clock())
    store.upsert_many(names(20), grid(20, 2), [{"i": i} for i in range(20)])
    store = place.again(store)
    store.upsert("recent", [1, 2], {"x": 1}, ttl_s=100)
    store.soft_delete("r1")
    store.delete("r2")
    return store


def refuses(
    store: vecstore.VecStore,
    error: type[Exception],
    call: Callable[[vecstore.VecStore], object],
) -> Any:
    """Check that a call raises that error and leaves the store as it was; give the error."""
    before = contents(store)

    with pytest.raises(error) as caught:
        call(store)

    assert contents(store) == before
    return caught.value
