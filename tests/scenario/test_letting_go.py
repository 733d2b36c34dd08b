"""What a store has mapped or opened is given back: by close, by growth, by a failure to open."""

import contextlib
from pathlib import Path

import pytest

import vecstore
from tests.scenario.author import Author
from tests.scenario.chronicle import DIM, QUERY
from tests.scenario.lives import Life, fill
from tests.scenario.reader import Reader
from vecstore.errors import CorruptData, DimensionMismatch

CONFIG = {"flat_threshold": 64, "checkpoint_bytes": 60_000, "hnsw": {"m": 4, "ef_construction": 16}}
MAPS = Path("/proc/self/maps")


def held(path):
    """List the maps and descriptors of this process that are below a path."""
    names = [line.split(maxsplit=5)[-1] for line in MAPS.read_text().splitlines()]
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # that of the listing is closed by now
            names.append(str(descriptor.readlink()))
    return [name for name in names if str(path) in name]


def use(store):
    """Do all that maps or opens files: growth, generations, copies, queries."""
    author = Author(store)
    author.fill()
    for upkeep in (store.checkpoint, store.optimize, author.compact, store.checkpoint) * 2:
        for _ in range(5):
            author.upsert_many()
            author.batch()
        upkeep()
        Reader(store, author.chronicle, 0).read_all()
    if store.path is not None:
        store.create_snapshot("some")
        author.upsert_many()
        store.restore_snapshot("some")
        store.verify()


linux = pytest.mark.skipif(not MAPS.exists(), reason="the system does not list a process's maps")


@linux
@pytest.mark.parametrize("maintenance", ["inline", "background"])
def test_nothing_stays_mapped_or_open_when_a_writer_was_closed(tmp_path, maintenance):
    config = CONFIG | {"maintenance": maintenance}
    store = vecstore.open(tmp_path, dim=DIM, metric="l2", config=config)
    use(store)
    assert len(held(tmp_path)) > 4

    store.close()

    assert held(tmp_path) == []
    assert repr(store) == f"<VecStore {tmp_path}: closed>"


@linux
def test_a_writer_keeps_no_removed_file_mapped_when_nobody_looks_into_it(tmp_path):
    with vecstore.open(tmp_path, dim=DIM, metric="l2", config=CONFIG) as store:
        use(store)
        store.checkpoint()

        assert [name for name in held(tmp_path) if "deleted" in name] == []


@linux
def test_nothing_stays_mapped_or_open_when_a_reader_moved_on_and_was_closed(tmp_path):
    with vecstore.open(tmp_path, dim=DIM, metric="l2", config=CONFIG) as store:
        use(store)
    reader = vecstore.open(tmp_path, mode="r")
    with vecstore.open(tmp_path) as store:
        store.delete_many(store.ids()[:9])
        store.compact()
    reader.query(QUERY)
    assert any("deleted" in name for name in held(tmp_path))

    reader.refresh()
    assert not any("deleted" in name for name in held(tmp_path))
    assert len(held(tmp_path)) > 2

    reader.close()
    assert held(tmp_path) == []


def damage(path, at):
    """Change a byte of a file; `at` is counted from the end where it is negative."""
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1
    path.write_bytes(raw)


FAILURES = {
    "contradiction": ({"dim": DIM + 1}, None, 0),
    "rows": ({"check": "full"}, "vectors", -1),
    "manifest": ({}, "manifest", 40),
    "graph": ({}, "hnsw_index", 40),
    "log": ({}, "wal", 40),
}


@linux
@pytest.mark.parametrize("mode", ["a", "r"])
@pytest.mark.parametrize("failure", FAILURES)
def test_nothing_stays_mapped_or_open_when_opening_failed(tmp_path, mode, failure):
    settings, role, at = FAILURES[failure]
    with Life(fill, tmp_path, CONFIG) as life:
        life.end()
    for path in tmp_path.glob(f"{role}-*"):
        damage(path, at)

    with contextlib.suppress(CorruptData, DimensionMismatch):
        vecstore.open(tmp_path, mode=mode, **settings)
        pytest.fail("it was opened")

    assert held(tmp_path) == []
