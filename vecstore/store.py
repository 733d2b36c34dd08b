"""
The database as users meet it: `open` and `VecStore`.

A façade: every method checks its arguments, takes the newest view or the writer, and hands over.
What happens then is in `engine`. Queries and reads never wait; writes take turns.
"""

import html
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vecstore.config import MAX_DIM, StoreConfig, metric_name, whole_number
from vecstore.engine.checks import checked_id, packed_metadata
from vecstore.engine.executor import Executor
from vecstore.engine.maintenance import Maintenance
from vecstore.engine.opening import Parts, open_memory, open_reader, open_writer
from vecstore.engine.plan import Plan
from vecstore.engine.report import fingerprint, stats, verify
from vecstore.engine.result import QueryResult
from vecstore.engine.settings import Wanted
from vecstore.engine.snapshots import (
    create_snapshot,
    delete_snapshot,
    list_snapshots,
    restore_snapshot,
    snapshots_with_slots,
    verify_snapshot,
)
from vecstore.engine.view import ReadView
from vecstore.errors import CorruptData, InvalidInput, NotAvailable, StorePoisoned
from vecstore.index.hnsw import HNSWIndex
from vecstore.index.vectors import MAX_SLOTS, as_row, refuse_flood
from vecstore.inspection.cards import store_html
from vecstore.model import (
    BatchReport,
    CompactReport,
    Hit,
    QueryBatch,
    Record,
    SnapshotInfo,
    StoreStats,
    UpsertReport,
    VerifyReport,
)
from vecstore.storage.files import Files

__all__ = ["VecStore", "open"]

Clock = Callable[[], int]


def _unix_ms() -> int:
    return time.time_ns() // 1_000_000


def open(
    path: str | Path = ":memory:",
    *,
    dim: int | None = None,
    metric: str | None = None,
    config: StoreConfig | Mapping[str, Any] | None = None,
    schema: Any = None,
    mode: str = "a",
    check: str | None = None,
    clock: Clock | None = None,
) -> "VecStore":
    """
    Open a store, creating it where there is none.

    Parameters
    ----------
    path : path-like
        A directory, or ``":memory:"`` for a store that ends with the handle.
    dim : int, optional
        Components of a vector; fixed by the first insert where it is not given.
    metric : str, optional
        A name or alias; the store's own by default, cosine for a new one.
    config : StoreConfig or mapping, optional
        Settings; what is not passed is as the store has it.
    schema : None
        Not available in this version.
    mode : str
        ``"a"`` reads and writes, and creates what is missing. ``"r"`` reads only: any number of
        handles and processes, while another writes. It sees what was durable when it was opened,
        and on `refresh`.
    check : str, optional
        ``"full"`` compares every byte with its checksum before anything is returned.
    clock : callable, optional
        Returns Unix milliseconds; for tests.

    Returns
    -------
    VecStore
        To be closed, or used in a ``with`` statement.

    Raises
    ------
    InvalidInput
        If an argument is malformed or contradicts what was fixed when the store was created.
    NotAStore
        If the path is a file or a directory with other files, or missing with ``mode="r"``.
    StoreLocked
        If another handle, in this process or another, has it open for writing.
    CorruptData
        If bytes on disk are not what was written.
    NotAvailable
        For `schema`.

    Examples
    --------
    >>> import vecstore
    >>> with vecstore.open(metric="euclidean") as store:
    ...     store.upsert("a", [0.0, 1.0])
    ...     store.query([0.0, 1.0], k=1).ids
    ['a']
    """
    if not isinstance(path, str | os.PathLike):
        raise InvalidInput.of("open(path)", "a path or ':memory:'", path)
    if schema is not None:
        raise NotAvailable("open(schema=…)", "validate records before you upsert them")
    if mode not in ("a", "r"):
        raise InvalidInput.of("open(mode)", "'a' or 'r'", mode)
    if check not in (None, "full"):
        raise InvalidInput.of("open(check)", "None or 'full'", check)
    if dim is not None:
        dim = whole_number("open(dim)", dim, 1, MAX_DIM)
    metric = None if metric is None else metric_name(metric)
    if isinstance(config, Mapping):
        config = StoreConfig.from_dict(config)
    wanted = config if config is not None else StoreConfig()
    if not isinstance(wanted, StoreConfig):
        raise InvalidInput("open(config)", "a StoreConfig or a mapping", type(config).__name__)
    asked = Wanted(wanted, metric, dim)
    if str(path) == ":memory:":
        if mode == "r":
            raise InvalidInput("open(mode)", "'a' for a store in memory", mode)
        return VecStore(open_memory(asked), clock or _unix_ms)
    opener = open_writer if mode == "a" else open_reader
    return VecStore(opener(Files(), Path(path), asked, full=check == "full"), clock or _unix_ms)


class VecStore:
    """
    A collection of records with vectors; made by `vecstore.open`.

    Parameters
    ----------
    parts : Parts
        The engine.
    clock : callable
        Returns Unix milliseconds.

    Examples
    --------
    >>> import vecstore
    >>> store = vecstore.open(metric="cosine")
    >>> store.upsert("cat", [1.0, 0.1], {"legs": 4})
    >>> store.query([1.0, 0.0], k=1)[0].metadata
    {'legs': 4}
    >>> store.close()
    """

    def __init__(self, parts: Parts, clock: Clock) -> None:
        self._parts = parts
        self._writer = writer = parts.writer
        self._clock = clock
        config = writer.table.config
        self._executor = Executor(writer.table.metric, config.hnsw.m)
        self._maintenance = Maintenance(writer, parts.saver, config.maintenance)
        self._maintenance.after_write()

    # ---- what it is

    @property
    def path(self) -> Path | None:
        """The directory; None in memory."""
        return self._writer.table.path

    @property
    def dim(self) -> int | None:
        """Components of a vector; None before the first insert."""
        return self._writer.table.dim

    @property
    def metric(self) -> str:
        """Canonical name of the metric."""
        return self._writer.table.metric

    @property
    def config(self) -> StoreConfig:
        """The handle's settings."""
        return self._writer.table.config

    @property
    def index(self) -> HNSWIndex | None:
        """The index as of now, for looking and searching; None before the first insert."""
        index, snapshot = self._writer.table.index, self._writer.view.snapshot
        return index._frozen(snapshot) if index is not None and snapshot is not None else None

    @property
    def schema(self) -> None:
        """None: this version has no schemas."""
        return

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._writer.closed

    def __len__(self) -> int:
        return self.count()

    def __contains__(self, record_id: object) -> bool:
        view = self._view()
        try:
            checked = checked_id("in", record_id)
        except InvalidInput:
            return False  # what cannot be an id is none
        return view.find(checked, self._clock()) >= 0

    def __repr__(self) -> str:
        if self.closed or (self.path is not None and self._writer.forked):
            return f"<VecStore {self.path or ':memory:'}: {'closed' if self.closed else 'forked'}>"
        return f"<VecStore {self.path or ':memory:'}: {len(self)} x {self.dim}, {self.metric}>"

    def _repr_html_(self) -> str:
        if self.closed:
            return f"<pre>{html.escape(repr(self))}</pre>"
        graph = self.index.graph if self.index is not None else None
        return store_html(self.stats(), self.path or ":memory:", graph)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_maintenance") and not self.closed and not self._writer.forked:
            try:
                message = f"{self!r} was never closed"
                warnings.warn(message, ResourceWarning, stacklevel=2, source=self)
            finally:
                self._maintenance.end_with(self._let_go)

    def _let_go(self) -> None:
        """Give maps, log and lock back, whatever state they are in."""
        journal, parts = self._writer.journal, self._parts
        if journal is not None:
            journal.thread.stop()
            journal.abandon()
        if parts.lock is not None:
            parts.lock.release()
        for part in (parts.writer, parts.saver, parts.follower):
            if part is not None and not sys.is_finalizing():
                part.let_go()

    def _view(self) -> ReadView:
        view = self._writer.view  # before the look at `closed`, which is set before it lets go
        self._writer.refuse_if_closed()
        return view

    def _change(self, plan: Callable[[Plan], None]) -> Plan:
        self._writer.refuse_if_closed()
        planned = self._writer.change(self._clock(), plan)
        self._maintenance.after_write()
        return planned

    # ---- writing

    def upsert(
        self,
        id: str,
        vector: Any,
        metadata: dict[str, Any] | None = None,
        *,
        text: Any = None,
        ttl_s: float | None = None,
    ) -> None:
        """
        Put one record, replacing the whole record of that id.

        Parameters
        ----------
        id : str
            1 byte to 1 KiB of UTF-8.
        vector : array-like
            Finite numbers of shape [dim].
        metadata : dict, optional
            JSON-like.
        text : None
            Not available in this version.
        ttl_s : float, optional
            Seconds until it expires.

        Raises
        ------
        InvalidInput
            If anything is malformed; nothing was changed.

        Examples
        --------
        >>> import vecstore
        >>> store = vecstore.open()
        >>> store.upsert("a", [1.0, 0.0], {"n": 1})
        >>> len(store)
        1
        >>> store.close()
        """
        record_id = checked_id("upsert(id)", id)
        call = f"upsert(id={record_id!r})"
        self._change(lambda plan: plan.upsert(call, record_id, vector, metadata, text, ttl_s))

    def upsert_many(
        self,
        ids: Sequence[str],
        vectors: Any,
        metadata: Sequence[dict[str, Any] | None] | None = None,
        *,
        texts: Any = None,
        progress: bool | Callable[[int, int], None] = False,
    ) -> UpsertReport:
        """
        Put many records, all or nothing; of an id that comes twice, the last wins.

        Parameters
        ----------
        ids : sequence of str
            n ids.
        vectors : array-like
            Finite numbers of shape [n, dim].
        metadata : sequence of dict, optional
            n of them; None for an empty one.
        texts : None
            Not available in this version.
        progress : bool or callable
            Called with (done, total) while the graph takes what became due, after the records are
            in; True draws a bar. It must not close the store.

        Returns
        -------
        UpsertReport
            How many ids were new and how many replaced.

        Raises
        ------
        InvalidInput
            Naming the first bad row; nothing was changed.

        Examples
        --------
        >>> import vecstore
        >>> store = vecstore.open()
        >>> store.upsert_many(["a", "b"], [[1.0, 0.0], [0.0, 1.0]])
        UpsertReport(inserted=2, updated=0)
        >>> store.close()
        """
        self._view()
        if texts is not None:
            raise NotAvailable("upsert_many(texts=…)", "keep the texts in the metadata for now")
        checked = _checked_ids("upsert_many", ids)
        packed = _packed_many("upsert_many(metadata)", metadata, len(checked))
        report = UpsertReport(0, 0)

        def _plan(planned: Plan) -> None:
            nonlocal report
            report = planned.upsert_many("upsert_many", checked, vectors, packed)

        self._writer.change(self._clock(), _plan)
        if progress is False:
            self._maintenance.after_write()
        else:
            self._maintenance.absorb_due(progress)
            self._maintenance.after_write()
        return report

    def batch(self, operations: Sequence[Mapping[str, Any]]) -> BatchReport:
        """
        Carry out operations in order, all or nothing.

        Parameters
        ----------
        operations : sequence of dict
            Each with `op` (``"upsert"``, ``"delete"``, ``"soft_delete"``, ``"restore"`` or
            ``"update_metadata"``), `id`, and what the call of that name takes.

        Returns
        -------
        BatchReport
            How many operations of each kind changed something.

        Raises
        ------
        InvalidInput
            Naming the index of the first malformed operation; nothing was changed.
        NotFound
            If a delete or update_metadata meets no record; nothing was changed.

        Examples
        --------
        >>> import vecstore
        >>> store = vecstore.open()
        >>> store.batch([{"op": "upsert", "id": "a", "vector": [1.0]}]).upserted
        1
        >>> store.close()
        """
        if isinstance(operations, str | bytes | Mapping):
            raise InvalidInput("batch(operations)", "a list of dicts", type(operations).__name__)
        try:
            listed = list(operations)
        except TypeError:
            got = type(operations).__name__
            raise InvalidInput("batch(operations)", "a list of dicts", got) from None

        def _plan(planned: Plan) -> None:
            for number, operation in enumerate(listed):
                planned.add(number, operation)

        return self._change(_plan).report()

    def update_metadata(self, id: str, metadata: dict[str, Any], *, merge: bool = False) -> None:
        """
        Replace the metadata of a record; its vector is not touched.

        Parameters
        ----------
        id : str
            A live record.
        metadata : dict
            JSON-like.
        merge : bool
            Keep the top-level keys that are not in `metadata`.

        Raises
        ------
        NotFound
            If there is no live record.
        InvalidInput
            If the metadata is malformed.

        Examples
        --------
        >>> import vecstore
        >>> store = vecstore.open()
        >>> store.upsert("a", [1.0], {"x": 1})
        >>> store.update_metadata("a", {"y": 2}, merge=True)
        >>> store.get("a").metadata
        {'x': 1, 'y': 2}
        >>> store.close()
        """
        record_id = checked_id("update_metadata(id)", id)

        def _plan(planned: Plan) -> None:
            planned.update_metadata("update_metadata", record_id, metadata, merge)

        self._change(_plan)

    def set_ttl(self, id: str, ttl_s: float | None) -> None:
        """
        Let a record expire, counted from now.

        Parameters
        ----------
        id : str
            A live record.
        ttl_s : float or None
            Seconds; None removes the expiry.

        Raises
        ------
        NotFound
            If there is no live record.

        Examples
        --------
        >>> import vecstore
        >>> store = vecstore.open(clock=lambda: 1000)
        >>> store.upsert("a", [1.0])
        >>> store.set_ttl("a", 5)
        >>> store.get("a").expires_at
        6000
        >>> store.close()
        """
        record_id = checked_id("set_ttl(id)", id)
        self._change(lambda plan: plan.set_ttl("set_ttl", record_id, ttl_s))

    def delete(self, id: str) -> None:
        """
        Delete a record for good.

        Parameters
        ----------
        id : str
            A live record.

        Raises
        ------
        NotFound
            If there is no live record.

        Examples
        --------
        >>> import vecstore
        >>> store = vecstore.open()
        >>> store.upsert("a", [1.0])
        >>> store.delete("a")
        >>> "a" in store
        False
        >>> store.close()
        """
        record_id = checked_id("delete(id)", id)
        self._change(lambda plan: plan.delete("delete", record_id))

    def delete_many(self, ids: Sequence[str] | None = None, *, filter: Any = None) -> int:
        """
        Delete records for good; ids without a live record are passed over.

        Parameters
        ----------
        ids : sequence of str
            Which.
        filter : None
            Not available in this version.

        Returns
        -------
        int
            How many were deleted.

        Raises
        ------
        InvalidInput
            If an id is malformed, or no ids came; nothing was deleted.

        Examples
        --------
        >>> import vecstore
        >>> store = vecstore.open()
        >>> store.upsert("a", [1.0])
        >>> store.delete_many(["a", "b"])
        1
        >>> store.close()
        """
        _refuse_filter("delete_many", filter)
        if ids is None:
            raise InvalidInput("delete_many(ids)", "a sequence of ids", "None")
        checked = _checked_ids("delete_many", ids)

        def _plan(planned: Plan) -> None:
            for record_id in dict.fromkeys(checked):
                if planned.state(record_id) == "live":
                    planned.delete("delete_many", record_id)

        return self._change(_plan).counts["deleted"]

    def soft_delete(self, id: str) -> bool:
        """
        Hide a record until `restore`, a new upsert, or `compact`.

        Parameters
        ----------
        id : str
            Which.

        Returns
        -------
        bool
            False where there was no live record.

        Examples
        --------
        >>> import vecstore
        >>> store = vecstore.open()
        >>> store.upsert("a", [1.0])
        >>> store.soft_delete("a"), store.soft_delete("a")
        (True, False)
        >>> store.close()
        """
        record_id = checked_id("soft_delete(id)", id)
        return (
            self._change(lambda plan: plan.soft_delete("soft_delete", record_id)).counts[
                "soft_deleted"
            ]
            > 0
        )

    def restore(self, id: str) -> bool:
        """
        Bring back a soft-deleted record, or one that expired and was not swept yet.

        Parameters
        ----------
        id : str
            Which.

        Returns
        -------
        bool
            False where there was nothing to bring back. An expiry that has passed is dropped.

        Examples
        --------
        >>> import vecstore
        >>> store = vecstore.open()
        >>> store.upsert("a", [1.0])
        >>> store.soft_delete("a"), store.restore("a"), store.restore("a")
        (True, True, False)
        >>> store.close()
        """
        record_id = checked_id("restore(id)", id)
        planned = self._change(lambda plan: plan.restore("restore", record_id))
        return planned.counts["restored"] > 0

    def expire(self) -> int:
        """
        Delete for good what outlived its TTL; it has been invisible since then anyway.

        Returns
        -------
        int
            How many records were deleted.

        Examples
        --------
        >>> import vecstore
        >>> store = vecstore.open()
        >>> store.expire()
        0
        >>> store.close()
        """
        self._view()
        return self._writer.sweep(self._clock())

    # ---- reading

    def query(
        self,
        vector: Any = None,
        *,
        text: Any = None,
        k: int = 10,
        filter: Any = None,
        ef: int | None = None,
        alpha: float | None = None,
        fusion: str = "rrf",
        explain: bool = False,
        trace: bool = False,
    ) -> QueryResult:
        """
        Find the nearest records.

        Parameters
        ----------
        vector : array-like
            Finite numbers of shape [dim].
        text : None
            Not available in this version.
        k : int
            Hits wanted; 0 gives none.
        filter : None
            Not available in this version.
        ef : int, optional
            Beam width; the config's `ef_search` by default.
        alpha : None
            Not available in this version.
        fusion : str
            Without meaning until there is text.
        explain : bool
            Not available in this version.
        trace : bool
            Keep every step of the search, as ``result.trace``; None for an empty store. It is
            searched again for that, which `stats` does not count.

        Returns
        -------
        QueryResult
            ``min(k, len(store))`` hits, always, ordered by (distance, slot).

        Raises
        ------
        InvalidInput
            If the vector is malformed, k is negative or ef below 1.
        NotAvailable
            For what this version lacks.

        Examples
        --------
        >>> import vecstore
        >>> store = vecstore.open()
        >>> store.upsert("a", [1.0, 0.0])
        >>> store.query([2.0, 0.0]).scores.tolist()
        [1.0]
        >>> store.close()
        """
        view = self._view()
        _refuse_filter("query", filter)
        later = {"text": text, "alpha": alpha, "explain": explain or None}
        for name, value in later.items():
            if value is not None:
                raise NotAvailable(f"query({name}=…)", "query by vector")
        if fusion != "rrf":
            raise NotAvailable("query(fusion=…)", "there is nothing to fuse without text")
        k = whole_number("query(k)", k, 0, MAX_SLOTS)
        row = as_row("query(vector)", vector)
        rows = self._executor.prepared("query(vector)", row, self.dim)
        beam = self._beam("query", ef)
        return self._executor.query(view, self._clock(), rows, k, beam, traced=bool(trace))

    def query_many(
        self,
        vectors: Any,
        *,
        k: int = 10,
        filter: Any = None,
        ef: int | None = None,
        threads: int = 1,
    ) -> QueryBatch:
        """
        Answer many queries as arrays.

        Parameters
        ----------
        vectors : array-like
            Finite numbers of shape [q, dim].
        k : int
            Hits wanted, a query.
        filter : None
            Not available in this version.
        ef : int, optional
            Beam width; the config's `ef_search` by default.
        threads : int
            Threads to spread the queries over; no influence on the answers.

        Returns
        -------
        QueryBatch
            Arrays of shape [q, k].

        Raises
        ------
        InvalidInput
            As `query`.

        Examples
        --------
        >>> import vecstore
        >>> store = vecstore.open()
        >>> store.upsert("a", [1.0, 0.0])
        >>> store.query_many([[1.0, 1.0]], k=1).ids.tolist()
        [['a']]
        >>> store.close()
        """
        view = self._view()
        _refuse_filter("query_many", filter)
        k = whole_number("query_many(k)", k, 0, MAX_SLOTS)
        threads = whole_number("query_many(threads)", threads, 1, 1024)
        rows = self._executor.prepared("query_many(vectors)", vectors, self.dim)
        refuse_flood("query_many(k)", len(rows), k)
        ef = self._beam("query_many", ef)
        return self._executor.query_many(view, self._clock(), rows, k, ef, threads)

    def iter_query(self, vector: Any, *, filter: Any = None, strict: bool = False) -> Iterator[Hit]:
        """
        Walk outwards from a vector until you have enough; every record comes once.

        Parameters
        ----------
        vector : array-like
            Finite numbers of shape [dim].
        filter : None
            Not available in this version.
        strict : bool
            Nearest first throughout, by one exact scan; else ordered within rounds.

        Returns
        -------
        iterator of Hit
            On the state of this moment, whatever is written meanwhile.

        Raises
        ------
        InvalidInput
            As `query`, at the call.

        Examples
        --------
        >>> import vecstore
        >>> store = vecstore.open(metric="l2")
        >>> _ = store.upsert_many(["a", "b"], [[0.0], [1.0]])
        >>> [hit.id for hit in store.iter_query([0.9])]
        ['b', 'a']
        >>> store.close()
        """
        view = self._view()
        _refuse_filter("iter_query", filter)
        row = as_row("iter_query(vector)", vector)
        rows = self._executor.prepared("iter_query(vector)", row, self.dim)
        ef = self.config.hnsw.ef_search
        return self._executor.iterate(view, self._clock(), rows, ef, strict)

    def _beam(self, call: str, ef: int | None) -> int:
        if ef is None:
            return self.config.hnsw.ef_search
        return whole_number(f"{call}(ef)", ef, 1, MAX_SLOTS)

    def get(self, id: str) -> Record:
        """
        Give a record back.

        Parameters
        ----------
        id : str
            Which.

        Returns
        -------
        Record
            A copy.

        Raises
        ------
        NotFound
            If there is no live record.

        Examples
        --------
        >>> import vecstore
        >>> store = vecstore.open()
        >>> store.upsert("a", [3.0, 4.0])
        >>> store.get("a").vector.tolist()
        [3.0, 4.0]
        >>> store.close()
        """
        view = self._view()
        slot = view.locate("get", checked_id("get(id)", id), self._clock())
        return view.record(slot)

    def get_many(self, ids: Sequence[str]) -> list[Record]:
        """
        Give records back, in the order asked for; missing ones are passed over.

        Parameters
        ----------
        ids : sequence of str
            Which.

        Returns
        -------
        list of Record
            Copies.

        Examples
        --------
        >>> import vecstore
        >>> store = vecstore.open()
        >>> store.upsert("a", [1.0])
        >>> [record.id for record in store.get_many(["b", "a"])]
        ['a']
        >>> store.close()
        """
        view, now = self._view(), self._clock()
        slots = [view.find(record_id, now) for record_id in _checked_ids("get_many", ids)]
        return [view.record(slot) for slot in slots if slot >= 0]

    def ids(self) -> list[str]:
        """
        List the ids, in slot order.

        Returns
        -------
        list of str
            Of visible records.

        Examples
        --------
        >>> import vecstore
        >>> store = vecstore.open()
        >>> store.ids()
        []
        >>> store.close()
        """
        view = self._view()
        return [view.names.id_of(slot) for slot in view.slots(self._clock()).tolist()]

    def records(self, filter: Any = None, *, deleted: bool = False) -> Iterator[Record]:
        """
        Walk through the records, in slot order.

        Parameters
        ----------
        filter : None
            Not available in this version.
        deleted : bool
            Give the soft-deleted and the expired ones too.

        Returns
        -------
        iterator of Record
            On the state of this moment.

        Examples
        --------
        >>> import vecstore
        >>> store = vecstore.open()
        >>> store.upsert("a", [1.0])
        >>> [record.id for record in store.records()]
        ['a']
        >>> store.close()
        """
        view = self._view()
        _refuse_filter("records", filter)
        slots = view.kept_slots() if deleted else view.slots(self._clock())
        return (view.record(slot) for slot in slots.tolist())

    def count(self, filter: Any = None) -> int:
        """
        Count the records.

        Parameters
        ----------
        filter : None
            Not available in this version.

        Returns
        -------
        int
            Visible ones.

        Examples
        --------
        >>> import vecstore
        >>> store = vecstore.open()
        >>> store.count()
        0
        >>> store.close()
        """
        view = self._view()
        _refuse_filter("count", filter)
        return view.visible(self._clock()).n_visible

    # ---- upkeep

    def optimize(self, *, progress: bool | Callable[[int, int], None] = False) -> None:
        """
        Absorb the whole tail into the graph, so that nothing is scanned.

        Parameters
        ----------
        progress : bool or callable
            Called with (done, total); True draws a bar.

        Notes
        -----
        The moment of the call moves the boundaries of later batches, and so the fingerprint.

        Examples
        --------
        >>> import vecstore
        >>> store = vecstore.open()
        >>> store.optimize()
        >>> store.close()
        """
        self._view()
        self._maintenance.optimize(progress)

    def compact(self) -> CompactReport:
        """
        Rewrite the store without dead slots; soft-deleted records are gone afterwards.

        Returns
        -------
        CompactReport
            Slots removed: an int that names snapshots and files that may still hold their vectors.

        Notes
        -----
        The result has the fingerprint of a fresh store of the survivors in slot order. Where no
        slot is dead, nothing changes, not even what `optimize` did. Queries go on meanwhile,
        writes wait.

        Examples
        --------
        >>> import vecstore
        >>> store = vecstore.open()
        >>> store.upsert("a", [1.0])
        >>> store.delete("a")
        >>> store.compact()
        1
        >>> store.close()
        """
        self._view()
        removed = self._maintenance.compact()
        saver = self._parts.saver
        leftovers = saver.leftovers if saver is not None else ()
        return CompactReport(removed, snapshots_with_slots(self._parts), leftovers)

    def checkpoint(self) -> None:
        """
        Write the next generation, so that the log is short; in memory this does nothing.

        It happens by itself when the log has grown long. Writes and queries go on meanwhile.

        Examples
        --------
        >>> import vecstore
        >>> store = vecstore.open()
        >>> store.checkpoint()
        >>> store.close()
        """
        self._view()
        self._writer.refuse_writes()
        if self._parts.saver is not None:
            self._parts.saver.checkpoint()

    def create_snapshot(self, name: str) -> SnapshotInfo:
        """
        Keep the state of now under a name; it takes next to no time or space at first.

        Parameters
        ----------
        name : str
            1 to 128 ASCII letters, digits, dots, ``-`` and ``_``, not beginning with a dot.

        Returns
        -------
        SnapshotInfo
            What was made. Its files are links to those of the store, or copies where the system
            refuses links.

        Raises
        ------
        InvalidInput
            For another name, or a store in memory.
        AlreadyExists
            If there is a snapshot of this name.

        Examples
        --------
        >>> import tempfile, vecstore
        >>> with tempfile.TemporaryDirectory() as path, vecstore.open(path) as store:
        ...     store.upsert("a", [1.0, 0.0])
        ...     made = store.create_snapshot("monday")
        ...     store.delete("a")
        ...     store.restore_snapshot("monday")
        ...     made.records, store.ids()
        (1, ['a'])
        """
        self._view()
        return create_snapshot(self._parts, name, self._clock())

    def list_snapshots(self) -> list[SnapshotInfo]:
        """
        Describe the snapshots.

        Returns
        -------
        list of SnapshotInfo
            The oldest first; before them those that cannot be read, which say why.

        Examples
        --------
        >>> import vecstore
        >>> with vecstore.open() as store:
        ...     store.list_snapshots()
        []
        """
        self._view()
        return list_snapshots(self._parts)

    def restore_snapshot(self, name: str) -> None:
        """
        Make the store what it was when a snapshot was made, in one durable step.

        Parameters
        ----------
        name : str
            Of a snapshot, which stays.

        Raises
        ------
        SnapshotNotFound
            If there is none of this name.
        CorruptData
            If it is damaged; the store stays as it is.

        Notes
        -----
        What came after the snapshot is gone. The handle's settings stay. Queries go on meanwhile,
        writes wait.

        Examples
        --------
        >>> import tempfile, vecstore
        >>> with tempfile.TemporaryDirectory() as path, vecstore.open(path) as store:
        ...     made = store.create_snapshot("empty")
        ...     store.upsert("a", [1.0, 0.0])
        ...     store.restore_snapshot("empty")
        ...     len(store)
        0
        """
        self._view()
        restore_snapshot(self._parts, self._maintenance, name)
        self._maintenance.after_write()

    def delete_snapshot(self, name: str) -> None:
        """
        Remove a snapshot; the store does not change.

        Parameters
        ----------
        name : str
            Of a snapshot.

        Raises
        ------
        SnapshotNotFound
            If there is none of this name.

        Examples
        --------
        >>> import tempfile, vecstore
        >>> with tempfile.TemporaryDirectory() as path, vecstore.open(path) as store:
        ...     made = store.create_snapshot("monday")
        ...     store.delete_snapshot("monday")
        ...     store.list_snapshots()
        []
        """
        self._view()
        delete_snapshot(self._parts, name)

    def verify_snapshot(self, name: str) -> VerifyReport:
        """
        Compare every byte of a snapshot with its checksum.

        Parameters
        ----------
        name : str
            Of a snapshot.

        Returns
        -------
        VerifyReport
            What is damaged is reported, not raised.

        Raises
        ------
        SnapshotNotFound
            If there is none of this name.

        Examples
        --------
        >>> import tempfile, vecstore
        >>> with tempfile.TemporaryDirectory() as path, vecstore.open(path) as store:
        ...     made = store.create_snapshot("monday")
        ...     store.verify_snapshot("monday").ok
        True
        """
        self._view()
        return verify_snapshot(self._parts, name)

    def fingerprint(self) -> str:
        """
        Hash the index, after absorbing what is due.

        Returns
        -------
        str
            32 hex digits: the same for the same operations and config, on any CPU, thread count
            and chunking. Ids and metadata are not in it.

        Examples
        --------
        >>> import vecstore
        >>> store = vecstore.open(dim=2)
        >>> len(store.fingerprint())
        32
        >>> store.close()
        """
        self._view()
        self._maintenance.absorb_due()
        return fingerprint(self._parts)

    def stats(self) -> StoreStats:
        """
        Count records, slots and bytes.

        Returns
        -------
        StoreStats
            As of now.

        Examples
        --------
        >>> import vecstore
        >>> store = vecstore.open()
        >>> store.stats().slots
        0
        >>> store.close()
        """
        return stats(self._parts, self._view())

    def verify(self) -> VerifyReport:
        """
        Look for damage: every checksum on disk, every cross-reference, count and graph invariant.

        Returns
        -------
        VerifyReport
            What is damaged is reported, not raised. Reads and writes go on, checkpoints wait.

        Examples
        --------
        >>> import vecstore
        >>> with vecstore.open() as store:
        ...     store.upsert("a", [1.0, 0.0])
        ...     store.verify().ok
        True
        """
        self._view()
        return verify(self._parts)

    def refresh(self) -> None:
        """
        Move a handle opened with ``mode="r"`` on to what is durable by now.

        Raises
        ------
        CorruptData
            If the store is damaged; the handle stays where it was.

        Notes
        -----
        A handle that writes sees everything at once: there, this does nothing.

        Examples
        --------
        >>> import tempfile, vecstore
        >>> with tempfile.TemporaryDirectory() as path:
        ...     writer = vecstore.open(path)
        ...     reader = vecstore.open(path, mode="r")
        ...     writer.upsert("a", [1.0, 0.0])
        ...     writer.close()
        ...     before = len(reader)
        ...     reader.refresh()
        ...     after = len(reader)
        ...     reader.close()
        >>> before, after
        (0, 1)
        """
        self._view()
        if self._parts.follower is not None:
            with self._maintenance.alone("refresh()"):
                self._parts.follower.refresh(self._writer)
            self._maintenance.after_write()

    def close(self) -> None:
        """
        Make everything durable and let go of the files; a second call does nothing.

        A long log is written down as a generation first, so that the next opening is quick.

        Raises
        ------
        OSError
            If the log could not be ended; the store stays open, so make room and try again.
        StorePoisoned
            If an fsync failed now; the store is closed, and recovery will tell what is durable.
        CorruptData
            If a damaged file kept the generation from being written; the store is closed, and
            what was written is safe in the log.

        Examples
        --------
        >>> import vecstore
        >>> store = vecstore.open()
        >>> store.close()
        >>> store.closed
        True
        """
        if self._writer.forked:
            return  # the handle belongs to another process
        writer, saver, journal = self._writer, self._parts.saver, self._writer.journal
        try:
            self._maintenance.stop()
            with self._maintenance.alone("close()"):
                if not writer.closed and saver is not None:
                    if journal is not None:
                        journal.thread.stop()
                    saver.close()
                    if saver.settled and self._parts.lock is not None:
                        self._parts.lock.settle()
                writer.closed = True
        except (CorruptData, StorePoisoned):
            writer.closed = True  # trying again would meet the same
            raise
        except BaseException:
            self._maintenance.resume()  # not closed: the caller may make room and try again
            if journal is not None:
                journal.thread.resume()
            raise
        finally:
            if writer.closed:
                self._let_go()


def _refuse_filter(call: str, filter: object) -> None:
    if filter is not None:
        raise NotAvailable(f"{call}(filter=…)", "filter the results yourself for now")


def _checked_ids(call: str, ids: Any) -> list[str]:
    if isinstance(ids, str | bytes):
        raise InvalidInput(f"{call}(ids)", "a sequence of ids", f"one {type(ids).__name__}")
    try:
        listed = list(ids)
    except TypeError:
        raise InvalidInput(f"{call}(ids)", "a sequence of ids", type(ids).__name__) from None
    return [checked_id(f"{call}(ids[{i}])", record_id) for i, record_id in enumerate(listed)]


def _packed_many(call: str, metadata: Any, n: int) -> list[bytes]:
    if metadata is None:
        return [packed_metadata(call, None)] * n
    if isinstance(metadata, str | bytes | Mapping) or not hasattr(metadata, "__iter__"):
        raise InvalidInput(call, f"a list of {n} dicts", type(metadata).__name__)
    listed = list(metadata)
    if len(listed) != n:
        raise InvalidInput(call, f"a list of {n} dicts", f"{len(listed)} of them")
    return [packed_metadata(f"{call}[{i}]", one) for i, one in enumerate(listed)]
