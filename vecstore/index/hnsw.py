"""
The graph index: an HNSW graph over the first slots, an exact scan over the tail.

Not here: the walk and the build (`kernels`), the schedule (`absorb`), the search as a whole
(`search`). Slots are append only; the graph takes them in batches, see `absorb`.
"""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from vecstore.config import HnswConfig, whole_number
from vecstore.errors import InvalidInput
from vecstore.index.absorb import GraphConfig, absorb, copy_graph, due_batches, rest_batches
from vecstore.index.flat import FlatIndex
from vecstore.index.progress import progress_of
from vecstore.index.search import ScratchPool, Snapshot
from vecstore.index.undo import Undo
from vecstore.index.vectors import checked_matrix
from vecstore.kernels.distance import Space
from vecstore.kernels.graph import MAX_LAYERS, HnswGraph, empty_graph
from vecstore.model import IndexStats
from vecstore.storage.rows import FrozenRows

__all__ = ["HNSWIndex"]


class HNSWIndex(FlatIndex):
    """
    Approximate nearest neighbours by a layered graph [1]_.

    Parameters
    ----------
    dim : int
        Components of a vector.
    metric : str
        A name or alias, such as ``"cosine"`` or ``"l2"``.
    m : int
        Links in the upper layers, half those at layer 0 [M].
    ef_construction : int
        Beam width while building [efConstruction].
    seed : int
        Decides the levels.
    threads : int
        Threads that build; the graph is the same for any number.
    flat_threshold : int
        Below this many slots there is no graph, unless `optimize` asks for one.

    Raises
    ------
    InvalidInput
        For a value out of bounds.

    Notes
    -----
    The graph is a function of the rows in order and of m, ef_construction, seed and
    flat_threshold alone; `fingerprint` shows it.

    References
    ----------
    .. [1] Malkov & Yashunin, TPAMI 2020, arXiv:1603.09320.

    Examples
    --------
    >>> import numpy as np
    >>> index = HNSWIndex(2, metric="euclidean")
    >>> index.add(np.array([[0, 0], [3, 4]]))
    >>> index.search([[0, 1]], k=1).distances.tolist()
    [[1.0]]
    """

    def __init__(
        self,
        dim: int,
        metric: str = "euclidean",
        *,
        m: int = 16,
        ef_construction: int = 200,
        seed: int = 0,
        threads: int = 1,
        flat_threshold: int = 1000,
    ) -> None:
        super().__init__(dim, metric)
        HnswConfig(m=m, ef_construction=ef_construction, seed=seed)  # checks the bounds
        whole_number("flat_threshold", flat_threshold, 1, 2**31 - 1)
        self.threads = whole_number("threads", threads, 1, 1024)
        self.config = GraphConfig(m, ef_construction, seed, flat_threshold)
        self.graph: HnswGraph = empty_graph(m)
        self._scratches = ScratchPool(m)

    def add(self, vectors: Any, *, progress: Any = False) -> None:
        """
        Append vectors, and absorb into the graph what is due.

        Parameters
        ----------
        vectors : array-like
            Finite numbers of shape [n, dim].
        progress : bool or callable
            Called with (slots absorbed, slots to absorb); True draws a bar.

        Raises
        ------
        InvalidInput
            If any row is refused; nothing was added.

        Notes
        -----
        The vectors are in before the graph grows: should Ctrl-C or `progress` interrupt that, the
        next `add`, `optimize` or `fingerprint` goes on where it stopped, to the same graph.

        Examples
        --------
        >>> index = HNSWIndex(1)
        >>> index.add([[1.0], [2.0]])
        >>> len(index)
        2
        """
        self._refuse_if_owned("add")
        self._append(checked_matrix("add(vectors)", vectors, self.dim))
        self._grow(self._due(), progress)

    def optimize(self, *, progress: Any = False) -> None:
        """
        Absorb the whole tail, at any size.

        Parameters
        ----------
        progress : bool or callable
            As in `add`.

        Notes
        -----
        The moment of the call moves the boundaries of later batches, and so the fingerprint.

        Examples
        --------
        >>> index = HNSWIndex(1)
        >>> index.add([[1.0], [2.0]])
        >>> index.optimize()
        >>> index.stats().n_indexed
        2
        """
        self._refuse_if_owned("optimize")
        self._grow(self._due(), progress)
        self._grow(rest_batches(self.graph.n_indexed, len(self)), progress)

    def _due(self) -> list[tuple[int, int]]:
        """List the batches that the graph should take by now, in order."""
        return due_batches(self.graph.n_indexed, self.storage.n, self.config.flat_threshold)

    def _absorb(
        self,
        batches: list[tuple[int, int]],
        *,
        in_place: bool,
        publish: Callable[[HnswGraph], bool],
        undo: Undo | None = None,
    ) -> None:
        """
        Grow the graph by batches and hand each grown graph to `publish`.

        Parameters
        ----------
        batches : list of (first, last)
            In order, from ``graph.n_indexed`` on.
        in_place : bool
            Overwrite the arrays of `graph`; False leaves them to whoever reads them, and then
            only the last graph that `publish` got may be kept.
        publish : callable
            Takes a graph; False ends the run.
        undo : Undo, optional
            For who grows in place: it can bring back the links before the last batch.
        """
        graph = self.graph if in_place else copy_graph(self.graph)
        space = Space(self._tag, self.storage.array)
        absorb(space, graph, batches, self.config, self.threads, publish, undo or Undo())

    def _grow(self, batches: list[tuple[int, int]], progress: Any) -> None:
        with progress_of(progress) as tell:
            total = batches[-1][1] - batches[0][0] if batches else 0
            start = self.graph.n_indexed

            def _publish(graph: HnswGraph) -> bool:
                self.graph = graph
                tell(graph.n_indexed - start, total)
                return True

            undo = Undo()
            try:
                self._absorb(batches, in_place=True, publish=_publish, undo=undo)
            except BaseException:
                # Ctrl-C in the middle of a batch: the graph is that before the batch
                undo.restore(self.graph.n_indexed)
                raise

    def snapshot(self) -> Snapshot:
        """
        Take what a search reads.

        Returns
        -------
        Snapshot
            Valid until the next `add` or `optimize`.
        """
        return Snapshot(Space(self._tag, self.storage.array), self.graph, self.storage.n)

    def fingerprint(self) -> str:
        """
        Hash vectors, levels, links, entry and `n_indexed`, after absorbing what is due.

        Returns
        -------
        str
            32 hex digits, the same on any CPU, thread count and chunking.

        Examples
        --------
        >>> len(HNSWIndex(2).fingerprint())
        32
        """
        if self._owner is None:
            self._grow(self._due(), False)
        return super().fingerprint()

    def stats(self) -> IndexStats:
        """
        Count slots, links and bytes.

        Returns
        -------
        IndexStats
            As of now.

        Examples
        --------
        >>> HNSWIndex(2).stats().top_layer
        -1
        """
        graph = self.graph
        links = graph.links[: graph.n_indexed]
        arrays = (graph.levels, graph.links, graph.upper_start, graph.upper)
        return IndexStats(
            n=len(self),
            n_indexed=graph.n_indexed,
            dim=self.dim,
            metric=self.metric,
            vector_bytes=self.storage.array.nbytes,
            graph_bytes=sum(array.nbytes for array in arrays),
            top_layer=graph.top_layer,
            mean_degree=float((links >= 0).sum() / max(1, len(links))),
        )

    def _frozen(self, snapshot: Snapshot) -> "HNSWIndex":
        """Show a state of this index as an index that nobody can change."""
        view = HNSWIndex(
            self.dim,
            self.metric,
            **self.config._asdict(),
            threads=self.threads,
        )
        view.storage = FrozenRows(snapshot.space.rows, snapshot.n)
        view.graph = snapshot.graph
        view._scratches = self._scratches
        view._owner = self._owner
        return view

    def _sections(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        meta, arrays = super()._sections()
        meta |= self.config._asdict()
        return meta | {"graph": graph_meta(self.graph)}, arrays | graph_sections(self.graph)

    @classmethod
    def _restored(cls, meta: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Self:
        counts = meta.pop("graph")
        index = super()._restored(meta, arrays)
        index.graph = graph_from(counts, arrays, index.config.m, len(index))
        return index


def graph_meta(graph: HnswGraph) -> dict[str, int]:
    """
    Give the single numbers of a graph as plain data.

    Parameters
    ----------
    graph : HnswGraph
        Any graph.

    Returns
    -------
    dict
        JSON-able.
    """
    return {
        "n_indexed": graph.n_indexed,
        "n_upper": graph.n_upper,
        "entry": graph.entry,
        "top_layer": graph.top_layer,
    }


def graph_sections(graph: HnswGraph) -> dict[str, NDArray[Any]]:
    """
    Give the arrays of a graph, cut to what is in use.

    Parameters
    ----------
    graph : HnswGraph
        Any graph.

    Returns
    -------
    dict
        Names to arrays.
    """
    return {
        "levels": graph.levels[: graph.n_indexed],
        "links": graph.links[: graph.n_indexed],
        "upper_start": graph.upper_start[: graph.n_indexed],
        "upper": graph.upper[: graph.n_upper],
    }


def graph_from(
    counts: dict[str, Any], arrays: dict[str, NDArray[Any]], m: int, n: int
) -> HnswGraph:
    """
    Put a graph together from parsed data.

    Parameters
    ----------
    counts : dict
        From `graph_meta`.
    arrays : dict
        From `graph_sections`.
    m : int
        M of the index.
    n : int
        Slots there are.

    Returns
    -------
    HnswGraph
        Whose numbers kernels may trust; the arrays' values they do not trust anyway.

    Raises
    ------
    InvalidInput
        If shapes or numbers do not fit together.
    """
    names = ("n_indexed", "n_upper", "entry", "top_layer")
    whole: dict[str, Any] = {name: int(counts[name]) for name in names}
    parts: Any = {name: arrays[name] for name in ("levels", "links", "upper_start", "upper")}
    graph = HnswGraph(**parts, **whole)
    size = graph.n_indexed
    shapes = [(size,), (size, 2 * m), (size,), (graph.n_upper, m)]
    types = [np.uint8, np.int32, np.int32, np.int32]
    for array, shape, dtype in zip(parts.values(), shapes, types, strict=True):
        if array.shape != shape or array.dtype != dtype:
            raise InvalidInput("graph", f"{dtype.__name__}{shape}", f"{array.dtype}{array.shape}")
    empty = graph[4:] == (0, 0, -1, -1)
    if not empty and not (
        0 < size <= n and 0 <= graph.entry < size and 0 <= graph.top_layer < MAX_LAYERS
    ):
        raise InvalidInput("graph", f"counts that fit {n} slots", whole)
    return graph
