import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecstore.errors import CorruptData, UnsupportedFormat
from vecstore.storage import checksums
from vecstore.storage.files import Files
from vecstore.storage.layout import (
    BLOCK_BYTES,
    BlockChecksums,
    Kind,
    check_blocks,
    check_rows_header,
    check_sections,
    open_sections,
    rows_header,
    write_sections,
)

DTYPES = ["<f4", "<f8", "<i4", "<i8", "<u4", "<u8", "|u1"]
GRAPH = 2
U64 = 2**64 - 1


def entry(name=b"a", dtype=b"<f4", rows=4, columns=0, offset=128):
    return struct.pack("<16s8sQQQ", name, dtype, rows, columns, offset)


def crafted(
    *entries,
    version=1,
    kind=GRAPH,
    count=None,
    trailer=192,
    length=200,
    size=200,
    magic=b"VECSTORE",
):
    """Write a file as the format's description has it, with every checksum right."""
    count = len(entries) if count is None else count
    table = b"".join(entries)

    def header(crc):
        return struct.pack("<8sIIIIQQ", magic, version, kind, count, crc, trailer, length)

    head = header(zlib.crc32(header(0) + table)) + table
    body = head.ljust(size - 8, b"\0")
    sums = struct.pack("<I", zlib.crc32(body))
    return body + sums + struct.pack("<I", zlib.crc32(sums))


def endless(count):
    """Write a file that is nothing but a header, which promises a table that is not there."""

    def header(crc):
        return struct.pack("<8sIIIIQQ", b"VECSTORE", 1, GRAPH, count, crc, 0, 200)

    return header(zlib.crc32(header(0) + bytes(160))) + bytes(160)


def opened(path):
    """Open and check a section file, as a full check does."""
    arrays = open_sections(Files(), path, Kind.GRAPH)
    check_sections(Files(), path)
    return arrays


def flipped(data, at, mask):
    return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(0,), (1,), (17,), (0, 3), (5, 1), (4, 9), (300, 7)])
def test_sections_come_back_when_written(dtype, shape, tmp_path):
    path, rng = tmp_path / "file", np.random.default_rng(0)
    array = rng.integers(0, 200, shape).astype(dtype)

    length = write_sections(Files(), path, Kind.GRAPH, {"first": array, "second": array[:1]})
    arrays = opened(path)

    assert length == path.stat().st_size
    assert list(arrays) == ["first", "second"]
    for found, wanted in zip(arrays.values(), (array, array[:1]), strict=True):
        assert found.dtype == wanted.dtype
        np.testing.assert_array_equal(found, wanted, strict=True)


def test_sections_come_back_when_there_are_none(tmp_path):
    path = tmp_path / "file"

    write_sections(Files(), path, Kind.GRAPH, {})

    assert opened(path) == {}


def test_sections_come_back_when_arrays_are_strided_or_big_endian(tmp_path):
    path, whole = tmp_path / "file", np.arange(60, dtype=np.int32).reshape(10, 6)
    given_ = {"columns": whole[:, 1:4], "every": whole[::2, 0], "swapped": whole.astype(">i4")}

    write_sections(Files(), path, Kind.GRAPH, given_)
    arrays = opened(path)

    for name, wanted in given_.items():
        np.testing.assert_array_equal(arrays[name], wanted)


def test_sections_are_aligned_to_64_bytes_when_sizes_are_odd(tmp_path):
    path = tmp_path / "file"
    arrays = {f"s{i}": np.zeros(i, np.uint8) for i in (1, 63, 64, 65, 0, 7)}

    write_sections(Files(), path, Kind.GRAPH, arrays)

    assert all(array.ctypes.data % 64 == 0 for array in opened(path).values() if array.size)


def test_sections_can_be_written_to_when_the_file_must_not_change(tmp_path):
    path = tmp_path / "file"
    write_sections(Files(), path, Kind.GRAPH, {"a": np.zeros(9, np.int32)})
    before = path.read_bytes()

    opened(path)["a"][:] = 7

    assert path.read_bytes() == before


def test_header_has_the_documented_fields_when_a_file_is_written(tmp_path):
    path = tmp_path / "file"
    write_sections(Files(), path, Kind.IDS, {"offsets": np.zeros((2, 3), np.int64)})
    data = path.read_bytes()

    assert data[0:8] == b"VECSTORE"
    assert struct.unpack_from("<III", data, 8) == (1, 3 + 1, 1)
    (crc,) = struct.unpack_from("<I", data, 20)
    assert zlib.crc32(data[:20] + bytes(4) + data[24:88]) == crc
    trailer, length = struct.unpack_from("<QQ", data, 24)
    assert (trailer, length) == (len(data) - 8, len(data))
    assert struct.unpack_from("<16s8sQQQ", data, 40) == (
        b"offsets".ljust(16, b"\0"),
        b"<i8".ljust(8, b"\0"),
        2,
        3,
        128,
    )
    assert struct.unpack_from("<I", data, trailer) == (zlib.crc32(data[:trailer]),)
    assert struct.unpack_from("<I", data, trailer + 4) == (zlib.crc32(data[trailer:-4]),)


def test_crafted_file_opens_when_nothing_is_wrong_with_it(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(crafted(entry()))

    assert opened(path)["a"].tolist() == [0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_change_is_found_when_any_byte_of_a_file_is_flipped(mask, tmp_path):
    path = tmp_path / "file"
    arrays = {"ab": np.arange(5, dtype=np.int32), "c": np.arange(6.0).reshape(2, 3)}
    length = write_sections(Files(), path, Kind.GRAPH, arrays)
    data = path.read_bytes()

    for at in range(length):
        path.write_bytes(flipped(data, at, mask))
        with pytest.raises((CorruptData, UnsupportedFormat)) as caught:
            opened(path)
        assert caught.value.path == path, at
        # only the version itself may read as a newer one
        assert isinstance(caught.value, CorruptData) or 8 <= at < 12, at


def test_change_is_found_when_a_file_is_cut_anywhere(tmp_path):
    path = tmp_path / "file"
    length = write_sections(Files(), path, Kind.GRAPH, {"ab": np.arange(5, dtype=np.int32)})
    data = path.read_bytes()

    for size in range(length):
        path.write_bytes(data[:size])
        with pytest.raises(CorruptData) as caught:
            open_sections(Files(), path, Kind.GRAPH)
        assert 0 <= caught.value.offset <= size, size


@pytest.mark.parametrize("more", [b"\0", b"\0" * 5000, b"junk"])
def test_change_is_found_when_a_file_is_longer(more, tmp_path):
    path = tmp_path / "file"
    write_sections(Files(), path, Kind.GRAPH, {"ab": np.arange(5, dtype=np.int32)})
    path.write_bytes(path.read_bytes() + more)

    with pytest.raises(CorruptData):
        open_sections(Files(), path, Kind.GRAPH)


@pytest.mark.parametrize("at", [300, BLOCK_BYTES - 1, BLOCK_BYTES, 2 * BLOCK_BYTES + 9])
def test_damaged_block_is_named_by_its_offset_when_a_file_has_several(at, tmp_path):
    path = tmp_path / "file"
    write_sections(Files(), path, Kind.GRAPH, {"a": np.zeros(5 * BLOCK_BYTES // 2, np.uint8)})
    path.write_bytes(flipped(path.read_bytes(), at, 1))

    open_sections(Files(), path, Kind.GRAPH)
    with pytest.raises(CorruptData) as caught:
        check_sections(Files(), path)

    assert caught.value.offset == at // BLOCK_BYTES * BLOCK_BYTES


def test_open_raises_corrupt_data_when_the_file_is_missing(tmp_path):
    with pytest.raises(CorruptData, match="missing") as caught:
        open_sections(Files(), tmp_path / "file", Kind.GRAPH)

    assert (caught.value.path, caught.value.offset) == (tmp_path / "file", 0)


def test_open_raises_corrupt_data_when_the_file_is_of_another_kind(tmp_path):
    path = tmp_path / "file"
    write_sections(Files(), path, Kind.IDS, {"a": np.zeros(1, np.uint8)})

    with pytest.raises(CorruptData, match="kind") as caught:
        open_sections(Files(), path, Kind.GRAPH)

    assert caught.value.offset == 12


@pytest.mark.parametrize("version", [2, 2**32 - 1])
def test_open_raises_unsupported_format_when_the_version_is_newer(version, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(crafted(entry(), version=version))

    with pytest.raises(UnsupportedFormat) as caught:
        open_sections(Files(), path, Kind.GRAPH)

    assert (caught.value.path, caught.value.version) == (path, version)


LARGER = {"trailer": 320, "length": 328, "size": 328}
IMPOSSIBLE = {
    "rows and columns overflow 64 bits": crafted(entry(rows=2**60, columns=2**40)),
    "size is 0 modulo 2**64": crafted(entry(dtype=b"<f8", rows=2**61)),
    "product of rows and columns is 0 modulo 2**64": crafted(entry(rows=2**32, columns=2**32)),
    "rows and columns are the largest number": crafted(entry(rows=U64, columns=U64)),
    "columns are the largest number of no rows": crafted(entry(rows=0, columns=U64)),
    "columns are more than a size of no rows": crafted(entry(rows=0, columns=2**63)),
    "one row too many": crafted(entry(rows=17)),
    "one column too many": crafted(entry(rows=1, columns=17)),
    "offset is behind the file": crafted(entry(offset=256)),
    "offset is in the trailer": crafted(entry(offset=192)),
    "offset is the largest aligned number": crafted(entry(offset=2**64 - 64)),
    "offset is not aligned": crafted(entry(offset=129)),
    "offset and size wrap around": crafted(entry(dtype=b"|u1", rows=128, offset=2**64 - 64)),
    "dtype is not ASCII": crafted(entry(dtype=b"\xff\xfe")),
    "dtype is an object": crafted(entry(dtype=b"|O")),
    "dtype is unknown": crafted(entry(dtype=b"<c16")),
    "dtype is big-endian": crafted(entry(dtype=b">f4")),
    "dtype is empty": crafted(entry(dtype=b"")),
    "dtype has fields": crafted(entry(dtype=b"f4,f4")),
    "sections are the largest number": crafted(entry(), count=2**32 - 1),
    "table is longer than the file": endless(9),
    "table is longer than any file": endless(2**32 - 1),
    "trailer is 0": crafted(entry(), trailer=0),
    "trailer is the largest number": crafted(entry(), trailer=U64),
    "trailer is the whole file": crafted(entry(), trailer=200),
    "length is the largest number": crafted(entry(), length=U64),
    "length is one too small": crafted(entry(), length=199),
    "magic is of another": crafted(entry(), magic=b"VECSTOR\0"),
    "kind is unknown": crafted(entry(), kind=99),
    "offset is in the table": crafted(entry(offset=64)),
    "sections overlap": crafted(entry(rows=17, offset=192), entry(b"b", offset=256), **LARGER),
    "sections are out of order": crafted(entry(offset=256), entry(b"b", offset=192), **LARGER),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_open_raises_corrupt_data_when_checksums_are_right_but(name, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(IMPOSSIBLE[name])

    with pytest.raises(CorruptData) as caught:
        open_sections(Files(), path, Kind.GRAPH)

    assert caught.value.path == path
    assert 0 <= caught.value.offset <= 200


def test_sections_are_opened_when_they_follow_each_other_without_a_gap(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(crafted(entry(rows=16, offset=192), entry(b"b", offset=256), **LARGER))

    assert {name: len(array) for name, array in opened(path).items()} == {"a": 16, "b": 4}


@pytest.mark.parametrize("name", [b"\xff\xfe", "é".encode(), b"a\0b", b"", b"\0a"])
def test_section_is_not_found_when_its_name_is_none(name, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(crafted(entry(name=name)))

    try:
        arrays = open_sections(Files(), path, Kind.GRAPH)
    except CorruptData:
        return

    assert "a" not in arrays
    assert len(arrays) == 1


@given(
    numbers=st.lists(st.integers(0, U64) | st.integers(0, 300), min_size=5, max_size=5),
    name=st.binary(max_size=16),
    dtype=st.sampled_from([dtype.encode() for dtype in DTYPES]) | st.binary(max_size=8),
)
@settings(max_examples=300, deadline=None)
def test_open_stays_inside_the_file_when_a_header_holds_anything(
    numbers, name, dtype, tmp_path_factory
):
    path = tmp_path_factory.getbasetemp() / "crafted"
    rows, columns, offset, trailer, length = numbers
    for places in ({}, {"trailer": trailer, "length": length}):
        path.write_bytes(crafted(entry(name, dtype, rows, columns, offset), **places))

        try:
            arrays = open_sections(Files(), path, Kind.GRAPH)
        except CorruptData:
            continue

        assert sum(array.nbytes for array in arrays.values()) <= 200


@given(st.binary(max_size=200), st.lists(st.integers(0, 60), max_size=20))
@settings(max_examples=200, deadline=None)
def test_block_checksums_are_the_same_when_the_stream_is_cut_anywhere(data, cuts):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checksums, "BLOCK_BYTES", 16)
        sums, at = BlockChecksums(), 0
        for size in cuts:
            sums.update(data[at : at + size])
            at += size
        sums.update(memoryview(data)[at:])

        found = sums.finish()

    assert found.tolist() == [zlib.crc32(data[i : i + 16]) for i in range(0, len(data), 16)]


def test_block_checksums_cover_a_mebibyte_each_when_a_stream_is_long():
    data = np.random.default_rng(0).bytes(5 * BLOCK_BYTES // 2)
    sums = BlockChecksums()

    sums.update(data)

    assert BLOCK_BYTES == 1 << 20
    assert sums.finish().tolist() == [
        zlib.crc32(data[i : i + BLOCK_BYTES]) for i in range(0, len(data), BLOCK_BYTES)
    ]


@pytest.mark.parametrize("sums", [[], [1], [1, 2]], ids=["none", "wrong", "too many"])
def test_check_blocks_raises_corrupt_data_when_checksums_are(sums, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")

    with pytest.raises(CorruptData):
        check_blocks(Files(), path, 10, np.array(sums, "<u4"))


def test_check_blocks_raises_corrupt_data_when_the_file_is_empty(tmp_path):
    path = tmp_path / "file"
    path.touch()

    with pytest.raises(CorruptData):
        check_blocks(Files(), path, 10, np.array([zlib.crc32(b"")], "<u4"))


def test_check_blocks_ignores_what_follows_when_the_file_is_longer(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789 and more")

    check_blocks(Files(), path, 10, np.array([zlib.crc32(b"0123456789")], "<u4"))


def test_rows_header_is_a_page_with_the_documented_fields_when_made():
    header = rows_header()

    assert len(header) == 4096
    assert struct.unpack_from("<8sIII", header) == (b"VECSTORE", 1, 1, 0)
    assert struct.unpack_from("<QQ", header, 24) == (0, 0)
    assert not any(header[40:])


def test_check_rows_header_accepts_a_file_when_it_is_longer(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(rows_header() + bytes(200))

    check_rows_header(Files(), path, 4096 + 100)


@pytest.mark.parametrize(
    "data",
    [None, b"", rows_header()[:39], rows_header(), rows_header() + bytes(99), bytes(5000)]
    + [flipped(rows_header(), at, 1) + bytes(100) for at in (0, 12, 16, 20, 24, 32)],
)
def test_check_rows_header_raises_corrupt_data_when_the_file_is_damaged(data, tmp_path):
    path = tmp_path / "file"
    if data is not None:
        path.write_bytes(data)

    with pytest.raises(CorruptData) as caught:
        check_rows_header(Files(), path, 4096 + 100)

    assert caught.value.path == path
