"""The crashing twin behaves as the real file system does, and goes on after a crash."""

import contextlib

import numpy as np
import pytest

from tests.storage.crashing import CrashingFiles
from tests.storage.disks import (
    HOME,
    NEW,
    OLD,
    create_unsynced,
    left,
    outcome,
    random_step,
    with_files,
    write_unsynced,
)
from tests.storage.failing import FailingFiles
from tests.storage.files_contract import FilesContract, tree
from tests.storage.medium import EVERYTHING, NOTHING, SECTOR
from vecstore.errors import StoreLocked
from vecstore.storage.files import Files, Lock, OpenFile


def public(kind):
    return {name for name in dir(kind) if not name.startswith("_")}


class TestCrashingFiles(FilesContract):
    @staticmethod
    def make(tmp_path):
        return with_files(), HOME


def test_every_method_is_in_memory_when_files_has_it():
    methods = {name for name in vars(Files) if not name.startswith("_")}

    assert methods <= set(vars(CrashingFiles))


def test_open_files_and_locks_have_every_method_when_the_real_ones_have_it():
    files = with_files(a=OLD)

    assert public(OpenFile) <= public(type(files.open(HOME / "a")))
    assert public(OpenFile) <= public(type(FailingFiles(inner=files).open(HOME / "a")))
    assert public(Lock) <= public(type(files.lock(HOME / "LOCK")))


@pytest.mark.parametrize("seed", range(40))
def test_random_operations_do_the_same_as_on_the_real_system(seed, tmp_path):
    rng, files = np.random.default_rng(seed), with_files()

    for _ in range(60):
        step = random_step(rng)

        assert outcome(step, files, HOME) == outcome(step, Files(), tmp_path)

    assert tree(files, HOME) == tree(Files(), tmp_path)
    assert left(files, EVERYTHING) == tree(Files(), tmp_path)
    assert files.journal


def test_map_refuses_what_would_end_the_process_when_the_file_is_too_short():
    files = with_files(a=OLD)

    with pytest.raises(AssertionError, match="beyond its end"):
        files.map(HOME / "a", len(OLD) + 1)


def test_crash_goes_on_from_what_is_left_when_the_next_crash_comes():
    files = with_files(a=OLD)
    write_unsynced(files, "a", 0, NEW)

    second = files.crash(EVERYTHING)
    write_unsynced(second, "a", 0, b"lost")
    create_unsynced(second, "b", b"")

    assert left(second, NOTHING) == {"a": NEW}
    assert second.image.paths() == {"/": None, "/home": None, "/home/a": NEW}
    assert set(left(second, EVERYTHING)) == {"a", "b"}


def test_whole_files_are_durable_when_they_were_written_in_one_call():
    files = with_files(a=OLD)
    files.write_new(HOME / "b", [NEW])
    files.write_at(HOME / "a", 0, [b"x"])
    files.sync_directory(HOME)

    assert left(files, NOTHING) == {"a": b"x" + OLD[1:], "b": NEW}


def test_lock_is_free_when_its_holder_crashed():
    files = with_files()
    files.lock(HOME / "LOCK")

    crashed = files.crash(EVERYTHING)

    with pytest.raises(StoreLocked):
        files.lock(HOME / "LOCK")
    crashed.lock(HOME / "LOCK").release()


def test_unsynced_sectors_are_gone_for_good_when_a_sync_lost_them():
    files = with_files(a=OLD)
    file = files.open(HOME / "a")
    file.write(len(OLD) - SECTOR, [NEW])
    file.lose(shows=False)
    lost = OLD + bytes(2 * SECTOR)

    assert files.read(HOME / "a", 9999) == lost
    assert left(files, NOTHING) == {"a": OLD}
    assert left(files, EVERYTHING) == {"a": lost}

    file.write(0, [b"x"])
    file.sync()
    file.close()

    assert left(files, NOTHING) == left(files, EVERYTHING) == {"a": b"x" + lost[1:]}


def test_lost_sectors_and_names_are_still_shown_when_the_system_calls_them_clean():
    files = with_files(a=OLD)
    with contextlib.closing(files.open(HOME / "a")) as file:
        file.write(0, [NEW])
        file.lose(shows=True)
        file.sync()
    files.replace(HOME / "a", HOME / "b")
    files.lose(HOME, shows=True)
    files.sync_directory(HOME)

    assert files.read(HOME / "b", len(NEW)) == NEW
    assert left(files, NOTHING) == left(files, EVERYTHING) == {"a": OLD}
