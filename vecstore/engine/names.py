"""
Ids and slots: which slot holds an id's newest record, and which id a slot belongs to.

Append only, so views share one object: `find` takes the number of slots a view has and walks back
along `previous` to what that view may see. What a checkpoint wrote is looked up in mapped arrays,
by binary search over sorted 64-bit hashes; what came since, in a dict.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecstore.errors import CorruptData


class MappedBlobs:
    """
    Byte strings one after another, and where each begins.

    Parameters
    ----------
    path : Path
        Where they are mapped from, for errors.
    offsets : int64[n + 1]
        Begin of each, and the end of the last; checked on use.
    blob : uint8[bytes]
        The bytes.
    """

    def __init__(self, path: Path, offsets: NDArray[np.int64], blob: NDArray[np.uint8]) -> None:
        self._path = path
        self._offsets = offsets
        self._blob = blob

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __getitem__(self, i: int) -> bytes:
        begin, end = int(self._offsets[i]), int(self._offsets[i + 1])
        if not 0 <= begin <= end <= len(self._blob):
            raise CorruptData(self._path, 0, f"entry {i} lies outside the file")
        return self._blob[begin:end].tobytes()

    def part(self, first: int, last: int) -> "MappedBlobs":
        """
        Look at a range of them.

        Parameters
        ----------
        first, last : int
            The range [first, last).

        Returns
        -------
        MappedBlobs
            Numbered from 0.
        """
        return MappedBlobs(self._path, self._offsets[first : last + 1], self._blob)

    def span(self) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """
        Give all of them as they lie in the file.

        Returns
        -------
        int64[n + 1], uint8[bytes]
            Offsets, from 0 on, and bytes.

        Raises
        ------
        CorruptData
            If the offsets do not ascend within the file.
        """
        offsets = self._offsets
        ends = (int(offsets[0]), int(offsets[-1]))
        if not 0 <= ends[0] <= ends[1] <= len(self._blob) or (np.diff(offsets) < 0).any():
            raise CorruptData(self._path, 0, "entries lie outside the file")
        return offsets - offsets[0], self._blob[ends[0] : ends[1]]

    def decoded(self, i: int) -> str:
        """
        Read one as text.

        Parameters
        ----------
        i : int
            Which.

        Returns
        -------
        str
            The text.

        Raises
        ------
        CorruptData
            If it is not UTF-8.
        """
        try:
            return self[i].decode()
        except UnicodeDecodeError:
            raise CorruptData(self._path, 0, f"entry {i} is not UTF-8") from None


Blobs = Sequence[bytes] | MappedBlobs


def packed(parts: Sequence[Blobs]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """
    Join byte strings for a file.

    Parameters
    ----------
    parts : sequence of sequences of bytes
        In order; what is mapped is copied as a whole.

    Returns
    -------
    int64[n + 1], uint8[bytes]
        Offsets and bytes, as `MappedBlobs` takes them.
    """
    offsets, blobs, end = [np.zeros(1, np.int64)], [np.zeros(0, np.uint8)], 0
    for part in parts:
        if isinstance(part, MappedBlobs):
            places, blob = part.span()
        else:
            places = np.zeros(len(part) + 1, np.int64)
            np.cumsum([len(one) for one in part], out=places[1:])
            blob = np.frombuffer(b"".join(part), np.uint8)
        offsets.append(places[1:] + end)
        blobs.append(blob)
        end += len(blob)
    return np.concatenate(offsets), np.concatenate(blobs)


def hash_id(record_id: str) -> int:
    """
    Hash an id: BLAKE2b, 64 bits.

    Parameters
    ----------
    record_id : str
        The id.

    Returns
    -------
    int
        In [0, 2⁶⁴).
    """
    return hash_bytes(record_id.encode())


def hash_bytes(raw: bytes) -> int:
    """
    Hash an id that is encoded already.

    Parameters
    ----------
    raw : bytes
        UTF-8.

    Returns
    -------
    int
        In [0, 2⁶⁴).
    """
    return int.from_bytes(hashlib.blake2b(raw, digest_size=8).digest(), "little")


class Names:
    """
    The ids of a table.

    Parameters
    ----------
    path : Path, optional
        The ids file of a generation, for errors.
    arrays : dict, optional
        Its sections `offsets`, `blob`, `hashes` (ascending) and `slots`.
    """

    def __init__(self, path: Path = Path(), arrays: dict[str, NDArray[Any]] | None = None) -> None:
        arrays = arrays or {
            "offsets": np.zeros(1, np.int64),
            "blob": np.zeros(0, np.uint8),
            "hashes": np.zeros(0, np.uint64),
            "slots": np.zeros(0, np.int32),
        }
        self._stored = MappedBlobs(path, arrays["offsets"], arrays["blob"])
        self._hashes = arrays["hashes"]
        self._slots = arrays["slots"]
        self._n_stored = len(self._stored)
        self._recent: dict[str, int] = {}
        self._ids: list[str] = []
        self._previous: list[int] = []

    def id_of(self, slot: int) -> str:
        """
        Give the id of a slot.

        Parameters
        ----------
        slot : int
            Any slot in use.

        Returns
        -------
        str
            The id its record had.
        """
        if slot < self._n_stored:
            return self._stored.decoded(slot)
        return self._ids[slot - self._n_stored]

    def ids_of(self, slots: list[int]) -> NDArray[np.object_]:
        """
        Give the ids of many slots.

        Parameters
        ----------
        slots : list of int
            Any slots in use, in any order and number.

        Returns
        -------
        object[n]
            The ids, each a str.
        """
        # one loop without calls: it runs under the interpreter's lock while threads may wait
        n_stored, fresh, decoded = self._n_stored, self._ids, self._stored.decoded
        ids = np.empty(len(slots), np.object_)
        ids[:] = [fresh[s - n_stored] if s >= n_stored else decoded(s) for s in slots]
        return ids

    def find(self, record_id: str, n: int) -> int:
        """
        Find the newest slot of an id among the first `n`.

        Parameters
        ----------
        record_id : str
            The id.
        n : int
            Slots of the view.

        Returns
        -------
        int
            The slot, live or not; -1 if there is none.
        """
        while True:
            slot = self._recent.get(record_id)
            if slot is None:
                return self._find_stored(record_id)
            try:
                while slot >= self._n_stored:
                    before = self._previous[slot - self._n_stored]
                    if self._ids[slot - self._n_stored] != record_id:
                        break  # the slot was taken back and given to another id: look again
                    if slot < n:
                        return slot
                    slot = before
                else:
                    return slot
            except IndexError:
                pass  # the writer has just undone the call that made this slot: look again

    def _find_stored(self, record_id: str) -> int:
        if not len(self._hashes):
            return -1
        wanted = np.uint64(hash_id(record_id))
        at = int(np.searchsorted(self._hashes, wanted))
        while at < len(self._hashes) and self._hashes[at] == wanted:
            slot = int(self._slots[at])
            if 0 <= slot < self._n_stored and self._stored.decoded(slot) == record_id:
                return slot
            at += 1
        return -1

    def append(self, slot: int, record_id: str) -> int:
        """
        Give the next slot to an id.

        Parameters
        ----------
        slot : int
            The next slot.
        record_id : str
            The id.

        Returns
        -------
        int
            The slot that was its newest before; -1 for a new id.
        """
        before = self.find(record_id, slot)
        self._ids.append(record_id)
        self._previous.append(before)
        self._recent[record_id] = slot
        return before

    def cut(self, n: int) -> None:
        """
        Forget the slots from `n` on, as if they had never been given away.

        Parameters
        ----------
        n : int
            Slots to keep.
        """
        while self._n_stored + len(self._previous) > n:
            # readers may be looking: first the way in goes, then what it led to
            before, record_id = self._previous[-1], self._ids[-1]
            if before < 0:
                self._recent.pop(record_id, None)
            else:
                self._recent[record_id] = before
            self._previous.pop()
            self._ids.pop()

    def sections(self, kept: NDArray[np.bool_]) -> dict[str, NDArray[Any]]:
        """
        Write the names of the first `n` slots down; others may be added meanwhile.

        Parameters
        ----------
        kept : bool[n]
            Slots that an id may lead to: live or soft-deleted, no two of one id.

        Returns
        -------
        dict
            Sections as the constructor takes them.
        """
        first, n = self._n_stored, len(kept)
        ids = [record_id.encode() for record_id in self._ids[: n - first]]
        offsets, blob = packed([self._stored, ids])
        recent = np.flatnonzero(kept[first:]).astype(np.int32)
        fresh = np.fromiter((hash_bytes(ids[at]) for at in recent), np.uint64, len(recent))
        slots = np.concatenate([self._slots, recent + np.int32(first)])
        hashes = np.concatenate([self._hashes, fresh])
        # a damaged file may name slots that do not exist
        known = (slots >= 0) & (slots < n)
        leads = known & kept[np.where(known, slots, 0)]
        order = np.lexsort((slots[leads], hashes[leads]))
        return {
            "offsets": offsets,
            "blob": blob,
            "hashes": hashes[leads][order],
            "slots": slots[leads][order],
        }

    def take_over(self, other: "Names", n: int) -> None:
        """
        Add the names that another object has and this one lacks.

        Parameters
        ----------
        other : Names
            Of the same table, from an older generation.
        n : int
            Slots to know afterwards.
        """
        known = self._n_stored + len(self._ids)
        begin, end = known - other._n_stored, n - other._n_stored
        ids = other._ids[begin:end]
        self._ids += ids
        self._previous += other._previous[begin:end]
        self._recent.update(zip(ids, range(known, n), strict=True))
