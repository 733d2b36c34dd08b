"""
Section file, little-endian: named arrays that are mapped where they lie.

     0  8s     magic     b"VECSTORE"
     8  u32    version   of this format: 1
    12  u32    kind      what the file is for, see `Kind`
    16  u32    sections  number of entries in the table
    20  u32    crc       CRC-32 of the header and the table, this field being 0
    24  u64    trailer   offset of the trailer
    32  u64    length    of the whole file
    40  ...    table     48 bytes a section: 16s name, 8s dtype, u64 rows, u64 columns, u64 offset
                         (columns 0: a one-dimensional array)
   ...  ...    sections  each from a multiple of 64 on, in this order, zeros between them
trailer        u32[]     CRC-32 of each 1 MiB of bytes [0, trailer), then the CRC-32 of those

Rows file, which only grows: the 40 bytes above with no sections, trailer and length 0, zeros up
to byte 4096, then rows of float32. The checksums of its blocks stand in a section file.

Magic, header size and the place of the CRC stay the same in every version, so that a newer file
can be told from a damaged one.

*Parsed* is a `Section`, whose numbers come from the disk; *trusted* is an array that `open` made
after every number was checked against the size of the file.
"""

import enum
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecstore.errors import CorruptData, UnsupportedFormat
from vecstore.storage.checksums import BLOCK_BYTES, BlockChecksums, check_blocks
from vecstore.storage.files import Buffer, Files
from vecstore.storage.rows import HEADER_BYTES

MAGIC = b"VECSTORE"
VERSION = 1
_HEADER = struct.Struct("<8sIIIIQQ")
_ENTRY = struct.Struct("<16s8sQQQ")
# what reading plain data of an unknown shape may raise
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError)
_CRC_AT = 20
_ALIGN = 64
_MOST_SECTIONS = 32
_DTYPES = {"<f4", "<f8", "<i4", "<i8", "<u4", "<u8", "|u1"}


class Kind(enum.IntEnum):
    """What a file holds."""

    ROWS = 1
    GRAPH = 2
    METADATA = 3
    IDS = 4
    CHECKSUMS = 5
    INDEX = 6
    LOG = 7


class Section(NamedTuple):
    """
    One entry of the table, as parsed.

    Attributes
    ----------
    name : str
        Unique in the file.
    dtype : str
        NumPy's name of it, byte order included.
    rows, columns : int
        The shape; columns 0 for a one-dimensional array.
    offset : int
        First byte.
    """

    name: str
    dtype: str
    rows: int
    columns: int
    offset: int

    @property
    def size_bytes(self) -> int:
        """Bytes the array takes."""
        return self.rows * max(1, self.columns) * np.dtype(self.dtype).itemsize


def pack_header(kind: Kind, sections: list[Section], trailer: int, length: int) -> bytes:
    """
    Write the header and the table.

    Parameters
    ----------
    kind : Kind
        What the file is for.
    sections : list of Section
        The table.
    trailer, length : int
        As in the module's header.

    Returns
    -------
    bytes
        With the CRC in its place.
    """
    table = b"".join(
        _ENTRY.pack(s.name.encode(), s.dtype.encode(), s.rows, s.columns, s.offset)
        for s in sections
    )
    fields = (VERSION, int(kind), len(sections))
    crc = zlib.crc32(_HEADER.pack(MAGIC, *fields, 0, trailer, length) + table)
    return _HEADER.pack(MAGIC, *fields, crc, trailer, length) + table


def parse_header(path: Path, head: bytes, kind: Kind) -> tuple[list[Section], int, int]:
    """
    Read the header and the table.

    Parameters
    ----------
    path : Path
        For errors.
    head : bytes
        The beginning of the file.
    kind : Kind
        What the file should be for.

    Returns
    -------
    sections, trailer, length
        As parsed; only the CRC vouches for them.

    Raises
    ------
    CorruptData
        If magic, CRC or kind are wrong.
    UnsupportedFormat
        If the version is newer.
    """
    if len(head) < _HEADER.size or head[:8] != MAGIC:
        raise CorruptData(path, 0, "this is not the beginning of a VecStore file")
    _, version, found_kind, count, crc, trailer, length = _HEADER.unpack_from(head)
    end = _HEADER.size + count * _ENTRY.size
    if count > _MOST_SECTIONS or end > len(head):
        raise CorruptData(path, 16, f"a table of {count} sections does not fit")
    zeroed = head[:_CRC_AT] + b"\0\0\0\0" + head[_CRC_AT + 4 : end]
    if zlib.crc32(zeroed) != crc:
        raise CorruptData(path, _CRC_AT, "the header does not match its checksum")
    if version != VERSION:
        raise UnsupportedFormat(path, version, VERSION)
    if found_kind != kind:
        raise CorruptData(path, 12, f"the file is of kind {found_kind}, not {kind.name.lower()}")
    entries = _ENTRY.iter_unpack(head[_HEADER.size : end])
    sections = [Section(_text(name), _text(dtype), *rest) for name, dtype, *rest in entries]
    return sections, trailer, length


def write_sections(files: Files, path: Path, kind: Kind, arrays: Mapping[str, NDArray[Any]]) -> int:
    """
    Write a section file and sync it.

    Parameters
    ----------
    files : Files
        The file system.
    path : Path
        Created or overwritten.
    kind : Kind
        What the file is for.
    arrays : mapping
        Section names to arrays of one or two dimensions.

    Returns
    -------
    int
        Its length in bytes.
    """
    sections, at = [], _aligned(_HEADER.size + len(arrays) * _ENTRY.size)
    for name, array in arrays.items():
        little = array.dtype.newbyteorder("<").str
        columns = array.shape[1] if array.ndim == 2 else 0
        sections.append(Section(name, little, len(array), columns, at))
        at = _aligned(at + array.nbytes)
    blocks = -(-at // BLOCK_BYTES)
    length = at + 4 * blocks + 4
    sums = BlockChecksums()

    def _content() -> Iterator[Buffer]:
        yield pack_header(kind, sections, at, length)
        written = _HEADER.size + len(sections) * _ENTRY.size
        for section, array in zip(sections, arrays.values(), strict=True):
            yield bytes(section.offset - written)
            little = np.ascontiguousarray(array, np.dtype(section.dtype))
            if little.size:
                yield little.reshape(-1).view(np.uint8).data
            written = section.offset + section.size_bytes
        yield bytes(at - written)

    def _summed() -> Iterator[Buffer]:
        for chunk in _content():
            sums.update(chunk)
            yield chunk
        trailer = sums.finish().tobytes()
        yield trailer + struct.pack("<I", zlib.crc32(trailer))

    files.write_new(path, _summed())
    return length


def open_sections(files: Files, path: Path, kind: Kind) -> dict[str, NDArray[Any]]:
    """
    Map a section file; its payload is not read.

    Parameters
    ----------
    files : Files
        The file system.
    path : Path
        The file.
    kind : Kind
        What it should be for.

    Returns
    -------
    dict
        Section names to arrays, mapped copy-on-write.

    Raises
    ------
    CorruptData
        If the file is missing or shorter or longer than it says, or a section lies outside it.
    UnsupportedFormat
        If the version is newer.
    """
    size = existing_size(files, path)
    head = files.read(path, _HEADER.size + _MOST_SECTIONS * _ENTRY.size)
    sections, trailer, length = parse_header(path, head, kind)
    if length != size:
        raise CorruptData(path, min(size, length), f"{size} bytes long instead of {length}")
    if trailer + 4 * -(-trailer // BLOCK_BYTES) + 4 != length:
        raise CorruptData(path, 24, "the trailer has an impossible place")
    free = _HEADER.size + len(sections) * _ENTRY.size
    for s in sections:
        fits = s.dtype in _DTYPES and s.offset % _ALIGN == 0 and s.offset >= free
        if not fits or s.columns > trailer or s.offset + s.size_bytes > trailer:
            raise CorruptData(path, _HEADER.size, f"section {s.name!r} does not fit in the file")
        free = s.offset + s.size_bytes
    return section_arrays(files.map(path, length), sections)


def section_arrays(raw: NDArray[np.uint8], table: Iterable[Section]) -> dict[str, NDArray[Any]]:
    """
    Look at the arrays of a section file.

    Parameters
    ----------
    raw : uint8[length]
        The file.
    table : iterable of Section
        Which fit into it.

    Returns
    -------
    dict
        Section names to views of `raw`.
    """
    return {
        s.name: raw[s.offset : s.offset + s.size_bytes]
        .view(s.dtype)
        .reshape((s.rows, s.columns) if s.columns else s.rows)
        for s in table
    }


def check_sections(files: Files, path: Path) -> None:
    """
    Compare every byte of a section file with its checksums.

    Parameters
    ----------
    files : Files
        The file system.
    path : Path
        A file that `open_sections` accepts.

    Raises
    ------
    CorruptData
        With the offset of the first damaged block.
    """
    trailer, length = _HEADER.unpack_from(files.read(path, _HEADER.size))[5:7]
    tail = files.read(path, length - trailer, trailer)
    stored, crc = tail[:-4], struct.unpack("<I", tail[-4:])[0]
    if zlib.crc32(stored) != crc:
        raise CorruptData(path, trailer, "the checksums do not match their checksum")
    check_blocks(files, path, trailer, np.frombuffer(stored, "<u4"))


def rows_header() -> bytes:
    """
    Give the header of a rows file.

    Returns
    -------
    bytes
        `HEADER_BYTES` of them.
    """
    return pack_header(Kind.ROWS, [], 0, 0).ljust(HEADER_BYTES, b"\0")


def check_rows_header(files: Files, path: Path, length: int) -> None:
    """
    Check the header and the least size of a rows file.

    Parameters
    ----------
    files : Files
        The file system.
    path : Path
        The file.
    length : int
        Bytes it must have; it may be longer.

    Raises
    ------
    CorruptData
        If it is missing, foreign or shorter.
    UnsupportedFormat
        If the version is newer.
    """
    size = existing_size(files, path)
    parse_header(path, files.read(path, HEADER_BYTES), Kind.ROWS)
    if size < length:
        raise CorruptData(path, size, f"{size} bytes long instead of {length}")


def _text(field: bytes) -> str:
    # what is not ASCII can name no section and no type, and is refused as such
    return field.rstrip(b"\0").decode("ascii", "replace")


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGN) * _ALIGN


def existing_size(files: Files, path: Path) -> int:
    """
    Measure a file that must be there.

    Parameters
    ----------
    files : Files
        The file system.
    path : Path
        The file.

    Returns
    -------
    int
        Bytes.

    Raises
    ------
    CorruptData
        If it is missing or no regular file.
    """
    try:
        return files.size(path)
    except FileNotFoundError:
        raise CorruptData(path, 0, "the file is missing") from None
    except IsADirectoryError:
        raise CorruptData(path, 0, "it is not a regular file") from None
