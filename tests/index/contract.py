"""What every index promises; each test class of an index inherits it and says how to make one."""

import math

import numpy as np
import pytest

from tests.index.cases import fields, generated, normal, state
from tests.naive import distance as naive_distance
from tests.naive import topk as naive_topk
from vecstore.errors import DimensionMismatch, InvalidInput

DIM = 7
N = 130


class IndexContract:
    """
    Tests of one index class under several metrics.

    A subclass has `metrics` and `make(metric, dim)`; `N` vectors give it all of its parts.
    """

    metrics: tuple[str, ...] = ()

    @staticmethod
    def make(metric, dim=DIM):
        raise NotImplementedError

    def pytest_generate_tests(self, metafunc):
        if "metric" in metafunc.fixturenames:
            metafunc.parametrize("metric", self.metrics)

    def filled(self, metric, n=N, seed=0):
        index = self.make(metric)
        vectors = normal(n, DIM, seed)
        index.add(vectors)
        return index, vectors

    # ---- answers

    def test_search_returns_the_nearest_when_compared_with_the_definition(self, metric):
        index, vectors = self.filled(metric)
        queries = normal(5, DIM, seed=1)

        found = index.search(queries, k=10, ef=N)

        for q, query in enumerate(queries):
            exact = [naive_distance.reported(metric, query, vector) for vector in vectors]
            nearest = [d for d, _ in naive_topk.nearest(exact, 10)]
            assert found.distances[q] == pytest.approx(nearest, abs=1e-5)
            seen = [exact[slot] for slot in found.slots[q]]
            assert found.distances[q] == pytest.approx(seen, abs=1e-5)

    def test_search_orders_by_distance_then_slot_when_distances_are_equal(self, metric):
        index = self.make(metric)
        index.add(np.repeat(generated(12, DIM, below=3) + np.float32(1), 10, axis=0))

        found = index.search(generated(4, DIM, below=3) + np.float32(1), k=60, ef=60)

        for slots, distances in zip(found.slots, found.distances, strict=True):
            ranked = list(zip(distances.tolist(), slots.tolist(), strict=True))
            assert ranked == sorted(ranked)
            assert len(set(slots.tolist())) == 60

    def test_search_gives_none_when_k_is_zero(self, metric):
        index, vectors = self.filled(metric)

        found = index.search(vectors[:3], k=0)

        assert found.slots.shape == found.distances.shape == (3, 0)

    @pytest.mark.parametrize("k", [N - 1, N, N + 20])
    def test_search_gives_every_slot_once_when_k_reaches_n(self, metric, k):
        index, vectors = self.filled(metric)

        found = index.search(vectors[:2], k=k)

        for slots, distances in zip(found.slots, found.distances, strict=True):
            assert len(set(slots[:N].tolist())) == min(k, N)
            assert (slots[:N] >= 0).all()
            assert slots[N:].tolist() == [-1] * (k - len(slots[:N]))
            assert distances[N:].tolist() == [math.inf] * (k - len(slots[:N]))

    def test_search_gives_padding_when_the_index_is_empty(self, metric):
        index = self.make(metric)

        found = index.search(normal(2, DIM), k=3)

        assert found.slots.tolist() == [[-1] * 3] * 2
        assert found.distances.tolist() == [[math.inf] * 3] * 2
        assert found.slots.dtype == np.int32
        assert found.distances.dtype == np.float32

    def test_search_gives_no_rows_when_there_are_no_queries(self, metric):
        index, _ = self.filled(metric)

        found = index.search(np.zeros((0, DIM), np.float32), k=3)

        assert found.slots.shape == (0, 3)
        assert found.n_dist.shape == found.n_hops.shape == found.exact.shape == (0,)

    def test_search_gives_the_lowest_slots_when_all_vectors_are_equal(self, metric):
        index = self.make(metric)
        index.add(np.ones((N, DIM), np.float32))

        found = index.search(np.ones(DIM, np.float32), k=N)

        assert found.slots[0].tolist() == list(range(N))
        assert len(set(found.distances[0].tolist())) == 1

    def test_search_takes_a_single_vector_when_it_is_one_dimensional(self, metric):
        index, vectors = self.filled(metric)

        for query in (vectors[3], vectors[3].tolist(), vectors[3].astype(np.float64)):
            found = index.search(query, k=2)

            assert found.slots.tolist() == index.search(vectors[3:4], k=2).slots.tolist()

    @pytest.mark.parametrize("threads", [2, 3])
    def test_search_answers_alike_when_threads_differ(self, metric, threads):
        index, _ = self.filled(metric)
        queries = normal(40, DIM, seed=2)

        one, many = (index.search(queries, k=5, threads=t) for t in (1, threads))

        for left, right in zip(fields(one), fields(many), strict=True):
            assert left.tobytes() == right.tobytes()

    def test_search_answers_alike_when_asked_one_by_one(self, metric):
        index, _ = self.filled(metric)
        queries = normal(20, DIM, seed=2)

        together = index.search(queries, k=5)

        for q in range(20):
            alone = index.search(queries[q], k=5)
            assert alone.slots.tobytes() == together.slots[q].tobytes()
            assert alone.distances.tobytes() == together.distances[q].tobytes()
            assert alone.n_dist == together.n_dist[q]

    # ---- masks

    @pytest.mark.parametrize("share", [0.0, 0.01, 0.05, 0.3, 0.7, 0.97, 1.0])
    @pytest.mark.parametrize("seed", [0, 1])
    def test_search_gives_min_k_admitted_when_the_mask_is_random(self, metric, share, seed):
        index, vectors = self.filled(metric)
        admit = np.random.default_rng(seed).random(N) < share

        found = index.search(vectors[:6], k=9, ef=9, admit=admit)

        self.assert_full_and_admitted(found, admit, 9)

    @pytest.mark.parametrize("kind", ["tail", "first", "last", "one in each word", "all but one"])
    def test_search_gives_min_k_admitted_when_the_mask_has_a_shape(self, metric, kind):
        index, vectors = self.filled(metric)
        slots = np.arange(N)
        admit = {
            "tail": slots >= index.stats().n_indexed,
            "first": slots == 0,
            "last": slots == N - 1,
            "one in each word": slots % 64 == 63,
            "all but one": slots != 5,
        }[kind]

        found = index.search(vectors[:6], k=9, ef=9, admit=admit)

        self.assert_full_and_admitted(found, admit, 9)

    @staticmethod
    def assert_full_and_admitted(found, admit, k):
        wanted = min(k, int(admit.sum()))
        for slots in found.slots:
            assert (slots[:wanted] >= 0).all()
            assert (slots[wanted:] == -1).all()
            assert admit[slots[:wanted]].all()
            assert len(set(slots[:wanted].tolist())) == wanted

    def test_search_answers_as_without_a_mask_when_all_are_admitted(self, metric):
        index, vectors = self.filled(metric)

        masked = index.search(vectors[:6], k=9, admit=np.ones(N, np.bool_))

        plain = index.search(vectors[:6], k=9)
        for left, right in zip(fields(masked), fields(plain), strict=True):
            assert left.tobytes() == right.tobytes()

    @pytest.mark.parametrize(
        "admit",
        [
            np.ones(N - 1, np.bool_),
            np.ones(N + 1, np.bool_),
            np.ones(0, np.bool_),
            np.ones((N, 1), np.bool_),
            np.ones(N, np.uint8),
            np.ones(N, np.float32),
            np.bool_(True),
            [1] * N,
            "all",
        ],
        ids=["short", "long", "empty", "2d", "uint8", "float", "scalar", "list of int", "text"],
    )
    def test_search_refuses_a_mask_when_its_form_is_wrong(self, metric, admit):
        index, vectors = self.filled(metric)

        with pytest.raises(InvalidInput, match="admit"):
            index.search(vectors[:1], admit=admit)

    # ---- bad input

    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e300])
    def test_add_and_search_refuse_a_row_when_it_is_not_finite_float32(self, metric, bad):
        index, vectors = self.filled(metric)
        before = state(index)
        damaged = vectors[:5].astype(np.float64)
        damaged[3, 2] = bad

        with pytest.raises(InvalidInput, match=r"add\(vectors\)\[3\]"):
            index.add(damaged)
        with pytest.raises(InvalidInput, match=r"search\(queries\)\[3\]"):
            index.search(damaged)

        assert state(index) == before

    @pytest.mark.parametrize("dim", [DIM - 1, DIM + 1, 1, 40])
    def test_add_and_search_refuse_vectors_when_their_dimension_differs(self, metric, dim):
        index, _ = self.filled(metric)
        before = state(index)

        with pytest.raises(DimensionMismatch, match=f"{DIM} components, got {dim}"):
            index.add(normal(3, dim))
        with pytest.raises(DimensionMismatch, match=f"{DIM} components, got {dim}"):
            index.search(normal(3, dim))

        assert state(index) == before

    @pytest.mark.parametrize(
        "vectors",
        [
            [[1.0] * DIM, [1.0] * (DIM - 1)],
            [["a"] * DIM],
            np.ones((2, DIM), np.complex64),
            np.ones((2, 2, DIM), np.float32),
            [[None] * DIM],
            3.0,
            np.array(3.0),
            None,
        ],
        ids=["ragged", "text", "complex", "3d", "none inside", "number", "0d array", "none"],
    )
    def test_add_and_search_refuse_what_is_no_matrix_when_given_it(self, metric, vectors):
        index, _ = self.filled(metric)
        before = state(index)

        with pytest.raises(InvalidInput, match="add"):
            index.add(vectors)
        with pytest.raises(InvalidInput, match="search"):
            index.search(vectors)

        assert state(index) == before

    def test_add_and_search_refuse_a_zero_vector_only_when_the_metric_is_cosine(self, metric):
        index, vectors = self.filled(metric)
        before = state(index)
        vectors = np.concatenate([vectors[:3], np.zeros((1, DIM), np.float32)])

        if metric == "cosine":
            with pytest.raises(InvalidInput, match=r"\[3\].*zero vector"):
                index.add(vectors)
            with pytest.raises(InvalidInput, match=r"\[3\].*zero vector"):
                index.search(vectors)
            assert state(index) == before
        else:
            index.search(vectors)
            index.add(vectors)
            assert len(index) == N + 4

    @pytest.mark.parametrize(
        "arguments",
        [{"k": -1}, {"k": 1.5}, {"k": True}, {"ef": 0}, {"ef": None}, {"threads": 0}],
        ids=str,
    )
    def test_search_names_the_argument_when_a_number_is_impossible(self, metric, arguments):
        index, vectors = self.filled(metric)

        with pytest.raises(InvalidInput, match=next(iter(arguments))):
            index.search(vectors[:1], **arguments)

    @pytest.mark.parametrize("dim", [0, -1, 2.5, 65_537, "3"])
    def test_index_is_refused_when_its_dimension_is_impossible(self, dim):
        with pytest.raises(InvalidInput, match="dim"):
            self.make("euclidean", dim)

    def test_index_is_refused_when_its_metric_is_unknown(self):
        with pytest.raises(InvalidInput, match="one of cosine"):
            self.make("euclid")

    def test_index_takes_a_metric_when_it_is_an_alias_in_any_case(self):
        assert self.make("L2").metric == self.make("Euclidean").metric == "euclidean"

    # ---- adding

    @pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int8, np.uint64, np.bool_])
    def test_add_takes_numbers_when_they_are_of_another_type(self, dtype):
        vectors = generated(N, DIM, below=2)
        one, other = self.make("euclidean"), self.make("euclidean")

        one.add(vectors)
        other.add(vectors.astype(dtype))

        assert other.fingerprint() == one.fingerprint()

    def test_add_takes_any_memory_order_when_given_views(self):
        vectors = normal(N, DIM)
        plain = self.make("euclidean")
        plain.add(vectors)
        views = [np.asfortranarray(vectors), np.repeat(vectors, 2, axis=0)[::2], vectors.tolist()]

        for view in views:
            index = self.make("euclidean")
            index.add(view)

            assert index.fingerprint() == plain.fingerprint()

    def test_add_copies_when_the_caller_changes_the_array_later(self, metric):
        index, vectors = self.filled(metric)
        before = state(index)

        vectors[:] = 5

        assert state(index) == before

    def test_add_changes_nothing_when_there_are_no_vectors(self, metric):
        index, _ = self.filled(metric)
        before = state(index)

        index.add(np.zeros((0, DIM), np.float32))
        index.add([])

        assert state(index) == before

    def test_fingerprint_differs_when_anything_differs(self, metric):
        index, vectors = self.filled(metric)
        changed = vectors.copy()
        changed[-1, -1] += np.float32(1)
        other = self.make(metric)
        other.add(changed)
        shorter = self.make(metric)
        shorter.add(vectors[:-1])
        another = self.make("hamming" if metric == "manhattan" else "manhattan")
        another.add(vectors)

        prints = {index.fingerprint() for index in (index, other, shorter, another)}

        assert len(prints) == 4
        assert all(len(digits) == 32 and int(digits, 16) >= 0 for digits in prints)
