import dataclasses
import json
import zlib

import pytest

from vecstore.errors import CorruptData, UnsupportedFormat
from vecstore.storage.files import Files
from vecstore.storage.manifest import FileEntry, Manifest, draft, read_current, swap

WHOLE = Manifest(
    generation=7,
    seqno=12,
    dim=3,
    metric="cosine",
    config={"threads": 1},
    n=5,
    n_live=3,
    n_soft=1,
    next_expiry=1234,
    graph={"n_indexed": 0},
    fingerprint="00ff",
    first_log=9,
    first_salt=2**32 - 1,
    files={
        "vectors": FileEntry("vectors-000003.bin", 5000, 0),
        "hnsw_index": FileEntry("hnsw_index-000007.bin", 500, 11),
        "metadata": FileEntry("metadata-000007.bin", 600, 12),
        "ids": FileEntry("ids-000007.bin", 700, 13),
        "checksums": FileEntry("checksums-000007.bin", 100, 2**32 - 1),
    },
)
NAME = "manifest-000007.json"


def publish(files, root, manifest):
    """Make a manifest the current one."""
    draft(files, root, manifest)
    swap(files, root)


def forge(root, line, name=NAME):
    """Write a manifest of any content, with every checksum right."""
    data = line + b"\n%08x\n" % zlib.crc32(line)
    (root / name).write_bytes(data)
    (root / "CURRENT").write_bytes(b"%s %08x\n" % (name.encode(), zlib.crc32(data)))


def forged(root, **changes):
    fields = {"format": 1, **dataclasses.asdict(WHOLE), **changes}
    forge(root, json.dumps(fields).encode())


def with_file(**changes):
    files = {role: dataclasses.asdict(entry) for role, entry in WHOLE.files.items()}
    return {**files, "vectors": {**files["vectors"], **changes}}


@pytest.mark.parametrize(
    "manifest",
    [WHOLE, dataclasses.replace(WHOLE, dim=None, next_expiry=None, graph={}, files={}, n=4)],
)
def test_manifest_comes_back_when_published(manifest, tmp_path):
    publish(Files(), tmp_path, manifest)

    assert read_current(Files(), tmp_path) == manifest


def test_a_manifest_counts_only_when_current_was_swapped(tmp_path):
    publish(Files(), tmp_path, WHOLE)
    newer = dataclasses.replace(WHOLE, generation=8)

    draft(Files(), tmp_path, newer)
    before = read_current(Files(), tmp_path)
    swap(Files(), tmp_path)

    assert (before, read_current(Files(), tmp_path)) == (WHOLE, newer)


def test_publish_leaves_only_its_two_files_when_done(tmp_path):
    publish(Files(), tmp_path, WHOLE)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["CURRENT", NAME]


def test_publish_keeps_the_older_manifest_when_a_newer_one_comes(tmp_path):
    publish(Files(), tmp_path, WHOLE)
    newer = dataclasses.replace(WHOLE, generation=8)

    publish(Files(), tmp_path, newer)

    assert read_current(Files(), tmp_path) == newer
    assert (tmp_path / NAME).read_bytes() == WHOLE.to_bytes()


def test_publish_replaces_current_last_when_everything_else_is_durable(tmp_path):
    calls = []

    class Recording(Files):
        def write_new(self, path, chunks):
            calls.append(("write", path.name))
            super().write_new(path, chunks)

        def sync_directory(self, path):
            calls.append(("sync", ""))
            super().sync_directory(path)

        def replace(self, source, target):
            calls.append(("replace", target.name))
            super().replace(source, target)

    publish(Recording(), tmp_path, WHOLE)

    assert calls[0] == ("write", NAME)
    assert calls[-3:] == [("sync", ""), ("replace", "CURRENT"), ("sync", "")]


def test_forged_manifest_is_read_when_nothing_is_wrong_with_it(tmp_path):
    forged(tmp_path)

    assert read_current(Files(), tmp_path) == WHOLE


@pytest.mark.parametrize("file", ["CURRENT", NAME])
@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80])
def test_read_raises_corrupt_data_when_any_byte_is_flipped(file, mask, tmp_path):
    publish(Files(), tmp_path, WHOLE)
    data = (tmp_path / file).read_bytes()

    for at in range(len(data)):
        (tmp_path / file).write_bytes(data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :])
        with pytest.raises(CorruptData) as caught:
            read_current(Files(), tmp_path)
        assert caught.value.path.parent == tmp_path, at
        assert type(caught.value.offset) is int


@pytest.mark.parametrize("file", ["CURRENT", NAME])
def test_read_raises_corrupt_data_when_a_file_is_cut_anywhere(file, tmp_path):
    publish(Files(), tmp_path, WHOLE)
    data = (tmp_path / file).read_bytes()

    for size in range(len(data)):
        (tmp_path / file).write_bytes(data[:size])
        with pytest.raises(CorruptData):
            read_current(Files(), tmp_path)


@pytest.mark.parametrize("file", ["CURRENT", NAME])
@pytest.mark.parametrize("more", [b"\n", b"x", b"\0" * 5000, b" " * (2 << 20)])
def test_read_raises_corrupt_data_when_a_file_is_longer(file, more, tmp_path):
    publish(Files(), tmp_path, WHOLE)
    path = tmp_path / file
    path.write_bytes(path.read_bytes() + more)

    with pytest.raises(CorruptData):
        read_current(Files(), tmp_path)


def test_read_raises_corrupt_data_when_the_manifest_is_missing(tmp_path):
    publish(Files(), tmp_path, WHOLE)
    (tmp_path / NAME).unlink()

    with pytest.raises(CorruptData, match="missing") as caught:
        read_current(Files(), tmp_path)

    assert caught.value.path == tmp_path / NAME


@pytest.mark.parametrize(
    "current",
    [
        b"",
        b"\n",
        b"\xff\xfe\n",
        b"LOCK 00000000\n",
        b"../manifest-000007.json 00000000\n",
        b"/etc/manifest-000007.json 00000000\n",
        b"manifest-000007.json/../manifest-000007.json 00000000\n",
        b"manifest-000007.json\0 00000000\n",
        b"manifest-7.json 00000000\n",
        b"manifest-000007.json -0000001\n",
        b"manifest-000007.json 0x000000\n",
        b"manifest-" + b"9" * 5000 + b".json 00000000\n",
        "manifest-٠٠٠٠٠٧.json 00000000\n".encode(),
        b"MANIFEST-000007\n",
    ],
)
def test_read_raises_corrupt_data_when_current_names_something_else(current, tmp_path):
    publish(Files(), tmp_path, WHOLE)
    (tmp_path / "CURRENT").write_bytes(current)

    with pytest.raises(CorruptData) as caught:
        read_current(Files(), tmp_path)

    assert caught.value.path == tmp_path / "CURRENT"


def test_read_raises_corrupt_data_when_current_names_a_file_of_a_longest_name(tmp_path):
    (tmp_path / "CURRENT").write_bytes(b"manifest-" + b"9" * 300 + b".json 00000000\n")

    with pytest.raises(CorruptData):
        read_current(Files(), tmp_path)


COUNTS = ["generation", "seqno", "n", "n_live", "n_soft", "first_log", "first_salt"]
NO_COUNT = [-1, 1.5, 1e300, float("inf"), float("nan"), "5", None, [], {}, True, -(10**30)]


@pytest.mark.parametrize("field", COUNTS)
@pytest.mark.parametrize("value", NO_COUNT, ids=repr)
def test_read_raises_corrupt_data_when_a_count_is_none(field, value, tmp_path):
    forged(tmp_path, **{field: value})

    with pytest.raises(CorruptData) as caught:
        read_current(Files(), tmp_path)

    assert caught.value.path == tmp_path / NAME


@pytest.mark.parametrize("field", ["length", "seal"])
@pytest.mark.parametrize("value", NO_COUNT, ids=repr)
def test_read_raises_corrupt_data_when_a_number_of_a_file_is_none(field, value, tmp_path):
    forged(tmp_path, files=with_file(**{field: value}))

    with pytest.raises(CorruptData):
        read_current(Files(), tmp_path)


@pytest.mark.parametrize(
    "files",
    [None, 5, [], ["vectors"], "vectors", {"vectors": None}, {"vectors": []}, {"vectors": {}}],
    ids=repr,
)
def test_read_raises_corrupt_data_when_files_are_no_table(files, tmp_path):
    forged(tmp_path, files=files)

    with pytest.raises(CorruptData):
        read_current(Files(), tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "../vectors-000003.bin",
        "/tmp/vectors-000003.bin",
        "vectors-000003.bin/../vectors-000003.bin",
        "snapshots/vectors-000003.bin",
        "vectors-000003.bin\0",
        "vectors-000003.bin\n",
        "vectors-000003.bin ",
        "vectors-3.bin",
        "vectors-٠٠٠٠٠٣.bin",
        "VECTORS-000003.BIN",
        "CURRENT",
        "LOCK",
        NAME,
        5,
        None,
        ["vectors-000003.bin"],
    ],
    ids=repr,
)
def test_read_raises_corrupt_data_when_a_file_name_is_none_of_a_store(name, tmp_path):
    forged(tmp_path, files=with_file(name=name))

    with pytest.raises(CorruptData):
        read_current(Files(), tmp_path)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Manifest)])
def test_read_raises_corrupt_data_when_a_field_is_missing(field, tmp_path):
    fields = {"format": 1, **dataclasses.asdict(WHOLE)}
    del fields[field]
    forge(tmp_path, json.dumps(fields).encode())

    with pytest.raises(CorruptData):
        read_current(Files(), tmp_path)


@pytest.mark.parametrize("role", WHOLE.files)
def test_read_raises_corrupt_data_when_a_role_is_missing_or_unknown(role, tmp_path):
    files = with_file()
    entry = files.pop(role)

    for wrong in (files, {**files, "more": entry}, {**files, role: entry, "more": entry}):
        forged(tmp_path, files=wrong)
        with pytest.raises(CorruptData):
            read_current(Files(), tmp_path)


def test_read_raises_corrupt_data_when_there_is_a_field_too_many(tmp_path):
    forged(tmp_path, more=1)

    with pytest.raises(CorruptData):
        read_current(Files(), tmp_path)


def test_read_raises_corrupt_data_when_there_are_more_records_than_slots(tmp_path):
    forged(tmp_path, n=5, n_live=3, n_soft=3)

    with pytest.raises(CorruptData):
        read_current(Files(), tmp_path)


def test_read_raises_corrupt_data_when_the_manifest_is_another_generation(tmp_path):
    forged(tmp_path, generation=8)

    with pytest.raises(CorruptData):
        read_current(Files(), tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'"format"',
        b"{",
        b"\xff",
        b"1" * 5000,
        b"[" * 100_000,
        b'{"format": 1}',
        b'{"format": "x"}',
        b'{"format": null}',
        b'{"format": Infinity}',
        b'{"format": NaN}',
    ],
    ids=lambda line: repr(line[:20]),
)
def test_read_raises_corrupt_data_when_the_manifest_is_no_manifest(line, tmp_path):
    forge(tmp_path, line)

    with pytest.raises(CorruptData) as caught:
        read_current(Files(), tmp_path)

    assert caught.value.path == tmp_path / NAME


@pytest.mark.parametrize("version", [2, 10**30])
def test_read_raises_unsupported_format_when_the_manifest_is_newer(version, tmp_path):
    forge(tmp_path, json.dumps({"format": version, "unheard": "of"}).encode())

    with pytest.raises(UnsupportedFormat) as caught:
        read_current(Files(), tmp_path)

    assert (caught.value.path, caught.value.version) == (tmp_path / NAME, version)
