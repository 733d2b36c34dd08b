"""
A twin of `Files` for tests that fails at the nth operation, and writes down what it did.

It stands before the real `Files` or before a `CrashingFiles`. What is written by `write_new` and
`write_at` counts twice, since writing may fail, and syncing what was written.
"""

import errno
import functools
import inspect
import os

from vecstore.storage.files import Files, SyncFailed

GROWING = ("make_directory", "write_new", "write_at", "create", "write", "resize", "link")
"""
What needs room on the medium: `create` is to open a new file; `write`, `resize` and `sync` are
what is done to an open one.
"""
CHANGES = (*GROWING, "open", "replace", "remove", "remove_directory")
SYNCS = ("sync", "sync_directory")
OPERATIONS = (*CHANGES, *SYNCS, "map")
READS = ("names", "size", "read", "blocks", "usage")


class FailingFiles(Files):
    """
    Raises OSError at one operation, and at all after it if it is `dead`.

    Parameters
    ----------
    at : int or None
        Number of the operation, counted from 0; None fails never.
    dead : bool
        Whether the system never recovers.
    late : bool
        Whether the operation takes effect before it fails: a write in part, the others whole.
    taken : float
        The share of a write's bytes that a late failure lets through.
    error : int
        The system's number of the error.
    loses : bool
        Whether a sync that fails drops what was to be synced; `inner` is then a `CrashingFiles`.
    shows : bool
        Whether the system goes on to show what it dropped, as if it were there.
    counted : container of str
        The operations that are counted and fail; all others pass.
    inner : Files
        The file system behind it.

    Attributes
    ----------
    done : list of (str, str)
        Name and file of the operations counted so far.
    """

    def __init__(
        self,
        at=None,
        *,
        dead=False,
        late=False,
        taken=0.5,
        error=errno.EIO,
        loses=False,
        shows=False,
        counted=OPERATIONS,
        inner=None,
    ):
        self.at = at
        self.dead = dead
        self.late = late
        self.taken = taken
        self.error = error
        self.loses = loses
        self.shows = shows
        self.counted = counted
        self.inner = inner or Files()
        self.done = []

    @property
    def failed(self):
        return self.at is not None and len(self.done) > self.at

    def fail_after(self, count, *, dead=False, late=False):
        """Let `count` more operations pass, then fail."""
        self.at, self.dead, self.late = len(self.done) + count, dead, late

    def write_new(self, path, chunks):
        self._write_whole("write_new", path, 0, chunks)

    def write_at(self, path, offset, chunks):
        self._write_whole("write_at", path, offset, chunks)

    def open(self, path, *, create=False):
        operation = functools.partial(self.inner.open, path, create=create)
        name = "create" if create else "open"
        return _FailingOpenFile(self, path, self.perform(name, path, operation))

    def sync_directory(self, path):
        lose = functools.partial(self.inner.lose, path) if self.loses else None
        self.perform("sync_directory", path, self.inner.sync_directory, path, lose=lose)

    def _write_whole(self, name, path, offset, chunks):
        # opening counts with the writing, and does not happen if that fails early
        create = name == "write_new"
        opened = []

        def write(chunks):
            opened.append(self.inner.open(path, create=create))
            opened[0].write(offset, chunks)

        try:
            self.perform(name, path, write, chunks)
            self.perform("sync", path, opened[0].sync, lose=getattr(opened[0], "lose", None))
        finally:
            for file in opened:
                file.close()

    def perform(self, name, path, operation, *given, lose=None):
        """Count an operation, and carry it out unless this is the one to fail."""
        if name not in self.counted:
            return operation(*given)
        number = len(self.done)
        self.done.append((name, path.name))
        if self.at is None or number < self.at or (number > self.at and not self.dead):
            return operation(*given)
        if number == self.at and self.late:
            given = _part(given, self.taken) if name.startswith("write") else given
            effect = operation(*given)
            if hasattr(effect, "close"):
                effect.close()  # the caller gets no hold of it
        if number == self.at and self.loses and lose:
            lose(shows=self.shows)
        # without a free descriptor a directory is not even opened to be synced
        kind = SyncFailed if name in SYNCS and self.error != errno.EMFILE else OSError
        raise kind(self.error, f"{name} failed: {os.strerror(self.error)}", str(path))


class _FailingOpenFile:
    """A twin of `OpenFile`."""

    def __init__(self, files, path, inner):
        self._files = files
        self._path = path
        self._inner = inner

    @property
    def number(self):
        return self._inner.number

    def write(self, offset, chunks):
        self._files.perform(
            "write", self._path, functools.partial(self._inner.write, offset), chunks
        )

    def hurry(self, offset, length):
        self._inner.hurry(offset, length)

    def resize(self, length):
        self._files.perform("resize", self._path, self._inner.resize, length)

    def sync(self):
        lose = getattr(self._inner, "lose", None)
        self._files.perform("sync", self._path, self._inner.sync, lose=lose)

    def close(self):
        self._inner.close()


def _part(given, share):
    *rest, chunks = given
    whole = b"".join(bytes(memoryview(chunk).cast("B")) for chunk in chunks)
    return [*rest, [whole[: int(len(whole) * share)]]]


def _operation(name):
    def operation(self, path, *rest, **named):
        inner = functools.partial(getattr(self.inner, name), **named)
        return self.perform(name, path, inner, path, *rest)

    return operation


for _name, _ in inspect.getmembers(Files, inspect.isfunction):
    if not _name.startswith("_") and _name not in vars(FailingFiles):
        setattr(FailingFiles, _name, _operation(_name))


def until_it_passes(inner=Files, most=200, **settings):
    """
    Yield failing twins, each failing one operation later, until one was not used up.

    `inner` makes the file system behind each of them.
    """
    for at in range(most):
        files = FailingFiles(at, inner=inner(), **settings)
        yield files
        if not files.failed:
            return
    raise AssertionError(f"{most} operations and no end")
