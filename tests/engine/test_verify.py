"""Looking for damage: every damaged file is told, and not only the first; each once."""

import itertools
import shutil

import pytest

import vecstore
from tests.engine.repairs import flip
from tests.engine.test_recovery import HOW, failed_checkpoint, logged, logs
from tests.storage.failing import FailingFiles
from tests.storage.watching import let_go, opened_through
from vecstore.engine.verify import each_log_problem, file_problems, issue_of
from vecstore.errors import CorruptData, UnsupportedFormat
from vecstore.storage.file_names import log_name, log_number
from vecstore.storage.files import Files
from vecstore.storage.log_scan import LogScan
from vecstore.storage.manifest import read_current


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """Write a store whose calls are in four logs, as checkpoints leave them that fail."""
    root = tmp_path_factory.mktemp("verify") / "store"
    logged(root, 4, n_generations=2)
    assert len(logs(root)) == 4
    return root


@pytest.fixture
def root(pristine, tmp_path):
    return shutil.copytree(pristine, tmp_path / "store")


def problems(root, end=None):
    return list(file_problems(Files(), root, read_current(Files(), root), end))


def blamed(issues):
    return sorted(issue.path.removeprefix(f"{issue.path.rpartition('/')[0]}/") for issue in issues)


def durable_frame(path):
    """Say where a frame begins that others call durable."""
    frames = [piece.offset for piece in LogScan(Files(), path).pieces() if piece.sound]
    return frames[len(frames) // 2]


def cut_tail(path):
    """Take the last frames away: no frame that is left tells of them, but the next log does."""
    frames = [piece.offset for piece in LogScan(Files(), path).pieces() if piece.sound]
    path.write_bytes(path.read_bytes()[: frames[-2]])


HARMS = {
    "frame": lambda path: flip(path, durable_frame(path) + 40),
    "header": lambda path: flip(path, 40),
    "missing": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "cut": cut_tail,
    "emptied": lambda path: path.write_bytes(path.read_bytes()[:10]),
}
SUBSETS = [some for size in range(5) for some in itertools.combinations(range(4), size)]


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("damaged", SUBSETS, ids=str)
def test_every_damaged_log_is_told_and_no_other(damaged, harm, root):
    names = [logs(root)[place] for place in damaged]
    for name in names:
        HARMS[harm](root / name)

    found = blamed(problems(root))

    if harm == "missing":
        # a gap is told as its last file; where the last logs are gone, nobody can know
        left = [log_number(name) for name in logs(root)]
        gaps = [later - 1 for log, later in itertools.pairwise(left) if later > log + 1]
        assert found == [log_name(number) for number in [2] * (0 in damaged) + gaps]
    elif harm in ("cut", "emptied"):
        # of the last log nobody knows how long it was, or whether there was more than a name
        assert found == [name for name in names if name != log_name(5)]
    else:
        assert found == names


def test_damage_of_each_kind_is_told_at_once(root):
    first, second, third, last = (root / name for name in logs(root))
    cut_tail(second)
    flip(third, durable_frame(third) + 40)
    flip(last, 50)
    flip(first, 70)
    (ids,) = root.glob("ids-*")
    flip(ids, 300)

    issues = problems(root)

    assert blamed(issues) == sorted(path.name for path in (first, second, third, last, ids))
    assert len({issue.text for issue in issues}) > 2


def test_a_call_that_cannot_be_read_is_told_behind_a_damaged_log(root, monkeypatch):
    def decode(payload):
        raise ValueError("no call at all")

    flip(root / logs(root)[0], 40)
    monkeypatch.setattr("vecstore.engine.verify.decode", decode)

    assert [issue.offset for issue in problems(root)] == [20, 64, 64, 64]


@pytest.mark.parametrize("size", [0, 10, 64])
def test_a_log_that_was_only_just_begun_is_no_damage(size, root):
    first, *_, last = logs(root)
    raw = (root / last).read_bytes()[:64]
    begun = root / log_name(log_number(last) + 1)
    begun.write_bytes((b"?" * 64 if size == 64 else raw)[:size])
    assert problems(root) == []

    flip(root / first, 40)

    assert blamed(problems(root)) == [first]


def test_the_writing_handle_tells_every_damaged_log_but_none_behind_its_own(root):
    with let_go(vecstore.open(root, **HOW)) as store:
        store.upsert("more", [1, 2, 3, 4])
        own = logs(root)[-1]
        (root / log_name(log_number(own) + 1)).write_bytes(b"of an attempt that failed")
        assert store.verify().ok
        damaged = [logs(root)[0], logs(root)[2], own]
        for name in damaged:
            flip(root / name, 70)

        report = store.verify()

        assert blamed(report.problems) == damaged


def test_the_writing_handle_knows_how_long_its_log_is_behind_a_damaged_one(root):
    with let_go(vecstore.open(root, **HOW)) as store:
        store.upsert("more", [1, 2, 3, 4])
        first, *_, own = logs(root)
        flip(root / first, 40)
        cut_tail(root / own)

        report = store.verify()

        assert blamed(report.problems) == [first, own]


@pytest.mark.parametrize("harm", ["header", "missing", "a folder"])
def test_the_writing_handle_tells_of_its_log_before_any_call_is_in_it(harm, root):
    files = FailingFiles()
    with let_go(opened_through(files, root, **HOW)) as store:
        failed_checkpoint(store, files)
        assert store.verify().ok
        own = logs(root)[-1]
        assert (root / own).stat().st_size == 64
        HARMS[harm](root / own)

        report = store.verify()

        assert blamed(report.problems) == [own]


def test_each_log_is_checked_for_itself_when_there_is_no_manifest(root):
    names = logs(root)
    flip(root / names[1], 70)
    flip(root / names[3], 40)

    assert blamed(each_log_problem(Files(), root, 1)) == [names[1], names[3]]
    assert blamed(each_log_problem(Files(), root, log_number(names[2]))) == [names[3]]


def test_nothing_raises_when_the_directory_is_gone(root, tmp_path):
    manifest = read_current(Files(), root)
    root.rename(tmp_path / "elsewhere")

    found = [issue.path for issue in file_problems(Files(), root, manifest)]

    assert found[0] == str(root / "CURRENT")
    assert {str(root / entry.name) for entry in manifest.files.values()} <= set(found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (CorruptData("file", 7, "a page"), ("file", 7, "a page")),
        (UnsupportedFormat("file", 9, 1), ("file", 0, "format version 9")),
        (OSError(5, "a bad page", "file"), ("file", 0, "cannot be read: a bad page")),
        (OSError(5, "a bad page"), ("looked at", 0, "cannot be read: a bad page")),
    ],
)
def test_what_was_raised_becomes_what_is_told(error, told):
    issue = issue_of("looked at", error)

    assert (issue.path, issue.offset) == told[:2]
    assert told[2] in issue.text
