"""The writer's side: what a call changes, and that a failed one changed nothing."""

import numpy as np
import pytest

from tests.stores import grid, names
from vecstore.config import HnswConfig, StoreConfig
from vecstore.engine.chunks import CHUNK, UNSET
from vecstore.engine.records import Appended
from vecstore.engine.table import Table
from vecstore.engine.view import NEVER
from vecstore.kernels import bitset
from vecstore.model import Record

CONFIG = StoreConfig(flat_threshold=8, maintenance="inline", hnsw=HnswConfig(m=4))
NOW = 1000


def records(ids, rows, *, expires_at=UNSET):
    n = len(ids)
    return Appended(
        ids=list(ids),
        matrix=np.asarray(rows, np.float32),
        metadata=[b"\x80"] * n,
        created_at=np.full(n, NOW, np.int64),
        expires_at=np.full(n, expires_at, np.int64),
    )


def plain(record: Record):
    return {**record.__dict__, "vector": record.vector.tolist()}


def seen(view, ids):
    """Everything a view shows, as plain data."""
    return {
        "n": view.n,
        "seqno": view.seqno,
        "slots": view.slots(NOW).tolist(),
        "kept": view.kept_slots().tolist(),
        "found": [view.names.find(record_id, view.n) for record_id in ids],
        "visible": [view.find(record_id, NOW) for record_id in ids],
        "records": [plain(view.record(slot)) for slot in range(view.n)],
        "counts": (view.n_live, view.next_expiry),
    }


@pytest.fixture(params=["cosine", "euclidean"])
def table(request):
    table = Table(None, request.param, None, CONFIG)
    table.mark(table.view())
    table.append(records(names(20), grid(20)))
    table.mark(table.view())
    table.kill(3, hidden_at=NOW)
    return table


def change_everything(table):
    """One of each primitive, on old slots and new ones."""
    table.append(records(["new", "r1", "new"], grid(3, seed=1), expires_at=NOW + 5))
    table.kill(0)
    table.kill(5, hidden_at=NOW + 1)
    table.revive(3, NOW)
    table.set_metadata(2, b"\x81\xa1x\x01")
    table.set_expiry(2, NOW + 3)
    table.append(records(["last", "r0"], grid(2, seed=2)))
    table.seqno += 1


IDS = [*names(20), "new", "last", "never"]


def test_a_view_stays_as_it_was_when_everything_changes_later(table):
    view = table.view()
    before = seen(view, IDS)

    table.mark(table.view())
    change_everything(table)

    assert seen(view, IDS) == before
    assert seen(table.view(), IDS) != before


def test_rollback_leaves_no_trace_when_a_call_failed_half_way(table):
    before, view = seen(table.view(), IDS), table.view()
    fingerprint = table.index.fingerprint()
    mark = table.mark(table.view())
    change_everything(table)

    table.rollback(mark)

    assert seen(table.view(), IDS) == before == seen(view, IDS)
    assert table.index.fingerprint() == fingerprint
    assert (table.n_live, table.n_soft) == (19, 1)


def test_later_calls_come_out_alike_when_one_before_was_rolled_back(table):
    twin = Table(None, table.metric, None, CONFIG)
    twin.mark(twin.view())
    twin.append(records(names(20), grid(20)))
    twin.mark(twin.view())
    twin.kill(3, hidden_at=NOW)
    for _ in range(3):
        mark = table.mark(table.view())
        change_everything(table)
        table.rollback(mark)

    for either in (table, twin):
        either.mark(either.view())
        change_everything(either)

    assert seen(table.view(), IDS) == seen(twin.view(), IDS)
    assert table.index.fingerprint() == twin.index.fingerprint()


def test_rollback_forgets_the_dimension_when_it_came_with_the_failed_call():
    table = Table(None, "euclidean", None, CONFIG)
    mark = table.mark(table.view())
    table.append(records(["a"], [[1, 2]]))

    table.rollback(mark)

    assert (table.dim, table.n, table.n_live) == (None, 0, 0)
    table.mark(table.view())
    table.append(records(["b"], [[1, 2, 3]]))
    assert (table.dim, table.view().record(0).id) == (3, "b")
    assert table.view().find("a", NOW) == -1


def test_rollback_keeps_a_view_of_many_chunks_when_the_call_began_a_new_chunk():
    table = Table(None, "euclidean", 2, CONFIG)
    first = CHUNK - 2
    table.mark(table.view())
    table.append(records(names(first), np.ones((first, 2))))
    mark = table.mark(table.view())
    table.append(records(names(10, "x"), np.zeros((10, 2)), expires_at=NOW + 1))

    table.rollback(mark)

    table.mark(table.view())
    table.append(records(names(5, "y"), np.full((5, 2), 3)))
    view = table.view()
    tail = [view.record(slot) for slot in range(first, view.n)]
    assert [r.id for r in tail] == names(5, "y")
    assert {(r.vector[0], r.expires_at, r.created_at) for r in tail} == {(3, None, NOW)}
    assert table.next_expiry == NEVER


def test_refresh_expiry_finds_the_next_one_when_the_earliest_died():
    table = Table(None, "euclidean", 2, CONFIG)
    table.mark(table.view())
    for number in range(3):
        table.append(records([str(number)], [[1, 2]], expires_at=NOW + number))
    assert table.next_expiry == NOW

    table.kill(0)
    table.refresh_expiry()

    assert table.next_expiry == NOW + 1


def test_the_live_set_counts_what_it_holds_when_slots_cross_words(table):
    table.mark(table.view())
    table.append(records(names(200, "w"), np.ones((200, 4))))
    for slot in (63, 64, 127, 128, 219):
        table.kill(slot)

    alive = bitset.unpack_mask(table.view().live, table.n)

    assert table.n_live == alive.sum() == 19 + 200 - 5
    assert not alive[[3, 63, 64, 127, 128, 219]].any()


# ---- visibility at a moment


def test_visible_answers_for_any_moment_when_times_are_asked_in_any_order():
    table = Table(None, "euclidean", 2, CONFIG)
    table.mark(table.view())
    for number, expires_at in enumerate([UNSET, NOW + 10, NOW + 20, UNSET, NOW + 10]):
        table.append(records([str(number)], [[1, 2]], expires_at=expires_at))
    table.kill(3)
    view = table.view()
    truth = {0: [0, 1, 2, 4], NOW + 9: [0, 1, 2, 4], NOW + 10: [0, 2], NOW + 19: [0, 2]}
    truth |= {NOW + 20: [0], NOW + 99: [0], NEVER - 1: [0]}

    for moment in [*truth, *reversed(truth), NOW + 10, 0, NOW + 20, NOW + 9]:
        assert view.slots(moment).tolist() == truth[moment]
        assert view.visible(moment).n_visible == len(truth[moment])


def test_visible_has_no_mask_when_every_slot_may_be_returned():
    table = Table(None, "euclidean", 2, CONFIG)
    table.mark(table.view())
    table.append(records(names(5), np.ones((5, 2))))

    assert len(table.view().visible(NOW).mask) == 0
    table.kill(0)
    assert len(table.view().visible(NOW).mask) == 1
