"""How much of a log is read at a time, and that no frame is missed where one piece ends."""

import random

import pytest

from tests.storage.logs import Written, call, cut_small, frame
from vecstore.storage.file_names import log_name
from vecstore.storage.files import Files
from vecstore.storage.frames import FRAME_HEADER_BYTES
from vecstore.storage.log_reader import LogReader
from vecstore.storage.log_window import LogWindow

SALT = Written.salt
PAYLOAD, WINDOW = 100, 400
WHOLE = FRAME_HEADER_BYTES + PAYLOAD


@pytest.fixture(autouse=True)
def small(monkeypatch):
    cut_small(monkeypatch, PAYLOAD, WINDOW)


class Source:
    """Bytes that are read piece by piece; the pieces are noted."""

    def __init__(self, raw):
        self.raw = raw
        self.reads = []

    def __call__(self, most, offset):
        self.reads.append((most, offset))
        return self.raw[offset : offset + most]


class ReadFiles(Files):
    """A file system that notes what is read."""

    def __init__(self):
        self.reads = []

    def read(self, path, most, offset=0):
        self.reads.append((most, offset))
        return super().read(path, most, offset)


@pytest.mark.parametrize("size", [0, 1, WINDOW - 1, WINDOW, WINDOW + 1, 2000])
def test_a_whole_frame_or_all_that_is_left_is_seen_from_any_place(size):
    source = Source(random.Random(size).randbytes(size))
    window, rng = LogWindow(source), random.Random(1)
    forwards = list(range(size + 1))

    for at in [*forwards, *forwards[::-7], *(rng.randrange(size + 1) for _ in range(200))]:
        seen = bytes(window.look(at))
        assert source.raw[at:].startswith(seen)
        assert len(seen) >= min(WHOLE, size - at)

    assert {most for most, _ in source.reads} == {WINDOW}


def test_few_pieces_are_read_when_one_looks_ever_further():
    source = Source(bytes(10_000))
    window = LogWindow(source)

    for at in range(10_001):
        window.look(at)

    assert len(source.reads) <= 10_000 // (WINDOW - WHOLE) + 2


def test_newer_bytes_are_seen_when_those_that_were_read_are_forgotten():
    source = Source(b"older")
    window = LogWindow(source)
    assert bytes(window.look(1)) == b"lder"
    source.raw = b"newer and longer"

    assert bytes(window.look(1)) == b"lder"
    window.forget()
    assert bytes(window.look(1)) == b"ewer and longer"


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 131, 132, 399, 400, 1000])
@pytest.mark.parametrize("junk", ["zeros", "random", "salt", "zeros behind"])
def test_the_nearest_frame_is_found_when_other_bytes_lie_before_it(junk, size):
    other = {
        "zeros": bytes(size),
        "random": random.Random(size).randbytes(size)[: size - 1] + b"?" * (size > 0),
        "salt": (SALT.to_bytes(4, "little") * size)[:size],
        "zeros behind": b"?" * (size // 2) + bytes(size - size // 2),
    }[junk]
    raw = b"start" + other + call(SALT, 1, 0, b"x" * PAYLOAD)
    content = 5 + len(other.rstrip(b"\0"))

    found, last, end = LogWindow(Source(raw)).find_frame(5, SALT)

    assert (found.offset, found.length, last, end) == (5 + size, PAYLOAD, content, 5 + size)


@pytest.mark.parametrize("size", [0, 1, 40, 500])
def test_no_frame_is_found_when_there_is_none_with_the_salt(size):
    raw = bytes(size) + frame(SALT ^ 1, 1, 0, 1, 1, 0, b"x") + bytes(size)

    assert LogWindow(Source(raw)).find_frame(0, SALT) == (None, size + 33, 2 * size + 33)


# ---- what the reader of a log asks for


@pytest.fixture
def log(tmp_path):
    log = Written(tmp_path / log_name(1))
    for number in range(9):
        log.call(b"%d" % number)
    log.path.write_bytes(log.raw)
    return log


def test_only_the_header_is_read_when_a_log_is_opened_or_begun_again(log):
    files = ReadFiles()

    LogReader(files, log.path, 1).again()

    assert files.reads == [(64, 0)] * 2


def test_nothing_behind_the_limit_is_judged_when_there_is_one(log):
    # as a reader meets it: beside a frame that is being written, one that is behind it
    limit = log.ends[4]
    broken = log.raw[:limit] + b"?" * (log.ends[5] - limit) + log.raw[log.ends[5] :]
    log.path.write_bytes(broken)
    reader = LogReader(Files(), log.path, 1)

    found = [one.payload for one in reader.calls(limit)]

    assert found == [b"0", b"1", b"2", b"3"]
    assert (reader.end, reader.stop, reader.torn_bytes) == (limit, limit, 0)
    assert reader.synced <= limit


def test_nothing_is_read_when_the_limit_is_reached_already(log):
    files = ReadFiles()
    reader = LogReader(files, log.path, 1)
    files.reads.clear()

    assert list(reader.calls(64)) == []
    assert files.reads == []
