import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.storage.files_contract import FilesContract
from vecstore.errors import StoreLocked
from vecstore.storage.files import Files, SyncFailed

DESCRIPTORS = Path("/proc/self/fd")
HOLD_LOCK = """
import sys
from pathlib import Path
from vecstore.storage.files import Files

lock = Files().lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""
FORK = """
import os, sys
from pathlib import Path
from vecstore.storage.files import Files

files, root = Files(), Path(sys.argv[1])
lock, log = files.lock(root / "LOCK"), files.open(root / "log", create=True)
child = os.fork()
if child == 0:
    try:
        log.write(0, [b"from the child"])
    except OSError as error:
        os.write(1, b"refused: %a\\n" % str(error))
    sys.stdin.read()
    os._exit(0)
log.write(0, [b"from the parent"])
lock.release()
os.write(1, b"released\\n")
os.waitpid(child, 0)
"""
SYNCING = {
    "write_new": lambda path: Files().write_new(path, [b"x"]),
    "write_at": lambda path: Files().write_at(path, 0, [b"x"]),
    "sync_directory": lambda path: Files().sync_directory(path.parent),
    "sync": lambda path: sync_open(path),
}


def sync_open(path):
    file = Files().open(path)
    try:
        file.sync()
    finally:
        file.close()


def take_few_bytes(monkeypatch):
    pwrite, sizes = os.pwrite, []

    def short(descriptor, data, offset):
        sizes.append(pwrite(descriptor, memoryview(data)[:3], offset))
        return sizes[-1]

    monkeypatch.setattr(os, "pwrite", short)
    return sizes


def open_descriptors():
    return sorted(DESCRIPTORS.iterdir())


class TestFiles(FilesContract):
    @staticmethod
    def make(tmp_path):
        return Files(), tmp_path


def test_write_new_writes_every_byte_when_the_system_takes_three_at_a_time(tmp_path, monkeypatch):
    path = tmp_path / "file"
    sizes = take_few_bytes(monkeypatch)

    Files().write_new(path, [b"0123456", bytearray(b"789"), memoryview(b"ab")])

    assert path.read_bytes() == b"0123456789ab"
    assert len(sizes) == 5


def test_write_at_writes_every_byte_when_the_system_takes_three_at_a_time(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"................")
    take_few_bytes(monkeypatch)

    Files().write_at(path, 2, [b"01234567", b"89"])

    assert path.read_bytes() == b"..0123456789...."


def test_open_file_writes_every_byte_when_the_system_takes_three_at_a_time(tmp_path, monkeypatch):
    path, array = tmp_path / "file", np.arange(7, dtype=np.float64)
    file = Files().open(path, create=True)
    take_few_bytes(monkeypatch)

    file.write(2, [array.data, b"end"])

    file.close()
    assert path.read_bytes() == b"\0\0" + array.tobytes() + b"end"


@pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="lists descriptors in /proc")
@pytest.mark.parametrize("call", ["write_new", "write_at", "lock"])
def test_descriptor_is_closed_when_the_system_refuses(call, tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"ab")
    held = Files().lock(path) if call == "lock" else None
    before = open_descriptors()

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", refuse)
    with pytest.raises((OSError, StoreLocked)):
        {
            "write_new": lambda: Files().write_new(path, [b"x"]),
            "write_at": lambda: Files().write_at(path, 0, [b"x"]),
            "lock": lambda: Files().lock(path),
        }[call]()

    assert open_descriptors() == before
    if held:
        held.release()


@pytest.mark.parametrize("call", SYNCING)
def test_bytes_are_synced_before_the_call_returns_when_it_writes(call, tmp_path, monkeypatch):
    path, synced = tmp_path / "file", []
    path.write_bytes(b"ab")
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(
            os, name, lambda d, name=name: synced.append((name, os.fstat(d).st_ino))
        )

    SYNCING[call](path)

    target = tmp_path if call == "sync_directory" else path
    assert synced == [("fdatasync" if call == "sync" else "fsync", target.stat().st_ino)]


@pytest.mark.parametrize("call", SYNCING)
def test_failed_sync_is_told_from_other_errors_when_the_system_refuses(call, tmp_path, monkeypatch):
    def refuse(_):
        raise OSError(errno.EIO, "Input/output error")

    path = tmp_path / "file"
    path.write_bytes(b"ab")
    before = open_descriptors() if DESCRIPTORS.is_dir() else []
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, refuse)

    with pytest.raises(SyncFailed) as caught:
        SYNCING[call](path)

    assert caught.value.errno == errno.EIO
    assert (open_descriptors() if DESCRIPTORS.is_dir() else []) == before


def test_map_has_room_that_can_be_used_when_the_file_is_cut_behind_its_length(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 50_000)

    raw = Files().map(path, 5000, 40_000)
    os.truncate(path, 5000)
    raw[5000:] = 7

    assert raw.tobytes() == b"x" * 5000 + b"\7" * 35_000


@pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="reads the system's list of mounts")
def test_file_system_is_that_of_the_innermost_mount_when_mounts_are_nested():
    assert Files().file_system(Path("/proc/self")) == "proc"


def test_lock_is_refused_until_the_holder_dies_when_another_process_has_it(tmp_path):
    path = tmp_path / "LOCK"
    command = [sys.executable, "-c", HOLD_LOCK, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        try:
            assert holder.stdout.readline() == "held\n"

            with pytest.raises(StoreLocked, match=f"process {holder.pid}"):
                Files().lock(path)
        finally:
            holder.kill()

    Files().lock(path).release()


def test_child_neither_writes_nor_keeps_the_lock_when_a_process_forks(tmp_path):
    command = [sys.executable, "-c", FORK, str(tmp_path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        try:
            said = {parent.stdout.readline(), parent.stdout.readline()}

            Files().lock(tmp_path / "LOCK").release()
        finally:
            parent.communicate()  # ends the child's input, and with it the child

    assert said == {"refused: '[Errno 9] Bad file descriptor'\n", "released\n"}
    assert (tmp_path / "log").read_bytes() == b"from the parent"


def test_a_directory_counts_as_synced_when_its_file_system_cannot_do_it(tmp_path, monkeypatch):
    def refuse(descriptor):
        raise OSError(errno.EINVAL, "no fsync of directories here")

    monkeypatch.setattr(os, "fsync", refuse)

    Files().sync_directory(tmp_path)

    with pytest.raises(SyncFailed):
        Files().write_new(tmp_path / "file", [b"x"])


def test_lock_can_be_taken_when_an_attempt_before_failed_half_way(tmp_path, monkeypatch):
    def refuse(*given):
        raise OSError(errno.EIO, "cannot be read")

    before = len(list(DESCRIPTORS.iterdir()))
    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", refuse)
        with pytest.raises(OSError, match="cannot be read"):
            Files().lock(tmp_path / "LOCK")

    assert len(list(DESCRIPTORS.iterdir())) == before
    Files().lock(tmp_path / "LOCK").release()


def test_lock_is_in_doubt_unless_the_last_holder_settled_it(tmp_path):
    first = Files().lock(tmp_path / "LOCK")
    first.release()
    second = Files().lock(tmp_path / "LOCK")
    second.settle()

    with pytest.raises(StoreLocked, match="another process"):  # one that has not yet said which
        Files().lock(tmp_path / "LOCK")
    second.release()
    third = Files().lock(tmp_path / "LOCK")
    third.release()

    assert [lock.doubtful for lock in (first, second, third)] == [True, True, False]
