"""Writing the log: whole calls or nothing, marks, prepared room, and what is taken back."""

import itertools
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.storage.crashing import CrashingFiles
from tests.storage.failing import FailingFiles
from tests.storage.logs import appended, begun, call, cut_off, cut_small, mark, read_all
from tests.storage.medium import NOTHING, seeded
from vecstore.storage import wal
from vecstore.storage.files import Files, SyncFailed
from vecstore.storage.frames import (
    FRAME_HEADER_BYTES,
    LOG_HEADER_BYTES,
    MAX_PAYLOAD_BYTES,
    LogHeader,
    pack_log_header,
)
from vecstore.storage.log_reader import LogReader
from vecstore.storage.wal import PREPARED_BYTES, Log

NAME = "wal-000001.log"
HOME = Path("/store")
DESCRIPTORS = Path("/proc/self/fd")


@pytest.fixture
def log(tmp_path):
    log = begun(Files(), tmp_path)
    yield log
    log.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / NAME


def in_memory(at=None, **how):
    """Begin a log on a file system in memory, which may fail later."""
    files = CrashingFiles()
    files.make_directory(HOME)
    failing = FailingFiles(at, inner=files, **how)
    return begun(failing, HOME), failing


# ---- the file


def test_log_is_just_its_header_when_begun(log, path):
    assert path.read_bytes() == pack_log_header(LogHeader(log.header.salt, 1, 0, 0, 0))
    assert (log.number, log.seqno, log.end, log.synced) == (1, 0, 64, 64)


def test_log_names_the_one_before_it_when_it_follows_one(tmp_path):
    with_calls = appended(begun(Files(), tmp_path), [b"one", b"two"])

    log = Log.create(Files(), tmp_path, 2, with_calls)

    header = LogReader(Files(), tmp_path / "wal-000002.log", 2).header
    assert header == log.header
    assert (header.number, header.seqno, header.before) == (2, 2, with_calls.end)
    assert header.salt_before == with_calls.header.salt
    for one in (log, with_calls):
        one.close()


def test_log_and_its_name_are_durable_before_it_is_used():
    log, files = in_memory()

    assert files.done[-4:] == [
        ("create", NAME),
        ("write", NAME),
        ("sync", NAME),
        ("sync_directory", "store"),
    ]
    log.close()


@pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="lists descriptors in /proc")
@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("late", [False, True])
def test_no_descriptor_is_left_when_a_log_cannot_be_begun(at, late, tmp_path):
    before = len(list(DESCRIPTORS.iterdir()))

    with pytest.raises(OSError, match="failed"):
        begun(FailingFiles(at, late=late), tmp_path)

    assert len(list(DESCRIPTORS.iterdir())) == before


def test_salts_differ_and_are_never_like_prepared_room():
    salts = {wal._new_salt() for _ in range(2000)}

    assert len(salts) > 1990
    assert all(0 not in salt.to_bytes(4, "little") for salt in salts)


def test_bytes_are_the_documented_ones_when_calls_and_a_mark_are_written(log, path):
    appended(log, [b"one", b"", b"three" * 100], kind=2)
    cut_off(log).mark()

    salt, wanted = log.header.salt, path.read_bytes()[:LOG_HEADER_BYTES]
    for seqno, payload in enumerate([b"one", b"", b"three" * 100], 1):
        wanted += call(salt, seqno, len(wanted), payload, kind=2)
    wanted += mark(salt, 3, len(wanted))
    assert path.read_bytes() == wanted
    assert (log.seqno, log.end, log.synced) == (3, len(wanted), len(wanted) - FRAME_HEADER_BYTES)


def test_frames_say_how_much_was_durable_when_calls_wait_for_it(log, path):
    appended(log, [b"one", b"two"], durable=False)
    log.synced = log.end
    appended(log, [b"three"], durable=False)

    salt, data = log.header.salt, path.read_bytes()
    first = call(salt, 1, 64, b"one") + call(salt, 2, 64, b"two")
    assert data[64:] == first + call(salt, 3, 64 + len(first), b"three")


# ---- calls


@pytest.mark.parametrize("pieces", [[b"abc", b"", bytearray(b"de"), memoryview(b"f")], [b""], []])
def test_a_call_is_one_stream_when_it_comes_in_pieces(log, path, pieces):
    cut_off(log).append(1, 3, pieces, prepare=True)

    assert read_all(Files(), path)[1] == [(1, 3, b"".join(map(bytes, pieces)))]


@pytest.mark.parametrize("size", [4 << 20, (4 << 20) + 1, 9 << 20, 3 * (4 << 20)])
def test_a_call_takes_several_frames_when_it_is_large(log, path, size):
    payload = os.urandom(1 << 10) * (size >> 10) + bytes(size % 1024)

    cut_off(log).append(1, 1, [payload[:1000], payload[1000:]], prepare=True)
    appended(log, [b"small"])

    salt = log.header.salt
    wanted = call(salt, 1, 64, payload)
    data = path.read_bytes()
    assert data[64 : 64 + len(wanted)] == wanted
    assert len(wanted) == size + -(-size // MAX_PAYLOAD_BYTES) * FRAME_HEADER_BYTES
    assert read_all(Files(), path)[1] == [(1, 1, payload), (2, 1, b"small")]


calls = st.lists(
    st.tuples(
        st.sampled_from(["call", "call", "call", "sync", "mark", "fail", "trim"]),
        st.lists(st.binary(max_size=30), max_size=4),
        st.integers(1, 255),
        st.booleans(),
    ),
    max_size=25,
)


@settings(database=None)
@given(steps=calls, payload_bytes=st.integers(1, 40))
def test_calls_come_back_when_written_cut_marked_and_taken_back_in_any_way(steps, payload_bytes):
    with pytest.MonkeyPatch.context() as patch:
        cut_small(patch, payload_bytes)
        patch.setattr(wal, "PREPARED_BYTES", 200)
        log, files = in_memory()
        wanted = []
        for step, pieces, kind, prepare in steps:
            match step:
                case "call":
                    cut_off(log).append(log.seqno + 1, kind, pieces, prepare=prepare)
                    wanted.append((log.seqno, kind, b"".join(pieces)))
                case "sync":
                    log.file.sync()
                    log.synced = log.end
                case "mark":
                    cut_off(log).mark()
                case "trim":
                    cut_off(log).trim()
                case "fail":
                    files.fail_after(len(pieces) % 3, late=prepare)
                    before = (log.seqno, log.end)
                    try:
                        cut_off(log).append(log.seqno + 1, kind, pieces, prepare=prepare)
                    except OSError:
                        assert (log.seqno, log.end) == before
                    else:
                        wanted.append((log.seqno, kind, b"".join(pieces)))
                    files.at = None

        reader, found = read_all(files, HOME / NAME)

        assert found == wanted
        assert (reader.seqno, reader.end) == (log.seqno, log.end)
        assert reader.synced <= log.synced
        assert reader.torn_bytes == 0


# ---- prepared room


def test_zeros_are_written_ahead_when_small_calls_must_be_durable(log, path):
    sizes = set()
    for _ in range(100):
        appended(log, [b"x" * 100], prepare=True)
        sizes.add(path.stat().st_size)

    assert sizes == {LOG_HEADER_BYTES + PREPARED_BYTES}
    assert not any(path.read_bytes()[log.end :])
    assert len(read_all(Files(), path)[1]) == 100


def test_new_room_is_made_when_the_old_is_used_up(log, path):
    appended(log, [b"x" * 200_000] * 8, prepare=True)
    big = appended(log, [b"y" * 900_000], prepare=True).end
    size = path.stat().st_size

    assert size == big  # a large call gets none
    appended(log, [b"z"], prepare=True)
    assert path.stat().st_size == big + PREPARED_BYTES
    assert len(read_all(Files(), path)[1]) == 10


def test_no_room_is_made_when_nobody_waits_for_the_drive(log, path):
    appended(log, [b"x"] * 10, prepare=False)

    assert path.stat().st_size == log.end


def test_room_is_cut_off_when_the_log_is_left_alone(log, path):
    appended(log, [b"x"] * 10, prepare=True)

    cut_off(log).trim()
    cut_off(log).trim()

    assert path.stat().st_size == log.end
    appended(log, [b"y"], prepare=True)
    assert len(read_all(Files(), path)[1]) == 11


# ---- marks


def test_a_mark_is_written_once_when_all_is_durable_and_no_frame_says_so(log, path):
    appended(log, [b"one"])
    ends = []
    for _ in range(3):
        cut_off(log).mark()
        log.synced = log.end
        ends.append(log.end)
    appended(log, [b"two"])
    cut_off(log).mark()

    assert ends == [ends[0]] * 3 == [64 + 35 + 32] * 3
    reader, found = read_all(Files(), path)
    assert found == [(1, 1, b"one"), (2, 1, b"two")]
    assert (reader.synced, reader.end) == (log.end - 32, log.end)


def test_no_mark_is_written_when_a_call_is_not_durable(log):
    durable = appended(log, [b"one"], durable=False).end
    end = appended(log, [b"two"], durable=False).end
    log.synced = durable

    cut_off(log).mark()

    assert log.end == end


def synced_meanwhile(monkeypatch, log, end):
    """Let somebody make the log durable up to a place while a frame of the next call is written."""
    write = log.file.write

    def written(at, chunks):
        write(at, chunks)
        log.synced = end

    monkeypatch.setattr(log.file, "write", written)


def greatest_told(path):
    reader = LogReader(Files(), path, 1)
    list(reader.calls())
    return reader.synced


@pytest.mark.parametrize("size", [3, 30])
def test_what_frames_tell_is_what_was_written_when_a_sync_ends_meanwhile(
    log, path, size, monkeypatch
):
    cut_small(monkeypatch, 10)
    end = appended(log, [b"one"], durable=False).end
    synced_meanwhile(monkeypatch, log, end)

    cut_off(log).append(2, 1, [b"x" * size], prepare=False)

    assert log.synced == end
    assert log.told == greatest_told(path) == LOG_HEADER_BYTES


def test_a_mark_is_written_when_the_frame_that_told_is_taken_back(log, path):
    end = appended(log, [b"one"]).end
    appended(log, [b"two"], durable=False)  # which says that the first is durable

    log.cut(end, 1)
    cut_off(log).mark()

    assert log.end == end + FRAME_HEADER_BYTES
    assert greatest_told(path) == end


@pytest.mark.parametrize("late", [False, True])
def test_no_second_mark_is_written_when_a_call_failed_behind_the_first(late):
    log, files = in_memory(counted=("write",))
    appended(log, [b"one"])
    cut_off(log).mark()
    log.synced = end = log.end
    files.fail_after(0, late=late)
    with pytest.raises(OSError, match="write failed"):
        cut_off(log).append(2, 1, [b"two"], prepare=False)

    cut_off(log).mark()

    assert log.end == end


# ---- what is taken back


def test_nothing_is_left_of_a_call_when_it_is_taken_back(log, path):
    appended(log, [b"one"])
    end = log.end
    appended(log, [b"two"], prepare=True)

    assert log.cut(end, 1)

    assert path.stat().st_size == end
    assert (log.end, log.seqno, log.synced) == (end, 1, end)
    appended(log, [b"other"])
    assert read_all(Files(), path)[1] == [(1, 1, b"one"), (2, 1, b"other")]


def test_what_was_durable_stays_so_when_a_later_call_is_taken_back(log):
    appended(log, [b"one"])
    end = log.end
    appended(log, [b"two"], durable=False)

    log.cut(end, 1)

    assert log.synced == end


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("at", range(4))
def test_log_is_as_it_was_when_a_call_of_several_frames_fails(at, late, monkeypatch):
    cut_small(monkeypatch, 10)
    log, files = in_memory(counted=("write",))
    appended(log, [b"before"])
    before = files.read(HOME / NAME, 10**6)
    files.fail_after(at, late=late)

    with pytest.raises(OSError, match="write failed"):
        cut_off(log).append(2, 1, [b"x" * 35], prepare=False)

    assert files.read(HOME / NAME, 10**6) == before
    appended(log, [b"after"])
    assert read_all(files, HOME / NAME)[1] == [(1, 1, b"before"), (2, 1, b"after")]


def test_frames_that_could_not_be_cut_off_are_cut_before_the_next(monkeypatch):
    log, files = in_memory(counted=("write", "resize"))
    appended(log, [b"before"])
    files.fail_after(0, dead=True, late=True)

    for match in ("write failed", "resize failed", "resize failed"):
        with pytest.raises(OSError, match=match):
            cut_off(log).append(2, 1, [b"x" * 999], prepare=False)
        assert (log.seqno, log.end) == (1, 64 + 32 + 6)
    assert files.size(HOME / NAME) > log.end

    files.at = None
    appended(log, [b"after"])
    reader, found = read_all(files, HOME / NAME)
    assert found == [(1, 1, b"before"), (2, 1, b"after")]
    assert reader.torn_bytes == 0


def test_a_failed_fsync_is_told_when_frames_are_cut_off_for_good():
    log, files = in_memory(counted=("write", "sync"))
    appended(log, [b"before"])
    files.fail_after(0)
    with pytest.raises(OSError, match="write failed"):
        cut_off(log).append(2, 1, [b"x"], prepare=False)
    files.fail_after(0)

    with pytest.raises(SyncFailed):
        cut_off(log).append(2, 1, [b"x"], prepare=False)


def test_no_part_of_a_call_that_was_taken_back_comes_back_behind_the_next(monkeypatch):
    # both have the same number, and frames of the same length
    cut_small(monkeypatch, 600)
    payloads = b"a" * 1800, b"b" * 1800
    log, files = in_memory()
    end = appended(log, [b"before"]).end
    cut_off(log).append(2, 1, [payloads[0]], prepare=False)
    log.cut(end, 1)
    cut_off(log).append(2, 1, [payloads[1]], prepare=False)

    outcomes = set()
    for choice in [NOTHING, *map(seeded, range(400))]:
        image = files.inner.crash(choice)
        try:
            found = read_all(image, HOME / NAME)[1]
        except FileNotFoundError:
            continue
        outcomes.add(tuple(payload for _, _, payload in found[1:]))

    assert outcomes <= {(), (payloads[1],)}
    assert (payloads[1],) in outcomes


def test_stale_frames_are_not_believed_when_a_number_is_used_again(tmp_path, path):
    old = appended(begun(Files(), tmp_path), [b"old"] * 5)
    old.mark()
    stale = path.read_bytes()
    old.close()

    log = begun(Files(), tmp_path)
    appended(log, [b"new"])
    for behind in range(log.end, len(stale)):
        # as if the system had given back blocks of the file before it
        with path.open("r+b") as file:
            file.seek(log.end)
            file.write(stale[behind:])
        reader, found = read_all(Files(), path)
        assert found == [(1, 1, b"new")]
        assert reader.synced == LOG_HEADER_BYTES
    log.close()
    assert not any(a == b for a, b in itertools.pairwise([old.header.salt, log.header.salt]))
