"""The error tree: what each is caught as, what it carries, how it reads."""

import inspect
from pathlib import Path

import pytest

from vecstore import errors
from vecstore.errors import (
    AlreadyExists,
    CorruptData,
    DimensionMismatch,
    InvalidInput,
    MissingExtra,
    NotAStore,
    NotAvailable,
    NotFound,
    ReadOnlyStore,
    SnapshotNotFound,
    StoreClosed,
    StoreLocked,
    StorePoisoned,
    UnsupportedFormat,
    VecStoreError,
)

EXAMPLES = [
    InvalidInput("upsert(k)", "an int", "1.5"),
    DimensionMismatch("upsert(id='a')", 768, 384),
    NotFound("a", "get"),
    NotAvailable("filter", "wait"),
    MissingExtra("pandas", "python -m pip install pandas"),
    StoreClosed("closed"),
    StoreLocked(Path("s"), "process 7"),
    NotAStore(Path("s"), "it is a file"),
    CorruptData(Path("s/file"), 12, "checksum"),
    UnsupportedFormat(Path("s/file"), 9, 1),
    AlreadyExists("the snapshot 'a'", "delete it first"),
    SnapshotNotFound("a", "restore_snapshot(name)"),
    StorePoisoned(Path("s"), "fsync failed: Input/output error"),
    ReadOnlyStore(Path("s")),
]


def test_every_error_is_exported_and_has_an_example_when_public():
    classes = {
        name for name, one in vars(errors).items() if inspect.isclass(one) and name[0] != "_"
    }

    assert set(errors.__all__) == {name for name in classes if name != "Path"}
    assert {type(one).__name__ for one in EXAMPLES} == set(errors.__all__) - {"VecStoreError"}
    assert errors.__all__ == sorted(errors.__all__)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_every_error_is_caught_at_the_root_when_raised(error):
    with pytest.raises(VecStoreError):
        raise error


@pytest.mark.parametrize(
    ("error", "base"),
    [
        (InvalidInput, ValueError),
        (DimensionMismatch, InvalidInput),
        (DimensionMismatch, ValueError),
        (NotFound, KeyError),
        (SnapshotNotFound, NotFound),
        (MissingExtra, ImportError),
    ],
)
def test_an_error_is_caught_as_what_python_calls_it_when_it_has_such_a_name(error, base):
    assert issubclass(error, base)


@pytest.mark.parametrize(
    "error",
    [
        AlreadyExists,
        CorruptData,
        NotAStore,
        NotAvailable,
        ReadOnlyStore,
        StoreClosed,
        StoreLocked,
        StorePoisoned,
        UnsupportedFormat,
    ],
)
def test_an_error_is_not_an_input_error_when_the_input_is_fine(error):
    assert not issubclass(error, ValueError | KeyError | OSError)


def test_messages_name_argument_and_way_out_when_printed():
    texts = [str(error) for error in EXAMPLES]

    assert texts[0] == "upsert(k): expected an int, got 1.5"
    assert texts[1] == "upsert(id='a'): expected 768 components, got 384"
    assert texts[2] == "get(id='a'): no live record has this id"
    assert "python -m pip install pandas" in texts[4]
    assert "process 7" in texts[6]
    assert "damaged at byte 12" in texts[8]
    assert "the snapshot 'a' exists already; delete it first" in texts[10]
    assert texts[11] == "restore_snapshot(name): there is no snapshot 'a'"
    assert "reopened" in texts[12]
    assert "Input/output error" in texts[12]
    assert 'mode="a"' in texts[13]


def test_not_found_prints_without_quotes_when_a_key_error_would_not():
    assert not str(NotFound("a", "get")).startswith(("'", '"'))


def test_attributes_are_data_when_caught():
    invalid, found, corrupt, version = EXAMPLES[0], EXAMPLES[2], EXAMPLES[8], EXAMPLES[9]

    assert (invalid.argument, invalid.expected, invalid.got) == ("upsert(k)", "an int", "1.5")
    assert found.id == "a"
    assert (corrupt.path, corrupt.offset, corrupt.reason) == (Path("s/file"), 12, "checksum")
    assert (version.path, version.version) == (Path("s/file"), 9)
    assert EXAMPLES[4].package == "pandas"
    assert EXAMPLES[6].holder == "process 7"
    assert {EXAMPLES[at].path for at in (6, 7, 12, 13)} == {Path("s")}
    assert EXAMPLES[10].what == "the snapshot 'a'"
    assert EXAMPLES[12].reason == "fsync failed: Input/output error"


@pytest.mark.parametrize("got", [10**5000, "x" * 10**6, "\ud800"], ids=["int", "long", "surrogate"])
def test_an_error_can_be_made_and_printed_when_the_input_is_monstrous(got):
    assert "upsert" in str(InvalidInput("upsert(x)", "something small", got))
