import dataclasses
import os
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest

import vecstore
from tests.storage.damage import image, stored
from tests.storage.failing import FailingFiles, until_it_passes
from tests.storage.watching import let_go, opened_through
from vecstore.errors import CorruptData, NotAStore, VecStoreError
from vecstore.storage.checkpoint import (
    Content,
    RowsContent,
    check_generation,
    holds_store,
    open_generation,
    remove_stale,
    rows_sums,
    write_files,
)
from vecstore.storage.checksums import BLOCK_BYTES
from vecstore.storage.files import Files
from vecstore.storage.frames import LOG_HEADER_BYTES
from vecstore.storage.manifest import Manifest, draft, read_current, swap
from vecstore.storage.rows import HEADER_BYTES

EMPTY = Manifest(
    generation=1,
    seqno=0,
    dim=None,
    metric="euclidean",
    config={},
    n=0,
    n_live=0,
    n_soft=0,
    next_expiry=None,
    graph={},
    fingerprint="",
    first_log=1,
    first_salt=1,
    files={},
)
REPOSITORY = Path(__file__).parents[2]
ROLES = ["checksums", "hnsw_index", "ids", "metadata", "vectors"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    # a crash is played by copying the directory, so the drive has no say
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def rows_of(n):
    return np.arange(n * 8, dtype=np.float32).reshape(n, 8)


def content(n, continued=None):
    """Make up a generation of n rows, of which another may hold the first already."""
    arrays = {"a": np.arange(n, dtype=np.int32)}
    sections = {"hnsw_index": arrays, "metadata": arrays, "ids": arrays}
    rows = RowsContent(rows_of(n), None, 0, np.zeros(0, np.uint32))
    if continued is not None:
        root, manifest = continued
        sums = rows_sums(Files(), root, manifest)
        rows = RowsContent(rows_of(n), manifest.files["vectors"].name, manifest.n, sums)
    return Content(rows, sections)


def write_generation(files, root, manifest, written):
    """Write the files of a generation and make it the current one."""
    manifest = write_files(files, root, manifest, written)
    draft(files, root, manifest)
    swap(files, root)
    return manifest


def numbered(generation, n):
    return dataclasses.replace(EMPTY, generation=generation, seqno=n, dim=8, n=n, n_live=n)


def state_of(root):
    """Read the current generation with every check; return (seqno, rows, arrays)."""
    files = Files()
    manifest = read_current(files, root)
    opened = open_generation(files, root, manifest)
    check_generation(files, root, manifest)
    if not manifest.files:
        return 0, b"", {}
    entry = manifest.files["vectors"]
    data = (root / entry.name).read_bytes()[HEADER_BYTES : entry.length]
    return manifest.seqno, data, {role: opened[role]["a"].tolist() for role in ("ids", "metadata")}


def state_with(n):
    numbers = list(range(n))
    return n, rows_of(n).tobytes(), {"ids": numbers, "metadata": numbers}


def names(root):
    return sorted(path.name for path in root.iterdir())


@pytest.fixture
def first(tmp_path):
    """Give the manifest of a generation 2 with five rows in tmp_path / "store"."""
    root = tmp_path / "store"
    root.mkdir()
    write_generation(Files(), root, EMPTY, None)
    return write_generation(Files(), root, numbered(2, 5), content(5))


@pytest.fixture
def root(tmp_path):
    return tmp_path / "store"


def test_generation_comes_back_when_written(first, root):
    assert sorted(first.files) == ROLES
    assert state_of(root) == state_with(5)


def test_generation_comes_back_when_rows_are_appended_to_the_file(first, root):
    entry = first.files["vectors"]

    second = write_generation(Files(), root, numbered(3, 9), content(9, (root, first)))

    assert second.files["vectors"].name == entry.name
    assert state_of(root) == state_with(9)


def test_rows_are_those_of_the_generation_before_when_only_a_section_is_new(first, root):
    graph = {"b": np.arange(7, dtype=np.float64)}
    manifest = dataclasses.replace(numbered(3, 5), files=first.files)

    second = write_generation(Files(), root, manifest, Content(None, {"hnsw_index": graph}))

    assert state_of(root) == state_with(5)
    shared = {role: entry for role, entry in second.files.items() if role != "hnsw_index"}
    assert shared == {role: first.files[role] for role in shared}
    opened = open_generation(Files(), root, second)
    assert opened["hnsw_index"]["b"].tolist() == list(range(7))


@pytest.mark.parametrize("rows", [[1, 2], [32_000, 33_000], [40_000, 70_000, 70_001]], ids=str)
def test_checksums_stay_right_when_rows_are_appended_again_and_again(rows, root):
    # blocks of a mebibyte hold 32,640 rows and 32,768 each after the first
    root.mkdir()
    manifest = write_generation(Files(), root, numbered(1, 1), content(1))
    for generation, n in enumerate(rows, 2):
        manifest = write_generation(
            Files(), root, numbered(generation, n), content(n, (root, manifest))
        )

        check_generation(Files(), root, manifest)
        data = (root / manifest.files["vectors"].name).read_bytes()
        fresh = [zlib.crc32(data[at : at + BLOCK_BYTES]) for at in range(0, len(data), BLOCK_BYTES)]
        assert rows_sums(Files(), root, manifest).tolist() == fresh


def test_damage_to_old_rows_is_not_called_sound_when_rows_are_appended_to_their_block(first, root):
    path = root / first.files["vectors"].name
    data = bytearray(path.read_bytes())
    data[HEADER_BYTES + 7] ^= 1
    path.write_bytes(data)

    second = write_generation(Files(), root, numbered(3, 9), content(9, (root, first)))

    with pytest.raises(CorruptData) as caught:
        check_generation(Files(), root, second)
    assert (caught.value.path, caught.value.offset) == (path, 0)


def test_generation_has_no_files_when_there_are_no_slots(root, tmp_path):
    root.mkdir()

    write_generation(Files(), root, EMPTY, None)

    assert state_of(root) == (0, b"", {})
    assert names(root) == ["CURRENT", "manifest-000001.json"]


def test_checksums_cover_every_block_when_there_are_many_rows(root):
    root.mkdir()
    n = 80_000  # 2.4 MiB

    manifest = write_generation(Files(), root, numbered(1, n), content(n))
    path = root / manifest.files["vectors"].name
    data = bytearray(path.read_bytes())
    data[1 << 20] ^= 1
    path.write_bytes(data)

    with pytest.raises(CorruptData) as caught:
        check_generation(Files(), root, manifest)
    assert (caught.value.path, caught.value.offset) == (path, 1 << 20)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("continued", [False, True])
def test_old_generation_is_whole_when_writing_fails_at_any_step(continued, late, first, root):
    before = image(root)
    wanted = content(9, (root, first) if continued else None)
    outcomes = []

    for files in until_it_passes(late=late):
        restore(root, before)
        try:
            write_generation(files, root, numbered(3, 9), wanted)
        except OSError:
            swapped = ("replace", "CURRENT.tmp") in files.done[: files.at + late]
            assert state_of(root) == (state_with(9) if swapped else state_with(5)), files.done
            for path, data in before.items():
                if path.name != "CURRENT":
                    assert (root / path).read_bytes()[: len(data)] == data, files.done
        outcomes.append(state_of(root)[0])

    assert outcomes[0] == 5
    assert outcomes[-1] == 9
    assert len(outcomes) >= 9


def restore(root, before):
    shutil.rmtree(root)
    root.mkdir()
    for path, data in before.items():
        (root / path).write_bytes(data)


def test_stale_files_go_when_the_current_manifest_does_not_name_them(first, root):
    (root / "notes.txt").write_text("mine")
    (root / "LOCK").touch()
    (root / "ids-000099.bin").touch()
    (root / "CURRENT.tmp").touch()
    (root / "snapshots").mkdir()
    for number in range(1, 12):
        (root / f"wal-{number:06}.log").touch()
    first = dataclasses.replace(first, first_log=10)

    remove_stale(Files(), root, first)

    kept = [entry.name for entry in first.files.values()]
    kept += ["wal-000010.log", "wal-000011.log", "snapshots"]  # the logs that it needs
    assert names(root) == sorted(["CURRENT", "LOCK", "notes.txt", first.name, *kept])
    assert state_of(root) == state_with(5)


@pytest.mark.parametrize(
    "left",
    [
        ["LOCK"],
        ["LOCK", "CURRENT.tmp"],
        ["LOCK", "manifest-000001.json"],
        ["LOCK", "wal-000001.log"],
        ["LOCK", "wal-000001.log", "manifest-000001.json", "CURRENT.tmp"],
    ],
)
def test_directory_holds_no_store_yet_when_only_a_begun_creation_is_in_it(left, tmp_path):
    for name in left:
        (tmp_path / name).write_bytes(b"half")

    assert not holds_store(Files(), tmp_path)
    vecstore.open(tmp_path).close()


@pytest.mark.parametrize(
    "name",
    [
        "vectors-000001.bin",
        "ids-000002.bin",
        "metadata-000003.bin",
        "hnsw_index-000001.bin",
        "checksums-000009.bin",
        "manifest-000002.json",
        "wal-000002.log",
        "snapshots",
    ],
)
@pytest.mark.parametrize("foreign", [False, True])
def test_open_raises_corrupt_data_when_files_of_a_store_have_no_current(name, foreign, tmp_path):
    (tmp_path / name).write_bytes(b"x")
    if foreign:
        (tmp_path / "notes.txt").write_text("mine")
    before = image(tmp_path)

    with pytest.raises(CorruptData) as caught:
        vecstore.open(tmp_path)

    assert (caught.value.path, caught.value.offset) == (tmp_path / "CURRENT", 0)
    assert image(tmp_path) == before


def test_open_raises_corrupt_data_when_a_log_with_calls_has_no_current(tmp_path):
    (tmp_path / "wal-000001.log").write_bytes(bytes(LOG_HEADER_BYTES + 1))

    with pytest.raises(CorruptData) as caught:
        vecstore.open(tmp_path)

    assert (caught.value.path, caught.value.offset) == (tmp_path / "CURRENT", 0)


@pytest.mark.parametrize("names_", [["notes.txt"], ["LOCK", "notes.txt"], ["lock"], ["data/x"]])
def test_directory_is_refused_untouched_when_it_holds_foreign_files(names_, tmp_path):
    for name in names_:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"mine")
    before = image(tmp_path)

    with pytest.raises(NotAStore) as caught:
        vecstore.open(tmp_path)

    assert caught.value.path == tmp_path
    assert image(tmp_path) == before


def test_path_is_refused_untouched_when_it_is_a_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"mine")

    with pytest.raises(NotAStore):
        vecstore.open(path)

    assert path.read_bytes() == b"mine"


def test_path_is_refused_when_it_lies_below_a_file(tmp_path):
    (tmp_path / "file").write_bytes(b"mine")

    with pytest.raises(NotAStore):
        vecstore.open(tmp_path / "file" / "store")


def test_directory_of_another_database_is_left_alone_when_it_has_a_current_too(tmp_path):
    # LevelDB and RocksDB name two of their files as stores do
    (tmp_path / "CURRENT").write_bytes(b"MANIFEST-000004\n")
    (tmp_path / "LOCK").write_bytes(b"")
    (tmp_path / "MANIFEST-000004").write_bytes(b"theirs")
    before = image(tmp_path)

    with pytest.raises(VecStoreError):
        vecstore.open(tmp_path)

    assert image(tmp_path) == before


def test_store_survives_when_a_foreign_file_lies_in_it(tmp_path):
    root = tmp_path / "s"
    with vecstore.open(root, metric="l2") as store:
        store.upsert("a", [1.0])
    (root / "notes.txt").write_text("mine")

    with vecstore.open(root) as store:
        store.upsert("b", [2.0])
        store.checkpoint()
        store.delete("a")
        store.compact()

    assert stored(root) == {"b": [2.0]}
    assert (root / "notes.txt").read_text() == "mine"


def test_store_comes_back_when_a_checkpoint_was_left_with_rows_nobody_names(tmp_path):
    root = tmp_path / "s"
    vectors = np.arange(100, dtype=np.float32).reshape(100, 1)
    wanted = {f"id{i}": [float(i)] for i in range(100)}
    with vecstore.open(root, metric="l2") as store:
        store.upsert_many([f"id{i}" for i in range(50)], vectors[:50])
        store.checkpoint()
    manifest = read_current(Files(), root)
    files = FailingFiles(counted=("replace",))
    with let_go(opened_through(files, root)) as store:
        store.upsert_many([f"id{i}" for i in range(50, 100)], vectors[50:])
        files.fail_after(0)
        with pytest.raises(OSError, match="replace failed"):
            store.checkpoint()
    (rows,) = root.glob("vectors-*")

    assert read_current(Files(), root) == manifest
    assert rows.stat().st_size > manifest.files["vectors"].length
    assert stored(root) == wanted
    with vecstore.open(root) as store:
        store.upsert("last", [7.0])
        store.checkpoint()
    assert stored(root) == wanted | {"last": [7.0]}
    assert rows.stat().st_size == read_current(Files(), root).files["vectors"].length


def test_new_rows_are_as_written_when_junk_lies_behind_the_old_ones(tmp_path):
    root = tmp_path / "s"
    with vecstore.open(root, metric="l2") as store:
        store.upsert("a", [1.0])
        store.checkpoint()
    (rows,) = root.glob("vectors-*")
    rows.write_bytes(rows.read_bytes() + np.full(5000, 1e6, np.float32).tobytes())

    with vecstore.open(root, check="full") as store:
        store.upsert("b", [2.0])
        result = store.query([2.0], k=2)

    assert [hit.id for hit in result] == ["b", "a"]
    assert [hit.distance for hit in result] == [0.0, 1.0]


def test_copy_of_a_store_is_a_store_of_its_own_when_put_elsewhere(tmp_path):
    with vecstore.open(tmp_path / "s", metric="l2") as store:
        store.upsert("a", [1.0])
        store.checkpoint()
        shutil.copytree(tmp_path / "s", tmp_path / "deep" / "t")
        with vecstore.open(tmp_path / "deep" / "t", check="full") as twin:
            twin.upsert("b", [2.0])

    assert stored(tmp_path / "s") == {"a": [1.0]}
    assert stored(tmp_path / "deep" / "t") == {"a": [1.0], "b": [2.0]}
