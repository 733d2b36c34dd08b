"""Records that come and go: soft deletion, restoration, time to live."""

import pytest

import vecstore
from tests.stores import SMALL, WHERE, Clock, Place, grid, names
from vecstore.errors import NotFound


@pytest.fixture(params=WHERE)
def place(request, tmp_path):
    with Place(request.param, tmp_path / "store") as place:
        yield place


# ---- soft_delete and restore


def test_soft_delete_hides_until_restore_when_the_record_is_live(place):
    clock = Clock()
    store = place.open(clock=clock)
    store.upsert("a", [1, 2], {"x": 1}, ttl_s=60)
    before = store.get("a")
    clock.advance(1)

    assert store.soft_delete("a") is True
    store = place.again(store)
    assert store.ids() == []
    assert store.restore("a") is True
    store = place.again(store)

    record = store.get("a")
    assert (record.vector.tolist(), record.metadata) == ([1, 2], {"x": 1})
    assert (record.created_at, record.expires_at) == (before.created_at, before.expires_at)
    assert record.deleted_at is None


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_restore_gives_the_vector_bit_for_bit_when_the_metric_is(place, metric):
    row = [0.1, -0.7, 3.3]
    store = place.open(metric=metric)
    store.upsert("a", row)
    before = store.get("a").vector
    store.soft_delete("a")

    store = place.again(store)
    store.restore("a")

    assert place.again(store).get("a").vector.tobytes() == before.tobytes()


def test_soft_delete_says_false_when_there_is_nothing_to_hide(place):
    clock = Clock()
    store = place.open(clock=clock)
    store.upsert_many(["gone", "soft"], grid(2))
    store.upsert("old", [1, 1, 1, 1], ttl_s=1)
    store.delete("gone")
    store.soft_delete("soft")
    clock.advance(1)
    seqno = store.stats().seqno

    said = [store.soft_delete(name) for name in ("gone", "soft", "old", "never")]

    assert said == [False] * 4
    assert store.stats().seqno == seqno


def test_restore_says_false_when_there_is_nothing_to_bring_back(place):
    store = place.open()
    store.upsert_many(["live", "gone", "again"], grid(3))
    store.delete("gone")
    store.soft_delete("again")
    store.upsert("again", [1, 1, 1, 1])
    store = place.again(store)

    said = [store.restore(name) for name in ("live", "gone", "again", "never")]

    assert said == [False] * 4
    assert store.get("again").vector.tolist() == [1, 1, 1, 1]


def test_restore_says_false_when_the_record_was_replaced_and_deleted(place):
    store = place.open()
    store.upsert("a", [1, 2])
    store.soft_delete("a")
    store.upsert("a", [3, 4])
    store.delete("a")

    assert place.again(store).restore("a") is False


def test_compact_forgets_soft_deleted_records_for_good_when_called(place):
    store = place.open()
    store.upsert_many(["a", "b"], grid(2))
    store.soft_delete("a")

    removed = store.compact()

    store = place.again(store)
    assert removed == 1
    assert store.restore("a") is False
    assert [r.id for r in store.records(deleted=True)] == ["b"]


def test_restore_takes_a_new_slot_when_it_brings_back(place):
    store = place.open()
    store.upsert_many(["a", "b"], grid(2))
    store.soft_delete("a")

    store.restore("a")

    assert store.ids() == ["b", "a"]
    assert store.stats().slots == 3


def test_records_gives_hidden_and_expired_ones_too_when_asked_for_deleted(place):
    clock = Clock()
    store = place.open(clock=clock)
    store.upsert_many(["live", "soft", "gone", "new"], grid(4))
    store.upsert("old", [1, 1, 1, 1], ttl_s=1)
    store.upsert("new", [1, 1, 1, 1])
    clock.advance(1)
    store.soft_delete("soft")
    store.delete("gone")
    hidden_at = clock()
    clock.advance(5)

    records = list(place.again(store).records(deleted=True))

    assert [r.id for r in records] == ["live", "soft", "old", "new"]
    assert [r.deleted_at for r in records] == [None, hidden_at, None, None]


def test_stats_count_each_kind_when_records_were_hidden_replaced_and_deleted(place):
    store = place.open()
    store.upsert_many(names(10), grid(10))
    store.soft_delete("r0")
    store.soft_delete("r1")
    store.upsert("r1", [1, 1, 1, 1])
    store.delete("r2")

    stats = place.again(store).stats()

    assert (stats.live, stats.soft_deleted, stats.dead) == (8, 1, 2)
    assert (stats.slots, stats.indexed + stats.tail) == (11, 11)


@pytest.mark.parametrize("start", [0, 1])
def test_soft_delete_can_be_restored_when_the_clock_stands_at(start):
    with vecstore.open(clock=Clock(start)) as store:
        store.upsert("a", [1, 2])

        assert store.soft_delete("a")
        assert store.restore("a")


# ---- time to live


def test_a_record_expires_at_the_millisecond_when_its_ttl_passes(place):
    clock = Clock()
    store = place.open(clock=clock)
    store.upsert("a", [1, 2], ttl_s=1)
    store.upsert("b", [1, 2])
    store = place.again(store)

    clock.now += 999
    assert store.ids() == ["a", "b"]
    clock.now += 1
    assert store.ids() == ["b"]
    assert store.query([1, 2]).ids == ["b"]
    clock.now -= 1
    assert store.query([1, 2]).ids == ["a", "b"]


def test_expiry_changes_visibility_only_when_nobody_sweeps(place):
    clock = Clock()
    store = place.open(clock=clock)
    store.upsert_many(names(5), grid(5))
    store.set_ttl("r0", 1)
    before = store.stats(), store.fingerprint()

    clock.advance(2)
    store.query([1, 1, 1, 1])

    assert store.count() == 4
    assert (store.stats(), store.fingerprint()) == before


def test_expire_deletes_and_counts_when_records_outlived_their_ttl(place):
    clock = Clock()
    store = place.open(clock=clock)
    for number in range(6):
        store.upsert(f"r{number}", [number, 1], ttl_s=number + 1)
    clock.advance(3)
    store = place.again(store)

    counted = store.expire(), store.expire()

    store = place.again(store)
    assert counted == (3, 0)
    assert [r.id for r in store.records(deleted=True)] == ["r3", "r4", "r5"]
    assert (store.stats().live, store.stats().dead) == (3, 3)
    assert store.restore("r0") is False


def test_set_ttl_moves_and_removes_the_expiry_when_called(place):
    clock = Clock()
    store = place.open(clock=clock)
    store.upsert_many(["later", "never", "sooner"], grid(3))
    for name in ("later", "never"):
        store.set_ttl(name, 10)
    clock.advance(5)

    store.set_ttl("later", 100)
    store.set_ttl("never", None)
    store.set_ttl("sooner", 0.25)

    store = place.again(store)
    expiries = [r.expires_at for r in store.records()]
    assert expiries == [clock() + 100_000, None, clock() + 250]
    clock.advance(50)
    assert store.ids() == ["later", "never"]


def test_upsert_outlives_the_old_ttl_when_the_record_is_replaced(place):
    clock = Clock()
    store = place.open(clock=clock)
    store.upsert("a", [1, 2], ttl_s=1)
    store.upsert("a", [3, 4])
    clock.advance(10)

    store = place.again(store)

    assert store.expire() == 0
    assert store.get("a").vector.tolist() == [3, 4]


def test_restore_drops_an_expiry_that_has_passed_when_it_was_not_swept(place):
    clock = Clock()
    store = place.open(clock=clock)
    store.upsert("a", [1, 2], {"x": 1}, ttl_s=1)
    clock.advance(2)
    store = place.again(store)

    assert store.restore("a") is True

    record = place.again(store).get("a")
    assert (record.metadata, record.expires_at) == ({"x": 1}, None)


def test_an_expired_record_cannot_be_touched_when_an_upsert_could_replace_it(place):
    clock = Clock()
    store = place.open(clock=clock)
    store.upsert("a", [1, 2], ttl_s=1)
    clock.advance(1)

    with pytest.raises(NotFound):
        store.update_metadata("a", {"x": 1}, merge=True)
    store.upsert("a", [5, 6])

    assert store.get("a").vector.tolist() == [5, 6]


def test_compact_keeps_expired_records_restorable_when_nobody_swept(place):
    clock = Clock()
    store = place.open(clock=clock)
    store.upsert("old", [1, 2], ttl_s=1)
    store.upsert_many(["a", "b"], [[1, 1], [2, 2]])
    store.delete("a")
    clock.advance(1)

    store.compact()

    store = place.again(store)
    assert store.ids() == ["b"]
    assert [r.id for r in store.records(deleted=True)] == ["old", "b"]


@pytest.mark.parametrize("ttl_s", [1e-9, 1e6, 1e15, 1e300])
def test_ttl_is_kept_within_what_fits_when_it_is(ttl_s):
    clock = Clock()
    with vecstore.open(config=SMALL, clock=clock) as store:
        store.upsert("a", [1, 2], ttl_s=ttl_s)

        assert clock() < store.get("a").expires_at < 2**63
