import numpy as np
import pytest

from tests.kernels.cases import EXACT_METRICS, exact_distances, found_of, integer_vectors, space_of
from tests.naive import topk as naive
from vecstore.kernels import bitset, flat
from vecstore.kernels.topk import heap_pop, key_slot

N, DIM, K = 70, 9, 6


def _scan(space, queries, first, last, mask, k=K):
    found = found_of(len(queries), k)
    flat.scan(space, first, last, mask, queries, 0, len(queries), found)
    slots = []
    for heap, size in zip(found.heaps, found.sizes, strict=True):
        popped = [key_slot(np.uint64(heap_pop(heap, at))) for at in range(int(size), 0, -1)]
        slots.append([int(slot) for slot in reversed(popped)])
    return slots, found


@pytest.mark.parametrize("metric", EXACT_METRICS)
@pytest.mark.parametrize(("first", "last"), [(0, N), (13, 60), (5, 5), (0, 3)])
def test_scan_finds_the_nearest_when_compared_with_sorting_all(metric, first, last):
    vectors, queries = integer_vectors(N, DIM), integer_vectors(4, DIM, seed=1)

    slots, found = _scan(
        space_of(metric, vectors), space_of(metric, queries).rows, first, last, bitset.EVERY
    )

    inside = [first <= slot < last for slot in range(N)]
    for q, row in enumerate(exact_distances(metric, queries, vectors)):
        assert slots[q] == [slot for _, slot in naive.nearest(row.tolist(), K, inside)]
    assert found.n_dist.tolist() == [last - first] * 4


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_scan_offers_admitted_slots_only_when_masked(share):
    vectors, queries = integer_vectors(N, DIM), integer_vectors(4, DIM, seed=1)
    admit = np.random.default_rng(2).random(N) < share
    admit[64] = True

    slots, found = _scan(
        space_of("manhattan", vectors),
        space_of("manhattan", queries).rows,
        0,
        N,
        bitset.pack(admit),
    )

    for q, row in enumerate(exact_distances("manhattan", queries, vectors)):
        assert slots[q] == [slot for _, slot in naive.nearest(row.tolist(), K, admit)]
    assert found.n_dist.tolist() == [admit.sum()] * 4


def test_scan_keeps_what_was_found_before_when_called_again():
    vectors, queries = integer_vectors(N, DIM), integer_vectors(2, DIM, seed=1)
    space, prepared = space_of("euclidean", vectors), space_of("euclidean", queries).rows
    found, at_once = found_of(2, K), found_of(2, K)

    for first, last in [(40, N), (0, 17), (17, 40)]:
        flat.scan(space, first, last, bitset.EVERY, prepared, 0, 2, found)
    flat.scan(space, 0, N, bitset.EVERY, prepared, 0, 2, at_once)

    assert np.sort(found.heaps).tolist() == np.sort(at_once.heaps).tolist()
    assert found.n_dist.tolist() == at_once.n_dist.tolist()


def test_scan_crosses_tiles_when_rows_are_long():
    dim = flat.TILE_BYTES // (4 * 3)  # three rows a tile
    vectors = np.zeros((10, dim), np.float32)
    vectors[:, 0] = [5, 3, 9, 1, 8, 2, 7, 0, 6, 4]

    slots, _ = _scan(
        space_of("manhattan", vectors),
        space_of("manhattan", np.zeros((1, dim), np.float32)).rows,
        1,
        9,
        bitset.EVERY,
        k=4,
    )

    assert slots == [[7, 3, 5, 1]]


def test_scan_answers_its_queries_only_when_given_a_range():
    space = space_of("dot", integer_vectors(N, DIM))
    found = found_of(3, K)

    flat.scan(space, 0, N, bitset.EVERY, space.rows, 1, 2, found)

    assert found.sizes.tolist() == [0, K, 0]
    assert found.n_dist.tolist() == [0, N, 0]


def test_scan_collects_nothing_when_k_is_zero():
    space = space_of("dot", integer_vectors(N, DIM))
    found = found_of(1, 0)

    flat.scan(space, 0, N, bitset.EVERY, space.rows, 0, 1, found)

    assert found.sizes.tolist() == [0]
