import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.naive import hnsw as naive
from vecstore.kernels.graph import MAX_LAYERS, draw_levels, empty_graph, hash_counter, link_row


@pytest.mark.parametrize(
    ("seed", "published"),
    [
        (0, [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]),
        (1234567, [6457827717110365317, 3203168211198807973, 9817491932198370423]),
    ],
)
def test_hash_counter_gives_the_published_stream_when_counting_from_zero(seed, published):
    hashed = hash_counter(seed, np.arange(3, dtype=np.uint64))

    assert hashed.tolist() == published


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_hash_counter_equals_integer_arithmetic_when_words_overflow(seed, counter):
    hashed = hash_counter(seed, np.array([counter], np.uint64))

    assert hashed.dtype == np.uint64
    assert int(hashed[0]) == naive.splitmix64(seed, counter)


@pytest.mark.parametrize("m", [2, 3, 16, 100])
def test_draw_levels_equals_the_twin_when_drawn_one_by_one(m):
    levels = draw_levels(42, 0, 2000, m)

    assert levels.dtype == np.uint8
    assert levels.tolist() == [naive.level_of(42, slot, m) for slot in range(2000)]


def test_draw_levels_depends_on_the_slot_alone_when_ranges_differ():
    whole = draw_levels(7, 0, 1000, 4)

    parts = [draw_levels(7, first, first + 100, 4) for first in range(0, 1000, 100)]

    assert np.concatenate(parts).tolist() == whole.tolist()
    assert len(draw_levels(7, 5, 5, 4)) == 0


def test_draw_levels_differ_when_the_seed_differs():
    assert draw_levels(0, 0, 500, 4).tolist() != draw_levels(1, 0, 500, 4).tolist()


@pytest.mark.parametrize("m", [2, 4, 16])
def test_draw_levels_falls_by_m_each_layer_when_many_are_drawn(m):
    n = 200_000

    levels = draw_levels(3, 0, n, m)

    for layer in range(1, 4):
        chance = m**-layer
        spread = (n * chance * (1 - chance)) ** 0.5
        assert abs((levels >= layer).sum() - n * chance) < 4 * spread
    assert levels.max() < MAX_LAYERS


def test_empty_graph_has_no_rows_when_made():
    graph = empty_graph(5)

    assert graph.links.shape == (0, 10)
    assert graph.upper.shape == (0, 5)
    assert graph[4:] == (0, 0, -1, -1)


def test_link_row_names_the_documented_row_when_the_graph_is_whole():
    graph = empty_graph(2)._replace(upper_start=np.array([-1, 0, 2], np.int32), n_upper=3)

    rows = [int(link_row(graph, slot, layer)) for slot, layer in [(2, 0), (1, 1), (1, 2), (2, 1)]]

    assert rows == [2, 0, 1, 2]


@pytest.mark.parametrize("start", [-1, -(2**31), 3, 2**31 - 1])
def test_link_row_names_no_row_when_the_start_is_damaged(start):
    graph = empty_graph(2)._replace(upper_start=np.array([start], np.int32), n_upper=3)

    row = link_row(graph, 0, 1)

    assert row == -1


def test_link_row_names_no_row_when_the_layer_is_above_the_rows_in_use():
    graph = empty_graph(2)._replace(upper_start=np.array([2], np.int32), n_upper=3)

    row = link_row(graph, 0, 2)

    assert row == -1
