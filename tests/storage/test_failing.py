"""The failing twin: it fails when told to, as told to, and is the system itself otherwise."""

import contextlib
import errno
from pathlib import Path

import pytest

from tests.storage.crashing import CrashingFiles
from tests.storage.failing import GROWING, OPERATIONS, READS, FailingFiles, until_it_passes
from tests.storage.files_contract import FilesContract, carry_out, tree
from tests.storage.medium import EVERYTHING, NOTHING
from vecstore.storage.files import Files, SyncFailed

DESCRIPTORS = Path("/proc/self/fd")
HOME = Path("/home")
CALLS = {
    "make_directory": ("dir",),
    "write_new": ("new",),
    "write_at": ("file",),
    "create": ("new",),
    "open": ("file",),
    "link": ("file", "new"),
    "replace": ("file", "new"),
    "remove": ("file",),
    "remove_directory": ("empty",),
    "map": ("other",),
    "names": ("empty",),
    "size": ("file",),
    "read": ("file",),
    "blocks": ("file",),
    "usage": ("file",),
    "sync_directory": ("empty",),
}


def prepared(**settings):
    """Make a failing file system in memory with something in it; nothing is counted so far."""
    files = CrashingFiles()
    files.make_directory(HOME)
    files.make_directory(HOME / "empty")
    files.write_new(HOME / "file", [b"0123456789"])
    files.write_new(HOME / "other", [b"0123456789"])
    files.sync_directory(HOME)
    return FailingFiles(inner=files, **settings)


def call_of(files, name):
    return carry_out(files, name, *(HOME / path for path in CALLS[name]))


def write_by_hand(files, path, offset, chunks):
    with contextlib.closing(files.open(path)) as file:
        file.write(offset, chunks)
        file.sync()


class TestFailingFiles(FilesContract):
    @staticmethod
    def make(tmp_path):
        return FailingFiles(), tmp_path


class TestFailingCrashingFiles(FilesContract):
    @staticmethod
    def make(tmp_path):
        files = FailingFiles(inner=CrashingFiles(), counted=OPERATIONS + READS)
        files.make_directory(HOME)
        return files, HOME


def test_every_method_can_fail_when_files_has_it():
    methods = {name for name in vars(Files) if not name.startswith("_")}

    assert methods <= set(vars(FailingFiles))
    # locks fail by StoreLocked, and naming the file system never does
    assert methods - {"lock", "file_system"} <= {*OPERATIONS, *READS}
    assert set(CALLS) | {"write", "resize", "sync"} == {*OPERATIONS, *READS}


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC, errno.EINTR])
@pytest.mark.parametrize("name", CALLS)
def test_operation_has_no_effect_when_it_fails(name, error):
    files = prepared(at=0, error=error, counted=OPERATIONS + READS)
    before = tree(files.inner, HOME)

    with pytest.raises(OSError, match=f"{name} failed") as caught:
        call_of(files, name)

    assert caught.value.errno == error
    assert isinstance(caught.value, SyncFailed) == (name == "sync_directory")
    assert tree(files.inner, HOME) == before
    assert files.done == [(name, CALLS[name][0])]
    call_of(files, name)  # once only


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("make_directory", {"dir": {}}),
        ("write_new", {"new": b"01234"}),
        ("write_at", {"file": b"0120123489"}),
        ("create", {"new": b""}),
        ("link", {"new": b"0123456789"}),
        ("replace", {"file": None, "new": b"0123456789"}),
        ("remove", {"file": None}),
        ("remove_directory", {"empty": None}),
    ],
)
def test_operation_takes_effect_when_it_fails_late(name, left):
    files = prepared(at=0, late=True)
    wanted = tree(files.inner, HOME) | left

    with pytest.raises(OSError, match=f"{name} failed"):
        call_of(files, name)

    assert tree(files.inner, HOME) == {n: data for n, data in wanted.items() if data is not None}
    assert files.failed


@pytest.mark.parametrize(("taken", "left"), [(0.0, b""), (0.5, b"01"), (1.0, b"01234")])
def test_write_takes_its_share_of_the_bytes_when_it_fails_late(taken, left):
    files = prepared(at=1, late=True, taken=taken)
    file = files.open(HOME / "new", create=True)

    with pytest.raises(OSError, match="write failed"):
        file.write(0, [b"012", b"34"])

    file.close()
    assert tree(files, HOME)["new"] == left


@pytest.mark.parametrize(
    ("at", "late", "done", "left"),
    [
        (0, False, ["create"], None),
        (1, False, ["create", "write"], b""),
        (1, True, ["create", "write"], b"012"),
        (2, False, ["create", "write", "resize"], b"012345"),
        (2, True, ["create", "write", "resize"], b"0123"),
        (3, False, ["create", "write", "resize", "sync"], b"0123"),
        (None, False, ["create", "write", "resize", "sync"], b"0123"),
    ],
)
def test_open_file_fails_at_its_own_operations_when_it_is_their_turn(at, late, done, left):
    files = prepared(at=at, late=late)
    expected = contextlib.nullcontext() if at is None else pytest.raises(OSError, match=done[-1])

    with expected, contextlib.closing(files.open(HOME / "new", create=True)) as file:
        file.write(0, [b"012", b"345"])
        file.resize(4)
        file.sync()

    assert files.done == [(name, "new") for name in done]
    assert tree(files.inner, HOME).get("new") == left


@pytest.mark.parametrize(
    ("late", "loses", "cached", "durable"),
    [
        (False, False, b"x123456789", b"0123456789"),
        (True, False, b"x123456789", b"x123456789"),
        (False, True, b"0123456789", b"0123456789"),
    ],
)
@pytest.mark.parametrize(("write", "at"), [(FailingFiles.write_at, 1), (write_by_hand, 2)])
def test_sync_drops_the_pages_only_when_told_so(write, at, late, loses, cached, durable):
    files = prepared(at=at, late=late, loses=loses)

    with pytest.raises(SyncFailed) as caught:
        write(files, HOME / "file", 0, [b"x"])

    assert caught.value.errno == errno.EIO
    assert files.done[-1] == ("sync", "file")
    assert files.read(HOME / "file", 99) == cached
    assert tree(files.inner.crash(NOTHING), HOME)["file"] == durable
    file = files.open(HOME / "file")
    file.sync()  # succeeds, and proves nothing
    file.close()
    assert tree(files.inner.crash(NOTHING), HOME)["file"] == cached


@pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="lists descriptors in /proc")
@pytest.mark.parametrize("at", range(5))
def test_no_descriptor_is_left_when_an_operation_fails_late(at, tmp_path):
    before = sorted(DESCRIPTORS.iterdir())
    files = FailingFiles(at, late=True)

    with contextlib.suppress(OSError):
        files.write_new(tmp_path / "file", [b"x"])
        files.write_at(tmp_path / "file", 0, [b"x"])
        files.open(tmp_path / "file", create=True)

    assert files.failed
    assert sorted(DESCRIPTORS.iterdir()) == before


@pytest.mark.parametrize("late", [False, True])
def test_everything_fails_when_the_system_is_dead(late):
    files = prepared(at=1, dead=True)

    files.remove(HOME / "file")
    files.late = late
    with contextlib.suppress(OSError):
        files.remove(HOME / "gone")

    for _ in range(3):
        with pytest.raises(OSError, match="remove failed"):
            files.remove(HOME / "other")
    assert tree(files.inner.crash(EVERYTHING), HOME) == {"empty": {}, "other": b"0123456789"}


def test_only_what_needs_room_fails_when_the_medium_is_full():
    files = prepared(at=0, dead=True, error=errno.ENOSPC, counted=GROWING)
    file = files.open(HOME / "file")

    for call in (
        lambda: file.write(0, [b"x"]),
        lambda: files.write_new(HOME / "new", [b"x"]),
        lambda: files.link(HOME / "file", HOME / "new"),
    ):
        with pytest.raises(OSError, match="No space left"):
            call()
    file.sync()
    file.close()
    files.remove(HOME / "file")
    files.replace(HOME / "other", HOME / "file")
    files.sync_directory(HOME)
    files.at = None
    files.write_new(HOME / "new", [b"x"])

    assert tree(files, HOME) == {"empty": {}, "file": b"0123456789", "new": b"x"}


def test_later_operations_fail_when_told_so_in_the_middle():
    files = prepared()
    files.remove(HOME / "missing")

    files.fail_after(1, late=True)
    files.remove(HOME / "missing")
    with pytest.raises(OSError, match="remove failed"):
        files.remove(HOME / "file")

    assert tree(files, HOME) == {"empty": {}, "other": b"0123456789"}


def test_until_it_passes_fails_at_each_operation_once_when_a_workload_has_three():
    ends = []

    for files in until_it_passes(CrashingFiles, error=errno.ENOSPC):
        try:
            files.make_directory(HOME)
            files.write_new(HOME / "file", [b"x"])
        except OSError as error:
            ends.append((files.done[-1][0], error.errno))
        else:
            ends.append("passed")

    assert ends == [(name, 28) for name in ("make_directory", "write_new", "sync")] + ["passed"]


def test_until_it_passes_gives_up_when_a_workload_never_ends():
    def attempts():
        for files in until_it_passes(CrashingFiles, most=9):
            with contextlib.suppress(OSError):
                while True:
                    files.sync_directory(Path("/"))
            yield files.at

    endless = attempts()

    assert [next(endless) for _ in range(9)] == list(range(9))
    with pytest.raises(AssertionError, match="9 operations"):
        next(endless)
