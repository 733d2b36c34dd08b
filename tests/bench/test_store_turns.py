"""What turns of ``vecstore bench store`` are made of: processes, counters, rounds, histograms."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecstore.bench.datasets import Wanted, load_dataset
from vecstore.bench.stores import bulk, growing, singles, waiting
from vecstore.bench.stores.counters import resident, written, written_since
from vecstore.bench.stores.database import KILL, Setup, Variant
from vecstore.bench.stores.histogram import EDGES_US, bucket_counts, histogram_lines, spread
from vecstore.bench.stores.plan import Bench, StoreRun
from vecstore.bench.stores.process import in_fresh_process
from vecstore.bench.stores.records import id_of, make_records, number_of
from vecstore.bench.stores.registry import OURS, Contestant
from vecstore.bench.stores.rounds import interleave
from vecstore.errors import VecStoreError
from vecstore.store import open

MIB = 2**20
TOUCHING = """
import json, mmap, sys
import numpy as np
from vecstore.bench.stores.counters import resident, resident_since
before = resident()
with open(sys.argv[1], "rb") as file:
    content = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY), np.uint8)
mapped = resident_since(before)
content[:: mmap.PAGESIZE].sum()
read = resident_since(before)
own = np.ones(8 << 20, np.uint8)
private = resident_since(before).private - read.private
print(json.dumps([mapped.total, read.total, read.private, private]))
"""
DATA = load_dataset(Wanted("gaussian:n=1500,dim=16,intrinsic=8,queries=5"))
PLAN = StoreRun(Wanted("none"), Wanted("none"))


@pytest.fixture
def bench(tmp_path):
    return Bench(PLAN, tmp_path, lambda line: None)


@pytest.fixture
def rows(bench):
    return bench.keep("rows", DATA)


@pytest.mark.parametrize("first", [0, 7, 12_345_678])
def test_records_are_named_by_their_rows_and_described_by_them_alone(first):
    vectors = np.arange(6, dtype=np.float32).reshape(3, 2)

    whole = make_records(vectors, first)
    later = make_records(vectors[1:], first + 1)

    assert [number_of(one) for one in whole.ids] == [first, first + 1, first + 2]
    assert later.ids == whole.ids[1:]
    assert later.metadata == whole.metadata[1:]
    assert id_of(number_of(whole.ids[0])) == whole.ids[0]


@given(st.lists(st.floats(0, 3) | st.sampled_from([1e-6 * edge for edge in EDGES_US]), max_size=60))
def test_every_wait_is_in_the_bucket_whose_edges_enclose_it(waits):
    counts = bucket_counts(waits)

    edges = [0, *EDGES_US, float("inf")]
    us = [round(1e6 * wait, 3) for wait in waits]
    for place, count in enumerate(counts):
        low, high = edges[place], edges[place + 1]
        assert count == sum(low < one <= high or (one == 0 == low) for one in us)


@given(st.lists(st.floats(1e-6, 3), min_size=1, max_size=60))
def test_a_spread_rises_to_the_longest_wait(waits):
    found = spread(waits)

    shares = [value for name, value in found.items() if name != "count"]
    assert found["count"] == len(waits)
    assert shares == sorted(shares)
    assert shares[-1] == 1e6 * max(waits)


def test_histograms_show_all_that_is_there_and_no_empty_ends():
    many, one = bucket_counts([50e-6] * 1000 + [9.0]), bucket_counts([300e-6])

    heading, *lines = histogram_lines({"many": many, "one": one}, width=10)

    assert heading.split() == ["up", "to", "µs", "many", "one"]
    assert lines[0].split() == ["64", "█" * 10, "1,000"]
    assert lines[3].split() == ["512", "█" * 10, "1"]
    assert lines[-1].split() == ["longer", "█", "1"]
    assert len(lines) == len(EDGES_US)
    assert histogram_lines({"none": bucket_counts([])}) == [heading.split("  many")[0] + "  none"]


def test_a_turn_runs_in_a_process_of_its_own(bench, rows):
    setup = bench.setup("turn", rows, "full")

    figures = in_fresh_process("bulk", name="vecstore", setup=setup, rows=str(rows.path), n=70)

    assert figures["count"] == 70
    with open(setup["path"]) as store:  # its process has given the lock back
        assert store.count() == 70


def test_a_turn_that_fails_says_why():
    with pytest.raises(VecStoreError, match=r"singles ended with status 1: TypeError: turn\(\)"):
        in_fresh_process("singles", nonsense=1)
    with pytest.raises(VecStoreError, match="No module named"):
        in_fresh_process("Nothing")


def test_written_bytes_are_those_of_the_process_and_of_the_disk(tmp_path):
    before = written(tmp_path)
    (tmp_path / "file").write_bytes(os.urandom(3 * MIB))

    passed, taken = written_since(before, tmp_path)

    if passed is None:
        pytest.skip("this system does not count written bytes")
    assert 3 * MIB <= passed < 4 * MIB
    assert taken is None or taken >= 3 * MIB


def test_resident_memory_counts_pages_that_are_touched(tmp_path):
    if resident() is None:
        pytest.skip("this system does not tell resident memory")
    (tmp_path / "file").write_bytes(os.urandom(16 * MIB))

    done = subprocess.run(  # in this process whatever ran before may be freed meanwhile
        [sys.executable, "-c", TOUCHING, str(tmp_path / "file")],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )

    mapped, read, read_private, private = json.loads(done.stdout)
    assert mapped < MIB
    assert 15 * MIB < read < 20 * MIB
    assert read_private < MIB
    assert 7 * MIB < private < 10 * MIB


def test_holes_take_nothing_on_the_medium(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "full").write_bytes(bytes(3 * MIB))
    with (tmp_path / "hole").open("wb") as file:
        file.truncate(50 * MIB)
    bulk.sync_tree(tmp_path)

    assert 3 * MIB <= bulk.allocated_bytes(tmp_path) < 4 * MIB


def test_a_turn_of_single_upserts_ends_when_its_time_is_over(bench, rows):
    setup = bench.setup("turn", rows, "off")

    figures = singles.turn("vecstore", setup, str(rows.path), count=1000, most_s=1e-9)

    assert figures["count"] == 1
    with open(setup["path"]) as store:
        assert store.count() == singles.UNTIMED + 1


def test_a_grown_store_holds_every_row_once(bench, rows):
    setup = bench.setup("grown", rows, "full")

    figures = growing.turn(setup, str(rows.path), n=1250, call=300, single=20)

    assert (figures["calls"], figures["single"]["count"]) == (4, 3 * 20)
    with open(setup["path"]) as store:
        assert store.ids() == [id_of(row) for row in range(1250)]
        assert store.stats().tail == 0
        np.testing.assert_array_equal(store.get(id_of(1234)).vector, DATA.base[1234])


def test_waiting_adds_new_records_to_the_store(bench, rows):
    setup = bench.setup("grown", rows, "full")
    growing.turn(setup, str(rows.path), n=1500, call=1500, single=0)

    figures = waiting.turn(setup, str(rows.path), n=1500, count=300, checkpoints=1)

    assert sum(one["count"] for one in figures["groups"]) == 600
    with open(setup["path"]) as store:
        assert store.count() == 1800


def test_rounds_alternate_and_a_peer_that_fails_has_no_further_turn(bench, rows):
    lines: list[str] = []
    contestants = [
        Contestant(OURS, Variant("off", KILL)),
        Contestant("sqlite3", Variant("default", KILL)),
        Contestant("nobody", Variant("default", KILL)),
    ]

    scores = interleave(
        bench._replace(tell=lines.append), "singles", rows, contestants, 3, count=2, most_s=9
    )

    assert [len(score.turns) for score in scores] == [3, 3, 0]
    assert [score.contestant for score in scores] == contestants
    assert scores[0].failed is None
    assert "KeyError: 'nobody'" in scores[2].failed
    turns = [line.partition(": ")[2].split()[0] for line in lines]
    assert turns == [OURS, "sqlite3", "nobody", "sqlite3", OURS, OURS, "sqlite3"]
    assert not (bench.folder / "turn").exists()


def test_our_own_failure_ends_the_measurement(bench, rows):
    contestants = [Contestant(OURS, Variant("never", KILL))]

    with pytest.raises(VecStoreError, match="durability"):
        interleave(bench, "singles", rows, contestants, 1, count=2, most_s=9)


def test_setups_are_plain_data_that_a_process_can_be_given(bench, rows):
    setup = bench.setup("name", rows, "full")

    path = str(bench.folder / "name")
    assert Setup(**json.loads(json.dumps(setup))) == (path, 16, "euclidean", "full", 16, 200, 0, 1)
