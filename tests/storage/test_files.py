import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vecstore.errors import StoreLocked
from vecstore.storage.files import Files

DESCRIPTORS = Path("/proc/self/fd")
HOLD_LOCK = """
import sys
from pathlib import Path
from vecstore.storage.files import Files

lock = Files().lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def take_few_bytes(monkeypatch):
    pwrite, sizes = os.pwrite, []

    def short(descriptor, data, offset):
        sizes.append(pwrite(descriptor, memoryview(data)[:3], offset))
        return sizes[-1]

    monkeypatch.setattr(os, "pwrite", short)
    return sizes


def open_descriptors():
    return sorted(DESCRIPTORS.iterdir())


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


def test_write_new_takes_arrays_of_any_item_size_when_writes_are_short(tmp_path, monkeypatch):
    path, array = tmp_path / "file", np.arange(7, dtype=np.float64)
    take_few_bytes(monkeypatch)

    Files().write_new(path, [array.data])

    assert path.read_bytes() == array.tobytes()


def test_write_new_empties_the_file_when_it_exists(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"something longer")

    Files().write_new(path, [b"new"])

    assert path.read_bytes() == b"new"


def test_write_at_extends_the_file_when_it_writes_past_the_end(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"ab")

    Files().write_at(path, 4, [b"cd"])

    assert path.read_bytes() == b"ab\0\0cd"


def test_write_at_creates_nothing_when_the_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        Files().write_at(tmp_path / "file", 0, [b"ab"])

    assert list(tmp_path.iterdir()) == []


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


@pytest.mark.parametrize("call", ["write_new", "write_at", "sync_directory"])
def test_bytes_are_synced_before_the_call_returns_when_it_writes(call, tmp_path, monkeypatch):
    path, synced = tmp_path / "file", []
    path.write_bytes(b"ab")
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda d: (synced.append(os.fstat(d).st_ino), fsync(d)))

    {
        "write_new": lambda: Files().write_new(path, [b"x"]),
        "write_at": lambda: Files().write_at(path, 0, [b"x"]),
        "sync_directory": lambda: Files().sync_directory(tmp_path),
    }[call]()

    target = tmp_path if call == "sync_directory" else path
    assert synced == [target.stat().st_ino]


@pytest.mark.parametrize("offset", [0, 3, 10, 99])
def test_read_gives_what_there_is_when_the_file_ends(offset, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")

    assert Files().read(path, 4, offset) == b"0123456789"[offset : offset + 4]


@pytest.mark.parametrize("length", [0, 1, 4, 8, 10, 99])
def test_blocks_cover_just_the_length_when_the_file_is_longer_or_shorter(length, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")

    blocks = list(Files().blocks(path, length, 4))

    assert b"".join(blocks) == b"0123456789"[:length]
    assert all(len(block) == 4 for block in blocks[:-1])
    assert b"" not in blocks


def test_map_leaves_the_file_alone_when_it_is_written_to(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(100)) * 100)
    files = Files()
    first, second = files.map(path, 10_000), files.map(path, 5_000)

    first[:] = 255

    assert first.flags.writeable
    assert path.read_bytes() == bytes(range(100)) * 100
    assert second.tobytes() == bytes(range(100)) * 50


def test_map_keeps_its_bytes_when_the_file_is_removed(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    files = Files()

    raw = files.map(path, 10)
    files.remove(path)

    assert raw.tobytes() == b"0123456789"


def test_map_begins_on_a_page_when_its_length_is_odd(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")

    assert Files().map(path, 7).ctypes.data % 4096 == 0


def test_names_are_sorted_when_a_directory_is_listed(tmp_path):
    for name in ("b", "a", "c"):
        (tmp_path / name).touch()

    assert Files().names(tmp_path) == ["a", "b", "c"]


def test_make_directory_keeps_the_content_when_it_exists(tmp_path):
    deep = tmp_path / "a" / "b"
    Files().make_directory(deep)
    (deep / "file").touch()

    Files().make_directory(deep)

    assert (deep / "file").exists()


def test_resize_keeps_the_bytes_and_adds_zeros_when_it_extends(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123")

    Files().resize(path, 6)
    Files().resize(path, 5)

    assert path.read_bytes() == b"0123\0"


def test_replace_puts_one_file_in_the_place_of_another_when_both_exist(tmp_path):
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"new")
    target.write_bytes(b"old")

    Files().replace(source, target)

    assert target.read_bytes() == b"new"
    assert not source.exists()


def test_remove_does_nothing_when_the_file_is_missing(tmp_path):
    Files().remove(tmp_path / "file")

    assert list(tmp_path.iterdir()) == []


def test_lock_excludes_a_second_holder_when_it_is_in_the_same_process(tmp_path):
    path = tmp_path / "LOCK"
    lock = Files().lock(path)

    with pytest.raises(StoreLocked, match=f"process {os.getpid()}") as caught:
        Files().lock(path)

    assert caught.value.path == tmp_path
    lock.release()


def test_lock_can_be_taken_again_when_it_was_released(tmp_path):
    path = tmp_path / "LOCK"
    first = Files().lock(path)
    first.release()
    second = Files().lock(path)

    first.release()  # a second release must not free what others hold

    with pytest.raises(StoreLocked):
        Files().lock(path)
    second.release()


def test_lock_names_only_the_present_holder_when_an_older_text_was_longer(tmp_path):
    path = tmp_path / "LOCK"
    path.write_bytes(b"process 123456789012345678901234567890\n")

    Files().lock(path).release()

    assert path.read_bytes() == b"process %d\n" % os.getpid()


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
