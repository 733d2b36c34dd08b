"""What the tests of the journal share: one in memory, for which time passes when they say so."""

import threading
from pathlib import Path

from tests.engine.waiting import Hourglass, Line
from tests.storage.watching import PATIENCE_S
from vecstore.config import StoreConfig
from vecstore.engine.journal import Journal
from vecstore.storage.wal import Log

HOME = Path("/store")
FIRST = "wal-000001.log"


class CutShort(KeyboardInterrupt):
    """Ctrl-C, told apart from a real one."""


def begun(files, durability="full", maintenance="inline", **config):
    """
    Begin a journal.

    Its hourglass, which is what its thread waits for, and the line of those who wait for a sync are
    attributes of it.
    """
    config = StoreConfig(durability=durability, maintenance=maintenance, **config)
    log = Log.create(files, HOME, 0)
    journal = Journal(files, HOME, log, 0, threading.RLock(), config)
    journal.thread._stop = journal.glass = Hourglass()
    journal._done = journal.line = Line()
    return journal


def append(journal, payload=b"x"):
    return journal.append(journal.log.seqno + 1, 1, [payload])


def ended(journal):
    """Wait until the thread of a journal has nothing to do any more."""
    thread = journal.thread._thread
    if thread is not None:
        thread.join(PATIENCE_S)
    return journal.thread._thread is None


def fail_syncs(files, *, dead=False):
    files.counted = ("sync",)
    files.fail_after(0, dead=dead)
