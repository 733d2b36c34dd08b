"""
Which bytes of damaged files can be trusted: block by block, by checksums a manifest vouches for.

A manifest holds the last four bytes of each section file: the checksum of the checksums of its
blocks. While either is what the manifest says, each block is judged by its own checksum, and the
table of sections by the header's. Not here: what the bytes mean (`engine.remains`), files that must
be whole (`checkpoint`).
"""

import contextlib
import errno
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecstore.errors import CorruptData
from vecstore.storage.checksums import BLOCK_BYTES, BlockChecksums, unsealed_line
from vecstore.storage.file_names import DRAFT, manifest_number
from vecstore.storage.files import Files
from vecstore.storage.layout import (
    UNREADABLE,
    Kind,
    existing_size,
    parse_header,
    section_arrays,
)
from vecstore.storage.manifest import (
    MAX_LINE_BYTES,
    MAX_MANIFEST_BYTES,
    FileEntry,
    Manifest,
    parse_manifest,
)

SOUND = -1
_PAGE_BYTES = 4096
_SEAL_BYTES = 4


class Damage(NamedTuple):
    """
    One damaged place.

    Attributes
    ----------
    offset : int
        Where it begins.
    text : str
        What is wrong.
    """

    offset: int
    text: str


class Evidence:
    """
    What is known of the blocks of one file.

    Parameters
    ----------
    path : Path
        The file.
    good : bool[blocks]
        Which blocks match their checksums.
    size : int
        Bytes that the file has.
    reason : Damage, optional
        Why nothing in the file can be trusted.

    Attributes
    ----------
    damages : list of Damage
        The bad blocks, those side by side as one; then what cost nothing.
    """

    def __init__(
        self, path: Path, good: NDArray[np.bool_], size: int, reason: Damage | None = None
    ) -> None:
        self.path = path
        self._bad = np.flatnonzero(~good)
        apart = np.diff(self._bad, prepend=-2) > 1
        # the damage that each bad block belongs to
        self._number = np.cumsum(apart) - 1
        begins = self._bad[apart]
        ends = self._bad[np.append(apart[1:], True)] if len(begins) else begins
        cut = f"; the file ends at byte {size:,}" if size < len(good) * BLOCK_BYTES else ""
        self.damages = [reason] if reason is not None else []
        if reason is None:
            for begin, end in zip((begins * BLOCK_BYTES).tolist(), ends.tolist(), strict=True):
                last = (end + 1) * BLOCK_BYTES
                text = f"bytes {begin:,} to {last:,} do not match their checksums"
                self.damages.append(Damage(begin, text + (cut if last > size else "")))

    def damage_at(self, begin: NDArray[np.int64], end: NDArray[np.int64]) -> NDArray[np.int64]:
        """
        Say which damage ranges of bytes meet.

        Parameters
        ----------
        begin, end : int64[n]
            The ranges [begin, end), within the file.

        Returns
        -------
        int64[n]
            Places in `damages`; `SOUND` where a range can be trusted.
        """
        if not len(self._bad):
            return np.full(len(begin), SOUND, np.int64)
        at = np.searchsorted(self._bad, begin // BLOCK_BYTES)
        nearest = self._bad[np.minimum(at, len(self._bad) - 1)]
        met = (at < len(self._bad)) & (nearest * BLOCK_BYTES < end)
        return np.where(met, self._number[np.minimum(at, len(self._bad) - 1)], SOUND)


class SectionEvidence(Evidence):
    """
    A section file of which parts may be damaged.

    Parameters
    ----------
    path, good, size, reason
        As for `Evidence`.
    raw : uint8[length]
        The file; zeros where it ends early.
    table : list of Section
        From the header.

    Attributes
    ----------
    arrays : dict
        Section names to arrays, damaged or not; empty where there is no table.
    """

    def __init__(
        self,
        path: Path,
        good: NDArray[np.bool_],
        size: int,
        reason: Damage | None,
        raw: NDArray[np.uint8],
        table: list[Any],
    ) -> None:
        super().__init__(path, good, size, reason)
        self._offsets = {s.name: s.offset for s in table}
        self.arrays = section_arrays(raw, table)

    def damage_of(
        self, name: str, first: NDArray[np.int64], last: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """
        Say which damage ranges of an array meet.

        Parameters
        ----------
        name : str
            A section.
        first, last : int64[n]
            The ranges [first, last) of its items.

        Returns
        -------
        int64[n]
            As `damage_at`; where there is no such section, all meet the first damage.
        """
        if name not in self._offsets:
            return np.zeros(len(first), np.int64)
        begin, width = self._offsets[name], self.arrays[name].itemsize
        return self.damage_at(begin + first * width, begin + last * width)


def judged_sections(files: Files, root: Path, entry: FileEntry, kind: Kind) -> SectionEvidence:
    """
    Read a section file and judge its blocks.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        Where it lies.
    entry : FileEntry
        What the manifest says of it.
    kind : Kind
        What it should be for.

    Returns
    -------
    SectionEvidence
        Without arrays where nothing can be trusted.

    Raises
    ------
    UnsupportedFormat
        If a newer version wrote it.
    """
    path, length = root / entry.name, entry.length
    covered = covered_bytes(length)
    size = 0
    raw = np.zeros(0, np.uint8)
    try:
        size = existing_size(files, path)
        raw = _filled(files, path, size, length)
        sums = _vouched_sums(path, raw[covered:length].tobytes(), entry.seal, covered)
        table = parse_header(path, raw[:_PAGE_BYTES].tobytes(), kind)[0]
        good = _matches(raw[:covered], sums)
        found = SectionEvidence(path, good, size, None, raw[:covered], table)
    except CorruptData as exc:
        reason = Damage(exc.offset, exc.reason)
    except UNREADABLE as exc:
        reason = Damage(0, f"its sections do not fit in the file: {exc}")
    else:
        if size != length:
            text = f"{size} bytes long instead of {length}"
            found.damages.append(Damage(min(size, length), text))
        elif raw[-4:].tobytes() != zlib.crc32(raw[covered:-4].data).to_bytes(4, "little"):
            text = "the checksums do not match their checksum"
            found.damages.append(Damage(covered, text))
        return found
    return SectionEvidence(path, np.zeros(0, np.bool_), size, reason, raw, [])


def judged_rows(files: Files, root: Path, entry: FileEntry, sums: SectionEvidence) -> Evidence:
    """
    Judge the blocks of a rows file.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        Where it lies.
    entry : FileEntry
        What the manifest says of it.
    sums : SectionEvidence
        The file with its checksums.

    Returns
    -------
    Evidence
        Against the file as a whole where nothing vouches for it.
    """
    path = root / entry.name
    places = np.arange(-(-entry.length // BLOCK_BYTES))
    good = np.zeros(len(places), np.bool_)
    expected = sums.arrays.get("vectors", np.zeros(0, np.uint32))
    if expected.shape == places.shape and expected.dtype == np.uint32:
        good = sums.damage_of("vectors", places, places + 1) == SOUND
    if not good.any():
        reason = Damage(0, f"nothing vouches for it, since {sums.path.name} is damaged")
        return Evidence(path, good, entry.length, reason)
    try:
        size = existing_size(files, path)
    except CorruptData as exc:
        return Evidence(path, np.zeros_like(good), 0, Damage(0, exc.reason))
    for i in np.flatnonzero(good).tolist():
        begin = i * BLOCK_BYTES
        block = read_patiently(files, path, min(BLOCK_BYTES, entry.length - begin), begin)
        good[i] = zlib.crc32(block) == expected[i]
    return Evidence(path, good, size)


def covered_bytes(length: int) -> int:
    """
    Say how much of a section file its checksums cover, going by its length alone.

    Parameters
    ----------
    length : int
        Of the whole file.

    Returns
    -------
    int
        Where the trailer begins; 0 for a length that no file has.
    """
    blocks = -(-(length - 4) // (BLOCK_BYTES + 4))
    return max(0, length - 4 - 4 * blocks)


def read_patiently(files: Files, path: Path, most: int, offset: int) -> bytes:
    """
    Read bytes from a medium that may be failing.

    Parameters
    ----------
    files : Files
        The file system.
    path : Path
        The file.
    most : int
        Bytes to read at most.
    offset : int
        Where to begin.

    Returns
    -------
    bytes
        With 0xFF, which matches no checksum, in the place of pages that the system cannot read.
    """
    try:
        return files.read(path, most, offset)
    except OSError as exc:
        if exc.errno != errno.EIO:
            raise
    if most <= _PAGE_BYTES:
        return b"\xff" * max(0, min(most, files.size(path) - offset))
    half = max(_PAGE_BYTES, most // 2)
    return read_patiently(files, path, half, offset) + read_patiently(
        files, path, most - half, offset + half
    )


def whole_manifests(files: Files, root: Path) -> list[Manifest]:
    """
    Find the manifests that match the checksum in their own last line.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        Where they lie.

    Returns
    -------
    list of Manifest
        The newest first; last of all one that had only been drafted when a crash came.

    Raises
    ------
    UnsupportedFormat
        If a newer version wrote one.
    """
    names, found = files.names(root), []
    drafted = b""
    if DRAFT in names:
        with contextlib.suppress(CorruptData):
            existing_size(files, root / DRAFT)
            drafted = read_patiently(files, root / DRAFT, MAX_LINE_BYTES, 0)
    for name in filter(manifest_number, names):
        with contextlib.suppress(CorruptData):
            existing_size(files, root / name)
            data = read_patiently(files, root / name, MAX_MANIFEST_BYTES, 0)
            if unsealed_line(data) is not None:
                found.append(parse_manifest(root / name, data, manifest_number(name)))

    def _order(manifest: Manifest) -> tuple[bool, int]:
        return (not drafted.startswith(manifest.name.encode()), manifest.generation)

    return sorted(found, key=_order, reverse=True)


def _filled(files: Files, path: Path, size: int, length: int) -> NDArray[np.uint8]:
    """Read as much of a file as there is of it; at most its last four bytes may be missing."""
    if size + _SEAL_BYTES < length:
        raise CorruptData(path, size, "the file ends here, before its checksums")
    raw = np.zeros(length, np.uint8)
    for begin in range(0, min(size, length), BLOCK_BYTES):
        block = read_patiently(files, path, min(BLOCK_BYTES, length - begin), begin)
        raw[begin : begin + len(block)] = np.frombuffer(block, np.uint8)
    return raw


def _vouched_sums(path: Path, trailer: bytes, seal: int, at: int) -> NDArray[np.uint32]:
    """Take the checksums of the blocks from a trailer for which the manifest vouches."""
    told, found = int.from_bytes(trailer[-4:], "little"), zlib.crc32(trailer[:-4])
    if seal not in (told, found):
        raise CorruptData(path, at, "its checksums are damaged, or not those the manifest names")
    return np.frombuffer(trailer[:-4], "<u4")


def _matches(raw: NDArray[np.uint8], sums: NDArray[np.uint32]) -> NDArray[np.bool_]:
    found = BlockChecksums()
    found.update(raw.data)
    good: NDArray[np.bool_] = found.finish() == sums
    return good
