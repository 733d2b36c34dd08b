"""Several processes, one store: one writes, by a lock that dies with it, and any number read."""

import contextlib
import gc
import inspect
import os
import signal
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import pytest

import vecstore
from tests.scenario.author import Author
from tests.scenario.chronicle import DIM, QUERY
from tests.scenario.lives import CALLS, Life, bequeath, follow, stay
from tests.scenario.reader import kept, seen
from tests.storage.watching import PATIENCE_S, Gate, WatchedFiles, opened_through
from vecstore.errors import StoreLocked
from vecstore.storage.files import Files

CONFIG = {"flat_threshold": 64, "checkpoint_bytes": 60_000, "hnsw": {"m": 4, "ef_construction": 16}}
MAPS = Path("/proc/self/maps")


# ---- one writer


def holder_of(path):
    """Give who holds the lock, as it is said to whoever wants it too."""
    with pytest.raises(StoreLocked) as caught:
        vecstore.open(path)
    assert caught.value.holder in str(caught.value)
    return caught.value.holder


def test_a_second_handle_hears_who_holds_the_lock_when_it_is_this_process(tmp_path):
    with vecstore.open(tmp_path):
        assert holder_of(tmp_path) == f"process {os.getpid()}"


def test_a_second_handle_hears_who_holds_the_lock_when_it_is_another_process(tmp_path):
    with Life(stay, tmp_path, {}) as life:
        assert life.hear() == "open"
        assert holder_of(tmp_path) == f"process {life.pid}"
        life.end()

    vecstore.open(tmp_path).close()


def test_another_process_hears_who_holds_the_lock_when_it_is_this_one(tmp_path):
    with vecstore.open(tmp_path), Life(stay, tmp_path, {}) as life:
        assert life.hear() == f"process {os.getpid()}"
        life.end()


def test_no_lock_is_left_when_the_writer_was_killed(tmp_path):
    with Life(stay, tmp_path, {}) as life:
        assert life.hear() == "open"
        life.kill()

        with vecstore.open(tmp_path) as store:
            store.upsert("a", [1, 2])
            assert holder_of(tmp_path) == f"process {os.getpid()}"


def test_the_lock_is_kept_when_the_upkeep_of_a_leaked_handle_goes_on(tmp_path):
    def collect(operation, file):
        if operation == "write_new" and file.startswith("metadata"):
            gc.collect()  # which any allocation may do, in whatever thread

    begin, end = Gate("create", "wal-000002"), Gate("write_new", "metadata")
    files, config = WatchedFiles(begin, collect, end), {"checkpoint_bytes": 0}
    with warnings.catch_warnings(), without_collections():
        warnings.simplefilter("ignore", ResourceWarning)
        cycle = [opened_through(files, tmp_path, metric="l2", config=config)]
        cycle.append(cycle)
        cycle[0].upsert_many(["a", "b"], [[1, 2], [3, 4]])
        begin.wait()
        del cycle
        begin.open()
        end.wait()  # the upkeep thread has collected the handle, and is in a checkpoint

        try:
            assert holder_of(tmp_path) == f"process {os.getpid()}"
        finally:
            end.open()
            for thread in threading.enumerate():
                if thread.name.startswith("vecstore-"):
                    thread.join(PATIENCE_S)

    with vecstore.open(tmp_path, check="full") as store:
        assert store.ids() == ["a", "b"]


@contextlib.contextmanager
def without_collections():
    """Collect no cycles but by a call."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.parametrize("mode", ["a", "r"])
def test_a_warning_is_given_when_the_store_lies_on_a_network(tmp_path, mode):
    class Remote(Files):
        def file_system(self, path):
            return "nfs4"

    vecstore.open(tmp_path).close()

    with pytest.warns(UserWarning, match=r"network file system \(nfs4\)"):
        opened_through(Remote(), tmp_path, mode=mode).close()


# ---- any number of readers


def test_readers_see_whole_states_in_order_when_another_process_writes(tmp_path):
    def all_have_seen_enough():
        curious.difference_update([life for life in curious if life.hear(0) == "enough"])
        return not curious or not all(life.is_alive for life in curious)

    with vecstore.open(tmp_path, dim=DIM, metric="l2", config=CONFIG) as store:
        author = Author(store)
        lives = [Life(follow, tmp_path, 10) for _ in range(3)]
        curious = set(lives)
        assert [life.hear() for life in lives] == ["open"] * 3
        author.fill()
        with ThreadPoolExecutor(1) as pool:
            keeping_up = pool.submit(author.keep_up)
            author.work(all_have_seen_enough)
        keeping_up.result()
    assert not curious, "one has ended"
    for life in lives:
        life.tell("read once more")
    told = [life.hear() for life in lives]
    for life in lives:
        life.end()

    digests = {state.seqno: state.digest for state in author.chronicle.since(0)}
    for states in told:
        seqnos, generations, found = zip(*states, strict=True)
        assert list(seqnos) == sorted(seqnos)
        assert [digests[seqno] for seqno in seqnos] == list(found)
        assert seqnos[-1] == author.chronicle.done
        assert list(generations) == sorted(generations)


def test_a_reader_stays_where_it_was_when_the_writer_rewrites_the_store(tmp_path):
    with vecstore.open(tmp_path, dim=DIM, metric="l2", config=CONFIG) as store:
        author = Author(store)
        author.fill()
        store.checkpoint()
        with vecstore.open(tmp_path, mode="r") as reader:
            state, hits = author.chronicle.newest, reader.iter_query(QUERY)
            for upkeep in (author.compact, store.checkpoint, store.optimize) * 2:
                author.upsert_many()
                author.delete()
                upkeep()
                assert kept(reader.records()) == list(state.visible.items())
            reader.refresh()

            assert kept(reader.records()) == list(author.chronicle.newest.visible.items())
            assert sorted(seen(hits)) == sorted(state.visible.items())


READER_CALLS = {
    "open": lambda path, reader: vecstore.open(path, mode="r").close(),
    "refresh": lambda path, reader: reader.refresh(),
    "verify": lambda path, reader: reader.verify().problems,
}


@pytest.mark.parametrize("call", READER_CALLS)
def test_a_reader_looks_again_when_the_generation_it_was_told_of_is_gone(tmp_path, call):
    class Overtaken(Files):
        """Files in which a checkpoint comes between `CURRENT` and what it names."""

        armed = False

        def read(self, path, most, offset=0):
            read = super().read(path, most, offset)
            if path.name == "CURRENT" and self.armed:
                self.armed = False
                store.upsert("b", [3, 4])
                store.checkpoint()
            return read

    files = Overtaken()
    with vecstore.open(tmp_path, metric="l2") as store:
        store.upsert("a", [1, 2])
        store.checkpoint()
        with opened_through(files, tmp_path, mode="r") as reader:
            files.armed = True

            with mock.patch("vecstore.store.Files", return_value=files):
                assert not READER_CALLS[call](tmp_path, reader)

            assert not files.armed
            reader.refresh()
            assert reader.ids() == ["a", "b"]


def test_what_a_reader_has_begun_stays_whole_when_it_moves_on_within_a_log(tmp_path):
    def describe_all():
        for _ in range(20):
            author.describe()
            author.hide()
        author.upsert()  # tells that those before it are durable

    config = CONFIG | {"checkpoint_bytes": 1 << 30, "maintenance": "inline"}
    with vecstore.open(tmp_path, dim=DIM, metric="l2", config=config) as store:
        author = Author(store)
        author.fill()
        describe_all()
        with vecstore.open(tmp_path, mode="r") as reader:
            begun = []
            for _ in range(3):
                state = author.chronicle.since(reader.stats().seqno)[0]
                begun.append((state, reader.records(deleted=True), reader.iter_query(QUERY)))
                describe_all()
                reader.refresh()

            assert len({state.seqno for state, _, _ in begun}) == 3
            for state, records, hits in begun:
                assert kept(records) == list(state.records.items())
                assert sorted(seen(hits)) == sorted(state.visible.items())


# ---- forks


@pytest.fixture(params=["inline", "background"])
def family(request, tmp_path):
    """Give a store's path, the process that has it open, and the pid of the child it has forked."""
    with Life(bequeath, tmp_path, {"maintenance": request.param}) as life:
        assert life.hear() == "open"
        before = contents_of(tmp_path)
        life.tell("fork")
        first, second = life.hear(), life.hear()  # in any order
        child, outcomes = sorted((first, second), key=lambda said: isinstance(said, dict))
        try:
            yield tmp_path, life, outcomes, before
        finally:
            os.kill(child, signal.SIGKILL)


def contents_of(path):
    return {file: file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def test_the_child_tries_every_call_there_is():
    public = {name for name, _ in inspect.getmembers(vecstore.VecStore, inspect.isfunction)}

    assert {name for name in public if not name.startswith("_")} - {"close"} <= set(CALLS)


@pytest.mark.parametrize("family", ["inline"], indirect=True)  # no thread that writes a mark
def test_every_call_of_a_forked_child_is_refused_and_changes_nothing(family):
    path, life, outcomes, before = family

    refusal = f"was opened by process {life.pid}, from which this one was forked"
    assert [name for name, outcome in outcomes.items() if refusal not in outcome] == []
    assert contents_of(path) == before


def test_the_parent_goes_on_when_its_child_has_tried_and_closed(family):
    path, life, *_ = family

    life.tell("go on")

    assert life.hear() == "closed"
    # the child lives, and holds nothing
    with vecstore.open(path, check="full") as store:
        assert store.ids() == ["a", "b"]
        assert store.verify().ok


def test_the_lock_is_free_when_the_parent_was_killed_and_its_child_lives(family):
    path, life, *_ = family

    life.kill()

    with vecstore.open(path, check="full") as store:
        assert store.ids() == ["a"]
