"""
Crashing at every operation of a recorded workload, and looking at what comes back.

A workload runs once; its journal then gives the images that a crash may leave at every moment.
Each is opened, checked against stores that never crashed, written to and closed; of some, that
recovery is recorded in turn, and crashes at every moment too.
"""

import bisect
import contextlib
from typing import NamedTuple

from tests.crash.sessions import BusyFiles, Models, Session
from tests.crash.workloads import AFTER
from tests.storage.medium import (
    CONTENT,
    EVERYTHING,
    NAMES,
    NOTHING,
    Image,
    Rename,
    Sync,
    before,
    moments,
    seeded,
    since,
)
from vecstore.errors import NotAStore

SEEN = set()
"""Fingerprints of all images that were tried."""


class Promise(NamedTuple):
    """
    How many steps may have survived.

    Attributes
    ----------
    least : int
        Steps that must have, as far as they went into the log.
    acknowledged : int
        Steps that must have if they make or delete snapshots, which no level holds back.
    most : int
        Steps that may have.
    """

    least: int
    acknowledged: int
    most: int


class Recording(NamedTuple):
    """
    A workload that was carried out, or a recovery.

    Attributes
    ----------
    image : Image
        What it began with.
    journal : list of Operation
        What it did to its file system.
    begun, acknowledged : list of int
        For each step, where in the journal it began, and where it was acknowledged.
    durability : str
        The level of the store.
    """

    image: Image
    journal: list
    begun: list
    acknowledged: list
    durability: str

    def promised(self, place, choice):
        """Say what may have survived a crash at a place."""
        told = place
        if self.durability != "full" and choice is not EVERYTHING:
            told = self._last_sync(place)
        return Promise(
            bisect.bisect_right(self.acknowledged, told),
            bisect.bisect_right(self.acknowledged, place),
            bisect.bisect_right(self.begun, place),
        )

    def _last_sync(self, place):
        """Find the place where a log was synced last."""
        logs = {node for node, name in self._names().items() if name.startswith("wal-")}
        for at in range(place - 1, -1, -1):
            operation = self.journal[at]
            if isinstance(operation, Sync) and operation.node in logs:
                return at
        return 0

    def _names(self):
        """Give each file and directory the name that it had last."""
        names = {n: name for entries in self.image.names.values() for name, n in entries.items()}
        for operation in self.journal:
            if isinstance(operation, Rename):
                names |= {node: name for _, name, node in operation.entries if node is not None}
        return names

    def describe(self, place):
        """Say what was done before and after a place."""
        names = self._names()
        near = self.journal[max(0, place - 2) : place + 2]
        told = [(type(o).__name__, names.get(getattr(o, "node", None), "")) for o in near]
        return f"{place} of {len(self.journal)}, in {told}"


def record(files, workload, word="first"):
    """Carry a workload out from opening to closing."""
    begun, acknowledged = [], []
    session = Session(files, workload.settings, word)
    for number, step in enumerate(workload.steps):
        begun.append(len(files.journal))
        assert session.take(number, step, lambda: acknowledged.append(len(files.journal)))
    session.close()
    durability = workload.settings.get("durability", "full")
    return Recording(files.image, files.journal, begun, acknowledged, durability)


def choices(medium, place, n_seeds):
    """List ways in which a crash may go at a moment."""
    places = medium.places()
    if not places:
        return [NOTHING]
    orders = [before(at) for at in places[1:]]
    orders += [since(at, lengths=False) for at in places[1:]]
    seeds = [seeded(place * 1000 + seed) for seed in range(n_seeds)]
    return [NOTHING, EVERYTHING, CONTENT, NAMES, since(places[-1]), *orders, *seeds]


class Enumeration:
    """
    Crashes of one workload.

    Parameters
    ----------
    workload : Workload
        What is recorded.
    n_seeds : int
        Random choices at every moment, beside those with a name.
    n_chosen : int or None
        Choices that are tried at every moment, in turn; None tries them all.
    n_again : int or None
        The same, when a recovery crashes.
    sampled : int
        One of so many recoveries crashes as well, one is followed by the rest of the workload,
        and one is done by a reader first.
    """

    def __init__(self, workload, n_seeds, n_chosen, n_again, sampled):
        self._workload = workload
        self._n_seeds = n_seeds
        self._n_chosen = n_chosen
        self._n_again = n_again
        self._sampled = sampled
        self._models = Models(workload)
        self.n_images = 0

    def run(self):
        """Crash everywhere; return how many images were tried that no one had tried before."""
        recording = record(BusyFiles(), self._workload)
        for place, choice, image in self._images(recording, self._n_chosen):
            promise = recording.promised(place, choice)
            number = self.n_images
            where = f"{choice.name} at {recording.describe(place)}, after {promise}"
            with _told(where):
                recovery, n_steps = self._recover(image, promise)
                match number % self._sampled:
                    case 0:
                        self._crash_again(recovery, n_steps)
                    case 1:
                        self._go_on(image, n_steps)
                    case 2:
                        self._read(image, promise)
        return self.n_images

    def _open(self, image, word, **how):
        return Session(BusyFiles(image), self._workload.settings, word, **how)

    def _found(self, session, promise):
        """Check that a store holds what it may hold; say after how many steps."""
        data, snapshots = session.state()
        wanted = range(promise.least, promise.most + 1)
        found = [n for n in wanted if self._models.after(n).data == data]
        assert found, f"no state after {wanted} steps: {data}"
        told = range(promise.acknowledged, promise.most + 1)
        assert any(self._models.after(n).snapshots == snapshots for n in told), snapshots
        return found[-1]

    def _recover(self, image, promise):
        """Open an image, check it, write and close; record all of it."""
        session = self._open(image, image.fingerprint())
        with session.ending():
            session.verify()
            n_steps = self._found(session, promise)
            snapshots = session.state().snapshots
            journal = session.files.journal
            begun = len(journal)
            session.take(len(self._workload.steps), AFTER)
            acknowledged = len(journal)
            assert session.state() == (self._models.after(n_steps, AFTER).data, snapshots)
            session.close()
        durability = self._workload.settings.get("durability", "full")
        return Recording(image, journal, [begun], [acknowledged], durability), n_steps

    def _crash_again(self, recovery, n_steps):
        possible = [self._models.after(n_steps), self._models.after(n_steps, AFTER)]
        for place, choice, image in self._images(recovery, self._n_again):
            promise = recovery.promised(place, choice)
            with _told(f"then {choice.name} at {recovery.describe(place)}"):
                session = self._open(image, "again")
                with session.ending():
                    session.verify()
                    data = session.state().data
                    wanted = possible[promise.least : promise.most + 1]
                    assert any(state.data == data for state in wanted), data

    def _go_on(self, image, n_steps):
        """Take the rest of the steps, as if there had been no crash."""
        steps = self._workload.steps
        session = self._open(image, "on")
        with session.ending():
            if session.state() == self._models.after(n_steps):
                for number in range(n_steps, len(steps)):
                    session.take(number, steps[number])
                assert session.state() == self._models.after(len(steps))
            session.close()

    def _read(self, image, promise):
        """Look at what a crash left without bringing it in order first: some state of the past."""
        try:
            session = self._open(image, "", mode="r")
        except NotAStore:
            assert promise.least == 0
            return
        with session.ending():
            self._found(session, promise._replace(least=0))
            assert not session.files.journal

    def _images(self, recording, n_chosen):
        """Go through the images that crashes leave, each once."""
        turn = 0
        for place, medium in moments(recording.image, recording.journal):
            listed = choices(medium, place, self._n_seeds)
            n = len(listed) if n_chosen is None else min(n_chosen, len(listed))
            for at in range(turn, turn + n):
                choice = listed[at % len(listed)]
                image = medium.image(choice)
                fingerprint = image.fingerprint()
                if fingerprint not in SEEN:
                    SEEN.add(fingerprint)
                    self.n_images += 1
                    yield place, choice, image
            turn += n


@contextlib.contextmanager
def _told(where):
    try:
        yield
    except Exception as error:
        error.add_note(where)
        raise
