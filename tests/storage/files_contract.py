"""What every file system promises, the real one and its twins; each test class inherits it."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from vecstore.errors import StoreLocked
from vecstore.storage.descriptors import CLOSED

DIGITS = b"0123456789"
MISSING, FILE, DIRECTORY, FULL, BELOW = (Path(n) for n in ("no", "file", "dir", "full", "file/x"))
NEW, BESIDE, INSIDE = (Path(name) for name in ("new", "full/file", "full/inner"))

# what is called with which paths, and what the system then says
REFUSALS = [
    (call, paths, number)
    for number, calls in {
        errno.ENOENT: {
            "names size read blocks write_at open map usage sync_directory": [(MISSING,)],
            "write_new create lock": [(MISSING / "x",)],
            "replace link": [(MISSING, NEW), (FILE, MISSING / "x")],
        },
        errno.ENOTDIR: {
            "names": [(FILE,), (BELOW,)],
            "size read blocks write_at open map usage sync_directory": [(BELOW,)],
            "write_new create lock remove": [(BELOW,)],
            "remove_directory": [(FILE,), (BELOW,)],
            "replace": [(BELOW, NEW), (FILE, BELOW), (DIRECTORY, FILE)],
            "link": [(BELOW, NEW), (FILE, BELOW)],
        },
        errno.EISDIR: {
            "size read blocks write_new write_at open create lock remove": [(DIRECTORY,), (FULL,)],
            "replace": [(FILE, DIRECTORY), (FILE, FULL)],
        },
        errno.EEXIST: {
            "make_directory": [(FILE,), (BELOW,)],
            "link": [(FILE, FILE), (FILE, BESIDE), (FILE, DIRECTORY), (DIRECTORY, FILE)],
        },
        errno.ENOTEMPTY: {"remove_directory": [(FULL,)], "replace": [(DIRECTORY, FULL)]},
        errno.EINVAL: {"replace": [(FULL, INSIDE / "deeper")], "map": [(FILE,)]},
        errno.ENODEV: {"map": [(DIRECTORY,)]},
        errno.EPERM: {"link": [(DIRECTORY, NEW)]},
    }.items()
    for names, listed in calls.items()
    for call in names.split()
    for paths in listed
]


def carry_out(files, call, *paths):
    """Call a method with the given paths and some arguments."""
    length = 0 if paths[0].name == "file" else 1
    special = {
        "read": lambda: files.read(*paths, 5),
        "blocks": lambda: list(files.blocks(*paths, 5)),
        "write_new": lambda: files.write_new(*paths, [DIGITS]),
        "write_at": lambda: files.write_at(*paths, 3, [DIGITS]),
        "open": lambda: files.open(*paths).close(),
        "create": lambda: files.open(*paths, create=True).close(),
        "map": lambda: files.map(*paths, length),
        "lock": lambda: files.lock(*paths).release(),
    }
    return special.get(call, lambda: getattr(files, call)(*paths))()


def tree(files, path):
    """List what is under a directory, with the bytes of each file."""
    found = {}
    for name in files.names(path):
        try:
            found[name] = files.read(path / name, files.size(path / name))
        except IsADirectoryError:
            found[name] = tree(files, path / name)
    return found


class FilesContract:
    """
    Tests of one file system.

    A subclass has `make(tmp_path)`, which gives the file system and an empty directory in it.
    """

    @staticmethod
    def make(tmp_path):
        raise NotImplementedError

    @pytest.fixture
    def place(self, tmp_path):
        return self.make(tmp_path)

    @pytest.fixture
    def files(self, place):
        return place[0]

    @pytest.fixture
    def base(self, place):
        return place[1]

    # ---- whole files

    def test_write_new_takes_any_bytes_when_they_come_in_pieces(self, files, base):
        array = np.arange(3, dtype=np.float64)
        pieces = [b"0123", bytearray(b"45"), b"", memoryview(b"6789"), array.data]

        files.write_new(base / "file", iter(pieces))

        assert tree(files, base) == {"file": DIGITS + array.tobytes()}

    @pytest.mark.parametrize("chunks", [[], [b""], [b"new"]])
    def test_write_new_empties_the_file_when_it_exists(self, files, base, chunks):
        files.write_new(base / "file", [DIGITS])

        files.write_new(base / "file", chunks)

        assert tree(files, base) == {"file": b"".join(chunks)}

    @pytest.mark.parametrize("offset", [0, 4, 10, 12])
    def test_write_at_keeps_the_other_bytes_when_it_writes_anywhere(self, files, base, offset):
        files.write_new(base / "file", [DIGITS])

        files.write_at(base / "file", offset, [b"a", b"bc"])

        before = DIGITS[:offset].ljust(offset, b"\0")
        assert tree(files, base) == {"file": before + b"abc" + DIGITS[offset + 3 :]}

    @pytest.mark.parametrize("offset", [0, 3, 10, 99])
    @pytest.mark.parametrize("most", [0, 4, 99])
    def test_read_gives_what_there_is_when_the_file_ends(self, files, base, offset, most):
        files.write_new(base / "file", [DIGITS])

        assert files.read(base / "file", most, offset) == DIGITS[offset : offset + most]

    @pytest.mark.parametrize("length", [0, 1, 4, 8, 10, 99])
    def test_blocks_cover_just_the_length_when_the_file_has_another(self, files, base, length):
        files.write_new(base / "file", [DIGITS])

        blocks = list(files.blocks(base / "file", length, 4))

        assert b"".join(blocks) == DIGITS[:length]
        assert all(len(block) == 4 for block in blocks[:-1])
        assert b"" not in blocks

    def test_usage_counts_size_and_links_when_a_file_is_named_twice(self, files, base):
        files.write_new(base / "file", [b"x" * 9000])
        files.link(base / "file", base / "again")

        usage = files.usage(base / "again")

        assert (usage.size, usage.links) == (9000, 2)
        assert 9000 <= usage.allocated <= 65536
        files.remove(base / "file")
        assert files.usage(base / "again").links == 1

    def test_usage_counts_no_holes_when_a_file_was_extended(self, files, base):
        file = files.open(base / "file", create=True)
        file.resize(1 << 22)
        file.sync()
        file.close()

        usage = files.usage(base / "file")

        assert usage.size == files.size(base / "file") == 1 << 22
        assert usage.allocated < 1 << 20

    def test_file_system_has_a_name_when_the_directory_is_local(self, files, base):
        assert files.file_system(base) not in ("", "nfs", "cifs")

    # ---- maps

    @pytest.mark.parametrize("length", [0, 1, 4096, 5000, 9999])
    @pytest.mark.parametrize("capacity", [0, 1, 4097, 20_000])
    def test_map_has_zeros_behind_the_length_when_there_is_room(
        self, files, base, length, capacity
    ):
        data = bytes(range(1, 251)) * 40
        files.write_new(base / "file", [data])
        if length == capacity == 0:
            return

        raw = files.map(base / "file", length, capacity)

        assert raw.dtype == np.uint8
        assert raw.tobytes() == data[:length].ljust(max(length, capacity), b"\0")
        assert raw.ctypes.data % 4096 == 0

    def test_map_leaves_the_file_alone_when_it_is_written_to(self, files, base):
        files.write_new(base / "file", [DIGITS * 1000])
        first, second = files.map(base / "file", 10_000, 20_000), files.map(base / "file", 5_000)

        first[:] = 255

        assert first.flags.writeable
        assert tree(files, base) == {"file": DIGITS * 1000}
        assert second.tobytes() == DIGITS * 500

    def test_map_keeps_its_bytes_when_the_file_is_removed(self, files, base):
        files.write_new(base / "file", [DIGITS])

        raw = files.map(base / "file", 10)
        files.remove(base / "file")

        assert raw.tobytes() == DIGITS

    # ---- open files

    def test_open_file_takes_writes_anywhere_when_it_stays_open(self, files, base):
        file = files.open(base / "file", create=True)
        file.write(5, [b"56", bytearray(b"789")])
        file.write(0, [b"", DIGITS[:4]])
        file.sync()
        file.write(1, iter([b"b"]))
        file.write(99, [b""])

        assert tree(files, base) == {"file": b"0b23\x0056789"}
        assert file.number > 0
        file.close()

    def test_hurry_changes_nothing_when_bytes_wait_to_be_written(self, files, base):
        file = files.open(base / "file", create=True)
        file.write(0, [DIGITS])

        file.hurry(0, 9999)

        assert tree(files, base) == {"file": DIGITS}
        file.close()

    @pytest.mark.parametrize("create", [False, True])
    def test_open_keeps_the_bytes_when_it_is_not_to_create(self, files, base, create):
        files.write_new(base / "file", [DIGITS])

        files.open(base / "file", create=create).close()

        assert tree(files, base) == {"file": b"" if create else DIGITS}

    @pytest.mark.parametrize("length", [0, 3, 10, 700])
    def test_resize_keeps_the_bytes_and_adds_zeros_when_it_extends(self, files, base, length):
        files.write_new(base / "file", [DIGITS])
        file = files.open(base / "file")

        file.resize(length)
        file.resize(900)

        assert tree(files, base) == {"file": DIGITS[:length].ljust(900, b"\0")}
        file.close()

    def test_open_file_refuses_everything_when_it_was_closed(self, files, base):
        file = files.open(base / "file", create=True)
        file.close()
        file.close()

        for call in (lambda: file.write(0, [DIGITS]), lambda: file.resize(5)):
            with pytest.raises(OSError, match="Bad file descriptor"):
                call()
        with pytest.raises((OSError, ValueError)):  # Python itself refuses to sync such a number
            file.sync()
        assert file.number == CLOSED
        assert tree(files, base) == {"file": b""}

    def test_open_file_refuses_places_before_the_file_when_it_writes(self, files, base):
        file = files.open(base / "file", create=True)

        for call in (lambda: file.write(-1, [DIGITS]), lambda: file.resize(-1)):
            with pytest.raises(OSError) as caught:
                call()
            assert caught.value.errno == errno.EINVAL
        file.close()

    def test_open_file_is_written_to_when_its_name_is_gone(self, files, base):
        file = files.open(base / "a", create=True)
        files.link(base / "a", base / "b")
        files.replace(base / "a", base / "c")
        files.remove(base / "c")

        file.write(0, [DIGITS])

        assert tree(files, base) == {"b": DIGITS}
        file.close()

    # ---- names

    def test_names_are_sorted_when_a_directory_is_listed(self, files, base):
        for name in ("b", "a", "c"):
            files.write_new(base / name, [])
        files.make_directory(base / "aa")

        assert files.names(base) == ["a", "aa", "b", "c"]

    def test_make_directory_makes_parents_and_keeps_the_content_when_it_exists(self, files, base):
        files.make_directory(base / "a" / "b")
        files.write_new(base / "a" / "b" / "file", [DIGITS])

        files.make_directory(base / "a" / "b")

        assert tree(files, base) == {"a": {"b": {"file": DIGITS}}}

    def test_replace_puts_one_file_in_the_place_of_another_when_both_exist(self, files, base):
        files.write_new(base / "a", [b"new"])
        files.write_new(base / "b", [b"old"])

        files.replace(base / "a", base / "b")

        assert tree(files, base) == {"b": b"new"}

    def test_replace_moves_a_directory_with_all_that_is_in_it(self, files, base):
        files.make_directory(base / "a" / "inner")
        files.make_directory(base / "empty")
        files.write_new(base / "a" / "inner" / "file", [DIGITS])

        files.replace(base / "a", base / "b")
        files.replace(base / "b" / "inner", base / "empty")

        assert tree(files, base) == {"b": {}, "empty": {"file": DIGITS}}

    def test_replace_leaves_both_names_when_they_name_one_file(self, files, base):
        files.write_new(base / "a", [DIGITS])
        files.link(base / "a", base / "b")

        files.replace(base / "a", base / "b")

        assert files.names(base) == ["a", "b"]

    def test_link_shows_the_same_bytes_when_either_name_is_written_to(self, files, base):
        files.write_new(base / "a", [DIGITS])
        files.link(base / "a", base / "b")

        files.write_at(base / "b", 0, [b"x"])
        files.write_new(base / "c", [b"apart"])
        files.replace(base / "c", base / "a")

        assert tree(files, base) == {"a": b"apart", "b": b"x123456789"}

    def test_removing_does_nothing_when_there_is_nothing(self, files, base):
        files.write_new(base / "file", [DIGITS])

        files.remove(base / "missing")
        files.remove(base / "missing" / "below")
        files.remove_directory(base / "missing")

        assert tree(files, base) == {"file": DIGITS}

    def test_directory_goes_when_it_is_empty(self, files, base):
        files.make_directory(base / "a")
        files.write_new(base / "a" / "file", [DIGITS])
        files.remove(base / "a" / "file")
        files.sync_directory(base / "a")

        files.remove_directory(base / "a")

        assert tree(files, base) == {}

    @pytest.mark.parametrize(("call", "paths", "number"), REFUSALS)
    def test_error_is_the_systems_and_nothing_changes_when_a_path_will_not_do(
        self, files, base, call, paths, number
    ):
        files.write_new(base / FILE, [DIGITS])
        files.make_directory(base / DIRECTORY)
        files.make_directory(base / INSIDE)
        files.write_new(base / BESIDE, [DIGITS])
        before = tree(files, base)

        with pytest.raises(OSError) as caught:
            carry_out(files, call, *(base / path for path in paths))

        assert caught.value.errno == number
        assert tree(files, base) == before

    # ---- locks

    def test_lock_excludes_a_second_holder_when_it_is_in_the_same_process(self, files, base):
        lock = files.lock(base / "LOCK")

        with pytest.raises(StoreLocked, match=f"process {os.getpid()}") as caught:
            files.lock(base / "LOCK")

        assert caught.value.path == base
        lock.release()

    def test_lock_can_be_taken_again_when_it_was_released(self, files, base):
        first = files.lock(base / "LOCK")
        first.release()
        second = files.lock(base / "LOCK")

        first.release()  # a second release must not free what others hold

        with pytest.raises(StoreLocked):
            files.lock(base / "LOCK")
        second.release()

    def test_lock_names_only_the_present_holder_when_an_older_text_was_longer(self, files, base):
        files.write_new(base / "LOCK", [b"process 123456789012345678901234567890\n"])

        files.lock(base / "LOCK").release()

        assert tree(files, base) == {"LOCK": b"process %d\n" % os.getpid()}
