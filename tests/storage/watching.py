"""
A twin of `Files` for tests that says what it is about to do, and may be told to wait there;
stores that are opened through a twin, and let go as a crash does.
"""

import contextlib
import threading
from unittest import mock

import vecstore
from tests.storage.damage import abandon
from tests.storage.failing import FailingFiles

PATIENCE_S = 60
"""A test that waits longer has met a deadlock."""


class WatchedFiles(FailingFiles):
    """
    Calls the watchers before each operation, with its name and the name of its file.

    Parameters
    ----------
    *watchers : callable
        More may be appended to the attribute of that name.
    **settings : dict
        As `FailingFiles` takes them.
    """

    def __init__(self, *watchers, **settings):
        super().__init__(**settings)
        self.watchers = list(watchers)

    def perform(self, name, path, operation, *given, lose=None):
        for watch in self.watchers:
            watch(name, path.name)
        return super().perform(name, path, operation, *given, lose=lose)


class Gate:
    """
    A watcher at which operations of a kind wait until the gate is opened.

    Parameters
    ----------
    operation : str
        Such as ``"write_new"``.
    prefix : str
        How the name of the file begins.
    first : bool
        Let all but the first of them pass.
    """

    def __init__(self, operation, prefix="", *, first=False):
        self._operation = operation
        self._prefix = prefix
        self._first = first
        self._reached = threading.Event()
        self._opened = threading.Event()

    def __call__(self, operation, file):
        stops = operation == self._operation and file.startswith(self._prefix)
        if stops and not (self._first and self._reached.is_set()):
            self._reached.set()
            assert self._opened.wait(PATIENCE_S), f"nobody let {operation} of {file} go on"

    def wait(self):
        """Wait until somebody stands at the gate."""
        assert self._reached.wait(PATIENCE_S), f"no {self._operation} of {self._prefix}"

    def open(self):
        """Let everybody pass from now on."""
        self._opened.set()


def opened_through(files, root, **settings):
    """Open a store whose every call of the system goes through `files`."""
    with mock.patch("vecstore.store.Files", return_value=files):
        return vecstore.open(root, **settings)


@contextlib.contextmanager
def let_go(store):
    """Give a store, and let go of it in the end as a crash does, unless it was closed."""
    try:
        yield store
    finally:
        abandon(store)
