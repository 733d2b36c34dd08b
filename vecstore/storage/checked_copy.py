"""
The files of a store as streams of bytes, each byte compared with its checksum before it is given.

A stream holds its file from the moment it is made, so that it goes on when a checkpoint removes the
name. Not here: where the bytes go (`engine.backup`).
"""

import itertools
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vecstore.errors import CorruptData
from vecstore.storage.checkpoint import check_file, rows_sums
from vecstore.storage.checksums import BLOCK_BYTES
from vecstore.storage.evidence import covered_bytes
from vecstore.storage.files import Files
from vecstore.storage.frames import (
    FRAME_HEADER_BYTES,
    LOG_HEADER_BYTES,
    LogHeader,
    claimed_frame,
    pack_log_header,
    parse_frame,
)
from vecstore.storage.manifest import Manifest


def copied_file(files: Files, root: Path, manifest: Manifest, role: str) -> Iterator[bytes]:
    """
    Copy one file of a generation.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        Where it lies.
    manifest : Manifest
        Which names it.
    role : str
        Which file.

    Returns
    -------
    iterator of bytes
        As many as the manifest says; ends with `CorruptData` at the first damage.

    Raises
    ------
    FileNotFoundError
        If it is gone.
    CorruptData
        If its checksums are damaged.
    """
    entry = manifest.files[role]
    path = root / entry.name
    blocks = _held(files, path, entry.length)
    if role == "vectors":
        check_file(files, root, manifest, "checksums")
        sums = rows_sums(files, root, manifest).copy()
        return _checked(path, blocks, entry.length, sums, b"")
    covered = covered_bytes(entry.length)
    trailer = files.read(path, entry.length - covered, covered)
    sums = np.frombuffer(trailer[:-4], "<u4")
    if not zlib.crc32(trailer[:-4]) == int.from_bytes(trailer[-4:], "little") == entry.seal:
        raise CorruptData(path, covered, "this is not the file the manifest names")
    return _checked(path, blocks, covered, sums, trailer)


def copied_log(files: Files, path: Path, header: LogHeader, end: int) -> Iterator[bytes]:
    """
    Copy a log up to a place.

    Parameters
    ----------
    files : Files
        The file system.
    path : Path
        The log.
    header : LogHeader
        As it was read.
    end : int
        Behind a frame; everything before it is durable.

    Returns
    -------
    iterator of bytes
        Frame by frame; ends with `CorruptData` at the first damage.

    Raises
    ------
    FileNotFoundError
        If it is gone.
    """
    return _checked_frames(path, _held(files, path, end), header, end)


def _held(files: Files, path: Path, length: int) -> Iterator[bytes]:
    """Open a file now, and read it later."""
    blocks = files.blocks(path, length, BLOCK_BYTES)
    return itertools.chain([next(blocks, b"")], blocks)


def _checked(
    path: Path, blocks: Iterator[bytes], covered: int, sums: NDArray[np.uint32], tail: bytes
) -> Iterator[bytes]:
    """Let bytes through that match: the first so many their checksums, the others `tail`."""
    at = 0
    for number, block in enumerate(blocks):
        inside = block[: max(0, covered - at)]
        if inside and (number >= len(sums) or zlib.crc32(inside) != sums[number]):
            raise CorruptData(path, at, "a block does not match its checksum")
        at += len(block)
        behind = max(0, at - covered)
        if block[len(inside) :] != tail[behind - len(block) + len(inside) : behind]:
            raise CorruptData(path, covered, "the checksums have changed")
        yield block
    if at != covered + len(tail):
        raise CorruptData(path, at, f"the file ends here instead of at byte {covered + len(tail)}")


def _checked_frames(
    path: Path, blocks: Iterator[bytes], header: LogHeader, end: int
) -> Iterator[bytes]:
    """Let the header and whole frames through."""
    pending, at = bytearray(), 0
    for block in blocks:
        pending += block
        begin = 0
        while size := _frame_bytes(pending, begin, at):
            whole = bytes(pending[begin : begin + size])
            expected = pack_log_header(header) if at == 0 else whole
            sound = at == 0 or parse_frame(memoryview(whole), at, header.salt) is not None
            if whole != expected or not sound:
                raise CorruptData(path, at, "what was read a moment ago is not there any more")
            yield whole
            at, begin = at + size, begin + size
        del pending[:begin]
    if at != end:
        raise CorruptData(path, at, f"the log ends here instead of at byte {end}")


def _frame_bytes(pending: bytearray, begin: int, at: int) -> int:
    """Say how long the next frame, or the header, is; 0 where it has not come as a whole."""
    size = LOG_HEADER_BYTES
    if at > 0:
        claim = claimed_frame(memoryview(pending[begin : begin + FRAME_HEADER_BYTES]), at)
        if claim is None:
            return 0
        size = claim.frame.end - at
    return size if size <= len(pending) - begin else 0
