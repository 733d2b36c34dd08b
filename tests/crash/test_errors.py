"""Scenario: the system refuses the nth operation, once or for good, for n = 0, 1, 2 …"""

import contextlib
import errno
import itertools

import pytest

from tests.crash.cases import CASES, CREATION, begun, model
from tests.crash.sessions import BusyFiles, Session
from tests.crash.workloads import AFTER
from tests.larger_data import sized
from tests.storage.failing import GROWING, READS, SYNCS, FailingFiles
from tests.storage.medium import EVERYTHING, NOTHING, seeded
from vecstore.errors import NotFound, StorePoisoned

MOST = 2000
KINDS = {
    "EIO once": {},
    "EIO once, after taking effect": {"late": True},
    "EIO for good": {"dead": True},
    "EIO for good, after taking effect": {"dead": True, "late": True},
    "EINTR once": {"error": errno.EINTR},
    "interrupted when all is written": {
        "error": errno.EINTR,
        "counted": ("write",),
        "late": True,
        "taken": 1.0,
    },
    "ENOSPC once": {"error": errno.ENOSPC},
    "short write": {"error": errno.ENOSPC, "counted": GROWING, "late": True},
    "full": {"error": errno.ENOSPC, "counted": GROWING, "dead": True},
    "full after a short write": {
        "error": errno.ENOSPC,
        "counted": GROWING,
        "dead": True,
        "late": True,
    },
    "fsync once": {"counted": SYNCS},
    "fsync once, dropping the pages": {"counted": SYNCS, "loses": True},
    "fsync for good, dropping the pages": {"counted": SYNCS, "loses": True, "dead": True},
    "short writes and fsyncs for good": {"counted": ("write", *SYNCS), "dead": True, "late": True},
    "cuts for good": {"counted": ("write", "resize"), "dead": True, "late": True},
    "reading once": {"counted": (*READS, "map")},
    "reading for good": {"counted": (*READS, "map"), "dead": True},
}
SAMPLE = ("EIO once", "short write", "full", "fsync once, dropping the pages")

_SWAPPED = {
    step.name
    for step in CASES["everything"][1]
    if step.name.startswith(("optimize", "compact", "create", "restore", "delete_snapshot"))
}
"""Acknowledged by a renaming, not by the log: after an error both is possible."""


class Attempt:
    """
    All steps of a case, taken while something fails; then the system recovers.

    Attributes
    ----------
    done : list of int
        Numbers of the steps that were acknowledged.
    unknown : list of int
        Those that failed in such a way that they may have happened.
    lingering : int or None
        The call that failed last: a crash may bring it back until another was acknowledged.
    poisoned : bool
        Whether the store refused a write because a sync had failed.
    """

    def __init__(self, case, files):
        self._case = case
        self._files = files
        self._settings, self._steps = CASES[case]
        self._after = ()
        self.done, self.unknown, self.lingering = [], [], None
        self.poisoned = False

    def run(self):
        try:
            session = self._open()
        except OSError:
            self._files.at = None
            session = self._open()  # nobody holds its lock
        with session.ending():
            for number, step in enumerate(self._steps):
                self._take(session, number, step)
                if self._files.failed:
                    self._check_answers(session)
                if self.lingering == number:
                    self._check_survivors(NOTHING, EVERYTHING)
            self._write_again(session)
            self._check_survivors(NOTHING, EVERYTHING, seeded(len(self.done)))
            with contextlib.suppress(StorePoisoned) if self.poisoned else contextlib.nullcontext():
                session.close()
        self._check_survivors(NOTHING)

    def _open(self):
        return Session(self._files, self._settings, f"attempt {self._files.at}")

    def _take(self, session, number, step):
        refused = self.poisoned
        try:
            session.take(number, step)
        except NotFound:
            return  # of what an earlier step did not make
        except StorePoisoned:
            self.poisoned = True
            if not refused:
                self.unknown.append(number)
        except OSError:
            if step.name in _SWAPPED:
                self.unknown.append(number)
            elif step.changes:
                self.lingering = number
        else:
            self.done.append(number)
            self.lingering = None
            if refused:  # until it is reopened, it takes no more than what changes nothing
                before = model(self._case, tuple(self.done[:-1]))
                assert model(self._case, tuple(self.done)) == before, step.name

    def _check_answers(self, session):
        """Ask the live store for everything."""
        counted, self._files.counted = self._files.counted, ()
        state = session.state()
        self._files.counted = counted
        assert state in self._possible(), (self.done, self.unknown, state)

    def _possible(self, *lingering):
        unknown = [*self.unknown, *lingering]
        for n in range(len(unknown) + 1):
            for happened in itertools.combinations(unknown, n):
                with contextlib.suppress(NotFound):
                    steps = tuple(sorted([*self.done, *happened]))
                    yield model(self._case, steps, *self._after)

    def _write_again(self, session):
        """Write once the system has recovered: that is refused only where a sync had failed."""
        self._files.at = None
        try:
            session.take(len(self._steps), AFTER)
        except StorePoisoned:
            self.poisoned = True
        else:
            assert not self.poisoned
            self._after, self.lingering = (AFTER,), None
        self._check_answers(session)

    def _check_survivors(self, *choices):
        """Crash, and find everything that was acknowledged."""
        for choice in choices:
            session = Session(self._files.inner.crash(choice), self._settings, "after all")
            with session.ending():
                session.verify()
                state = session.state()
                lingering = [] if self.lingering is None else [self.lingering]
                where = (choice.name, self.done, self.unknown, lingering)
                assert state in self._possible(*lingering), (*where, state)
                session.close()


def attempts(case, kind, stride):
    """Fail at every `stride`-th operation until the steps pass; return the attempts."""
    made = []
    for at in range(0, MOST, stride):
        files = FailingFiles(at, inner=BusyFiles(begun(case)), **KINDS[kind])
        attempt = Attempt(case, files)
        try:
            attempt.run()
        except Exception as error:
            error.add_note(f"{kind} at {at}: {files.done[at - 3 : at + 3]}")
            raise
        made.append(attempt)
        if len(files.done) <= at:
            return made
    raise AssertionError(f"{MOST} operations and no end")


@pytest.mark.parametrize("kind", SAMPLE)
def test_nothing_acknowledged_is_lost_when_the_system_refuses_some_operations(kind):
    assert len(attempts("everything", kind, stride=9)) > 5


@pytest.mark.slow
@pytest.mark.parametrize("case", sorted({*CASES} - {CREATION}))
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_acknowledged_is_lost_when_the_system_refuses_any_operation(kind, case):
    made = attempts(case, kind, stride=sized(1, 9))

    assert all(not attempt.unknown for attempt in made[-1:])
    if kind.startswith("fsync"):
        assert sum(attempt.poisoned for attempt in made) > len(made) // 3
