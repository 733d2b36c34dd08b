"""
Checksums of long files, block by block, and of single lines of text.

With one for each block, damage is found with its place, and growth costs one block. Not here: where
the checksums are kept (`layout` for section files, `checkpoint` for rows).
"""

import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vecstore.errors import CorruptData
from vecstore.storage.files import Buffer, Files

BLOCK_BYTES = 1 << 20


class BlockChecksums:
    """
    CRC-32 of each `BLOCK_BYTES` of a stream that comes in pieces of any size.

    Parameters
    ----------
    done : uint32[blocks], optional
        Checksums of a stream that is continued; what they cover is not read again.
    length : int
        Bytes that they cover.
    """

    def __init__(self, done: NDArray[np.uint32] | None = None, length: int = 0) -> None:
        self._done: list[int] = [] if done is None else done.tolist()
        self._filled = length % BLOCK_BYTES
        self._crc = self._done.pop() if self._filled else 0

    def update(self, data: Buffer) -> None:
        """
        Take the next piece.

        Parameters
        ----------
        data : bytes-like
            The piece.
        """
        rest = memoryview(data).cast("B")
        while len(rest) > 0:
            part = rest[: BLOCK_BYTES - self._filled]
            self._crc = zlib.crc32(part, self._crc)
            self._filled += len(part)
            rest = rest[len(part) :]
            if self._filled == BLOCK_BYTES:
                self._done.append(self._crc)
                self._crc = self._filled = 0

    def finish(self) -> NDArray[np.uint32]:
        """
        Give the checksums so far.

        Returns
        -------
        uint32[blocks]
            The last one may cover a shorter block.
        """
        last = [self._crc] if self._filled else []
        return np.array(self._done + last, "<u4")


def check_blocks(files: Files, path: Path, length: int, expected: NDArray[np.uint32]) -> None:
    """
    Compare the beginning of a file with the checksums of its blocks.

    Parameters
    ----------
    files : Files
        The file system.
    path : Path
        The file.
    length : int
        Bytes that the checksums cover.
    expected : uint32[blocks]
        The checksums.

    Raises
    ------
    CorruptData
        With the offset of the first damaged block.
    """
    found = -1
    for found, block in enumerate(files.blocks(path, length, BLOCK_BYTES)):
        if found >= len(expected) or zlib.crc32(block) != expected[found]:
            raise CorruptData(path, found * BLOCK_BYTES, "a block does not match its checksum")
    if found + 1 != len(expected):
        raise CorruptData(path, length, f"{found + 1} blocks instead of {len(expected)}")


def sealed_line(line: bytes) -> bytes:
    r"""
    Put the checksum of a line behind it.

    Parameters
    ----------
    line : bytes
        Without a newline.

    Returns
    -------
    bytes
        The line, and a second one with its CRC-32 in eight hex digits.

    Examples
    --------
    >>> sealed_line(b"one line")
    b'one line\ndec880c1\n'
    """
    return line + b"\n%08x\n" % zlib.crc32(line)


def unsealed_line(data: bytes) -> bytes | None:
    """
    Read a line that `sealed_line` has written.

    Parameters
    ----------
    data : bytes
        Any.

    Returns
    -------
    bytes or None
        The line; None where anything is damaged, missing or left over.
    """
    line = data.partition(b"\n")[0]
    return line if data == sealed_line(line) else None
