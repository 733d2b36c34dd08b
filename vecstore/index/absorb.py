"""
When the graph takes slots from the tail, and how: batches by slot number, spread over threads.

Which batches are due is a pure function of slot counts, so neither how rows were handed over nor
how far a background thread came can change the graph. `kernels.hnsw_build` does the work; here
are the schedule and the sort between its steps.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecstore.index.parallel import run_ranges
from vecstore.index.undo import Undo
from vecstore.kernels.distance import Space
from vecstore.kernels.graph import HnswGraph, draw_levels
from vecstore.kernels.hnsw_build import (
    NO_KEY,
    TILE,
    Batch,
    ReverseEdges,
    find_neighbors,
    merge_links,
    peer_distances,
)
from vecstore.kernels.hnsw_search import Scratch
from vecstore.storage.rows import aligned_zeros, grown

_SLOT_BITS = np.uint64(0xFFFFFFFF)  # the low half of a key, see `topk`


class GraphConfig(NamedTuple):
    """
    What the graph is a function of, beside the rows.

    Attributes
    ----------
    m : int
        Links in the upper layers, half those at layer 0 [M].
    ef_construction : int
        Beam width while building.
    seed : int
        Decides the levels.
    flat_threshold : int
        Slots below which there is no graph unless `optimize` asks for one.
    """

    m: int
    ef_construction: int
    seed: int
    flat_threshold: int


def batch_size(n_indexed: int) -> int:
    """
    Size the next batch of a graph: doubling up to 256, later 1/64 of the graph up to 1024.

    Parameters
    ----------
    n_indexed : int
        Slots in the graph.

    Returns
    -------
    int
        Slots to take. Part of the format: another schedule is another graph.
    """
    return max(min(max(n_indexed, 1), 256), min(n_indexed // 64, 1024))


def due_batches(n_indexed: int, n: int, flat_threshold: int) -> list[tuple[int, int]]:
    """
    List the batches that `n` slots make due.

    Parameters
    ----------
    n_indexed : int
        Slots in the graph.
    n : int
        Slots there are.
    flat_threshold : int
        Nothing is due below this many slots.

    Returns
    -------
    list of (first, last)
        In order; a batch is due once all its slots exist.
    """
    if n < flat_threshold:
        return []
    batches = rest_batches(n_indexed, flat_threshold)
    first = max(n_indexed, flat_threshold)
    while first + batch_size(first) <= n:
        batches.append((first, first + batch_size(first)))
        first += batch_size(first)
    return batches


def rest_batches(n_indexed: int, n: int) -> list[tuple[int, int]]:
    """
    List the batches that take the whole tail.

    Parameters
    ----------
    n_indexed : int
        Slots in the graph.
    n : int
        Slots there are.

    Returns
    -------
    list of (first, last)
        In order, the last one cut at `n`.
    """
    batches, first = [], n_indexed
    while first < n:
        last = min(n, first + batch_size(first))
        batches.append((first, last))
        first = last
    return batches


def copy_graph(graph: HnswGraph) -> HnswGraph:
    """
    Copy the arrays of a graph, so that they can be written while others read the original.

    Parameters
    ----------
    graph : HnswGraph
        Read only.

    Returns
    -------
    HnswGraph
        With arrays of its own.
    """
    return graph._replace(
        levels=graph.levels.copy(),
        links=_enlarged(graph.links, len(graph.links), graph.n_indexed),
        upper_start=graph.upper_start.copy(),
        upper=_enlarged(graph.upper, len(graph.upper), graph.n_upper),
    )


def _enlarged(array: NDArray[np.int32], capacity: int, used: int) -> NDArray[np.int32]:
    larger: NDArray[np.int32] = aligned_zeros((capacity, *array.shape[1:]), array.dtype)
    larger[:used] = array[:used]
    return larger


def absorb(
    space: Space,
    graph: HnswGraph,
    batches: Iterable[tuple[int, int]],
    config: GraphConfig,
    threads: int,
    publish: Callable[[HnswGraph], bool],
    undo: Undo,
) -> None:
    """
    Grow a graph batch by batch.

    Parameters
    ----------
    space : Space
        Rows and their metric; every slot of the batches exists.
    graph : HnswGraph
        Its arrays are overwritten, or replaced where they are too short.
    batches : iterable of (first, last)
        In order, beginning at ``graph.n_indexed``.
    config : GraphConfig
        The settings.
    threads : int
        Threads to spread over; no influence on the graph.
    publish : callable
        Takes the grown graph after each batch; False ends the run.
    undo : Undo
        Overwritten: what the batch in work changes in rows that the graph has already.
    """
    batches = list(batches)
    if not batches:
        return
    graph = _with_slots(graph, batches[-1][1], config)
    workspace = _Workspace(config, batches[-1][1])
    for first, last in batches:
        undo.begin(first)
        graph = _absorb_batch(space, graph, (first, last), config, threads, workspace, undo)
        if not publish(graph):
            return


def _with_slots(graph: HnswGraph, n: int, config: GraphConfig) -> HnswGraph:
    """Make room for `n` slots and give the new ones their levels and upper rows."""
    first = graph.n_indexed
    levels = draw_levels(config.seed, first, n, config.m)
    ends = graph.n_upper + np.cumsum(levels, dtype=np.int64)
    n_upper = int(ends[-1]) if len(ends) else graph.n_upper
    if n > len(graph.levels):
        capacity = grown(len(graph.levels), n)
        levels_array = np.zeros(capacity, np.uint8)
        levels_array[:first] = graph.levels[:first]
        starts_array = np.full(capacity, -1, np.int32)
        starts_array[:first] = graph.upper_start[:first]
        graph = graph._replace(
            levels=levels_array,
            links=_enlarged(graph.links, capacity, first),
            upper_start=starts_array,
        )
    if n_upper > len(graph.upper):
        capacity = grown(len(graph.upper), n_upper)
        graph = graph._replace(upper=_enlarged(graph.upper, capacity, graph.n_upper))
    graph.levels[first:n] = levels
    graph.upper_start[first:n] = np.where(levels > 0, ends - levels, -1)
    return graph


class _Workspace:
    """Arrays that the batches of one run share, and a scratch a thread."""

    def __init__(self, config: GraphConfig, n: int) -> None:
        self._config = config
        self._n = n
        self._free: list[Scratch] = []
        self.peers = np.zeros((0, 0), np.float32)

    def peers_of(self, size: int) -> NDArray[np.float32]:
        if len(self.peers) < size:
            self.peers = np.zeros((size, size), np.float32)
        return self.peers

    def scratch(self) -> Scratch:
        # list.pop and append are atomic, so threads need no lock
        try:
            return self._free.pop()
        except IndexError:
            width = 2 * self._config.m
            ef = self._config.ef_construction
            return Scratch(
                visited=np.zeros(self._n, np.uint8),
                stamp=np.zeros(1, np.int64),
                pool=np.zeros(ef, np.uint64),
                candidates=np.zeros(ef, np.uint64),
                frontier=np.zeros(0, np.uint64),
                fresh=np.zeros(width, np.int32),
            )

    def give_back(self, scratch: Scratch) -> None:
        self._free.append(scratch)


def _absorb_batch(
    space: Space,
    graph: HnswGraph,
    slots_range: tuple[int, int],
    config: GraphConfig,
    threads: int,
    workspace: _Workspace,
    undo: Undo,
) -> HnswGraph:
    first, last = slots_range
    levels = graph.levels[first:last].astype(np.int64)
    n_upper = graph.n_upper + int(levels.sum())
    batch = Batch(
        first=first,
        last=last,
        peers=workspace.peers_of(last - first),
        edges=np.full((last - first, config.m), NO_KEY),
        upper_edges=np.full((n_upper - graph.n_upper, config.m), NO_KEY),
    )
    run_ranges(
        lambda lo, hi: peer_distances(space, batch, lo, hi),
        0,
        -(-(last - first) // TILE),
        threads,
        least=2,
    )

    def _find(lo: int, hi: int) -> None:
        scratch = workspace.scratch()
        find_neighbors(space, graph, batch, lo, hi, scratch)
        workspace.give_back(scratch)

    run_ranges(_find, first, last, threads, least=4)

    slots = np.arange(first, last)
    graph.links[first:last] = _neighbors(batch.edges, graph.links.shape[1])
    graph.upper[graph.n_upper : n_upper] = _neighbors(batch.upper_edges, config.m)
    owners = np.repeat(slots, levels)
    layers = np.arange(graph.n_upper, n_upper) - graph.upper_start[owners]
    _merge(space, graph.links, batch.edges, slots, lambda at, to: to, last, threads, undo)

    def _upper_row(at: NDArray[np.int64], to: NDArray[np.int64]) -> NDArray[np.int64]:
        rows = graph.upper_start[to] + layers[at]
        # a damaged file may name rows that do not exist; what cannot be linked is left out
        return np.where((graph.upper_start[to] >= 0) & (rows < n_upper), rows, -1)

    _merge(space, graph.upper, batch.upper_edges, owners, _upper_row, last, threads, undo)

    entry, top_layer = graph.entry, graph.top_layer
    if last > first and levels.max() > top_layer:
        top_layer = int(levels.max())
        entry = first + int(levels.argmax())
    return graph._replace(n_indexed=last, n_upper=n_upper, entry=entry, top_layer=top_layer)


def _neighbors(edges: NDArray[np.uint64], width: int) -> NDArray[np.int32]:
    """Turn key rows into link rows, padded with -1 to `width`."""
    links = np.full((len(edges), width), -1, np.int32)
    links[:, : edges.shape[1]] = np.where(edges == NO_KEY, -1, _slots(edges))
    return links


def _slots(keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Take the slots out of keys: `topk.key_slot` for whole arrays."""
    return ((keys & _SLOT_BITS) >> np.uint64(1)).astype(np.int64)


def _merge(
    space: Space,
    links: NDArray[np.int32],
    edges: NDArray[np.uint64],
    sources: NDArray[np.int64],
    row_of: Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.int64]],
    n: int,
    threads: int,
    undo: Undo,
) -> None:
    """Turn the edges of new slots around, sort them by (target row, key), and merge them."""
    at, column = np.nonzero(edges != NO_KEY)
    keys = edges[at, column]
    owners = _slots(keys)
    targets = row_of(at, owners).astype(np.int64)
    # the distance stays, the slot becomes the source's
    turned = (keys & ~_SLOT_BITS) | (sources[at].astype(np.uint64) << np.uint64(1))
    valid = targets >= 0
    order = np.lexsort((turned[valid], targets[valid]))
    targets, owners, turned = targets[valid][order], owners[valid][order], turned[valid][order]
    starts = np.flatnonzero(np.diff(targets, prepend=-1))
    bounds = np.append(starts, len(targets)).astype(np.int64)
    reverse = ReverseEdges(owners, targets, turned, bounds)
    undo.save(links, targets[bounds[:-1]])
    largest = int(np.diff(bounds).max()) if len(bounds) > 1 else 0
    width = links.shape[1]

    def _merge_range(lo: int, hi: int) -> None:
        scratch = Scratch(
            visited=np.zeros(0, np.uint8),
            stamp=np.zeros(1, np.int64),
            pool=np.zeros(width, np.uint64),
            candidates=np.zeros(width + largest, np.uint64),
            frontier=np.zeros(0, np.uint64),
            fresh=np.zeros(0, np.int32),
        )
        merge_links(space, links, reverse, n, lo, hi, scratch)

    run_ranges(_merge_range, 0, len(bounds) - 1, threads, least=64)
