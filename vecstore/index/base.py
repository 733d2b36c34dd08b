"""
What every index does alike: check vectors, prepare rows, search, save and load.

`search_rows` is the whole search, graph and tail and guarantee, over plain arrays, so that a
store can run it on a view of its own. Not here: growing a graph (`absorb`).
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecstore.config import MAX_DIM
from vecstore.errors import DimensionMismatch, InvalidInput
from vecstore.index.parallel import run_ranges
from vecstore.kernels.bitset import EVERY
from vecstore.kernels.distance import Cosine, Space, normalize_rows
from vecstore.kernels.flat import scan
from vecstore.kernels.graph import HnswGraph
from vecstore.kernels.hnsw_search import Scratch, search_graph
from vecstore.kernels.simd import STEP
from vecstore.kernels.topk import Found, unpack
from vecstore.model import SearchResult
from vecstore.storage.rows import aligned_zeros

MAX_SLOTS = 2**31 - 1
Progress = Callable[[int, int], None]


def stride_of(dim: int) -> int:
    """
    Round a dimension up to what the kernels read in one turn.

    Parameters
    ----------
    dim : int
        Components of a vector.

    Returns
    -------
    int
        float32 in a row.
    """
    return -(-dim // STEP) * STEP


def checked_matrix(call: str, vectors: Any, dim: int | None) -> NDArray[np.float32]:
    """
    Check vectors and convert them to float32.

    Parameters
    ----------
    call : str
        Call and argument, for errors.
    vectors : array-like
        Numbers of shape [n, dim].
    dim : int or None
        Components that must come; None for any number.

    Returns
    -------
    float32[n, dim]
        C-order; the caller's own array where it has that form already.

    Raises
    ------
    InvalidInput
        If it is no matrix of finite numbers; a bad row is named.
    DimensionMismatch
        If the vectors have another number of components.
    """
    try:
        given = np.asarray(vectors)
    except (ValueError, TypeError):
        raise InvalidInput(call, "numbers of shape [n, dim]", "rows of unequal length") from None
    if given.size == 0 and given.ndim <= 2 and (given.ndim < 2 or given.shape[0] == 0):
        return np.zeros((0, dim or 0), np.float32)
    if given.dtype.kind not in "fiub":
        raise InvalidInput(call, "numbers of shape [n, dim]", f"values of type {given.dtype}")
    if given.ndim != 2:
        raise InvalidInput(call, "numbers of shape [n, dim]", f"an array of shape {given.shape}")
    if dim is not None and given.shape[1] != dim:
        raise DimensionMismatch(call, f"{dim} components", given.shape[1])
    if not 1 <= given.shape[1] <= MAX_DIM:
        raise InvalidInput(call, f"1 to {MAX_DIM} components", given.shape[1])
    with np.errstate(over="ignore"):
        matrix = np.ascontiguousarray(given, np.float32)
    finite = np.isfinite(matrix).all(axis=1)
    if not finite.all():
        raise InvalidInput(f"{call}[{int(finite.argmin())}]", "finite float32", "nan or infinity")
    return matrix


def prepare_rows(
    call: str, metric: Any, matrix: NDArray[np.float32], out_rows: NDArray[np.float32]
) -> NDArray[np.float64]:
    """
    Write vectors as rows that kernels take: zero padded, of unit length under cosine.

    Parameters
    ----------
    call : str
        Call and argument, for errors.
    metric : metric tag
        Decides about normalization.
    matrix : float32[n, dim]
        Checked vectors.
    out_rows : float32[n, stride]
        Zeros; overwritten in its first `dim` columns.

    Returns
    -------
    float64[n]
        Lengths of the vectors under cosine, else of no rows.

    Raises
    ------
    InvalidInput
        For a zero vector under cosine; the row is named and `out_rows` is as it was.
    """
    if not isinstance(metric, Cosine):
        out_rows[:, : matrix.shape[1]] = matrix
        return np.zeros(0)
    refuse_zeros(call, metric, matrix)
    norms = np.zeros(len(matrix))
    normalize_rows(matrix, out_rows, norms)
    return norms


def refuse_zeros(call: str, metric: Any, matrix: NDArray[np.float32]) -> None:
    """
    Refuse vectors without a direction where the metric compares directions.

    Parameters
    ----------
    call : str
        Call and argument, for errors.
    metric : metric tag
        Only cosine refuses.
    matrix : float32[n, dim]
        Checked vectors.

    Raises
    ------
    InvalidInput
        Naming the first zero row.
    """
    if isinstance(metric, Cosine):
        nonzero = matrix.any(axis=1)
        if not nonzero.all():
            row = int(nonzero.argmin())
            expected = "a direction, since the metric is cosine"
            raise InvalidInput(f"{call}[{row}]", expected, "a zero vector")


def as_row(call: str, vector: Any) -> NDArray[Any]:
    """
    Take one vector as a matrix of one row.

    Parameters
    ----------
    call : str
        Call and argument, for errors.
    vector : array-like
        Of shape [dim].

    Returns
    -------
    ndarray
        Of shape [1, dim], its values unchecked.

    Raises
    ------
    InvalidInput
        If it is not one-dimensional.
    """
    try:
        row = np.asarray(vector)
    except (ValueError, TypeError):
        raise InvalidInput(call, "one vector", "values of unequal shape") from None
    if vector is None or row.ndim != 1:
        got = "None" if vector is None else f"an array of shape {row.shape}"
        raise InvalidInput(call, "one vector", got)
    return row[None]


def prepared_queries(
    call: str, metric: Any, queries: Any, dim: int
) -> NDArray[np.float32]:
    """
    Check queries and write them as rows.

    Parameters
    ----------
    call : str
        Call and argument, for errors.
    metric : metric tag
        Decides about normalization.
    queries : array-like
        Numbers of shape [q, dim].
    dim : int
        Components that must come.

    Returns
    -------
    float32[q, stride]
        Aligned.

    Raises
    ------
    InvalidInput
        As `checked_matrix` and `prepare_rows`.
    """
    matrix = checked_matrix(call, queries, dim)
    rows: NDArray[np.float32] = aligned_zeros((len(matrix), stride_of(dim)), np.float32)
    prepare_rows(call, metric, matrix, rows)
    return rows


class ScratchPool:
    """
    Scratch for searches, one a thread at a time; safe to share.

    Parameters
    ----------
    m : int
        M of the graph.
    """

    def __init__(self, m: int) -> None:
        self._m = m
        self._free: list[Scratch] = []

    def take(self, n: int, ef: int, masked: bool) -> Scratch:
        """
        Get scratch for a graph.

        Parameters
        ----------
        n : int
            Slots in the graph.
        ef : int
            Beam width.
        masked : bool
            Whether a mask comes, which needs a frontier.

        Returns
        -------
        Scratch
            To be given back.
        """
        try:
            scratch = self._free.pop()  # atomic
        except IndexError:
            scratch = None
        if scratch is None or len(scratch.visited) < n:
            scratch = Scratch(
                visited=np.zeros(n + n // 4, np.uint8),
                stamp=np.zeros(1, np.int64),
                pool=np.zeros(ef, np.uint64),
                candidates=np.zeros(0, np.uint64),
                frontier=np.zeros(0, np.uint64),
                fresh=np.zeros(2 * self._m, np.int32),
            )
        if len(scratch.pool) != ef:
            scratch = scratch._replace(pool=np.zeros(ef, np.uint64))
        if masked and len(scratch.frontier) < n:
            scratch = scratch._replace(frontier=np.zeros(n + n // 4, np.uint64))
        return scratch

    def give_back(self, scratch: Scratch) -> None:
        """
        Return scratch for the next search.

        Parameters
        ----------
        scratch : Scratch
            From `take`.
        """
        self._free.append(scratch)


class Snapshot(NamedTuple):
    """
    What a search reads; nothing in it changes while it runs.

    Attributes
    ----------
    space : Space
        Rows and their metric.
    graph : HnswGraph
        Over the slots [0, n_indexed); may be empty.
    n : int
        Slots; those from n_indexed on are the tail.
    """

    space: Space
    graph: HnswGraph
    n: int


def prefers_exact(matches: int, n: int, reach: int, masked: bool) -> bool:
    """
    Decide whether comparing every match is the better way.

    Parameters
    ----------
    matches : int
        Admitted slots.
    n : int
        All slots.
    reach : int
        The larger of ef and k.
    masked : bool
        Whether `matches` is below `n` because of a mask.

    Returns
    -------
    bool
        True where the beam would hold every match anyway, or a mask is so strict that the walk
        would cost more: it scores some 20 · ef · n / matches slots to fill its beam.
    """
    if matches <= reach:
        return True
    return masked and matches * matches <= 20 * reach * n


def search_rows(
    snapshot: Snapshot,
    queries: NDArray[np.float32],
    k: int,
    ef: int,
    *,
    admit: NDArray[np.uint64] = EVERY,
    matches: int,
    threads: int = 1,
    scratches: ScratchPool,
) -> SearchResult:
    """
    Find the k nearest admitted slots of each query: graph, then tail, then the guarantee.

    Parameters
    ----------
    snapshot : Snapshot
        What to search.
    queries : float32[q, stride]
        Prepared.
    k : int
        Slots wanted.
    ef : int
        Beam width; raised to k.
    admit : uint64[words]
        Mask over the slots; empty for all.
    matches : int
        Slots in the mask.
    threads : int
        Threads to spread the queries over.
    scratches : ScratchPool
        Where scratch comes from.

    Returns
    -------
    SearchResult
        ``min(k, matches)`` slots a query, always: where the graph found fewer, the query was
        answered again by the exact scan.
    """
    n_queries, wanted = len(queries), min(k, matches)
    slots = np.full((n_queries, k), -1, np.int32)
    distances = np.full((n_queries, k), np.inf, np.float32)
    found = Found(
        heaps=np.zeros((n_queries, wanted), np.uint64),
        sizes=np.zeros(n_queries, np.int64),
        n_dist=np.zeros(n_queries, np.int64),
        n_hops=np.zeros(n_queries, np.int64),
    )
    scanned = found._replace(n_dist=np.zeros(n_queries, np.int64))
    space, graph, n = snapshot
    reach, masked = max(ef, wanted), len(admit) > 0
    exact = np.ones(n_queries, np.bool_)
    by_graph = graph.n_indexed > 0 and not prefers_exact(matches, n, reach, masked)

    def by_both(lo: int, hi: int) -> None:
        scratch = scratches.take(graph.n_indexed, reach, masked)
        search_graph(space, graph, admit, queries, lo, hi, scratch, found)
        scratches.give_back(scratch)
        if graph.n_indexed < n:
            scan(space, graph.n_indexed, n, admit, queries, lo, hi, scanned)

    def by_scan(lo: int, hi: int) -> None:
        found.sizes[lo:hi] = 0
        scan(space, 0, n, admit, queries, lo, hi, scanned)

    if wanted > 0:
        run_ranges(by_both if by_graph else by_scan, 0, n_queries, threads, least=8)
        if by_graph:
            exact = found.sizes < wanted
            for q in np.flatnonzero(exact):
                by_scan(int(q), int(q) + 1)
        unpack(space.metric, found, 0, n_queries, slots, distances)
    return SearchResult(
        slots=slots,
        distances=distances,
        n_dist=found.n_dist + scanned.n_dist,
        n_hops=found.n_hops,
        n_scanned=scanned.n_dist,
        exact=exact,
    )


def pack_meta(meta: dict[str, Any]) -> NDArray[np.uint8]:
    """
    Write an index's settings as a section.

    Parameters
    ----------
    meta : dict
        JSON-able.

    Returns
    -------
    uint8[bytes]
        UTF-8 JSON.
    """
    return np.frombuffer(json.dumps(meta, sort_keys=True).encode(), np.uint8)


@contextlib.contextmanager
def progress_of(progress: bool | Progress) -> Iterator[Progress]:
    """
    Turn a `progress` argument into something to call.

    Parameters
    ----------
    progress : bool or callable
        False: silence. True: a bar on stderr. A callable is used as it is.

    Yields
    ------
    callable
        Takes (done, total).
    """
    if progress is False or callable(progress):
        yield progress or (lambda done, total: None)
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("absorbing", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
