"""A journal to test, on files in memory."""

import pytest

from tests.engine.journals import HOME, begun
from tests.storage.crashing import CrashingFiles
from tests.storage.watching import WatchedFiles


@pytest.fixture
def files():
    inner = CrashingFiles()
    inner.make_directory(HOME)
    return WatchedFiles(inner=inner, counted=())


@pytest.fixture
def begin(files):
    """Give a function that begins a journal; at the end it is let go of."""
    journals = []

    def begin(*given, **settings):
        journals.append(begun(files, *given, **settings))
        return journals[-1]

    yield begin
    for journal in journals:
        journal.thread.stop()
        journal.abandon()


@pytest.fixture
def syncs(files):
    """Give a list that grows by each sync of a log."""
    seen = []
    files.watchers.append(lambda name, file: seen.append(file) if name == "sync" else None)
    return seen
