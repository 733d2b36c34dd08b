"""Checksums of blocks, whatever the pieces they come in, and of single lines."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecstore.errors import CorruptData
from vecstore.storage import checksums
from vecstore.storage.checksums import BlockChecksums, check_blocks, sealed_line, unsealed_line
from vecstore.storage.files import Files


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(checksums, "BLOCK_BYTES", 8)


def expected(data):
    return [zlib.crc32(data[at : at + 8]) for at in range(0, len(data), 8)]


@settings(database=None)
@given(pieces=st.lists(st.binary(max_size=20), max_size=6), continued=st.integers(0, 6))
def test_sums_are_those_of_the_blocks_when_a_stream_comes_in_pieces_and_is_continued(
    pieces, continued
):
    first = BlockChecksums()
    for piece in pieces[:continued]:
        first.update(piece)

    sums = BlockChecksums(first.finish(), sum(map(len, pieces[:continued])))
    for piece in pieces[continued:]:
        sums.update(piece)

    assert sums.finish().tolist() == expected(b"".join(pieces))


@pytest.mark.parametrize("size", [0, 1, 8, 20, 24])
def test_blocks_are_right_when_they_match_and_damage_has_its_place(size, tmp_path):
    path, data = tmp_path / "file", bytes(range(size))
    path.write_bytes(data)
    sums = np.array(expected(data), np.uint32)

    check_blocks(Files(), path, size, sums)
    for at in range(size):
        path.write_bytes(data[:at] + b"?" + data[at + 1 :])
        with pytest.raises(CorruptData) as caught:
            check_blocks(Files(), path, size, sums)
        assert (caught.value.path, caught.value.offset) == (path, at // 8 * 8)


@pytest.mark.parametrize("change", [-1, 1])
def test_blocks_are_damaged_when_there_are_more_or_fewer_than_sums(change, tmp_path):
    path, data = tmp_path / "file", bytes(range(24))
    path.write_bytes(data)

    with pytest.raises(CorruptData):
        check_blocks(Files(), path, 24, np.resize(np.array(expected(data), np.uint32), 3 + change))


LINE = b'{"format": 1}'


def test_a_line_comes_back_when_it_was_sealed():
    assert sealed_line(LINE) == LINE + b"\n%08x\n" % zlib.crc32(LINE)
    assert unsealed_line(sealed_line(LINE)) == LINE
    assert unsealed_line(sealed_line(b"")) == b""


def test_a_line_does_not_come_back_when_any_byte_is_changed_missing_or_left_over():
    sealed = sealed_line(LINE)
    damaged = [
        sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] for at in range(len(sealed))
    ]
    damaged += [sealed[:size] for size in range(len(sealed))]
    damaged += [sealed + b"\n", sealed + sealed, b"\n" + sealed, sealed.upper(), LINE]

    assert [data for data in damaged if unsealed_line(data) is not None] == []
