"""Bad arguments of a call: numbers, TTLs, operations of a batch, and what comes later."""

import numpy as np
import pytest

import vecstore
from tests.stores import WHERE, Place, mixed, refuses
from vecstore.errors import DimensionMismatch, InvalidInput, NotAvailable, NotFound

GOOD = [1, 2]


@pytest.fixture(params=WHERE)
def filled(request, tmp_path):
    with Place(request.param, tmp_path / "store") as place:
        yield mixed(place)


@pytest.mark.parametrize(
    "k",
    [-1, 1.0, "1", True, None, 2**31, 10**5000, np.float32(3)],
    ids=lambda k: str(k)[:9] if not isinstance(k, int) or k < 2**40 else "huge",
)
def test_queries_are_refused_when_k_is(filled, k):
    refuses(filled, InvalidInput, lambda s: s.query(GOOD, k=k))
    refuses(filled, InvalidInput, lambda s: s.query_many([GOOD], k=k))


@pytest.mark.parametrize("ef", [0, -1, 1.5, "50", True])
def test_queries_are_refused_when_ef_is(filled, ef):
    refuses(filled, InvalidInput, lambda s: s.query(GOOD, ef=ef))
    refuses(filled, InvalidInput, lambda s: s.query_many([GOOD], ef=ef))


@pytest.mark.parametrize("threads", [0, -1, 1.0, True, None])
def test_query_many_is_refused_when_threads_are(filled, threads):
    refuses(filled, InvalidInput, lambda s: s.query_many([GOOD], threads=threads))


def test_query_names_its_argument_when_neither_vector_nor_text_comes(filled):
    error = refuses(filled, InvalidInput, lambda s: s.query())

    assert "query(vector)" in str(error)


TTLS = {
    "zero": 0,
    "negative": -1,
    "nan": float("nan"),
    "inf": float("inf"),
    "str": "5",
    "bool": True,
    "list": [5],
    "int beyond float": 10**400,
    "complex": np.complex128(5),
}


@pytest.mark.parametrize("ttl_s", TTLS.values(), ids=TTLS)
def test_a_ttl_is_refused_when_it_is(filled, ttl_s):
    operation = {"op": "upsert", "id": "r0", "vector": GOOD, "ttl_s": ttl_s}

    refuses(filled, InvalidInput, lambda s: s.upsert("r0", GOOD, ttl_s=ttl_s))
    refuses(filled, InvalidInput, lambda s: s.set_ttl("r0", ttl_s))
    refuses(filled, InvalidInput, lambda s: s.batch([operation]))


OPERATIONS = {
    "no dict": 5,
    "None": None,
    "pair": ("op", "delete"),
    "empty": {},
    "no op": {"id": "r3"},
    "unknown op": {"op": "insert", "id": "r3"},
    "op in capitals": {"op": "DELETE", "id": "r3"},
    "op None": {"op": None, "id": "r3"},
    "op list": {"op": ["delete"], "id": "r3"},
    "no id": {"op": "delete"},
    "no vector": {"op": "upsert", "id": "r3"},
    "no metadata": {"op": "update_metadata", "id": "r3"},
    "unknown field": {"op": "delete", "id": "r3", "force": True},
    "field of another op": {"op": "delete", "id": "r3", "vector": GOOD},
    "field not str": {"op": "delete", "id": "r3", 5: 5},
    "wrong dimension": {"op": "upsert", "id": "r3", "vector": [1, 2, 3]},
}


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_batch_changes_nothing_and_names_the_index_when_an_operation_is(filled, operation):
    good = {"op": "upsert", "id": "r0", "vector": GOOD}
    operations = [good, {"op": "soft_delete", "id": "r5"}, operation, {"op": "delete", "id": "r6"}]

    error = refuses(filled, InvalidInput, lambda s: s.batch(operations))

    assert "operations[2]" in str(error)


@pytest.mark.parametrize("op", ["delete", "update_metadata"])
@pytest.mark.parametrize("record_id", ["missing", "r1", "r2", "r7"])
def test_batch_changes_nothing_and_names_the_index_when_a_record_is_missing(filled, op, record_id):
    operations = [
        {"op": "upsert", "id": "new", "vector": GOOD},
        {"op": "delete", "id": "r7"},
        {"op": op, "id": record_id} | ({"metadata": {}} if op == "update_metadata" else {}),
    ]

    error = refuses(filled, NotFound, lambda s: s.batch(operations))

    assert error.id == record_id
    assert "operations[2]" in str(error)


@pytest.mark.parametrize("operations", [None, 5, "ab", {"op": "delete", "id": "r0"}], ids=repr)
def test_batch_is_refused_when_no_list_comes(filled, operations):
    refuses(filled, InvalidInput, lambda s: s.batch(operations))


def test_batch_fixes_no_dimension_when_its_first_vectors_disagree():
    with vecstore.open() as store:
        operations = [{"op": "upsert", "id": str(n), "vector": [1] * n} for n in (2, 3)]

        error = refuses(store, DimensionMismatch, lambda s: s.batch(operations))

        assert "operations[1]" in str(error)
        assert store.dim is None


LATER = {
    "filter in query": lambda s: s.query(GOOD, filter="x = 1"),
    "filter in query_many": lambda s: s.query_many([GOOD], filter="x = 1"),
    "filter in iter_query": lambda s: s.iter_query(GOOD, filter="x = 1"),
    "filter in records": lambda s: s.records("x = 1"),
    "filter in count": lambda s: s.count("x = 1"),
    "filter in delete_many": lambda s: s.delete_many(filter="x = 1"),
    "text in query": lambda s: s.query(text="x"),
    "text beside a vector": lambda s: s.query(GOOD, text="x"),
    "text in upsert": lambda s: s.upsert("r0", GOOD, text="x"),
    "texts": lambda s: s.upsert_many(["r0"], [GOOD], texts=["x"]),
    "text in batch": lambda s: s.batch([{"op": "upsert", "id": "a", "vector": GOOD, "text": "x"}]),
    "alpha": lambda s: s.query(GOOD, alpha=0.5),
    "alpha zero": lambda s: s.query(GOOD, alpha=0.0),
    "explain": lambda s: s.query(GOOD, explain=True),
}


@pytest.mark.parametrize("call", LATER.values(), ids=LATER)
def test_a_call_says_not_available_when_it_belongs_to_a_later_version(filled, call):
    error = refuses(filled, NotAvailable, call)

    assert error.what


def test_zero_rows_are_refused_when_their_dimension_is_another():
    with vecstore.open(dim=3) as store:
        for call in (
            lambda: store.upsert_many([], np.zeros((0, 5))),
            lambda: store.query_many(np.zeros((0, 5))),
        ):
            with pytest.raises(DimensionMismatch) as caught:
                call()
            assert (caught.value.expected, caught.value.got) == (3, 5)


def test_answers_are_refused_when_they_would_not_fit_in_memory():
    with vecstore.open() as store:
        store.upsert("a", [1.0])

        with pytest.raises(InvalidInput, match="answers in all"):
            store.query_many([[1.0]] * 2, k=2**31 - 1)
        assert store.query([1.0], k=2**31 - 1).ids == ["a"]


def test_fusion_is_refused_when_there_is_nothing_to_fuse():
    with vecstore.open() as store, pytest.raises(NotAvailable, match="fusion"):
        store.query([1.0], fusion="weighted")
