"""
What a reader sees: one immutable value, taken with one attribute read, valid for as long as held.

A view is published after every write. Nothing it refers to changes below its `n` slots, so readers
never lock and never wait. Expiry changes visibility only: `visible` computes a mask for a moment.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecstore.engine.chunks import CHUNK, UNSET, Chunk, times, unpacked
from vecstore.engine.names import Names
from vecstore.errors import NotFound
from vecstore.index.search import Snapshot
from vecstore.kernels import bitset
from vecstore.model import Record

NEVER = 2**63 - 1
_LARGEST = float(np.finfo(np.float32).max)


class Visible(NamedTuple):
    """
    The slots that may be returned, for a span of time.

    Attributes
    ----------
    mask : uint64[words]
        Live and not expired; empty where that is all slots.
    n_visible : int
        How many.
    since, until : int
        The mask holds for moments in [since, until), Unix milliseconds.
    """

    mask: NDArray[np.uint64]
    n_visible: int
    since: int
    until: int


class ReadView(NamedTuple):
    """
    One published state of a store; a tuple, since one is made in every write.

    Attributes
    ----------
    path : Path or None
        The store, for errors.
    seqno : int
        Write calls it contains.
    snapshot : Snapshot or None
        Rows, graph and n; None before the first insert.
    dim : int
        Components of a vector; 0 before the first insert.
    norms : float64[capacity]
        Lengths of the vectors as they came, under cosine.
    live : uint64[words]
        Slots that are current.
    n_live, n_soft : int
        How many of them, and how many are soft-deleted.
    next_expiry : int
        Earliest expiry of a live slot; `NEVER` for none.
    chunks : tuple of Chunk
        Metadata and times.
    names : Names
        Ids.
    known : list of Visible
        What `visible` found last; at most one.
    """

    path: Path | None
    seqno: int
    snapshot: Snapshot | None
    dim: int
    norms: NDArray[np.float64]
    live: NDArray[np.uint64]
    n_live: int
    n_soft: int
    next_expiry: int
    chunks: tuple[Chunk, ...]
    names: Names
    known: list[Visible]

    @property
    def n(self) -> int:
        """Slots of the view."""
        return self.snapshot.n if self.snapshot is not None else 0

    def visible(self, now: int) -> Visible:
        """
        Find the slots that may be returned at a moment.

        Parameters
        ----------
        now : int
            Unix milliseconds.

        Returns
        -------
        Visible
            Remembered until the next expiry, so that most queries pay nothing.
        """
        if now < self.next_expiry:
            mask = self.live if self.n_live < self.n else bitset.EVERY
            return Visible(mask, self.n_live, 0, self.next_expiry)
        for known in self.known[:]:  # a copy: another thread may replace it
            if known.since <= now < known.until:
                return known
        expires = times(self.chunks, "expires_at", self.n)
        set_at = expires != UNSET
        alive = bitset.unpack_mask(self.live, self.n) & ~(set_at & (expires <= now))
        later, past = expires[set_at & (expires > now)], expires[set_at & (expires <= now)]
        found = Visible(
            mask=bitset.pack(alive),
            n_visible=int(alive.sum()),
            since=int(past.max(initial=0)),
            until=int(later.min(initial=NEVER)),
        )
        self.known[:] = [found]
        return found

    def is_live(self, slot: int) -> bool:
        """
        Say whether a slot is current, expired or not.

        Parameters
        ----------
        slot : int
            A slot of the view.

        Returns
        -------
        bool
            False once it was replaced, deleted or soft-deleted.
        """
        return bool((int(self.live[slot >> 6]) >> (slot & 63)) & 1)

    def is_expired(self, slot: int, now: int) -> bool:
        """
        Say whether a slot outlived its TTL.

        Parameters
        ----------
        slot : int
            A slot of the view.
        now : int
            Unix milliseconds.

        Returns
        -------
        bool
            False without TTL.
        """
        expires_at = int(self.chunks[slot // CHUNK].expires_at[slot % CHUNK])
        return expires_at != UNSET and expires_at <= now

    def find(self, record_id: str, now: int) -> int:
        """
        Find the visible slot of an id.

        Parameters
        ----------
        record_id : str
            The id.
        now : int
            Unix milliseconds.

        Returns
        -------
        int
            The slot; -1 where the id is missing, hidden or expired.
        """
        slot = self.names.find(record_id, self.n)
        if slot < 0 or not self.is_live(slot) or self.is_expired(slot, now):
            return -1
        return slot

    def locate(self, call: str, record_id: str, now: int) -> int:
        """
        Find the visible slot of an id that must be there.

        Parameters
        ----------
        call : str
            The call, for the error.
        record_id : str
            The id.
        now : int
            Unix milliseconds.

        Returns
        -------
        int
            The slot.

        Raises
        ------
        NotFound
            If the id is missing, hidden or expired.
        """
        slot = self.find(record_id, now)
        if slot < 0:
            raise NotFound(record_id, call)
        return slot

    def vector(self, slot: int) -> NDArray[np.float32]:
        """
        Give a vector back as it came.

        Parameters
        ----------
        slot : int
            A slot of the view.

        Returns
        -------
        float32[dim]
            A copy; under cosine scaled by the length it came with.
        """
        assert self.snapshot is not None
        row = self.snapshot.space.rows[slot, : self.dim]
        length = self.norms[slot] if len(self.norms) else 1.0
        # in float64; rounding must not push the largest float32 over the edge
        vector: NDArray[np.float32]
        with np.errstate(invalid="ignore"):  # a damaged length may be nan
            vector = np.clip(row * length, -_LARGEST, _LARGEST).astype(np.float32)
        return vector

    def metadata(self, slot: int) -> dict[str, object]:
        """
        Unpack the metadata of a slot.

        Parameters
        ----------
        slot : int
            A slot of the view.

        Returns
        -------
        dict
            The caller's own.
        """
        return unpacked(self.path, self.chunks[slot // CHUNK].metadata[slot % CHUNK])

    def record(self, slot: int) -> Record:
        """
        Put a record together.

        Parameters
        ----------
        slot : int
            A slot of the view.

        Returns
        -------
        Record
            The caller's own.
        """
        chunk, at = self.chunks[slot // CHUNK], slot % CHUNK
        created, expires, deleted = (
            None if moments[at] == UNSET else int(moments[at]) for moments in chunk[1:]
        )
        return Record(
            id=self.names.id_of(slot),
            vector=self.vector(slot),
            metadata=self.metadata(slot),
            created_at=created,
            expires_at=expires,
            deleted_at=deleted,
        )

    def slots(self, now: int) -> NDArray[np.int64]:
        """
        List the visible slots.

        Parameters
        ----------
        now : int
            Unix milliseconds.

        Returns
        -------
        int64[count]
            Ascending.
        """
        mask = self.visible(now).mask
        if len(mask) == 0:
            return np.arange(self.n)
        return np.flatnonzero(bitset.unpack_mask(mask, self.n))

    def kept_slots(self) -> NDArray[np.int64]:
        """
        List the slots that are visible, expired or soft-deleted.

        Returns
        -------
        int64[count]
            Ascending.
        """
        hidden = times(self.chunks, "deleted_at", self.n) != UNSET
        return np.flatnonzero(bitset.unpack_mask(self.live, self.n) | hidden)

    def outlived_slots(self, now: int) -> NDArray[np.int64]:
        """
        List the slots, live or soft-deleted, whose TTL has passed.

        Parameters
        ----------
        now : int
            Unix milliseconds.

        Returns
        -------
        int64[count]
            Ascending.
        """
        expires = times(self.chunks, "expires_at", self.n)
        slots = self.kept_slots()
        outlived: NDArray[np.int64] = slots[(expires[slots] != UNSET) & (expires[slots] <= now)]
        return outlived
