import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.kernels.cases import EVERY_METRIC, EXACT_METRICS, exact_distances
from tests.naive import distance as naive
from vecstore.kernels.distance import METRICS, distance, normalize_rows, reported
from vecstore.kernels.simd import STEP
from vecstore.kernels.topk import order_key

DIMS = [1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 384]


def _padded(vectors, more=0):
    vectors = np.atleast_2d(np.asarray(vectors, np.float32))
    stride = -(-vectors.shape[1] // STEP) * STEP + more
    rows = np.zeros((len(vectors), stride), np.float32)
    rows[:, : vectors.shape[1]] = vectors
    return rows


def _samples(metric, dim, n=6, seed=0):
    vectors = np.random.default_rng([seed, dim]).normal(size=(n, dim))
    if metric == "cosine":
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = vectors.astype(np.float32)
    vectors[:, ::5] = np.abs(vectors[:, ::5]).round(1)  # some equal components, some zeros
    return vectors


def _bits(x):
    return np.float32(x).view(np.uint32)


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("metric", EVERY_METRIC)
def test_distance_equals_the_definition_when_vectors_are_random(metric, dim):
    vectors = _samples(metric, dim)
    if metric == "cosine":
        vectors /= np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    rows = _padded(vectors)

    for i in range(len(rows)):
        for j in range(len(rows)):
            apart = distance(METRICS[metric], rows, i, rows, j)

            expected = naive.compared(metric, vectors[i], vectors[j])
            assert apart == pytest.approx(expected, rel=2e-6, abs=2e-6)


@pytest.mark.parametrize("metric", EXACT_METRICS)
def test_distance_is_exact_when_components_are_small_integers(metric):
    vectors = np.random.default_rng(3).integers(-9, 10, (8, 45)).astype(np.float32)
    rows = _padded(vectors)

    tag, pairs = METRICS[metric], [(i, j) for i in range(8) for j in range(8)]

    found = {(i, j): float(distance(tag, rows, i, rows, j)) for i, j in pairs}

    wide = vectors.astype(np.int64)
    exact = exact_distances(metric, wide, wide)
    assert found == {(i, j): exact[i, j] for i, j in pairs}


@pytest.mark.parametrize("metric", EVERY_METRIC)
@given(data=st.data())
def test_distance_is_symmetric_to_the_bit_when_swapped(metric, data):
    elements = st.floats(-(2.0**50), 2.0**50, width=32)
    dim = data.draw(st.sampled_from([1, 20, 33]))
    a, b = (_padded(data.draw(arrays(np.float32, dim, elements=elements))) for _ in range(2))

    there = distance(METRICS[metric], a, 0, b, 0)
    back = distance(METRICS[metric], b, 0, a, 0)

    assert _bits(there) == _bits(back)


@pytest.mark.parametrize("metric", EVERY_METRIC)
@pytest.mark.parametrize("dim", [1, 31, 32, 33, 100])
def test_distance_stays_to_the_bit_when_padding_grows(metric, dim):
    vectors = _samples(metric, dim, seed=4)

    narrow, wide = _padded(vectors), _padded(vectors, more=3 * STEP)
    pairs = [(i, j) for i in range(6) for j in range(6)]

    for i, j in pairs:
        short = distance(METRICS[metric], narrow, i, narrow, j)
        long = distance(METRICS[metric], wide, i, wide, j)
        assert _bits(short) == _bits(long)


@pytest.mark.parametrize("metric", EVERY_METRIC)
def test_distance_is_zero_when_a_vector_meets_itself(metric):
    vectors = np.abs(_samples(metric, 40)) + np.float32(0.1)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = _padded(vectors)

    apart = distance(METRICS[metric], rows, 0, rows, 0)

    assert apart == pytest.approx(-1.0 if metric == "dot" else 0.0, abs=1e-6)


def test_canberra_and_braycurtis_are_zero_when_denominators_are_tiny():
    rows = _padded([[1e-11, 0, 3e-11], [-1e-11, 0, 2e-11]])

    canberra = distance(METRICS["canberra"], rows, 0, rows, 1)
    braycurtis = distance(METRICS["braycurtis"], rows, 0, rows, 1)

    assert (canberra, braycurtis) == (0, 0)


def test_canberra_counts_a_term_when_its_denominator_is_above_the_floor():
    rows = _padded([[2e-10, 1e-11, 0], [0, 0, 0]])

    canberra = distance(METRICS["canberra"], rows, 0, rows, 1)

    assert canberra == 1


def test_jaccard_is_one_when_both_sets_are_empty():
    rows = _padded([[0, -1, 0], [-2, 0, 0]])

    apart = distance(METRICS["jaccard"], rows, 0, rows, 1)

    assert apart == 1


def test_hamming_and_jaccard_use_their_thresholds_when_components_lie_on_them():
    rows = _padded([[0.5, 0.50001, 0.0], [1.0, 1.0, 1e-30]])

    hamming = distance(METRICS["hamming"], rows, 0, rows, 1)
    jaccard = distance(METRICS["jaccard"], rows, 0, rows, 1)

    assert hamming == 1
    assert jaccard == pytest.approx(1 / 3)


@pytest.mark.parametrize("metric", EVERY_METRIC)
def test_distance_never_ranks_first_when_finite_components_overflow(metric):
    rows = _padded([[3e38, -3e38, 3e38], [-3e38, 3e38, -3e38], [1.0, 2.0, 3.0]])
    tag = METRICS[metric]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # scalars of NumPy, without the JIT

        far = order_key(distance(tag, rows, 0, rows, 1), 0)
        near = order_key(distance(tag, rows, 2, rows, 2), 1)

    if metric not in ("hamming", "jaccard"):  # which count, and cannot overflow
        assert near < far


@pytest.mark.parametrize("metric", EVERY_METRIC)
def test_reported_takes_the_root_only_when_the_metric_is_euclidean(metric):
    seen = reported(METRICS[metric], np.float32(9))

    assert seen == (3 if metric == "euclidean" else 9)


def _normalized(vectors):
    vectors = np.ascontiguousarray(vectors, np.float32)
    rows, norms = np.zeros((len(vectors), 32), np.float32), np.zeros(len(vectors))
    rows[:, : vectors.shape[1]] = vectors
    normalize_rows(rows, norms)
    return rows, norms


@pytest.mark.parametrize("scale", [1e-45, 1e-38, 1e-20, 1.0, 1e20, 3e38])
def test_normalize_rows_gives_unit_length_when_scales_differ(scale):
    vectors = (np.random.default_rng(1).uniform(0.5, 1, (5, 3)) * scale).astype(np.float32)
    vectors[vectors == 0] = np.finfo(np.float32).smallest_subnormal

    rows, norms = _normalized(vectors)

    lengths = np.sqrt((rows.astype(np.float64) ** 2).sum(axis=1))
    assert lengths == pytest.approx(np.ones(5), abs=2**-22)
    assert norms == pytest.approx(np.sqrt((vectors.astype(np.float64) ** 2).sum(axis=1)))
    assert (rows[:, 3:] == 0).all()


def test_normalize_rows_leaves_rows_as_they_came_when_their_norm_is_one():
    outside = [1 + 2.0**-20, 1 - 2.0**-20]
    inside = [1 + 2.0**-23, 1 - 2.0**-23, 1 + 2.0**-22, 1 - 2.0**-22, 1.0]
    vectors = np.array([[x, 0] for x in outside + inside], np.float32)

    rows, norms = _normalized(vectors)

    assert rows[:2, 0].tolist() == [1.0, 1.0]
    assert norms[:2] == pytest.approx(outside, abs=1e-12)
    assert rows[2:, 0].tolist() == vectors[2:, 0].tolist()
    assert norms[2:].tolist() == [1.0] * len(inside)


def test_normalize_rows_changes_nothing_when_repeated():
    once, _ = _normalized(np.random.default_rng(2).normal(size=(200, 30)) * 1e3)

    twice, norms = _normalized(once[:, :30])

    assert twice.tobytes() == once.tobytes()
    assert (norms == 1).all()
