import dataclasses
import re

import pytest
from hypothesis import given

from tests.inspection.cases import M, N, built, traced, whole_graph
from tests.inspection.markup import read
from tests.inspection.recorder import scanned
from tests.inspection.test_html import HOSTILE
from tests.inspection.test_validation import damaged_graphs
from vecstore.index import FlatIndex
from vecstore.inspection import cards
from vecstore.inspection.cards import (
    MOST_HITS,
    graph_html,
    index_html,
    result_html,
    store_html,
    trace_html,
)
from vecstore.inspection.graph import layers
from vecstore.inspection.html import Html
from vecstore.kernels.graph import empty_graph
from vecstore.model import Hit, QueryStats, StoreStats

STATS = QueryStats(n_dist=1234, n_hops=56, n_scanned=0, elapsed_s=0.00123)
STORE = StoreStats(
    live=1500,
    soft_deleted=2,
    dead=3,
    slots=1505,
    indexed=1500,
    tail=5,
    dim=384,
    metric="cosine",
    seqno=77,
    generation=4,
    log_bytes=0,
    torn_bytes=0,
    disk_bytes=2**20,
    vector_bytes=2**21,
    graph_bytes=2**10,
)


def test_graph_card_shows_layers_and_degrees():
    reader = read(graph_html(built().graph))

    assert reader.texts[0] == "HnswGraph"
    graph = built().graph
    note = f"{N} slots, M = {M}, entry {graph.entry}, top layer {graph.top_layer}"
    assert note in reader.texts
    assert reader.tags.count("tr") == 2 + graph.top_layer
    assert reader.tags.count("svg") == 2
    bottom = layers(graph)[0]
    assert f"{bottom.mean_degree:#.4g}" in reader.texts
    assert str(bottom.max_degree) in reader.texts


def test_graph_card_adds_up_in_degrees_when_there_are_many():
    graph = whole_graph()
    graph.links[:, 0] = 0  # a hub of 200

    source = graph_html(graph)

    assert "199" in read(source).texts or "200" in read(source).texts
    counts = layers(graph)[0].in_degree_histogram
    assert len(counts) > 4 * cards._BINS
    widths = [float(width) for width in re.findall(r'<rect [^>]* width="([^"]*)"', source)]
    assert min(widths) > 250 / (cards._BINS + 1) - 1


@given(damaged_graphs())
def test_graph_card_is_shown_whatever_the_links_are(graph):
    assert read(graph_html(graph)).texts[0] == "HnswGraph"


@pytest.mark.parametrize("fields", [{"links": None}, {"n_indexed": N + 1}, {"entry": "<script>"}])
def test_cards_say_what_is_wrong_when_a_graph_cannot_be_read(fields):
    graph = whole_graph()._replace(**fields)

    for source in (
        graph_html(graph),
        index_html(built().stats(), graph),
        store_html(STORE, "x", graph),
    ):
        text = read(source).text
        assert "links is NoneType" in text or "201 are said" in text or "entry is str" in text


def test_graph_card_of_an_empty_graph_has_no_table():
    reader = read(graph_html(empty_graph(M)))

    assert "0 slots, M = 4, entry -1, top layer -1" in reader.texts
    assert "table" not in reader.tags


def test_index_card_shows_the_tail():
    stats = built().stats()

    reader = read(index_html(stats, built().graph))

    assert reader.texts[0] == "HNSWIndex"
    assert "200 vectors of 2 components, euclidean distance" in reader.texts
    at = reader.texts.index("in the tail")
    assert reader.texts[at + 1 : at + 3] == [" ", "0"]


def test_index_card_of_an_exact_index_has_no_graph():
    index = FlatIndex(3, "cosine")

    reader = read(index_html(index.stats()))

    assert reader.texts[0] == "FlatIndex"
    assert "graph" not in reader.texts


@pytest.mark.parametrize("hostile", HOSTILE)
def test_store_card_shows_its_path_and_cannot_be_broken_out_of(hostile):
    reader = read(store_html(STORE, hostile))

    assert reader.texts[0] == "VecStore"
    assert hostile in reader.texts
    assert "1,500 records of 384 components, cosine distance" in reader.texts
    assert "2.0 MiB" in reader.texts


def test_store_card_of_an_empty_store_has_any_dimension():
    empty = dataclasses.replace(STORE, dim=None)

    assert "records of any components" in read(store_html(empty, ":memory:")).text


@pytest.mark.parametrize("hostile", HOSTILE)
def test_result_card_cannot_be_broken_out_of(hostile):
    metadata = {hostile: hostile, "list": [hostile], "dict": {hostile: {hostile: hostile}}}
    hits = [Hit(hostile, 0.5, 1.0, metadata, text=hostile)] * 2

    reader = read(result_html(hits, exact=False, stats=STATS))

    assert reader.texts[0] == "QueryResult"
    assert "2 hits, graph, 1,234 distances, 56 hops, 1.23 ms" in reader.texts
    assert reader.texts.count(hostile) >= 2


def test_result_card_lists_the_first_hits_only():
    hits = [Hit(f"id{i}", 1.0, 0.0, {"number": i, "exact": 0.123456}) for i in range(50)]

    text = read(result_html(hits, exact=True, stats=STATS)).text

    assert f"id{MOST_HITS - 1}" in text
    assert f"id{MOST_HITS}" not in text
    assert "… 30 more" in text
    assert "exact scan" in text
    assert "0.123456" in text


def test_result_card_keeps_long_values_short():
    metadata = {f"key {i} {'k' * 1000}": "v" * 10**6 for i in range(100)}

    source = result_html([Hit("i" * 1000, 1.0, 0.0, metadata)], exact=True, stats=STATS)

    assert len(source) < 5000
    assert read(source).text.endswith("…")


def test_result_card_of_nothing_has_no_table():
    assert "table" not in read(result_html([], exact=True, stats=STATS)).tags


def test_trace_card_shows_layers_steps_and_result():
    trace = traced()

    reader = read(trace._repr_html_())

    looked = [len(trace.looks_of(walk)) for walk in trace.walks()]
    assert reader.texts[0] == "Trace"
    cost = f"{trace.n_dist} distances, {trace.n_hops} hops"
    assert f"5 of 5 found by euclidean distance, {cost}" in reader.texts
    assert reader.texts.count("every slot of the pool is expanded") == len(looked)
    assert str(trace) in reader.texts
    assert [str(slot) in reader.texts for slot in trace.slots] == [True] * 5
    at = reader.texts.index("stopped because") + 1
    assert [int(reader.texts[at + 6 * i + 2]) for i in range(len(looked))] == looked
    assert reader.tags.count("circle") == trace.n_hops + len(looked)


def test_trace_card_of_a_scan_has_no_picture():
    reader = read(trace_html(scanned([2.0, 1.0], 2)))

    assert "svg" not in reader.tags
    assert any("exact scan" in text for text in reader.texts)


def test_cards_are_markup():
    for source in (graph_html(built().graph), trace_html(traced())):
        assert isinstance(source, Html)
        assert source.startswith("<div")
