"""Opening a store whose calls are in logs: several of them, gaps, strangers, and torn ends."""

import shutil
from pathlib import Path
from unittest import mock

import pytest

import vecstore
from tests.storage.crashing import CrashingFiles
from tests.storage.damage import image
from tests.storage.failing import FailingFiles
from tests.storage.logs import cut_small, read_all
from tests.storage.medium import NOTHING, Write
from tests.storage.watching import let_go, opened_through
from tests.stores import SMALL, contents, grid, names
from vecstore.errors import CorruptData, StorePoisoned
from vecstore.storage.file_names import log_name
from vecstore.storage.files import Files
from vecstore.storage.frames import FRAME_HEADER_BYTES, LOG_HEADER_BYTES
from vecstore.storage.log_reader import LogReader
from vecstore.storage.manifest import read_current
from vecstore.storage.wal import Log

HOW = {"metric": "l2", "config": SMALL, "clock": lambda: 1000}


def write(store, turn):
    """Make calls of each kind."""
    store.upsert_many(names(30, f"{turn}-"), grid(30, seed=turn), [{"turn": turn}] * 30)
    store.upsert(f"{turn}-3", [1, 2, 3, 4], ttl_s=50)
    store.delete(f"{turn}-4")
    store.soft_delete(f"{turn}-5")
    store.soft_delete(f"{turn}-6")
    store.restore(f"{turn}-6")
    store.update_metadata(f"{turn}-7", {"new": turn})
    store.set_ttl(f"{turn}-8", 9)
    store.batch([{"op": "delete", "id": f"{turn}-9"}, {"op": "restore", "id": f"{turn}-5"}])


def failed_checkpoint(store, files):
    """Let a checkpoint fail once later calls go to the next log."""
    files.counted = ("write_new",)
    files.fail_after(0)
    with pytest.raises(OSError, match="write_new failed"):
        store.checkpoint()


def logged(root, n_logs, *, n_generations=1):
    """Write a store whose calls are in several logs; give what a store in memory would hold."""
    files = FailingFiles()
    with vecstore.open(**HOW) as twin, opened_through(files, root, **HOW) as store:
        for generation in range(n_generations - 1):
            for one in (twin, store):
                write(one, 100 + generation)
            store.checkpoint()
        for turn in range(n_logs):
            if turn:
                failed_checkpoint(store, files)
            for one in (twin, store):
                write(one, turn)
        return same(twin)


def same(store):
    """Give all that must be the same in a store that was recovered."""
    found = contents(store)
    stats = found.pop("stats")
    return found, stats.seqno, stats.slots, stats.indexed, stats.live, stats.soft_deleted


def logs(root):
    return sorted(path.name for path in root.glob("wal-*"))


def reader_of(root, number):
    reader = LogReader(Files(), root / log_name(number), number)
    for _ in reader.calls():
        pass
    return reader


# ---- several logs


@pytest.mark.parametrize("n_logs", [1, 2, 5])
@pytest.mark.parametrize("n_generations", [1, 3])
@pytest.mark.parametrize("mode", ["a", "r"])
def test_every_call_is_there_when_they_are_in_several_logs(tmp_path, n_logs, n_generations, mode):
    root = tmp_path / "store"
    wanted = logged(root, n_logs, n_generations=n_generations)
    assert logs(root) == [log_name(n_generations + at) for at in range(n_logs)]

    with vecstore.open(root, mode=mode, check="full", **HOW) as store:
        assert same(store) == wanted
        assert store.verify().ok
        sizes = sum((root / name).stat().st_size - LOG_HEADER_BYTES for name in logs(root))
        # a mark at the end of the last is no call, and not looked at by readers
        assert store.stats().log_bytes in (sizes, sizes - FRAME_HEADER_BYTES)
        if mode == "a":
            store.checkpoint()
            assert len(logs(root)) == 1
            assert store.stats().log_bytes == 0
    if mode == "a":
        with vecstore.open(root, check="full", **HOW) as store:
            assert same(store) == wanted


def test_the_last_log_goes_on_when_there_are_several(tmp_path):
    root = tmp_path / "store"
    logged(root, 3)
    before = image(root)

    with vecstore.open(root, **HOW) as store:
        store.upsert("late", [1, 2, 3, 4])

    after = image(root)
    changed = [path.name for path in after if before.get(path) != after[path]]
    assert changed in (["wal-000003.log"], ["LOCK", "wal-000003.log"], ["wal-000003.log", "LOCK"])
    with vecstore.open(root, **HOW) as store:
        assert "late" in store
        assert store.verify().ok


@pytest.mark.parametrize("together", [1, 300, 5000])
def test_calls_are_the_same_when_upserts_in_a_row_are_joined(tmp_path, together, monkeypatch):
    wanted = logged(tmp_path / "store", 2)
    monkeypatch.setattr("vecstore.engine.recovery._TOGETHER_BYTES", together)

    with vecstore.open(tmp_path / "store", **HOW) as store:
        assert same(store) == wanted


def test_single_upserts_are_the_same_when_they_are_joined_across_a_new_dimension(tmp_path):
    with vecstore.open(tmp_path / "store", **HOW) as store:
        for number in range(300):
            store.upsert(f"r{number % 40}", grid(300)[number], {"n": number})
        wanted = same(store)

    with vecstore.open(tmp_path / "store", **HOW) as store:
        assert same(store) == wanted


# ---- gaps and strangers


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("mode", ["a", "r"])
def test_open_names_the_log_that_is_missing_when_others_follow(tmp_path, number, mode):
    root = tmp_path / "store"
    logged(root, 4)
    (root / log_name(number)).unlink()
    before = image(root)

    with pytest.raises(CorruptData) as caught:
        vecstore.open(root, mode=mode, **HOW)

    assert (caught.value.path, caught.value.offset) == (root / log_name(number), 0)
    assert image(root) == before


LEFT = [b"", bytes(20), bytes(64), b"VECSTORE", b"VECSTORE\x01\0\0\0\x07"]


@pytest.mark.parametrize("left", LEFT)
def test_a_log_whose_creation_was_cut_short_is_dropped_when_it_is_the_last(tmp_path, left):
    root = tmp_path / "store"
    wanted = logged(root, 2)
    (root / log_name(3)).write_bytes(left)

    assert same_of(root) == wanted
    assert (root / log_name(3)).exists()
    with vecstore.open(root, **HOW) as store:
        assert same(store) == wanted
        assert store.verify().ok
    assert logs(root) == [log_name(1), log_name(2)]


def same_of(root):
    with vecstore.open(root, mode="r", **HOW) as store:
        return same(store)


@pytest.mark.parametrize("left", [b"", bytes(64), b"VECSTORE"])
def test_a_log_cut_short_is_damage_when_others_follow(tmp_path, left):
    root = tmp_path / "store"
    logged(root, 3)
    (root / log_name(2)).write_bytes(left)

    with pytest.raises(CorruptData) as caught:
        vecstore.open(root, **HOW)

    assert (caught.value.path, caught.value.offset) == (root / log_name(2), 0)


def test_the_log_of_a_generation_that_never_came_is_dropped_when_it_is_empty(tmp_path):
    root, files = tmp_path / "store", FailingFiles()
    with let_go(opened_through(files, root, **HOW)) as store:
        write(store, 0)
        wanted = same(store)
        files.counted = ("write_new", "remove")
        files.fail_after(0, dead=True)
        with pytest.raises(OSError, match="write_new failed"):
            store.compact()
        assert logs(root) == [log_name(1), log_name(2)]
        assert same_of(root) == wanted
        shutil.copytree(root, tmp_path / "then")
        files.at = None
        store.upsert("late", [1, 2, 3, 4])
        later = same(store)

    for path, expected in ((tmp_path / "then", wanted), (root, later)):
        with vecstore.open(path, check="full", **HOW) as store:
            assert same(store) == expected
            assert store.verify().ok
        assert logs(path) == [log_name(1)]
        assert same_of(path) == expected


def test_no_log_is_left_of_a_generation_that_never_came_when_the_system_goes_on(tmp_path):
    root, files = tmp_path / "store", FailingFiles(counted=("write_new",))
    with opened_through(files, root, **HOW) as store:
        write(store, 0)
        files.fail_after(0)
        with pytest.raises(OSError, match="write_new failed"):
            store.compact()

        assert logs(root) == [log_name(1)]


def test_the_log_of_a_generation_that_never_came_is_damage_when_calls_are_in_it(tmp_path):
    root = tmp_path / "store"
    logged(root, 2)
    path = root / log_name(2)
    first, header = reader_of(root, 1), reader_of(root, 2).header
    path.unlink()
    before = mock.Mock(number=1, end=first.end, header=first.header)
    log = Log.create(Files(), root, header.seqno + 1, before)
    log.append(header.seqno + 2, 2, [b"\x91\x93\x02\xa1a\x05"], prepare=False)
    log.close()

    with pytest.raises(CorruptData) as caught:
        vecstore.open(root, **HOW)

    assert (caught.value.path, caught.value.offset) == (path, 32)


@pytest.mark.parametrize(("number", "offset"), [(1, 16), (2, 48)])
@pytest.mark.parametrize("mode", ["a", "r"])
def test_open_refuses_the_log_of_another_store_of_the_same_history(tmp_path, number, offset, mode):
    for name in ("one", "other"):
        logged(tmp_path / name, 2)
    path = tmp_path / "one" / log_name(number)
    shutil.copy(tmp_path / "other" / log_name(number), path)

    with pytest.raises(CorruptData) as caught:
        vecstore.open(tmp_path / "one", mode=mode, **HOW)

    assert caught.value.path in (path, tmp_path / "one" / log_name(2))
    assert caught.value.offset == (48 if number == 2 else offset)


def test_open_refuses_a_log_that_begins_after_another_call(tmp_path):
    root = tmp_path / "store"
    logged(root, 1, n_generations=2)
    manifest = read_current(Files(), root)
    path = root / log_name(manifest.first_log)
    header = reader_of(root, 2).header
    raw = path.read_bytes()
    with mock.patch("vecstore.storage.wal._new_salt", return_value=header.salt):
        before = mock.Mock(number=1, end=header.before)
        before.header.salt = header.salt_before
        Log.create(Files(), root, header.seqno + 1, before).close()
    path.write_bytes(path.read_bytes() + raw[LOG_HEADER_BYTES:])

    with pytest.raises(CorruptData, match=manifest.name) as caught:
        vecstore.open(root, **HOW)

    assert (caught.value.path, caught.value.offset) == (path, 16)


# ---- torn ends


@pytest.mark.parametrize("torn", [b"?", b"?" * 5000, b"\0" * 100 + b"?" * 7 + b"\0" * 99])
def test_a_torn_end_is_cut_off_counted_and_never_seen_again(tmp_path, torn):
    root = tmp_path / "store"
    wanted = logged(root, 2)
    path = root / log_name(2)
    sound = path.read_bytes()
    path.write_bytes(sound + torn)

    with vecstore.open(root, **HOW) as store:
        assert same(store) == wanted
        assert store.stats().torn_bytes == len(torn.rstrip(b"\0"))
        assert path.read_bytes() == sound
        store.upsert("late", [1, 2, 3, 4])
    with vecstore.open(root, **HOW) as store:
        assert store.stats().torn_bytes == 0
        assert "late" in store


def test_an_unfinished_call_is_dropped_as_a_whole_when_its_end_is_missing(tmp_path, monkeypatch):
    root = tmp_path / "store"
    cut_small(monkeypatch, 100)
    with let_go(vecstore.open(root, **HOW)) as store:
        store.upsert("a", [1, 2, 3, 4])
        wanted, end = same(store), store._writer.journal.log.end
        store.upsert_many(names(50), grid(50))
        last = store._writer.journal.log.end
    raw = (root / log_name(1)).read_bytes()[:last]

    assert len(read_all(Files(), root / log_name(1))[1]) == 2
    for size in range(end, last, 61):
        (root / log_name(1)).write_bytes(raw[:size])
        with vecstore.open(root, **HOW) as store:
            assert same(store) == wanted
            assert store.stats().torn_bytes == len(raw[end:size].rstrip(b"\0"))


def test_what_a_later_log_vouches_for_is_not_torn_when_it_is_damaged(tmp_path):
    # its own frames do not say that the last of them was durable; the next log does
    root = tmp_path / "store"
    logged(root, 2)
    path = root / log_name(1)
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)

    for mode in "ar":
        with pytest.raises(CorruptData) as caught:
            vecstore.open(root, mode=mode, **HOW)
        assert caught.value.path == path


def test_zeros_behind_a_log_are_no_damage_when_another_follows(tmp_path):
    # the room that was prepared in it was cut off, and that need not be durable
    root = tmp_path / "store"
    wanted = logged(root, 2)
    with (root / log_name(1)).open("ab") as file:
        file.write(bytes(100_000))

    with vecstore.open(root, **HOW) as store:
        assert same(store) == wanted


# ---- durable again


@pytest.mark.parametrize("durability", ["full", "interval", "off"])
def test_what_was_found_is_durable_before_anything_is_written_behind_it(durability):
    files, home = CrashingFiles(), Path("/store")
    how = {**HOW, "config": {**SMALL, "durability": durability, "sync_interval_s": 1000}}
    with let_go(opened_through(files, home, **how)) as store:
        write(store, 0)
        wanted = same(store)

    # the process died, the system did not: what was found is in its memory, perhaps only there
    with let_go(opened_through(files, home, **how)) as store:
        assert same(store) == wanted
        with opened_through(files.crash(NOTHING), home, **how) as survivor:
            assert same(survivor) == wanted


def test_calls_whose_fsync_failed_are_written_again_when_they_are_found():
    # the system may call pages clean that it did not write: a sync alone would write nothing
    inner, home = CrashingFiles(), Path("/store")
    files = FailingFiles(inner=inner, counted=("sync",))
    with let_go(opened_through(files, home, **HOW)) as store:
        store.upsert("a", [1, 2, 3, 4])
        durable = store._writer.journal.log.synced
        files.fail_after(0)
        with pytest.raises(StorePoisoned):
            store.upsert("b", [1, 2, 3, 4])
    before = len(inner.journal)

    with let_go(opened_through(inner, home, **HOW)) as store:
        found = store.ids()
        rewritten = [one.offset for one in inner.journal[before:] if isinstance(one, Write)]
        store.upsert("c", [1, 2, 3, 4])
        with opened_through(inner.crash(NOTHING), home, **HOW) as survivor:
            assert survivor.ids() == [*found, "c"]

    assert found == ["a", "b"]
    assert durable in rewritten
