"""
Calls that follow from a seed and a number, so that two stores can be given the same ones.

What a call does may depend on what the store holds, and on nothing else.
"""

import numpy as np

from tests.stores import Clock

DIM = 4
N_IDS = 240
BEGAN = 1_000_000
CONFIG = {"flat_threshold": 48, "hnsw": {"m": 4, "ef_construction": 16}}


def _ids(rng, most):
    return [f"r{i}" for i in rng.choice(N_IDS, rng.integers(1, most + 1), replace=False)]


def _rows(rng, n):
    return rng.integers(-9, 10, (n, DIM)) + 0.5  # never a zero vector, and many ties


def _upsert(store, rng, number):
    store.upsert(_ids(rng, 1)[0], _rows(rng, 1)[0], {"call": number})


def _upsert_many(store, rng, number):
    ids = _ids(rng, 40)
    store.upsert_many(ids, _rows(rng, len(ids)), [{"call": number}] * len(ids))


def _upsert_large(store, rng, number):
    store.upsert(_ids(rng, 1)[0], _rows(rng, 1)[0], {"call": number, "text": "x" * 5_000_000})


def _batch(store, rng, number):
    operations, ids = [], _ids(rng, 6)
    for record_id, row in zip(ids, _rows(rng, len(ids)), strict=True):
        operations.append({"op": "upsert", "id": record_id, "vector": row})
        operations.append({"op": "update_metadata", "id": record_id, "metadata": {"b": number}})
    operations += [{"op": "delete", "id": ids[0]}] * (number % 2)
    operations += [{"op": "soft_delete", "id": record_id} for record_id in _ids(rng, 6)]
    operations += [{"op": "restore", "id": record_id} for record_id in _ids(rng, 6)]
    store.batch(operations)


def _update(store, rng, number):
    for record_id in _ids(rng, 5):
        if record_id in store:
            store.update_metadata(record_id, {"updated": number}, merge=number % 2 == 0)
            return


_KINDS = [
    (50, _upsert),
    (12, _upsert_many),
    (1, _upsert_large),
    (8, _batch),
    (6, _update),
    (4, lambda store, rng, number: store.soft_delete(_ids(rng, 1)[0])),
    (4, lambda store, rng, number: store.restore(_ids(rng, 1)[0])),
    (6, lambda store, rng, number: store.delete_many(_ids(rng, 12))),
    (4, lambda store, rng, number: store.checkpoint()),
    (2, lambda store, rng, number: store.optimize()),
    (3, lambda store, rng, number: store.compact()),
]
_SHARES = np.array([share for share, _ in _KINDS]) / sum(share for share, _ in _KINDS)


def carry_out(store, clock, seed, number):
    """Make the call of that number; the moments that it writes down follow from it too."""
    rng = np.random.default_rng((seed, number))
    clock.now = BEGAN + number
    _KINDS[rng.choice(len(_KINDS), p=_SHARES)][1](store, rng, number)


def clock_at_rest():
    """Make a clock that only `carry_out` moves."""
    return Clock(BEGAN)
