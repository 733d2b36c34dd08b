"""A dump of a log shows every byte of it, sound or not."""

import resource
import shutil
import subprocess
import sys

import msgpack
import numpy as np
import pytest

import vecstore
from tests.engine.repairs import SMALL, flip
from vecstore.engine.dump import dump, told
from vecstore.engine.encoding import encode
from vecstore.errors import NotAStore
from vecstore.storage.files import Files
from vecstore.storage.frames import LOG_HEADER_BYTES, MAX_PAYLOAD_BYTES


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """Write a store with one call of each kind in its log."""
    root = tmp_path_factory.mktemp("dump") / "store"
    with vecstore.open(root, metric="l2", config=SMALL, clock=lambda: 5000) as store:
        store.upsert("a", [1.0, 2.0], {"n": 1})
        store.upsert_many([f"r{i}" for i in range(6)], np.ones((6, 2)))
        store.soft_delete("r0")
        store.restore("r0")
        store.delete("r1")
        store.update_metadata("r2", {"n": 2})
        store.set_ttl("r3", 1)
        store.batch([{"op": "delete", "id": "a"}, {"op": "upsert", "id": "é", "vector": [3, 4]}])
    with vecstore.open(root, config=SMALL, clock=lambda: 9000) as store:
        store.expire()
    return root


@pytest.fixture
def root(pristine, tmp_path):
    return shutil.copytree(pristine, tmp_path / "store")


def log_of(root):
    (log,) = root.glob("wal-*.log")
    return log


def dumped(path):
    """Dump; check that every byte is shown once."""
    facts = list(dump(Files(), path))
    logs = [fact for fact in facts if fact["what"] == "log"]
    for log in logs:
        end = LOG_HEADER_BYTES
        for fact in facts:
            if fact["log"] == log["log"] and fact["what"] != "log":
                assert fact["offset"] == end
                end += fact["size"]
        assert end == max(LOG_HEADER_BYTES, log.get("size", 0))
    return facts


def test_each_call_is_told_in_words(root):
    heading, *facts = dumped(root)
    calls = [fact for fact in facts if fact["what"] == "frame" and fact["kind"] != "mark"]

    assert heading["problem"] is None
    assert heading["header"]["number"] == 1
    assert [fact["operations"] for fact in calls] == [
        ["upsert of 1 record: 'a'; dim 2"],
        ["upsert of 6 records: 'r0', 'r1', 'r2', 'r3', …; dim 2"],
        ["delete 'r0', softly"],
        ["restore 'r0'"],
        ["delete 'r1'"],
        ["update_metadata 'r2'"],
        ["set_ttl 'r3'"],
        ["delete 'a'", "upsert of 1 record: 'é'; dim 2"],
        ["expire of 1 slots"],
    ]
    assert [fact["seqno"] for fact in calls] == list(range(1, 10))
    assert [fact["kind"] for fact in calls[:3]] == ["upsert", "upsert", "delete"]
    assert calls[7]["kind"] == "batch"
    assert all(fact["salt_ok"] and fact["crc_ok"] and fact["commit"] for fact in calls)
    assert all(fact["state"] == "sound" for fact in calls)
    assert any(fact.get("kind") == "mark" for fact in facts)


def test_prepared_room_is_shown_as_such(tmp_path):
    with vecstore.open(tmp_path / "store", metric="l2", config=SMALL) as store:
        store.upsert("a", [1.0, 2.0])
        facts = dumped(tmp_path / "store")

    assert [fact["what"] for fact in facts] == ["log", "frame", "room"]
    assert facts[-1]["size"] > 500_000


@pytest.mark.parametrize(
    ("at", "salt_ok", "crc_ok"),
    [(5, True, False), (8, True, False), (24, True, False), (40, True, False), (28, False, None)],
)
def test_a_damaged_frame_is_shown_as_far_as_it_can_be_read(at, salt_ok, crc_ok, root):
    before = dumped(root)
    target = before[3]
    flip(log_of(root), target["offset"] + at)

    facts = dumped(root)

    (bad,) = [fact for fact in facts if fact["what"] == "damaged" or fact.get("state") == "damaged"]
    assert (bad["offset"], bad["size"]) == (target["offset"], target["size"])
    if crc_ok is None:  # nothing speaks for a frame any more
        assert bad["what"] == "damaged"
    else:
        assert (bad["salt_ok"], bad["crc_ok"]) == (salt_ok, crc_ok)
    assert "operations" not in bad
    assert [fact for fact in facts if fact != bad] == [fact for fact in before if fact != target]


def test_the_frame_of_another_file_has_the_wrong_salt_and_the_right_crc(root, tmp_path):
    with vecstore.open(tmp_path / "other", metric="l2", config=SMALL) as store:
        store.upsert("a", [1.0, 2.0], {"n": 1})
    foreign = log_of(tmp_path / "other").read_bytes()
    raw = bytearray(log_of(root).read_bytes())
    size = dumped(root)[1]["size"]
    raw[64 : 64 + size] = foreign[64 : 64 + size]
    log_of(root).write_bytes(raw)

    bad = dumped(root)[1]

    assert (bad["salt_ok"], bad["crc_ok"], bad["state"]) == (False, True, "damaged")


def test_what_is_above_the_durable_offset_is_torn(root):
    facts = dumped(root)
    last = [fact for fact in facts if fact["what"] == "frame"][-2]  # the last call, before the mark
    log = log_of(root)
    log.write_bytes(log.read_bytes()[: last["offset"] + last["size"] - 3] + b"\1" * 50)

    facts = dumped(root)

    assert [fact.get("state", fact["what"]) for fact in facts[-2:]] == ["torn", "torn"]
    assert not any("damaged" in (fact["what"], fact.get("state")) for fact in facts)


@pytest.mark.parametrize("at", [0, 9, 13, 17, 21, 25])
def test_frames_are_shown_though_the_header_is_damaged(at, root):
    before = dumped(root)[1:]
    flip(log_of(root), at)

    heading, *facts = dumped(root)

    assert heading["header"] is None
    assert heading["problem"]
    assert facts == before


def test_anything_at_all_can_be_dumped(root, tmp_path):
    rng = np.random.default_rng(3)
    raw = log_of(root).read_bytes()

    for _ in range(150):
        data = bytearray(raw)
        for at in rng.integers(len(raw), size=rng.integers(1, 9)).tolist():
            data[at] = int(rng.integers(256))
        begin = int(rng.integers(len(raw)))
        data[begin : begin + int(rng.integers(80))] = rng.bytes(int(rng.integers(120)))
        log_of(root).write_bytes(data[: int(rng.integers(len(data) + 1))])
        assert dumped(root)
    for data in (b"", b"x", rng.bytes(70_000), bytes(70_000), raw[:64], raw[:70]):
        (tmp_path / "some file").write_bytes(data)
        assert dumped(tmp_path / "some file")[0]["log"] == "some file"


def test_damage_in_an_operation_is_told(root):
    good = encode([])[1][0]
    whole = msgpack.packb([[2, "a", -1], [9, "b"], [3, "c", 5]])

    assert told(bytes(good)) == []
    assert told(whole) == ["delete 'a'", "operation 9 'b'", "restore 'c'"]
    for size in range(len(whole)):
        assert told(whole[:size])[-1] == "the rest is in the next frames"
    for raw in (
        b"\xc1",
        b"\x05",
        b"\x91\x05",
        b"\x91\x92\x01\x05",
        b"\xdd\xff\xff\xff\xff",
        b"\x92",
    ):
        assert told(raw)


def test_a_call_of_many_frames_is_told_by_its_first(tmp_path):
    n = 40_000
    with vecstore.open(
        tmp_path / "store", metric="l2", config={"flat_threshold": 1 << 20}
    ) as store:
        store.upsert_many([f"r{i}" for i in range(n)], np.ones((n, 64)))
        facts = [fact for fact in dumped(tmp_path / "store") if fact["what"] == "frame"]

    parts = [fact for fact in facts if fact["kind"] == "upsert"]
    assert [fact["part"] for fact in parts] == list(range(len(parts)))
    assert len(parts) > 2
    assert [fact["length"] for fact in parts[:-1]] == [MAX_PAYLOAD_BYTES] * (len(parts) - 1)
    assert [fact["commit"] for fact in parts] == [False] * (len(parts) - 1) + [True]
    first, rest = parts[0]["operations"]
    assert first == f"upsert of {n:,} records: 'r0', 'r1', 'r2', 'r3', …; dim 64"
    assert "next frames" in rest
    assert not any("operations" in fact for fact in parts[1:])


def test_memory_does_not_grow_with_the_log(tmp_path):
    with vecstore.open(
        tmp_path / "store", metric="l2", config={"flat_threshold": 1 << 30}
    ) as store:
        store.upsert_many([f"r{i}" for i in range(5)], np.ones((5, 8)))
    log = log_of(tmp_path / "store")
    with log.open("r+b") as file:  # torn bytes with nothing to find, and a long hole
        file.seek(200 << 20)
        file.write(b"torn")
        file.truncate(400 << 20)
    program = (
        "import sys, resource, collections\n"
        "from pathlib import Path\n"
        "from vecstore.engine.dump import dump\n"
        "from vecstore.storage.files import Files\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "collections.deque(dump(Files(), Path(sys.argv[1])), maxlen=0)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, str(log)], capture_output=True, text=True, check=True
    )

    unit = 1024 if sys.platform == "linux" else 1
    assert int(done.stdout) * unit < 120 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0


@pytest.mark.parametrize("place", ["missing", "empty", "store without a log"])
def test_a_dump_is_refused_when_there_is_no_log(place, tmp_path):
    if place != "missing":
        (tmp_path / place).mkdir()
    if place == "store without a log":
        (tmp_path / place / "CURRENT").write_text("x")

    with pytest.raises(NotAStore):
        list(dump(Files(), tmp_path / place))
