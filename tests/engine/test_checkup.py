"""A checkup lists every damaged file of a store, also where the store cannot be opened."""

import json
import shutil
import zlib

import numpy as np
import pytest

import vecstore
from tests.engine.repairs import SMALL, filled, flip
from tests.storage.damage import abandon, image
from tests.storage.forgery import rewrite
from vecstore.engine.checkup import check_store
from vecstore.errors import NotAStore
from vecstore.storage.files import Files
from vecstore.storage.log_scan import LogScan
from vecstore.storage.manifest import read_current

ROLES = ["checksums", "hnsw_index", "ids", "metadata", "vectors"]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """Write a store with two snapshots, and calls in its log."""
    root = tmp_path_factory.mktemp("checkup") / "store"
    filled(root)
    with vecstore.open(root, config={"maintenance": "inline"}) as store:
        store.upsert("second", np.ones(8))
        store.create_snapshot("second")
        for i in range(5):
            store.upsert(f"logged{i}", np.ones(8))
    return root


@pytest.fixture
def root(pristine, tmp_path):
    return shutil.copytree(pristine, tmp_path / "store")


def checked(root, *, full=False):
    before = image(root)
    found = check_store(Files(), root, full=full)
    assert image(root) == before
    return found


def blamed(report):
    return {issue.path for issue in report.problems}


def named(root, roles):
    manifest = read_current(Files(), root)
    return [root / manifest.files[role].name for role in roles]


@pytest.mark.parametrize("full", [False, True])
def test_a_whole_store_is_whole(full, root):
    found = checked(root, full=full)

    assert found.ok
    assert (found.store.problems, found.torn_bytes) == ((), 0)
    assert {name: report.problems for name, report in found.snapshots.items()} == {
        "monday": (),
        "second": (),
    }


def test_a_store_is_whole_while_somebody_writes_to_it(root):
    with vecstore.open(root, config={"maintenance": "inline"}) as store:
        store.upsert("more", np.ones(8))
        during = checked(root)
        store.checkpoint()
        store.upsert("even more", np.ones(8))
        after = checked(root)

    assert during.ok
    assert after.ok


@pytest.mark.parametrize("roles", [ROLES, ["ids", "vectors"], ["metadata", "hnsw_index"]])
@pytest.mark.parametrize("harm", ["flip", "cut", "missing"])
def test_every_damaged_file_is_listed(roles, harm, root):
    paths = named(root, roles)
    for path in paths:
        if harm == "flip":
            flip(path, path.stat().st_size // 2)
        elif harm == "cut":
            path.write_bytes(path.read_bytes()[:100])
        else:
            path.unlink()

    found = checked(root)

    assert not found.ok
    assert {str(path) for path in paths} <= blamed(found.store)


def test_every_damaged_log_is_listed(tmp_path):
    root = tmp_path / "store"
    with vecstore.open(root, metric="l2", config=SMALL) as store:
        store.upsert("zero", [1.0, 2.0])
        store.checkpoint()
        kept = {path.name: path.read_bytes() for path in root.iterdir()}
        logs = {}
        for number in range(3):
            store.upsert(f"a{number}", [1.0, 2.0])
            store.upsert(f"b{number}", [1.0, 2.0])
            store._writer.journal.log.mark()
            logs |= {path.name: path.read_bytes() for path in root.glob("wal-*.log")}
            if number < 2:
                store.checkpoint()
    for path in root.iterdir():
        path.unlink()
    for name, raw in (kept | logs).items():
        (root / name).write_bytes(raw)
    assert checked(root).ok

    for name in logs:
        flip(root / name, 100)
    found = checked(root)

    assert blamed(found.store) == {str(root / name) for name in logs}


def test_other_files_are_looked_at_when_current_is_damaged(root):
    (root / "CURRENT").write_bytes(b"nonsense")
    (ids,) = root.glob("ids-*.bin")
    flip(ids, 300)

    found = checked(root)

    assert blamed(found.store) == {str(root / "CURRENT"), str(ids)}


@pytest.mark.parametrize("harm", ["damaged", "missing", "a folder"])
def test_other_files_are_looked_at_when_the_manifest_is_damaged(harm, root):
    (manifest,) = root.glob("manifest-*.json")
    (log,) = root.glob("wal-*.log")
    (ids,) = root.glob("ids-*.bin")
    flip(ids, 300)
    flip(log, 100)
    if harm == "damaged":
        flip(manifest, 50)
    else:
        manifest.unlink()
    if harm == "a folder":
        manifest.mkdir()

    found = checked(root)

    assert blamed(found.store) == {str(path) for path in (manifest, ids, log)}


def test_a_missing_current_is_damage_when_there_are_other_files(root):
    (root / "CURRENT").unlink()

    found = checked(root)

    assert blamed(found.store) == {str(root / "CURRENT")}
    assert "missing" in found.store.problems[0].text


def test_a_full_checkup_sees_what_only_the_records_of_a_snapshot_show(root):
    place = root / "snapshots" / "monday"
    rewrite_as_snapshot(place, lambda sections: sections["metadata"]["live"].fill(0))

    assert checked(root).ok
    found = checked(root, full=True)

    assert not found.ok
    assert "live" in found.snapshots["monday"].problems[0].text
    assert found.snapshots["second"].ok


def rewrite_as_snapshot(place, edit):
    """Change arrays of a snapshot and make every checksum fit."""
    (path,) = place.glob("manifest-*.json")
    (place / "CURRENT").write_text(f"{path.name} {zlib.crc32(path.read_bytes()):08x}\n")
    for file in place.glob("*.bin"):
        raw = file.read_bytes()
        file.unlink()
        file.write_bytes(raw)
    rewrite(place, edit)
    (place / "CURRENT").unlink()
    note = place / "snapshot.json"
    fields = json.loads(note.read_bytes().splitlines()[0]) | {"crc": zlib.crc32(path.read_bytes())}
    line = json.dumps(fields).encode()
    note.write_bytes(line + b"\n%08x\n" % zlib.crc32(line))


def test_a_flip_anywhere_is_found_and_blamed_on_its_file(root):
    rng = np.random.default_rng(4)
    (log,) = root.glob("wal-*.log")
    durable = LogScan(Files(), log).durable
    manifest = read_current(Files(), root)
    lengths = {entry.name: entry.length for entry in manifest.files.values()}
    lengths |= {log.name: durable, manifest.name: None, "CURRENT": None}

    for name, length in lengths.items():
        raw = (root / name).read_bytes()
        for at in rng.integers(length or len(raw), size=12).tolist():
            flip(root / name, at)
            found = check_store(Files(), root, full=False)
            assert not found.ok, (name, at)
            assert str(root / name) in blamed(found.store), (name, at)
            (root / name).write_bytes(raw)

    assert check_store(Files(), root, full=False).ok


def test_torn_bytes_are_told_and_are_no_damage(tmp_path):
    store = vecstore.open(tmp_path / "first", config=SMALL)
    for i in range(3):
        store.upsert(f"r{i}", [1.0, 2.0])
    abandon(store)
    root = shutil.copytree(tmp_path / "first", tmp_path / "store")
    (log,) = root.glob("wal-*.log")
    last = [piece for piece in LogScan(Files(), log).pieces() if piece.sound][-1]
    flip(log, last.offset + 40)

    found = checked(root)

    assert found.ok
    assert found.torn_bytes == last.length


def test_snapshots_are_checked_by_name(root):
    place = root / "snapshots" / "second"
    (ids,) = place.glob("ids-*.bin")
    copy = ids.read_bytes()
    ids.unlink()  # no link to the store's own any more
    ids.write_bytes(copy)
    flip(ids, 300)

    found = checked(root)

    assert not found.ok
    assert found.store.ok
    assert found.snapshots["monday"].ok
    assert blamed(found.snapshots["second"]) == {str(ids)}


@pytest.mark.parametrize("file", ["snapshot.json", "manifest-*.json"])
@pytest.mark.parametrize("harm", ["flip", "missing"])
def test_a_snapshot_that_says_nothing_of_itself_is_damaged(file, harm, root):
    (path,) = (root / "snapshots" / "monday").glob(file)
    flip(path, 20) if harm == "flip" else path.unlink()

    found = checked(root)

    assert not found.ok
    assert blamed(found.snapshots["monday"]) == {str(path)}
    assert found.snapshots["second"].ok


def test_the_store_is_damaged_and_its_snapshots_are_whole(root):
    (root / "CURRENT").write_bytes(b"")

    found = checked(root)

    assert not found.store.ok
    assert all(report.ok for report in found.snapshots.values())


@pytest.mark.parametrize("place", ["missing", "empty", "foreign", "file"])
def test_a_checkup_is_refused_when_there_is_no_store(place, tmp_path):
    if place == "file":
        (tmp_path / place).write_bytes(b"mine")
    elif place != "missing":
        (tmp_path / place).mkdir()
    if place == "foreign":
        (tmp_path / place / "letter.txt").write_text("dear reader")

    with pytest.raises(NotAStore):
        check_store(Files(), tmp_path / place, full=False)
