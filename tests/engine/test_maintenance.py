"""Upkeep: checkpoints when they are due and never for nothing, callbacks that meddle."""

import os
import threading
import time

import pytest

import vecstore
from tests.storage.damage import stored
from tests.storage.failing import FailingFiles
from tests.storage.watching import PATIENCE_S, Gate, WatchedFiles, let_go, opened_through
from tests.stores import SMALL, grid, names
from vecstore.errors import InvalidInput, StorePoisoned


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    # a crash is played by copying the directory, so the drive has no say
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: None)


# ---- due


def test_a_checkpoint_begins_by_itself_when_the_log_is_long(tmp_path):
    config = {**SMALL, "checkpoint_bytes": 10_000}
    with vecstore.open(tmp_path / "store", metric="l2", config=config) as store:
        generations = []
        for number in range(200):
            store.upsert(f"r{number}", [number, 1], {"text": "x" * 400})
            stats = store.stats()
            generations.append(stats.generation)
            # a quarter of what the generation has, at least; and the call that made it due
            assert stats.log_bytes <= max(10_000, stats.disk_bytes // 4) + 1000

        # each is worth a quarter more: their number grows as a logarithm does
        assert generations[0] == 1
        assert 5 <= generations[-1] <= 15
        assert len(list((tmp_path / "store").glob("wal-*"))) == 1


def test_a_checkpoint_is_tried_again_only_later_when_it_failed(tmp_path, caplog):
    files = FailingFiles(counted=("write_new",))
    config = {**SMALL, "checkpoint_bytes": 10_000}
    with opened_through(files, tmp_path / "store", metric="l2", config=config) as store:
        files.at, files.dead = len(files.done), True
        for number in range(100):
            store.upsert(f"r{number}", [number, 1], {"text": "x" * 400})
        attempts = len(files.done) - files.at
        lost = store.stats()

        files.at, files.dead = None, False
        for number in range(100, 200):
            store.upsert(f"r{number}", [number, 1], {"text": "x" * 400})

        assert 3 <= attempts <= 6
        assert caplog.text.count("failed, the log goes on") == attempts
        assert (lost.generation, lost.live) == (1, 100)
        assert store.stats().generation > 1
        assert len(store) == 200


def upkeep_ends():
    """Wait until no thread for upkeep is left."""
    deadline = time.monotonic() + PATIENCE_S / 10
    while any(thread.name == "vecstore-absorb" for thread in threading.enumerate()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_nobody_spins_when_a_checkpoint_is_due_of_which_nothing_would_come(tmp_path):
    config = {"checkpoint_bytes": 0}
    with vecstore.open(tmp_path / "store", metric="l2", config=config) as store:
        store.upsert("a", [1, 2])
        store.delete("a")
        store.compact()

    # what is left is an empty generation, and a log that holds no call but a mark
    with vecstore.open(tmp_path / "store") as store:
        assert upkeep_ends()
        assert store.stats().slots == 0


def test_nobody_spins_when_a_checkpoint_is_due_and_the_store_is_poisoned(tmp_path):
    gate, files = Gate("write_new", "ids-"), WatchedFiles(counted=("sync",))
    config = {"checkpoint_bytes": 1000, "flat_threshold": 8}
    store = opened_through(files, tmp_path / "store", metric="l2", config=config)
    with let_go(store):
        files.watchers.append(gate)
        store.upsert_many(names(100), grid(100))
        gate.wait()
        store.upsert_many(names(2000, "more"), grid(2000))
        files.fail_after(0)
        with pytest.raises(StorePoisoned):
            store.upsert("lost", [1, 2, 3, 4])
        gate.open()

        assert upkeep_ends()
    assert stored(tmp_path / "store").keys() >= {*names(100), *names(2000, "more")}


# ---- progress callbacks


@pytest.mark.parametrize("change", ["compact", "checkpoint", "optimize"])
def test_a_store_stays_whole_when_a_progress_callback_of_optimize_changes_it(tmp_path, change):
    calls = []

    def progress(done, total):
        calls.append(done)
        if len(calls) == 1 and change == "checkpoint":
            store.checkpoint()
        elif len(calls) == 1:
            with pytest.raises(InvalidInput, match="progress callback"):
                getattr(store, change)()

    with vecstore.open(tmp_path / "store", metric="l2", config=SMALL) as store:
        store.upsert_many(names(301), grid(301))
        store.delete_many(names(50))
        store.optimize(progress=progress)

        assert calls
        assert store.verify().ok, store.verify().problems
        assert len(store.query([1, 1, 1, 1], k=300)) == 251
        fingerprint = store.fingerprint()
    with vecstore.open(tmp_path / "store", check="full") as again:
        assert again.fingerprint() == fingerprint
        assert again.verify().ok
