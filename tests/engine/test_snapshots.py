"""Snapshots of an open store where something is damaged, refused or in the way."""

import contextlib
import errno
import io
import logging
from pathlib import Path

import pytest

import vecstore
from tests.crash.sessions import BusyFiles
from tests.engine.test_writer import opened
from tests.storage.failing import READS, FailingFiles
from tests.storage.medium import NOTHING
from tests.storage.watching import WatchedFiles, let_go, opened_through
from tests.stores import SMALL, grid, names
from vecstore.engine.backup import write_backup
from vecstore.errors import CorruptData, SnapshotNotFound


class Stubborn(FailingFiles):
    """Does not let go of files whose names begin in a certain way."""

    kept = "none"

    def remove(self, path):
        if path.name.startswith(self.kept):
            raise OSError(errno.EIO, "cannot be removed", str(path))
        self.inner.remove(path)


@pytest.fixture
def files():
    return Stubborn()


@pytest.fixture
def store(tmp_path, files):
    with let_go(opened(tmp_path / "store", files)) as store:
        store.upsert_many(names(9), grid(9))
        yield store


# ---- what is listed


@pytest.mark.parametrize("file", ["snapshot.json", "manifest-000002.json"])
def test_all_snapshots_are_listed_when_one_is_damaged(store, tmp_path, file):
    whole, other = store.create_snapshot("a"), store.create_snapshot("b")
    damaged = tmp_path / "store" / "snapshots" / "a" / file
    damaged.write_bytes(damaged.read_bytes()[:-2])

    listed = store.list_snapshots()

    assert [info.name for info in listed] == ["a", "b"]
    assert listed[1] == other
    assert file in listed[0].problem
    assert 0 < listed[0].size_bytes != whole.size_bytes
    with pytest.raises(CorruptData):
        store.restore_snapshot("a")
    store.delete_snapshot("a")
    assert store.list_snapshots() == [other]


def test_a_snapshot_is_listed_when_nothing_is_left_of_it_but_a_folder(store, tmp_path):
    (tmp_path / "store" / "snapshots" / "folder").mkdir(parents=True)
    (tmp_path / "store" / "snapshots" / "file").write_bytes(b"somebody else's")

    listed = store.list_snapshots()

    assert [(info.name, info.size_bytes, bool(info.problem)) for info in listed] == [
        ("folder", 0, True)
    ]


def test_what_is_not_ours_stays_when_leftovers_are_swept(store, tmp_path):
    folder = tmp_path / "store" / "snapshots"
    for name in (".a.partial", ".b.deleted", ".keep", "..partial"):
        (folder / name).mkdir(parents=True)
        (folder / name / "note").write_bytes(b"x")
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / ".c.partial").write_bytes(b"not a folder")
    store.close()

    vecstore.open(tmp_path / "store").close()

    assert sorted(path.name for path in folder.iterdir()) == [
        "..partial",
        ".DS_Store",
        ".c.partial",
        ".keep",
    ]


def at_each_moment(root, call):
    """Delete the snapshot "b" in the middle of a call; give what the call gives, or raises."""
    for moment in range(1, 200):
        with vecstore.open(root, config=SMALL) as writer:
            writer.create_snapshot("b")
            left = [moment]

            def watch(name, file, left=left, writer=writer):
                left[0] -= name in READS
                if left[0] == 0:
                    left[0] = -1
                    writer.delete_snapshot("b")

            try:
                yield call(WatchedFiles(watch, counted=()))
            except SnapshotNotFound as exc:
                yield exc
            if left[0] > 0:
                return
    raise AssertionError("no end")


def test_snapshots_are_listed_when_one_is_deleted_meanwhile(store, tmp_path):
    store.create_snapshot("a")
    store.close()
    root = tmp_path / "store"

    def listed(files):
        with let_go(opened_through(files, root, mode="r")) as reader:
            return [(info.name, info.problem) for info in reader.list_snapshots()]

    outcomes = list(at_each_moment(root, listed))

    assert len(outcomes) > 10
    assert all(found in ([("a", "")], [("a", ""), ("b", "")]) for found in outcomes)
    assert outcomes[-1] == [("a", ""), ("b", "")]


@pytest.mark.parametrize("what", ["verify", "backup"])
def test_no_damage_is_seen_when_a_snapshot_is_deleted_meanwhile(store, tmp_path, what):
    store.close()
    root = tmp_path / "store"

    def verified(files):
        if what == "backup":
            write_backup(files, root, io.BytesIO(), "b")
            return True
        with let_go(opened_through(files, root, mode="r")) as reader:
            return reader.verify_snapshot("b").ok

    outcomes = list(at_each_moment(root, verified))

    assert outcomes[-1] is True
    assert any(isinstance(found, SnapshotNotFound) for found in outcomes)
    assert all(found is True or isinstance(found, SnapshotNotFound) for found in outcomes)


def test_nothing_is_left_of_a_snapshot_when_making_it_failed(store, files, tmp_path):
    for number in range(99):
        files.fail_after(number, late=True)
        with contextlib.suppress(OSError, vecstore.errors.StorePoisoned):
            store.create_snapshot("a")
            break
        assert store.list_snapshots() == [], files.done[-1]
        assert not (tmp_path / "store" / "snapshots").exists()
        if store._writer.journal.failure is not None:
            return
    assert number > 5


# ---- what stays behind


def test_no_snapshot_is_written_to_when_links_to_it_were_left_behind(store, files, tmp_path):
    store.create_snapshot("a")
    store.upsert("new", [1, 2, 3, 4])
    files.kept, files.counted = ("hnsw", "ids", "metadata", "checksums", "vectors"), ("replace",)
    files.fail_after(0)
    with pytest.raises(vecstore.errors.StorePoisoned):
        store.restore_snapshot("a")  # the links are there, and CURRENT does not name them
    store.close()

    with let_go(opened(tmp_path / "store", files)) as again:
        again.upsert("newer", [4, 3, 2, 1])
        again.checkpoint()

        assert again.verify_snapshot("a").ok
        again.restore_snapshot("a")
        assert sorted(again.ids()) == sorted(names(9))


def test_compact_says_so_when_the_system_does_not_let_go_of_old_vectors(store, files, caplog):
    store.checkpoint()
    store.delete("r3")
    files.kept = "vectors"

    with caplog.at_level(logging.WARNING, "vecstore"):
        report = store.compact()

    assert report == 1
    assert report.leftovers == ("vectors-000002.bin",)
    assert "vectors-000002.bin" in caplog.text
    files.kept = "none"
    store.checkpoint()
    store.upsert("new", [1, 2, 3, 4])
    store.checkpoint()
    assert store.compact().leftovers == ()


def test_other_leftovers_go_when_one_cannot_be_removed(tmp_path):
    root = tmp_path / "store"
    with vecstore.open(root, metric="l2", config=SMALL) as store:
        store.upsert_many(names(9), grid(9))
        store.checkpoint()
    (root / "checksums-000099.bin").mkdir()
    (root / "vectors-000050.bin").write_bytes(b"left behind")

    with vecstore.open(root) as store:
        assert not (root / "vectors-000050.bin").exists()
        store.upsert("new", [1, 2, 3, 4])
        store.checkpoint()

    # a number that anything has is not used again
    assert (root / "manifest-000100.json").exists()


# ---- creation


def test_a_new_store_is_durable_when_an_attempt_before_left_its_directory(monkeypatch):
    class Killed(BaseException):
        pass

    class Interrupted(BusyFiles):
        def sync_directory(self, path):
            raise Killed

    files = Interrupted()
    monkeypatch.setattr("vecstore.store.Files", lambda: files)
    with pytest.raises(Killed):
        vecstore.open(Path("/parent/store"), config=SMALL)
    files.__class__ = BusyFiles

    with let_go(vecstore.open(Path("/parent/store"), config=SMALL)) as store:
        store.upsert("a", [1.0])
        left = files.crash(NOTHING)

    monkeypatch.setattr("vecstore.store.Files", lambda: left)
    with let_go(vecstore.open(Path("/parent/store"), config=SMALL)) as store:
        assert store.ids() == ["a"]
