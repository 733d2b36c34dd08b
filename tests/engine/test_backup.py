"""A backup is one moment of a store, whoever writes meanwhile; a restore is whole or nothing."""

import contextlib
import errno
import io
import os
import shutil
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest

import vecstore
from tests.engine.repairs import SMALL, filled, flip, records
from tests.engine.test_recovery import failed_checkpoint
from tests.storage.crashing import CrashingFiles
from tests.storage.damage import abandon, image
from tests.storage.failing import OPERATIONS, READS, FailingFiles, until_it_passes
from tests.storage.medium import CONTENT, EVERYTHING, NAMES, NOTHING, moments, seeded
from tests.storage.watching import let_go, opened_through
from vecstore.config import StoreConfig
from vecstore.engine.backup import restore_into, write_backup
from vecstore.engine.opening import open_reader
from vecstore.engine.settings import Wanted
from vecstore.errors import (
    AlreadyExists,
    CorruptData,
    InvalidInput,
    NotAStore,
    SnapshotNotFound,
    StoreLocked,
)
from vecstore.storage.archive import END, pack_header, padding
from vecstore.storage.files import Files
from vecstore.storage.manifest import read_current


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Write a store with a generation, a graph, a log, and a snapshot."""
    root = tmp_path_factory.mktemp("backup") / "store"
    filled(root)
    with vecstore.open(root, config={"maintenance": "inline"}) as store:
        for i in range(40):
            store.upsert(f"new{i}", np.ones(8) * (i + 1), {"i": i})
        store.soft_delete("new3")
        store.delete("new4")
    return root


@pytest.fixture(scope="module")
def archive(root):
    """Give a backup of it as bytes."""
    return written(root)


def written(root, **options):
    out = io.BytesIO()
    report = vecstore.backup(root, out, **options)
    assert report.size_bytes == len(out.getvalue())
    return out.getvalue()


def fingerprint(path):
    with vecstore.open(path, mode="r") as store:
        return store.fingerprint()


def left(tmp_path):
    return sorted(path.name for path in tmp_path.iterdir())


# ---- there and back


@pytest.mark.parametrize("through", ["file", "stream", "both"])
def test_a_restored_store_is_the_store(through, root, archive, tmp_path):
    path = tmp_path / "store.tar"
    if through == "stream":
        path.write_bytes(archive)
    else:
        vecstore.backup(root, path)

    if through == "file":
        vecstore.restore_backup(path, tmp_path / "copy")
    else:
        with path.open("rb") as file:
            vecstore.restore_backup(file, tmp_path / "copy")

    assert path.read_bytes() == archive
    assert records(tmp_path / "copy") == records(root)
    assert fingerprint(tmp_path / "copy") == fingerprint(root)
    assert left(tmp_path) == ["copy", "store.tar"]
    with vecstore.open(tmp_path / "copy", check="full") as copy:
        copy.upsert("more", np.ones(8))
    assert records(tmp_path / "copy").keys() == records(root).keys() | {"more"}


@pytest.mark.parametrize("content", ["nothing", "no call", "no checkpoint", "only a generation"])
def test_small_stores_come_back(content, tmp_path):
    with vecstore.open(tmp_path / "store", metric="l2", config=SMALL) as store:
        if content in ("no checkpoint", "only a generation"):
            store.upsert("a", [1.0, 2.0])
        if content in ("no call", "only a generation"):
            store.checkpoint()

    vecstore.restore_backup(io.BytesIO(written(tmp_path / "store")), tmp_path / "copy")

    assert records(tmp_path / "copy") == records(tmp_path / "store")


def test_an_archive_is_a_plain_tar_file_of_a_store(root, archive, tmp_path):
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        members = tar.getmembers()
        tar.extractall(tmp_path / "copy", filter="data")

    names = [member.name for member in members]
    assert names[-1] == "CURRENT"
    assert names[-2].startswith("manifest-")
    assert "LOCK" not in names
    assert all(
        member.isreg() and member.mtime == member.uid == member.gid == 0 for member in members
    )
    assert records(tmp_path / "copy") == records(root)


def test_a_backup_ends_where_the_log_is_known_to_be_durable(tmp_path):
    store = vecstore.open(tmp_path / "first", metric="l2", config=SMALL)
    for i in range(5):
        store.upsert(f"r{i}", [1.0, i])
    abandon(store)
    root = shutil.copytree(tmp_path / "first", tmp_path / "store")
    (log,) = root.glob("wal-*.log")
    log.write_bytes(log.read_bytes().rstrip(b"\0") + b"torn")

    vecstore.restore_backup(io.BytesIO(written(root)), tmp_path / "copy")

    # of the last call nothing in the log says that it is durable
    with (
        vecstore.open(tmp_path / "copy", mode="r") as copy,
        vecstore.open(root, mode="r") as reader,
    ):
        assert copy.ids() == reader.ids() == [f"r{i}" for i in range(4)]
    assert records(tmp_path / "copy").keys() == {f"r{i}" for i in range(4)}
    (copied,) = (tmp_path / "copy").glob("wal-*.log")
    assert copied.stat().st_size < log.stat().st_size
    assert b"torn" not in copied.read_bytes()


def test_a_snapshot_becomes_a_store_of_its_own(root, tmp_path):
    with vecstore.open(root, mode="r") as store:
        (info,) = store.list_snapshots()

    data = written(root, snapshot="monday")
    vecstore.restore_backup(io.BytesIO(data), tmp_path / "copy")

    found = records(tmp_path / "copy")
    assert len([one for one in found.values() if one[-1] is None]) == info.records
    assert "id0050" in found
    assert "logged" not in found
    with vecstore.open(tmp_path / "copy") as copy:
        copy.upsert("more", np.ones(8))
    assert "more" in records(tmp_path / "copy")


def test_the_same_state_gives_the_same_bytes(root, archive, tmp_path):
    other = shutil.copytree(root, tmp_path / "elsewhere")
    for path in other.iterdir():
        os.utime(path, (1, 1))

    assert written(other) == archive


def test_streams_may_take_fewer_bytes_and_give_fewer(root, archive, tmp_path):
    class Slow(io.RawIOBase):
        data = b""

        def write(self, chunk):
            self.data += bytes(chunk[:1000])
            return min(1000, len(chunk))

        def read(self, size=-1):
            part, self.data = self.data[: min(size, 777)], self.data[min(size, 777) :]
            return part

    slow = Slow()
    vecstore.backup(root, slow)
    assert slow.data == archive

    vecstore.restore_backup(slow, tmp_path / "copy")
    assert records(tmp_path / "copy") == records(root)


# ---- while somebody writes


class Watching(io.BytesIO):
    """Lets a writer do something at the first bytes of a backup."""

    def __init__(self, happen):
        super().__init__()
        self._happen = happen

    def write(self, data):
        happen, self._happen = self._happen, None
        if happen is not None:
            happen()
        return super().write(data)


@pytest.mark.parametrize("what", ["checkpoint", "compact", "restore_snapshot"])
def test_a_backup_holds_its_files_when_a_writer_removes_them(what, root, tmp_path):
    busy = shutil.copytree(root, tmp_path / "store")
    with vecstore.open(busy, config={"maintenance": "inline"}) as store:
        before = records(busy)

        def happen():
            store.upsert("later", np.ones(8))
            store.restore_snapshot("monday") if what == "restore_snapshot" else getattr(
                store, what
            )()
            store.upsert("even later", np.ones(8))

        out = Watching(happen)
        vecstore.backup(busy, out)

    vecstore.restore_backup(io.BytesIO(out.getvalue()), tmp_path / "copy")
    assert records(tmp_path / "copy") == before
    assert "even later" in records(busy)


class BusyFiles(Files):
    """A file system in which a writer makes a checkpoint between two looks of a reader."""

    def __init__(self, store):
        self._store = store
        self.n_times = 0

    def blocks(self, path, length, block_bytes=1 << 20):
        if self.n_times < 3:
            self.n_times += 1
            self._store.upsert(f"later{self.n_times}", np.ones(8))
            self._store.checkpoint()
        return super().blocks(path, length, block_bytes)


def test_a_backup_looks_again_when_a_file_vanishes_before_it_is_open(root, tmp_path):
    busy = shutil.copytree(root, tmp_path / "store")
    with vecstore.open(busy, config={"maintenance": "inline"}) as store:
        files, out = BusyFiles(store), io.BytesIO()
        write_backup(files, busy, out, None)

    assert files.n_times == 3
    vecstore.restore_backup(io.BytesIO(out.getvalue()), tmp_path / "copy")
    assert records(tmp_path / "copy") == records(busy)


def test_a_log_in_which_no_call_is_durable_is_not_copied_when_another_is_before_it(tmp_path):
    files, root = FailingFiles(), tmp_path / "store"
    with let_go(opened_through(files, root, metric="l2", config=SMALL)) as store:
        store.upsert("a", [1.0, 2.0])
        failed_checkpoint(store, files)
        before, last = sorted(root.glob("wal-*.log"))
        last.write_bytes(last.read_bytes() + b"the beginning of a call")

        vecstore.restore_backup(io.BytesIO(written(root)), tmp_path / "copy")

    assert [path.name for path in (tmp_path / "copy").glob("wal-*.log")] == [before.name]
    assert records(tmp_path / "copy").keys() == {"a"}


def test_every_backup_is_a_moment_when_a_writer_does_not_stop(tmp_path):
    config = {"flat_threshold": 1 << 20, "checkpoint_bytes": 1 << 13, "durability": "full"}
    acknowledged, stop = [], threading.Event()
    store = vecstore.open(tmp_path / "store", metric="l2", config=config)

    def write():
        i = 0
        while not stop.is_set():
            store.upsert(f"r{i}", np.ones(64) * i)
            acknowledged.append(i)
            i += 1

    thread = threading.Thread(target=write)
    thread.start()
    sizes = []
    try:
        for number in range(12):
            while len(acknowledged) < 40 * number:
                stop.wait(0.001)
            at_least = len(acknowledged)
            data = written(tmp_path / "store")
            vecstore.restore_backup(io.BytesIO(data), tmp_path / "copy")
            with vecstore.open(tmp_path / "copy", mode="r") as copy:
                n = len(copy)
                assert copy.ids() == [f"r{i}" for i in range(n)]
                assert copy.verify().ok
            # the last call is told to be durable by the next one, or by a mark
            assert n >= at_least - 1
            sizes.append(n)
            shutil.rmtree(tmp_path / "copy")
    finally:
        stop.set()
        thread.join()
        generations = store.stats().generation
        store.close()

    assert sizes == sorted(sizes)
    assert generations > 3


def test_files_are_closed_when_a_backup_is_broken_off(root, tmp_path):
    broken = shutil.copytree(root, tmp_path / "store")
    flip(broken / read_current(Files(), broken).files["vectors"].name, 9000)
    before = len(list(Path("/proc/self/fd").iterdir()))

    for _ in range(3):
        with pytest.raises(CorruptData):
            written(broken)

    assert len(list(Path("/proc/self/fd").iterdir())) == before


# ---- damage and refusals on the way out


def test_no_backup_is_made_of_damaged_bytes(root, tmp_path):
    names = sorted(path.name for path in root.iterdir() if path.is_file() and path.name != "LOCK")
    rng, refused = np.random.default_rng(2), []
    broken = shutil.copytree(root, tmp_path / "store")

    for name in names:
        raw = (broken / name).read_bytes()
        for at in sorted({0, 20, len(raw) // 2, len(raw) - 1, *rng.integers(len(raw), size=12)}):
            flip(broken / name, int(at))
            try:
                vecstore.restore_backup(io.BytesIO(written(broken)), tmp_path / "copy")
            except CorruptData as exc:
                refused.append(exc.path)
            else:  # behind what the log is known to be durable up to, damage is a torn end
                assert name.startswith("wal")
                with vecstore.open(broken, mode="r") as reader:
                    assert records(tmp_path / "copy").keys() == {
                        record.id for record in reader.records(deleted=True)
                    }
                shutil.rmtree(tmp_path / "copy")
            (broken / name).write_bytes(raw)

    assert {path.name for path in refused} == set(names)
    assert len(refused) > 13 * len(names)


class RottingFiles(Files):
    """A file system in which a byte goes bad after it was looked at."""

    def __init__(self, start, at):
        self._start = start
        self._at = at

    def blocks(self, path, length, block_bytes=1 << 20):
        for block in super().blocks(path, length, block_bytes):
            raw = bytearray(block)
            if path.name.startswith(self._start):
                raw[self._at % len(raw)] ^= 1
            yield bytes(raw)


@pytest.mark.parametrize("at", [3, 70, 100, -1, -6])
@pytest.mark.parametrize("start", ["ids", "metadata", "checksums", "vectors", "hnsw", "wal"])
def test_what_is_copied_is_what_is_compared(start, at, root):
    with pytest.raises(CorruptData) as caught:
        write_backup(RottingFiles(start, at), root, io.BytesIO(), None)

    assert caught.value.path.name.startswith(start)


def test_no_file_appears_when_a_backup_fails(root, tmp_path):
    broken = shutil.copytree(root, tmp_path / "store")
    flip(broken / read_current(Files(), broken).files["ids"].name, 300)

    with pytest.raises(CorruptData):
        vecstore.backup(broken, tmp_path / "store.tar")
    with pytest.raises(FileNotFoundError):
        vecstore.backup(root, tmp_path / "nowhere" / "store.tar")

    assert left(tmp_path) == ["store"]


def test_backup_is_refused_when_there_is_something_already_or_nothing_yet(root, tmp_path):
    (tmp_path / "store.tar").write_bytes(b"mine")
    (tmp_path / "folder").mkdir()

    for out in (tmp_path / "store.tar", tmp_path / "folder"):
        with pytest.raises(AlreadyExists):
            vecstore.backup(root, out)
    for path in (tmp_path / "missing", tmp_path / "folder"):
        with pytest.raises(NotAStore):
            vecstore.backup(path, io.BytesIO())
    with pytest.raises(SnapshotNotFound):
        vecstore.backup(root, io.BytesIO(), snapshot="tuesday")
    with pytest.raises(InvalidInput, match=r"backup\(snapshot\)"):
        vecstore.backup(root, io.BytesIO(), snapshot="../store")
    for wrong in ({"path": None, "out": io.BytesIO()}, {"path": root, "out": 5}):
        with pytest.raises(InvalidInput):
            vecstore.backup(**wrong)

    assert (tmp_path / "store.tar").read_bytes() == b"mine"
    assert left(tmp_path) == ["folder", "store.tar"]


@pytest.mark.parametrize("late", [False, True])
def test_a_whole_file_or_none_is_there_when_an_operation_fails(late, root, tmp_path, archive):
    failures = 0

    for files in until_it_passes(late=late, counted=(*OPERATIONS, *READS), error=errno.EIO):
        out = tmp_path / "store.tar"
        with contextlib.suppress(OSError, CorruptData):
            write_backup(files, root, out, None)
        failures += files.failed
        if out.exists():
            assert out.read_bytes() == archive
            out.unlink()
        with contextlib.suppress(FileNotFoundError):
            (tmp_path / "store.tar.partial").unlink()

    assert failures > 20


# ---- damage and refusals on the way in


def tar_of(*members, end=END):
    return b"".join(pack_header(n, len(d)) + d + padding(len(d)) for n, d in members) + end


def members_of(archive):
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return [(member.name, tar.extractfile(member).read()) for member in tar]


def special(kind, name="ids-000001.bin", size=0, link="/etc/passwd"):
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, link
    return info.tobuf(tarfile.GNU_FORMAT) + END


def with_checksum(header):
    """Write the checksum of a header that was changed."""
    raw = bytearray(header)
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw[:512])
    return bytes(raw)


def hostile():
    """Yield (label, what is told, archive)."""
    for name in [
        *("../CURRENT", "/etc/CURRENT", "a/CURRENT", "./CURRENT", "snapshots", "snapshots/a/x"),
        *(
            "LOCK",
            "CURRENT.tmp",
            "letter.txt",
            "",
            "ids-000001.bin/",
            "ids-1.bin",
            "IDS-000001.BIN",
        ),
        "ids-000001.bin\n",
    ]:
        yield f"named {name!r}", "no file that a store is made of", tar_of((name, b"x"))
    kinds = {
        "link": tarfile.LNKTYPE,
        "symlink": tarfile.SYMTYPE,
        "device": tarfile.CHRTYPE,
        "block device": tarfile.BLKTYPE,
        "folder": tarfile.DIRTYPE,
        "pipe": tarfile.FIFOTYPE,
        "sparse": tarfile.GNUTYPE_SPARSE,
        "long name": tarfile.GNUTYPE_LONGNAME,
        "extended header": tarfile.XHDTYPE,
        "global header": tarfile.XGLTYPE,
    }
    for label, kind in kinds.items():
        yield label, "not a regular file", special(kind)
    huge = pack_header("ids-000001.bin", 1 << 60)
    yield "size of an exabyte", "the archive ends here", huge + b"x" * 5000
    negative = bytearray(pack_header("ids-000001.bin", 0))
    negative[124:136] = b"\xff" * 12
    yield "size below zero", "not a regular file", with_checksum(negative) + END
    yield "nothing", "the archive ends here", b""
    yield "only an end", "the file is missing", END
    yield "random", "no tar archive", np.random.default_rng(0).bytes(5000)
    yield "a zip", "no tar archive", b"PK\3\4" + bytes(600)
    yield "twice", "second time", tar_of(("CURRENT", b"x"), ("CURRENT", b"x"))
    yield "a false CURRENT", "does not name a manifest", tar_of(("CURRENT", b"x"))


@pytest.mark.parametrize(
    ("told", "data"), [h[1:] for h in hostile()], ids=[h[0] for h in hostile()]
)
@pytest.mark.parametrize("begun", [False, True])
def test_nothing_is_left_of_what_is_no_archive_of_a_store(told, data, begun, archive, tmp_path):
    if begun:  # behind files that are all right
        members = [one for one in members_of(archive) if one[0] != "CURRENT"]
        data = tar_of(*members, end=b"") + data

    with pytest.raises(CorruptData) as caught:
        vecstore.restore_backup(io.BytesIO(data), tmp_path / "copy")

    assert told in str(caught.value)
    assert 0 <= caught.value.offset <= len(data)
    assert left(tmp_path) == []


def test_nothing_is_left_of_an_archive_that_ends_early(archive, tmp_path):
    places = {*range(0, len(archive) - len(END) + 1, 512), 1, 511, 513, len(archive) - len(END) + 1}

    for size in sorted(places)[::3]:
        with pytest.raises(CorruptData, match="the archive ends here"):
            vecstore.restore_backup(io.BytesIO(archive[:size]), tmp_path / "copy")
        assert left(tmp_path) == []


def test_every_flip_is_found_or_harmless(root, archive, tmp_path):
    rng, found, expected = np.random.default_rng(7), [], records(root)

    for at in rng.integers(len(archive), size=150).tolist():
        raw = bytearray(archive)
        raw[at] ^= 1 << int(rng.integers(8))
        try:
            vecstore.restore_backup(io.BytesIO(raw), tmp_path / "copy")
            assert records(tmp_path / "copy") == expected
            shutil.rmtree(tmp_path / "copy")
        except CorruptData as exc:
            found.append(str(exc.path))
        assert left(tmp_path) == []

    assert len(found) > 100
    assert set(found) == {"-"}


@pytest.mark.parametrize("lost", ["manifest", "ids", "checksums", "vectors", "wal", "CURRENT"])
def test_an_archive_without_one_of_its_files_is_refused(lost, archive, tmp_path):
    members = [one for one in members_of(archive) if not one[0].startswith(lost)]

    with pytest.raises(CorruptData, match=f"{lost}.*: the file is missing"):
        vecstore.restore_backup(io.BytesIO(tar_of(*members)), tmp_path / "copy")

    assert left(tmp_path) == []


def test_files_that_the_store_does_not_need_do_not_stay(root, archive, tmp_path):
    more = [("ids-000999.bin", b"left over"), ("manifest-000001.json", b"old")]

    vecstore.restore_backup(io.BytesIO(tar_of(*more, *members_of(archive))), tmp_path / "copy")

    assert not set(dict(more)) & set(left(tmp_path / "copy"))
    assert records(tmp_path / "copy") == records(root)


def test_no_store_is_there_when_a_file_that_it_does_not_need_cannot_be_removed(archive, tmp_path):
    files = FailingFiles(0, counted=("remove",))
    data = tar_of(("ids-000999.bin", b"left over"), *members_of(archive))

    with pytest.raises(OSError, match="remove failed"):
        restore_into(files, Path("-"), io.BytesIO(data).read, tmp_path / "copy")

    assert files.done[0] == ("remove", "ids-000999.bin")
    assert left(tmp_path) == []


def test_damage_is_told_with_its_place_in_the_archive(archive, tmp_path):
    at = archive.index(b"x" * 9)
    raw = bytearray(archive)
    raw[at] ^= 1
    (tmp_path / "store.tar").write_bytes(raw)

    with pytest.raises(CorruptData, match="metadata-") as caught:
        vecstore.restore_backup(tmp_path / "store.tar", tmp_path / "copy")

    assert caught.value.path == tmp_path / "store.tar"
    assert at - 25_000 < caught.value.offset <= at


# ---- the place of a restored store


def test_an_empty_directory_and_missing_parents_are_fine(root, archive, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    places = [tmp_path / "empty", tmp_path / "a" / "b" / "c", Path("relative"), Path("deep/er")]

    for place in places:
        vecstore.restore_backup(io.BytesIO(archive), place)
        assert records(place) == records(root)

    assert left(tmp_path) == ["a", "empty", "here"]


@pytest.mark.parametrize("place", ["file", "store", "foreign"])
def test_restore_is_refused_when_something_is_there(place, root, archive, tmp_path):
    if place == "file":
        (tmp_path / place).write_bytes(b"mine")
    elif place == "store":
        shutil.copytree(root, tmp_path / place)
    else:
        (tmp_path / place).mkdir()
        (tmp_path / place / "letter.txt").write_text("dear reader")
    before = image(tmp_path)

    with pytest.raises(AlreadyExists):
        vecstore.restore_backup(io.BytesIO(archive), tmp_path / place)
    for wrong in ((None, tmp_path / "copy"), (io.BytesIO(archive), None), (5, tmp_path / "copy")):
        with pytest.raises(InvalidInput):
            vecstore.restore_backup(*wrong)
    with pytest.raises(FileNotFoundError):
        vecstore.restore_backup(tmp_path / "missing.tar", tmp_path / "copy")

    assert image(tmp_path) == before
    assert left(tmp_path) == [place]


def test_what_a_crash_left_is_replaced_and_what_is_foreign_is_not(root, archive, tmp_path):
    partial = tmp_path / "copy.partial"
    partial.mkdir()
    (partial / "ids-000001.bin").write_bytes(b"half")
    vecstore.restore_backup(io.BytesIO(archive), tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy")
    partial.mkdir()
    (partial / "letter.txt").write_text("dear reader")

    with pytest.raises(AlreadyExists, match=r"copy\.partial"):
        vecstore.restore_backup(io.BytesIO(archive), tmp_path / "copy")

    assert (partial / "letter.txt").read_text() == "dear reader"


def test_two_restores_of_one_place_exclude_each_other(root, archive, tmp_path):
    inside = []

    class Source(io.BytesIO):
        def read(self, size=-1):
            if not inside:
                inside.append(True)
                with pytest.raises(StoreLocked):
                    vecstore.restore_backup(io.BytesIO(archive), tmp_path / "copy")
            return super().read(size)

    vecstore.restore_backup(Source(archive), tmp_path / "copy")

    assert records(tmp_path / "copy") == records(root)


@pytest.mark.parametrize("late", [False, True])
def test_restore_leaves_a_whole_store_or_none_when_an_operation_fails(
    late, root, archive, tmp_path
):
    expected, failures = records(root), 0

    for files in until_it_passes(late=late, error=errno.ENOSPC):
        place = tmp_path / "copy"
        try:
            restore_into(files, Path("-"), io.BytesIO(archive).read, place)
        except OSError:
            failures += 1
        if place.exists():
            assert records(place) == expected
            shutil.rmtree(place)
        else:
            assert files.failed

    assert failures > 15


@pytest.mark.parametrize("empty", [False, True])
def test_restore_leaves_a_whole_store_or_none_when_it_crashes(empty, root, archive):
    place = Path("/home/copy")
    first = CrashingFiles()
    first.make_directory(place if empty else place.parent)
    files = first.crash(EVERYTHING)
    restore_into(files, Path("-"), io.BytesIO(archive).read, place)
    with vecstore.open(root, mode="r") as store:
        expected = store.ids()
    choices = [NOTHING, EVERYTHING, CONTENT, NAMES, *map(seeded, range(3))]
    seen, whole = set(), 0

    for _, medium in moments(files.image, files.journal):
        for choice in choices:
            crashed = medium.image(choice)
            if crashed.fingerprint() in seen:
                continue
            seen.add(crashed.fingerprint())
            found = CrashingFiles(crashed)
            if str(place / "CURRENT") in found.paths():
                writer = open_reader(
                    found, place, Wanted(StoreConfig(), None, None), full=True
                ).writer
                view = writer.view
                assert [view.names.id_of(s) for s in view.slots(2**40).tolist()] == expected
                whole += 1
            else:
                assert not [p for p in found.paths() if p.startswith(f"{place}/")]

    assert len(seen) > 30
    assert whole > 0


def test_restore_goes_through_when_one_before_it_crashed(archive):
    place = Path("/home/copy")
    first = CrashingFiles()
    first.make_directory(place.parent)
    files = first.crash(EVERYTHING)
    restore_into(files, Path("-"), io.BytesIO(archive).read, place)
    crashed = [medium.image(EVERYTHING) for _, medium in moments(files.image, files.journal)]

    for left_over in crashed[:: max(1, len(crashed) // 12)]:
        found = CrashingFiles(left_over)
        if str(place / "CURRENT") not in found.paths():
            restore_into(found, Path("-"), io.BytesIO(archive).read, place)
        names = {path for path in found.paths() if not path.startswith(f"{place}/")}
        assert names == {"/", "/home", str(place)}


def test_what_was_restored_and_what_was_backed_up_is_durable(archive):
    files = CrashingFiles()
    restore_into(files, Path("-"), io.BytesIO(archive).read, Path("/copy"))

    crashed = files.crash(NOTHING)
    write_backup(crashed, Path("/copy"), Path("/store.tar"), None)

    paths = crashed.crash(NOTHING).paths()
    assert paths["/store.tar"] == archive
    assert "/store.tar.partial" not in paths
