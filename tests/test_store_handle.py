"""The handle: batches of operations, properties, closing, and what a closed store says."""

import pytest

import vecstore
from tests.stores import SMALL, WHERE, Clock, Place, grid
from vecstore.errors import StoreClosed
from vecstore.model import BatchReport


@pytest.fixture(params=WHERE)
def place(request, tmp_path):
    with Place(request.param, tmp_path / "store") as place:
        yield place


# ---- batch


def test_batch_carries_out_every_operation_in_order_when_they_build_on_each_other(place):
    store = place.open()
    store.upsert_many(["gone", "soft", "meta"], grid(3), [{}, {"s": 1}, {"m": 1}])

    report = store.batch(
        [
            {"op": "upsert", "id": "new", "vector": [1, 1, 1, 1], "metadata": {"v": 1}},
            {"op": "update_metadata", "id": "new", "metadata": {"v": 2}},
            {"op": "delete", "id": "gone"},
            {"op": "upsert", "id": "gone", "vector": [2, 2, 2, 2]},
            {"op": "delete", "id": "gone"},
            {"op": "soft_delete", "id": "soft"},
            {"op": "soft_delete", "id": "soft"},
            {"op": "restore", "id": "soft"},
            {"op": "restore", "id": "soft"},
            {"op": "soft_delete", "id": "meta"},
        ]
    )

    store = place.again(store)
    assert report == BatchReport(upserted=2, deleted=2, soft_deleted=2, restored=1, updated=1)
    assert store.ids() == ["new", "soft"]
    assert [r.metadata for r in store.records()] == [{"v": 2}, {"s": 1}]
    assert store.restore("meta")


def test_batch_takes_one_seqno_when_it_holds_many_operations():
    with vecstore.open() as store:
        store.batch([{"op": "upsert", "id": str(i), "vector": [i, 1]} for i in range(5)])

        assert store.stats().seqno == 1


def test_batch_gives_a_ttl_when_asked(place):
    clock = Clock()
    store = place.open(clock=clock)

    store.batch([{"op": "upsert", "id": "a", "vector": [1, 2], "ttl_s": 3}])

    assert place.again(store).get("a").expires_at == clock() + 3000


def test_batch_does_nothing_when_it_is_empty():
    with vecstore.open() as store:
        assert store.batch([]) == BatchReport()
        assert store.stats().seqno == 0


# ---- the handle


def test_properties_tell_what_was_asked_for_when_opened(tmp_path):
    with vecstore.open(tmp_path / "s", dim=3, metric="L2", config=SMALL) as store:
        assert (store.path, store.dim, store.metric) == (tmp_path / "s", 3, "euclidean")
        assert (store.config.flat_threshold, store.closed) == (8, False)
        assert store.index is not None
        assert store.index.dim == 3


def test_dim_and_index_come_with_the_first_vector_when_not_given():
    with vecstore.open() as store:
        assert (store.path, store.dim, store.index, store.metric) == (None, None, None, "cosine")

        store.upsert("a", [1, 2, 3])

        assert (store.dim, len(store.index)) == (3, 1)


def test_repr_tells_size_and_metric_when_open_and_state_when_closed():
    store = vecstore.open(metric="dot")
    store.upsert("a", [1, 2, 3])

    assert repr(store) == "<VecStore :memory:: 1 x 3, dot>"

    store.close()
    assert repr(store) == "<VecStore :memory:: closed>"


def test_close_does_nothing_when_called_twice(tmp_path):
    store = vecstore.open(tmp_path)

    store.close()
    store.close()

    assert store.closed


def test_with_closes_the_store_when_the_block_raises(tmp_path):
    def fill(store):
        with store:
            store.upsert("a", [1, 2])
            raise ZeroDivisionError

    store = vecstore.open(tmp_path)
    with pytest.raises(ZeroDivisionError):
        fill(store)

    assert store.closed
    with vecstore.open(tmp_path) as again:
        assert again.ids() == ["a"]


def test_a_store_warns_and_unlocks_when_it_was_never_closed(tmp_path):
    leaked = [vecstore.open(tmp_path)]

    with pytest.warns(ResourceWarning, match="never closed"):
        leaked.clear()

    vecstore.open(tmp_path).close()


CALLS = {
    "upsert": lambda s: s.upsert("a", [1, 2]),
    "upsert_many": lambda s: s.upsert_many(["a"], [[1, 2]]),
    "batch": lambda s: s.batch([]),
    "query": lambda s: s.query([1, 2]),
    "query_many": lambda s: s.query_many([[1, 2]]),
    "iter_query": lambda s: s.iter_query([1, 2]),
    "get": lambda s: s.get("a"),
    "get_many": lambda s: s.get_many(["a"]),
    "in": lambda s: "a" in s,
    "ids": lambda s: s.ids(),
    "records": lambda s: s.records(),
    "count": lambda s: s.count(),
    "len": len,
    "update_metadata": lambda s: s.update_metadata("a", {}),
    "set_ttl": lambda s: s.set_ttl("a", 1),
    "delete": lambda s: s.delete("a"),
    "delete_many": lambda s: s.delete_many(["a"]),
    "soft_delete": lambda s: s.soft_delete("a"),
    "restore": lambda s: s.restore("a"),
    "optimize": lambda s: s.optimize(),
    "compact": lambda s: s.compact(),
    "checkpoint": lambda s: s.checkpoint(),
    "expire": lambda s: s.expire(),
    "stats": lambda s: s.stats(),
    "fingerprint": lambda s: s.fingerprint(),
}


@pytest.mark.parametrize("call", CALLS)
def test_every_call_raises_store_closed_when_the_store_is(call):
    store = vecstore.open()
    store.upsert("a", [1, 2])
    store.close()

    with pytest.raises(StoreClosed):
        CALLS[call](store)
