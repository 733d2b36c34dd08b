"""When a call is durable: shared syncs, levels, calls that are taken back, and the next log."""

from types import SimpleNamespace

import pytest

from tests.engine.journals import FIRST, HOME, CutShort, append
from tests.engine.test_writer import in_thread
from tests.storage.logs import read_all
from tests.storage.medium import NOTHING
from tests.storage.watching import PATIENCE_S, Gate
from vecstore.engine import journal as module
from vecstore.storage.frames import FRAME_HEADER_BYTES, LOG_HEADER_BYTES

# ---- group commit


@pytest.mark.parametrize("n", [1, 2, 9])
def test_one_sync_serves_all_who_came_while_another_was_busy(begin, files, syncs, n):
    journal, gate = begin(), Gate("sync", "wal-")
    syncs.clear()
    files.watchers.append(gate)
    first = in_thread(lambda: journal.wait(append(journal)))
    gate.wait()

    others = []
    for _ in range(n):
        position = append(journal)
        others.append(in_thread(lambda position=position: journal.wait(position)))
    journal.line.grows_by(n)
    gate.open()
    for thread, _ in (first, *others):
        thread.join(PATIENCE_S)

    assert [outcome for _, outcome in (first, *others)] == [[None]] * (n + 1)
    assert len(syncs) == 2
    assert journal.log.synced == journal.log.end


def test_a_sync_vouches_for_nothing_that_came_after_it_began(begin, files, syncs):
    journal, gate = begin(), Gate("sync", "wal-")
    files.watchers.append(gate)
    position = append(journal)
    thread, _ = in_thread(lambda: journal.wait(position))
    gate.wait()
    append(journal)

    gate.open()
    thread.join(PATIENCE_S)

    assert (1, journal.log.synced) == position
    assert journal.log.synced < journal.log.end


def test_nothing_is_synced_when_a_call_is_durable_already(begin, syncs):
    journal = begin()
    first, second = append(journal), append(journal)
    journal.wait(second)
    before = len(syncs)

    journal.wait(first)
    journal.wait(second)

    assert len(syncs) == before


def test_every_call_is_synced_before_wait_returns_when_they_come_one_by_one(begin, files):
    journal = begin()
    for number in range(1, 6):
        journal.wait(append(journal))

        assert len(read_all(files.inner.crash(NOTHING), HOME / FIRST)[1]) == number


def test_others_go_on_when_ctrl_c_ends_the_one_who_syncs(begin, files):
    journal, gate, armed = begin(), Gate("sync", "wal-"), [True]

    def interrupt(name, file):
        if name == "sync" and armed:
            armed.clear()
            raise CutShort

    def interrupted():
        try:
            journal.wait(position)
        except CutShort:
            return "cut short"

    files.watchers += [gate, interrupt]
    position = append(journal)
    first = in_thread(interrupted)
    gate.wait()
    last = append(journal)
    second = in_thread(lambda: journal.wait(last))
    journal.line.grows_by(1)

    gate.open()
    for thread, _ in (first, second):
        thread.join(PATIENCE_S)

    assert (first[1], second[1]) == (["cut short"], [None])
    assert journal.log.synced == journal.log.end
    assert len(read_all(files.inner.crash(NOTHING), HOME / FIRST)[1]) == 2
    journal.wait(append(journal))


def test_a_sync_that_ctrl_c_ended_vouches_for_nothing(begin, files):
    journal, armed = begin(), [True]

    def interrupt(name, file):
        if name == "sync" and armed:
            armed.clear()
            raise CutShort

    first, last = append(journal), append(journal)
    files.watchers.append(interrupt)
    with pytest.raises(CutShort):
        journal.wait(first)
    journal.wait(last)

    assert len(read_all(files.inner.crash(NOTHING), HOME / FIRST)[1]) == 2


# ---- levels


@pytest.mark.parametrize("maintenance", ["inline", "background"])
def test_nothing_is_synced_and_no_thread_started_when_durability_is_off(begin, syncs, maintenance):
    journal = begin("off", maintenance)
    before = len(syncs)

    for _ in range(20):
        journal.wait(append(journal))

    assert len(syncs) == before
    assert journal.log.synced == LOG_HEADER_BYTES
    assert journal.thread._thread is None


def test_calls_are_synced_once_an_interval_when_there_are_no_threads(begin, syncs, monkeypatch):
    now = [100.0]
    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr(module, "time", clock)
    journal, counts = begin("interval", sync_interval_s=2), []
    before = len(syncs)
    for seconds in (0, 1, 0.9, 0.2, 1, 1.5, 7):
        now[0] += seconds
        journal.wait(append(journal))
        counts.append(len(syncs) - before)

    assert counts == [0, 0, 0, 1, 1, 2, 3]


@pytest.mark.parametrize("durability", ["full", "interval", "off"])
@pytest.mark.parametrize("maintenance", ["inline", "background"])
def test_close_makes_all_durable_and_says_so(begin, files, durability, maintenance):
    journal = begin(durability, maintenance, sync_interval_s=100)
    for _ in range(3):
        journal.wait(append(journal))
    end = journal.log.end
    journal.thread.stop()

    journal.close()

    image = files.inner.crash(NOTHING)
    reader, found = read_all(image, HOME / FIRST)
    assert (len(found), reader.synced) == (3, end)
    assert image.size(HOME / FIRST) == end + FRAME_HEADER_BYTES
    assert journal.thread._thread is None


# ---- what is taken back


def taken_back(journal, position):
    """Append a call in the place of one that is taken back."""
    journal.take_back(position, journal.log.seqno - 1)
    return append(journal)


def test_a_sync_does_not_vouch_for_a_call_that_took_the_place_of_another(begin, files, syncs):
    journal, gate = begin(), Gate("sync", "wal-", first=True)
    journal.wait(append(journal))
    begin_of_it, before = journal.position, len(syncs)
    files.watchers.append(gate)
    old = append(journal)
    thread, outcome = in_thread(lambda: journal.wait(old))
    gate.wait()

    other, appended = in_thread(lambda: taken_back(journal, begin_of_it))
    journal.line.grows_by(1)
    assert len(syncs) - before == 1  # two at once might be told different things
    gate.open()
    thread.join(PATIENCE_S)
    other.join(PATIENCE_S)
    journal.wait(journal.position)

    assert appended == [old]
    assert outcome == [None]
    # one that says nothing of what came later; one to cut the call off; one for the next call
    assert len(syncs) - before == 3
    assert len(read_all(files.inner.crash(NOTHING), HOME / FIRST)[1]) == 2


def test_nobody_waits_for_ever_when_the_call_is_taken_back_meanwhile(begin, files):
    journal, gate = begin(), Gate("sync", "wal-")
    journal.wait(append(journal))
    before = journal.position
    files.watchers.append(gate)
    position = append(journal)
    thread, outcome = in_thread(lambda: journal.sync(position))
    gate.wait()

    journal.take_back(before, 1)
    gate.open()
    thread.join(PATIENCE_S)

    assert not thread.is_alive()
    assert outcome == [None]


# ---- the next log


def test_calls_go_to_the_next_log_and_old_ones_stay_durable_when_it_is_switched(begin, syncs):
    journal = begin()
    old = append(journal)
    log = journal.prepare(1)
    assert journal.log is not log
    length = journal.log.end
    before = len(syncs)

    journal.switch(log, covered=False)

    assert (log.header.number, log.header.seqno, log.header.before) == (2, 1, length)
    assert journal.n_bytes == length - LOG_HEADER_BYTES
    journal.wait(old)
    assert len(syncs) == before
    new = append(journal)
    assert new > old
    journal.wait(new)
    assert journal.n_bytes == length + log.end - 2 * LOG_HEADER_BYTES
    assert journal.log.number == 2


def test_bytes_of_the_logs_before_are_not_counted_when_a_generation_covers_them(begin):
    journal = begin()
    append(journal, b"x" * 500)

    journal.switch(journal.prepare(1), covered=True)

    assert journal.n_bytes == 0


def test_a_log_is_not_closed_while_somebody_syncs_it(begin, files):
    journal, gate = begin(), Gate("sync", FIRST)
    position = append(journal)
    journal.wait(position)
    log = journal.prepare(1)
    last = append(journal)
    files.watchers.append(gate)
    syncing = in_thread(lambda: journal.wait(last))
    gate.wait()

    switching = in_thread(lambda: journal.switch(log, covered=False))
    journal.line.grows_by(1)
    during = journal.log
    gate.open()
    for thread, _ in (syncing, switching):
        thread.join(PATIENCE_S)

    assert during is not log
    assert journal.log is log
    assert (syncing[1], switching[1]) == ([None], [None])


@pytest.mark.parametrize("operation", ["create", "write", "resize"])
def test_the_log_in_use_goes_on_when_the_next_cannot_be_begun(begin, files, operation):
    journal = begin()
    journal.wait(append(journal))
    files.counted = (operation,)
    files.fail_after(0, late=True)

    with pytest.raises(OSError, match=f"{operation} failed"):
        journal.prepare(1)

    files.at = None
    assert files.names(HOME) == [FIRST]
    journal.wait(append(journal))
    assert len(read_all(files, HOME / FIRST)[1]) == 2
    journal.switch(journal.prepare(2), covered=False)
