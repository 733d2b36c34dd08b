"""When a call is durable: shared syncs, levels, marks, threads, and what a failed fsync poisons."""

import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.engine.test_writer import in_thread
from tests.engine.waiting import Hourglass, Line
from tests.storage.crashing import CrashingFiles
from tests.storage.logs import read_all
from tests.storage.medium import NOTHING
from tests.storage.watching import PATIENCE_S, Gate, WatchedFiles
from vecstore.config import StoreConfig
from vecstore.engine import journal as module
from vecstore.engine.journal import Journal
from vecstore.errors import StorePoisoned
from vecstore.storage.files import SyncFailed
from vecstore.storage.frames import FRAME_HEADER_BYTES, LOG_HEADER_BYTES
from vecstore.storage.wal import Log

HOME = Path("/store")
FIRST = "wal-000001.log"


class CutShort(KeyboardInterrupt):
    """Ctrl-C, told apart from a real one."""


@pytest.fixture
def files():
    inner = CrashingFiles()
    inner.make_directory(HOME)
    return WatchedFiles(inner=inner, counted=())


@pytest.fixture
def begin(files):
    """
    Give a function that begins a journal, for which no time passes unless it is told so.

    Its hourglass and the line of those who wait for a sync are attributes of the journal; at the
    end it is let go of.
    """
    begun = []

    def begin(durability="full", maintenance="inline", **config):
        config = StoreConfig(durability=durability, maintenance=maintenance, **config)
        log = Log.create(files, HOME, 0)
        journal = Journal(files, HOME, log, 0, threading.RLock(), config)
        journal.thread._stop = journal.glass = Hourglass()
        journal._done = journal.line = Line()
        begun.append(journal)
        return journal

    yield begin
    for journal in begun:
        journal.thread.stop()
        journal.abandon()


@pytest.fixture
def syncs(files):
    """Give a list that grows by each sync of a log."""
    seen = []
    files.watchers.append(lambda name, file: seen.append(file) if name == "sync" else None)
    return seen


def append(journal, payload=b"x"):
    return journal.append(journal.log.seqno + 1, 1, [payload])


def fail_syncs(files, *, dead=False):
    files.counted = ("sync",)
    files.fail_after(0, dead=dead)


def ended(journal):
    """Wait until the thread of a journal has nothing to do any more."""
    thread = journal.thread._thread
    if thread is not None:
        thread.join(PATIENCE_S)
    return journal.thread._thread is None


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


@pytest.mark.parametrize("durability", ["full", "interval", "off"])
def test_no_thread_is_started_when_maintenance_is_inline(begin, durability):
    journal = begin(durability)

    for _ in range(5):
        journal.wait(append(journal))

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


# ---- poison


def test_everything_is_refused_and_no_fsync_tried_again_when_one_failed(begin, files, syncs):
    journal = begin()
    journal.wait(append(journal))
    fail_syncs(files)
    position = append(journal)
    with pytest.raises(StorePoisoned, match="sync failed") as caught:
        journal.wait(position)
    tried = len(syncs)

    for call in (
        lambda: journal.wait(position),
        journal.refuse_if_poisoned,
        lambda: journal.prepare(1),
        journal.close,
    ):
        with pytest.raises(StorePoisoned) as again:
            call()
        assert again.value.reason == caught.value.reason

    assert caught.value.path == HOME
    assert len(syncs) == tried
    assert journal.log.synced < journal.log.end


def test_all_who_wait_are_told_when_the_fsync_of_one_fails(begin, files, syncs):
    journal, gate = begin(), Gate("sync", "wal-")
    fail_syncs(files)
    before = len(syncs)
    files.watchers.append(gate)
    threads = [in_thread(lambda: journal.wait(append(journal)))]
    gate.wait()
    for _ in range(5):
        position = append(journal)
        threads.append(in_thread(lambda position=position: journal.wait(position)))
    journal.line.grows_by(5)

    gate.open()
    for thread, _ in threads:
        thread.join(PATIENCE_S)

    assert all(isinstance(outcome[0], StorePoisoned) for _, outcome in threads)
    assert len(syncs) == before + 1


def test_a_call_that_was_durable_is_so_when_a_later_fsync_failed(begin, files):
    journal = begin()
    position = append(journal)
    journal.wait(position)
    fail_syncs(files)
    with pytest.raises(StorePoisoned):
        journal.wait(append(journal))

    assert (1, journal.log.synced) >= position


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


def test_the_store_is_poisoned_when_a_call_cannot_be_taken_back(begin, files):
    journal = begin()
    before = journal.position
    append(journal)
    files.counted = ("resize",)
    files.fail_after(0, dead=True)

    with pytest.raises(StorePoisoned, match="taken out"):
        journal.take_back(before, 0)

    with pytest.raises(StorePoisoned):
        journal.refuse_if_poisoned()


@pytest.mark.parametrize("durability", ["full", "interval", "off"])
def test_a_failed_fsync_poisons_when_what_was_taken_back_is_cut_off_for_good(
    begin, files, durability
):
    journal = begin(durability, sync_interval_s=100)
    append(journal)
    files.counted = ("write", "sync")
    files.fail_after(0)
    with pytest.raises(OSError, match="write failed"):
        append(journal)
    files.fail_after(0)

    # pages of the call before it may be lost, and the next sync would call them durable
    with pytest.raises(StorePoisoned):
        append(journal)


def cut_short(*_):
    raise CutShort


def test_a_failed_fsync_poisons_when_ctrl_c_comes_while_it_is_on_its_way(begin):
    journal = begin()

    def failing():
        with journal.poisoning():
            try:
                raise SyncFailed(5, "fsync failed")
            finally:
                cut_short()

    with pytest.raises(CutShort):
        failing()

    with pytest.raises(StorePoisoned):
        journal.refuse_if_poisoned()


def test_ctrl_c_does_not_poison_when_the_caller_is_handling_another_error(begin, files):
    journal = begin()
    position = append(journal)
    other = SyncFailed(5, "of another store")
    files.watchers.append(cut_short)

    def poisoning():
        with journal.poisoning():
            cut_short()

    for call in (poisoning, lambda: journal.sync(position)):
        try:
            raise other
        except SyncFailed:
            with pytest.raises(CutShort):
                call()
    files.watchers.pop()

    journal.sync(position)
    journal.refuse_if_poisoned()


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


@pytest.mark.parametrize("operation", ["sync", "sync_directory"])
def test_the_store_is_poisoned_when_the_next_log_is_not_durable(begin, files, operation):
    journal = begin()
    journal.wait(append(journal))
    files.counted = (operation,)
    files.fail_after(0)

    with pytest.raises(StorePoisoned):
        journal.prepare(1)

    with pytest.raises(StorePoisoned):
        journal.refuse_if_poisoned()
