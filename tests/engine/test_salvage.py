"""What a repair saves is what was written, and what it does not save it names."""

import errno
import json
import shutil
import zlib

import numpy as np
import pytest

import vecstore
from tests.engine.repairs import SMALL, FailingMedium, filled, flip, records, salvaged
from tests.storage.damage import abandon, image
from tests.storage.failing import until_it_passes
from vecstore.engine.salvage import salvage_into
from vecstore.errors import (
    AlreadyExists,
    CorruptData,
    InvalidInput,
    NotAStore,
    SnapshotNotFound,
    StoreLocked,
)
from vecstore.storage.files import Files
from vecstore.storage.log_scan import LogScan
from vecstore.storage.manifest import read_current


@pytest.mark.parametrize("ending", ["closed", "killed"])
def test_everything_is_saved_when_nothing_is_damaged(ending, tmp_path):
    filled(tmp_path / "first")
    store = vecstore.open(tmp_path / "first", config={"maintenance": "inline"})
    store.checkpoint()
    store.upsert("another", np.ones(8), {"n": 1}, ttl_s=3600)
    store.soft_delete("id0100")
    store.expire()
    if ending == "closed":
        store.close()
    else:
        abandon(store)
    root = shutil.copytree(tmp_path / "first", tmp_path / "store")

    report, found = salvaged(root)
    vecstore.open(root).close()

    assert (report.ok, report.notes) == (True, ())
    assert found == records(root)
    assert (report.records, report.soft_deleted) == (len(found) - 11, 11)


def test_the_graph_is_that_of_a_fresh_store_with_these_records(tmp_path):
    rows = np.random.default_rng(1).standard_normal((40, 8))
    with vecstore.open(tmp_path / "store", metric="l2", config=SMALL) as store:
        store.upsert_many([f"gone{i}" for i in range(40)], rows + 1)
        store.delete_many([f"gone{i}" for i in range(40)])
        store.upsert_many([f"r{i}" for i in range(40)], rows)
        store.checkpoint()
    with vecstore.open(metric="l2", config=SMALL) as fresh:
        fresh.upsert_many([f"r{i}" for i in range(40)], rows)
        expected = fresh.fingerprint()

    vecstore.salvage(tmp_path / "store", tmp_path / "out")

    # on disk, and not only once the store is open
    assert read_current(Files(), tmp_path / "out").fingerprint == expected
    assert read_current(Files(), tmp_path / "out").graph["n_indexed"] > 0


def test_the_settings_survive(tmp_path):
    config = {"durability": "interval", "hnsw": {"m": 7}, **SMALL}
    with vecstore.open(tmp_path / "store", dim=5, metric="dot", config=config):
        pass

    report = vecstore.salvage(tmp_path / "store", tmp_path / "out")

    with vecstore.open(tmp_path / "out") as store:
        assert (report.ok, len(store), store.dim, store.metric) == (True, 0, 5, "dot")
        assert store.config.durability == "interval"
        assert store.config.hnsw.m == 7


def test_a_torn_end_is_dropped_as_opening_drops_it(tmp_path):
    store = vecstore.open(tmp_path / "first", config=SMALL)
    store.upsert("a", [1.0, 2.0])
    store.upsert("b", [1.0, 2.0])
    abandon(store)
    root = shutil.copytree(tmp_path / "first", tmp_path / "store")
    (log,) = root.glob("wal-*.log")
    last = [piece for piece in LogScan(Files(), log).pieces() if piece.sound][-1]
    flip(log, last.offset + last.length - 1)

    report, found = salvaged(root)

    assert report.ok
    assert "cut short" in report.notes[0].text
    assert report.notes[0].offset == last.offset
    assert list(found) == ["a"]
    vecstore.open(root).close()
    assert records(root) == found


# ---- damaged CURRENT and manifest


@pytest.mark.parametrize("harm", ["missing", "nonsense", "a folder", "a bad sector"])
def test_the_newest_whole_manifest_is_gone_by_when_current_is_damaged(harm, tmp_path):
    root = tmp_path / "store"
    filled(root)
    expected = records(root)
    current, files = root / "CURRENT", Files()
    if harm == "a bad sector":
        files = FailingMedium(current, 0, 1)
    else:
        current.unlink()
    if harm == "nonsense":
        current.write_bytes(b"nonsense")
    elif harm == "a folder":
        current.mkdir()
        (root / "CURRENT.tmp").mkdir()

    report = salvage_into(files, root, tmp_path / "out", None)

    assert records(tmp_path / "out") == expected
    assert not report.ok
    assert "went by manifest-" in report.losses[0].text
    assert report.losses[0].path == str(current)


def two_generations(root):
    """Leave the files of two generations, as a crash before the old ones are removed."""
    with vecstore.open(root, config=SMALL) as store:
        store.upsert("old", [1.0, 2.0])
        store.checkpoint()
        older = {path.name: path.read_bytes() for path in root.iterdir()}
        store.upsert("new", [1.0, 2.0])
        store.checkpoint()
    for name, raw in older.items():
        if not (root / name).exists():
            (root / name).write_bytes(raw)
    return older


def test_an_older_manifest_is_gone_by_when_the_newest_is_damaged(tmp_path):
    root = tmp_path / "store"
    two_generations(root)
    newest = read_current(Files(), root).name
    flip(root / newest, 50)

    report, found = salvaged(root)

    assert "old" in found
    assert not report.ok
    assert report.losses[0].path == str(root / newest)


def test_a_manifest_that_was_only_drafted_is_gone_by_last(tmp_path):
    root = tmp_path / "store"
    older = two_generations(root)
    draft = (root / "CURRENT").read_bytes()
    (root / "CURRENT.tmp").write_bytes(draft)
    (root / "CURRENT").write_bytes(b"")

    report, _ = salvaged(root)

    assert older["CURRENT"].split()[0].decode() in report.losses[0].text


def test_repair_names_the_snapshots_when_no_manifest_is_whole(tmp_path):
    with vecstore.open(tmp_path / "store", config=SMALL) as store:
        store.upsert("a", [1.0, 2.0])
        store.create_snapshot("monday")
    (manifest,) = (tmp_path / "store").glob("manifest-*.json")
    flip(manifest, 50)

    with pytest.raises(CorruptData, match="no manifest is whole, but there are snapshots: monday"):
        vecstore.salvage(tmp_path / "store", tmp_path / "out")

    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_settings_that_are_impossible_are_refused(tmp_path):
    with vecstore.open(tmp_path / "store", config=SMALL):
        pass
    (manifest,) = (tmp_path / "store").glob("manifest-*.json")
    fields = {**json.loads(manifest.read_bytes().splitlines()[0]), "metric": "nonsense"}
    line = json.dumps(fields).encode()
    data = line + b"\n%08x\n" % zlib.crc32(line)
    manifest.write_bytes(data)
    (tmp_path / "store" / "CURRENT").write_text(f"{manifest.name} {zlib.crc32(data):08x}\n")

    with pytest.raises(CorruptData, match="impossible settings"):
        vecstore.salvage(tmp_path / "store", tmp_path / "out")


# ---- snapshots


def with_snapshot(root):
    with vecstore.open(root, config=SMALL) as store:
        store.upsert("a", [1.0, 2.0], {"n": 1}, ttl_s=3600)
        store.upsert("b", [1.0, 3.0])
        store.soft_delete("b")
        store.create_snapshot("monday")
        store.upsert("a", [9.0, 9.0])
        store.delete("a")


def test_a_snapshot_is_saved_when_the_store_around_it_is_damaged(tmp_path):
    with_snapshot(tmp_path / "store")
    for path in (tmp_path / "store").iterdir():
        if path.is_file() and path.name.startswith(("manifest", "wal")):
            path.write_bytes(b"")

    report, found = salvaged(tmp_path / "store", snapshot="monday")

    assert report.ok
    assert sorted(found) == ["a", "b"]
    assert (report.records, report.soft_deleted) == (1, 1)


@pytest.mark.parametrize("file", ["snapshot.json", "manifest", "vectors"])
def test_what_is_lost_of_a_snapshot_is_told(file, tmp_path):
    with_snapshot(tmp_path / "store")
    place = tmp_path / "store" / "snapshots" / "monday"
    (path,) = place.glob(f"{file}*")
    flip(path, 60)

    if file == "manifest":
        with pytest.raises(CorruptData, match="no manifest is whole"):
            salvaged(tmp_path / "store", snapshot="monday")
        return
    report, found = salvaged(tmp_path / "store", snapshot="monday")

    assert report.losses[0].path == str(path)
    assert sorted(found) == ([] if file == "vectors" else ["a", "b"])


def test_a_snapshot_that_is_not_there_is_not_found(tmp_path):
    with_snapshot(tmp_path / "store")

    with pytest.raises(SnapshotNotFound):
        vecstore.salvage(tmp_path / "store", tmp_path / "out", snapshot="tuesday")
    with pytest.raises(InvalidInput, match=r"salvage\(snapshot\)"):
        vecstore.salvage(tmp_path / "store", tmp_path / "out", snapshot="../store")

    assert not (tmp_path / "out").exists()


# ---- what is refused, and what may go wrong


def small(root):
    with vecstore.open(root, config=SMALL) as store:
        store.upsert_many(
            [f"r{i}" for i in range(20)], np.random.default_rng(0).normal(size=(20, 4))
        )
        store.checkpoint()
        store.upsert("logged", [1.0, 2.0, 3.0, 4.0])


@pytest.mark.parametrize("place", ["file", "empty", "store", "inside"])
def test_repair_is_refused_when_the_new_place_is_taken(place, tmp_path):
    small(tmp_path / "store")
    places = {"inside": tmp_path / "store" / "saved", "store": tmp_path / "store"}
    out = places.get(place, tmp_path / place)
    if place == "file":
        out.write_bytes(b"mine")
    if place == "empty":
        out.mkdir()
    before = image(tmp_path)

    with pytest.raises(InvalidInput if place in places else AlreadyExists):
        vecstore.salvage(tmp_path / "store", out)

    assert image(tmp_path) == before


@pytest.mark.parametrize("place", ["missing", "empty", "foreign", "file"])
def test_repair_is_refused_when_there_is_nothing_of_a_store(place, tmp_path):
    if place == "file":
        (tmp_path / place).write_bytes(b"mine")
    elif place != "missing":
        (tmp_path / place).mkdir()
    if place == "foreign":
        (tmp_path / place / "letter.txt").write_text("dear reader")

    with pytest.raises(NotAStore):
        vecstore.salvage(tmp_path / place, tmp_path / "out")
    with pytest.raises(InvalidInput):
        vecstore.salvage(None, tmp_path / "out")

    assert not (tmp_path / "out").exists()


class BusyFiles(Files):
    """A file system in which somebody makes a checkpoint while the vectors are read."""

    def __init__(self, checkpoint):
        self._checkpoint = checkpoint

    def read(self, path, most, offset=0):
        if path.name.startswith("vectors") and self._checkpoint is not None:
            checkpoint, self._checkpoint = self._checkpoint, None
            checkpoint()
        return super().read(path, most, offset)


def test_repair_gives_up_when_somebody_writes_to_the_store_meanwhile(tmp_path):
    small(tmp_path / "store")
    with vecstore.open(tmp_path / "store") as writer:
        files = BusyFiles(writer.checkpoint)
        with pytest.raises(StoreLocked, match="just written"):
            salvage_into(files, tmp_path / "store", tmp_path / "out", None)

    assert [path.name for path in tmp_path.iterdir()] == ["store"]


@pytest.mark.parametrize("late", [False, True])
def test_repair_leaves_a_whole_store_or_none_when_an_operation_fails(late, tmp_path):
    small(tmp_path / "store")
    expected, errors = records(tmp_path / "store"), []
    before = image(tmp_path / "store")

    for files in until_it_passes(late=late, error=errno.ENOSPC):
        out = tmp_path / "out"
        try:
            salvage_into(files, tmp_path / "store", out, None)
        except OSError as exc:
            errors.append(exc.errno)
        if out.exists():
            assert records(out) == expected
            shutil.rmtree(out)
        else:
            assert files.failed

    assert len(errors) > 10
    assert set(errors) == {errno.ENOSPC}
    assert image(tmp_path / "store") == before
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
