"""Records: put, got back, changed, deleted, one by one and in batches."""

import numpy as np
import pytest

import vecstore
from tests.stores import WHERE, Clock, Place, grid, names
from vecstore.errors import NotFound
from vecstore.model import UpsertReport

TYPES = {
    "true": True,
    "false": False,
    "int": 5,
    "zero": 0,
    "least": -(2**63),
    "most": 2**63 - 1,
    "float": 5.0,
    "small": 5e-324,
    "none": None,
    "text": "Grüße, 世界 🌍\x00",
    "": "empty key",
    "list": [1, 1.0, True, [None, {"deep": []}]],
    "dict": {"a": {"b": {"c": [{}]}}},
}


@pytest.fixture(params=WHERE)
def place(request, tmp_path):
    with Place(request.param, tmp_path / "store") as place:
        yield place


# ---- upsert and get


def test_get_gives_metadata_of_the_same_types_when_reopened(place):
    store = place.open()
    store.upsert("a", [1, 2], TYPES)

    record = place.again(store).get("a")

    assert repr(record.metadata) == repr(TYPES)


def test_get_gives_the_whole_record_when_reopened(place):
    clock = Clock(5_000)
    store = place.open(clock=clock)
    store.upsert("a", [1.5, -2.25], {"x": 1}, ttl_s=2.5)

    record = place.again(store).get("a")

    assert (record.id, record.vector.tolist(), record.metadata) == ("a", [1.5, -2.25], {"x": 1})
    assert record.vector.dtype == np.float32
    assert (record.created_at, record.expires_at, record.deleted_at) == (5_000, 7_500, None)
    assert record.text is None


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e4, 1e30])
def test_get_gives_the_vector_as_it_came_when_metric_is_cosine(place, scale):
    rows = (np.random.default_rng(1).normal(size=(40, 7)) * scale).astype(np.float32)
    store = place.open(metric="cosine")
    store.upsert_many(names(40), rows)

    given = np.array([record.vector for record in place.again(store).records()])

    np.testing.assert_allclose(given, rows, rtol=3e-7)


def test_get_gives_finite_numbers_when_a_cosine_vector_is_as_large_as_float32_goes(place):
    row = np.full(6, np.finfo(np.float32).max, np.float32)
    store = place.open(metric="cosine")
    store.upsert("a", row)

    vector = place.again(store).get("a").vector

    np.testing.assert_allclose(vector, row, rtol=3e-7)


def test_upsert_replaces_the_whole_record_when_the_id_is_there(place):
    store = place.open()
    store.upsert("a", [1, 2], {"x": 1}, ttl_s=60)

    store.upsert("a", [3, 4])

    record = place.again(store).get("a")
    assert record.vector.tolist() == [3, 4]
    assert (record.metadata, record.expires_at) == ({}, None)


def test_upsert_accepts_ids_of_any_characters_when_at_most_one_kibibyte(place):
    ids = ["a", " ", "\x00", "🌍" * 256, "x" * 1024, "a/b", "ä", "a\u0308"]
    store = place.open()
    for number, record_id in enumerate(ids):
        store.upsert(record_id, [number, 1])

    store = place.again(store)

    assert store.ids() == ids
    assert [store.get(record_id).vector[0] for record_id in ids] == list(range(len(ids)))


@pytest.mark.parametrize(
    "vector",
    [(1, 2), np.array([1, 2], np.int8), np.array([1, 2], np.float16), np.array([1.0, 2.0])[::1]],
    ids=["tuple", "int8", "float16", "float64"],
)
def test_upsert_takes_numbers_of_any_type_when_they_are_finite(vector):
    with vecstore.open(metric="l2") as store:
        store.upsert("a", vector)

        assert store.get("a").vector.tolist() == [1, 2]


def test_what_came_and_what_was_given_are_copies_when_changed_afterwards(place):
    vector, metadata = np.array([1, 2], np.float32), {"list": [1]}
    store = place.open()
    store.upsert("a", vector, metadata)

    vector[:] = 9
    metadata["list"].append(2)
    for given in (store.get("a"), next(store.records()), store.get_many(["a"])[0]):
        given.vector[:] = 7
        given.metadata["list"].append(3)
    for hit in (store.query([1, 2])[0], next(store.iter_query([1, 2]))):
        hit.metadata["list"].append(4)
    store.query([1, 2]).to_dicts()[0]["metadata"]["list"].append(5)
    store.ids().clear()

    record = place.again(store).get("a")
    assert (record.vector.tolist(), record.metadata) == ([1, 2], {"list": [1]})


# ---- upsert_many


def test_upsert_many_counts_new_and_replaced_ids_when_some_come_twice(place):
    store = place.open()
    store.upsert_many(["a", "b"], [[1, 1], [2, 2]])

    report = store.upsert_many(["b", "c", "c", "b"], [[3, 3], [4, 4], [5, 5], [6, 6]])

    assert report == UpsertReport(inserted=1, updated=1)


def test_upsert_many_lets_the_last_win_when_an_id_comes_twice(place):
    store = place.open()
    store.upsert_many(["a", "b", "a"], [[1, 1], [2, 2], [3, 3]], [{"n": 1}, None, {"n": 3}])

    store = place.again(store)

    assert store.ids() == ["b", "a"]
    assert [r.vector.tolist() for r in store.records()] == [[2, 2], [3, 3]]
    assert [r.metadata for r in store.records()] == [{}, {"n": 3}]
    assert store.stats().dead == 1


def test_upsert_many_counts_as_new_when_the_id_is_soft_deleted_or_expired(place):
    clock = Clock()
    store = place.open(clock=clock)
    store.upsert("soft", [1, 1])
    store.upsert("old", [1, 1], ttl_s=1)
    store.soft_delete("soft")
    clock.advance(1)

    report = store.upsert_many(["soft", "old"], [[1, 1], [2, 2]])

    assert report == UpsertReport(inserted=2, updated=0)


def test_upsert_many_does_nothing_when_nothing_comes():
    with vecstore.open() as store:
        report = store.upsert_many([], [])

        assert report == UpsertReport(0, 0)
        assert (store.dim, store.stats().seqno) == (None, 0)


def test_upsert_many_keeps_every_row_when_there_are_more_than_one_chunk(tmp_path):
    n = 4096 + 100
    rows = grid(n, 2)
    with vecstore.open(tmp_path, metric="l2", config={"flat_threshold": 10**6}) as store:
        store.upsert_many(names(n), rows, [{"i": i} for i in range(n)])
        store.update_metadata("r4095", {"i": "changed"})
        store.delete("r4096")

    with vecstore.open(tmp_path) as store:
        records = list(store.records())

    assert [r.id for r in records] == [f"r{i}" for i in range(n) if i != 4096]
    assert np.array_equal([r.vector for r in records], np.delete(rows, 4096, axis=0))
    assert [r.metadata["i"] for r in records[4094:4097]] == [4094, "changed", 4097]


# ---- looking


def test_get_many_keeps_the_order_asked_for_when_some_are_missing(place):
    store = place.open()
    store.upsert_many(["a", "b", "c"], grid(3))

    found = place.again(store).get_many(["c", "x", "a", "c"])

    assert [record.id for record in found] == ["c", "a", "c"]


def test_ids_and_records_follow_the_slots_when_a_record_is_replaced(place):
    store = place.open()
    store.upsert_many(["a", "b", "c"], grid(3))
    store.upsert("a", [1, 1, 1, 1])

    store = place.again(store)

    assert store.ids() == ["b", "c", "a"]
    assert [record.id for record in store.records()] == ["b", "c", "a"]


def test_records_stay_on_one_view_when_the_store_is_written_meanwhile(place):
    store = place.open()
    store.upsert_many(["a", "b", "c"], grid(3))
    store = place.again(store)

    records = store.records()
    next(records)
    store.delete_many(["b", "c"])
    store.compact()

    assert [record.id for record in records] == ["b", "c"]


def test_in_says_no_when_asked_for_what_cannot_be_an_id(place):
    store = place.open()
    store.upsert("a", [1, 2])
    store = place.again(store)

    assert "a" in store
    assert [odd in store for odd in ("", "b", "x" * 2000, "\ud800", None, 5, b"a")] == [False] * 7


def test_get_raises_not_found_when_the_id_is_missing(place):
    store = place.open()

    with pytest.raises(NotFound, match=r"get.*'a'") as caught:
        store.get("a")

    assert caught.value.id == "a"


# ---- changing


def test_update_metadata_replaces_all_of_it_and_no_row_when_not_merging(place):
    store = place.open()
    store.upsert("a", [1, 2], {"x": 1, "y": 1}, ttl_s=60)
    expires_at = store.get("a").expires_at

    store.update_metadata("a", {"y": 2})

    store = place.again(store)
    record = store.get("a")
    assert record.metadata == {"y": 2}
    assert record.vector.tolist() == [1, 2]
    assert record.expires_at == expires_at
    assert store.stats().slots == 1


def test_update_metadata_keeps_other_top_level_keys_when_merging(place):
    store = place.open()
    store.upsert("a", [1, 2], {"x": 1, "deep": {"p": 1, "q": 2}})

    store.update_metadata("a", {"deep": {"p": 3}, "z": None}, merge=True)

    assert place.again(store).get("a").metadata == {"x": 1, "deep": {"p": 3}, "z": None}


@pytest.mark.parametrize("call", ["delete", "update_metadata", "set_ttl", "get"])
@pytest.mark.parametrize("state", ["missing", "deleted", "soft-deleted", "expired"])
def test_calls_that_need_a_record_raise_not_found_when_it_is(place, call, state):
    clock = Clock()
    store = place.open(clock=clock)
    store.upsert("other", [1, 2])
    if state != "missing":
        store.upsert("a", [1, 2], ttl_s=1 if state == "expired" else None)
    if state == "deleted":
        store.delete("a")
    if state == "soft-deleted":
        store.soft_delete("a")
    clock.advance(1)
    store = place.again(store)
    arguments = {"update_metadata": [{}], "set_ttl": [1]}.get(call, [])

    with pytest.raises(NotFound) as caught:
        getattr(store, call)("a", *arguments)

    assert caught.value.id == "a"
    assert "a" not in store
    assert store.get_many(["a", "other"])[0].id == "other"
    assert (store.ids(), store.count(), len(store)) == (["other"], 1, 1)
    assert store.query([1, 2]).ids == ["other"]


def test_delete_many_counts_what_was_there_when_ids_are_missing_or_repeated(place):
    store = place.open()
    store.upsert_many(["a", "b", "c"], grid(3))
    store.soft_delete("c")

    deleted = store.delete_many(["a", "x", "a", "c", "b"])

    assert deleted == 2
    assert place.again(store).ids() == []


def test_a_deleted_record_stays_away_when_compacted_and_reopened(place):
    store = place.open()
    store.upsert_many(names(30), grid(30))
    store.delete_many(names(20))
    store.upsert("r25", [1, 1, 1, 1])

    for _ in range(2):
        store.compact()
        store = place.again(store)

        found = store.query([1, 1, 1, 1], k=100).ids
        assert sorted(found) == [f"r{i}" for i in range(20, 30)]
        assert store.get("r25").vector.tolist() == [1, 1, 1, 1]
        assert "r3" not in store
