"""Of damaged logs, whole calls are carried out in order, and the others are told."""

import shutil

import numpy as np
import pytest

import vecstore
from tests.engine.repairs import SMALL, flip, records, salvaged
from tests.stores import Clock
from vecstore.errors import NotFound
from vecstore.storage.files import Files
from vecstore.storage.frames import MARK
from vecstore.storage.log_scan import LogScan

STEPS = [
    lambda s: s.upsert("a", [1.0, 0.0], {"n": 1}),
    lambda s: s.upsert_many(
        [f"m{i}" for i in range(6)], np.eye(6, 2) + 1, [{"i": i} for i in "abcdef"]
    ),
    lambda s: s.upsert("short", [1.0, 1.0], ttl_s=1),
    lambda s: s.update_metadata("a", {"n": 2}),
    lambda s: s.soft_delete("m1"),
    lambda s: s.soft_delete("m2"),
    lambda s: s.restore("m1"),
    lambda s: s.delete("m3"),
    lambda s: s.set_ttl("m4", 3600),
    lambda s: s.upsert("a", [2.0, 2.0], {"n": 3}),
    lambda s: s.delete_many(["m0", "m5"]),
    lambda s: s.batch(
        [{"op": "upsert", "id": "b", "vector": [3.0, 1.0]}, {"op": "delete", "id": "a"}]
    ),
    lambda s: s.upsert("m3", [5.0, 5.0]),
    lambda s: s.expire(),
    lambda s: s.update_metadata("b", {"last": True}),
    lambda s: s.upsert("end", [1.0, 7.0]),
    # where the upsert before it is lost, the record that was deleted must not be hidden, but gone
    lambda s: s.soft_delete("m3"),
    lambda s: s.restore("m3"),
    lambda s: s.upsert("very end", [2.0, 7.0]),
]
EXPIRE = 13


def carried_out(store, clock, skipped=()):
    for number, step in enumerate(STEPS):
        clock.advance(1)
        # which slots an expiry means is not known once calls are missing
        unknown = number == EXPIRE and any(one < EXPIRE for one in skipped)
        if number not in skipped and not unknown:
            try:
                step(store)
            except NotFound:
                if number == 11:  # of a call whose parts are carried out one by one
                    store.upsert("b", [3.0, 1.0])


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """Write a store with a generation of two records, and all steps in its log."""
    root = tmp_path_factory.mktemp("logged") / "store"
    clock = Clock()
    with vecstore.open(root, metric="l2", config=SMALL, clock=clock) as store:
        store.upsert_many(["old", "older"], [[8.0, 8.0], [9.0, 9.0]])
        store.checkpoint()
        carried_out(store, clock)
    return root


def without(skipped, tmp_path):
    clock = Clock()
    with vecstore.open(tmp_path / "model", metric="l2", config=SMALL, clock=clock) as store:
        store.upsert_many(["old", "older"], [[8.0, 8.0], [9.0, 9.0]])
        carried_out(store, clock, skipped)
    expected = records(tmp_path / "model")
    shutil.rmtree(tmp_path / "model")
    return expected


def log_of(root):
    (log,) = root.glob("wal-*.log")
    return log


def calls_of(root):
    pieces = LogScan(Files(), log_of(root)).pieces()
    return [piece for piece in pieces if piece.sound and piece.frame.kind != MARK]


@pytest.mark.parametrize("skipped", range(len(STEPS)))
@pytest.mark.parametrize("where", ["length", "crc", "seqno", "kind", "salt", "payload"])
def test_one_call_is_lost_and_the_others_are_carried_out_when_its_frame_is_damaged(
    skipped, where, logged, tmp_path
):
    root = shutil.copytree(logged, tmp_path / "store")
    piece = calls_of(root)[skipped]
    places = {"length": 1, "crc": 5, "seqno": 8, "kind": 24, "salt": 29, "payload": 33}
    flip(log_of(root), piece.offset + places[where])

    report, found = salvaged(root)

    assert found == without({skipped}, tmp_path)
    lost = [loss for loss in report.losses if "is lost" in loss.text]
    assert [(loss.path, loss.offset) for loss in lost] == [(str(log_of(root)), piece.offset)]
    assert f"call {piece.frame.seqno} is lost" in lost[0].text


@pytest.mark.parametrize("first", range(0, len(STEPS) - 2, 3))
def test_calls_side_by_side_are_counted_when_a_stretch_is_damaged(first, logged, tmp_path):
    root = shutil.copytree(logged, tmp_path / "store")
    calls = calls_of(root)
    last = min(first + 3, len(calls) - 2)
    raw = bytearray(log_of(root).read_bytes())
    raw[calls[first].offset : calls[last].offset + calls[last].length] = bytes(
        calls[last].offset + calls[last].length - calls[first].offset
    )
    log_of(root).write_bytes(raw)

    report, found = salvaged(root)

    assert found == without(set(range(first, last + 1)), tmp_path)
    seqnos = calls[first].frame.seqno, calls[last].frame.seqno
    assert "calls {} to {} are lost".format(*seqnos) in report.losses[0].text
    assert "zeros" in report.losses[0].text


def test_the_last_acknowledged_call_is_carried_out_when_the_one_before_it_is_damaged(
    logged, tmp_path
):
    # nothing in the log says yet that it was durable, and yet somebody may rely on it
    root = shutil.copytree(logged, tmp_path / "store")
    calls = calls_of(root)
    raw = log_of(root).read_bytes()[: calls[-1].offset + calls[-1].length]
    log_of(root).write_bytes(raw)
    flip(log_of(root), calls[-2].offset + 40)

    report, found = salvaged(root)

    assert found == without({len(STEPS) - 2}, tmp_path)
    assert not report.ok


def test_all_calls_are_carried_out_when_only_the_header_of_the_log_is_damaged(logged, tmp_path):
    for at in (3, 9, 17, 21, 33):
        root = shutil.copytree(logged, tmp_path / "store")
        flip(log_of(root), at)

        report, found = salvaged(root)

        assert found == records(logged)
        assert report.ok
        assert str(log_of(root)) == report.notes[0].path
        shutil.rmtree(root)
        shutil.rmtree(tmp_path / "out")


def test_header_and_first_call_are_damaged_and_the_manifest_knows_the_salt(logged, tmp_path):
    root = shutil.copytree(logged, tmp_path / "store")
    flip(log_of(root), 17, 64 + 29)

    report, found = salvaged(root)

    assert found == without({0}, tmp_path)
    assert len(report.losses) >= 1


def test_a_log_without_calls_may_have_had_some_when_its_header_is_damaged(tmp_path):
    store = vecstore.open(tmp_path / "first", metric="l2", config=SMALL)
    store.upsert("a", [1.0, 2.0])
    store.checkpoint()
    store._writer.journal.log.file.resize(1 << 20)
    root = shutil.copytree(tmp_path / "first", tmp_path / "store")
    store.close()
    flip(log_of(root), 17)

    report, found = salvaged(root)

    assert list(found) == ["a"]
    assert "calls may be lost" in report.losses[0].text
    assert "header" in report.losses[0].text


@pytest.mark.parametrize("kept", [0, 30, 64, 65, 500])
def test_a_log_that_was_cut_costs_what_was_behind(kept, logged, tmp_path):
    root = shutil.copytree(logged, tmp_path / "store")
    log_of(root).write_bytes(log_of(root).read_bytes()[:kept])
    whole = sum(piece.offset + piece.length <= kept for piece in calls_of(logged))

    report, found = salvaged(root)

    assert found == without(set(range(whole, len(STEPS))), tmp_path)
    if kept < 64:  # frames that are not there cannot tell that they were durable
        assert not report.ok


def test_a_missing_or_foreign_log_is_told_and_not_read(logged, tmp_path):
    root = shutil.copytree(logged, tmp_path / "store")
    with vecstore.open(tmp_path / "other", metric="l2", config=SMALL) as store:
        store.upsert_many(["x", "y"], [[1.0, 2.0], [3.0, 4.0]])
        store.checkpoint()
        store.upsert("foreign", [1.0, 2.0])
    log = log_of(root)
    log.unlink()
    missing, without_log = salvaged(root)
    shutil.rmtree(tmp_path / "out")
    log.write_bytes((tmp_path / "other" / log.name).read_bytes())
    foreign, with_other = salvaged(root)

    assert not missing.ok
    assert not foreign.ok
    assert "missing" in missing.losses[0].text
    assert "not the log" in foreign.losses[0].text
    assert sorted(without_log) == sorted(with_other) == ["old", "older"]


def three_logs(root):
    """Leave three logs after one generation, as crashes in checkpoints do."""
    with vecstore.open(root, metric="l2", config=SMALL) as store:
        store.upsert("zero", [1.0, 2.0])
        store.checkpoint()
        kept = {path.name: path.read_bytes() for path in root.iterdir()}
        logs = {}
        for number in range(3):
            store.upsert(f"a{number}", [1.0, 2.0])
            store.upsert(f"b{number}", [1.0, 2.0])
            store._writer.journal.log.mark()
            logs |= {path.name: path.read_bytes() for path in root.glob("wal-*.log")}
            if number < 2:
                store.checkpoint()
    for path in root.iterdir():
        if path.is_file():
            path.unlink()
    for name, raw in (kept | logs).items():
        (root / name).write_bytes(raw)
    return sorted(logs)


EVERY = {"zero", *(f"{letter}{number}" for letter in "ab" for number in range(3))}


@pytest.mark.parametrize(
    ("harm", "number", "lost", "told"),
    [
        ("none", 0, set(), []),
        ("missing", 0, {"a0", "b0"}, ["calls 2 to 3 are lost"]),
        ("missing", 1, {"a1", "b1"}, ["calls 4 to 5 are lost"]),
        ("missing", 2, {"a2", "b2"}, None),
        ("cut", 0, {"b0"}, ["call 3 is lost"]),
        ("cut", 1, {"b1"}, ["call 5 is lost"]),
        ("header", 1, set(), []),
        ("first call", 1, {"a1"}, ["call 4 is lost"]),
        ("empty", 1, {"a1", "b1"}, ["calls 4 to 5 are lost"]),
    ],
)
def test_later_logs_are_read_when_one_is_damaged(harm, number, lost, told, tmp_path):
    root = tmp_path / "store"
    log = root / three_logs(root)[number]
    calls = [p for p in LogScan(Files(), log).pieces() if p.sound and p.frame.kind != MARK]
    if harm == "missing":
        log.unlink()
    elif harm == "cut":
        log.write_bytes(log.read_bytes()[: calls[1].offset + 3])
    elif harm == "empty":
        log.write_bytes(b"")
    elif harm != "none":
        flip(log, 17 if harm == "header" else calls[0].offset + 40)

    report, found = salvaged(root)

    assert set(found) == EVERY - lost
    if told is not None:
        assert [loss.text.split("; ")[-1] for loss in report.losses] == told


@pytest.mark.parametrize("number", [1, 2])
def test_a_log_of_another_store_is_not_read(number, tmp_path):
    root = tmp_path / "store"
    name = three_logs(root)[number]
    three_logs(tmp_path / "other")
    shutil.copy(tmp_path / "other" / name, root / name)

    report, found = salvaged(root)

    assert set(found) == EVERY - {f"a{number}", f"b{number}"}
    assert not report.ok
    assert any("does not follow" in loss.text for loss in report.losses)


def test_a_log_knows_the_salt_of_the_one_before(tmp_path):
    root = tmp_path / "store"
    second = root / three_logs(root)[1]
    flip(second, 17, 64 + 29)  # its header, and the first frame

    report, found = salvaged(root)

    assert set(found) == EVERY - {"a1"}
    assert "call 4 is lost" in report.losses[0].text
