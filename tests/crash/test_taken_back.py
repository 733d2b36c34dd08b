"""
Scenario: a call fails and is taken out of the log, another takes its place, the power goes.

The calls are of one length, and their frames begin and end with sectors: what is left of the one
fits behind what is there of the other, in a frame with the right number and an honest checksum.
"""

import errno

import pytest

from tests.crash.enumeration import choices
from tests.crash.sessions import BusyFiles, Models, Session
from tests.crash.workloads import Workload, upsert
from tests.storage.failing import FailingFiles
from tests.storage.medium import SECTOR, Write, moments
from vecstore.storage.frames import FRAME_HEADER_BYTES

FAILED, NEXT, LAST = (upsert(f"call{i}", i, metadata={"x": f"{i}" * 1200}) for i in range(3))


def begin(padding):
    return upsert("begin", 9, metadata={"x": "x" * padding})


def end_of_log(files):
    """Say where the last frame ends that was written."""
    *_, last = (o for o in files.journal if isinstance(o, Write) and any(o.data))
    return last.offset + len(last.data)


@pytest.fixture
def first(monkeypatch):
    """Make a call behind which the log goes on with a new sector."""
    monkeypatch.setattr(Session, "payload_bytes", SECTOR - FRAME_HEADER_BYTES)
    for padding in range(1000, 1000 + 2 * SECTOR):
        files = BusyFiles()
        session = Session(files, {})
        with session.ending():
            session.take(0, begin(padding))
        if end_of_log(files) % SECTOR == 0:
            return begin(padding)
    raise AssertionError("no call ends with a sector")


def images_of(files, since):
    """Give the images of crashes after a place in the journal, each once."""
    images = {}
    for place, medium in moments(files.image, files.journal):
        if place >= since:
            for choice in choices(medium, place, n_seeds=8):
                image = medium.image(choice)
                images.setdefault(image.fingerprint(), (image, place, choice.name))
    return images.values()


@pytest.mark.parametrize("durability", ["full", "off"])
@pytest.mark.parametrize("taken", [0.5, 1.0])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_calls_are_not_mixed_when_the_power_goes_after_one_was_taken_back(
    at, taken, durability, first
):
    settings = {"durability": durability}
    files = FailingFiles(inner=BusyFiles(), counted=("write",), error=errno.EINTR, taken=taken)
    session = Session(files, settings)
    with session.ending():
        session.take(0, first)
        files.fail_after(at - (durability == "off"), late=True)  # which prepares no room
        with pytest.raises(InterruptedError):
            session.take(1, FAILED)
        failed_at = len(files.inner.journal)
        session.take(1, NEXT)
        acknowledged_at = len(files.inner.journal)
        session.take(2, LAST)
        session.close()

    states = Models(Workload({}, (first, NEXT, LAST)))
    possible = [states.after(n) for n in range(4)]
    # nobody was told that the one that failed is gone for good, until another was acknowledged
    failed = Models(Workload({}, (first, FAILED))).after(2)
    images = images_of(files.inner, failed_at)
    assert len(images) > 10
    for image, place, choice in images:
        session = Session(BusyFiles(image), settings, "after")
        with session.ending():
            session.verify()
            state = session.state()
            gone = durability == "full" and place >= acknowledged_at
            assert state in possible or (state == failed and not gone), (choice, place)
