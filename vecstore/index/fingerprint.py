"""
The fingerprint: one hash over everything that decides an index's answers.

Papers can quote it: the same operations in the same order with the same config give the same
fingerprint on any CPU, with any number of threads, however the rows were handed over.
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecstore.index.search import Snapshot

_HASHED_ROWS = 4096


def fingerprint_of(snapshot: Snapshot, dim: int, metric: str) -> str:
    """
    Hash vectors, levels, links, entry and `n_indexed`: BLAKE2b, 128 bits.

    Parameters
    ----------
    snapshot : Snapshot
        What to hash.
    dim : int
        Components that count; padding does not.
    metric : str
        Canonical name.

    Returns
    -------
    str
        32 hex digits.

    Notes
    -----
    The stream is one line of text ``vecstore 1 METRIC DIM N N_INDEXED M ENTRY TOP_LAYER``, then
    little-endian and row by row: vectors as float32[n, dim]; levels as uint8[n_indexed]; links
    as int32[n_indexed, 2M]; upper links as int32[n_upper, M].
    """
    space, graph, n = snapshot
    m = graph.upper.shape[1]
    head = f"vecstore 1 {metric} {dim} {n} {graph.n_indexed} {m} {graph.entry} {graph.top_layer}\n"
    digest = hashlib.blake2b(head.encode(), digest_size=16)
    for first in range(0, n, _HASHED_ROWS):
        digest.update(_little(space.rows[first : min(n, first + _HASHED_ROWS), :dim]))
    digest.update(_little(graph.levels[: graph.n_indexed]))
    for array, used in _link_arrays(graph):
        for first in range(0, used, _HASHED_ROWS):
            digest.update(_little(array[first : min(used, first + _HASHED_ROWS)]))
    return digest.hexdigest()


def _link_arrays(graph: Any) -> Iterable[tuple[NDArray[np.int32], int]]:
    return ((graph.links, graph.n_indexed), (graph.upper, graph.n_upper))


def _little(array: NDArray[Any]) -> memoryview:
    plain = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return plain.reshape(-1).view(np.uint8).data
