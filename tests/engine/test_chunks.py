"""Metadata and times in chunks: mapped, thawed, written down again."""

from pathlib import Path

import msgpack
import numpy as np
import pytest

from vecstore.engine.chunks import (
    CHUNK,
    UNSET,
    chunk_sections,
    empty_chunk,
    mapped_chunks,
    thawed,
    times,
    unpacked,
)
from vecstore.errors import CorruptData


def filled(n):
    """Chunks of n slots whose facts tell their slot."""
    chunks = []
    for first in range(0, n, CHUNK):
        chunk = empty_chunk()
        slots = range(first, min(n, first + CHUNK))
        chunk.metadata.extend(msgpack.packb({"slot": slot}) for slot in slots)
        chunk.created_at[: len(slots)] = slots
        chunk.expires_at[: len(slots)] = [2 * slot for slot in slots]
        chunk.deleted_at[: len(slots)] = [3 * slot for slot in slots]
        chunks.append(chunk)
    return chunks


@pytest.mark.parametrize("n", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])
def test_mapped_chunks_hold_what_sections_were_written_of_when_n_is(n):
    sections = chunk_sections(filled(n), n)

    chunks = mapped_chunks(Path("x"), sections, n)

    assert len(chunks) == -(-n // CHUNK)
    assert sum(len(chunk.metadata) for chunk in chunks) == n
    for slot in {0, n // 2, n - 1} & set(range(n)):
        chunk = chunks[slot // CHUNK]
        assert unpacked(None, chunk.metadata[slot % CHUNK]) == {"slot": slot}
    assert times(chunks, "created_at", n).tolist() == list(range(n))
    assert times(chunks, "deleted_at", n).tolist() == [3 * slot for slot in range(n)]


def test_a_thawed_chunk_is_a_copy_when_the_original_was_mapped():
    sections = chunk_sections(filled(5), 5)
    (mapped,) = mapped_chunks(Path("x"), sections, 5)

    chunk = thawed(mapped)
    assert chunk.deleted_at[:6].tolist() == [0, 3, 6, 9, 12, UNSET]
    chunk.metadata[0] = b"\x80"
    chunk.expires_at[:] = 9

    assert unpacked(None, mapped.metadata[0]) == {"slot": 0}
    assert mapped.expires_at.tolist() == [0, 2, 4, 6, 8]
    assert (len(chunk.created_at), len(chunk.metadata)) == (CHUNK, 5)


@pytest.mark.parametrize(
    "raw",
    [b"", b"\x93\x01", b"\xc1", b"\x01", b"\x80\x80", b"\xdf\xff\xff\xff\xff", b"\x81\xa1\xff\x01"],
    ids=bytes.hex,
)
def test_unpacked_raises_corrupt_data_when_bytes_are_no_dictionary(raw):
    with pytest.raises(CorruptData):
        unpacked(Path("x"), raw)


def test_unpacked_raises_corrupt_data_when_bytes_nest_without_end():
    with pytest.raises(CorruptData):
        unpacked(Path("x"), b"\x91" * 100_000)


def test_times_are_empty_when_there_are_no_chunks():
    assert times([], "created_at", 0).dtype == np.int64
