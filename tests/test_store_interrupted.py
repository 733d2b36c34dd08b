"""A write that is cut short half way: it did not happen, now or after reopening."""

import pytest

from tests.stores import WHERE, Place, contents, grid, names


@pytest.fixture(params=WHERE)
def place(request, tmp_path):
    with Place(request.param, tmp_path / "store") as place:
        yield place


class CutShort(KeyboardInterrupt):
    """Ctrl-C, told apart from a real one."""


class Interrupted:
    """Rows whose n-th growth from now on is interrupted; otherwise the rows of the index."""

    def __init__(self, rows, countdown):
        self.__dict__.update(rows=rows, countdown=countdown)

    def __getattr__(self, name):
        return getattr(self.rows, name)

    def __setattr__(self, name, value):
        setattr(self.rows, name, value)

    def reserve(self, n):
        self.__dict__["countdown"] -= 1
        if self.__dict__["countdown"] == 0:
            raise CutShort
        self.rows.reserve(n)


@pytest.mark.parametrize("countdown", [1, 2, 3])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_a_batch_did_not_happen_when_it_was_interrupted(place, countdown, metric):
    store = place.open(metric=metric)
    store.upsert_many(names(30), grid(30))
    store.soft_delete("r9")
    store = place.again(store)
    store.upsert("recent", [1, 1, 1, 1])
    before = contents(store)
    operations = [
        {"op": "upsert", "id": "new", "vector": [1, 2, 3, 4]},
        {"op": "delete", "id": "r0"},
        {"op": "soft_delete", "id": "recent"},
        {"op": "restore", "id": "r9"},
        {"op": "update_metadata", "id": "r1", "metadata": {"x": 1}},
        {"op": "upsert", "id": "r2", "vector": [4, 3, 2, 1]},
    ]
    rows = store._writer.table.index.storage
    store._writer.table.index.storage = Interrupted(rows, countdown)

    with pytest.raises(CutShort):
        store.batch(operations)

    store._writer.table.index.storage = rows
    assert contents(store) == before
    store.batch(operations)
    store = place.again(store)
    assert store.ids()[-4:] == ["r29", "new", "r9", "r2"]
    assert ("recent" in store, store.get("r1").metadata) == (False, {"x": 1})
    assert store.restore("recent")
