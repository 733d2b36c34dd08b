"""Scenarios: the system refuses an operation, once or for good, and the process may end."""

import contextlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

import vecstore
from tests.storage.damage import image, stored
from tests.storage.failing import FailingFiles, until_it_passes
from tests.storage.watching import let_go, opened_through
from vecstore.engine.saver import CLOSE_BYTES
from vecstore.errors import StorePoisoned

REPOSITORY = Path(__file__).parents[2]
FILL_ROOM = """
import contextlib, itertools, sys
import numpy as np
import vecstore
from tests.storage.failing import SYNCS, OPERATIONS, FailingFiles
from tests.storage.watching import opened_through

def put(store, count, label):
    ids = [f"{label}-{i}" for i in range(count)]
    store.upsert_many(ids, np.ones((count, 1)))

for at in itertools.count():
    files = FailingFiles(counted=set(OPERATIONS) - set(SYNCS))
    with opened_through(files, f"{sys.argv[1]}/s{at}", metric="l2") as store:
        put(store, 100, "a")
        store.checkpoint()
        put(store, 400, "b")
        put(store, 4, "c")  # from here on there is room for a hundred more
        files.fail_after(at, late=len(sys.argv) > 2)
        with contextlib.suppress(OSError):
            store.checkpoint()
        failed, files.at = files.failed, None
        put(store, 100, "d")
        assert len(store.ids()) == 604, at
    with vecstore.open(f"{sys.argv[1]}/s{at}", check="full") as store:
        assert len(store.ids()) == 604, at
    print(at, flush=True)
    if not failed:
        break
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    # a crash is played by copying the directory, so the drive has no say
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: None)


class Ledger:
    """What became of each write: it was acknowledged, it is open, or it did not happen."""

    def __init__(self, **acknowledged):
        self.acknowledged = acknowledged
        self.open = {}

    def try_to(self, call):
        """Carry out a call that may fail as the system does; say whether it passed."""
        try:
            call()
        except (OSError, StorePoisoned):
            return False
        return True

    def upsert(self, store, record_id, vector):
        try:
            store.upsert(record_id, vector)
        except StorePoisoned:
            self.open[record_id] = vector
        except OSError:
            pass
        else:
            self.acknowledged[record_id] = vector

    def check(self, records, told):
        """Compare with what a store holds after it was opened again."""
        assert self.acknowledged.items() <= records.items(), told
        assert records.items() <= (self.acknowledged | self.open).items(), told


def held(store):
    return {record.id: record.vector.tolist() for record in store.records()}


@pytest.mark.parametrize("call", ["checkpoint", "optimize", "compact", "close"])
def test_stale_files_go_only_when_current_is_durable(call, tmp_path):
    files = FailingFiles()
    with opened_through(files, tmp_path / "s", metric="l2") as store:
        store.upsert_many(["a", "b"], [[1.0], [2.0]])
        store.checkpoint()
        store.delete("a")
        store.upsert("c", [3.0], {"text": "x" * CLOSE_BYTES})
        files.done.clear()

        getattr(store, call)()

    operations = [name for name, _ in files.done]
    swap = files.done.index(("replace", "CURRENT.tmp"))
    assert operations[swap + 1] == "sync_directory"
    assert "remove" in operations
    assert "remove" not in operations[: swap + 2]


@pytest.mark.parametrize("where", ["log", "generation"])
@pytest.mark.parametrize("dim", [None, 1])
@pytest.mark.parametrize("ids", [[], ["a", "b"]])
def test_opening_and_closing_changes_no_byte_when_nothing_was_changed(dim, ids, where, tmp_path):
    root = tmp_path / "s"
    with vecstore.open(root, metric="l2", dim=dim) as store:
        store.upsert_many(ids, [[1.0]] * len(ids))
        if where == "generation":
            store.checkpoint()
    vecstore.open(root).close()
    before = image(root)

    for mode, operations in (
        ("a", {"make_directory", "sync_directory", "open", "map", "sync"}),
        ("r", {"map"}),
    ):
        files = FailingFiles()
        opened_through(files, root, mode=mode).close()

        assert image(root) == before
        assert {name for name, _ in files.done} <= operations


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("dead", [False, True])
def test_nothing_acknowledged_is_lost_when_the_system_failed_at_any_step(dead, late, tmp_path):
    for files in until_it_passes(dead=dead, late=late):
        root, ledger = tmp_path / f"s{files.at}", Ledger(first=[9.0])
        with vecstore.open(root, metric="l2") as store:
            store.upsert("first", [9.0])
        try:
            store = opened_through(files, root)
        except (OSError, StorePoisoned):
            assert stored(root) == {"first": [9.0]}
            continue

        with let_go(store):
            for number in range(3):
                ledger.upsert(store, f"id{number}", [float(number)])
                ledger.try_to(store.checkpoint)
            assert held(store) == ledger.acknowledged, files.done

        ledger.check(stored(root), files.done)
        if not dead:
            assert len(ledger.acknowledged) >= 3 or ledger.open or "sync" in files.done[files.at][0]


@pytest.mark.parametrize("late", [False, True])
def test_nothing_is_lost_when_a_checkpoint_was_cut_short_after_one_that_failed(late, tmp_path):
    def begun(root, files):
        store = opened_through(files, root, metric="l2")
        store.upsert("a", [1.0])
        return store

    files = FailingFiles()
    with begun(tmp_path / "s", files) as store:
        before = len(files.done)
        store.checkpoint()
        steps = len(files.done) - before

    assert steps > 20
    for first, second in itertools.product(range(0, steps, 2), range(0, steps, 3)):
        root, files, ledger = tmp_path / f"s{first}-{second}", FailingFiles(), Ledger(a=[1.0])
        with let_go(begun(root, files)) as store:
            files.fail_after(first, late=late)
            ledger.try_to(store.checkpoint)
            files.at = None
            ledger.upsert(store, "b", [2.0])
            files.fail_after(second, dead=True, late=True)
            ledger.try_to(store.checkpoint)

        ledger.check(stored(root), (first, second, files.done))


@pytest.mark.parametrize("late", [False, True])
def test_store_keeps_its_records_when_compact_failed_at_any_step(late, tmp_path):
    wanted = {f"id{i}": [float(i)] for i in range(1, 5)} | {"new": [9.0]}
    for at in itertools.count():
        root, files = tmp_path / f"s{at}", FailingFiles()
        with contextlib.ExitStack() as opened:
            store = opened.enter_context(let_go(opened_through(files, root, metric="l2")))
            store.upsert_many([f"id{i}" for i in range(5)], [[float(i)] for i in range(5)])
            store.checkpoint()
            store.delete("id0")
            files.fail_after(at, late=late)
            Ledger().try_to(store.compact)
            failed, files.at = files.failed, None
            assert held(store) == {name: wanted[name] for name in wanted if name != "new"}
            if store._writer.journal.failure is not None:
                store.close()
                store = opened.enter_context(let_go(vecstore.open(root, check="full")))
            store.upsert("new", [9.0])
            store.checkpoint()
            assert held(store) == wanted, (at, files.done)

        assert stored(root) == wanted, (at, files.done)
        if not failed:
            assert at > 20
            return


@pytest.mark.parametrize("late", [[], ["late"]])
def test_rows_can_be_written_into_the_room_there_is_when_a_checkpoint_failed(late, tmp_path):
    # apart, because a write behind the end of a mapped file ends the process
    command = [sys.executable, "-X", "faulthandler", "-c", FILL_ROOM, str(tmp_path), *late]

    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False
    )

    assert done.returncode == 0, (done.stdout, done.stderr[:3000])
    assert int(done.stdout.split()[-1]) > 15


@pytest.mark.parametrize("late", [False, True])
def test_store_is_created_anew_when_its_creation_was_cut_short(late, tmp_path):
    steps = 0
    for files in until_it_passes(dead=True, late=late):
        root = tmp_path / f"s{files.at}"
        try:
            with let_go(opened_through(files, root, dim=1)):
                pass
        except OSError:
            steps += 1

        with vecstore.open(root, dim=1) as store:
            assert len(store) == 0
            store.upsert("a", [1.0])
        assert stored(root) == {"a": [1.0]}

    assert steps >= 8
