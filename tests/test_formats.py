"""
Stores of every format version are read, and what docs/format.md says of their bytes is true.

`tests/formats/make.py` made the golden stores; `tests/formats/parser.py` reads them on its own.
"""

import hashlib
import json
import re
import shutil
import struct
import zlib

import numpy as np
import pytest

import vecstore
from tests.architecture.source import ROOT
from tests.formats.dump import EXAMPLE, annotated
from tests.formats.make import BEGAN, HERE, NEWEST, make, state_of
from tests.formats.parser import Log, read_sections, read_snapshot, read_store
from tests.stores import Clock
from vecstore.errors import UnsupportedFormat
from vecstore.index import FlatIndex, HNSWIndex
from vecstore.storage.frames import CALL_KINDS

PAGE = (ROOT / "docs" / "format.md").read_text(encoding="utf-8")
VERSIONS = sorted(path.name for path in HERE.glob("v*"))
HOLDS = {
    version: json.loads((HERE / version / "holds.json").read_text(encoding="utf-8"))
    for version in VERSIONS
}
STORES = [(version, name) for version in VERSIONS for name in HOLDS[version]["stores"]]
FILES = [
    "manifest-000002.json",
    "vectors-000002.bin",
    "hnsw_index-000002.bin",
    "metadata-000002.bin",
    "ids-000002.bin",
    "checksums-000002.bin",
    "wal-000002.log",
]
LONG_AFTER = BEGAN + 10_000_000


def held(version, name):
    """Tell what a golden store holds: to a writer, and to who only reads."""
    state = dict(HOLDS[version]["stores"][name])
    snapshots, read = state.pop("snapshots", {}), state.pop("read", None)
    return state, state if read is None else read, snapshots


def copied(version, name, folder):
    return shutil.copytree(HERE / version / name, folder / name)


def opened(path, **how):
    return vecstore.open(path, clock=Clock(LONG_AFTER), **how)


def files_of(path):
    """Give every byte below a directory, but those of locks."""
    files = (file for file in path.rglob("*") if file.is_file() and file.name != "LOCK")
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in files}


# ---- golden stores


@pytest.mark.parametrize(("version", "name"), STORES)
def test_golden_store_holds_what_was_put_in_when_opened(version, name, tmp_path):
    path, (state, _, snapshots) = copied(version, name, tmp_path), held(version, name)

    with opened(path, check="full") as store:
        assert store.verify().ok
        assert state_of(store) == state
        assert [info.name for info in store.list_snapshots()] == list(snapshots)
        for snapshot in snapshots:
            assert store.verify_snapshot(snapshot).ok


@pytest.mark.parametrize(("version", "name"), STORES)
def test_golden_store_shows_what_is_durable_when_opened_to_read(version, name, tmp_path):
    path, (_, read, _) = copied(version, name, tmp_path), held(version, name)
    before = files_of(path)

    with opened(path, mode="r", check="full") as store:
        assert store.verify().ok
        assert state_of(store) == read

    assert files_of(path) == before


@pytest.mark.parametrize(("version", "name"), STORES)
def test_golden_store_goes_on_when_written_to(version, name, tmp_path):
    path, (state, _, _) = copied(version, name, tmp_path), held(version, name)
    row = np.arange(1.0, 1 + (state["dim"] or 3))

    with opened(path) as store:
        store.upsert("new", row, {"is": "new"})
        kept = state_of(store)
    with opened(path) as store:
        assert state_of(store) == kept
        store.checkpoint()
    with opened(path, check="full") as store:
        assert state_of(store) == kept
        assert store.verify().ok

    assert kept["seqno"] == state["seqno"] + 1
    assert kept["records"][-1]["id"] == "new"
    assert kept["records"][:-1] == state["records"]


def test_golden_snapshot_is_restored_when_asked_for(tmp_path):
    for version in VERSIONS:
        path = copied(version, "snapshot", tmp_path / version)
        state, _, snapshots = held(version, "snapshot")

        with opened(path) as store:
            store.restore_snapshot("monday")
            restored = state_of(store)

        assert restored == snapshots["monday"] | {"seqno": state["seqno"] + 1}


def test_golden_indexes_load_as_they_were():
    for version in VERSIONS:
        fingerprints = HOLDS[version]["indexes"]

        assert FlatIndex.load(HERE / version / "flat.index").fingerprint() == fingerprints["flat"]
        assert HNSWIndex.load(HERE / version / "hnsw.index").fingerprint() == fingerprints["hnsw"]


def test_torn_bytes_are_counted_when_a_golden_store_was_cut_short(tmp_path):
    path = copied("v1", "crashed", tmp_path)
    torn = read_store(path).logs[-1].torn

    with opened(path) as store:
        assert store.stats().torn_bytes == len(torn) > 32

    with opened(path) as store:
        assert store.stats().torn_bytes == 0


def test_golden_stores_are_small_and_hold_every_kind_of_call():
    logs = [Log(path.read_bytes()) for path in NEWEST.glob("*/wal-*.log")]
    frames = [frame for log in logs for frame in log.frames]

    assert sum(path.stat().st_size for path in NEWEST.rglob("*")) < 100_000
    assert {frame.kind for frame in frames} == set(CALL_KINDS)
    assert max(frame.part for frame in frames) >= 2
    assert any(log.torn for log in logs)
    assert len({path.parent for path in NEWEST.glob("*/wal-*.log")}) < len(logs)


def test_same_calls_are_written_as_when_the_newest_golden_stores_were_made(tmp_path):
    make(again := tmp_path / "again")

    made, golden = files_of(again), files_of(NEWEST)
    assert made.keys() == golden.keys()
    for name, raw in golden.items():
        if name.endswith(".log"):  # where MessagePack may put the same in other bytes
            assert calls_of(made[name]) == calls_of(raw), name
        else:
            assert made[name] == raw, name


def calls_of(raw):
    """Give what a log says, without the places where it says so."""
    log = Log(raw)
    frames = [
        (frame.seqno, frame.kind, frame.flags, frame.part, synced_of(log, frame))
        for frame in log.frames
    ]
    return log.salt, log.number, log.seqno, log.calls, frames, bool(log.torn)


def synced_of(log, frame):
    """Count the frames that a frame calls durable; it never means the middle of one."""
    assert frame.synced in {64, *(before.end for before in log.frames)}
    return sum(before.end <= frame.synced for before in log.frames)


# ---- a newer version


def made_newer(path):
    """Give a file the next version number, with its checksums right."""
    raw = bytearray(path.read_bytes())
    if raw.startswith(b"VECSTORE"):
        end = 64 if path.suffix == ".log" else 40 + 48 * raw[16]
        raw[8:12] = struct.pack("<I", 2)
        raw[20:24] = bytes(4)
        raw[20:24] = struct.pack("<I", zlib.crc32(raw[:end]))
        path.write_bytes(raw)
        return
    line = json.dumps({**json.loads(raw.splitlines()[0]), "format": 2, "more": 0}).encode()
    data = line + b"\n%08x\n" % zlib.crc32(line)
    path.write_bytes(data)
    if path.name.startswith("manifest"):
        (path.parent / "CURRENT").write_text(f"{path.name} {zlib.crc32(data):08x}\n")


@pytest.mark.parametrize("mode", ["a", "r"])
@pytest.mark.parametrize("file", FILES)
def test_store_is_refused_with_a_sentence_when_a_newer_version_wrote(file, mode, tmp_path):
    path = copied("v1", "calls", tmp_path)
    made_newer(path / file)
    before = files_of(path)

    with pytest.raises(UnsupportedFormat) as caught:
        opened(path, mode=mode)

    assert str(caught.value) == f"{path / file}: format version 2, this VecStore reads up to 1"
    assert files_of(path) == before


@pytest.mark.parametrize("file", ["snapshot.json", "hnsw_index-000002.bin", "vectors-000002.bin"])
def test_snapshot_is_refused_with_a_sentence_when_a_newer_version_wrote(file, tmp_path):
    path = copied("v1", "snapshot", tmp_path)
    made_newer(path / "snapshots" / "monday" / file)

    with opened(path) as store:
        before = state_of(store)
        with pytest.raises(UnsupportedFormat, match="format version 2, this VecStore reads up to"):
            store.restore_snapshot("monday")
        assert not store.verify_snapshot("monday").ok
        assert state_of(store) == before


@pytest.mark.parametrize("kind", [FlatIndex, HNSWIndex])
def test_index_is_refused_with_a_sentence_when_a_newer_version_wrote_it(kind, tmp_path):
    name = {FlatIndex: "flat.index", HNSWIndex: "hnsw.index"}[kind]
    path = shutil.copy(NEWEST / name, tmp_path)
    made_newer(tmp_path / name)

    with pytest.raises(UnsupportedFormat, match="format version 2, this VecStore reads up to 1"):
        kind.load(path)


# ---- docs/format.md


def same(found, wanted):
    """Compare slots of the parser with records; what is stored at unit length is rounded twice."""
    plain = [
        {key: value for key, value in slot.items() if key not in ("live", "vector")}
        | {key: None if slot[key] == -1 else slot[key] for key in ("expires_at", "deleted_at")}
        for slot in found
    ]
    assert plain == [{k: v for k, v in record.items() if k != "vector"} for record in wanted]
    for slot, record in zip(found, wanted, strict=True):
        assert np.allclose(slot["vector"], record["vector"], rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", [name for version, name in STORES if version == "v1"])
def test_parser_without_vecstore_finds_every_record(name, tmp_path):
    state, _, snapshots = held("v1", name)

    store = read_store(NEWEST / name)

    same(store.records(), state["records"])
    assert (store.manifest["metric"], store.seqno) == (state["metric"], state["seqno"])
    for snapshot, kept in snapshots.items():
        same(read_snapshot(NEWEST / name / "snapshots" / snapshot).records(), kept["records"])


@pytest.mark.parametrize("name", [name for version, name in STORES if version == "v1"])
def test_parser_without_vecstore_finds_every_record_when_a_generation_was_written(name, tmp_path):
    path, (state, _, _) = copied("v1", name, tmp_path), held("v1", name)
    with opened(path) as store:
        store.checkpoint()

    found = read_store(path)

    same(found.records(), state["records"])
    assert not any(log.calls for log in found.logs)
    assert found.manifest["fingerprint"] in ("", state["fingerprint"])


def test_ids_are_found_by_their_hashes_as_the_page_says():
    raw = next((NEWEST / "calls").glob("ids-*.bin")).read_bytes()
    store, ids = read_store(NEWEST / "calls"), read_sections(raw, 4)

    names = [store.slots[slot]["id"] for slot in ids["slots"]]
    digests = [hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names]

    assert ids["hashes"].tolist() == [int.from_bytes(digest, "little") for digest in digests]
    assert ids["hashes"].tolist() == sorted(ids["hashes"].tolist())


def test_page_shows_the_bytes_of_the_example():
    assert "\n".join(annotated(EXAMPLE)) in PAGE


def part_of(title):
    """Give the part of the page under the heading with some words in it."""
    (part,) = (
        part for part in re.split(r"^##+ ", PAGE, flags=re.M) if title in part.split("\n")[0]
    )
    return part


def rows_of(text):
    """Give the first two cells of all rows of tables, without their marks."""
    cells = re.findall(r"^\| `([^`]+)` \| ([^|]+(?:\\\|[^|]+)*) \|", text, flags=re.M)
    return {(name, second.strip("`").replace("\\|", "|")) for name, second in cells}


@pytest.mark.parametrize(
    ("pattern", "kind"),
    [
        ("calls/hnsw_index-*.bin", 2),
        ("calls/metadata-*.bin", 3),
        ("calls/ids-*.bin", 4),
        ("calls/checksums-*.bin", 5),
        ("hnsw.index", 6),
    ],
)
def test_page_has_a_row_for_just_the_sections_there_are_with_their_types(pattern, kind):
    (path,) = NEWEST.glob(pattern)

    arrays = read_sections(path.read_bytes(), kind)

    assert rows_of(part_of(f", kind {kind}")) == {
        (name, array.dtype.str) for name, array in arrays.items()
    }


def test_page_has_a_row_for_just_the_fields_of_a_manifest():
    fields = read_store(NEWEST / "calls").manifest

    assert {name for name, _ in rows_of(part_of("The manifest"))} == set(fields)


def test_page_has_a_row_for_just_the_fields_of_the_note_of_a_snapshot():
    note = (NEWEST / "snapshot" / "snapshots" / "monday" / "snapshot.json").read_text()

    fields = json.loads(note.splitlines()[0])

    assert {name for name, _ in rows_of(part_of("Snapshots"))} == set(fields)


def test_page_has_a_row_for_just_the_changes_a_call_can_hold():
    row = r"^\| ([0-9]+) \| `\[([0-9]+),.*?\]` \| (\w+)"

    codes = re.findall(row, part_of("Calls"), flags=re.M)

    assert [(int(code), name) for code, _, name in codes] == [
        (kind, name) for kind, name in CALL_KINDS.items() if name not in ("mark", "batch")
    ]
    assert all(code == first for code, first, _ in codes)
