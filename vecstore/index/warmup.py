"""
Compiling ahead of time: a small run through every kernel for every metric.

The runs go through the indexes themselves, so that the compiled signatures are the ones in use.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from vecstore.index.flat import FlatIndex
from vecstore.index.hnsw import HNSWIndex
from vecstore.kernels.distance import METRICS
from vecstore.kernels.graph import hash_counter


def warmup_steps() -> Iterator[tuple[str, str, Callable[[], None]]]:
    """
    List what there is to compile.

    Yields
    ------
    metric, step, run
        Names, and what compiles the step's kernels when called.
    """
    n, dim = 80, 4
    drawn = hash_counter(0, np.arange(n * dim, dtype=np.uint64)) % np.uint64(64)
    rows = 1 + drawn.reshape(n, dim).astype(np.float32)
    admit = np.arange(n) % 8 > 0
    for metric in METRICS:
        flat = FlatIndex(dim, metric)
        graph = HNSWIndex(dim, metric, m=2, ef_construction=8, flat_threshold=40)
        yield metric, "scan", partial(_scan, flat, rows)
        yield metric, "build", partial(graph.add, rows)
        yield metric, "search", partial(_search, graph, rows, admit)


def _scan(index: FlatIndex, rows: NDArray[np.float32]) -> None:
    index.add(rows)
    index.search(rows[:1], k=2)


def _search(index: HNSWIndex, rows: NDArray[np.float32], admit: NDArray[np.bool_]) -> None:
    index.search(rows[:1], k=2, ef=2)
    index.search(rows[:1], k=1, ef=1, admit=admit)
