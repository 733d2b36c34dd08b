"""One writer, many readers: whatever is read is one published state, and no reader waits."""

import contextlib
import os
import re
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import vecstore
from tests.architecture.source import ROOT
from tests.larger_data import sized
from tests.scenario.author import Author
from tests.scenario.chronicle import DIM, QUERY
from tests.scenario.reader import ALL, Reader
from tests.storage.watching import PATIENCE_S, Gate, WatchedFiles, opened_through
from vecstore.errors import StoreClosed
from vecstore.index import parallel

CONFIG = {
    "flat_threshold": 64,
    "checkpoint_bytes": 100_000,
    "hnsw": {"m": 6, "ef_construction": 20, "ef_search": 6},
}
SECONDS = [0, pytest.param(sized(60, 4), marks=pytest.mark.slow)]
"""The least; nobody stops before all have done their share, however long that takes."""


# ---- every result is of one state


@pytest.fixture
def restless():
    """Let threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("restless")
@pytest.mark.parametrize("where", ["memory", "disk"])
@pytest.mark.parametrize("seconds", SECONDS)
def test_every_result_is_of_one_published_state_when_four_read_and_one_writes(
    tmp_path, where, seconds
):
    def all_have_done_their_share():
        for other in others:
            if other.done():
                other.result()  # which raises: it has failed
        return author.n_calls > 200 and all(reader.has_read(5) for reader in readers)

    path, stop = tmp_path / "store" if where == "disk" else ":memory:", threading.Event()
    with vecstore.open(path, dim=DIM, metric="l2", config=CONFIG) as store:
        author = Author(store)
        author.fill()
        readers = [Reader(store, author.chronicle, seed) for seed in range(4)]
        for reader in readers:
            reader.read_all()

        with ThreadPoolExecutor(5) as pool:
            others = [pool.submit(reader.read_until, stop) for reader in readers]
            others.append(pool.submit(author.keep_up))
            try:
                author.work(all_have_done_their_share, seconds=seconds)
            finally:
                stop.set()
        for other in others:
            other.result()

        assert store.stats().seqno == author.chronicle.done
        Reader(store, author.chronicle, 0).read_all()
        assert store.verify().ok


# ---- no reader waits


READS = {
    "query": lambda s: s.query(QUERY, k=9).ids,
    "exact query": lambda s: s.query(QUERY, k=9, ef=ALL).ids,
    "traced query": lambda s: s.query(QUERY, k=9, trace=True).trace.slots.tolist(),
    "query_many": lambda s: s.query_many([QUERY] * 40, threads=2).ids.tolist(),
    "iter_query": lambda s: [hit.id for hit in s.iter_query(QUERY)],
    "get": lambda s: s.get("known").vector.tolist(),
    "get_many": lambda s: [record.id for record in s.get_many(["known", "none", "r3"])],
    "in": lambda s: ("known" in s, "none" in s),
    "ids": lambda s: s.ids(),
    "records": lambda s: [record.id for record in s.records(deleted=True)],
    "count": lambda s: (s.count(), len(s), repr(s)),
    "stats": lambda s: s.stats().seqno,
    "index": lambda s: s.index.search(QUERY, k=3).slots.tolist(),
    "properties": lambda s: (s.path, s.dim, s.metric, s.config, s.schema, s.closed),
}
WRITE = ("late", [1, 2, 3, 4])


def read_all(store):
    """Read in threads of their own, for as long as a deadlock takes to be believed."""
    with ThreadPoolExecutor(4) as pool:
        begun = {name: pool.submit(read, store) for name, read in READS.items()}
        return {name: outcome.result(PATIENCE_S) for name, outcome in begun.items()}


def locks_of(store):
    """Find every lock that belongs to a store, by class and name of where it was made."""
    parts, found = store._parts, {}
    for owner in (parts.writer, parts.saver, parts.writer.journal, store._maintenance):
        for name, value in vars(owner).items():
            if hasattr(value, "acquire") and value not in found.values():
                found[f"{type(owner).__name__}.{name}"] = value
    return found


@pytest.fixture
def files():
    return WatchedFiles()


@contextlib.contextmanager
def filled(files, root, maintenance):
    """Make a store with a graph, a tail and dead slots, whose file operations can be held up."""
    config = CONFIG | {"maintenance": maintenance, "checkpoint_bytes": 1 << 30}
    with opened_through(files, root, dim=DIM, metric="l2", config=config) as store:
        author = Author(store)
        author.fill()
        for _ in range(10):
            author.batch()
        store.upsert("known", [1, 2, 3, 4])
        yield store


@pytest.fixture
def store(tmp_path, files):
    with filled(files, tmp_path / "store", "inline") as store:
        yield store


@contextlib.contextmanager
def held(locks):
    """Let another thread hold locks."""
    holds, release = threading.Event(), threading.Event()

    def hold():
        with contextlib.ExitStack() as stack:
            for lock in locks:
                stack.enter_context(lock)
            holds.set()
            assert release.wait(2 * PATIENCE_S)

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(hold)
        assert holds.wait(PATIENCE_S)
        try:
            yield
        finally:
            release.set()
            holding.result()


def test_reads_go_on_when_every_lock_of_the_store_is_held(store):
    before = read_all(store)

    with ThreadPoolExecutor(1) as pool:
        with held(locks_of(store).values()):
            writing = pool.submit(store.upsert, *WRITE)
            for _ in range(20):
                assert read_all(store) == before
            assert not writing.done()
        writing.result(PATIENCE_S)

    assert "late" in store


def test_the_document_lists_every_lock_when_it_speaks_of_locks(store):
    text = (ROOT / "docs" / "design" / "concurrency.md").read_text(encoding="utf-8")

    listed = set(re.findall(r"^\| `(\w+\.\w+)`", text, flags=re.M))

    assert listed >= set(locks_of(store))


STAGES = {
    "syncs the log": ("sync", "wal", lambda s: s.upsert(*WRITE)),
    "begins a log": ("create", "wal", lambda s: s.checkpoint()),
    "writes a generation": ("write_new", "metadata", lambda s: s.checkpoint()),
    "swaps CURRENT": ("replace", "CURRENT", lambda s: s.checkpoint()),
    "maps a generation": ("map", "ids", lambda s: s.checkpoint()),
    "removes a generation": ("remove", "", lambda s: s.checkpoint()),
    "compacts": ("write_new", "vectors", lambda s: s.compact()),
    "closes": ("sync", "wal", lambda s: s.close()),
}


@pytest.mark.parametrize("stage", STAGES)
def test_reads_go_on_when_the_writer_is_held_up(store, files, stage):
    operation, prefix, call = STAGES[stage]
    store.checkpoint()
    store.upsert("r0", [4, 3, 2, 1])  # so that there is something to write
    before, gate = read_all(store), Gate(operation, prefix)
    files.watchers.append(gate)

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(call, store)
        try:
            gate.wait()
            during = read_all(store)
            assert not working.done()
        finally:
            gate.open()
        working.result(PATIENCE_S)

    assert during == before


def test_reads_and_writes_go_on_when_the_graph_takes_slots(tmp_path, files):
    def hold(done, total):
        reached.set()
        assert go_on.wait(PATIENCE_S)

    reached, go_on = threading.Event(), threading.Event()
    with filled(files, tmp_path / "store", "background") as store, ThreadPoolExecutor(1) as pool:
        absorbing = pool.submit(store.optimize, progress=hold)
        try:
            assert reached.wait(PATIENCE_S)
            before = store.stats().indexed
            store.upsert(*WRITE)
            found = read_all(store)
            during = store.stats().indexed
        finally:
            go_on.set()
        absorbing.result(PATIENCE_S)

        assert "late" in found["ids"]
        assert before == during < store.stats().indexed


def test_queries_on_threads_go_on_when_the_absorber_has_taken_them_all(store, monkeypatch):
    def hold(begin, end):
        reached.set()
        assert go_on.wait(PATIENCE_S)

    monkeypatch.setattr(parallel, "_pool", None)  # which an earlier test may have made larger
    reached, go_on = threading.Event(), threading.Event()
    with ThreadPoolExecutor(1) as pool:
        absorbing = pool.submit(parallel.run_ranges, hold, 0, 64, 2)
        try:
            assert reached.wait(PATIENCE_S)
            read_all(store)
        finally:
            go_on.set()
        absorbing.result(PATIENCE_S)


@pytest.mark.parametrize("read", [name for name in READS if name not in ("index", "properties")])
def test_a_read_is_whole_or_refused_when_the_store_is_closed_while_it_begins(
    store, monkeypatch, read
):
    def close_first():
        monkeypatch.undo()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(store.close).result(PATIENCE_S)
        return os.getpid()

    before = READS[read](store)
    # which a store asks for before it looks at anything, to know whether it was forked
    monkeypatch.setattr("vecstore.engine.writer.os.getpid", close_first)

    with contextlib.suppress(StoreClosed):
        assert READS[read](store) == before
    assert store.closed
