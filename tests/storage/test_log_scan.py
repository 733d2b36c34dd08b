"""Every byte of a log is accounted for, whatever it is, and whatever its header says."""

import random

import pytest

from tests.storage.logs import Written, call, cut_small, frame
from vecstore.errors import CorruptData
from vecstore.storage.file_names import log_name
from vecstore.storage.files import Files
from vecstore.storage.log_scan import LogScan

SALT = Written.salt
PAYLOADS = [b"one", b"", b"three" * 20, b"four" * 9]


@pytest.fixture
def log(tmp_path):
    log = Written(tmp_path / log_name(1))
    for payload in PAYLOADS:
        log.call(payload)
    return log.mark()


def scanned(log, raw=None, **how):
    log.path.write_bytes(log.raw if raw is None else raw)
    return LogScan(Files(), log.path, **how)


def told(scan):
    """Give the pieces, once it is known that they cover the log without gaps."""
    pieces = list(scan.pieces())
    at = 64
    for piece in pieces:
        assert (piece.offset, piece.length > 0) == (at, True)
        at += piece.length
    assert at == max(64, scan.size)
    return pieces


def test_every_frame_is_a_piece_when_nothing_is_damaged(log):
    scan = scanned(log, log.raw + bytes(5000))

    *frames, room = told(scan)

    assert [piece.payload for piece in frames] == [*PAYLOADS, b""]
    assert all(piece.sound and piece.salt_ok and piece.crc_ok for piece in frames)
    assert [piece.frame.offset for piece in frames] == log.ends[:-1]
    assert (room.zeros, room.sound, room.frame, room.length) == (True, False, None, 5000)
    assert (scan.durable, scan.salt, scan.problem) == (log.ends[-2], SALT, None)


def test_a_damaged_frame_is_told_as_what_it_says_it_is(log):
    raw = bytearray(log.raw)
    raw[log.ends[2] + 40] ^= 1

    pieces = told(scanned(log, bytes(raw)))

    (bad,) = [piece for piece in pieces if not piece.sound]
    assert (bad.offset, bad.length) == (log.ends[2], log.ends[3] - log.ends[2])
    assert (bad.frame.seqno, bad.salt_ok, bad.crc_ok, bad.payload) == (3, True, False, b"")


def test_a_frame_of_impossible_length_is_told_as_no_frame(log):
    raw = bytearray(log.raw)
    raw[log.ends[2] + 3] ^= 0x80

    pieces = told(scanned(log, bytes(raw)))

    (bad,) = [piece for piece in pieces if not piece.sound]
    assert (bad.offset, bad.length, bad.frame) == (log.ends[2], log.ends[3] - log.ends[2], None)


@pytest.mark.parametrize("size", [1, 31, 500, 40_000])
def test_bytes_that_are_no_frame_are_told_apart_from_zeros(log, size):
    cut = log.ends[2]
    junk = b"?" * size

    pieces = told(scanned(log, log.raw[:cut] + junk + bytes(99) + log.raw[cut:]))

    odd = [piece for piece in pieces if not piece.sound]
    assert [(piece.offset, piece.length, piece.zeros) for piece in odd] == [
        (cut, size, False),
        (cut + size, 99, True),
    ]
    assert sum(piece.sound for piece in pieces) == len(log.ends) - 1


@pytest.mark.parametrize("seed", range(20))
def test_pieces_cover_the_log_when_its_bytes_are_any(log, seed, monkeypatch):
    cut_small(monkeypatch, 200, 1 << 10)
    rng = random.Random(seed)
    raw = bytearray(log.raw * 3)
    for _ in range(rng.randrange(9)):
        at = rng.randrange(64, len(raw))
        raw[at : at + rng.randrange(60)] = rng.choice([b"", bytes(50), rng.randbytes(50), b"x"])

    scan = scanned(log, bytes(raw))

    assert all(piece.frame.synced <= scan.durable for piece in told(scan) if piece.sound)


# ---- a header that is damaged


def without_header(log):
    return b"?" * 64 + log.raw[64:]


def test_frames_are_found_when_the_header_is_damaged(log):
    scan = scanned(log, without_header(log))

    assert isinstance(scan.problem, CorruptData)
    assert (scan.header, scan.salt, scan.durable) == (None, SALT, log.ends[-2])
    assert [piece.payload for piece in told(scan)] == [*PAYLOADS, b""]


def test_frames_are_found_when_header_and_first_frame_are_damaged_and_the_salt_is_known(log):
    raw = b"?" * (log.ends[1] - 3) + log.raw[log.ends[1] - 3 :]

    assert not any(piece.sound for piece in told(scanned(log, raw)))
    assert sum(piece.sound for piece in told(scanned(log, raw, salt=SALT))) == len(PAYLOADS)


def test_the_known_salt_is_taken_when_frames_do_not_speak_for_another(log):
    raw = b"?" * 64 + frame(5, 1, 64, 1, 1, 0, b"cut off")[:32]

    assert scanned(log, raw, salt=SALT).salt == SALT


@pytest.mark.parametrize("size", [0, 1, 20, 63, 64, 80, 95, 96])
def test_a_log_is_told_as_far_as_it_goes_when_it_is_cut_short(log, size):
    scan = scanned(log, log.raw[:size])

    assert (scan.problem is None) == (size >= 64)
    assert sum(piece.length for piece in told(scan)) == max(0, size - 64)
    assert scan.durable == 64


def test_a_scan_ends_when_the_log_is_cut_or_grows_meanwhile(log, monkeypatch):
    cut_small(monkeypatch, 200, 400)
    for _ in range(20):
        log.call(b"x" * 100)
    shorter, longer = log.ends[12], len(log.raw)
    scan = scanned(log)
    pieces = scan.pieces()
    next(pieces)

    log.path.write_bytes(log.raw[: shorter + 10])
    cut = list(pieces)
    log.path.write_bytes(log.raw + call(SALT, 99, 64, b"newer"))
    grown = told(scan)

    assert cut[-1].offset + cut[-1].length == scan.size == shorter + 10
    assert scan.size < longer
    assert sum(piece.length for piece in grown) == scan.size - 64
