"""
What calls give back: records, hits, results and reports, as plain frozen data.

Not here: how they come about. Everything returned is a copy; changing it changes no store.
"""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BatchReport",
    "CompactReport",
    "Hit",
    "IndexStats",
    "QueryBatch",
    "QueryStats",
    "Record",
    "SearchResult",
    "SnapshotInfo",
    "StoreStats",
    "UpsertReport",
    "VerifyIssue",
    "VerifyReport",
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
    log_bytes : int
        Size of the calls that it does not contain; they are in the log.
    torn_bytes : int
        Bytes of a write that had been cut short, dropped when this handle was opened.
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
    log_bytes: int
    torn_bytes: int
    vector_bytes: int
    graph_bytes: int


@dataclasses.dataclass(frozen=True)
class SnapshotInfo:
    """
    One snapshot of a store.

    Attributes
    ----------
    name : str
        As it was given.
    created_at : int
        Unix milliseconds.
    seqno : int
        Write calls it contains.
    records : int
        Live ones.
    size_bytes : int
        Bytes of its files, most of them shared with the store.
    own_bytes : int
        Bytes on the medium that nothing else has: what `delete_snapshot` frees.
    problem : str
        Empty; of a snapshot that cannot be read, what is wrong with it: then only its name and
        its bytes are known, and `delete_snapshot` is all that can be done with it.
    """

    name: str
    created_at: int
    seqno: int
    records: int
    size_bytes: int
    own_bytes: int
    problem: str = ""


class CompactReport(int):
    """
    How many dead slots `compact` removed: an int that knows who still has their bytes.

    Attributes
    ----------
    snapshots : tuple of str
        Snapshots whose files may hold deleted vectors; `delete_snapshot` ends that.
    leftovers : tuple of str
        Files of earlier generations that the system did not let go of, which may hold deleted
        vectors as well; the next checkpoint tries again.
    """

    snapshots: tuple[str, ...]
    leftovers: tuple[str, ...]

    def __new__(
        cls, removed: int, snapshots: tuple[str, ...] = (), leftovers: tuple[str, ...] = ()
    ) -> "CompactReport":
        """Make the number and attach the names."""
        report = super().__new__(cls, removed)
        report.snapshots = snapshots
        report.leftovers = leftovers
        return report


@dataclasses.dataclass(frozen=True)
class VerifyIssue:
    """
    One thing that `VecStore.verify` noticed.

    Attributes
    ----------
    path : str or None
        The file concerned; None in memory.
    offset : int or None
        Where in the file, in bytes; None for what has no place there, such as a missing link.
    text : str
        What it is.
    """

    path: str | None
    offset: int | None
    text: str

    def __str__(self) -> str:
        place = "" if self.offset is None else f" at byte {self.offset:,}"
        return f"{self.path or ':memory:'}{place}: {self.text}"


@dataclasses.dataclass(frozen=True)
class VerifyReport:
    """
    Whether a store is whole.

    Attributes
    ----------
    problems : tuple of VerifyIssue
        Damage: bytes that are not what was written, or a graph that breaks its invariants.
    findings : tuple of VerifyIssue
        What a whole store may have, such as links in one direction only.
    """

    problems: tuple[VerifyIssue, ...]
    findings: tuple[VerifyIssue, ...]

    @property
    def ok(self) -> bool:
        """Whether there are no problems."""
        return not self.problems
