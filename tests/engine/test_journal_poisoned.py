"""What a failed sync poisons, whenever it fails, and that nothing else does."""

import pytest

from tests.engine.journals import HOME, CutShort, append, fail_syncs
from tests.engine.test_writer import in_thread
from tests.storage.watching import PATIENCE_S, Gate
from vecstore.errors import StorePoisoned
from vecstore.storage.files import SyncFailed

# ---- somebody waits


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


# ---- a call is taken back


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


# ---- the next log


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


# ---- ctrl-c


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
