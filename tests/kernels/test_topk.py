import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.naive import topk as naive
from vecstore.kernels.distance import METRICS
from vecstore.kernels.topk import (
    EXPANDED,
    Found,
    collect,
    heap_pop,
    heap_push,
    heap_replace,
    insert,
    key_distance,
    key_slot,
    order_key,
    unpack,
)

ANY_FLOAT = st.floats(width=32)
SLOT = st.integers(0, 2**31 - 1)
KEYS = st.lists(st.integers(0, 2**64 - 1), unique=True, max_size=40)


def _key(distance, slot=0):
    return int(order_key(np.float32(distance), slot))


def _rank(distance, slot):
    return (math.inf if math.isnan(distance) else float(np.float32(distance)), slot)


@given(ANY_FLOAT, SLOT, ANY_FLOAT, SLOT)
@example(0.0, 1, -0.0, 1)
@example(-0.0, 0, 0.0, 1)
@example(math.nan, 1, math.inf, 2)
@example(math.inf, 1, math.nan, 2)
@example(-math.inf, 2**31 - 1, -3.4028234663852886e38, 0)
@example(1e-45, 2, -1e-45, 1)
def test_order_key_sorts_as_distance_then_slot_when_any_two_meet(x, i, y, j):
    left, right = _key(x, i), _key(y, j)

    assert (left < right) == (_rank(x, i) < _rank(y, j))
    assert (left == right) == (_rank(x, i) == _rank(y, j))


@given(ANY_FLOAT, SLOT)
def test_key_parts_come_back_when_a_key_is_taken_apart(x, slot):
    key = np.uint64(order_key(np.float32(x), slot))

    assert key_slot(key) == slot
    assert _rank(float(key_distance(key)), 0) == _rank(x, 0)
    assert key_slot(key | EXPANDED) == slot
    assert int(key) & int(EXPANDED) == 0


def test_order_key_ranks_nan_with_infinity_when_the_slot_is_the_same():
    negative_nan = np.uint32(0xFFC00000).view(np.float32)

    keys = {_key(x, 7) for x in (math.nan, negative_nan, math.inf)}

    assert len(keys) == 1


def test_order_key_does_not_tell_zeros_apart_when_their_signs_differ():
    assert _key(0.0, 3) == _key(-0.0, 3)
    zero = key_distance(np.uint64(_key(-0.0, 3)))

    assert math.copysign(1, zero) == 1


@given(KEYS, st.integers(1, 12))
def test_insert_keeps_the_smallest_in_order_when_the_pool_is_bounded(keys, ef):
    pool, size = np.zeros(ef, np.uint64), 0

    for key in keys:
        if size < ef or key < int(pool[ef - 1]):
            place = insert(pool, size, np.uint64(key))
            size = min(size + 1, ef)
            assert int(pool[place]) == key

    assert pool[:size].tolist() == sorted(keys)[:ef]


@given(KEYS)
def test_heap_gives_all_back_from_the_largest_when_filled(keys):
    heap, size = np.zeros(len(keys) + 1, np.uint64), 0
    for key in keys:
        size = heap_push(heap, size, np.uint64(key))

    popped = [int(heap_pop(heap, n)) for n in range(size, 0, -1)]

    assert popped == sorted(keys, reverse=True)


@given(KEYS.filter(bool), st.integers(0, 2**64 - 1))
def test_heap_replace_drops_the_largest_when_the_heap_is_full(keys, newcomer):
    heap, size = np.zeros(len(keys), np.uint64), 0
    for key in keys:
        size = heap_push(heap, size, np.uint64(key))

    heap_replace(heap, size, np.uint64(newcomer))

    popped = [int(heap_pop(heap, n)) for n in range(size, 0, -1)]
    assert popped == sorted([*sorted(keys)[:-1], newcomer], reverse=True)


@given(KEYS, st.integers(0, 10))
def test_collect_keeps_the_k_smallest_when_offered_many(keys, k):
    heap, size = np.zeros(k, np.uint64), 0

    for key in keys:
        size = collect(heap, size, np.uint64(key))

    assert sorted(heap[:size].tolist()) == sorted(keys)[:k]


@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
def test_unpack_reports_nearest_first_and_pads_when_there_are_too_few(metric):
    distances = [[9.0, 1.0, 4.0, 1.0], [math.nan, 0.0, 25.0, 16.0]]
    found = Found(np.zeros((2, 6), np.uint64), *np.zeros((3, 2), np.int64))
    for q, row in enumerate(distances):
        for slot, distance in enumerate(row):
            key = order_key(np.float32(distance), slot)
            found.sizes[q] = collect(found.heaps[q], found.sizes[q], key)
    slots, seen = np.full((2, 6), 99, np.int32), np.zeros((2, 6), np.float32)

    unpack(METRICS[metric], found, 0, 2, slots, seen)

    for q in range(2):
        ranked = naive.nearest(distances[q], 6)
        root = math.sqrt if metric == "euclidean" else float
        assert slots[q].tolist() == [slot for _, slot in ranked] + [-1, -1]
        assert seen[q].tolist() == [root(d) for d, _ in ranked] + [math.inf] * 2


def test_unpack_touches_its_rows_only_when_given_a_range():
    found = Found(np.zeros((3, 2), np.uint64), *np.zeros((3, 3), np.int64))
    slots, seen = np.full((3, 2), 99, np.int32), np.full((3, 2), 99, np.float32)

    unpack(METRICS["dot"], found, 1, 2, slots, seen)

    assert slots.tolist() == [[99, 99], [-1, -1], [99, 99]]
    assert seen.tolist() == [[99, 99], [math.inf, math.inf], [99, 99]]
