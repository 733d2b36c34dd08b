"""Upkeep: absorbing, compacting, checkpoints, and the fingerprint that none of it may move."""

import shutil
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vecstore
from tests.stores import SMALL, WHERE, Clock, Place, contents, grid, names
from vecstore.storage.frames import LOG_HEADER_BYTES

N = 700
ROWS = grid(N, 3)


@pytest.fixture(params=WHERE)
def place(request, tmp_path):
    with Place(request.param, tmp_path / "store") as place:
        yield place


def fingerprint_of(rows, *, cuts=(), metric="l2", **config):
    """Fill a store with rows in chunks and take its fingerprint."""
    with vecstore.open(metric=metric, config={**SMALL, **config}) as store:
        bounds = [0, *sorted(cuts), len(rows)]
        for first, last in pairwise(bounds):
            store.upsert_many(names(len(rows))[first:last], rows[first:last])
        return store.fingerprint()


@pytest.fixture(scope="module")
def in_one_call():
    return fingerprint_of(ROWS)


# ---- the same fingerprint


def test_fingerprint_is_the_same_when_rows_come_one_at_a_time(in_one_call):
    with vecstore.open(metric="l2", config=SMALL) as store:
        for number, row in enumerate(ROWS):
            store.upsert(f"r{number}", row)

        assert store.fingerprint() == in_one_call
        assert store.stats().indexed > 0


@settings(max_examples=8, database=None)
@given(cuts=st.lists(st.integers(0, N), max_size=12))
def test_fingerprint_is_the_same_when_rows_come_in_chunks_of_any_size(in_one_call, cuts):
    assert fingerprint_of(ROWS, cuts=cuts) == in_one_call


@pytest.mark.parametrize(
    "config", [{"threads": 2}, {"maintenance": "background"}, {"hnsw": {"ef_search": 7}}], ids=str
)
def test_fingerprint_is_the_same_when_only_the_handle_differs(in_one_call, config):
    assert fingerprint_of(ROWS, cuts=[100, 101, 333], **config) == in_one_call


@pytest.mark.parametrize(
    "config",
    [
        {"flat_threshold": 9},
        {"hnsw": {"seed": 1}},
        {"hnsw": {"m": 8}},
        {"hnsw": {"ef_construction": 3}},
    ],
    ids=str,
)
def test_fingerprint_differs_when_a_fixed_setting_does(in_one_call, config):
    assert fingerprint_of(ROWS, **config) != in_one_call


def test_fingerprint_differs_when_one_component_does(in_one_call):
    rows = ROWS.copy()
    rows[-1, -1] = np.nextafter(rows[-1, -1], np.float32(np.inf))

    assert fingerprint_of(rows) != in_one_call


@pytest.mark.parametrize("cuts", [[1], [8], [256, 257], [5, 300, 699]], ids=str)
def test_fingerprint_is_the_same_when_reopened_in_the_middle(tmp_path, in_one_call, cuts):
    bounds = [0, *cuts, N]
    for first, last in pairwise(bounds):
        with vecstore.open(tmp_path, metric="l2", config=SMALL) as store:
            store.upsert_many(names(N)[first:last], ROWS[first:last])

    with vecstore.open(tmp_path) as store:
        assert store.fingerprint() == in_one_call


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_fingerprint_is_the_same_when_the_same_operations_are_cut_otherwise(tmp_path, metric):
    def run(path, config, reopen):
        store = vecstore.open(path, metric=metric, config={**SMALL, **config})
        for turn in range(5):
            store.upsert_many(names(60, f"{turn}-"), grid(60, seed=turn))
            store.soft_delete(f"{turn}-3")
            store.delete_many([f"{turn}-{i}" for i in range(10, 20)])
            store.restore(f"{turn}-3")
            store.upsert(f"{turn}-5", [1, 2, 3, 4])
            if reopen:
                store.close()
                store = vecstore.open(path)
        with store:
            return store.fingerprint(), store.ids()

    plain = run(":memory:", {}, False)
    other = run(tmp_path, {"threads": 2, "maintenance": "background"}, True)

    assert plain == other


def test_fingerprint_does_not_see_ids_and_metadata_when_rows_are_equal():
    with vecstore.open(metric="l2") as one, vecstore.open(metric="l2") as other:
        one.upsert_many(["a", "b"], [[1, 2], [3, 4]])
        other.upsert_many(["x", "y"], [[1, 2], [3, 4]], [{"n": 1}, {}])

        assert one.fingerprint() == other.fingerprint()


# ---- optimize


def test_optimize_leaves_no_tail_and_no_other_answers_when_called(place):
    store = place.open()
    store.upsert_many(names(N), ROWS)
    store.delete("r3")
    before = [store.query(row, k=20, ef=N).ids for row in ROWS[:20]]
    assert store.stats().tail > 0

    store.optimize()

    store = place.again(store)
    assert (store.stats().tail, store.stats().indexed) == (0, N)
    assert [store.query(row, k=20, ef=N).ids for row in ROWS[:20]] == before
    result = store.query(ROWS[0], k=3, ef=10)
    assert result.exact or result.stats.n_scanned == 0


def test_optimize_builds_a_graph_when_the_store_is_below_its_threshold(place):
    store = place.open(config={"flat_threshold": 1000})
    store.upsert_many(names(100), grid(100))

    store.optimize()

    store = place.again(store)
    assert (store.stats().tail, store.stats().indexed) == (0, 100)
    assert not store.query(grid(1)[0], k=1, ef=5).exact


def test_optimize_tells_its_progress_when_asked():
    calls = []
    with vecstore.open(metric="l2", config={"flat_threshold": 10_000}) as store:
        store.upsert_many(names(N), ROWS)

        store.optimize(progress=lambda done, total: calls.append((done, total)))

    assert calls == sorted(calls)
    assert calls[-1] == (N, N)


def test_optimize_gives_the_same_graph_when_called_at_the_same_moment(tmp_path):
    def run(path, reopen):
        store = vecstore.open(path, metric="l2", config=SMALL)
        store.upsert_many(names(301), ROWS[:301])
        store.optimize()
        if reopen:
            store.close()
            store = vecstore.open(path)
        store.upsert_many(names(N)[301:], ROWS[301:])
        with store:
            return store.fingerprint()

    assert run(":memory:", False) == run(tmp_path, True) != fingerprint_of(ROWS)


def test_upsert_many_tells_its_progress_when_asked():
    calls = []
    with vecstore.open(metric="l2", config={"flat_threshold": 100}) as store:
        store.upsert_many(names(N), ROWS, progress=lambda *call: calls.append(call))

        indexed = store.stats().indexed

    assert calls == sorted(calls)
    assert calls[-1] == (indexed, indexed)


# ---- compact


def some_dead(store):
    """Fill a store, kill two of three records in every way; return survivors in slot order."""
    store.upsert_many(names(N), ROWS)
    store.delete_many([f"r{i}" for i in range(0, N, 3)])
    for i in range(1, 200, 3):
        store.soft_delete(f"r{i}")
    for i in range(2, 100, 3):
        store.upsert(f"r{i}", ROWS[i][::-1])
    return [(r.id, r.vector, r.metadata) for r in store.records()]


@pytest.mark.parametrize("optimized", [False, True])
def test_compact_gives_the_fingerprint_of_a_fresh_store_when_slots_are_dead(place, optimized):
    store = place.open()
    survivors = some_dead(store)
    if optimized:
        store.optimize()
    dead = store.stats().slots - len(survivors)

    removed = store.compact()

    store = place.again(store)
    fresh = fingerprint_of(np.array([vector for _, vector, _ in survivors]))
    assert removed == dead > 0
    assert store.fingerprint() == fresh
    assert [r.id for r in store.records()] == [record_id for record_id, *_ in survivors]
    assert (store.stats().slots, store.stats().dead) == (len(survivors), 0)


def test_compact_changes_nothing_when_no_slot_is_dead_but_optimized(place):
    store = place.open()
    store.upsert_many(names(300), ROWS[:300])
    store.optimize()
    store.upsert_many(names(N)[300:], ROWS[300:])

    before = store.fingerprint()

    removed = store.compact()

    assert removed == 0
    assert place.again(store).fingerprint() == before


def test_compact_keeps_cosine_rows_bit_for_bit_when_slots_are_dead(place):
    rows = np.random.default_rng(0).normal(size=(120, 5)).astype(np.float32)
    store = place.open(metric="cosine")
    store.upsert_many(names(120), rows)
    store.delete_many(names(60))

    store.compact()

    store = place.again(store)
    assert store.fingerprint() == fingerprint_of(rows[60:], metric="cosine")
    np.testing.assert_allclose([r.vector for r in store.records()], rows[60:], rtol=3e-7)


def test_compact_keeps_times_and_metadata_when_slots_move(place):
    clock = Clock()
    store = place.open(clock=clock)
    for i in range(50):
        clock.advance(1)
        store.upsert(f"r{i}", [i, 1], {"i": i}, ttl_s=1000 if i == 40 else None)
    kept = contents(store)["records"][20:]
    store.delete_many(names(20))

    store.compact()

    assert contents(place.again(store))["records"] == kept


def test_compact_does_nothing_when_nothing_is_dead(place):
    store = place.open()
    assert store.compact() == 0
    store.upsert_many(names(20), grid(20))
    before = contents(store)

    removed = store.compact()

    assert removed == 0
    assert contents(store) == before


def test_compact_leaves_a_usable_store_when_everything_was_deleted(place):
    store = place.open()
    store.upsert_many(names(30), grid(30))
    store.delete_many(names(30))

    removed = store.compact()
    store = place.again(store)
    store.upsert("a", [1, 2, 3, 4])

    store = place.again(store)
    assert removed == 30
    assert (store.ids(), store.dim, store.stats().slots) == (["a"], 4, 1)


# ---- checkpoint and stats


@pytest.mark.parametrize("durability", ["full", "interval", "off"])
@pytest.mark.parametrize("checkpoints", [0, 1, 2])
def test_everything_written_is_there_when_the_process_dies(tmp_path, checkpoints, durability):
    config = {**SMALL, "durability": durability}
    store = vecstore.open(tmp_path / "store", metric="l2", config=config)
    store.upsert_many(names(50), grid(50))
    for turn in range(checkpoints):
        store.checkpoint()
        store.upsert(f"later{turn}", [1, 1, 1, 1])
    # the system goes on, and with it what it was given to write
    shutil.copytree(tmp_path / "store", tmp_path / "copy")

    with store, vecstore.open(tmp_path / "copy", check="full") as survivor:
        assert survivor.ids() == [*names(50), *names(checkpoints, "later")]
        assert survivor.fingerprint() == store.fingerprint()
        assert survivor.stats().generation == 1 + checkpoints
        assert survivor.verify().ok


def test_a_generation_holds_all_but_what_came_later_when_the_log_is_lost(tmp_path):
    with vecstore.open(tmp_path / "store", metric="l2", config=SMALL) as store:
        store.upsert_many(names(50), grid(50))
        store.checkpoint()
        shutil.copytree(tmp_path / "store", tmp_path / "copy")
        store.upsert("later", [1, 1, 1, 1])
    (log,) = (tmp_path / "copy").glob("wal-*")

    assert log.stat().st_size == LOG_HEADER_BYTES
    with vecstore.open(tmp_path / "copy", check="full") as survivor:
        assert survivor.ids() == names(50)


def test_checkpoint_changes_nothing_but_the_generation_when_called(tmp_path):
    with vecstore.open(tmp_path, metric="l2", config=SMALL) as store:
        store.upsert_many(names(100), grid(100))
        store.soft_delete("r1")
        before = contents(store)

        for turn in range(3):
            store.upsert("new", [turn, 1, 1, 1])
            store.delete("new")
            store.checkpoint()
            store.checkpoint()

        after = contents(store)

    assert after["records"] == before["records"]
    assert after["stats"].generation == before["stats"].generation + 3


def test_stats_count_bytes_and_generations_when_on_disk(tmp_path):
    with vecstore.open(tmp_path, metric="l2", config=SMALL) as store:
        empty = store.stats()
        store.upsert_many(names(100), grid(100))
        store.checkpoint()

        stats = store.stats()

    files = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    data = sum(size for name, size in files.items() if name.endswith(".bin"))
    assert (empty.slots, empty.dim, empty.generation, empty.disk_bytes) == (0, None, 1, 0)
    assert (stats.dim, stats.metric, stats.seqno, stats.generation) == (4, "euclidean", 1, 2)
    assert stats.disk_bytes == data
    assert stats.vector_bytes >= 100 * 4 * 4
    assert stats.graph_bytes > 0


def test_only_files_of_one_generation_are_left_when_closed_many_times(tmp_path):
    for turn in range(4):
        with vecstore.open(tmp_path, metric="l2", config=SMALL) as store:
            store.upsert(str(turn), [turn, 1])
            if turn % 2:
                store.delete(str(turn - 1))
                store.compact()
            store.checkpoint()

    kinds = sorted(path.name.split("-")[0] for path in tmp_path.iterdir())
    data = ["checksums", "hnsw_index", "ids", "manifest", "metadata", "vectors", "wal"]
    assert kinds == ["CURRENT", "LOCK", *data]
