"""A store over a file system of the test's own, and all that can be asked of it."""

import contextlib
import zlib
from pathlib import Path
from typing import NamedTuple

import pytest

import vecstore
from tests.crash.workloads import BEGAN, CONFIG, REOPEN, rows
from tests.storage.crashing import CrashingFiles
from tests.storage.damage import abandon

PLACE = Path("/store")


class State(NamedTuple):
    """
    What a store holds, to be compared with what it should hold.

    `data` is its fingerprint, its records and some hits; `snapshots` what it says of each.
    """

    data: tuple
    snapshots: list


class _Clock:
    """Seconds that pass by themselves, one a call: every fourth call syncs under "interval"."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        self.now += 1.0
        return self.now


class _Salts:
    """Salts of logs that follow from a word, so that the same history gives the same images."""

    def __init__(self, word):
        self.word = word
        self.n_made = 0

    def __call__(self):
        self.n_made += 1
        return zlib.crc32(f"{self.word} {self.n_made}".encode()) | 0x01010101


class BusyFiles(CrashingFiles):
    """
    A file system in which something is done when a file is about to be written.

    Attributes
    ----------
    meanwhile : (str, callable) or None
        How the name of the file begins, and what is then done, once.
    """

    meanwhile = None

    def open(self, path, *, create=False):
        if self.meanwhile is not None and path.name.startswith(self.meanwhile[0]):
            (_, call), self.meanwhile = self.meanwhile, None
            call()
        return super().open(path, create=create)


class Session:
    """
    An open store.

    Parameters
    ----------
    files : Files
        What it lies in.
    settings : dict
        Its configuration beyond `CONFIG`.
    word : str
        Decides the salts of its logs.
    mode : str
        As `vecstore.open` takes it.

    Attributes
    ----------
    prepared_bytes, payload_bytes : int
        Small, so that the end of prepared room is met, and calls of many frames.
    """

    prepared_bytes = 700
    payload_bytes = 600

    def __init__(self, files, settings, word="first", mode="a"):
        self.files = files
        self._settings = settings
        self._mode = mode
        self._salts = _Salts(word)
        self._seconds = _Clock()
        self._now = BEGAN
        self.store = None
        self.perform(self._open)

    def _open(self):
        config = {**CONFIG, **self._settings}
        self.store = vecstore.open(
            PLACE, metric="l2", config=config, mode=self._mode, clock=lambda: self._now
        )

    def perform(self, call, *given):
        """Call something with this session's file system, salts and time in place."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("vecstore.store.Files", lambda: self.files)
            patch.setattr("vecstore.storage.wal._new_salt", self._salts)
            patch.setattr("vecstore.engine.journal.time", self._seconds)
            patch.setattr("vecstore.storage.wal.PREPARED_BYTES", self.prepared_bytes)
            patch.setattr("vecstore.storage.wal.MAX_PAYLOAD_BYTES", self.payload_bytes)
            return call(*given)

    def take(self, number, step, acknowledge=lambda: None):
        """
        Carry out a step, in the second that belongs to its place, and tell when it is done.

        Returns
        -------
        bool
            Whether it was taken when the step wanted it.
        """
        self._now = BEGAN + 1000 * number

        def taken():
            self.perform(step.call, self.store)
            if step is REOPEN:
                self.perform(self._open)
            acknowledge()

        if step.during is None:
            taken()
            return True
        self.files.meanwhile = (step.during, taken)
        self.perform(self.store.checkpoint)
        if self.files.meanwhile is None:
            return True
        self.files.meanwhile = None
        taken()
        return False

    def state(self):
        """Ask the store for all it holds, long after every step."""
        return State(self.data(), self.perform(self._snapshots))

    def data(self):
        """Ask for all but the snapshots."""
        self._now = BEGAN + 1_000_000
        return self.perform(self._data)

    def _data(self):
        store = self.store
        records = [
            record_fields(record)
            for deleted in (False, True)
            for record in store.records(deleted=deleted)
        ]
        near = store.query(rows(0)[0], k=5) if store.dim is not None else []
        hits = [(hit.id, hit.distance) for hit in near]
        return store.fingerprint(), records, hits

    def _snapshots(self):
        listed = self.store.list_snapshots()
        for info in listed:
            assert self.store.verify_snapshot(info.name).ok, info.name
        return [(info.name, info.created_at, info.seqno, info.records) for info in listed]

    def verify(self):
        """Check that the store finds nothing wrong with itself."""
        report = self.perform(self.store.verify)
        assert report.ok, report.problems

    def close(self):
        self.perform(self.store.close)

    @contextlib.contextmanager
    def ending(self):
        """Let go of the store in the end, as a crash does."""
        try:
            yield
        finally:
            abandon(self.store)


def record_fields(record):
    times = (record.created_at, record.expires_at, record.deleted_at)
    return record.id, record.vector.tolist(), record.metadata, times


class Models:
    """
    What stores hold that never crash: after 0, 1, 2 … steps of a workload.

    Parameters
    ----------
    workload : Workload
        The steps; those that change nothing are left out.
    """

    def __init__(self, workload):
        self._workload = workload
        self._states = {}

    def after(self, n_steps, *more):
        """Give the state after the first steps, and after more that follow the crash."""
        changing = [
            (number, step)
            for number, step in enumerate(self._workload.steps[:n_steps])
            if step.changes
        ]
        key = (len(changing), bool(more))
        if key not in self._states:
            self._states[key] = self._state(changing, more)
        return self._states[key]

    def _state(self, changing, more):
        session = Session(CrashingFiles(), self._workload.settings)
        with session.ending():
            for number, step in [*changing, *((len(self._workload.steps), step) for step in more)]:
                session.take(number, step._replace(during=None))
            return session.state()
