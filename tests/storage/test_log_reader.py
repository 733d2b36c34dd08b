"""Reading the log: which calls count, and whether its end is torn or the log corrupt."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.storage.logs import COMMIT, Written, appended, begun, call, cut_small, frame, read_all
from vecstore.errors import CorruptData, UnsupportedFormat
from vecstore.storage.file_names import log_name
from vecstore.storage.files import Files
from vecstore.storage.log_reader import LogReader

SALT = Written.salt
PAYLOADS = [b"one", b"", b"three" * 20, b"four" * 9]


@pytest.fixture
def log(tmp_path):
    """Give four calls, each durable before the next, and a mark that says so of the last."""
    log = Written(tmp_path / log_name(1))
    for payload in PAYLOADS:
        log.call(payload)
    return log.mark()


def payloads(calls):
    return [payload for _, _, payload in calls]


def whole_before(log, at):
    """Count the calls that end at a place or before it."""
    return sum(end <= at for end in log.ends[1:-1])


# ---- whole calls


def test_calls_come_with_their_places_when_read(log):
    log.read(Files())
    reader = LogReader(Files(), log.path, 1)

    found = list(reader.calls())

    assert [one.payload for one in found] == PAYLOADS
    assert [(one.offset, one.end) for one in found] == list(pairwise(log.ends[:-1]))
    assert [one.seqno for one in found] == [1, 2, 3, 4]
    assert (reader.seqno, reader.end, reader.stop) == (4, len(log.raw), len(log.raw))
    assert reader.synced == log.ends[-2]


def test_numbers_go_on_from_the_header_when_calls_came_before_the_log(tmp_path):
    log = Written(tmp_path / log_name(1), seqno=2**40)

    reader, found = log.call(b"x").read(Files())

    assert (found, reader.seqno) == ([(2**40 + 1, 1, b"x")], 2**40 + 1)


@pytest.mark.parametrize("room", [1, 31, 32, 5000, 1 << 17])
def test_prepared_room_is_no_damage_when_it_follows_the_calls(log, room):
    reader, found = log.read(Files(), log.raw + bytes(room))

    assert payloads(found) == PAYLOADS
    assert (reader.end, reader.torn_bytes) == (len(log.raw), 0)


def test_reading_again_finds_what_came_since(tmp_path):
    log = appended(begun(Files(), tmp_path), [b"one", b"two"])
    first, found = read_all(Files(), tmp_path / log_name(1))
    appended(log, [b"three"])
    log.mark()
    log.close()

    again = first.again()
    later = [one.payload for one in again.calls()]

    assert payloads(found) == [b"one", b"two"]
    assert later == [b"three"]
    assert (again.seqno, again.end, again.synced) == (3, log.end, log.end - 32)
    assert [one.payload for one in again.again().calls()] == []


def test_calls_end_before_a_limit_when_one_is_given(log):
    log.read(Files())
    for limit in range(len(log.raw) + 1):
        reader, found = read_all(Files(), log.path, limit=limit)

        assert len(found) == whole_before(log, limit)
        assert reader.end <= max(limit, 64)


def test_the_call_in_the_place_of_another_comes_when_that_one_was_only_looked_at(tmp_path):
    path = tmp_path / log_name(1)
    old = Written(path).call(b"one").call(b"lost")  # not durable: its writer may take it back
    path.write_bytes(old.raw)
    reader = LogReader(Files(), path, 1)
    first = [one.payload for one in reader.calls(limit=old.ends[1])]

    path.write_bytes(Written(path).call(b"one").call(b"kept").mark().raw)
    ahead = reader.again()
    seen_ahead = [one.payload for one in ahead.calls()]
    later = [one.payload for one in reader.calls(limit=ahead.synced)]

    assert first == [b"one"]
    assert seen_ahead == later == [b"kept"]
    assert reader.end == ahead.synced == old.ends[2]


@pytest.mark.parametrize("window", [200, 1000, 1 << 20])
def test_calls_come_back_when_they_are_longer_than_a_window(tmp_path, window, monkeypatch):
    cut_small(monkeypatch, 100, window)
    log, wanted = Written(tmp_path / log_name(1)), []
    rng = random.Random(1)
    for _ in range(60):
        wanted.append(rng.randbytes(rng.randrange(500)))
        log.call(wanted[-1], payload_bytes=100)

    reader, found = log.mark().read(Files())

    assert payloads(found) == wanted
    assert reader.end == len(log.raw)


# ---- torn


def test_a_torn_end_is_counted_and_no_damage_when_nothing_says_it_was_durable(tmp_path):
    log = Written(tmp_path / log_name(1))
    for payload in PAYLOADS:
        log.call(payload, synced=64)
    ends = log.ends

    for size in range(64, len(log.raw) + 1):
        reader, found = log.read(Files(), log.raw[:size] + bytes(100))

        whole = sum(end <= size for end in ends[1:])
        assert payloads(found) == PAYLOADS[:whole], size
        assert (reader.end, reader.seqno) == (ends[whole], whole)
        assert reader.torn_bytes == len(log.raw[ends[whole] : size].rstrip(b"\0"))


@pytest.mark.parametrize("mask", [1, 128, 255])
def test_changed_bytes_are_torn_when_they_lie_above_the_greatest_synced(tmp_path, mask):
    log = Written(tmp_path / log_name(1)).call(b"one").call(b"two")
    durable = len(log.raw)
    log.call(b"three").call(b"four" * 5, synced=durable)

    for at in range(durable, len(log.raw)):
        raw = bytearray(log.raw)
        raw[at] ^= mask
        reader, found = log.read(Files(), bytes(raw))

        intact = [log.ends[number + 1] <= at for number in (2, 3)]
        assert payloads(found) == [b"one", b"two"] + [b"three"] * intact[0]
        assert reader.end == log.ends[2 + intact[0]]
        assert reader.torn_bytes == len(log.raw) - reader.end


def test_a_whole_call_behind_a_bad_one_is_not_believed_when_it_was_not_durable(tmp_path):
    log = Written(tmp_path / log_name(1)).call(b"one").call(b"two", synced=64).call(b"3", synced=64)
    raw = bytearray(log.raw)
    raw[log.ends[1] + 33] ^= 1

    reader, found = log.read(Files(), bytes(raw))

    assert payloads(found) == [b"one"]
    assert reader.torn_bytes == len(raw) - log.ends[1]


# ---- corrupt


@pytest.mark.parametrize("mask", [1, 128, 255])
def test_changed_bytes_are_corrupt_when_they_lie_below_the_greatest_synced(log, mask):
    # the mark at the end is told of by nobody
    for at in range(64, log.ends[-2]):
        raw = bytearray(log.raw)
        raw[at] ^= mask
        log.path.write_bytes(raw)
        reader, found = LogReader(Files(), log.path, 1), []

        with pytest.raises(CorruptData) as caught:
            found += reader.calls()

        whole = whole_before(log, at)
        assert caught.value.path == log.path
        assert caught.value.offset == log.ends[whole], at
        assert [one.payload for one in found] == PAYLOADS[:whole]


@pytest.mark.parametrize("junk", [b"\0", b"?"])
@pytest.mark.parametrize("more", [0, 1, 100_000])
@pytest.mark.parametrize("number", range(4))
def test_a_call_that_is_gone_is_noticed_when_a_later_frame_tells_of_it(log, number, more, junk):
    first, last = log.ends[number : number + 2]

    with pytest.raises(CorruptData, match=f"up to byte {log.ends[-2]}") as caught:
        log.read(Files(), log.raw[:first] + junk * (last - first + more) + log.raw[last:])

    assert (caught.value.path, caught.value.offset) == (log.path, first)


def test_bytes_put_between_two_calls_are_noticed(log):
    with pytest.raises(CorruptData) as caught:
        log.read(Files(), log.raw[: log.ends[2]] + b"?" + log.raw[log.ends[2] :])

    assert caught.value.offset == log.ends[2]


def test_calls_in_another_order_are_noticed(log):
    a, b, c = log.ends[1:4]

    with pytest.raises(CorruptData) as caught:
        log.read(Files(), log.raw[:a] + log.raw[b:c] + log.raw[a:b] + log.raw[c:])

    assert caught.value.offset == a


@pytest.mark.parametrize("size", [40, 1000, 70_000, 300_000])
@pytest.mark.parametrize("salted", [False, True])
def test_frames_are_found_again_when_much_junk_lies_before_them(log, size, salted, monkeypatch):
    cut_small(monkeypatch, 200, 1 << 15)
    junk = bytearray(random.Random(size).randbytes(size))
    if salted:  # the salt stands everywhere, and no frame with it
        junk[:] = (SALT.to_bytes(4, "little") * size)[:size]
    last = log.ends[2]

    with pytest.raises(CorruptData) as caught:
        log.read(Files(), log.raw[:last] + bytes(junk) + log.raw[last:])

    assert caught.value.offset == last


def test_durable_bytes_are_missed_when_somebody_else_knows_of_them(log):
    # the log after this one says how long it was
    reader, _ = log.read(Files(), log.raw[: log.ends[2]])

    reader.check(log.ends[2])
    with pytest.raises(CorruptData) as caught:
        reader.check(log.ends[2] + 1)

    assert (caught.value.path, caught.value.offset) == (log.path, log.ends[2])


# ---- a call of several frames


def parts(log, flags=(0, 0, COMMIT), numbers=(0, 1, 2), kinds=(1, 1, 1), seqnos=(1, 1, 1)):
    synced = 64
    for flag, part, kind, seqno in zip(flags, numbers, kinds, seqnos, strict=True):
        log.add(frame(SALT, seqno, synced, kind, flag, part, b"%d" % part))
    return log


def test_a_call_comes_whole_when_it_has_several_frames(tmp_path):
    log = parts(Written(tmp_path / log_name(1)))

    assert log.read(Files())[1] == [(1, 1, b"012")]


@pytest.mark.parametrize(
    "how",
    [
        {"numbers": (0, 2, 1)},
        {"numbers": (0, 1, 1)},
        {"numbers": (1, 2, 3)},
        {"kinds": (1, 2, 1)},
        {"seqnos": (1, 1, 2)},
        {"seqnos": (2, 2, 2)},
        {"flags": (0, 0, 0)},
    ],
    ids=str,
)
def test_no_call_is_made_up_when_frames_do_not_belong_together(tmp_path, how):
    reader, found = parts(Written(tmp_path / log_name(1)), **how).read(Files())

    assert found == []
    assert (reader.end, reader.torn_bytes) == (64, 3 * 33)


@pytest.mark.parametrize("cut", range(1, 3))
def test_a_call_is_torn_as_a_whole_when_its_last_frame_is_missing(tmp_path, cut):
    log = parts(Written(tmp_path / log_name(1)).call(b"before"), seqnos=(2, 2, 2))
    raw = log.raw[: log.ends[1] + 33 * cut]

    reader, found = log.read(Files(), raw)

    assert payloads(found) == [b"before"]
    assert (reader.end, reader.stop, reader.torn_bytes) == (log.ends[1], len(raw), 33 * cut)


def test_a_call_without_its_end_is_corrupt_when_it_was_durable(tmp_path):
    log = parts(Written(tmp_path / log_name(1)), flags=(0, 0, 0))
    log.add(frame(SALT, 1, len(log.raw), 0, 0, 0))

    with pytest.raises(CorruptData) as caught:
        log.read(Files())

    assert caught.value.offset == 64 + 3 * 33


@pytest.mark.parametrize(
    "mark",
    [
        frame(SALT, 1, 64, 0, 0, 0),
        frame(SALT, 0, 64, 0, COMMIT, 0),
        frame(SALT, 0, 64, 0, 0, 1),
        frame(SALT, 0, 64, 0, 0, 0, b"x"),
    ],
    ids=["of another call", "with a commit", "with a part", "with a payload"],
)
def test_a_mark_ends_the_log_when_it_is_none(tmp_path, mark):
    log = Written(tmp_path / log_name(1)).add(mark)
    log.add(call(SALT, 1, 64, b"behind"))

    reader, found = log.read(Files())

    assert (found, reader.end) == ([], 64)


def test_a_mark_within_a_call_ends_the_log(tmp_path):
    log = Written(tmp_path / log_name(1)).add(frame(SALT, 1, 64, 1, 0, 0, b"0"))
    log.add(frame(SALT, 0, 64, 0, 0, 0)).add(frame(SALT, 1, 64, 1, COMMIT, 1, b"1"))

    assert log.read(Files())[1] == []


# ---- anything at all


@settings(database=None, max_examples=200)
@given(
    places=st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=40)), max_size=4),
    cut=st.integers(0, 500),
)
def test_calls_are_a_prefix_or_the_log_is_refused_when_its_bytes_are_any(
    tmp_path_factory, places, cut
):
    log = Written(tmp_path_factory.getbasetemp() / log_name(1))
    for payload in PAYLOADS:
        log.call(payload)
    raw = bytearray(log.mark().raw)
    for at, piece in places:
        raw[at : at + len(piece)] = piece

    try:
        reader, found = log.read(Files(), bytes(raw[: max(cut, 64)]))
    except (CorruptData, UnsupportedFormat) as error:
        offset = getattr(error, "offset", 0)
    else:
        offset = reader.end
        assert payloads(found) == PAYLOADS[: len(found)]
        assert 0 <= reader.torn_bytes <= len(raw) - reader.end

    assert 0 <= offset <= len(raw)


@pytest.mark.parametrize("size", range(64))
def test_a_log_is_refused_when_its_header_is_cut_short(log, size):
    with pytest.raises(CorruptData):
        log.read(Files(), log.raw[:size])


def test_a_log_is_refused_when_it_is_missing_or_a_directory(tmp_path):
    path = tmp_path / log_name(1)
    for _ in range(2):
        with pytest.raises(CorruptData) as caught:
            LogReader(Files(), path, 1)
        assert (caught.value.path, caught.value.offset) == (path, 0)
        path.mkdir(exist_ok=True)
