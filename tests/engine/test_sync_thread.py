"""The thread of a journal: when it lives, when it syncs, and when it says what is durable."""

import threading
from types import SimpleNamespace

import pytest

from tests.engine.journals import FIRST, HOME, append, ended, fail_syncs
from tests.storage.logs import read_all
from vecstore.engine import journal as module
from vecstore.errors import StorePoisoned
from vecstore.storage.frames import FRAME_HEADER_BYTES

# ---- whether it lives


@pytest.mark.parametrize("durability", ["full", "interval", "off"])
def test_no_thread_is_started_when_maintenance_is_inline(begin, durability):
    journal = begin(durability)

    for _ in range(5):
        journal.wait(append(journal))

    assert journal.thread._thread is None


def test_calls_are_synced_once_an_interval_when_the_system_gives_no_thread(
    begin, syncs, monkeypatch
):
    now = [100.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(threading.Thread, "start", lambda thread: refuse())
    journal = begin("interval", "background", sync_interval_s=10)
    before = len(syncs)
    for seconds in (100.0, 109.0, 111.0, 112.0):
        now[0] = seconds
        journal.wait(append(journal))

    assert len(syncs) - before == 1


def refuse():
    raise RuntimeError("can't start new thread")


# ---- syncs


def test_a_thread_syncs_after_the_interval_when_nobody_writes_any_more(begin, syncs):
    journal = begin("interval", "background", sync_interval_s=7)
    for number in (1, 2):
        position = append(journal)
        journal.wait(position)
        before = len(syncs)
        journal.glass.runs()
        assert journal.log.synced < journal.log.end

        journal.glass.turn()

        assert ended(journal)
        assert journal.glass.asked == [7] * number
        assert len(syncs) == before + 1
        # and leaves a mark, so that a reader knows
        assert (1, journal.log.synced) == position
        assert journal.log.end == position[1] + FRAME_HEADER_BYTES


def test_a_thread_syncs_every_interval_when_calls_come_and_come(begin, syncs):
    journal = begin("interval", "background", sync_interval_s=7)
    before = len(syncs)
    for number in range(4):
        journal.wait(append(journal))
        journal.glass.runs()
        position = append(journal)
        journal.wait(position)
        assert len(syncs) == before + number

        journal.glass.turn()
        journal.glass.runs()

        assert len(syncs) == before + number + 1
        assert (1, journal.log.synced) == position == journal.position


def test_a_thread_goes_on_when_the_system_refuses_something_meanwhile(begin, files):
    journal = begin("interval", "background", sync_interval_s=7)
    journal.wait(append(journal))
    journal.glass.runs()
    before = journal.position
    append(journal)
    journal.take_back(before, 1)
    files.counted = ("resize",)
    files.fail_after(0)  # what was taken back cannot be cut off for good just now
    journal.glass.turn()
    journal.glass.runs()

    journal.wait(append(journal))
    journal.glass.turn()
    journal.glass.runs()

    assert journal._durable == journal.position


# ---- marks


def test_a_mark_is_written_once_when_nothing_came_for_a_while(begin, files):
    journal = begin("full", "background")
    journal.wait(append(journal))
    journal.glass.runs()
    for _ in range(2):
        journal.wait(append(journal))
    end = journal.log.end

    journal.glass.turn()
    journal.glass.runs()
    assert journal.log.end == end  # something came meanwhile
    journal.glass.turn()

    assert ended(journal)
    assert journal.glass.asked == [module.QUIET_S] * 2
    assert journal.log.end == end + FRAME_HEADER_BYTES
    reader, found = read_all(files, HOME / FIRST)
    assert (reader.synced, len(found)) == (end, 3)
    journal.wait(append(journal))
    journal.glass.turn()
    assert ended(journal)
    assert len(read_all(files, HOME / FIRST)[1]) == 4


def test_no_mark_is_written_while_a_call_is_under_way(begin):
    journal = begin("full", "background")
    with journal._lock:
        journal.wait(append(journal))
        end = journal.log.end
        for _ in range(3):
            journal.glass.turn()
        journal.glass.runs()

        assert journal.log.synced == journal.log.end == end
    journal.glass.turn()
    assert ended(journal)
    assert journal.log.end == end + FRAME_HEADER_BYTES


# ---- poison


def test_a_failed_fsync_in_the_background_is_met_by_the_next_call(begin, files):
    journal = begin("interval", "background", sync_interval_s=7)
    fail_syncs(files, dead=True)
    journal.wait(append(journal))
    journal.refuse_if_poisoned()

    journal.glass.turn()

    assert ended(journal)
    with pytest.raises(StorePoisoned):
        journal.refuse_if_poisoned()


def test_a_failed_fsync_poisons_when_it_comes_before_a_mark(begin, files):
    journal = begin("full", "background")
    with journal._lock:  # keeps the mark from being written
        journal.wait(append(journal))
        files.counted = ("write",)
        files.fail_after(0)
        with pytest.raises(OSError, match="write failed"):
            append(journal)
        fail_syncs(files)
        journal.glass.runs()
    journal.glass.turn()

    assert ended(journal)
    with pytest.raises(StorePoisoned):
        journal.refuse_if_poisoned()
