"""Opening: what is created, what contradicts, what is refused and left as it was."""

import subprocess
import sys

import numpy as np
import pytest

import vecstore
from tests.stores import SMALL, grid, names
from vecstore.config import HnswConfig, StoreConfig
from vecstore.errors import (
    CorruptData,
    DimensionMismatch,
    InvalidInput,
    NotAStore,
    NotAvailable,
    StoreLocked,
)
from vecstore.store import open_for_queries

CREATED = {
    "flat_threshold": 20,
    "maintenance": "inline",
    "hnsw": {"m": 8, "ef_construction": 40, "seed": 3},
}


@pytest.fixture
def stored(tmp_path):
    path = tmp_path / "store"
    with vecstore.open(path, metric="l2", config=CREATED) as store:
        store.upsert_many(names(50), grid(50))
    return path


def files_of(path):
    return {entry.name: entry.read_bytes() for entry in path.iterdir() if entry.is_file()}


# ---- what is fixed


def test_open_takes_everything_from_the_store_when_nothing_is_passed(stored):
    with vecstore.open(stored) as store:
        assert (store.metric, store.dim) == ("euclidean", 4)
        assert store.config.flat_threshold == 20
        assert store.config.hnsw.m == 8
        assert store.config.hnsw.ef_construction == 40
        assert store.config.hnsw.seed == 3


def test_open_agrees_when_everything_passed_is_as_stored(stored):
    with vecstore.open(stored, dim=4, metric="EUCLIDEAN", config=CREATED) as store:
        assert len(store) == 50


@pytest.mark.parametrize(
    ("field", "settings"),
    [
        ("metric", {"metric": "cosine"}),
        ("dim", {"dim": 5}),
        ("flat_threshold", {"config": {"flat_threshold": 1000}}),
        ("hnsw.m", {"config": {"hnsw": {"m": 16}}}),
        ("hnsw.ef_construction", {"config": {"hnsw": {"ef_construction": 200}}}),
        ("hnsw.seed", {"config": StoreConfig(hnsw=HnswConfig(seed=0))}),
    ],
)
def test_open_names_the_field_and_changes_nothing_when_it_contradicts(stored, field, settings):
    before = files_of(stored)

    with pytest.raises(InvalidInput, match=field) as caught:
        vecstore.open(stored, **settings)

    assert isinstance(caught.value, DimensionMismatch) == (field == "dim")
    assert files_of(stored) == before
    vecstore.open(stored).close()


@pytest.mark.parametrize(
    "config",
    [StoreConfig(), StoreConfig(threads=2), StoreConfig(hnsw=HnswConfig()), {"hnsw": {}}, {}],
    ids=repr,
)
def test_open_never_contradicts_when_a_fixed_field_is_left_unset(stored, config):
    with vecstore.open(stored, config=config) as store:
        assert (store.config.flat_threshold, store.config.hnsw.m) == (20, 8)


def test_open_uses_what_is_passed_when_it_belongs_to_the_handle(stored):
    config = {"threads": 2, "maintenance": "background", "hnsw": {"ef_search": 99}}

    with vecstore.open(stored, config=config) as store:
        assert store.config.threads == 2
        assert store.config.maintenance == "background"
        assert store.config.hnsw.ef_search == 99
        assert store.config.hnsw.m == 8


def test_open_keeps_the_dimension_when_the_store_was_made_with_one_but_without_rows(tmp_path):
    vecstore.open(tmp_path, dim=3).close()

    with pytest.raises(DimensionMismatch):
        vecstore.open(tmp_path, dim=4)

    with vecstore.open(tmp_path) as store:
        assert store.dim == 3


def test_open_keeps_the_dimension_when_it_was_first_given_at_a_reopening(tmp_path):
    vecstore.open(tmp_path).close()
    vecstore.open(tmp_path, dim=3).close()

    with pytest.raises(DimensionMismatch):
        vecstore.open(tmp_path, dim=4)


def test_open_takes_numpy_integers_when_settings_are_computed(tmp_path):
    config = {"flat_threshold": np.int64(20), "hnsw": {"m": np.int32(8)}}

    with vecstore.open(tmp_path / "store", dim=np.int64(3), config=config) as store:
        assert (store.dim, store.config.flat_threshold, store.config.hnsw.m) == (3, 20, 8)


# ---- bad arguments


@pytest.mark.parametrize(
    "settings",
    [
        {"metric": "manhatten"},
        {"metric": 5},
        {"dim": 0},
        {"dim": -1},
        {"dim": 2.0},
        {"dim": True},
        {"dim": 65_537},
        {"mode": "w"},
        {"mode": None},
        {"check": "half"},
        {"check": True},
        {"config": {"flat_treshold": 5}},
        {"config": {"hnsw": {"M": 5}}},
        {"config": {"hnsw": 5}},
        {"config": {5: 5}},
        {"config": "fast"},
        {"config": HnswConfig()},
    ],
    ids=str,
)
def test_open_creates_nothing_when_an_argument_is_bad(tmp_path, settings):
    with pytest.raises(InvalidInput):
        vecstore.open(tmp_path / "store", **settings)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"mode": "r"},
        {"schema": {"x": "int"}},
        {"config": {"durability": "full"}},
        {"config": {"durability": "interval"}},
    ],
    ids=str,
)
def test_open_says_not_available_when_it_belongs_to_a_later_version(tmp_path, settings):
    with pytest.raises(NotAvailable):
        vecstore.open(tmp_path / "store", **settings)

    assert list(tmp_path.iterdir()) == []


# ---- paths


def test_open_makes_parents_when_they_are_missing(tmp_path):
    vecstore.open(tmp_path / "a" / "b" / "c").close()

    assert (tmp_path / "a" / "b" / "c" / "CURRENT").exists()


def test_open_takes_a_str_when_it_names_a_directory(tmp_path):
    with vecstore.open(str(tmp_path)) as store:
        assert store.path == tmp_path


def test_open_begins_anew_each_time_when_in_memory():
    with vecstore.open() as one, vecstore.open(":memory:") as other:
        one.upsert("a", [1, 2])

        assert (one.ids(), other.ids()) == (["a"], [])


@pytest.mark.parametrize(
    "foreign", [["notes.txt"], ["LOCK", "notes.txt"], [".hidden"], ["vectors.npy"]], ids=str
)
def test_open_leaves_a_directory_untouched_when_it_holds_other_files(tmp_path, foreign):
    for name in foreign:
        (tmp_path / name).write_text("mine")

    with pytest.raises(NotAStore) as caught:
        vecstore.open(tmp_path)

    assert files_of(tmp_path) == dict.fromkeys(foreign, b"mine")
    assert caught.value.path == tmp_path


def test_open_leaves_a_directory_untouched_when_it_holds_another_directory(tmp_path):
    (tmp_path / "photos").mkdir()

    with pytest.raises(NotAStore):
        vecstore.open(tmp_path)

    assert [entry.name for entry in tmp_path.iterdir()] == ["photos"]


@pytest.mark.parametrize("below", [[], ["store"], ["deep", "store"]], ids=str)
def test_open_leaves_a_file_untouched_when_the_path_is_or_lies_in_one(tmp_path, below):
    file = tmp_path / "file"
    file.write_text("mine")

    with pytest.raises(NotAStore):
        vecstore.open(file.joinpath(*below))

    assert files_of(tmp_path) == {"file": b"mine"}


def test_open_says_damaged_when_current_is_gone(stored):
    (stored / "CURRENT").unlink()
    before = files_of(stored)

    with pytest.raises(CorruptData) as caught:
        vecstore.open(stored)

    assert caught.value.path == stored / "CURRENT"
    assert files_of(stored) == before


# ---- one handle at a time


def test_open_is_refused_when_another_handle_of_this_process_is_open(stored):
    with vecstore.open(stored) as store:
        with pytest.raises(StoreLocked) as caught:
            vecstore.open(stored)

        assert caught.value.path == stored
        assert len(store) == 50

    vecstore.open(stored).close()


def test_open_is_refused_when_another_process_has_it_open(stored):
    script = (
        "import sys, vecstore\n"
        "try: vecstore.open(sys.argv[1]).close()\n"
        "except vecstore.errors.StoreLocked: print('locked')\n"
    )
    with vecstore.open(stored):
        result = subprocess.run(
            [sys.executable, "-c", script, str(stored)], capture_output=True, text=True, check=True
        )

    assert result.stdout.strip() == "locked"


def test_open_works_when_the_attempt_before_failed(stored):
    with pytest.raises(InvalidInput):
        vecstore.open(stored, metric="dot")

    with vecstore.open(stored, metric="l2", check="full") as store:
        assert len(store) == 50


def test_a_store_stays_as_it_was_when_a_handle_opened_and_closed_it(stored):
    before = files_of(stored)

    for _ in range(2):
        with vecstore.open(stored, config=SMALL | {"flat_threshold": 20}) as store:
            store.query([1, 2, 3, 4])

    assert files_of(stored) == before


def test_a_handle_for_queries_answers_and_refuses_every_change(tmp_path):
    with vecstore.open(tmp_path / "s", metric="l2") as store:
        store.upsert_many(["a", "b"], [[0.0], [1.0]])
        store.soft_delete("b")
    before = {path.name: path.read_bytes() for path in (tmp_path / "s").glob("*-*")}

    with open_for_queries(tmp_path / "s") as store:
        assert store.query([0.9], k=2).ids == ["a"]
        for change in (
            lambda: store.upsert("c", [2.0]),
            lambda: store.upsert_many(["c"], [[2.0]]),
            lambda: store.delete("a"),
            lambda: store.restore("b"),
            store.expire,
            store.optimize,
            store.compact,
            store.checkpoint,
        ):
            with pytest.raises(NotAvailable, match=r"vecstore\.open"):
                change()
        assert store.ids() == ["a"]

    assert {path.name: path.read_bytes() for path in (tmp_path / "s").glob("*-*")} == before


def test_a_handle_for_queries_makes_no_store_when_there_is_none(tmp_path):
    with pytest.raises(NotAStore):
        open_for_queries(tmp_path / "s")

    assert not (tmp_path / "s").exists()
