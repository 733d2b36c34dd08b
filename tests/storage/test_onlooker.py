"""Looking at what CURRENT names, while a writer moves on or something is damaged."""

import dataclasses
import itertools

import pytest

from tests.storage.test_manifest import WHOLE, publish
from vecstore.errors import CorruptData, InvalidInput
from vecstore.storage import onlooker
from vecstore.storage.files import Files
from vecstore.storage.onlooker import look_again

FEWEST, MOST = 3, 20
FAILURES = [CorruptData, FileNotFoundError]


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(onlooker, "_PAUSE_S", 0)
    return write(tmp_path, 1)


def write(root, generation):
    publish(Files(), root, dataclasses.replace(WHOLE, generation=generation))
    return root


def failure(kind, path):
    return kind(path, 5, "a page") if kind is CorruptData else kind(2, "no such file", str(path))


def looked(root, *, fails, moves=lambda number: False, kind=CorruptData):
    """Look; the nth look fails, and the writer moves on behind it, where these say so."""
    seen = []

    def look(manifest):
        seen.append(manifest.generation)
        number = len(seen)
        if moves(number):
            write(root, number + 1)
        if fails(number):
            raise failure(kind, root / f"ids-{number}")
        return f"look {number}"

    try:
        return look_again(Files(), root, look), seen
    except CorruptData as exc:
        return exc, seen


def test_one_look_is_enough_when_it_goes_well(root):
    assert looked(root, fails=lambda number: False, moves=lambda number: True) == ("look 1", [1])


@pytest.mark.parametrize("kind", FAILURES)
@pytest.mark.parametrize("times", [1, 2, 3, 9, MOST - 1])
def test_what_current_names_next_is_looked_at_when_a_writer_moves_on_between_looks(
    times, kind, root
):
    busy = times.__ge__

    found, seen = looked(root, fails=busy, moves=busy, kind=kind)

    assert found == f"look {times + 1}"
    assert seen == list(range(1, times + 2))


@pytest.mark.parametrize("times", [1, FEWEST - 1])
def test_the_same_is_looked_at_again_when_a_writer_was_in_the_middle_of_something(times, root):
    assert looked(root, fails=times.__ge__) == (f"look {times + 1}", [1] * (times + 1))


@pytest.mark.parametrize("moved", [0, 1, 4])
@pytest.mark.parametrize("kind", FAILURES)
def test_damage_is_told_when_it_stays_and_so_does_current(kind, moved, root):
    found, seen = looked(root, fails=lambda number: True, moves=moved.__ge__, kind=kind)

    assert isinstance(found, CorruptData)
    assert len(seen) == max(FEWEST, moved + 1)
    assert found.path == root / f"ids-{len(seen)}"
    assert (found.offset, found.reason) in [(5, "a page"), (0, "the file is missing")]
    assert (found.reason == "a page") == (kind is CorruptData)


def test_looking_ends_when_a_writer_never_rests(root):
    always = lambda number: True  # noqa: E731

    found, seen = looked(root, fails=always, moves=always)

    assert isinstance(found, CorruptData)
    assert seen == list(range(1, MOST + 1))


@pytest.mark.parametrize(("doubtful", "looks"), [(0, 1), (1, 2), (2, 3), (99, FEWEST)])
def test_what_is_in_doubt_is_looked_at_again_and_given_when_it_stays(doubtful, looks, root):
    numbers = itertools.count(1)

    found = look_again(Files(), root, lambda _: next(numbers), doubt=doubtful.__ge__)

    assert found == looks


@pytest.mark.parametrize(
    "error", [OSError(5, "a bad page"), InvalidInput("open(metric)", "l2", "dot"), KeyError("?")]
)
def test_other_errors_are_not_waited_out(error, root):
    n_looks = itertools.count(1)

    def look(manifest):
        next(n_looks)
        raise error

    with pytest.raises(type(error)):
        look_again(Files(), root, look)

    assert next(n_looks) == 2


@pytest.mark.parametrize("name", ["CURRENT", "manifest-000001.json"])
def test_nothing_is_looked_at_when_current_or_its_manifest_is_damaged(name, root):
    (root / name).write_bytes(b"nonsense")

    with pytest.raises(CorruptData) as caught:
        look_again(Files(), root, lambda manifest: pytest.fail("looked"))

    assert caught.value.path == root / name
