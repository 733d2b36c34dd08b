"""
A tar archive as a stream of plain files: headers of the standard library, nothing else believed.

A member is a header of 512 bytes, its bytes, and zeros up to the next multiple of 512; two blocks
of zeros are the end. Reading takes regular files only, one block at a time: links, devices,
directories, sparse files and extended headers, which would have to be read into memory before
anything is known of them, are refused. Not here: which members there are (`engine.backup`).
"""

import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from vecstore.errors import CorruptData

END = bytes(2 * tarfile.BLOCKSIZE)
_PIECE_BYTES = 1 << 20
Read = Callable[[int], bytes]
"""Gives up to so many bytes, none only at the end."""


class Member(NamedTuple):
    """
    A file in an archive that is being read.

    Attributes
    ----------
    name : str
        As it stands there; nobody has checked it.
    size : int
        Bytes that the header speaks of; perhaps fewer come.
    offset : int
        Where its header begins.
    chunks : iterator of bytes
        The content; ends with `CorruptData` where the archive ends before it.
    """

    name: str
    size: int
    offset: int
    chunks: Iterator[bytes]


def pack_header(name: str, size: int) -> bytes:
    """
    Write the header of a member: the same bytes whenever and by whomever it is written.

    Parameters
    ----------
    name : str
        Up to 100 ASCII characters.
    size : int
        Bytes that follow.

    Returns
    -------
    bytes
        512 of them; sizes from 8 GiB on as GNU tar writes them.
    """
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT, "ascii", "strict")


def padding(size: int) -> bytes:
    """
    Give the zeros that follow a member.

    Parameters
    ----------
    size : int
        Bytes of the member.

    Returns
    -------
    bytes
        Fewer than 512.
    """
    return bytes(-size % tarfile.BLOCKSIZE)


def read_members(source: Path, read: Read) -> Iterator[Member]:
    """
    Go through an archive; each member must be taken before the next one comes.

    Parameters
    ----------
    source : Path
        Where it comes from, for errors.
    read : callable
        Gives the next bytes.

    Yields
    ------
    Member
        A regular file.

    Raises
    ------
    CorruptData
        If this is no archive, if it ends early, or if it holds anything but regular files.
    """
    stream = _Stream(source, read)
    while True:
        at = stream.at
        raw = stream.take(tarfile.BLOCKSIZE)
        if not any(raw):
            return
        try:
            info = tarfile.TarInfo.frombuf(raw, "ascii", "backslashreplace")
        except tarfile.HeaderError as exc:
            raise CorruptData(source, at, f"this is no tar archive: {exc}") from exc
        if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.size < 0:
            raise CorruptData(source, at, f"{info.name!r} is not a regular file")
        yield Member(info.name, info.size, at, stream.content(info.size))
        stream.take(len(padding(info.size)))


class _Stream:
    """Counts what it reads, and does not accept less."""

    def __init__(self, source: Path, read: Read) -> None:
        self._source = source
        self._read = read
        self.at = 0

    def take(self, size: int) -> bytes:
        """Read just so many bytes; they fit in memory."""
        taken = bytearray()
        while len(taken) < size:
            part = self._read(size - len(taken))
            if not part:
                raise CorruptData(self._source, self.at + len(taken), "the archive ends here")
            taken += part
        self.at += size
        return bytes(taken)

    def content(self, size: int) -> Iterator[bytes]:
        """Read the content of a member piece by piece."""
        end = self.at + size
        while self.at < end:
            yield self.take(min(_PIECE_BYTES, end - self.at))
