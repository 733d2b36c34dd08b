"""Queries: order, scores, counts, and what graph and exact scan both promise."""

import numpy as np
import pytest

import vecstore
from tests.stores import SMALL, WHERE, Clock, Place, euclidean, grid, names, nearest

QUERY = np.array([4, 4, 5, 5], np.float32)


@pytest.fixture(params=WHERE)
def place(request, tmp_path):
    with Place(request.param, tmp_path / "store") as place:
        yield place


# ---- query


def test_query_orders_by_distance_and_slot_when_distances_tie(place):
    rows = grid(60, 2)
    store = place.open(config={"flat_threshold": 1000})
    store.upsert_many(names(60), rows)
    store.upsert("r7", rows[7])

    result = place.again(store).query([4, 4], k=60)

    order = [(name, row) for name, row in zip(names(60), rows, strict=True) if name != "r7"]
    assert result.exact
    assert result.ids == nearest([*order, ("r7", rows[7])], np.array([4, 4]), 60)


@pytest.mark.parametrize(
    ("metric", "row", "distance", "score"),
    [
        ("cosine", [3, 4], 1 - 24 / 25, 24 / 25),
        ("dot", [3, 4], -24.0, 24.0),
        ("euclidean", [3, 4], 2**0.5, 1 / (1 + 2**0.5)),
        ("manhattan", [3, 4], 2.0, 1 / 3),
        ("chebyshev", [3, 4], 1.0, 1 / 2),
        ("hamming", [3, 0], 1.0, 1 / 2),
        ("jaccard", [3, 0], 1 / 2, 1 / 1.5),
        ("canberra", [3, 4], 2 / 7, 1 / (1 + 2 / 7)),
        ("braycurtis", [3, 4], 2 / 14, 1 / (1 + 2 / 14)),
    ],
)
def test_score_is_as_defined_when_metric_is(metric, row, distance, score):
    with vecstore.open(metric=metric) as store:
        store.upsert("a", row)

        hit = store.query([4, 3])[0]
        batch = store.query_many([[4, 3]], k=1)
        walked = next(store.iter_query([4, 3]))

    assert (hit.distance, hit.score) == pytest.approx((distance, score), abs=1e-6)
    assert walked == hit
    assert batch.distances[0, 0] == pytest.approx(distance, abs=1e-6)
    assert batch.scores[0, 0] == pytest.approx(score, abs=1e-6)


def test_query_result_gives_the_same_hits_in_every_form_when_asked():
    with vecstore.open(metric="l2") as store:
        store.upsert_many(["a", "b", "c"], [[0, 0], [3, 4], [6, 8]], [{"n": 1}, {}, {}])

        result = store.query([0, 0], k=2)

    assert len(result) == 2
    assert result.ids == ["a", "b"] == [hit.id for hit in result]
    assert result[1] is result[-1]
    assert result[:1] == [result[0]]
    assert (result.scores.dtype, result.distances.dtype) == (np.float32, np.float32)
    assert result.distances.tolist() == [0, 5]
    assert result.to_dicts()[0] == {
        "id": "a",
        "score": 1.0,
        "distance": 0.0,
        "metadata": {"n": 1},
        "text": None,
    }
    assert "2 hits, exact" in repr(result)


def test_query_stats_count_every_row_when_the_scan_was_exact():
    with vecstore.open(metric="l2", config={"flat_threshold": 1000}) as store:
        store.upsert_many(names(50), grid(50))
        store.delete("r0")

        result = store.query(QUERY, k=3)

    assert result.exact
    assert (result.stats.n_dist, result.stats.n_scanned, result.stats.n_hops) == (49, 49, 0)
    assert result.stats.elapsed_s > 0


def test_query_stats_count_fewer_rows_when_the_graph_answers():
    with vecstore.open(metric="l2", config=SMALL) as store:
        store.upsert_many(names(1000), np.random.default_rng(0).normal(size=(1000, 4)))
        tail = store.stats().tail

        result = store.query(np.zeros(4), k=3, ef=10)

    assert not result.exact
    assert result.stats.n_hops > 0
    assert tail == result.stats.n_scanned < result.stats.n_dist < 1000


def test_query_finds_more_of_the_nearest_when_ef_is_larger():
    rows = np.random.default_rng(0).normal(size=(1500, 24)).astype(np.float32)
    config = {**SMALL, "hnsw": {"m": 4, "ef_construction": 8, "ef_search": 1}}
    with vecstore.open(metric="l2", config=config) as store:
        store.upsert_many(names(1500), rows)
        queries = rows[:40] + 0.5
        exact = store.query_many(queries, k=1, ef=1500)

        narrow, wide = store.query_many(queries, k=1), store.query_many(queries, k=1, ef=200)

    assert exact.exact.all()
    assert not wide.exact.any()
    assert (narrow.ids == exact.ids).sum() < (wide.ids == exact.ids).sum()
    assert narrow.n_dist.sum() < wide.n_dist.sum()


def test_query_uses_the_handles_ef_search_when_none_is_given():
    with vecstore.open(metric="l2", config={**SMALL, "hnsw": {"ef_search": 17}}) as store:
        store.upsert_many(names(600), grid(600))

        default, given = store.query(QUERY, k=3), store.query(QUERY, k=3, ef=17)
        other = store.query(QUERY, k=3, ef=60)

    assert default.stats.n_dist == given.stats.n_dist != other.stats.n_dist


def test_query_gives_nothing_when_the_store_is_empty_or_k_is_zero(place):
    store = place.open()
    empty = store.query([1, 2]), store.query_many([[1, 2]], k=2), list(store.iter_query([1, 2]))
    store.upsert("a", [1, 2])

    nothing = place.again(store).query([1, 2], k=0)

    assert (empty[0].ids, empty[1].ids.tolist(), empty[2]) == ([], [[None, None]], [])
    assert (nothing.ids, nothing.exact) == ([], True)
    assert nothing.scores.shape == (0,)


# ---- min(k, matches), always


@pytest.mark.parametrize("metric", ["cosine", "euclidean", "dot", "jaccard"])
@pytest.mark.parametrize("rows", ["apart", "pairs", "equal"])
def test_query_gives_all_it_must_when_rows_are(metric, rows):
    n = 150
    matrix = {"apart": grid(n), "pairs": np.repeat(grid(n // 2), 2, axis=0), "equal": grid(1)}[rows]
    with vecstore.open(metric=metric, config=SMALL) as store:
        store.upsert_many(names(n), np.broadcast_to(matrix, (n, 4)))

        for k in (1, 7, 149, 150, 151, 10_000):
            result = store.query(QUERY, k=k, ef=1)

            assert len(set(result.ids)) == len(result) == min(k, n)
            assert (np.diff(result.distances) >= 0).all()
            assert np.isfinite(result.scores).all()


def test_query_gives_the_lowest_slots_when_all_rows_are_equal_and_the_scan_is_exact():
    with vecstore.open(metric="l2", config={"flat_threshold": 1000}) as store:
        store.upsert_many(names(50), np.ones((50, 3)))

        assert store.query([1, 1, 1], k=7).ids == names(7)


@pytest.mark.parametrize("metric", ["dot", "euclidean", "manhattan", "cosine"])
def test_query_gives_all_it_must_when_distances_overflow(metric):
    most = float(np.finfo(np.float32).max)
    rows = np.array([[most, most], [-most, most], [most, -most], [1, 1]] * 3)
    with vecstore.open(metric=metric, config={"flat_threshold": 4, "maintenance": "inline"}) as s:
        s.upsert_many(names(12), rows)

        for k in (1, 5, 12, 20):
            assert len(set(s.query([most, most], k=k, ef=1).ids)) == min(k, 12)


@pytest.mark.parametrize("way", ["delete", "soft_delete", "set_ttl", "upsert"])
@pytest.mark.parametrize("kept", [1, 12, 350])
def test_query_finds_every_record_left_when_most_went_by(place, way, kept):
    n, clock, rows = 400, Clock(), grid(400)
    store = place.open(clock=clock)
    store.upsert_many(names(n), rows)
    left = [f"r{i}" for i in np.random.default_rng(kept).permutation(n)[:kept]]
    gone = sorted(set(names(n)) - set(left))
    arguments = {"set_ttl": [1], "upsert": [[99, 99, 99, 99]]}.get(way, [])
    for name in gone:
        getattr(store, way)(name, *arguments)
    if way == "upsert":
        store.delete_many(gone)
    clock.advance(2)
    store = place.again(store)
    visible = [(f"r{i}", rows[i]) for i in range(n) if f"r{i}" in set(left)]

    for k in (1, 10, kept, n):
        result = store.query(QUERY, k=k, ef=10)

        assert len(set(result.ids)) == len(result) == min(k, kept)
        assert set(result.ids) <= set(left)
        if result.exact:
            assert result.ids == nearest(visible, QUERY, k)
        truth = [euclidean(rows[int(hit.id[1:])], QUERY) for hit in result]
        assert result.distances == pytest.approx(truth, rel=1e-6)


def test_a_replaced_record_is_found_where_it_is_now_when_the_old_row_is_in_the_graph(place):
    store = place.open()
    store.upsert_many(names(64), grid(64))
    store.optimize()

    store.upsert("r5", [100, 100, 100, 100])

    store = place.again(store)
    assert store.query(grid(64)[5], k=64).ids[-1] == "r5"
    assert store.query([100, 100, 100, 100], k=1)[0].distance == 0


# ---- query_many


def test_query_many_agrees_with_query_when_asked_the_same(place):
    store = place.open()
    store.upsert_many(names(300), grid(300))
    store.soft_delete("r3")
    store = place.again(store)
    queries = grid(40, seed=1) + 0.25

    batch = store.query_many(queries, k=5, ef=20)

    for q, query in enumerate(queries):
        result = store.query(query, k=5, ef=20)
        assert batch.ids[q].tolist() == result.ids
        assert batch.distances[q].tolist() == result.distances.tolist()
        assert batch.scores[q].tolist() == result.scores.tolist()
        assert batch.exact[q] == result.exact
        assert (batch.n_dist[q], batch.n_hops[q]) == (result.stats.n_dist, result.stats.n_hops)


def test_query_many_answers_the_same_when_spread_over_threads():
    with vecstore.open(metric="l2", config=SMALL) as store:
        store.upsert_many(names(500), grid(500))
        queries = grid(100, seed=1)

        one, two = store.query_many(queries), store.query_many(queries, threads=2)

    assert np.array_equal(one.ids, two.ids)
    assert np.array_equal(one.distances, two.distances)
    assert np.array_equal(one.n_dist, two.n_dist)


def test_query_many_pads_with_none_and_nan_when_k_exceeds_the_records(place):
    store = place.open()
    store.upsert_many(["a", "b"], [[1, 1], [2, 2]])

    batch = place.again(store).query_many([[1, 1], [2, 2], [5, 5]], k=3)

    assert batch.ids.tolist() == [["a", "b", None], ["b", "a", None], ["b", "a", None]]
    assert batch.scores.dtype == batch.distances.dtype == np.float32
    assert np.isnan(batch.scores).tolist() == [[False, False, True]] * 3
    assert np.isnan(batch.distances).tolist() == [[False, False, True]] * 3


@pytest.mark.parametrize(("q", "k"), [(0, 3), (2, 0)])
def test_query_many_gives_empty_arrays_when_nothing_is_asked(q, k):
    with vecstore.open(metric="l2") as store:
        store.upsert("a", [1, 2])

        batch = store.query_many(np.ones((q, 2)), k=k)

    assert batch.ids.shape == batch.scores.shape == batch.distances.shape == (q, k)
    assert batch.n_dist.shape == batch.n_hops.shape == (q,)


# ---- iter_query


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("threshold", [8, 10_000])
def test_iter_query_gives_each_match_once_when_walked_to_the_end(place, strict, threshold):
    store = place.open(config={**SMALL, "flat_threshold": threshold})
    store.upsert_many(names(300), grid(300))
    store.delete_many(names(20))
    store.soft_delete("r20")
    store = place.again(store)

    hits = list(store.iter_query(QUERY, strict=strict))

    assert sorted(hit.id for hit in hits) == sorted(store.ids())
    assert len(hits) == 279
    truth = {r.id: euclidean(r.vector, QUERY) for r in store.records()}
    assert [hit.distance for hit in hits] == pytest.approx([truth[hit.id] for hit in hits])


def test_iter_query_gives_the_nearest_first_throughout_when_strict(place):
    rows = grid(300)
    store = place.open(config={**SMALL, "hnsw": {"m": 2, "ef_construction": 2, "ef_search": 1}})
    store.upsert_many(names(300), rows)

    walked = [hit.id for hit in place.again(store).iter_query(QUERY, strict=True)]

    assert walked == nearest(list(zip(names(300), rows, strict=True)), QUERY, 300)


def test_iter_query_is_ordered_within_its_rounds_when_not_strict():
    rows = np.random.default_rng(0).normal(size=(900, 16))
    config = {**SMALL, "hnsw": {"m": 3, "ef_construction": 4, "ef_search": 1}}
    with vecstore.open(metric="l2", config=config) as store:
        store.upsert_many(names(900), rows)

        distances = [hit.distance for hit in store.iter_query(np.zeros(16))]

    assert len(distances) == 900
    assert (np.diff(distances[:10]) >= 0).all()
    # rounds of 10, 20, … 640 and the rest: only their 7 borders may step back
    assert 0 < (np.diff(distances) < 0).sum() <= 7


def test_iter_query_ends_with_one_exact_scan_when_it_is_past_a_thousand():
    with vecstore.open(metric="l2", config=SMALL) as store:
        store.upsert_many(names(2500), np.random.default_rng(0).normal(size=(2500, 2)))

        walked = [hit.id for hit in store.iter_query([0, 0])]

    assert sorted(walked) == sorted(names(2500))


def test_iter_query_stays_on_one_view_when_the_store_is_written_meanwhile(place):
    clock = Clock()
    store = place.open(clock=clock)
    store.upsert_many(names(100), grid(100))
    store.set_ttl("r50", 1)
    store = place.again(store)

    hits = store.iter_query(QUERY)
    walked = [next(hits).id]
    store.delete_many(names(40))
    store.upsert("new", QUERY)
    store.upsert("r60", QUERY)
    store.compact()
    store.checkpoint()
    clock.advance(2)
    rest = list(hits)

    walked += [hit.id for hit in rest]
    assert sorted(walked) == sorted(names(100))
    moved = next(hit for hit in rest if hit.id == "r60")
    assert moved.distance == pytest.approx(euclidean(grid(100)[60], QUERY))


def test_iter_query_ends_when_closed():
    with vecstore.open(metric="l2") as store:
        store.upsert_many(names(30), grid(30))
        hits = store.iter_query(QUERY)
        next(hits)

        hits.close()

        assert list(hits) == []
