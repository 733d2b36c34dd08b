"""The writer between its views and a file system that fails: nothing half done, nothing lost."""

import numpy as np
import pytest

import vecstore
from tests.storage.failing import FailingFiles
from tests.stores import grid, names
from vecstore.config import StoreConfig
from vecstore.engine.generation import manifest_of
from vecstore.engine.maintenance import Maintenance
from vecstore.engine.table import Table
from vecstore.engine.writer import Writer
from vecstore.errors import InvalidInput
from vecstore.storage.checkpoint import write_generation
from vecstore.storage.files import Files

NOW = 1000
CONFIG = StoreConfig(flat_threshold=8, maintenance="inline")


def begun(root, files):
    """Begin a store as `open` does, on a file system of our own."""
    root.mkdir()
    table = Table(root, "euclidean", 4, CONFIG)
    return Writer(table, files, root, write_generation(files, root, manifest_of(table, 1), None))


def put(writer, ids, rows):
    def plan(planned):
        for record_id, row in zip(ids, rows, strict=True):
            planned.upsert("upsert", record_id, row)

    return writer.change(NOW, plan)


def rows_of(view):
    slots = view.slots(NOW).tolist()
    return [(view.names.id_of(slot), view.vector(slot).tolist()) for slot in slots]


def stored(root):
    with vecstore.open(root, check="full") as store:
        return [(record.id, record.vector.tolist()) for record in store.records()]


def filled(root):
    """Begin a store with one checkpoint behind it and something to write in the next."""
    files = FailingFiles()
    writer = begun(root, files)
    put(writer, names(20), grid(20))
    Maintenance(writer, "inline").after_write()
    writer.checkpoint()
    put(writer, ["new", "r3"], grid(2, seed=1))
    return writer, files


def failures(tmp_path, step, **how):
    """Carry out `step`, failing one operation later each time, until nothing fails."""
    for count in range(100):
        root = tmp_path / f"store-{count}"
        writer, files = filled(root)
        files.fail_after(count, **how)
        try:
            step(writer)
        except OSError:
            yield writer, root
        else:
            assert count > 5
            return


def compact(writer):
    Maintenance(writer, "inline").compact()


OLD = list(zip(names(20), grid(20).tolist(), strict=True))
NEW = [row for row in OLD if row[0] != "r3"]
NEW += zip(["new", "r3"], grid(2, seed=1).tolist(), strict=True)
AFTER = [*NEW, ("after", [9, 9, 9, 9])]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("step", [Writer.checkpoint, compact])
def test_a_checkpoint_loses_nothing_when_one_failed_and_it_is_tried_again(tmp_path, step, late):
    for writer, root in failures(tmp_path, step, late=late):
        assert rows_of(writer.view) == NEW

        put(writer, ["after"], [[9, 9, 9, 9]])
        writer.checkpoint()
        writer.close()

        assert rows_of(writer.view) == AFTER
        assert stored(root) == AFTER


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("step", [Writer.checkpoint, compact])
def test_a_store_is_as_before_or_after_when_the_process_dies_in_a_checkpoint(tmp_path, step, late):
    for _, root in failures(tmp_path, step, late=late, dead=True):
        assert stored(root) in (OLD, NEW)


def test_a_store_is_as_before_or_after_when_the_process_dies_in_the_second_try(tmp_path):
    writer, files = filled(tmp_path / "store")
    first = len(files.done)
    writer.checkpoint()
    just_current = files.done.index(("replace", "CURRENT.tmp"), first) + 1 - first

    for count in range(just_current):
        root = tmp_path / f"store-{count}"
        writer, files = filled(root)
        files.fail_after(just_current)
        with pytest.raises(OSError, match="failed"):
            writer.checkpoint()
        put(writer, ["after"], [[9, 9, 9, 9]])
        files.fail_after(count, dead=True)
        with pytest.raises(OSError, match="failed"):
            writer.checkpoint()

        assert stored(root) in (NEW, AFTER)


@pytest.mark.parametrize("late", [False, True])
def test_a_write_did_not_happen_when_the_file_cannot_grow(tmp_path, late):
    files = FailingFiles()
    writer = begun(tmp_path / "store", files)
    put(writer, names(20), grid(20))
    writer.checkpoint()
    before, seqno = rows_of(writer.view), writer.view.seqno
    files.fail_after(0, late=late)

    with pytest.raises(OSError, match="failed"):
        put(writer, names(500, "new"), grid(500))

    assert rows_of(writer.view) == before
    assert writer.view.seqno == writer.table.seqno == seqno
    put(writer, names(500, "new"), grid(500))
    writer.checkpoint()
    writer.close()
    assert stored(tmp_path / "store") == rows_of(writer.view)
    assert len(rows_of(writer.view)) == 520


def test_an_old_view_shows_its_rows_when_checkpoints_and_growth_moved_them(tmp_path):
    writer = begun(tmp_path / "store", Files())
    views = []
    for turn in range(12):
        put(writer, names(30, f"{turn}-"), grid(30, seed=turn))
        if turn % 2:
            writer.checkpoint()
        if turn % 5 == 4:
            writer.change(NOW, lambda plan: plan.delete("delete", "0-" + str(len(views))))
            compact(writer)
        views.append((writer.view, rows_of(writer.view)))
    writer.close()

    for view, rows in views:
        assert rows_of(view) == rows


def test_a_call_takes_no_seqno_when_it_changes_nothing():
    writer = Writer(Table(None, "euclidean", 2, CONFIG), Files(), None, None)
    view = writer.view

    report = writer.change(NOW, lambda plan: plan.restore("restore", "a"))

    assert report.restored == 0
    assert writer.view is view


def test_nothing_is_published_when_the_plan_refuses():
    writer = Writer(Table(None, "euclidean", 4, CONFIG), Files(), None, None)
    view = writer.view

    with pytest.raises(InvalidInput):
        put(writer, ["a", "b"], [np.ones(4), np.full(4, np.nan)])

    assert writer.view is view
    assert writer.table.n == 0


def test_a_graph_is_worthless_when_its_table_was_replaced_meanwhile():
    writer = Writer(Table(None, "euclidean", 4, CONFIG), Files(), None, None)
    put(writer, names(20), grid(20))
    old, graph = writer.table, writer.table.index.graph
    writer.change(NOW, lambda plan: plan.delete("delete", "r0"))
    compact(writer)

    assert not writer.publish_graph(old, graph)
    assert writer.publish_graph(writer.table, writer.table.index.graph)
