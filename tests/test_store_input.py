"""Bad vectors, ids and metadata: each raises the named error, tells where, changes nothing."""

import enum
from pathlib import Path

import numpy as np
import pytest

import vecstore
from tests.stores import WHERE, Place, mixed, names, refuses
from vecstore.errors import DimensionMismatch, InvalidInput

GOOD = [1, 2]


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def circular_list():
    value = []
    value.append(value)
    return value


def circular_dict():
    value = {}
    value["self"] = [value]
    return value


@pytest.fixture(params=WHERE)
def filled(request, tmp_path):
    with Place(request.param, tmp_path / "store") as place:
        yield mixed(place)


VECTORS = {
    "nan": [1, float("nan")],
    "inf": [float("inf"), 1],
    "minus inf": [1, -np.inf],
    "float64 beyond float32": [1e39, 1],
    "int beyond float32": [10**39, 1],
    "int beyond float64": [10**400, 1],
    "int and float beyond": [1.5, 10**400],
    "longdouble": np.array([1e300, 1], np.longdouble),
    "complex": [1 + 1j, 2],
    "None": None,
    "None within": [None, 1],
    "str": "12",
    "bytes": b"12",
    "strs": ["1", "2"],
    "objects": np.array([object(), object()]),
    "floats as objects": np.array([1.0, 2.0], object),
    "number": 3.0,
    "dict": {0: 1.0, 1: 2.0},
    "set": {1.0, 2.0},
    "generator": (x for x in (1.0, 2.0)),
    "two dimensions": [[1, 2]],
    "three dimensions": [[[1, 2]]],
    "ragged": [1, [2]],
    "circular": circular_list(),
    "dates": np.array(["2020-01-01", "2020-01-02"], "M8[D]"),
    "structured": np.zeros(2, [("x", "f4")]),
}


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)
def test_a_vector_is_refused_by_every_call_when_it_is(filled, vector):
    operation = {"op": "upsert", "id": "new", "vector": vector}

    refuses(filled, InvalidInput, lambda s: s.upsert("new", vector))
    refuses(filled, InvalidInput, lambda s: s.upsert("r0", vector))
    refuses(filled, InvalidInput, lambda s: s.batch([operation]))
    refuses(filled, InvalidInput, lambda s: s.query(vector))
    refuses(filled, InvalidInput, lambda s: s.iter_query(vector))


@pytest.mark.parametrize("vector", [[], [1], [1, 2, 3], np.ones(70_000)], ids=len)
def test_a_vector_is_refused_with_both_numbers_when_its_dimension_is_wrong(filled, vector):
    calls = [
        lambda s: s.upsert("a", vector),
        lambda s: s.batch([{"op": "upsert", "id": "a", "vector": vector}]),
        lambda s: s.upsert_many(["a"], [vector]),
        lambda s: s.query(vector),
        lambda s: s.query_many([vector]),
        lambda s: s.iter_query(vector),
    ]

    for call in calls:
        error = refuses(filled, DimensionMismatch, call)

        assert (error.expected, error.got) == (2, len(vector))
        assert f"expected 2 components, got {len(vector)}" in str(error)


MATRICES = {
    "ragged": [[1, 2], [1]],
    "one dimension": [1.0, 2.0],
    "three dimensions": np.ones((2, 2, 1)),
    "too few": [[1, 2]],
    "too many": [[1, 2]] * 3,
    "none": [],
    "nan": [[1, 2], [1, float("nan")]],
    "overflow": [[1, 2], [1e39, 1]],
    "str": "ab",
    "strs": [["1", "2"], ["1", "2"]],
    "objects": np.array([[1, 2], [1, None]], object),
    "None": None,
    "dict": {"a": [1, 2], "b": [1, 2]},
    "generator": ([1.0, 2.0] for _ in range(2)),
}


@pytest.mark.parametrize("matrix", MATRICES.values(), ids=MATRICES)
def test_upsert_many_changes_nothing_when_vectors_are(filled, matrix):
    refuses(filled, InvalidInput, lambda s: s.upsert_many(["r0", "new"], matrix))


@pytest.mark.parametrize(
    "matrix", [MATRICES[m] for m in ("ragged", "one dimension", "nan", "strs", "None")]
)
def test_query_many_is_refused_when_vectors_are(filled, matrix):
    refuses(filled, InvalidInput, lambda s: s.query_many(matrix))


def test_upsert_many_names_the_row_when_one_is_bad(filled):
    matrix = np.ones((50, 2))
    matrix[31] = np.nan

    error = refuses(filled, InvalidInput, lambda s: s.upsert_many(names(50, "new"), matrix))

    assert "[31]" in str(error)


@pytest.mark.parametrize("zero", [[0, 0], [0.0, -0.0], [1e-60, 0]], ids=str)
def test_a_zero_vector_is_refused_when_the_metric_is_cosine(zero):
    with vecstore.open(metric="cosine") as store:
        store.upsert("a", GOOD)

        refuses(store, InvalidInput, lambda s: s.upsert("a", zero))
        refuses(store, InvalidInput, lambda s: s.query(zero))
        refuses(store, InvalidInput, lambda s: s.query_many([GOOD, zero]))
        error = refuses(store, InvalidInput, lambda s: s.upsert_many(["b", "c"], [GOOD, zero]))

    assert "[1]" in str(error)


def test_a_zero_vector_is_welcome_when_the_metric_is_not_cosine(filled):
    filled.upsert("zero", [0, 0])

    assert filled.query([0, 0], k=1).ids == ["zero"]


IDS = {
    "empty": "",
    "over 1 KiB": "x" * 1025,
    "over 1 KiB in UTF-8": "ä" * 513,
    "None": None,
    "int": 5,
    "bytes": b"a",
    "list": ["a"],
    "lone surrogate": "\ud800",
    "lone surrogate within": "a\udfffb",
}


@pytest.mark.parametrize("bad", IDS.values(), ids=IDS)
def test_an_id_is_refused_by_every_call_when_it_is(filled, bad):
    calls = [
        lambda s: s.upsert(bad, GOOD),
        lambda s: s.upsert_many(["a", bad], [GOOD, GOOD]),
        lambda s: s.batch([{"op": "upsert", "id": bad, "vector": GOOD}]),
        lambda s: s.batch([{"op": "delete", "id": bad}]),
        lambda s: s.get(bad),
        lambda s: s.get_many(["r0", bad]),
        lambda s: s.update_metadata(bad, {}),
        lambda s: s.set_ttl(bad, 1),
        lambda s: s.delete(bad),
        lambda s: s.delete_many(["r0", bad]),
        lambda s: s.soft_delete(bad),
        lambda s: s.restore(bad),
    ]

    for call in calls:
        refuses(filled, InvalidInput, call)


@pytest.mark.parametrize("ids", ["ab", b"ab", None, 5, ["a"], ["a", "b", "c"]], ids=repr)
def test_upsert_many_changes_nothing_when_ids_are(filled, ids):
    refuses(filled, InvalidInput, lambda s: s.upsert_many(ids, [GOOD, GOOD]))


@pytest.mark.parametrize("ids", ["r0", b"r0", None, 5], ids=repr)
def test_many_ids_are_refused_when_they_are(filled, ids):
    refuses(filled, InvalidInput, lambda s: s.delete_many(ids))
    refuses(filled, InvalidInput, lambda s: s.get_many(ids))


def test_upsert_many_names_the_id_when_one_is_bad(filled):
    error = refuses(filled, InvalidInput, lambda s: s.upsert_many(["a", "b", ""], [GOOD] * 3))

    assert "ids[2]" in str(error)


def test_an_id_is_the_text_when_it_is_a_str_of_another_class():
    class Color(str, enum.Enum):  # noqa: UP042  what code from before StrEnum looks like
        RED = "red"

    with vecstore.open() as store:
        store.upsert(Color.RED, GOOD, {Color.RED: Color.RED})

        assert store.ids() == ["red"]
        assert Color.RED in store
        assert repr(store.get("red").metadata) == "{'red': 'red'}"


METADATA = {
    "list": [1],
    "str": "x",
    "number": 1,
    "key int": {1: "a"},
    "key None": {None: "a"},
    "key int within": {"a": [{"b": {2: 1}}]},
    "key surrogate": {"\ud800": 1},
    "nan": {"a": float("nan")},
    "inf within": {"a": {"b": [1.0, float("inf")]}},
    "int too large": {"a": 2**63},
    "int too small": {"a": -(2**63) - 1},
    "int of many digits": {"a": 10**5000},
    "bytes": {"a": b"x"},
    "set": {"a": {1}},
    "tuple": {"a": (1, 2)},
    "object": {"a": object()},
    "numpy int": {"a": np.int64(1)},
    "numpy float32": {"a": np.float32(1)},
    "numpy bool": {"a": np.bool_(True)},
    "array": {"a": np.zeros(2)},
    "complex": {"a": 1j},
    "surrogate": {"a": ["\udc80"]},
    "path": {"a": Path("x")},
    "too deep": {"a": nested(100)},
    "much too deep": {"a": nested(5000)},
    "circular list": {"a": circular_list()},
    "circular dict": circular_dict(),
    "too large": {"a": "x" * (1 << 24)},
}


@pytest.mark.parametrize("metadata", METADATA.values(), ids=METADATA)
def test_metadata_is_refused_by_every_call_when_it_is(filled, metadata):
    operations = [
        {"op": "upsert", "id": "new", "vector": GOOD},
        {"op": "update_metadata", "id": "r0", "metadata": metadata},
    ]
    rows = [GOOD, GOOD]

    refuses(filled, InvalidInput, lambda s: s.upsert("r0", GOOD, metadata))
    refuses(filled, InvalidInput, lambda s: s.upsert_many(["r0", "n"], rows, [{}, metadata]))
    refuses(filled, InvalidInput, lambda s: s.update_metadata("r0", metadata))
    refuses(filled, InvalidInput, lambda s: s.update_metadata("r0", metadata, merge=True))
    refuses(filled, InvalidInput, lambda s: s.batch(operations))


def test_metadata_names_the_place_when_a_value_is_bad(filled):
    metadata = {"good": 1, "list": [0, {"deep": float("nan")}]}

    error = refuses(filled, InvalidInput, lambda s: s.upsert_many(["a"], [GOOD], [metadata]))

    assert "metadata)[0]['list'][1]['deep']" in str(error)


def test_metadata_merged_is_refused_when_only_the_sum_is_too_large(filled):
    filled.update_metadata("r0", {"a": "x" * (9 << 20)})

    refuses(
        filled, InvalidInput, lambda s: s.update_metadata("r0", {"b": "x" * (9 << 20)}, merge=True)
    )


@pytest.mark.parametrize(
    "metadata", [{"a": 1}, "ab", 5, [{}], [{}, {}, {}], [{}, 1], [{}, "x"]], ids=repr
)
def test_upsert_many_changes_nothing_when_the_metadata_is(filled, metadata):
    refuses(filled, InvalidInput, lambda s: s.upsert_many(["r0", "n"], [GOOD, GOOD], metadata))


@pytest.mark.parametrize("metadata", [None, [], "x"], ids=repr)
def test_update_metadata_is_refused_when_no_dict_comes(filled, metadata):
    refuses(filled, InvalidInput, lambda s: s.update_metadata("r0", metadata))
