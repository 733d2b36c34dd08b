"""What the tests of repair and backup share: a store, what it holds, and ways to damage it."""

import errno

import numpy as np

import vecstore
from tests.storage.damage import image
from vecstore.storage.files import Files
from vecstore.storage.manifest import read_current

SMALL = {"maintenance": "inline", "flat_threshold": 8}


N_CALLS = 9
"""Write calls of a store that `filled` wrote, the last two of them in its log."""
NOW = 1_000_000


def filled(root):
    """Write a store with a graph, a snapshot and a log; some are dead, hidden or expired."""
    config = {"flat_threshold": 64, "maintenance": "inline", "hnsw": {"m": 4}}
    rows = np.random.default_rng(1).standard_normal((300, 8))
    ids = [f"id{i:04}" for i in range(300)]
    facts = [{"text": "x" * 9, "number": i} for i in range(300)]
    with vecstore.open(root, metric="cosine", config=config, clock=lambda: NOW) as store:
        store.upsert_many(ids, rows, facts)
        store.upsert("gone", rows[0], ttl_s=0.5)
        store.upsert("later", rows[1], ttl_s=500)
        store.upsert_many(ids[:20], rows[20:40])
        store.delete_many(ids[20:30])
        store.soft_delete("id0030")
        store.batch([{"op": "soft_delete", "id": record_id} for record_id in ids[31:40]])
        store.create_snapshot("monday")
        store.upsert("logged", np.ones(8), {"n": 1})
        store.delete("id0050")


def records(path):
    """Give everything that a store keeps, by id."""
    with vecstore.open(path, mode="r") as store:
        assert store.verify().ok
        found = store.records(deleted=True)
        return {one.id: (one.vector.tobytes(), repr(one.metadata), *times(one)) for one in found}


def times(record):
    return record.created_at, record.expires_at, record.deleted_at


def path_of(root, role):
    return root / read_current(Files(), root).files[role].name


def flip(path, *offsets):
    raw = bytearray(path.read_bytes())
    for offset in offsets:
        raw[offset] ^= 0x10
    path.write_bytes(raw)


def salvaged(root, **options):
    """Repair a store; check that it was not changed, and give the report and what was saved."""
    before = image(root)
    out = root.with_name("out")
    report = vecstore.salvage(root, out, **options)
    assert image(root) == before
    assert not out.with_name("out.partial").exists()
    found = records(out)
    assert len(found) == report.records + report.soft_deleted
    return report, found


class FailingMedium(Files):
    """Cannot read some bytes of a file, as a disk with bad sectors."""

    def __init__(self, path, begin, end):
        self._bad = path, begin, end

    def read(self, path, most, offset=0):
        bad, begin, end = self._bad
        if path == bad and offset < end and begin < offset + most:
            raise OSError(errno.EIO, "input/output error", str(path))
        return super().read(path, most, offset)
