"""`store.verify()` sees every kind of damage and raises for none; traces and cards of a store."""

import numpy as np
import pytest

import vecstore
from vecstore.config import HnswConfig, StoreConfig
from vecstore.errors import CorruptData
from vecstore.inspection import StopReason
from vecstore.storage.file_names import log_number
from vecstore.storage.files import Files
from vecstore.storage.log_reader import LogReader
from vecstore.storage.wal import Log

N, DIM = 600, 8
ROLES = ["vectors", "hnsw_index", "metadata", "ids", "checksums"]
CONFIG = StoreConfig(hnsw=HnswConfig(m=4), flat_threshold=100, maintenance="inline")


def _filled(path=":memory:"):
    store = vecstore.open(path, config=CONFIG)
    vectors = np.random.default_rng(0).normal(size=(N, DIM))
    store.upsert_many([f"id{i}" for i in range(N)], vectors, [{"i": i} for i in range(N)])
    return store


def _saved(path):
    """Write a generation, and a few calls that only the log holds."""
    with _filled(path) as store:
        store.checkpoint()
        store.upsert("late", [1.0] * DIM, {"i": N})
        store.delete("id7")


def _flip(path, offset):
    data = bytearray(path.read_bytes())
    data[offset] ^= 0x10
    path.write_bytes(data)


@pytest.mark.parametrize("place", ["memory", "disk", "disk and log", "log"])
def test_a_whole_store_is_ok(place, tmp_path):
    with _filled(":memory:" if place == "memory" else tmp_path / "store") as store:
        if place in ("disk", "disk and log"):
            store.checkpoint()
        if place == "disk and log":
            store.delete("id7")

        report = store.verify()

        assert report.ok
        assert report.problems == ()
        # links that are not returned are what pruning leaves
        assert "not returned" in report.findings[0].text
        assert not any("reached" in finding.text for finding in report.findings)


@pytest.mark.parametrize("role", ROLES)
def test_a_flipped_bit_is_reported_with_file_and_place(role, tmp_path):
    _saved(tmp_path / "store")
    store = vecstore.open(tmp_path / "store")
    (path,) = (tmp_path / "store").glob(f"{role}-*.bin")
    offset = path.stat().st_size * 2 // 3

    _flip(path, offset)
    report = store.verify()

    assert not report.ok
    damaged = [issue for issue in report.problems if issue.path == str(path)]
    assert damaged
    assert damaged[0].offset is not None
    if role != "checksums":
        # what was read of it may be wrong in memory, too, where it has no place
        others = [issue for issue in report.problems if issue not in damaged]
        assert len(damaged) == 1
        assert {(issue.path, issue.offset) for issue in others} <= {(str(path.parent), None)}
    assert str(path) in str(damaged[0])
    store.close()


def test_every_damaged_file_is_reported(tmp_path):
    _saved(tmp_path / "store")
    with vecstore.open(tmp_path / "store") as store:
        paths = [next((tmp_path / "store").glob(f"{role}-*.bin")) for role in ("ids", "vectors")]
        for path in paths:
            _flip(path, path.stat().st_size // 2)
        paths.append(tmp_path / "store" / "CURRENT")
        _flip(paths[-1], 3)

        report = store.verify()

        assert {str(path) for path in paths} <= {issue.path for issue in report.problems}


@pytest.mark.parametrize("harm", ["cut to nothing", "cut in half", "longer", "missing", "a folder"])
@pytest.mark.parametrize("role", ROLES)
def test_a_file_of_another_length_is_reported(role, harm, tmp_path):
    _saved(tmp_path / "store")
    store = vecstore.open(tmp_path / "store")
    (path,) = (tmp_path / "store").glob(f"{role}-*.bin")
    before = path.read_bytes()
    path.unlink()
    if harm == "a folder":
        path.mkdir()
    elif harm != "missing":
        changed = {"cut to nothing": b"", "cut in half": before[: len(before) // 2]}
        path.write_bytes(changed.get(harm, before + bytes(100)))

    report = store.verify()

    # rows are appended behind those that the manifest names
    assert report.ok == (role == "vectors" and harm == "longer")
    assert report.ok or str(path) in {issue.path for issue in report.problems}
    store.close()


@pytest.mark.parametrize("at", range(64))
def test_a_damaged_header_is_reported(at, tmp_path):
    _saved(tmp_path / "store")
    store = vecstore.open(tmp_path / "store")
    (path,) = (tmp_path / "store").glob("ids-*.bin")

    _flip(path, at)

    assert [issue.path for issue in store.verify().problems] == [str(path)]
    store.close()


def _log_of(root):
    (path,) = root.glob("wal-*.log")
    return path


def _damaged_log(root, harm):
    """Harm the log of a store, whose frames and mark lie behind a header of 64 bytes."""
    path = _log_of(root)
    before = path.read_bytes()
    path.unlink()
    if harm == "a folder":
        path.mkdir()
    elif harm != "missing":
        flipped = bytearray(before)
        flipped[{"header flipped": 40, "frame flipped": 200}.get(harm, 0)] ^= 0x10
        zeros = before[:64] + bytes(len(before) - 64)
        changed = {"empty": b"", "cut": before[:100], "zeros": zeros, "garbage": b"x" * 200}
        path.write_bytes(changed.get(harm, bytes(flipped)))
    return path


HARMS = ["missing", "a folder", "empty", "cut", "zeros", "garbage", "header flipped"]
HARMS += ["frame flipped"]


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_log_is_reported_by_the_handle_that_writes_it(harm, tmp_path):
    _saved(tmp_path / "store")
    store = vecstore.open(tmp_path / "store")
    path = _damaged_log(tmp_path / "store", harm)

    report = store.verify()

    assert [issue.path for issue in report.problems] == [str(path)]
    assert type(report.problems[0].offset) is int
    store.close()


@pytest.mark.parametrize("harm", [harm for harm in HARMS if harm not in ("cut", "zeros")])
def test_a_damaged_log_is_reported_by_a_handle_that_reads(harm, tmp_path):
    # nobody but the writer can know that there was more than what is left of a cut log
    _saved(tmp_path / "store")
    with vecstore.open(tmp_path / "store", mode="r") as store:
        path = _damaged_log(tmp_path / "store", harm)

        assert [issue.path for issue in store.verify().problems] == [str(path)]


def test_a_call_that_cannot_have_been_made_is_reported_though_its_checksum_is_right(tmp_path):
    _saved(tmp_path / "store")
    with vecstore.open(tmp_path / "store", mode="r") as store:
        path = _log_of(tmp_path / "store")
        reader = LogReader(Files(), path, log_number(path.name))
        last = list(reader.calls())[-1]
        log = Log(Files().open(path), reader.header, last.offset, last.seqno - 1)
        log.file.resize(last.offset)
        log.append(last.seqno, last.kind, [b"\x91\x92\x07\x07"], prepare=False)
        log.synced = log.end
        log.mark()
        log.close()

        report = store.verify()

    assert [(issue.path, issue.offset) for issue in report.problems] == [(str(path), last.offset)]
    for mode in "ar":
        with pytest.raises(CorruptData) as caught:
            vecstore.open(tmp_path / "store", mode=mode)
        assert (caught.value.path, caught.value.offset) == (path, last.offset)


def test_the_file_of_another_store_is_reported(tmp_path):
    for name in ("one", "other"):
        with _filled(tmp_path / name) as store:
            store.upsert(name, [1.0] * DIM)
            store.checkpoint()
    with vecstore.open(tmp_path / "one") as store:
        path = next((tmp_path / "one").glob("metadata-*.bin"))
        path.write_bytes(next((tmp_path / "other").glob(path.name)).read_bytes())

        assert "names" in store.verify().problems[0].text


def test_an_older_current_is_reported(tmp_path):
    with _filled(tmp_path / "store") as store:
        store.checkpoint()
        current = (tmp_path / "store" / "CURRENT").read_bytes()
        manifest = next((tmp_path / "store").glob("manifest-*.json"))
        older = manifest.read_bytes()
        store.upsert("new", [1.0] * DIM)
        store.checkpoint()
        manifest.write_bytes(older)
        (tmp_path / "store" / "CURRENT").write_bytes(current)

        report = store.verify()

        assert not report.ok
        assert report.problems[0].path == str(tmp_path / "store" / "CURRENT")


def test_a_broken_link_in_memory_is_not_blamed_on_a_file(tmp_path):
    with _filled(tmp_path / "store") as store:
        store.checkpoint()
        store.upsert("new", [1.0] * DIM)
        store._writer.table.index.graph.links[7, 0] = 7

        (problem,) = store.verify().problems

        assert (problem.path, problem.offset) == (str(tmp_path / "store"), None)


def test_a_broken_link_is_reported_though_no_file_is_damaged():
    with _filled() as store:
        graph = store._writer.table.index.graph
        graph.links[7, 0] = 7

        report = store.verify()

        assert not report.ok
        assert "itself" in report.problems[0].text
        assert (report.problems[0].path, report.problems[0].offset) == (None, None)


def test_verify_is_refused_when_the_store_is_closed():
    store = _filled()
    store.close()

    with pytest.raises(vecstore.errors.StoreClosed):
        store.verify()


# ---- traces


def test_a_traced_query_is_the_query():
    with _filled() as store:
        store.delete_many([f"id{i}" for i in range(0, 300, 2)])
        query = np.random.default_rng(1).normal(size=DIM)

        plain = store.query(query, k=5, ef=10)
        traced = store.query(query, k=5, ef=10, trace=True)

        assert plain.trace is None
        assert traced.ids == plain.ids
        assert [f"id{slot}" for slot in traced.trace.slots] == plain.ids
        assert traced.trace.distances.tolist() == plain.distances.tolist()
        assert traced.trace.n_dist == plain.stats.n_dist
        assert traced.trace.n_hops == plain.stats.n_hops
        # deleted records are walked through and not returned
        assert traced.trace.stops["reason"][-1] == StopReason.CANDIDATES_FARTHER
        assert (traced.trace.hops["slot"] % 2 == 0).any()


def test_there_is_no_trace_when_there_is_nothing_to_search():
    with vecstore.open(dim=DIM) as store:
        assert store.query([0.5] * DIM, trace=True).trace is None


# ---- cards


def test_store_index_graph_result_and_trace_show_themselves(tmp_path):
    with _filled(tmp_path / "a<b") as store:
        store.upsert("<script>", [1.0] * DIM, {"key": "<img src=x>"})
        result = store.query([1.0] * DIM, k=3, trace=True)
        shown = [store, store.index, store.index.graph, result, result.trace]

        cards = [thing._repr_html_() for thing in shown]

        for name, card in zip(
            ("VecStore", "HNSWIndex", "HnswGraph", "QueryResult", "Trace"), cards, strict=True
        ):
            assert name in card
            assert "<script" not in card
            assert "<img" not in card
            assert "a<b" not in card
    assert "closed" in store._repr_html_()
