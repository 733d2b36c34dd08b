import mmap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecstore.errors import InvalidInput
from vecstore.storage.files import Files
from vecstore.storage.layout import rows_header
from vecstore.storage.rows import (
    HEADER_BYTES,
    FrozenRows,
    MappedRows,
    MemoryRows,
    aligned_zeros,
    grown,
)

STRIDE = 8
STATM = Path("/proc/self/statm")


def numbered(first, last):
    """Make rows that say where they belong."""
    return np.arange(first, last, dtype=np.float32)[:, None] * np.ones(STRIDE, np.float32)


def rows_file(path, n, behind=b""):
    path.write_bytes(rows_header() + numbered(1, n + 1).tobytes() + behind)
    return path


@pytest.fixture(params=["memory", "mapped"])
def table(request, tmp_path):
    """Give rows of either kind that hold numbered(1, 6)."""
    if request.param == "mapped":
        return MappedRows(Files(), rows_file(tmp_path / "rows", 5), STRIDE, 5)
    rows = MemoryRows(STRIDE)
    rows.reserve(5)
    rows.array[:5] = numbered(1, 6)
    rows.n = 5
    return rows


@given(st.lists(st.integers(0, 9), min_size=1, max_size=3), st.sampled_from("fdiqB"))
@settings(max_examples=50, deadline=None)
def test_aligned_zeros_begin_on_a_cache_line_when_of_any_shape(shape, dtype):
    array = aligned_zeros(tuple(shape), dtype)

    assert array.size == 0 or array.ctypes.data % 64 == 0
    assert array.shape == tuple(shape)
    assert array.dtype == dtype
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert not array.any()


@given(st.integers(0, 2**31), st.integers(0, 2**31))
def test_grown_fits_and_is_a_quarter_more_when_little_is_needed(capacity, needed):
    chosen = grown(capacity, needed)

    assert chosen >= needed
    assert chosen >= capacity * 5 // 4
    assert chosen in (needed, capacity + capacity // 4)


def test_rows_keep_their_values_when_they_grow_again_and_again(table):
    for n in (6, 7, 20, 300):
        table.reserve(n)
        table.array[table.n : n] = numbered(table.n + 1, n + 1)
        table.n = n

    np.testing.assert_array_equal(table.array[:300], numbered(1, 301))


def test_rows_stay_where_they_are_when_there_is_room(table):
    table.reserve(7)
    array = table.array

    table.reserve(len(array))
    table.reserve(0)

    assert table.array is array


def test_rows_not_in_use_are_zero_when_room_is_made(table):
    table.reserve(100)

    assert len(table.array) >= 100
    assert not table.array[5:].any()


def test_rows_not_in_use_are_zero_when_they_were_written_but_never_counted(table):
    table.reserve(6)
    table.array[5:] = 9
    capacity = len(table.array)

    table.reserve(capacity + 1)

    assert not table.array[5:].any()


def test_old_array_keeps_its_values_when_the_rows_grow(table):
    table.reserve(6)
    table.array[5] = 6
    table.n = 6
    old = table.array

    table.reserve(1000)
    table.array[:6] = -1

    np.testing.assert_array_equal(old[:6], numbered(1, 7))


def test_rows_begin_on_a_cache_line_when_they_grow(table):
    for n in (5, 6, 50, 500):
        table.reserve(n)
        assert table.array.ctypes.data % 64 == 0
        assert table.array.flags.c_contiguous
        assert table.array.dtype == np.float32


def test_memory_rows_are_empty_when_new():
    rows = MemoryRows(STRIDE)

    assert rows.n == 0
    assert rows.array.shape == (0, STRIDE)


def test_mapped_rows_show_the_file_when_opened(tmp_path):
    rows = MappedRows(Files(), rows_file(tmp_path / "rows", 9), STRIDE, 9)

    np.testing.assert_array_equal(rows.array, numbered(1, 10))


def test_mapped_rows_leave_the_bytes_of_the_file_alone_when_written_to(tmp_path):
    path = rows_file(tmp_path / "rows", 9)
    before = path.read_bytes()
    rows = MappedRows(Files(), path, STRIDE, 9)

    rows.array[:] = 7
    rows.reserve(50)
    rows.array[9:] = 8
    rows.n = 50
    rows.reserve(500)

    assert path.read_bytes() == before
    assert (rows.array[9:50] == 8).all()


@pytest.mark.skipif(not STATM.exists(), reason="reads how much memory is in use in /proc")
def test_mapped_rows_take_no_memory_and_no_file_for_room_when_they_grow(tmp_path):
    path = rows_file(tmp_path / "rows", 9)
    rows = MappedRows(Files(), path, STRIDE, 9)
    before = resident_bytes()

    rows.reserve(10_000_000)

    assert rows.array.nbytes >= 320_000_000
    assert resident_bytes() - before < 32_000_000
    assert path.stat().st_size == HEADER_BYTES + 9 * STRIDE * 4


def resident_bytes():
    return int(STATM.read_text().split()[1]) * mmap.PAGESIZE


def test_mapped_rows_keep_what_is_not_in_the_file_when_they_grow_twice(tmp_path):
    rows = MappedRows(Files(), rows_file(tmp_path / "rows", 9), STRIDE, 9)
    for n in (12, 40):
        rows.reserve(n)
        rows.array[rows.n : n] = numbered(rows.n + 1, n + 1)
        rows.n = n

    np.testing.assert_array_equal(rows.array[:40], numbered(1, 41))
    assert rows.n_on_disk == 9


def test_mapped_rows_can_be_read_when_the_file_was_removed_or_grew(tmp_path):
    path = rows_file(tmp_path / "rows", 9)
    rows = MappedRows(Files(), path, STRIDE, 9)
    with path.open("ab") as file:
        file.write(b"\x07" * 5000)  # what a later checkpoint appends
    path.unlink()

    np.testing.assert_array_equal(rows.array, numbered(1, 10))


@pytest.mark.parametrize("n", [0, 3, 4])
def test_frozen_rows_refuse_to_grow_and_keep_their_rows(n):
    rows = FrozenRows(numbered(1, 4), 3)

    with pytest.raises(InvalidInput):
        rows.reserve(n)

    np.testing.assert_array_equal(rows.array, numbered(1, 4))
    assert rows.n == 3


@pytest.mark.parametrize("behind", [b"\x01" * 31, b"\x02" * 4096, b"\x03" * 100_000], ids=len)
def test_mapped_rows_not_in_use_are_zero_when_the_file_has_bytes_behind_its_rows(behind, tmp_path):
    rows = MappedRows(Files(), rows_file(tmp_path / "rows", 9, behind), STRIDE, 9)

    rows.reserve(200)

    assert not rows.array[9:].any()
    np.testing.assert_array_equal(rows.array[:9], numbered(1, 10))
