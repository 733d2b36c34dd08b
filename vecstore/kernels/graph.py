"""
The layered graph of HNSW as flat arrays, and the level of each slot.

    paper        here
    l            `levels[slot]`: the slot is in layers 0 … l
    neighbourhood(e) at layer 0      `links[slot]`, nearest-first not promised
    neighbourhood(e) at layer c ≥ 1  `upper[upper_start[slot] + c - 1]`
    ep, L        `entry`, `top_layer`

Rows end in -1 padding. Invariants (on which kernels do not rely, so that a damaged file cannot
make one read out of bounds): links point below `n_indexed`, never to
themselves, never twice to one slot; a link in layer c joins slots whose levels reach c.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecstore.kernels.jit import njit

MAX_LAYERS = 16


class HnswGraph(NamedTuple):
    """
    A graph over the slots [0, n_indexed); the arrays may be longer than that.

    Attributes
    ----------
    levels : uint8[capacity]
        Highest layer of each slot [l].
    links : int32[capacity, 2M]
        Neighbours at layer 0, padded with -1.
    upper_start : int32[capacity]
        Row of the slot's layer 1 in `upper`; layer c is c - 1 rows below. -1 for level 0.
    upper : int32[upper_capacity, M]
        Neighbours in the layers from 1 up, padded with -1.
    n_indexed : int
        Slots in the graph.
    n_upper : int
        Rows of `upper` in use.
    entry : int
        Where every search starts [ep]; -1 in an empty graph.
    top_layer : int
        Level of `entry` [L]; -1 in an empty graph.
    """

    levels: NDArray[np.uint8]
    links: NDArray[np.int32]
    upper_start: NDArray[np.int32]
    upper: NDArray[np.int32]
    n_indexed: int
    n_upper: int
    entry: int
    top_layer: int


def empty_graph(m: int) -> HnswGraph:
    """
    Make a graph without slots.

    Parameters
    ----------
    m : int
        Links a slot has in the upper layers; twice as many in layer 0 [M, M_max0 = 2M].

    Returns
    -------
    HnswGraph
        With arrays of no rows.
    """
    return HnswGraph(
        levels=np.zeros(0, np.uint8),
        links=np.zeros((0, 2 * m), np.int32),
        upper_start=np.zeros(0, np.int32),
        upper=np.zeros((0, m), np.int32),
        n_indexed=0,
        n_upper=0,
        entry=-1,
        top_layer=-1,
    )


def hash_counter(seed: int, counters: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """
    Hash counters into 64 uniform bits each: SplitMix64 of (seed, counter).

    Parameters
    ----------
    seed : int
        In [0, 2⁶⁴).
    counters : uint64[n]
        What to hash.

    Returns
    -------
    uint64[n]
        A function of (seed, counter) alone: no stream, so no order of drawing.

    References
    ----------
    Steele, Lea & Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    x = np.asarray(counters, np.uint64) + np.uint64(1)
    x = x * np.uint64(0x9E3779B97F4A7C15) + np.full(1, seed, np.uint64)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def draw_levels(seed: int, first: int, last: int, m: int) -> NDArray[np.uint8]:
    """
    Give the slots [first, last) their levels: P(level ≥ l) = M⁻ˡ, as m_L = 1 / ln M demands.

    Parameters
    ----------
    seed : int
        In [0, 2⁶⁴).
    first, last : int
        The slots.
    m : int
        M of the paper, at least 2.

    Returns
    -------
    uint8[last - first]
        Levels below `MAX_LAYERS`. The logarithm of Algorithm 1, line 4, is replaced by comparing
        integers with ⌊2⁶⁴ / Mˡ⌋: no libm, the same on every machine.
    """
    drawn = hash_counter(seed, np.arange(first, last, dtype=np.uint64))
    levels = np.zeros(last - first, np.uint8)
    for layer in range(1, MAX_LAYERS):
        levels += drawn < np.uint64((1 << 64) // m**layer)
    return levels


@njit(nogil=True, cache=True, forceinline=True)
def link_row(graph, slot, layer):
    """Return the row of `slot` in the link array of `layer`; -1 where damage left none."""
    if layer == 0:
        return np.int64(slot)
    start = np.int64(graph.upper_start[slot])
    row = start + layer - 1
    if start < 0 or row >= graph.n_upper:
        return np.int64(-1)
    return row
