"""
What can be trusted of a damaged generation: whole records, whose every byte lies in sound blocks.

A record is its row, length (under cosine), id, metadata, times and live bit; where one of them
cannot be trusted, the record is lost. Damage to the graph costs nothing, since it is built anew.
Not here: which blocks are sound (`storage.evidence`), the calls that came after (`log_remains`).
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecstore.engine.checks import checked_id
from vecstore.engine.chunks import CHUNK, UNSET
from vecstore.engine.generation import check_sections_of
from vecstore.engine.losses import Ledger
from vecstore.engine.records import Appended
from vecstore.engine.table import Table
from vecstore.errors import InvalidInput
from vecstore.index.vectors import stride_of
from vecstore.kernels import bitset
from vecstore.storage.evidence import (
    SOUND,
    Damage,
    Evidence,
    SectionEvidence,
    judged_rows,
    judged_sections,
)
from vecstore.storage.files import Files
from vecstore.storage.layout import UNREADABLE, Kind
from vecstore.storage.manifest import Manifest
from vecstore.storage.rows import HEADER_BYTES

_READ_BYTES = 16 << 20
Places = NDArray[np.int64]


class Remains:
    """
    A damaged generation.

    Parameters
    ----------
    files : Files
        The file system; nothing is written.
    root : Path
        Where it lies.
    manifest : Manifest
        With files.
    ledger : Ledger
        Takes what is lost.
    """

    def __init__(self, files: Files, root: Path, manifest: Manifest, ledger: Ledger) -> None:
        self._files = files
        self._manifest = manifest
        self._ledger = ledger
        named = manifest.files
        self._facts = judged_sections(files, root, named["metadata"], Kind.METADATA)
        self._ids = judged_sections(files, root, named["ids"], Kind.IDS)
        self._sums = judged_sections(files, root, named["checksums"], Kind.CHECKSUMS)
        self._note(judged_sections(files, root, named["hnsw_index"], Kind.GRAPH))
        self._rows_path = root / named["vectors"].name
        self._root = root

    def bring_into(self, table: Table) -> Places:
        """
        Copy the whole records into a table, and enter the others as lost.

        Parameters
        ----------
        table : Table
            Empty, with the dimension of the manifest.

        Returns
        -------
        int64[n]
            The new slot of each old one; -1 where it is lost or was dead.
        """
        manifest = self._manifest
        if not self._fits():
            return np.zeros(0, np.int64)
        rows = judged_rows(self._files, self._root, manifest.files["vectors"], self._sums)
        named = self._damage_of_blobs(self._ids)
        words = np.ascontiguousarray(self._facts.arrays["live"])
        live = bitset.unpack_mask(words, manifest.n)
        kept = live | (self._facts.arrays["deleted_at"] != UNSET)
        damaged = [
            (self._facts, self._damage_of_facts()),
            (self._ids, named),
            (rows, self._damage_of_rows(rows)),
        ]
        # a slot is known to be dead where what says so is sound
        told = self._damage_of_marks() == SOUND
        sound = np.logical_and.reduce([damage == SOUND for _, damage in damaged])
        lost = ~sound & ~(told & ~kept)
        self._note(self._sums)  # what it fails to vouch for, the rows tell
        self._enter(damaged, lost, named == SOUND)
        return self._copy(table, np.flatnonzero(sound & kept), live)

    def _fits(self) -> bool:
        """Say whether there is anything to judge, and whether it has the shape it should have."""
        manifest, n = self._manifest, self._manifest.n
        if not self._facts.arrays and not self._ids.arrays:
            for one in (self._facts, self._ids):
                damage = one.damages[0]
                text = f"{damage.text}; all {n:,} slots are lost"
                self._ledger.lose(one.path, damage.offset, text)
            return False
        # subtle: these take no memory, since no file shows yet that there are so many slots
        self._facts.arrays = self._facts.arrays or _unknown_facts(manifest)
        self._ids.arrays = self._ids.arrays or _unknown_ids(n)
        tables = {"metadata": self._facts.arrays, "ids": self._ids.arrays}
        length = manifest.files["vectors"].length
        try:
            check_sections_of(manifest, tables)
            if length != HEADER_BYTES + n * stride_of(manifest.dim or 0) * 4:
                raise InvalidInput("vectors", f"{n} rows", f"{length} bytes")
        except UNREADABLE as exc:
            text = f"the files do not fit the manifest, so all {n:,} slots are lost: {exc}"
            self._ledger.lose(self._root / manifest.name, 0, text)
            return False
        return True

    def _damage_of_marks(self) -> Places:
        """Say what damage met the live bit or the moment of soft deletion of each slot."""
        slots = np.arange(self._manifest.n)
        return _first(
            self._facts.damage_of("live", slots >> 6, (slots >> 6) + 1),
            self._facts.damage_of("deleted_at", slots, slots + 1),
        )

    def _damage_of_facts(self) -> Places:
        """Say what damage met anything in the metadata file that belongs to a slot."""
        slots = np.arange(self._manifest.n)
        single = ["created_at", "expires_at"]
        if self._manifest.metric == "cosine":
            single.append("norms")
        return _first(
            self._damage_of_marks(),
            *(self._facts.damage_of(name, slots, slots + 1) for name in single),
            self._damage_of_blobs(self._facts),
        )

    def _damage_of_blobs(self, one: SectionEvidence) -> Places:
        """Say what damage met the bytes of each slot, or the offsets that lead to them."""
        slots = np.arange(self._manifest.n)
        damage = one.damage_of("offsets", slots, slots + 2)
        begin, end = one.arrays["offsets"][:-1], one.arrays["offsets"][1:]
        inside = (begin >= 0) & (begin <= end) & (end <= len(one.arrays["blob"]))
        known = (damage == SOUND) & inside
        within = one.damage_of("blob", np.where(known, begin, 0), np.where(known, end, 0))
        damage = _first(damage, np.where(known, within, SOUND))
        astray = (damage == SOUND) & ~inside
        if astray.any():
            damage[astray] = len(one.damages)
            one.damages.append(Damage(0, "entries lie outside the file"))
        return damage

    def _damage_of_rows(self, rows: Evidence) -> Places:
        width = stride_of(self._manifest.dim or 0) * 4
        begin = HEADER_BYTES + np.arange(self._manifest.n) * width
        return rows.damage_at(begin, begin + width)

    def _enter(
        self,
        damaged: list[tuple[Evidence, Places]],
        lost: NDArray[np.bool_],
        named: NDArray[np.bool_],
    ) -> None:
        """Enter each damage with the slots that it cost; where it cost none, as a note."""
        for one, met in damaged:
            for number, damage in enumerate(one.damages):
                slots = np.flatnonzero(lost & (met == number))
                known = slots[named[slots]].tolist()
                if len(slots):
                    ids = [text for slot in known if (text := self._id_of(slot)) is not None]
                    self._ledger.lose(one.path, damage.offset, damage.text, slots.tolist(), ids)
                else:
                    self._ledger.note(one.path, damage.offset, damage.text)

    def _note(self, one: Evidence) -> None:
        for damage in one.damages:
            self._ledger.note(one.path, damage.offset, damage.text)

    def _id_of(self, slot: int) -> str | None:
        raw = _entry(self._ids, slot)
        try:
            return checked_id("id", raw.decode())
        except (UnicodeDecodeError, InvalidInput):
            return None

    def _copy(self, table: Table, slots: Places, live: NDArray[np.bool_]) -> Places:
        """Copy slots bit for bit, in order; return where each went."""
        places = np.full(self._manifest.n, -1, np.int64)
        width = stride_of(self._manifest.dim or 0) * 4
        step = max(1, min(CHUNK, _READ_BYTES // width))
        for first in range(0, self._manifest.n, step):
            part = slots[np.searchsorted(slots, first) : np.searchsorted(slots, first + step)]
            if len(part):
                self._copy_part(table, part, width, places)
        facts = self._facts.arrays
        for slot in np.flatnonzero((places >= 0) & ~live).tolist():
            table.kill(int(places[slot]), int(facts["deleted_at"][slot]))
        return places

    def _copy_part(self, table: Table, part: Places, width: int, places: Places) -> None:
        found = [(slot, self._id_of(slot)) for slot in part.tolist()]
        ids = [text for _, text in found if text is not None]
        nameless = [slot for slot, text in found if text is None]
        if nameless:
            self._ledger.lose(self._ids.path, 0, "what stands there is no id", nameless)
            part = np.setdiff1d(part, nameless)
        if not len(part):
            return
        first, count = int(part[0]), int(part[-1] - part[0]) + 1
        begin = HEADER_BYTES + first * width
        # read again, but not patiently: what fails now was judged to be sound
        raw = self._files.read(self._rows_path, count * width, begin)
        rows = np.frombuffer(raw, "<f4").reshape(count, width // 4)[part - first]
        facts = self._facts.arrays
        records = Appended(
            ids=ids,
            matrix=rows[:, : table.dim],
            metadata=[_entry(self._facts, slot) for slot in part.tolist()],
            created_at=facts["created_at"][part],
            expires_at=facts["expires_at"][part],
        )
        places[part] = np.arange(table.n, table.n + len(part))
        cosine = self._manifest.metric == "cosine"
        table.copy_in(records, rows, facts["norms"][part] if cosine else None)


def _unknown_ids(n: int) -> dict[str, NDArray[Any]]:
    """Stand in for an ids file of which nothing is known."""
    return {
        "offsets": np.broadcast_to(np.int64(0), n + 1),
        "blob": np.zeros(0, np.uint8),
        "hashes": np.zeros(0, np.uint64),
        "slots": np.zeros(0, np.int32),
    }


def _unknown_facts(manifest: Manifest) -> dict[str, NDArray[Any]]:
    """Stand in for a metadata file of which nothing is known: any slot may have been live."""
    n = manifest.n
    return {
        "live": np.broadcast_to(np.uint64(2**64 - 1), -(-n // 64)),
        "norms": np.broadcast_to(np.float64(0), n if manifest.metric == "cosine" else 0),
        "offsets": np.broadcast_to(np.int64(0), n + 1),
        "blob": np.zeros(0, np.uint8),
        **{
            name: np.broadcast_to(np.int64(UNSET), n)
            for name in ("created_at", "expires_at", "deleted_at")
        },
    }


def _first(*damages: Places) -> Places:
    """Take the first damage that each slot met."""
    found = damages[0].copy()
    for one in damages[1:]:
        found = np.where(found == SOUND, one, found)
    return found


def _entry(one: SectionEvidence, slot: int) -> bytes:
    begin, end = one.arrays["offsets"][slot : slot + 2].tolist()
    raw: bytes = one.arrays["blob"][begin:end].tobytes()
    return raw
