"""
What calls give back: records, hits, results and reports, as plain frozen data.

Not here: how they come about. Everything returned is a copy; changing it changes no store.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from vecstore.errors import MissingExtra

__all__ = [
    "BatchReport",
    "Hit",
    "IndexStats",
    "QueryBatch",
    "QueryResult",
    "QueryStats",
    "Record",
    "SearchResult",
    "StoreStats",
    "UpsertReport",
]


@dataclasses.dataclass(frozen=True, eq=False)
class Record:
    """
    One record as it was stored.

    Attributes
    ----------
    id : str
        The user's name for it.
    vector : float32[dim]
        As it came, to float32 rounding.
    metadata : dict
        As it came; types survive.
    text : str, dict or None
        None in this version.
    created_at, expires_at, deleted_at : int or None
        Unix milliseconds.
    """

    id: str
    vector: NDArray[np.float32]
    metadata: dict[str, Any]
    text: Any = None
    created_at: int | None = None
    expires_at: int | None = None
    deleted_at: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Hit:
    """
    One answer to a query.

    Attributes
    ----------
    id : str
        The record.
    score : float
        Larger is better: cosine similarity, dot product, else ``1 / (1 + distance)``.
    distance : float
        Smaller is nearer.
    metadata : dict
        The record's metadata.
    text : str, dict or None
        None in this version.
    """

    id: str
    score: float
    distance: float
    metadata: dict[str, Any]
    text: Any = None


@dataclasses.dataclass(frozen=True, slots=True)
class QueryStats:
    """
    What a query cost.

    Attributes
    ----------
    n_dist : int
        Distances computed, the cost that does not depend on the machine.
    n_hops : int
        Slots of the graph whose neighbours were looked at.
    n_scanned : int
        Rows compared one by one, of the tail or of an exact scan; part of `n_dist`.
    elapsed_s : float
        Seconds on the wall clock.
    """

    n_dist: int
    n_hops: int
    n_scanned: int
    elapsed_s: float


class QueryResult(Sequence[Hit]):
    """
    The hits of one query, nearest first, and what they cost.

    Parameters
    ----------
    hits : list of Hit
        Ordered by (distance, slot).
    exact : bool
        Whether every visible record was compared.
    stats : QueryStats
        The cost.

    Examples
    --------
    >>> stats = QueryStats(n_dist=1, n_hops=0, n_scanned=1, elapsed_s=0.0)
    >>> result = QueryResult([Hit("a", 1.0, 0.0, {})], exact=True, stats=stats)
    >>> result.ids
    ['a']
    """

    def __init__(self, hits: list[Hit], *, exact: bool, stats: QueryStats) -> None:
        self._hits = hits
        self.exact = exact
        self.stats = stats

    def __len__(self) -> int:
        return len(self._hits)

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> list[Hit]: ...
    def __getitem__(self, index: int | slice) -> Hit | list[Hit]:
        return self._hits[index]

    def __iter__(self) -> Iterator[Hit]:
        return iter(self._hits)

    def __repr__(self) -> str:
        rows = "".join(f"\n  {h.score:9.4f}  {h.id}" for h in self._hits[:10])
        more = f"\n  … {len(self) - 10} more" if len(self) > 10 else ""
        route = "exact" if self.exact else "graph"
        return (
            f"<QueryResult: {len(self)} hits, {route}, {self.stats.n_dist} distances>{rows}{more}"
        )

    @property
    def ids(self) -> list[str]:
        """The ids of the hits."""
        return [hit.id for hit in self._hits]

    @property
    def scores(self) -> NDArray[np.float32]:
        """The scores of the hits, float32[hits]."""
        return np.array([hit.score for hit in self._hits], np.float32)

    @property
    def distances(self) -> NDArray[np.float32]:
        """The distances of the hits, float32[hits]."""
        return np.array([hit.distance for hit in self._hits], np.float32)

    def to_dicts(self) -> list[dict[str, Any]]:
        """
        Give the hits as dictionaries.

        Returns
        -------
        list of dict
            Keys `id`, `score`, `distance`, `metadata`, `text`.

        Examples
        --------
        >>> stats = QueryStats(n_dist=0, n_hops=0, n_scanned=0, elapsed_s=0.0)
        >>> QueryResult([], exact=True, stats=stats).to_dicts()
        []
        """
        return [dataclasses.asdict(hit) for hit in self._hits]

    def to_pandas(self) -> Any:
        """
        Give the hits as a data frame, a column a field.

        Returns
        -------
        pandas.DataFrame
            Columns `id`, `score`, `distance`, `metadata`, `text`.

        Raises
        ------
        MissingExtra
            Without pandas.
        """
        try:
            import pandas as pd  # type: ignore[import-untyped]
        except ImportError:
            raise MissingExtra("pandas", "python -m pip install pandas") from None
        columns = [field.name for field in dataclasses.fields(Hit)]
        return pd.DataFrame(self.to_dicts(), columns=columns)


@dataclasses.dataclass(frozen=True, eq=False)
class QueryBatch:
    """
    The answers to many queries, as arrays.

    Attributes
    ----------
    ids : object[q, k]
        Padded with None.
    scores, distances : float32[q, k]
        Padded with nan.
    n_dist, n_hops : int64[q]
        The cost of each query.
    exact : bool[q]
        Whether every visible record was compared.
    """

    ids: NDArray[np.object_]
    scores: NDArray[np.float32]
    distances: NDArray[np.float32]
    n_dist: NDArray[np.int64]
    n_hops: NDArray[np.int64]
    exact: NDArray[np.bool_]


@dataclasses.dataclass(frozen=True, eq=False)
class SearchResult:
    """
    The answers of an index to a batch of queries.

    Attributes
    ----------
    slots : int32[q, k]
        Nearest first, ties by slot; -1 where fewer than k exist.
    distances : float32[q, k]
        True distances; inf where fewer than k exist.
    n_dist, n_hops : int64[q]
        Distances computed and slots expanded, a query.
    n_scanned : int64[q]
        Rows compared one by one; part of `n_dist`.
    exact : bool[q]
        Whether every admitted row was compared.
    """

    slots: NDArray[np.int32]
    distances: NDArray[np.float32]
    n_dist: NDArray[np.int64]
    n_hops: NDArray[np.int64]
    n_scanned: NDArray[np.int64]
    exact: NDArray[np.bool_]


@dataclasses.dataclass(frozen=True)
class UpsertReport:
    """
    What `upsert_many` did.

    Attributes
    ----------
    inserted, updated : int
        Ids that were new, and ids whose record was replaced; an id given twice counts once.
    """

    inserted: int
    updated: int


@dataclasses.dataclass(frozen=True)
class BatchReport:
    """
    What `batch` did.

    Attributes
    ----------
    upserted, deleted, soft_deleted, restored, updated : int
        Operations of each kind that changed something.
    """

    upserted: int = 0
    deleted: int = 0
    soft_deleted: int = 0
    restored: int = 0
    updated: int = 0


@dataclasses.dataclass(frozen=True)
class IndexStats:
    """
    An index in numbers.

    Attributes
    ----------
    n : int
        Slots, dead ones included.
    n_indexed : int
        Slots that the graph covers; the rest is scanned.
    dim : int
        Components of a vector.
    metric : str
        Canonical name.
    vector_bytes, graph_bytes : int
        Memory owned at capacity.
    top_layer : int
        Highest layer of the graph, -1 without one.
    mean_degree : float
        Links a slot at layer 0.
    """

    n: int
    n_indexed: int
    dim: int
    metric: str
    vector_bytes: int
    graph_bytes: int
    top_layer: int
    mean_degree: float


@dataclasses.dataclass(frozen=True)
class StoreStats:
    """
    A store in numbers.

    Attributes
    ----------
    live, soft_deleted, dead : int
        Slots whose record is current, hidden until `compact` or `restore`, and replaced or
        deleted. Expired records that were not swept yet count as live here.
    slots, indexed, tail : int
        All slots; those in the graph; those scanned.
    dim : int or None
        None before the first insert.
    metric : str
        Canonical name.
    seqno : int
        Write calls so far.
    generation : int
        Number of the generation on disk, which grows with every checkpoint; 0 in memory.
    disk_bytes : int
        Size of the files of the current generation.
    vector_bytes, graph_bytes : int
        Memory owned at capacity; mapped vectors are counted, though the system may page them.
    """

    live: int
    soft_deleted: int
    dead: int
    slots: int
    indexed: int
    tail: int
    dim: int | None
    metric: str
    seqno: int
    generation: int
    disk_bytes: int
    vector_bytes: int
    graph_bytes: int
