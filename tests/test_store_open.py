"""Opening: what is created, what contradicts, what is refused and left as it was."""

import subprocess
import sys

import numpy as np
import pytest

import vecstore
from tests.stores import SMALL, WHERE, contents, grid, names
from vecstore.config import HnswConfig, StoreConfig
from vecstore.errors import (
    CorruptData,
    DimensionMismatch,
    InvalidInput,
    NotAStore,
    NotAvailable,
    ReadOnlyStore,
    StoreLocked,
)
from vecstore.storage.frames import FRAME_HEADER_BYTES

CREATED = {
    "flat_threshold": 20,
    "maintenance": "inline",
    "hnsw": {"m": 8, "ef_construction": 40, "seed": 3},
}


@pytest.fixture(params=WHERE[1:])
def stored(request, tmp_path):
    path = tmp_path / "store"
    with vecstore.open(path, metric="l2", config=CREATED) as store:
        store.upsert_many(names(50), grid(50))
        if request.param == "generation":
            store.checkpoint()
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


def test_open_says_not_available_when_it_belongs_to_a_later_version(tmp_path):
    with pytest.raises(NotAvailable):
        vecstore.open(tmp_path / "store", schema={"x": "int"})

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


# ---- for reading


CHANGES = {
    "upsert": lambda s: s.upsert("c", [2.0] * 4),
    "upsert_many": lambda s: s.upsert_many(["c"], [[2.0] * 4]),
    "batch": lambda s: s.batch([{"op": "delete", "id": "r0"}]),
    "update_metadata": lambda s: s.update_metadata("r0", {}),
    "set_ttl": lambda s: s.set_ttl("r0", 1),
    "delete": lambda s: s.delete("r0"),
    "delete_many": lambda s: s.delete_many(["r0"]),
    "soft_delete": lambda s: s.soft_delete("r0"),
    "restore": lambda s: s.restore("r0"),
    "expire": lambda s: s.expire(),
    "optimize": lambda s: s.optimize(),
    "compact": lambda s: s.compact(),
    "checkpoint": lambda s: s.checkpoint(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_handle_for_reading_refuses_and_changes_nothing_when_asked_to(stored, change):
    before = files_of(stored)

    with vecstore.open(stored, mode="r") as store:
        fingerprint = store.fingerprint()
        with pytest.raises(ReadOnlyStore) as caught:
            CHANGES[change](store)

        assert caught.value.path == stored
        assert (store.ids(), store.fingerprint()) == (names(50), fingerprint)
        assert store.query(grid(50)[7], k=1).distances[0] == 0
    assert files_of(stored) == before


@pytest.mark.parametrize("settings", [{}, {"check": "full"}, {"dim": 4, "metric": "l2"}], ids=str)
def test_a_handle_for_reading_sees_the_same_when_it_opens_the_store(stored, settings):
    with vecstore.open(stored, mode="r", **settings) as reader:
        seen = contents(reader)

    with vecstore.open(stored) as writer:
        found = contents(writer)
    # a sync mark at the end of the log is no call, and not looked at by readers
    log_bytes = [stats.log_bytes for stats in (found.pop("stats"), seen.pop("stats"))]
    assert log_bytes[0] - log_bytes[1] in (0, FRAME_HEADER_BYTES)
    assert found == seen


@pytest.mark.parametrize(
    "settings",
    [
        {"metric": "cosine"},
        {"dim": 5},
        {"config": {"flat_threshold": 1000}},
        {"config": {"hnsw": {"m": 16}}},
    ],
    ids=str,
)
def test_open_for_reading_is_refused_when_it_contradicts(stored, settings):
    with pytest.raises(InvalidInput):
        vecstore.open(stored, mode="r", **settings)


def test_open_for_reading_uses_what_is_passed_when_it_belongs_to_the_handle(stored):
    before = files_of(stored)

    with vecstore.open(stored, mode="r", config={"hnsw": {"ef_search": 99}}) as store:
        assert store.config.hnsw.ef_search == 99

    assert files_of(stored) == before


@pytest.mark.parametrize("there", [[], [""], ["LOCK"], ["LOCK", "manifest-000001.json"]], ids=str)
def test_open_for_reading_makes_no_store_when_there_is_none(tmp_path, there):
    root = tmp_path / "s"
    for name in there:
        root.mkdir(exist_ok=True)
        if name:
            (root / name).touch()

    with pytest.raises(NotAStore) as caught:
        vecstore.open(root, mode="r")

    assert caught.value.path == root
    assert root.exists() == bool(there)
    assert not there or sorted(path.name for path in root.iterdir()) == [n for n in there if n]


def test_open_for_reading_says_not_a_store_when_it_is_a_file_or_holds_other_files(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").touch()
    for path in (tmp_path / "photos", tmp_path / "photos" / "cat.png"):
        with pytest.raises(NotAStore):
            vecstore.open(path, mode="r")


def test_open_for_reading_is_refused_when_the_store_would_be_in_memory():
    with pytest.raises(InvalidInput, match="mode"):
        vecstore.open(mode="r")


def test_open_takes_the_lock_when_readers_have_the_store_open(stored):
    with (
        vecstore.open(stored, mode="r") as one,
        vecstore.open(stored, mode="r") as other,
        vecstore.open(stored) as writer,
    ):
        assert len(one) == len(other) == len(writer) == 50
