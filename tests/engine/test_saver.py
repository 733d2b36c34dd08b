"""Generations: what fails loses nothing, and closing writes what is worth it."""

import contextlib
import logging
import os
from itertools import count

import pytest

import vecstore
from tests.engine.test_writer import opened, records
from tests.storage.damage import abandon, stored
from tests.storage.failing import GROWING, FailingFiles
from tests.storage.watching import let_go, opened_through
from tests.stores import SMALL, grid, names
from vecstore.engine.saver import CLOSE_BYTES, CLOSE_SLOTS
from vecstore.errors import CorruptData, StorePoisoned

NEW_ROWS = grid(2, seed=1)
WANTED = dict(zip(names(20), grid(20).tolist(), strict=True))
WANTED |= dict(zip(["new", "r3"], NEW_ROWS.tolist(), strict=True))
AFTER = WANTED | {"after": [9, 9, 9, 9]}
STEPS = {
    "checkpoint": vecstore.VecStore.checkpoint,
    "optimize": vecstore.VecStore.optimize,
    "compact": vecstore.VecStore.compact,
}


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    # a crash is played by copying the directory, so the drive has no say
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: None)


def filled(root, files):
    """Open a store with one checkpoint behind it and something to write in the next."""
    store = opened(root, files)
    store.upsert_many(names(20), grid(20))
    store.checkpoint()
    store.upsert_many(["new", "r3"], NEW_ROWS)
    return store


def failures(tmp_path, step, **how):
    """Carry out `step`, failing one operation later each time, until nothing fails."""
    for number in count():
        root, files = tmp_path / f"store-{number}", FailingFiles()
        with let_go(filled(root, files)) as store:
            files.fail_after(number, **how)
            failure = None
            try:
                step(store)
            except (OSError, StorePoisoned) as exc:
                failure = exc
            failed = files.failed
            yield store, root, files, failure
        if not failed:
            assert number > 10
            return


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_nothing_is_lost_when_one_operation_failed_and_it_is_tried_again(tmp_path, step, late):
    for store, root, files, failure in failures(tmp_path, STEPS[step], late=late):
        told = files.done[-3:], failure
        assert dict(records(store)) == WANTED, told
        files.at = None
        if isinstance(failure, StorePoisoned):
            with pytest.raises(StorePoisoned):
                store.upsert("after", [9, 9, 9, 9])
            store.close()
            store = vecstore.open(root, check="full")

        with let_go(store):
            store.upsert("after", [9, 9, 9, 9])
            STEPS[step](store)
            store.checkpoint()

            assert dict(records(store)) == AFTER, told
            assert store.verify().ok, (told, store.verify().problems)
            fingerprint = store.fingerprint()
            store.close()
        assert stored(root) == AFTER, told
        with vecstore.open(root) as again:
            assert again.fingerprint() == fingerprint


@pytest.mark.parametrize("step", STEPS)
def test_nothing_that_takes_room_is_left_when_a_generation_could_not_be_written(tmp_path, step):
    for store, root, files, failure in failures(tmp_path, STEPS[step]):
        saver = store._parts.saver
        if not isinstance(failure, OSError) or files.done[files.at][0] not in GROWING:
            continue
        assert saver.settled
        named = {"LOCK", "CURRENT", saver.manifest.name}
        named |= {entry.name for entry in saver.manifest.files.values()}
        logs = {path.name for path in root.glob("wal-*.log")}
        assert {path.name for path in root.iterdir()} == named | logs, files.done[-3:]
        assert len(logs) <= 2
        for entry in saver.manifest.files.values():
            assert (root / entry.name).stat().st_size == entry.length


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_a_write_that_is_taken_after_a_failure_is_there_when_the_process_dies(tmp_path, step, late):
    for store, root, files, failure in failures(tmp_path, STEPS[step], late=late):
        files.at = None
        if isinstance(failure, StorePoisoned):
            with pytest.raises(StorePoisoned):
                store.upsert("after", [9, 9, 9, 9])
        else:
            store.upsert("after", [9, 9, 9, 9])
        abandon(store)

        wanted = WANTED if isinstance(failure, StorePoisoned) else AFTER
        assert stored(root) == wanted, files.done[-3:]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_nothing_is_lost_when_the_process_dies_in_it(tmp_path, step, late):
    for store, root, files, _ in failures(tmp_path, STEPS[step], late=late, dead=True):
        abandon(store)

        assert stored(root) == WANTED, files.done[-3:]
        with vecstore.open(root) as again:
            again.upsert("after", [9, 9, 9, 9])
            again.checkpoint()
        assert stored(root) == AFTER


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("first", [("create", "wal-000003.log"), ("replace", "CURRENT.tmp")])
def test_nothing_is_lost_when_the_process_dies_in_the_second_try(tmp_path, first, late):
    files = FailingFiles()
    with filled(tmp_path / "store", files) as store:
        files.done.clear()
        store.checkpoint()
        done = list(files.done)

    for second in range(len(done)):
        root, files = tmp_path / f"store-{second}", FailingFiles()
        with let_go(filled(root, files)) as store:
            files.fail_after(done.index(first), late=late)
            with pytest.raises(OSError, match="failed"):
                store.checkpoint()
            files.at = None
            store.upsert("after", [9, 9, 9, 9])
            files.fail_after(second, dead=True)
            with contextlib.suppress(OSError, StorePoisoned):
                store.checkpoint()
            assert files.failed

        assert stored(root) == AFTER, done[second]


# ---- close


@pytest.mark.parametrize("n_bytes", [CLOSE_BYTES - 100_000, CLOSE_BYTES + 100_000])
def test_close_writes_a_generation_when_the_log_is_long(tmp_path, n_bytes):
    with vecstore.open(tmp_path / "store", metric="l2", config=SMALL) as store:
        for number in range(5):
            store.upsert(f"r{number}", [number, 1], {"text": "x" * (n_bytes // 5)})

    is_long = n_bytes > CLOSE_BYTES
    with vecstore.open(tmp_path / "store", check="full") as store:
        assert (store.stats().generation, len(store)) == (1 + is_long, 5)


@pytest.mark.parametrize("n", [CLOSE_SLOTS, CLOSE_SLOTS + 500])
def test_close_writes_a_generation_when_much_would_have_to_be_absorbed_again(tmp_path, n):
    with vecstore.open(tmp_path / "store", metric="l2", config=SMALL) as store:
        store.upsert_many(names(n), grid(n))
        indexed = store.stats().indexed

    with vecstore.open(tmp_path / "store", check="full") as store:
        assert store.stats().generation == 1 + (indexed > CLOSE_SLOTS)
        assert (indexed > CLOSE_SLOTS) == (n > CLOSE_SLOTS)


@pytest.mark.parametrize("step", ["write_new", "create", "replace"])
def test_close_succeeds_and_tells_the_log_when_its_checkpoint_failed(tmp_path, step, caplog):
    files = FailingFiles(counted=(step,))
    store = opened_through(files, tmp_path / "store", metric="l2", config=SMALL)
    store.upsert("a", [1, 2], {"text": "x" * CLOSE_BYTES})
    files.at, files.dead = len(files.done), True

    with caplog.at_level(logging.WARNING, "vecstore"):
        store.close()

    assert store.closed
    assert "closed without a checkpoint" in caplog.text
    with vecstore.open(tmp_path / "store", check="full") as again:
        assert again.ids() == ["a"]
        assert again.verify().ok


def test_close_may_be_tried_again_when_the_log_could_not_be_ended(tmp_path):
    files = FailingFiles(counted=("write",))
    store = opened_through(files, tmp_path / "store", metric="l2", config=SMALL)
    store.upsert("a", [1, 2])
    files.fail_after(0)

    with pytest.raises(OSError, match="write failed"):
        store.close()
    assert not store.closed
    store.upsert("b", [1, 2])
    store.close()

    assert store.closed
    assert stored(tmp_path / "store") == {"a": [1, 2], "b": [1, 2]}


def test_close_ends_the_store_when_its_last_fsync_fails(tmp_path):
    files = FailingFiles(counted=("sync",))
    config = {**SMALL, "durability": "off"}
    store = opened_through(files, tmp_path / "store", metric="l2", config=config)
    store.upsert("a", [1, 2])
    files.fail_after(0)

    with pytest.raises(StorePoisoned):
        store.close()

    assert store.closed
    with vecstore.open(tmp_path / "store") as again:
        assert len(again) <= 1


def test_close_ends_the_store_and_keeps_the_log_when_a_damaged_file_would_be_copied(tmp_path):
    root = tmp_path / "store"
    with vecstore.open(root, metric="l2", config=SMALL) as store:
        store.upsert_many(names(20), grid(20))
        store.checkpoint()
    store = vecstore.open(root)
    store.upsert("late", [1, 2, 3, 4], {"text": "x" * CLOSE_BYTES})
    (path,) = root.glob("metadata-*")
    sound = path.read_bytes()
    path.write_bytes(sound[:-20] + b"?" + sound[-19:])

    with pytest.raises(CorruptData) as caught:
        store.close()

    assert caught.value.path == path
    assert store.closed
    path.write_bytes(sound)
    with vecstore.open(root, check="full") as again:
        assert again.ids() == [*names(20), "late"]


def test_files_stay_when_it_is_unknown_which_generation_names_them(tmp_path):
    root, files = tmp_path / "store", FailingFiles(counted=("replace", "write_new"))
    with let_go(filled(root, files)) as store:
        files.fail_after(len(["metadata", "hnsw_index", "ids", "checksums", "manifest", "draft"]))
        files.late = True  # CURRENT is replaced, which nobody is told
        with pytest.raises(OSError, match="replace"):
            store.checkpoint()
        store.upsert("after", [9, 9, 9, 9])
        files.fail_after(0)
        with pytest.raises(OSError, match="write_new"):
            store.checkpoint()
        assert not store._parts.saver.settled
        abandon(store)

    assert stored(root) == AFTER
