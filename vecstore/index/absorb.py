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
    TILE,
    Batch,
    ReverseEdges,
    find_neighbors,
    merge_links,
    peer_distances,
)
from vecstore.kernels.scratch import Scratch, new_scratch
from vecstore.kernels.topk import NO_KEY, SLOT_BITS, keyed_slots
from vecstore.storage.rows import aligned_zeros, grown


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
    as_printed : bool
        Algorithms 1 to 5 as the paper prints them: one slot at a time, M links of its own at
        layer 0, ties discarded.
    """

    m: int
    ef_construction: int
    seed: int
    flat_threshold: int
    as_printed: bool = False


def own_links(config: GraphConfig) -> int:
    """
    Give the links that a new slot chooses at layer 0.

    Parameters
    ----------
    config : GraphConfig
        The settings.

    Returns
    -------
    int
        Half as many again as the paper's M, see "Deviations from the paper" in
        ``docs/design/hnsw.md``.
    """
    return config.m if config.as_printed else config.m + config.m // 2


def batch_size(n_indexed: int, as_printed: bool = False) -> int:
    """
    Size the next batch of a graph: doubling up to 256, later 1/64 of the graph up to 1024.

    Parameters
    ----------
    n_indexed : int
        Slots in the graph.
    as_printed : bool
        One slot at a time.

    Returns
    -------
    int
        Slots to take. Part of the format: another schedule is another graph.
    """
    if as_printed:
        return 1
    return max(min(max(n_indexed, 1), 256), min(n_indexed // 64, 1024))


def is_due(n_indexed: int, n: int, flat_threshold: int, as_printed: bool = False) -> bool:
    """
    Say whether `due_batches` lists any, without listing them.

    Parameters
    ----------
    n_indexed, n, flat_threshold : int
        As there.
    as_printed : bool
        As there.

    Returns
    -------
    bool
        True where the graph should take some slots.
    """
    if n_indexed < flat_threshold:
        return n >= flat_threshold
    return n_indexed + batch_size(n_indexed, as_printed) <= n


def due_batches(
    n_indexed: int, n: int, flat_threshold: int, as_printed: bool = False
) -> list[tuple[int, int]]:
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
    as_printed : bool
        One slot at a time.

    Returns
    -------
    list of (first, last)
        In order; a batch is due once all its slots exist.
    """
    if n < flat_threshold:
        return []
    batches = rest_batches(n_indexed, flat_threshold, as_printed)
    first = max(n_indexed, flat_threshold)
    while first + batch_size(first, as_printed) <= n:
        last = first + batch_size(first, as_printed)
        batches.append((first, last))
        first = last
    return batches


def rest_batches(n_indexed: int, n: int, as_printed: bool = False) -> list[tuple[int, int]]:
    """
    List the batches that take the whole tail.

    Parameters
    ----------
    n_indexed : int
        Slots in the graph.
    n : int
        Slots there are.
    as_printed : bool
        One slot at a time.

    Returns
    -------
    list of (first, last)
        In order, the last one cut at `n`.
    """
    batches, first = [], n_indexed
    while first < n:
        last = min(n, first + batch_size(first, as_printed))
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
    run = _Run(space, config, batches[-1][1], threads, undo)
    for first, last in batches:
        undo.begin(first)
        graph = _absorb_batch(run, graph, first, last)
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


class _Run:
    """What the batches of one run share: the settings, arrays, and a scratch a thread."""

    def __init__(self, space: Space, config: GraphConfig, n: int, threads: int, undo: Undo) -> None:
        self.space = space
        self.config = config
        self.threads = threads
        self.undo = undo
        self._n = n
        self._free: list[Scratch] = []
        self._peers = np.zeros((0, 0), np.float32)

    def peers_of(self, size: int) -> NDArray[np.float32]:
        if len(self._peers) < size:
            self._peers = np.zeros((size, size), np.float32)
        return self._peers

    def scratch(self) -> Scratch:
        # list.pop and append are atomic, so threads need no lock
        try:
            return self._free.pop()
        except IndexError:
            ef = self.config.ef_construction
            return new_scratch(self._n, ef, 2 * self.config.m, candidates=ef)

    def give_back(self, scratch: Scratch) -> None:
        self._free.append(scratch)


def _absorb_batch(run: _Run, graph: HnswGraph, first: int, last: int) -> HnswGraph:
    space, config = run.space, run.config
    levels = graph.levels[first:last].astype(np.int64)
    n_upper = graph.n_upper + int(levels.sum())
    batch = Batch(
        first=first,
        last=last,
        peers=run.peers_of(last - first),
        edges=np.full((last - first, own_links(config)), NO_KEY),
        upper_edges=np.full((n_upper - graph.n_upper, config.m), NO_KEY),
        keep_ties=not config.as_printed,
    )
    run_ranges(
        lambda lo, hi: peer_distances(space, batch, lo, hi),
        0,
        -(-(last - first) // TILE),
        run.threads,
        least=2,
    )

    def _find(lo: int, hi: int) -> None:
        scratch = run.scratch()
        find_neighbors(space, graph, batch, lo, hi, scratch)
        run.give_back(scratch)

    run_ranges(_find, first, last, run.threads, least=4)

    slots = np.arange(first, last)
    graph.links[first:last] = _neighbors(batch.edges, graph.links.shape[1])
    graph.upper[graph.n_upper : n_upper] = _neighbors(batch.upper_edges, config.m)
    owners = np.repeat(slots, levels)
    layers = np.arange(graph.n_upper, n_upper) - graph.upper_start[owners]
    _merge(run, graph.links, batch.edges, slots, lambda at, to: to, last)

    def _upper_row(at: NDArray[np.int64], to: NDArray[np.int64]) -> NDArray[np.int64]:
        rows = graph.upper_start[to] + layers[at]
        # a damaged file may name rows that do not exist; what cannot be linked is left out
        return np.where((graph.upper_start[to] >= 0) & (rows < n_upper), rows, -1)

    _merge(run, graph.upper, batch.upper_edges, owners, _upper_row, last)

    entry, top_layer = graph.entry, graph.top_layer
    if last > first and levels.max() > top_layer:
        top_layer = int(levels.max())
        entry = first + int(levels.argmax())
    return graph._replace(n_indexed=last, n_upper=n_upper, entry=entry, top_layer=top_layer)


def _neighbors(edges: NDArray[np.uint64], width: int) -> NDArray[np.int32]:
    """Turn key rows into link rows, padded with -1 to `width`."""
    links = np.full((len(edges), width), -1, np.int32)
    links[:, : edges.shape[1]] = np.where(edges == NO_KEY, -1, keyed_slots(edges))
    return links


def _merge(
    run: _Run,
    links: NDArray[np.int32],
    edges: NDArray[np.uint64],
    sources: NDArray[np.int64],
    row_of: Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.int64]],
    n: int,
) -> None:
    """Turn the edges of new slots around, sort them by (target row, key), and merge them."""
    at, column = np.nonzero(edges != NO_KEY)
    keys = edges[at, column]
    owners = keyed_slots(keys)
    targets = row_of(at, owners).astype(np.int64)
    # the distance stays, the slot becomes the source's
    turned = (keys & ~SLOT_BITS) | (sources[at].astype(np.uint64) << np.uint64(1))
    valid = targets >= 0
    order = np.lexsort((turned[valid], targets[valid]))
    targets, owners, turned = targets[valid][order], owners[valid][order], turned[valid][order]
    starts = np.flatnonzero(np.diff(targets, prepend=-1))
    bounds = np.append(starts, len(targets)).astype(np.int64)
    reverse = ReverseEdges(owners, targets, turned, bounds)
    run.undo.save(links, targets[bounds[:-1]])
    largest = int(np.diff(bounds).max()) if len(bounds) > 1 else 0
    width, keep_ties = links.shape[1], not run.config.as_printed

    def _merge_range(lo: int, hi: int) -> None:
        scratch = new_scratch(0, width, 0, candidates=width + largest)
        merge_links(run.space, links, reverse, n, lo, hi, keep_ties, scratch)

    run_ranges(_merge_range, 0, len(bounds) - 1, run.threads, least=64)
