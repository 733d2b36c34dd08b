"""The bytes of a log, one by one: its header, its frames, and where a frame may begin."""

import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vecstore.errors import CorruptData, UnsupportedFormat
from vecstore.storage.frames import (
    FRAME_HEADER_BYTES,
    LOG_HEADER_BYTES,
    MAX_PAYLOAD_BYTES,
    LogHeader,
    claimed_frame,
    claimed_numbers,
    next_candidate,
    pack_frame,
    pack_log_header,
    parse_frame,
    parse_log_header,
)

PATH = Path("wal-000012.log")
HEADER = LogHeader(salt=0xA1B2C3D4, number=12, seqno=77, before=4096, salt_before=0x5060708)
U32, U64 = st.integers(0, 2**32 - 1), st.integers(0, 2**63 - 1)


def header(magic=b"VECSTORE", version=1, kind=7, salt=HEADER.salt):
    """Write a header as the format's description has it, with a right checksum."""
    fields = (HEADER.number, HEADER.seqno, HEADER.before, HEADER.salt_before)

    def packed(crc):
        return struct.pack("<8sIIIIQQQI", magic, version, kind, salt, crc, *fields) + bytes(12)

    return packed(zlib.crc32(packed(0)))


def frame(payload=b"payload", *, seqno=78, synced=64, kind=1, flags=1, part=0, salt=HEADER.salt):
    """Write a frame as the format's description has it."""
    covered = struct.pack("<QQBBHI", seqno, synced, kind, flags, part, salt) + payload
    return struct.pack("<II", len(payload), zlib.crc32(covered)) + covered


# ---- the header


def test_header_has_the_documented_bytes_when_packed():
    raw = pack_log_header(HEADER)

    assert raw == header()
    assert len(raw) == LOG_HEADER_BYTES == 64
    assert raw[0:8] == b"VECSTORE"
    assert raw[8:16] == bytes([1, 0, 0, 0, 7, 0, 0, 0])
    assert raw[16:20] == bytes([0xD4, 0xC3, 0xB2, 0xA1])
    assert int.from_bytes(raw[20:24], "little") == zlib.crc32(raw[:20] + bytes(4) + raw[24:])
    assert [int.from_bytes(raw[at : at + 8], "little") for at in (24, 32, 40)] == [12, 77, 4096]
    assert raw[48:52] == bytes([8, 7, 6, 5])
    assert raw[52:] == bytes(12)


@given(salt=U32, number=U64, seqno=U64, before=U64, salt_before=U32, behind=st.binary(max_size=9))
@settings(database=None)
def test_header_comes_back_when_packed_and_followed_by_anything(
    salt, number, seqno, before, salt_before, behind
):
    wanted = LogHeader(salt, number, seqno, before, salt_before)

    assert parse_log_header(PATH, pack_log_header(wanted) + behind, number) == wanted


@pytest.mark.parametrize("at", range(LOG_HEADER_BYTES))
@pytest.mark.parametrize("mask", [1, 128])
def test_header_is_refused_when_a_bit_is_flipped(at, mask):
    raw = bytearray(pack_log_header(HEADER))
    raw[at] ^= mask

    with pytest.raises(CorruptData) as caught:
        parse_log_header(PATH, bytes(raw), 12)

    assert caught.value.path == PATH
    assert 0 <= caught.value.offset < LOG_HEADER_BYTES


@pytest.mark.parametrize("size", range(LOG_HEADER_BYTES))
def test_header_is_refused_when_it_is_cut_short(size):
    with pytest.raises(CorruptData) as caught:
        parse_log_header(PATH, pack_log_header(HEADER)[:size], 12)

    assert (caught.value.path, caught.value.offset) == (PATH, 0)


@pytest.mark.parametrize(
    ("raw", "number", "offset"),
    [
        (header(magic=b"VECSTORF"), 12, 0),
        (header(kind=6), 12, 12),
        (header(kind=2**32 - 1), 12, 12),
        (header(), 13, 12),
        (header(), 0, 12),
        (bytes(64), 0, 0),
    ],
    ids=["magic", "kind", "largest kind", "later number", "no number", "zeros"],
)
def test_header_is_refused_when_its_checksum_is_right_but_it_is_another(raw, number, offset):
    with pytest.raises(CorruptData) as caught:
        parse_log_header(PATH, raw, number)

    assert (caught.value.path, caught.value.offset) == (PATH, offset)


@pytest.mark.parametrize("version", [0, 2, 2**32 - 1])
def test_header_is_of_an_unsupported_format_when_its_version_is_another(version):
    with pytest.raises(UnsupportedFormat) as caught:
        parse_log_header(PATH, header(version=version, kind=99), 12)

    assert (caught.value.path, caught.value.version) == (PATH, version)


@pytest.mark.parametrize("raw", [header(), header(version=2, kind=9), header(magic=b"DAMAGED!")])
def test_salt_and_number_are_told_when_the_rest_of_a_header_is_wrong(raw):
    assert claimed_numbers(raw + b"behind") == (HEADER.salt, HEADER.number)


@pytest.mark.parametrize("size", range(LOG_HEADER_BYTES))
def test_numbers_are_as_far_as_they_go_when_a_header_is_cut_short(size):
    salt = HEADER.salt.to_bytes(4, "little")[: max(0, size - 16)]
    number = HEADER.number if size > 24 else 0

    assert claimed_numbers(header()[:size]) == (int.from_bytes(salt, "little"), number)


# ---- frames


def test_frame_has_the_documented_bytes_when_packed():
    raw = pack_frame(HEADER.salt, 0x0102030405060708, 0x1112, 3, 1, 0x2122, b"ab") + b"ab"

    assert raw[0:4] == bytes([2, 0, 0, 0])
    assert int.from_bytes(raw[4:8], "little") == zlib.crc32(raw[8:34])
    assert raw[8:16] == bytes([8, 7, 6, 5, 4, 3, 2, 1])
    assert raw[16:24] == bytes([0x12, 0x11, 0, 0, 0, 0, 0, 0])
    assert (raw[24], raw[25], raw[26:28]) == (3, 1, bytes([0x22, 0x21]))
    assert raw[28:32] == bytes([0xD4, 0xC3, 0xB2, 0xA1])
    assert raw[32:] == b"ab"
    assert len(raw) == FRAME_HEADER_BYTES + 2
    assert MAX_PAYLOAD_BYTES == 4 << 20


@given(
    payload=st.binary(max_size=200),
    seqno=U64,
    synced=st.integers(0, 1000),
    kind=st.integers(0, 255),
    flags=st.integers(0, 255),
    part=st.integers(0, 65_535),
    salt=U32,
    behind=st.binary(max_size=9),
)
@settings(database=None)
def test_frame_comes_back_when_packed_and_followed_by_anything(
    payload, seqno, synced, kind, flags, part, salt, behind
):
    head = pack_frame(salt, seqno, synced, kind, flags, part, payload)

    found = parse_frame(memoryview(head + payload + behind), 1000, salt)

    assert found == (1000, seqno, synced, kind, flags, part, len(payload))
    assert (found.payload_offset, found.end) == (1032, 1032 + len(payload))
    assert head + payload == frame(
        payload, seqno=seqno, synced=synced, kind=kind, flags=flags, part=part, salt=salt
    )


@pytest.mark.parametrize("payload", [b"", b"\0", b"payload" * 9], ids=len)
@pytest.mark.parametrize("mask", [1, 64, 255])
def test_no_frame_is_found_when_any_byte_is_changed(payload, mask):
    whole = frame(payload)
    assert parse_frame(memoryview(whole), 64, HEADER.salt) is not None

    for at in range(len(whole)):
        raw = bytearray(whole + bytes(300))
        raw[at] ^= mask
        assert parse_frame(memoryview(raw), 64, HEADER.salt) is None, at


def test_no_frame_is_found_when_it_is_cut_short():
    whole = frame()

    for size in range(len(whole)):
        assert parse_frame(memoryview(whole[:size]), 64, HEADER.salt) is None


@pytest.mark.parametrize(
    ("raw", "offset"),
    [
        (frame(salt=HEADER.salt ^ 1), 64),
        (frame(synced=65), 64),
        (frame(synced=2**64 - 1), 64),
        (frame(bytes(MAX_PAYLOAD_BYTES + 1)), 64),
        (bytes(32), 64),
    ],
    ids=["other salt", "durable beyond itself", "durable for ever", "too long", "zeros"],
)
def test_no_frame_is_found_when_its_checksum_is_right_but_it_cannot_be_one(raw, offset):
    assert parse_frame(memoryview(raw), offset, HEADER.salt) is None


def test_a_frame_is_found_when_it_is_as_long_as_one_may_be():
    whole = frame(bytes(MAX_PAYLOAD_BYTES))

    assert parse_frame(memoryview(whole), 64, HEADER.salt).length == MAX_PAYLOAD_BYTES


def test_what_bytes_claim_is_told_when_they_are_no_frame():
    raw = frame(synced=9999, kind=77, part=5, salt=1)

    claim = claimed_frame(memoryview(raw + b"behind"), 64)

    assert claim.frame == (64, 78, 9999, 77, 1, 5, 7)
    assert (claim.crc, claim.salt) == (int.from_bytes(raw[4:8], "little"), 1)
    assert claim.matches(memoryview(raw))
    assert parse_frame(memoryview(raw), 64, HEADER.salt) is None


def test_what_bytes_claim_does_not_match_when_they_are_changed_cut_short_or_too_many():
    raw = frame()
    changed = [raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :] for at in range(len(raw))]
    cut = [raw[:size] for size in range(FRAME_HEADER_BYTES, len(raw))]

    for one in [*changed, *cut, frame(bytes(MAX_PAYLOAD_BYTES + 1))]:
        assert not claimed_frame(memoryview(one), 64).matches(memoryview(one))
    assert claimed_frame(memoryview(raw[: FRAME_HEADER_BYTES - 1]), 64) is None


# ---- where one may begin


@given(
    parts=st.lists(
        st.one_of(st.just(b"\xd4\xc3\xb2\xa1"), st.binary(max_size=20), st.just(frame(b"x"))),
        max_size=6,
    )
)
@settings(database=None)
def test_next_candidate_misses_no_place_when_bytes_are_any(parts):
    raw = b"?" + b"".join(parts)
    salt = HEADER.salt.to_bytes(4, "little")
    places = [at for at in range(1, len(raw)) if raw[at + 28 : at + 32] == salt]
    # where fewer than a header's bytes follow, the rest of it may be behind them
    unknown = max(1, len(raw) - FRAME_HEADER_BYTES + 1)

    found = next_candidate(memoryview(raw), HEADER.salt)

    assert found == (places[0] if places else unknown)


def test_next_candidate_leads_to_each_frame_when_junk_lies_between():
    raw = memoryview(b"junk" * 30 + frame(b"one") + bytes(99) + frame(b"two"))
    at, found = 0, []

    while at < len(raw):
        here = parse_frame(raw[at:], 64 + at, HEADER.salt)
        found += [bytes(raw[at + 32 : at + 35])] if here else []
        at = here.end - 64 if here else at + next_candidate(raw[at:], HEADER.salt)

    assert found == [b"one", b"two"]
