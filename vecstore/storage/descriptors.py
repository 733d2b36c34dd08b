"""
Files that stay open: the log's, and the lock's.

A forked child closes its copies at once: it must neither keep a lock that its parent gave back nor
write into the parent's log. Only `files` makes these.
"""

import contextlib
import errno
import fcntl
import os
import sys
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vecstore.errors import StoreLocked

Buffer = bytes | bytearray | memoryview
CLOSED = -1
SETTLED = b"closed\n"
_fadvise: Any = getattr(os, "posix_fadvise", None)  # macOS has none


class SyncFailed(OSError):
    """An fsync failed: what of the last writes is on the medium is unknown, and stays unknown."""


class Descriptor:
    """
    A file descriptor that can be closed twice, and is closed in a forked child.

    Parameters
    ----------
    number : int
        The system's number of the open file; later `CLOSED`, which the system refuses.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        _OPEN.add(self)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self.number != CLOSED:
            number, self.number = self.number, CLOSED
            os.close(number)


class Lock(Descriptor):
    """
    A lock held on an open file; the system releases it when the process ends.

    Parameters
    ----------
    path : Path
        The file; created where it is missing. Its text names the holder, or says that the last
        one ended well.

    Attributes
    ----------
    doubtful : bool
        Whether the last holder did not say at its end that all names are durable. If it was
        killed, or an fsync failed, the cache may have names that no later fsync makes durable.

    Raises
    ------
    StoreLocked
        If another handle holds it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666))
        try:
            self._take(path)
        except BaseException:
            self.close()
            raise

    def _take(self, path: Path) -> None:
        refusal = None
        try:
            # never a PID file: the system gives the lock back when the holder dies
            fcntl.flock(self.number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            if exc.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            refusal = exc
        text = os.pread(self.number, 32, 0)
        if refusal is not None:
            # subtle: between taking the lock and writing there, the holder has no name
            holder = text.decode("ascii", "replace").strip() if text != SETTLED else ""
            raise StoreLocked(path.parent, holder or "another process")
        self.doubtful = text != SETTLED
        os.ftruncate(self.number, 0)
        with contextlib.suppress(OSError):  # on a full disk nobody learns who holds it
            os.pwrite(self.number, f"process {os.getpid()}\n".encode(), 0)

    def settle(self) -> None:
        """Say that all names are durable; the next holder need not doubt what it finds."""
        with contextlib.suppress(OSError):  # then it doubts, which costs it two more fsyncs
            os.ftruncate(self.number, 0)
            os.pwrite(self.number, SETTLED, 0)

    def release(self) -> None:
        """Give the lock back; a second call does nothing."""
        self.close()


class OpenFile(Descriptor):
    """A file that stays open for writing; what is written is durable only after `sync`."""

    def write(self, offset: int, chunks: Iterable[Buffer]) -> None:
        """
        Write, in as many steps as the system wants.

        Parameters
        ----------
        offset : int
            Where to begin.
        chunks : iterable of bytes-like
            The content.
        """
        write_all(self.number, offset, chunks)

    def hurry(self, offset: int, length: int) -> None:
        """
        Let the system begin to write bytes to the medium, and do not wait for it.

        A `sync` that comes a little later then waits for less. What this gives is in
        ``docs/adr/0005-a-prepared-log.md``; nothing depends on it.

        Parameters
        ----------
        offset, length : int
            Which bytes.
        """
        if _fadvise is not None:
            # it also drops clean pages, but these are dirty; a call of its own Python does not have
            with contextlib.suppress(OSError):
                _fadvise(self.number, offset, length, os.POSIX_FADV_DONTNEED)

    def resize(self, length: int) -> None:
        """
        Cut the file, or extend it with a hole.

        Parameters
        ----------
        length : int
            Its new size in bytes.
        """
        os.ftruncate(self.number, length)

    def sync(self) -> None:
        """
        Make content and size durable.

        Raises
        ------
        SyncFailed
            If the system could not; trying again would prove nothing.
        """
        sync(self.number, data_only=True)


def write_all(descriptor: int, offset: int, chunks: Iterable[Buffer]) -> None:
    """
    Write into a file until every byte is taken.

    Parameters
    ----------
    descriptor : int
        The open file.
    offset : int
        Where to begin.
    chunks : iterable of bytes-like
        The content.
    """
    for chunk in chunks:
        rest = memoryview(chunk).cast("B")
        while rest:
            written = os.pwrite(descriptor, rest, offset)  # may take fewer bytes than offered
            offset += written
            rest = rest[written:]


def sync(descriptor: int, *, data_only: bool = False) -> None:
    """
    Make a file durable.

    Parameters
    ----------
    descriptor : int
        The open file or directory.
    data_only : bool
        Times of change need not be durable; the size always is.

    Raises
    ------
    SyncFailed
        If the system could not.
    """
    try:
        if sys.platform == "darwin":  # pragma: no cover
            try:
                # fsync alone leaves bytes in the drive's cache
                fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            except OSError as exc:
                if exc.errno not in (errno.ENOTSUP, errno.EINVAL, errno.ENOTTY):
                    raise
                os.fsync(descriptor)  # of a file system without it, such as one on a network
        elif data_only:
            os.fdatasync(descriptor)
        else:
            os.fsync(descriptor)
    except OSError as exc:
        raise SyncFailed(exc.errno, f"fsync failed: {exc.strerror}") from exc


_OPEN: "weakref.WeakSet[Descriptor]" = weakref.WeakSet()


def _close_in_child() -> None:
    for descriptor in list(_OPEN):
        descriptor.close()


_register: Any = getattr(os, "register_at_fork", None)
if _register is not None:
    _register(after_in_child=_close_in_child)
