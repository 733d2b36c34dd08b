"""
The only door to the operating system: every open, write, sync, map and lock goes through `Files`.

One seam, so that tests can put a crashing or a failing twin in its place. Writes loop until every
byte is taken; a new file is durable once it *and* its directory are synced.

Linux and macOS. Not here: what the bytes mean (`layout`), which files there are (`manifest`).
"""

import contextlib
import errno
import fcntl
import mmap
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vecstore.errors import StoreLocked

Buffer = bytes | bytearray | memoryview

READ_BYTES = 1 << 20


class Lock:
    """
    A lock held on an open file; the system releases it when the process ends.

    Parameters
    ----------
    descriptor : int
        The open file that carries the lock.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Give the lock back; a second call does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class Files:
    """The file system as VecStore uses it."""

    def make_directory(self, path: Path) -> None:
        """
        Create a directory, its parents too; an existing one is kept.

        Parameters
        ----------
        path : Path
            The directory.
        """
        path.mkdir(parents=True, exist_ok=True)

    def names(self, path: Path) -> list[str]:
        """
        List a directory.

        Parameters
        ----------
        path : Path
            The directory.

        Returns
        -------
        list of str
            Sorted names.
        """
        return sorted(os.listdir(path))

    def size(self, path: Path) -> int:
        """
        Measure a file.

        Parameters
        ----------
        path : Path
            The file.

        Returns
        -------
        int
            Bytes.

        Raises
        ------
        FileNotFoundError
            If there is none.
        IsADirectoryError
            If it is no regular file; reading it might block for ever.
        """
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, "not a regular file", str(path))
        return status.st_size

    def read(self, path: Path, most: int, offset: int = 0) -> bytes:
        """
        Read a few bytes of a file.

        Parameters
        ----------
        path : Path
            The file.
        most : int
            Bytes to read at most.
        offset : int
            Where to begin.

        Returns
        -------
        bytes
            Fewer than `most` at the end of the file.
        """
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(most)

    def blocks(self, path: Path, length: int, block_bytes: int = READ_BYTES) -> Iterator[bytes]:
        """
        Read the first `length` bytes of a file, block by block.

        Parameters
        ----------
        path : Path
            The file.
        length : int
            Bytes wanted; a shorter file ends the iteration early.
        block_bytes : int
            Size of every block but the last.

        Yields
        ------
        bytes
            The next block.
        """
        with open(path, "rb", buffering=0) as file:
            while length > 0:
                block = bytearray()
                wanted = min(block_bytes, length)
                while len(block) < wanted and (part := file.read(wanted - len(block))):
                    block += part
                if not block:
                    return
                length -= len(block)
                yield bytes(block)

    def write_new(self, path: Path, chunks: Iterable[Buffer]) -> None:
        """
        Write a file from its beginning and sync it.

        Parameters
        ----------
        path : Path
            Created, or emptied first.
        chunks : iterable of bytes-like
            The content.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        try:
            _write_all(descriptor, 0, chunks)
            _sync(descriptor)
        finally:
            os.close(descriptor)

    def write_at(self, path: Path, offset: int, chunks: Iterable[Buffer]) -> None:
        """
        Write into an existing file and sync it.

        Parameters
        ----------
        path : Path
            The file.
        offset : int
            Where to begin.
        chunks : iterable of bytes-like
            The content.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            _write_all(descriptor, offset, chunks)
            _sync(descriptor)
        finally:
            os.close(descriptor)

    def resize(self, path: Path, length: int) -> None:
        """
        Cut a file, or extend it with a hole that takes no space.

        Parameters
        ----------
        path : Path
            The file.
        length : int
            Its new size in bytes.
        """
        os.truncate(path, length)

    def map(self, path: Path, length: int) -> NDArray[np.uint8]:
        """
        Map the first `length` bytes of a file, copy-on-write.

        Parameters
        ----------
        path : Path
            A file at least that long.
        length : int
            Bytes, not 0.

        Returns
        -------
        uint8[length]
            Writable, so that kernels see one type; writes stay in this process. The map lives as
            long as an array looks into it.
        """
        with open(path, "rb") as file:
            return np.frombuffer(
                mmap.mmap(file.fileno(), length, access=mmap.ACCESS_COPY), np.uint8
            )

    def replace(self, source: Path, target: Path) -> None:
        """
        Rename a file over another, atomically.

        Parameters
        ----------
        source, target : Path
            In one directory.
        """
        os.replace(source, target)

    def remove(self, path: Path) -> None:
        """
        Remove a file; a missing one is fine.

        Parameters
        ----------
        path : Path
            The file.
        """
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)

    def sync_directory(self, path: Path) -> None:
        """
        Make the names in a directory durable.

        Parameters
        ----------
        path : Path
            The directory.
        """
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _sync(descriptor)
        finally:
            os.close(descriptor)

    def lock(self, path: Path) -> Lock:
        """
        Take the exclusive lock of a store.

        Parameters
        ----------
        path : Path
            The lock file; created where it is missing. Its text names the holder.

        Returns
        -------
        Lock
            Held until released.

        Raises
        ------
        StoreLocked
            If another handle holds it.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            if exc.errno in (errno.EACCES, errno.EAGAIN):
                raise StoreLocked(path.parent, holder or "another process") from None
            raise
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()}\n".encode(), 0)
        return Lock(descriptor)


def _write_all(descriptor: int, offset: int, chunks: Iterable[Buffer]) -> None:
    for chunk in chunks:
        rest = memoryview(chunk).cast("B")
        while len(rest) > 0:
            written = os.pwrite(descriptor, rest, offset)  # may take fewer bytes than offered
            offset += written
            rest = rest[written:]


def _sync(descriptor: int) -> None:
    if sys.platform == "darwin":  # pragma: no cover
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)  # fsync alone leaves bytes in the drive's cache
    else:
        os.fsync(descriptor)
