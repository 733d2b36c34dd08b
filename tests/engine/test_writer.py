"""The writer between its views and its log: nothing half done, nothing shown too early."""

import threading

import numpy as np
import pytest

import vecstore
from tests.storage.damage import abandon, stored
from tests.storage.failing import FailingFiles
from tests.storage.watching import PATIENCE_S, Gate, WatchedFiles, opened_through
from tests.stores import SMALL, grid, names
from vecstore.config import StoreConfig
from vecstore.engine.maintenance import Maintenance
from vecstore.engine.table import Table
from vecstore.engine.writer import Writer
from vecstore.errors import InvalidInput, StorePoisoned

NOW = 1000
CONFIG = StoreConfig(flat_threshold=8, maintenance="inline")


def put(writer, ids, rows):
    def plan(planned):
        for record_id, row in zip(ids, rows, strict=True):
            planned.upsert("upsert", record_id, row)

    return writer.change(NOW, plan)


def records(store):
    return [(record.id, record.vector.tolist()) for record in store.records()]


def opened(root, files):
    return opened_through(files, root, metric="l2", config=SMALL)


def in_thread(call):
    """Begin a call in a thread of its own; the thread, and what the call gives or raises."""
    outcome = []

    def run():
        try:
            outcome.append(call())
        except Exception as exc:
            outcome.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


# ---- in memory


def test_a_call_takes_no_seqno_when_it_changes_nothing():
    writer = Writer(Table(None, "euclidean", 2, CONFIG))
    view = writer.view

    writer.change(NOW, lambda plan: plan.restore("restore", "a"))

    assert writer.view is view


def test_nothing_is_published_when_the_plan_refuses():
    writer = Writer(Table(None, "euclidean", 4, CONFIG))
    view = writer.view

    with pytest.raises(InvalidInput):
        put(writer, ["a", "b"], [np.ones(4), np.full(4, np.nan)])

    assert writer.view is view
    assert writer.table.n == 0


def test_a_graph_is_worthless_when_its_table_was_replaced_meanwhile():
    writer = Writer(Table(None, "euclidean", 4, CONFIG))
    put(writer, names(20), grid(20))
    old, graph = writer.table, writer.table.index.graph
    writer.change(NOW, lambda plan: plan.delete("delete", "r0"))
    Maintenance(writer, None, "inline").compact()

    assert not writer.publish_graph(old, graph)
    assert writer.publish_graph(writer.table, writer.table.index.graph)


def test_an_older_state_is_not_shown_when_a_later_one_is():
    writer = Writer(Table(None, "euclidean", 4, CONFIG))
    older = writer.view
    put(writer, ["a"], grid(1))
    later = writer.view

    writer.publish(older)

    assert writer.view is later


def test_a_grown_graph_stays_shown_when_a_state_made_before_it_is_published():
    writer = Writer(Table(None, "euclidean", 4, CONFIG))
    put(writer, names(20), grid(20))
    made, writer.table.seqno = writer.table.view()._replace(seqno=2), 2
    Maintenance(writer, None, "inline").after_write()
    indexed = writer.view.snapshot.graph.n_indexed

    writer.publish(made)

    assert indexed > 0
    assert (writer.view.seqno, writer.view.snapshot.graph.n_indexed) == (2, indexed)


# ---- with a log


@pytest.mark.parametrize("n", [1, 500])
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("operation", ["write", "resize"])
def test_a_write_did_not_happen_when_the_log_cannot_take_it(tmp_path, operation, late, n):
    root, files = tmp_path / "store", FailingFiles(counted=("write", "resize"))
    with opened(root, files) as store:
        store.upsert_many(names(20), grid(20))
        before, seqno = records(store), store.stats().seqno
        files.fail_after(0, late=late)
        # a failed write is taken back by a resize; if that fails as well, later
        files.dead = operation == "resize"

        for _ in range(2):
            with pytest.raises(OSError, match=f"{operation}|write failed"):
                store.upsert_many(names(n, "new"), grid(n))
            assert records(store) == before
            assert store.stats().seqno == store._writer.table.seqno == seqno
            if not files.dead:
                break

        files.at, files.dead = None, False
        store.upsert_many(names(n, "new"), grid(n))
        after = records(store)
    assert stored(root) == dict(after)
    assert len(after) == 20 + n


def test_a_write_did_not_happen_when_the_rows_cannot_be_mapped_anew(tmp_path):
    root, files = tmp_path / "store", FailingFiles(counted=("map",))
    with opened(root, files) as store:
        store.upsert_many(names(20), grid(20))
        store.checkpoint()
        before = records(store)
        files.fail_after(0)

        with pytest.raises(OSError, match="map failed"):
            store.upsert_many(names(500, "new"), grid(500))

        assert records(store) == before
        store.upsert_many(names(500, "new"), grid(500))
        after = records(store)
    assert stored(root) == dict(after)
    assert len(after) == 520


class CutShort(KeyboardInterrupt):
    """Ctrl-C, told apart from a real one."""


@pytest.mark.parametrize("durability", ["full", "off"])
def test_a_write_did_not_happen_when_ctrl_c_comes_while_it_is_logged(tmp_path, durability):
    class Interrupting(FailingFiles):
        """Ctrl-C comes when the system has just taken the bytes."""

        armed = False

        def perform(self, name, *rest, **named):
            done = super().perform(name, *rest, **named)
            if self.armed and name == "write":
                raise CutShort
            return done

    root, files = tmp_path / "store", Interrupting()
    config = {**SMALL, "durability": durability}
    store = opened_through(files, root, metric="l2", config=config)
    store.upsert("a", [1, 2, 3, 4])
    before = records(store), store.stats()
    files.armed = True

    with pytest.raises(CutShort):
        store.upsert("b", [4, 3, 2, 1])

    files.armed = False
    assert (records(store), store.stats()) == before
    abandon(store)
    assert stored(root) == {"a": [1, 2, 3, 4]}


def test_a_state_is_not_shown_before_it_is_durable(tmp_path):
    gate = Gate("sync", "wal-")
    files = WatchedFiles()
    with opened(tmp_path / "store", files) as store:
        store.upsert("a", [1, 2, 3, 4])
        files.watchers.append(gate)

        thread, outcome = in_thread(lambda: store.upsert("b", [4, 3, 2, 1]))
        gate.wait()
        seen = store.ids(), "b" in store, len(store.query([1, 1, 1, 1])), store.stats().seqno
        gate.open()
        thread.join(PATIENCE_S)

        assert seen == (["a"], False, 1, 1)
        assert outcome == [None]
        assert store.ids() == ["a", "b"]


def test_a_call_is_planned_on_those_before_it_when_they_are_not_durable_yet(tmp_path):
    gate = Gate("sync", "wal-")
    files = WatchedFiles()
    with opened(tmp_path / "store", files) as store:
        store.upsert("a", [1, 2, 3, 4])
        files.watchers.append(gate)

        first = in_thread(lambda: store.upsert_many(["b"], [[1, 1, 1, 1]]))
        gate.wait()
        second = in_thread(lambda: store.upsert_many(["b"], [[2, 2, 2, 2]]))
        third = in_thread(lambda: store.delete("a"))
        while store._writer.applied.seqno < 4:
            assert third[0].is_alive()
        seen = store.ids()
        gate.open()
        for thread, _ in (first, second, third):
            thread.join(PATIENCE_S)

        assert seen == ["a"]
        assert (first[1][0].inserted, second[1][0].updated, third[1]) == (1, 1, [None])
        assert records(store) == [("b", [2, 2, 2, 2])]


def test_what_is_not_durable_is_never_shown_when_its_fsync_fails(tmp_path):
    root, files = tmp_path / "store", FailingFiles(counted=("sync",))
    store = opened(root, files)
    store.upsert_many(names(20), grid(20))
    before = records(store)
    files.fail_after(0)

    with pytest.raises(StorePoisoned) as caught:
        store.upsert("b", [4, 3, 2, 1])

    assert caught.value.path == root
    assert "sync failed" in caught.value.reason
    assert records(store) == before
    assert store.query(grid(20)[3], k=1).distances[0] == 0
    assert len(list(store.iter_query([1, 1, 1, 1]))) == 20
    changes = [
        lambda: store.upsert("c", [1, 1, 1, 1]),
        lambda: store.delete("r0"),
        store.checkpoint,
        store.optimize,
        store.expire,
        store.compact,
        lambda: store.create_snapshot("s"),
    ]
    for change in changes:
        with pytest.raises(StorePoisoned):
            change()
    assert records(store) == before
    store.close()
    assert store.closed
    # the call may have happened or not; what was acknowledged has
    assert dict(before).items() <= stored(root).items()
    with vecstore.open(root) as again:
        again.upsert("c", [1, 1, 1, 1])
        assert "c" in again


def test_an_old_view_shows_its_rows_when_checkpoints_and_growth_moved_them(tmp_path):
    views = []
    with vecstore.open(tmp_path / "store", metric="l2", config=SMALL) as store:
        for turn in range(12):
            store.upsert_many(names(30, f"{turn}-"), grid(30, seed=turn), [{"turn": turn}] * 30)
            if turn % 2:
                store.checkpoint()
            if turn % 5 == 4:
                store.delete(f"0-{len(views)}")
                store.compact()
            if turn % 3 == 2:
                store.update_metadata(f"{turn}-0", {"changed": True})
                store.soft_delete(f"{turn}-1")
            view = store._writer.view
            views.append((view, seen(view)))

    for view, as_it_was in views:
        assert seen(view) == as_it_was


def seen(view):
    """Everything that a view shows of its records, and of those it hides."""
    slots = view.kept_slots().tolist()
    facts = [(record.id, record.vector.tolist()) for record in map(view.record, slots)]
    hidden = [(view.record(slot).metadata, view.record(slot).deleted_at) for slot in slots]
    found = [view.find(record_id, NOW) for record_id, _ in facts]
    return facts, hidden, found, view.slots(NOW).tolist()
