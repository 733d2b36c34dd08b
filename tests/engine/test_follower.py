"""Readers beside a writer: what is durable and nothing else, whatever the writer does meanwhile."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import vecstore
from tests.engine.test_recovery import HOW, failed_checkpoint, same, write
from tests.engine.test_writer import in_thread
from tests.storage.damage import image
from tests.storage.failing import FailingFiles
from tests.storage.watching import PATIENCE_S, Gate, WatchedFiles, let_go, opened_through
from tests.stores import SMALL, grid, names
from vecstore.errors import CorruptData
from vecstore.storage.file_names import log_name

CHANGES = {
    "nothing": lambda s: None,
    "upsert": lambda s: s.upsert("r1", [7, 7, 7, 7], {"new": 1}),
    "many": lambda s: s.upsert_many(names(300, "more"), grid(300)),
    "everything": lambda s: write(s, 1),
    "delete": lambda s: s.delete("r1"),
    "checkpoint": lambda s: s.checkpoint(),
    "checkpoint and more": lambda s: (s.checkpoint(), write(s, 2)),
    "checkpoints": lambda s: [(write(s, turn), s.checkpoint()) for turn in range(3, 6)],
    "optimize": lambda s: s.optimize(),
    "compact": lambda s: (s.delete("r1"), s.compact()),
    "compact and more": lambda s: (s.delete("r1"), s.compact(), write(s, 2)),
    "delete all": lambda s: (s.delete_many(s.ids()), s.compact()),
}


@pytest.fixture
def root(tmp_path):
    with vecstore.open(tmp_path / "store", **HOW) as store:
        store.upsert_many(names(40), grid(40), [{"i": i} for i in range(40)])
        store.checkpoint()
        store.upsert_many(names(40, "log"), grid(40, seed=1))
    return tmp_path / "store"


def reading(root, **how):
    return vecstore.open(root, mode="r", **{**HOW, **how})


# ---- refresh


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_a_reader_stays_where_it_is_and_moves_on_when_refreshed(root, change, closed):
    with reading(root) as reader, vecstore.open(root, **HOW) as writer:
        before = same(reader)
        assert before == same(writer)
        CHANGES[change](writer)
        if closed:
            writer.close()

        assert same(reader) == before

        reader.refresh()
        if not closed:
            # the last call is durable, but no later frame says so yet
            with reading(root) as fresh:
                assert same(reader) == same(fresh)
            writer.close()
            reader.refresh()
        assert reader.verify().ok
        with vecstore.open(root, **HOW) as again:
            assert same(reader) == same(again)


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_reader_had_before_stays_as_it_was_when_it_is_refreshed(root, change):
    with reading(root) as reader:
        hits, view = reader.iter_query([1, 1, 1, 1]), reader._writer.view
        kept = [view.record(slot).id for slot in view.slots(0).tolist()]
        expected = [hit.id for hit in reader.iter_query([1, 1, 1, 1])]
        with vecstore.open(root, **HOW) as writer:
            CHANGES[change](writer)

        reader.refresh()

        assert [hit.id for hit in hits] == expected
        assert [view.record(slot).id for slot in view.slots(0).tolist()] == kept


def test_refresh_changes_nothing_when_nothing_happened(root):
    before = image(root)
    with reading(root) as reader:
        view = reader._writer.view
        for _ in range(3):
            reader.refresh()

        assert reader._writer.view.seqno == view.seqno
        assert reader.stats().generation == 2
    assert image(root) == before


def test_refresh_does_nothing_when_the_handle_writes_or_is_in_memory(root):
    with vecstore.open(root, **HOW) as store, vecstore.open(**HOW) as other:
        before = same(store)
        store.refresh()
        other.refresh()

        assert same(store) == before


def test_a_reader_follows_a_store_from_its_first_record_on(tmp_path):
    root = tmp_path / "store"
    with vecstore.open(root, metric="l2", config=SMALL) as writer, reading(root) as reader:
        assert (len(reader), reader.dim, reader.index) == (0, None, None)
        assert list(reader.query([1, 2, 3])) == []
        for number in range(30):
            writer.upsert(f"r{number}", [number, 1, 1])
            reader.refresh()
            # each call says of the one before it that it is durable
            assert len(reader) == number
        writer.close()
        reader.refresh()
        assert (len(reader), reader.dim) == (30, 3)


@pytest.mark.parametrize("logs", [2, 4])
def test_a_reader_follows_when_calls_are_in_several_logs(root, logs):
    files = FailingFiles()
    with opened_through(files, root, **HOW) as writer, reading(root) as reader:
        for turn in range(1, logs):
            write(writer, turn)
            failed_checkpoint(writer, files)
            reader.refresh()
            with reading(root) as fresh:
                assert same(reader) == same(fresh) == same(writer)
        write(writer, logs)
        writer.close()
        reader.refresh()
        with vecstore.open(root, **HOW) as again:
            assert same(reader) == same(again)


# ---- only what is durable


def test_a_reader_sees_no_call_that_is_not_durable(tmp_path):
    root, gate, files = tmp_path / "store", Gate("sync", "wal-"), WatchedFiles()
    with opened_through(files, root, **HOW) as writer:
        writer.upsert("a", [1, 2, 3, 4])
        writer.upsert("b", [1, 2, 3, 4])
        files.watchers.append(gate)
        thread, _ = in_thread(lambda: writer.upsert("c", [1, 2, 3, 4]))
        gate.wait()

        with reading(root) as reader:
            seen = reader.ids()
            reader.refresh()
            seen += reader.ids()
        gate.open()
        thread.join(PATIENCE_S)

        # "b" is known to be durable since "c" was written; "c" is in the file, and not durable
        assert seen == ["a", "b", "a", "b"]
        writer.upsert("d", [1, 2, 3, 4])
        with reading(root) as reader:
            assert reader.ids() == ["a", "b", "c"]


@pytest.mark.parametrize("refreshes", [False, True])
@pytest.mark.parametrize("looks", [1, 2, 3])
def test_a_reader_never_sees_a_call_that_was_taken_back_while_it_looked(tmp_path, looks, refreshes):
    def look(operation, file):
        """Let a reader look at the log so many times, before a call goes that could not be made."""
        if operation == "resize" and not counting.is_set():
            counting.set()
            looking.append(in_thread(reader.refresh if refreshes else open_reader))
            gate.wait()

    def hold(operation, file):
        if operation == "read" and file.startswith("wal-") and counting.is_set():
            reads.append(file)
            if len(reads) > looks:
                gate(operation, file)

    def open_reader():
        return opened_through(WatchedFiles(hold), root, mode="r", **HOW)

    root, gate, counting = tmp_path / "store", Gate("read", "wal-"), threading.Event()
    looking, reads = [], []
    files = WatchedFiles(look, counted=("write",), taken=1)
    with contextlib.ExitStack() as opened:
        writer = opened.enter_context(opened_through(files, root, **HOW))
        writer.upsert("a", [1, 2, 3, 4])
        reader = opened.enter_context(open_reader())
        files.fail_after(0, late=True)  # when all of it is written
        with pytest.raises(OSError, match="write failed"):
            writer.upsert("b", [1, 2, 3, 4], {"is": "lost"})
        writer.upsert("b", [1, 2, 3, 4], {"is": "kept"})
        writer.upsert("c", [1, 2, 3, 4])
        ((thread, outcome),) = looking
        gate.open()
        thread.join(PATIENCE_S)
        if not refreshes:
            reader = opened.enter_context(outcome[0])
        seen = [(record.id, record.metadata) for record in reader.records()]
        reader.refresh()

        assert len(reads) > looks
        assert isinstance(outcome[0], vecstore.VecStore) or outcome == [None]
        assert seen in ([("a", {})], [("a", {}), ("b", {"is": "kept"})])
        assert reader.get("b").metadata == {"is": "kept"}
        writer.close()
        reader.refresh()
        assert reader.ids() == ["a", "b", "c"]


@pytest.mark.parametrize("mode", ["off", "interval"])
def test_a_reader_sees_the_last_checkpoint_when_calls_are_not_synced(tmp_path, mode):
    config = {**SMALL, "durability": mode, "sync_interval_s": 10_000}
    with vecstore.open(tmp_path / "store", metric="l2", config=config) as writer:
        writer.upsert_many(names(20), grid(20))
        with reading(tmp_path / "store") as reader:
            assert len(reader) == 0
            writer.checkpoint()
            writer.upsert_many(names(20, "more"), grid(20))
            reader.refresh()
            assert reader.ids() == names(20)
            writer.close()
            reader.refresh()
            assert reader.ids() == [*names(20), *names(20, "more")]


def test_a_reader_sees_all_calls_soon_when_nothing_more_is_written(tmp_path):
    config = {"flat_threshold": 8, "maintenance": "background"}
    with vecstore.open(tmp_path / "store", metric="l2", config=config) as writer:
        writer.upsert_many(names(20), grid(20))
        with reading(tmp_path / "store", config={"maintenance": "inline"}) as reader:
            ended = [t for t in threading.enumerate() if t.name == "vecstore-sync"]
            for thread in ended:
                thread.join(PATIENCE_S)  # it ends once it has left a mark
            reader.refresh()

            assert reader.ids() == names(20)


def test_a_torn_end_is_left_alone_and_not_counted_when_it_is_only_read(root):
    path = root / log_name(2)
    with path.open("ab") as file:
        file.write(b"?" * 500)
    before = image(root)

    with reading(root) as reader:
        assert reader.stats().torn_bytes == 0
        assert len(reader) == 80
        assert reader.verify().ok

    assert image(root) == before


# ---- a writer that is busy


@pytest.mark.parametrize("operation", ["write_new", "write_at", "replace", "remove", "create"])
def test_a_reader_opens_and_refreshes_in_the_middle_of_a_checkpoint(root, operation):
    gate, files = Gate(operation), WatchedFiles()
    with opened_through(files, root, **HOW) as writer, reading(root) as reader:
        write(writer, 1)
        wanted = same(writer)
        files.watchers.append(gate)
        thread, outcome = in_thread(writer.checkpoint)
        gate.wait()

        reader.refresh()
        # the checkpoint has made all of it durable; once the next log is there, it says so
        assert (same(reader) == wanted) == (operation != "create")
        with reading(root, check="full") as fresh:
            assert same(fresh) == same(reader)
            assert fresh.verify().ok
            gate.open()
            thread.join(PATIENCE_S)
            # its files have no names any more; it looks into them all the same
            assert same(fresh) == same(reader)
            fresh.refresh()
            assert same(fresh) == wanted
        assert outcome == [None]
        reader.refresh()
        assert same(reader) == wanted


class Vanishing(FailingFiles):
    """A file system on which a writer checkpoints whenever a reader has just read CURRENT."""

    def __init__(self, writer, times):
        super().__init__(counted=())
        self._writer = writer
        self.times = times

    def perform(self, name, path, *rest, **named):
        found = super().perform(name, path, *rest, **named)
        if path.name == "CURRENT" and name == "read" and self.times:
            self.times -= 1
            write(self._writer, self.times)
            self._writer.checkpoint()
        return found


@pytest.mark.parametrize("times", [1, 2, 9])
@pytest.mark.parametrize("full", [None, "full"])
def test_a_reader_looks_again_when_files_vanish_under_its_eyes(root, times, full):
    with vecstore.open(root, **HOW) as writer:
        files = Vanishing(writer, times)
        reader = opened_through(files, root, mode="r", check=full, **HOW)
        with reader:
            assert same(reader) == same(writer)
            files.times = times
            reader.refresh()
            assert same(reader) == same(writer)
            files.times = 1
            assert reader.verify().ok


def test_many_readers_see_only_whole_states_when_a_writer_never_rests(tmp_path):
    # every call puts one more record of the same number into the store, all with one word
    root, stop = tmp_path / "store", threading.Event()
    config = {"flat_threshold": 64, "maintenance": "background", "checkpoint_bytes": 20_000}
    seen = [[], [], []]

    def read(seqnos):
        with vecstore.open(root, mode="r") as reader:
            while not stop.is_set():
                reader.refresh()
                records = list(reader.records())
                turns = {record.metadata["turn"] for record in records}
                assert len(records) in (0, 40)
                assert len(turns) <= 1
                assert {record.vector[0] for record in records} == turns
                hits = reader.query([1, 1, 1, 1], k=50)
                assert len(hits) == len(records)
                seqnos.append(reader.stats().seqno)

    def write_on(writer):
        """Write until all have seen much of it; that one does not, however much, is a failure."""
        for turn in range(1, 10_000):
            rows = grid(40)
            rows[:, 0] = turn
            writer.upsert_many(names(40), rows, [{"turn": turn}] * 40)
            if turn % 40 == 0:
                writer.compact()
            if turn > 80 and all(len(set(seqnos)) > 9 for seqnos in seen):
                return
            if any(reader.done() for reader in readers):
                return

    with vecstore.open(root, metric="l2", config=config) as writer:
        with ThreadPoolExecutor(3) as pool:
            readers = [pool.submit(read, seqnos) for seqnos in seen]
            try:
                write_on(writer)
            finally:
                stop.set()
            for reader in readers:
                reader.result()
        assert writer.stats().generation > 2

    assert all(seqnos == sorted(seqnos) for seqnos in seen)
    assert all(len(set(seqnos)) > 9 for seqnos in seen)


# ---- damage


def test_a_reader_stays_where_it_was_when_the_store_is_damaged_meanwhile(root):
    with reading(root) as reader:
        before = same(reader)
        with vecstore.open(root, **HOW) as writer:
            write(writer, 1)
            writer.checkpoint()
        path = next(root.glob("ids-*"))
        sound = path.read_bytes()
        path.write_bytes(sound[:-1])

        for _ in range(2):
            with pytest.raises(CorruptData) as caught:
                reader.refresh()
            assert caught.value.path == path
            assert same(reader) == before
        assert not reader.verify().ok

        path.write_bytes(sound)
        reader.refresh()
        with vecstore.open(root, **HOW) as again:
            assert same(reader) == same(again)


def test_a_reader_stays_where_it_was_when_its_log_is_damaged_meanwhile(root):
    path = root / log_name(2)
    with reading(root) as reader:
        before = same(reader)
        with vecstore.open(root, **HOW) as writer:
            begin = path.stat().st_size
            write(writer, 1)
        sound = path.read_bytes()
        path.write_bytes(sound[: begin + 200] + b"?" + sound[begin + 201 :])

        with pytest.raises(CorruptData) as caught:
            reader.refresh()

        assert caught.value.path == path
        assert same(reader) == before
        path.write_bytes(sound)
        reader.refresh()
        with vecstore.open(root, **HOW) as again:
            assert same(reader) == same(again)


def test_a_reader_tells_what_is_missing_when_the_store_is_gone(root, tmp_path):
    with reading(root) as reader:
        before = same(reader)
        root.rename(tmp_path / "elsewhere")

        with pytest.raises(CorruptData):
            reader.refresh()

        assert same(reader) == before


def test_a_reader_needs_no_lock_and_leaves_none(root):
    (root / "LOCK").unlink()

    with reading(root) as one, reading(root) as other:
        assert same(one) == same(other)

    assert not (root / "LOCK").exists()
    with let_go(vecstore.open(root, **HOW)) as writer, reading(root) as reader:
        assert same(writer) == same(reader)
