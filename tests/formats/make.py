"""
Makes the golden stores of the present format: `python -m tests.formats.make [DIRECTORY]`.

Times come from a clock, salts from the names of the stores, and no thread runs: whoever makes them
again gets the same bytes. Frames and prepared room are cut short, so that small calls meet their
ends. A new format version gets a directory of its own; those of older ones stay as they are.
"""

import contextlib
import errno
import json
import shutil
import sys
import tempfile
import zlib
from pathlib import Path
from unittest import mock

import numpy as np

import vecstore
from tests.stores import Clock, names
from vecstore.index import FlatIndex, HNSWIndex
from vecstore.storage.files import Files

HERE = Path(__file__).parent
NEWEST = HERE / "v1"
BEGAN = 1_700_000_000_000
CONFIG = {
    "flat_threshold": 8,
    "maintenance": "inline",
    "hnsw": {"m": 2, "ef_construction": 8},
}
FACTS = {"int": 5, "big": -(2**63), "float": 0.5, "bool": True, "none": None, "é": ["ü", {"a": []}]}


def grid(n, dim, shift=0):
    """Vectors of small whole numbers, by arithmetic alone."""
    i, j = np.indices((n, dim))
    return (1 + (7 * i + 3 * j + i * j + shift) % 9).astype(np.float32)


def state_of(store):
    """Give everything that a store holds, as JSON has it."""
    records = [
        {
            "id": record.id,
            "vector": record.vector.tolist(),
            "metadata": record.metadata,
            "created_at": record.created_at,
            "expires_at": record.expires_at,
            "deleted_at": record.deleted_at,
        }
        for record in store.records(deleted=True)
    ]
    return {
        "metric": store.metric,
        "dim": store.dim,
        "seqno": store.stats().seqno,
        "fingerprint": store.fingerprint(),
        "records": records,
    }


def opened(path, clock, **settings):
    return vecstore.open(path, clock=clock, config=CONFIG, **settings)


def make_calls(path):
    """A generation with a graph, and behind it a log with a call of every kind."""
    clock = Clock(BEGAN)
    with opened(path, clock, metric="cosine") as store:
        store.upsert_many(names(12), grid(12, 3) / 4, [FACTS | {"i": i} for i in range(12)])
        store.upsert("fleeting", [3, 4, 0], ttl_s=0.5)
        store.soft_delete("r1")
        store.delete("r2")
        clock.advance(0.1)
        store.checkpoint()
        store.upsert("r0", [0.6, 0, 0.8], {"of unit length": True}, ttl_s=100)
        long = [{"text": letter * 300} for letter in "abcde"]
        store.upsert_many(names(5, "long"), grid(5, 3, 1), long)  # takes several frames
        store.delete_many(["r3", "long1"])
        store.soft_delete("r4")
        store.restore("r1")
        store.update_metadata("r5", {"i": "five"}, merge=True)
        store.set_ttl("r6", 1000)
        store.set_ttl("r0", None)
        store.soft_delete("r6")
        store.restore("r6")  # and it still expires
        store.upsert("brief", [1, 1, 0], ttl_s=0.5)
        clock.advance(1)
        store.restore("brief")  # and it does not
        store.expire()
        store.batch(
            [
                {"op": "upsert", "id": "twice", "vector": [1, 2, 2]},
                {"op": "upsert", "id": "twice", "vector": [2, 1, 2], "ttl_s": 50},
                {"op": "delete", "id": "r7"},
                {"op": "soft_delete", "id": "r8"},
                {"op": "update_metadata", "id": "r9", "metadata": {}},
                {"op": "restore", "id": "r4"},
            ]
        )
        return state_of(store)


def make_snapshot(path):
    """A store that has moved on since its snapshot, in its generation and in its log."""
    clock = Clock(BEGAN)
    with opened(path, clock, metric="euclidean") as store:
        store.upsert_many(names(9), grid(9, 4))
        store.create_snapshot("monday")
        kept = state_of(store)
        clock.advance(60)
        store.delete("r0")
        store.upsert_many(names(4, "tuesday"), grid(4, 4, 2))
        store.checkpoint()
        store.upsert("r1", [1, 2, 3, 4], {"on": "wednesday"})
        state = state_of(store)
    return state | {"snapshots": {"monday": kept}}


def make_crashed(path):
    """What a kill in the middle of a call leaves, after a checkpoint that came to no end."""
    clock = Clock(BEGAN)
    with tempfile.TemporaryDirectory() as folder:
        store = opened(place := Path(folder) / "store", clock, metric="dot", dim=2)
        with contextlib.closing(store):
            store.upsert_many(names(3), grid(3, 2))
            store.checkpoint()
            store.upsert("first log", [1, 0])
            store.soft_delete("r1")
            left = mock.patch("vecstore.engine.saver.remove_stale", return_value={})
            with full_disk(), left, contextlib.suppress(OSError):
                store.checkpoint()
            store.upsert("second log", [0, 1], {"n": 2})
            read = state_of(store)  # what the next frame will call durable
            store.delete("r2")
            state = state_of(store)
            shutil.copytree(place, path)
            store.upsert("cut short", [5, 6], {"lost": "x" * 99})
            log = "wal-000003.log"
            room, whole = (path / log).read_bytes(), (place / log).read_bytes()
            cut = len(whole.rstrip(b"\0")) - 40
            (path / log).write_bytes(whole[:cut] + room[cut:])
    return state | {"read": read}


def full_disk():
    """Refuse the ids of a generation, the last of its files."""
    write = Files.write_new

    def refuse(self, path, chunks):
        if path.name.startswith("ids-"):
            raise OSError(errno.ENOSPC, "no space left", str(path))
        write(self, path, chunks)

    return mock.patch.object(Files, "write_new", refuse)


def make_empty(path):
    """A store that nothing was put into: without dimension, files and calls."""
    with opened(path, Clock(BEGAN), metric="jaccard") as store:
        return state_of(store)


def make_example(path):
    """The store whose log docs/format.md shows byte by byte."""
    clock = Clock(BEGAN)
    with opened(path, clock, metric="euclidean") as store:
        store.upsert("a", [1.0, 2.0], {"n": 1})
        clock.advance(1)
        store.soft_delete("a")
        return state_of(store)


MAKERS = {
    "calls": make_calls,
    "snapshot": make_snapshot,
    "crashed": make_crashed,
    "empty": make_empty,
    "example": make_example,
}


def make_indexes(folder):
    """Write a file of each class of index; give their fingerprints."""
    flat, graph = FlatIndex(2, metric="l1"), HNSWIndex(3, "cosine", m=2, flat_threshold=4)
    flat.add(grid(3, 2))
    graph.add(grid(9, 3))
    for name, index in (("flat", flat), ("hnsw", graph)):
        index.save(folder / f"{name}.index")
    return {"flat": flat.fingerprint(), "hnsw": graph.fingerprint()}


@contextlib.contextmanager
def fixed(name):
    """Take salts from a name, and cut frames and prepared room short."""
    made = iter(range(1000))

    def salt():
        return zlib.crc32(f"{name} {next(made)}".encode()) | 0x01010101

    with (
        mock.patch("vecstore.storage.wal._new_salt", salt),
        mock.patch("vecstore.storage.wal.MAX_PAYLOAD_BYTES", 600),
        mock.patch("vecstore.storage.wal.PREPARED_BYTES", 700),
    ):
        yield


def make(folder):
    """
    Make all stores and index files.

    Parameters
    ----------
    folder : Path
        Where; it must not exist. `holds.json` then tells what they hold.
    """
    folder.mkdir(parents=True)
    holds = {"stores": {}}
    for name, maker in MAKERS.items():
        with fixed(name):
            holds["stores"][name] = maker(folder / name)
        (folder / name / "LOCK").write_text("process 1\n")  # else it names this one
    holds["indexes"] = make_indexes(folder)
    text = json.dumps(holds, indent=1, ensure_ascii=False, sort_keys=True)
    (folder / "holds.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    assert np.little_endian
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else NEWEST)
