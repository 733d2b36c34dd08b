"""
The only door to the operating system: every open, write, sync, map and lock goes through `Files`.

One seam, so that tests can put a crashing or a failing twin in its place. Writes loop until every
byte is taken; a new file is durable once it *and* its directory are synced. What stays open is in
`descriptors`, how files are mapped in `mapping`; nobody else uses these two.

Linux and macOS. Not here: what the bytes mean (`layout`), which files there are (`manifest`).
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecstore.storage.descriptors import (
    Buffer,
    Lock,
    OpenFile,
    SyncFailed,
    sync,
    write_all,
)
from vecstore.storage.mapping import map_private

__all__ = ["Buffer", "Files", "Lock", "OpenFile", "SyncFailed", "Usage"]

READ_BYTES = 1 << 20
_MOUNTS = Path("/proc/self/mounts")


class Usage(NamedTuple):
    """
    What a file takes.

    Attributes
    ----------
    size : int
        Bytes from its beginning to its end.
    allocated : int
        Bytes on the medium; holes take none.
    links : int
        Names it has.
    """

    size: int
    allocated: int
    links: int


class Files:
    """The file system as VecStore uses it."""

    def make_directory(self, path: Path) -> None:
        """
        Create a directory, its parents too, all durable; an existing one is kept.

        Parameters
        ----------
        path : Path
            The directory.
        """
        if not path.is_dir():
            if path.parent != path:
                self.make_directory(path.parent)
            path.mkdir(exist_ok=True)
            self.sync_directory(path.parent)

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
        Write a file of its own and sync it.

        Parameters
        ----------
        path : Path
            What had this name before loses it, and keeps its bytes where it has another.
        chunks : iterable of bytes-like
            The content.
        """
        with contextlib.closing(self.open(path, create=True)) as file:
            file.write(0, chunks)
            sync(file.number)

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
            write_all(descriptor, offset, chunks)
            sync(descriptor)
        finally:
            os.close(descriptor)

    def open(self, path: Path, *, create: bool = False) -> OpenFile:
        """
        Open a file to write to it again and again.

        Parameters
        ----------
        path : Path
            The file.
        create : bool
            Make it; a file of that name is removed first, never emptied: it may be a link.

        Returns
        -------
        OpenFile
            To be closed.
        """
        if create:
            self.remove(path)
        how = os.O_CREAT | os.O_EXCL if create else 0
        return OpenFile(os.open(path, os.O_RDWR | os.O_CLOEXEC | how, 0o666))

    def map(self, path: Path, length: int, capacity: int = 0) -> NDArray[np.uint8]:
        """
        Map the first `length` bytes of a file, copy-on-write.

        Parameters
        ----------
        path : Path
            A file at least that long.
        length : int
            Bytes of the file.
        capacity : int
            Bytes in all where zeros are to follow.

        Returns
        -------
        uint8[max(length, capacity)]
            Writable, so that kernels see one type; writes stay in this process. The map lives as
            long as an array looks into it, also when the file has been removed.
        """
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return map_private(descriptor, length, max(length, capacity))
        finally:
            os.close(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        """
        Rename a file over another, or a directory to a free name, atomically.

        Parameters
        ----------
        source, target : Path
            In one file system.
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

    def remove_directory(self, path: Path) -> None:
        """
        Remove an empty directory; a missing one is fine.

        Parameters
        ----------
        path : Path
            The directory.
        """
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(path)

    def link(self, source: Path, target: Path) -> None:
        """
        Give a file another name.

        Parameters
        ----------
        source : Path
            The file.
        target : Path
            A free name in the same file system.

        Raises
        ------
        OSError
            If the system refuses, as between devices or where it knows no links.
        """
        os.link(source, target)

    def usage(self, path: Path) -> Usage:
        """
        Say what a file takes.

        Parameters
        ----------
        path : Path
            The file.

        Returns
        -------
        Usage
            Sizes and links.
        """
        status = os.stat(path)
        return Usage(status.st_size, status.st_blocks * 512, status.st_nlink)

    def file_system(self, path: Path) -> str:
        """
        Name the kind of file system that a directory lies in.

        Parameters
        ----------
        path : Path
            The directory.

        Returns
        -------
        str
            As the system calls it, such as ``"ext4"``; empty where it does not say.
        """
        found = (0, "")
        with contextlib.suppress(OSError):
            wanted = Path(os.path.realpath(path))
            for line in _MOUNTS.read_text(errors="replace").splitlines():
                _, mount, kind, *_ = line.split(" ")
                point = Path(mount.replace("\\040", " "))
                if wanted.is_relative_to(point):
                    found = max(found, (len(point.parts), kind))
        return found[1]

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
            sync(descriptor)
        except SyncFailed as exc:
            if exc.errno != errno.EINVAL:  # some file systems have no fsync of directories
                raise
        finally:
            os.close(descriptor)

    def lock(self, path: Path) -> Lock:
        """
        Take the exclusive lock of a store.

        Parameters
        ----------
        path : Path
            The lock file; created where it is missing.

        Returns
        -------
        Lock
            Held until released.

        Raises
        ------
        StoreLocked
            If another handle holds it.
        """
        return Lock(path)
