"""What a handle that only reads tells of a store on disk, whatever has become of it."""

import shutil

import numpy as np
import pytest

import vecstore
from tests.engine.repairs import SMALL, flip
from tests.storage.watching import opened_through
from vecstore.engine.checkup import check_store
from vecstore.storage.files import Files
from vecstore.storage.manifest import read_current


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """Write a store with a generation, and a call in its log."""
    root = tmp_path_factory.mktemp("report") / "store"
    with vecstore.open(root, metric="l2", config=SMALL) as store:
        store.upsert_many([f"r{i}" for i in range(20)], np.eye(20, 4))
        store.checkpoint()
        store.upsert("late", [1, 2, 3, 4])
    return root


@pytest.fixture
def root(pristine, tmp_path):
    return shutil.copytree(pristine, tmp_path / "store")


def reading(root):
    return vecstore.open(root, mode="r", config=SMALL)


def blamed(report):
    return {issue.path for issue in report.problems}


HARMS = {
    "flipped": lambda path: flip(path, 3),
    "nonsense": lambda path: path.write_bytes(b"nonsense"),
    "empty": lambda path: path.write_bytes(b""),
    "missing": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("name", ["CURRENT", "manifest"])
def test_a_damaged_current_or_manifest_is_reported_by_a_handle_that_reads(name, harm, root):
    with reading(root) as reader:
        (path,) = root.glob(f"{name}*")
        HARMS[harm](path)

        report = reader.verify()

        assert blamed(report) == {str(path)}
        assert not check_store(Files(), root, full=False).ok


def test_other_damage_is_reported_beside_a_damaged_current(root):
    with reading(root) as reader:
        paths = [root / "CURRENT", next(root.glob("ids-*")), next(root.glob("wal-*"))]
        flip(paths[0], 3)
        flip(paths[1], 300)
        flip(paths[2], 40)

        # and what is wrong in memory by now
        assert blamed(reader.verify()) - {str(root)} == {str(path) for path in paths}


def test_a_damaged_current_is_the_only_damage_when_a_writer_had_moved_on(root):
    with reading(root) as reader:
        with vecstore.open(root, config=SMALL) as writer:
            writer.upsert("more", [1, 2, 3, 4])
            writer.checkpoint()
        flip(root / "CURRENT", 3)

        # what the reader has is gone, and nobody misses it
        assert blamed(reader.verify()) == {str(root / "CURRENT")}


def test_all_is_reported_as_missing_when_the_store_is_gone(root, tmp_path):
    with reading(root) as reader:
        root.rename(tmp_path / "elsewhere")

        report = reader.verify()

        assert str(root / "CURRENT") in blamed(report)


class RottenFiles(Files):
    """A medium that cannot read CURRENT any more."""

    rotten = False

    def read(self, path, most, offset=0):
        if self.rotten and path.name == "CURRENT":
            raise OSError(5, "input/output error", str(path))
        return super().read(path, most, offset)


def test_a_current_that_cannot_be_read_is_reported(root):
    files = RottenFiles()
    with opened_through(files, root, mode="r", config=SMALL) as reader:
        files.rotten = True

        (problem,) = reader.verify().problems

    assert problem.path == str(root / "CURRENT")
    assert "cannot be read" in problem.text


class BusyFiles(Files):
    """A file system in which a writer makes a checkpoint whenever somebody begins with a log."""

    store = None
    times = 0

    def read(self, path, most, offset=0):
        if path.name.startswith("wal-") and self.times:
            self.times -= 1
            self.store.upsert(f"later{self.times}", [1, 2, 3, 4])
            self.store.checkpoint()
        return super().read(path, most, offset)


@pytest.mark.parametrize("times", [1, 4, 15])
def test_nothing_is_damaged_when_a_writer_moves_on_while_a_reader_looks(times, root):
    files = BusyFiles()
    with vecstore.open(root, config=SMALL) as writer:
        with opened_through(files, root, mode="r", config=SMALL) as reader:
            files.store, files.times = writer, times

            report = reader.verify()

        assert report.problems == ()
        assert files.times == 0
        assert read_current(Files(), root).generation == 2 + times
