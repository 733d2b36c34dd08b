"""A table that is written down while it changes: nothing is lost, and the memory is let go."""

import gc
import shutil
import weakref

import pytest

import vecstore
from tests.engine.test_writer import in_thread, seen
from tests.storage.watching import PATIENCE_S, Gate, WatchedFiles, let_go, opened_through
from tests.stores import SMALL, contents, grid, names
from vecstore.engine.chunks import CHUNK
from vecstore.engine.names import MappedBlobs
from vecstore.engine.rebase import Rebase
from vecstore.storage.files import Files
from vecstore.storage.manifest import read_current
from vecstore.storage.rows import MappedRows


def change_everything(store):
    """One of each call, on records of every generation; those of "meanwhile" are new."""
    store.upsert("r5", [5, 5, 5, 5])
    store.upsert_many(names(30, "meanwhile"), grid(30, seed=2), [{"i": i} for i in range(30)])
    store.upsert("r1", [7, 7, 7, 7], {"x": 1})
    store.update_metadata("r2", {"y": [2]})
    store.set_ttl("r4", 1e6)
    store.delete("r5")
    store.soft_delete("r6")
    store.restore("r7")
    store.upsert("meanwhile3", [8, 8, 8, 8])
    store.soft_delete("meanwhile4")
    store.delete("r1")
    store.upsert("r1", [6, 6, 6, 6])


HELD = ["vectors-", "hnsw_index-", "metadata-", "ids-", "checksums-", "manifest-", "CURRENT.tmp"]


@pytest.mark.parametrize("mapped", [False, True])
@pytest.mark.parametrize("file", HELD)
def test_writes_go_on_and_are_kept_when_a_checkpoint_is_being_written(tmp_path, file, mapped):
    root, files = tmp_path / "store", WatchedFiles()
    how = {"metric": "l2", "config": {**SMALL, "flat_threshold": 16}, "clock": lambda: 1000}
    appends = mapped and file == "vectors-"
    gate = Gate("write_at" if appends else "write_new", file)
    with vecstore.open(**how) as twin, let_go(opened_through(files, root, **how)) as store:
        for one in (twin, store):
            one.upsert_many(names(20), grid(20), [{"i": i} for i in range(20)])
            if mapped:
                one.checkpoint()
            one.upsert_many(names(5, "more"), grid(5))
            one.soft_delete("r7")
        old = store._writer.view
        before = seen(old)
        files.watchers.append(gate)

        thread, outcome = in_thread(store.checkpoint)
        gate.wait()
        change_everything(store)
        nearest = store.query([8, 8, 8, 8], k=1)[0].id
        shutil.copytree(root, tmp_path / "meanwhile")
        gate.open()
        thread.join(PATIENCE_S)

        assert outcome == [None]
        assert nearest == "meanwhile3"
        change_everything(twin)
        check_equal(store, twin)
        assert seen(old) == before
        manifest = read_current(Files(), root)
        assert (manifest.n, manifest.seqno) == (25, 3)
        shutil.copytree(root, tmp_path / "afterwards")
        for path in ("meanwhile", "afterwards"):
            with vecstore.open(tmp_path / path, check="full", clock=lambda: 1000) as again:
                check_equal(again, twin)
        for _ in range(2):
            change_everything(store)
            change_everything(twin)
            check_equal(store, twin)
            store.checkpoint()
            check_equal(store, twin)
        store.close()
        with vecstore.open(root, check="full", clock=lambda: 1000) as again:
            check_equal(again, twin)


def check_equal(store, twin):
    """Check that two stores hold the same, and that the first is whole."""
    one, other = contents(store), contents(twin)
    found, wanted = one.pop("stats"), other.pop("stats")
    assert one == other
    for name in ("live", "soft_deleted", "slots", "indexed", "seqno"):
        assert getattr(found, name) == getattr(wanted, name)
    assert store.verify().ok, store.verify().problems


def change_each_chunk(store, n):
    """Change slots of each chunk, old and new, and go on into the chunk after them."""
    store.update_metadata("r5", {"old": 1})
    store.soft_delete(f"r{n - 1}")
    append_only(store, n)
    store.update_metadata("new3", {"new": 1})
    store.set_ttl(f"new{CHUNK - 1}", 50)
    store.delete("r6")


def append_only(store, n):
    """Go on in the chunk that is begun, which is then no longer as it was written."""
    store.upsert_many(names(CHUNK, "new"), grid(CHUNK, 2, seed=3), [{"n": n}] * CHUNK)


@pytest.mark.parametrize("meddle", [change_each_chunk, append_only])
@pytest.mark.parametrize("metric", ["cosine", "l2"])
def test_chunks_and_graph_are_as_they_should_be_when_much_is_changed_meanwhile(
    tmp_path, metric, meddle
):
    n = CHUNK + 700
    files, gate = WatchedFiles(), Gate("write_new", "manifest-")
    how = {"metric": metric, "config": SMALL, "clock": lambda: 1000}
    with vecstore.open(**how) as twin:
        with let_go(opened_through(files, tmp_path / "store", **how)) as store:
            for one in (twin, store):
                one.upsert_many(names(n), grid(n, 2))
            files.watchers.append(gate)

            thread, outcome = in_thread(store.checkpoint)
            gate.wait()
            meddle(store, n)
            gate.open()
            thread.join(PATIENCE_S)

            assert outcome == [None]
            meddle(twin, n)
            assert store.stats().indexed > n
            check_equal(store, twin)
            store.checkpoint()
            store.close()
        with vecstore.open(tmp_path / "store", check="full", clock=lambda: 1000) as again:
            check_equal(again, twin)


@pytest.mark.parametrize("mapped", [False, True])
def test_calls_are_kept_when_they_come_just_before_the_table_looks_into_the_files(
    tmp_path, mapped, monkeypatch
):
    class Busy(Rebase):
        """Calls come between what is copied without the writer's lock and what under it."""

        def catch_up(self, n):
            super().catch_up(n)
            if calls:
                calls.pop()(store)

    monkeypatch.setattr("vecstore.engine.saver.Rebase", Busy)
    how = {"metric": "cosine", "config": SMALL, "clock": lambda: 1000}
    with vecstore.open(**how) as twin, vecstore.open(tmp_path / "store", **how) as store:
        calls = []
        for one in (twin, store):
            one.upsert_many(names(20), grid(20), [{"i": i} for i in range(20)])
            if mapped:
                one.checkpoint()
                one.upsert_many(names(9, "more"), grid(9, seed=1))
        calls.append(change_everything)

        store.checkpoint()

        assert calls == []
        change_everything(twin)
        check_equal(store, twin)
        store.close()
        with vecstore.open(tmp_path / "store", check="full", clock=lambda: 1000) as again:
            check_equal(again, twin)


def test_what_was_written_leaves_the_memory_when_nobody_looks_at_it(tmp_path):
    with vecstore.open(tmp_path / "store", metric="l2", config=SMALL) as store:
        store.upsert_many(names(5000), grid(5000, 32), [{"text": "x" * 99}] * 5000)
        table = store._writer.table
        in_memory = [weakref.ref(one) for one in (table.index.storage.array, table.names)]
        chunks = table.chunks
        assert all(isinstance(chunk.metadata, list) for chunk in chunks)
        del table, chunks

        store.checkpoint()

        gc.collect()
        table = store._writer.table
        assert [one() for one in in_memory] == [None, None]
        assert isinstance(table.index.storage, MappedRows)
        assert all(isinstance(chunk.metadata, MappedBlobs) for chunk in table.chunks)
        assert len(table.names._recent) == len(table.names._ids) == 0


def test_the_graph_leaves_the_memory_when_it_is_on_disk(tmp_path):
    with vecstore.open(tmp_path / "store", metric="l2", config=SMALL) as store:
        store.upsert_many(names(300), grid(300))
        store.checkpoint()
    with vecstore.open(tmp_path / "store") as store:
        first = store._writer.table.index.graph
        store.upsert("a", [1, 2, 3, 4])
        links = weakref.ref(first.links)
        del first

        store.checkpoint()

        gc.collect()
        # of a file that has no name any more, and would stay on the disk as long as it is mapped
        assert links() is None
