"""
The writer's side of a store: rows, ids, facts and the live set, changed one primitive at a time.

Every method is a primitive that cannot be refused; what may be asked for is checked before, in
`changes`. Nothing a published view refers to is changed below its slots: the live set is copied
when a view is made, chunks are copied before their first change, arrays grow into new ones. A
call that fails half way is undone by `rollback`.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecstore.config import StoreConfig
from vecstore.engine.chunks import CHUNK, UNSET, Chunk, empty_chunk, thawed, times
from vecstore.engine.names import Names
from vecstore.engine.records import Appended
from vecstore.engine.view import NEVER, ReadView
from vecstore.index.hnsw import HNSWIndex
from vecstore.kernels import bitset
from vecstore.kernels.graph import HnswGraph

_ONES = 2**64 - 1


class Mark(NamedTuple):
    """
    The state before a call, from which `rollback` brings a table back.

    Attributes
    ----------
    view : ReadView
        Records and graph.
    index_then : HNSWIndex or None
        None before the first insert.
    seqno : int
        Write calls so far.
    norms : float64[capacity]
        Lengths of the vectors, under cosine.
    """

    view: ReadView
    index_then: HNSWIndex | None
    seqno: int
    norms: NDArray[np.float64]


class Table:
    """
    All slots of a store.

    Parameters
    ----------
    path : Path or None
        The store, for errors.
    metric : str
        Canonical name.
    dim : int or None
        None until the first insert.
    config : StoreConfig
        The handle's.
    """

    def __init__(
        self, path: Path | None, metric: str, dim: int | None, config: StoreConfig
    ) -> None:
        self.path = path
        self.metric = metric
        self.config = config
        self.index: HNSWIndex | None = None
        self.seqno = 0
        self.n_live = 0
        self.n_soft = 0
        self.next_expiry = NEVER
        self.names = Names()
        self.chunks: list[Chunk] = []
        self.live: NDArray[np.uint64] = np.zeros(0, np.uint64)
        self.norms: NDArray[np.float64] = np.zeros(0)
        self.mapped_graph: HnswGraph | None = None  # as opened; mapped, not in memory
        self._fresh: set[int] = set()  # chunks no view holds, free to change
        if dim is not None:
            self.fix_dim(dim)

    @property
    def n(self) -> int:
        """Slots in use."""
        return len(self.index) if self.index is not None else 0

    @property
    def dim(self) -> int | None:
        """Components of a vector; None before the first insert."""
        return self.index.dim if self.index is not None else None

    def fix_dim(self, dim: int) -> None:
        """
        Decide the dimension, once.

        Parameters
        ----------
        dim : int
            Components of a vector.
        """
        hnsw = self.config.hnsw
        self.index = HNSWIndex(
            dim,
            self.metric,
            m=hnsw.m,
            ef_construction=hnsw.ef_construction,
            seed=hnsw.seed,
            threads=self.config.threads,
            flat_threshold=self.config.flat_threshold,
            as_printed=hnsw.as_printed,
        )
        self.index._owned_by(str(self.path or ":memory:"))

    def append(self, records: Appended) -> None:
        """
        Append records; the slot an id had before dies.

        Parameters
        ----------
        records : Appended
            What to append.
        """
        if self.index is None:
            self.fix_dim(records.matrix.shape[1])
        assert self.index is not None
        first = self.n
        self._adopt(first, records, self.index._append(records.matrix))

    def revive(self, slot: int, now: int) -> None:
        """
        Append the record of a slot again, bit for bit.

        Parameters
        ----------
        slot : int
            A slot that is hidden or expired.
        now : int
            Unix milliseconds; an expiry that has passed is dropped.
        """
        assert self.index is not None
        chunk, at = self.chunks[slot // CHUNK], slot % CHUNK
        expires_at = int(chunk.expires_at[at])
        row = self.index.rows[slot : slot + 1]
        records = Appended(
            ids=[self.names.id_of(slot)],
            matrix=row[:, : self.index.dim],
            metadata=[chunk.metadata[at]],
            created_at=chunk.created_at[at : at + 1].copy(),
            expires_at=np.array([expires_at if expires_at > now else UNSET], np.int64),
        )
        self.copy_in(records, row, self.norms[slot : slot + 1].copy() if len(self.norms) else None)

    def copy_in(
        self, records: Appended, rows: NDArray[np.float32], norms: NDArray[np.float64] | None
    ) -> None:
        """
        Append records whose rows are prepared already.

        Parameters
        ----------
        records : Appended
            What to append; its `matrix` is not looked at.
        rows : float32[n, stride]
            Copied bit for bit.
        norms : float64[n] or None
            Lengths as they came; None but under cosine.
        """
        assert self.index is not None
        first = self.n
        self.index._append_copy(rows)
        self._adopt(first, records, np.zeros(0) if norms is None else norms)

    def _adopt(self, first: int, records: Appended, norms: NDArray[np.float64]) -> None:
        """Enter records whose rows the index has taken from slot `first` on."""
        if len(norms):
            self.norms = _extended(self.norms, first, norms)
        self._add_facts(first, records)
        last = first + len(records.ids)
        words = -(-last // 64)
        if words > len(self.live):
            more = np.zeros(words - len(self.live), np.uint64)
            self.live = _extended(self.live, len(self.live), more)
        _set_bits(self.live, first, last)
        self.n_live += last - first
        append = self.names.append
        for slot, record_id in enumerate(records.ids, first):
            before = append(slot, record_id)
            if before >= 0:
                self.kill(before)

    def _add_facts(self, first: int, records: Appended) -> None:
        at = 0
        while at < len(records.ids):
            number, place = divmod(first + at, CHUNK)
            if number == len(self.chunks):
                self.chunks.append(empty_chunk())
            chunk = self.chunks[number]
            if not isinstance(chunk.metadata, list):
                self.chunks[number] = chunk = thawed(chunk)
            count = min(CHUNK - place, len(records.ids) - at)
            metadata: Any = chunk.metadata
            metadata[place:] = records.metadata[at : at + count]
            chunk.created_at[place : place + count] = records.created_at[at : at + count]
            chunk.expires_at[place : place + count] = records.expires_at[at : at + count]
            chunk.deleted_at[place : place + count] = UNSET
            at += count
        for expires_at in set(records.expires_at.tolist()) - {UNSET}:
            self.next_expiry = min(self.next_expiry, expires_at)

    def kill(self, slot: int, hidden_at: int = UNSET) -> None:
        """
        Take a slot out of the live set, or out of the soft-deleted ones.

        Parameters
        ----------
        slot : int
            Any slot.
        hidden_at : int
            Unix milliseconds of a soft deletion; `UNSET` for a hard one.
        """
        word, bit = slot >> 6, 1 << (slot & 63)
        if int(self.live[word]) & bit:
            self.live[word] &= np.uint64(~bit & (2**64 - 1))
            self.n_live -= 1
        chunk = self.chunks[slot // CHUNK]
        was_hidden = int(chunk.deleted_at[slot % CHUNK]) != UNSET
        if was_hidden or hidden_at != UNSET:
            self._writable(slot).deleted_at[slot % CHUNK] = hidden_at
            self.n_soft += int(hidden_at != UNSET) - int(was_hidden)

    def set_metadata(self, slot: int, packed: bytes) -> None:
        """
        Replace the metadata of a slot.

        Parameters
        ----------
        slot : int
            A live slot.
        packed : bytes
            The new metadata.
        """
        metadata: Any = self._writable(slot).metadata
        metadata[slot % CHUNK] = packed

    def set_expiry(self, slot: int, expires_at: int) -> None:
        """
        Set or remove the expiry of a slot.

        Parameters
        ----------
        slot : int
            A live slot.
        expires_at : int
            Unix milliseconds; `UNSET` for none.
        """
        self._writable(slot).expires_at[slot % CHUNK] = expires_at
        if expires_at != UNSET:
            self.next_expiry = min(self.next_expiry, expires_at)

    def _writable(self, slot: int) -> Chunk:
        number = slot // CHUNK
        if number not in self._fresh:
            self.chunks[number] = thawed(self.chunks[number])
            self._fresh.add(number)
        return self.chunks[number]

    def refresh_expiry(self) -> None:
        """Find the earliest expiry anew, after slots with one died."""
        expires = times(self.chunks, "expires_at", self.n)
        alive = bitset.unpack_mask(self.live, self.n)
        self.next_expiry = int(expires[alive & (expires != UNSET)].min(initial=NEVER))

    def mark(self, view: ReadView) -> Mark:
        """
        Remember the state before a call.

        Parameters
        ----------
        view : ReadView
            Of this very state.

        Returns
        -------
        Mark
            For `rollback`.
        """
        self._fresh = set()
        return Mark(view, self.index, self.seqno, self.norms)

    def rollback(self, mark: Mark) -> None:
        """
        Undo a call that failed half way.

        Parameters
        ----------
        mark : Mark
            From `mark`, before the call.
        """
        view = mark.view
        self.index, self.seqno, self.norms = mark.index_then, mark.seqno, mark.norms
        self.n_live, self.n_soft, self.next_expiry = view.n_live, view.n_soft, view.next_expiry
        self.chunks, self.live = list(view.chunks), view.live.copy()
        if self.index is not None:
            self.index._cut(view.n)
        self.names.cut(view.n)

    def view(self) -> ReadView:
        """
        Make the state visible as a view.

        Returns
        -------
        ReadView
            Not changed by later calls.
        """
        return ReadView(
            path=self.path,
            seqno=self.seqno,
            snapshot=self.index.snapshot() if self.index is not None else None,
            dim=self.dim or 0,
            norms=self.norms,
            live=self.live.copy(),
            n_live=self.n_live,
            n_soft=self.n_soft,
            next_expiry=self.next_expiry,
            chunks=tuple(self.chunks),
            names=self.names,
            known=[],
        )

    def take_graph(self, graph: HnswGraph) -> None:
        """
        Replace the graph by a grown one.

        Parameters
        ----------
        graph : HnswGraph
            With arrays that nobody writes any more.
        """
        assert self.index is not None
        self.index.graph = graph


def _set_bits(words: NDArray[np.uint64], first: int, last: int) -> None:
    """Set the bits [first, last), at least one."""
    begin, end = first >> 6, (last - 1) >> 6
    words[begin + 1 : end] = _ONES
    head, tail = _ONES << (first & 63) & _ONES, _ONES >> (-last & 63)
    words[begin] |= np.uint64(head & tail if begin == end else head)
    if begin < end:
        words[end] |= np.uint64(tail)


def _extended(array: NDArray[Any], used: int, more: NDArray[Any]) -> NDArray[Any]:
    """Append to the first `used` places, in place where there is room, else in a larger copy."""
    needed = used + len(more)
    if needed > len(array):
        larger = np.zeros(max(needed, used + used // 2), array.dtype)
        larger[:used] = array[:used]
        array = larger
    array[used:needed] = more
    return array
