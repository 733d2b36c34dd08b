"""
Scenario: a writer ends in the middle of something, another opens what it left, and the power goes.

The system lived on in between, so the second writer saw all that the first had done, also what was
not durable, or never can be: a name that a failed fsync dropped looks like any other. Whatever it
acknowledges must not rest on that.
"""

import contextlib
import errno

import pytest

from tests.crash.cases import CASES, begun, model
from tests.crash.sessions import BusyFiles, Session
from tests.crash.workloads import AFTER, one
from tests.larger_data import sized
from tests.storage.failing import SYNCS, FailingFiles
from tests.storage.medium import CONTENT, NAMES, NOTHING, seeded
from vecstore.errors import NotFound, StorePoisoned

MOST = 2000
NAMED = ("replace", "sync_directory")
CHOICES = (NOTHING, CONTENT, NAMES, *map(seeded, range(2)))


LATER = one("create_snapshot", "later")


class Killed(BaseException):
    """The process ends here."""


class KillingFiles(FailingFiles):
    """Ends the process at one operation."""

    def perform(self, *given, **named):
        try:
            return super().perform(*given, **named)
        except OSError:
            if self.failed:
                raise Killed from None
            raise


KINDS = {
    "killed before": (KillingFiles, {"dead": True}),
    "killed after": (KillingFiles, {"dead": True, "late": True}),
    "killed in the middle": (KillingFiles, {"dead": True, "late": True, "counted": ("write",)}),
    "no descriptors": (FailingFiles, {"counted": NAMED, "error": errno.EMFILE}),
    "renamed, but refused": (FailingFiles, {"counted": NAMED, "late": True}),
    "names and pages dropped": (FailingFiles, {"counted": SYNCS, "loses": True}),
    "names and pages only shown": (FailingFiles, {"counted": SYNCS, "loses": True, "shows": True}),
}


class Lives:
    """
    Two writers, one after the other, and a crash.

    Attributes
    ----------
    done : list of int
        Numbers of the steps that the first acknowledged.
    unknown : int or None
        That which it was about.
    """

    def __init__(self, case, files):
        self._case = case
        self._files = files
        self._settings, self._steps = CASES[case]
        self.done, self.unknown = [], None

    def run(self):
        self._first()
        if self.done:
            for choice in CHOICES:
                self._check_survivor(choice, self._possible())
        second = self._open(self._files.inner, "second")
        with second.ending():
            second.verify()
            found, possible = second.state(), self._possible()
            assert found in possible, (self.done, self.unknown, found)
            for number, more in enumerate([(AFTER,), (AFTER, LATER)]):
                second.take(len(self._steps) + number, more[-1])
                wanted = second.state()
                assert wanted in self._possible(*more)
                for choice in CHOICES:
                    self._check_survivor(choice, self._possible(*more), wanted)

    def _open(self, files, word):
        return Session(files, self._settings, word)

    def _first(self):
        try:
            session = self._open(self._files, "first")
        except (Killed, OSError):
            return
        with session.ending():
            for number, step in enumerate(self._steps):
                try:
                    session.take(number, step)
                except (Killed, StorePoisoned):
                    self.unknown = number
                    return
                except OSError:
                    self.unknown = number
                    continue
                except NotFound:
                    continue
                self.done.append(number)
            with contextlib.suppress(Killed, OSError, StorePoisoned):
                session.close()

    def _possible(self, *more):
        done = tuple(self.done)
        maybe = [] if self.unknown is None else [tuple(sorted([*done, self.unknown]))]
        return [model(self._case, steps, *more) for steps in (done, *maybe)]

    def _check_survivor(self, choice, possible, wanted=None):
        """Crash; find the state that there was, or one of those that are possible."""
        third = self._open(self._files.inner.crash(choice), "third")
        with third.ending():
            third.verify()
            where = (choice.name, self.done, self.unknown)
            states = [wanted] if wanted is not None else possible
            assert third.data() in [state.data for state in states], where
            if self._files.loses and self._step.startswith("delete_snapshot"):
                return  # that call raised, and part of the snapshot may be there again
            # a snapshot whose making or deleting was not acknowledged may still go either way
            assert third.state().snapshots in [s.snapshots for s in (*states, *possible)], where

    @property
    def _step(self):
        return "" if self.unknown is None else self._steps[self.unknown].name


def lives(case, kind, stride):
    """End the first writer at every `stride`-th operation; return how often."""
    make, how = KINDS[kind]
    for n, at in enumerate(range(0, MOST, stride), 1):
        files = make(at, inner=BusyFiles(begun(case)), **how)
        try:
            Lives(case, files).run()
        except Exception as error:
            error.add_note(f"{kind} at {at}: {files.done[max(0, at - 3) : at + 3]}")
            raise
        if not files.failed:
            return n
    raise AssertionError(f"{MOST} operations and no end")


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_second_writer_acknowledges_survives_when_the_first_ended_anywhere(kind):
    assert lives("creation", kind, stride=1) > 5
    assert lives("everything", kind, stride=13) > 2


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_second_writer_acknowledges_survives_when_the_first_ended_at_any_operation(
    kind, case
):
    assert lives(case, kind, stride=sized(1, 5)) > 1
