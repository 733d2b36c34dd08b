"""Scenarios: the system refuses an operation, once or for good, and the process may end."""

import contextlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

import vecstore
from tests.storage.damage import abandon, image, stored
from tests.storage.failing import FailingFiles, until_it_passes

REPOSITORY = Path(__file__).parents[2]
FILL_ROOM = """
import contextlib, sys
import numpy as np
import vecstore, vecstore.store
from tests.storage.failing import FailingFiles

files = FailingFiles()
vecstore.store.Files = lambda: files

def put(store, count, label):
    ids = [f"{label}-{i}" for i in range(count)]
    store.upsert_many(ids, np.ones((count, 1)))

for at in range(16):
    files.at = None
    with vecstore.open(f"{sys.argv[1]}/s{at}", metric="l2") as store:
        put(store, 100, "a")
        store.checkpoint()
        put(store, 400, "b")
        put(store, 4, "c")  # from here on there is room for a hundred more
        files.fail_after(at, late=len(sys.argv) > 2)
        with contextlib.suppress(OSError):
            store.checkpoint()
        files.at = None
        put(store, 100, "d")
        assert len(store.ids()) == 604, at
    with vecstore.open(f"{sys.argv[1]}/s{at}", check="full") as store:
        assert len(store.ids()) == 604, at
    print(at, flush=True)
"""


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    # a crash is played by copying the directory, so the drive has no say
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def opened_through(files, root, monkeypatch, **settings):
    """Open a store whose every call of the system goes through `files`."""
    with monkeypatch.context() as patch:
        patch.setattr("vecstore.store.Files", lambda: files)
        return vecstore.open(root, **settings)


def three_steps(store):
    """Upsert and checkpoint three times, whatever fails; return what was acknowledged."""
    written = {}
    for number in range(3):
        with contextlib.suppress(OSError):
            store.upsert(f"id{number}", [float(number)])
            written[f"id{number}"] = [float(number)]
        with contextlib.suppress(OSError):
            store.checkpoint()
    return written


@pytest.mark.parametrize("call", ["checkpoint", "compact", "close"])
def test_stale_files_go_only_when_current_is_durable(call, tmp_path, monkeypatch):
    files = FailingFiles()
    with opened_through(files, tmp_path / "s", monkeypatch, metric="l2") as store:
        store.upsert_many(["a", "b"], [[1.0], [2.0]])
        store.checkpoint()
        store.delete("a")
        files.done.clear()

        getattr(store, call)()

    operations = [name for name, _ in files.done]
    swap = files.done.index(("replace", "CURRENT.tmp"))
    assert operations[swap + 1] == "sync_directory"
    assert "remove" in operations
    assert "remove" not in operations[: swap + 2]


@pytest.mark.parametrize("dim", [None, 1])
@pytest.mark.parametrize("ids", [[], ["a", "b"]])
def test_close_writes_nothing_when_nothing_was_changed(dim, ids, tmp_path, monkeypatch):
    root, files = tmp_path / "s", FailingFiles()
    with vecstore.open(root, metric="l2", dim=dim) as store:
        store.upsert_many(ids, [[1.0]] * len(ids))
    before = image(root)

    opened_through(files, root, monkeypatch).close()

    assert image(root) == before
    assert {name for name, _ in files.done} <= {"make_directory", "map"}


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("dead", [False, True])
def test_store_can_be_opened_when_the_system_failed_at_any_step(dead, late, tmp_path, monkeypatch):
    for files in until_it_passes(dead=dead, late=late):
        root = tmp_path / f"s{files.at}"
        with vecstore.open(root, metric="l2") as store:
            store.upsert("first", [9.0])
        try:
            store = opened_through(files, root, monkeypatch)
        except OSError:
            assert stored(root) == {"first": [9.0]}
            continue

        written = {"first": [9.0]} | three_steps(store)
        present = {record.id: record.vector.tolist() for record in store.records()}
        abandon(store)

        records = stored(root)
        assert present == written, files.done
        assert "first" in records, files.done
        assert records.items() <= written.items(), files.done
        if not dead and ("replace", "CURRENT.tmp") in files.done[files.at + 1 :]:
            assert records == written, files.done


def test_store_can_be_opened_when_a_checkpoint_was_cut_short_after_one_that_failed(
    tmp_path, monkeypatch
):
    steps = 12
    for first, second in itertools.product(range(steps), repeat=2):
        root, files = tmp_path / f"s{first}-{second}", FailingFiles()
        store = opened_through(files, root, monkeypatch, metric="l2")
        store.upsert("a", [1.0])
        files.fail_after(first)
        with contextlib.suppress(OSError):
            store.checkpoint()
        files.at = None
        store.upsert("b", [2.0])
        files.fail_after(second, dead=True, late=True)
        with contextlib.suppress(OSError):
            store.checkpoint()
        done = [name for name, _ in files.done]
        abandon(store)

        records = stored(root)

        assert records in ({}, {"a": [1.0]}, {"a": [1.0], "b": [2.0]}), (first, second, done)
        assert second < steps - 1 or "sync_directory" in done


@pytest.mark.parametrize("late", [False, True])
def test_store_keeps_its_records_when_compact_failed_at_any_step(late, tmp_path, monkeypatch):
    wanted = {f"id{i}": [float(i)] for i in range(1, 5)} | {"new": [9.0]}
    for at in range(14):
        root, files = tmp_path / f"s{at}", FailingFiles()
        store = opened_through(files, root, monkeypatch, metric="l2")
        store.upsert_many([f"id{i}" for i in range(5)], [[float(i)] for i in range(5)])
        store.checkpoint()
        store.delete("id0")
        files.fail_after(at, late=late)

        with contextlib.suppress(OSError):
            store.compact()
        files.at = None
        store.upsert("new", [9.0])
        store.checkpoint()
        present = {record.id: record.vector.tolist() for record in store.records()}
        abandon(store)

        assert present == wanted, (at, files.done)
        assert stored(root) == wanted, (at, files.done)


@pytest.mark.parametrize("late", [[], ["late"]])
def test_rows_can_be_written_into_the_room_there_is_when_a_checkpoint_failed(late, tmp_path):
    # apart, because a write behind the end of a mapped file ends the process
    command = [sys.executable, "-X", "faulthandler", "-c", FILL_ROOM, str(tmp_path), *late]

    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False
    )

    assert done.returncode == 0, (done.stdout, done.stderr[:3000])
    assert done.stdout.split()[-1] == "15"


@pytest.mark.parametrize("late", [False, True])
def test_store_is_created_anew_when_its_creation_was_cut_short(late, tmp_path, monkeypatch):
    steps = 0
    for files in until_it_passes(dead=True, late=late):
        root = tmp_path / f"s{files.at}"
        try:
            abandon(opened_through(files, root, monkeypatch, dim=1))
        except OSError:
            steps += 1

        with vecstore.open(root, dim=1) as store:
            assert len(store) == 0

    assert steps >= 5


def test_closing_the_store_again_is_fine_when_the_checkpoint_failed_once(tmp_path, monkeypatch):
    files = FailingFiles()
    store = opened_through(files, tmp_path / "s", monkeypatch, metric="l2")
    store.upsert("a", [1.0])
    files.fail_after(0)

    with pytest.raises(OSError, match="failed"):
        store.close()
    store.close()

    assert store.closed
    assert stored(tmp_path / "s") == {"a": [1.0]}
