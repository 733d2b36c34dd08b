"""
The whole store against a list of slots and brute force, and copies of it against what it was.

Vectors are small integers, so distances are exact and ties many; the graph is thin, so the fallback
to the exact scan is exercised too. Not here: what a store must do (`store_model`), the calls that
make or read copies (`store_model_copies`).
"""

import inspect
import re
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

import vecstore
from tests.larger_data import sized
from tests.storage.damage import abandon
from tests.store_model import Model, ids, operations, payloads, points, ttls
from tests.store_model_copies import Copies
from tests.stores import Clock
from vecstore.errors import NotFound
from vecstore.storage.frames import FRAME_HEADER_BYTES

CONFIG = {
    "flat_threshold": 8,
    "maintenance": "inline",
    "hnsw": {"m": 2, "ef_construction": 4, "ef_search": 2},
}

ORIGIN = [0, 0, 0]
beams = st.sampled_from([None, 1, 5, 400])


class StoreModel(Copies, RuleBasedStateMachine):
    """
    A store on disk, and its model.

    Attributes
    ----------
    states : dict
        From seqno to the slots that there were after that call.
    seqno : int
        Of the last call.
    told : int
        A call that the files tell to be durable, with all before it. Besides, every call tells so
        of the one before it.
    """

    config = CONFIG

    def __init__(self):
        super().__init__()
        self.cleanup = ExitStack()
        self.path = self.new_home() / "store"
        self.clock = Clock()
        self.model = Model(self.clock)
        self.states = {0: ()}
        self.seqno = self.told = 0
        self.begun = (Model(self.clock), iter(()), iter(()))
        self.store = self.handle()

    def new_home(self):
        return Path(self.cleanup.enter_context(tempfile.TemporaryDirectory()))

    def handle(self, path=None, mode="a"):
        """Open the store, or a copy of it, and look at every byte."""
        how = {"dim": 3, "metric": "l2", "config": self.config, "clock": self.clock}
        with self.in_its_place():
            return vecstore.open(path or self.path, mode=mode, check="full", **how)

    def teardown(self):
        self.let_copies_go()
        self.store.close()
        self.cleanup.close()

    def both(self, name, *given, **named):
        """Make a call of the store and of the model: both give the same, or refuse it."""
        try:
            expected = getattr(self.model, name)(*given, **named)
        except NotFound:
            with pytest.raises(NotFound):
                getattr(self.store, name)(*given, **named)
            return
        assert getattr(self.store, name)(*given, **named) == expected

    # ---- writing

    @initialize(n=st.sampled_from([0, 0, 5, 40, 300]))
    def fill(self, n):
        rows = np.random.default_rng(n).integers(-5, 6, (n, 3)).tolist()
        self.both("upsert_many", [f"r{i}" for i in range(n)], rows or np.zeros((0, 3)))

    @rule(record_id=ids, vector=points, metadata=payloads, ttl_s=ttls)
    def upsert(self, record_id, vector, metadata, ttl_s):
        self.both("upsert", record_id, vector, metadata, ttl_s=ttl_s)

    @rule(records=st.lists(st.tuples(ids, points, payloads), min_size=1, max_size=12))
    def upsert_many(self, records):
        self.both("upsert_many", *(list(column) for column in zip(*records, strict=True)))

    @rule(operations=st.lists(operations, max_size=6))
    def batch(self, operations):
        self.both("batch", operations)

    @rule(record_id=ids)
    def delete(self, record_id):
        self.both("delete", record_id)

    @rule(names=st.lists(ids, max_size=4), many=st.booleans())
    def delete_many(self, names, many):
        self.both("delete_many", names + [f"r{i}" for i in range(20, 300, 7)] * many)

    @rule(record_id=ids)
    def soft_delete(self, record_id):
        self.both("soft_delete", record_id)

    @rule(record_id=ids)
    def restore(self, record_id):
        self.both("restore", record_id)

    @rule(record_id=ids, metadata=payloads, merge=st.booleans())
    def update_metadata(self, record_id, metadata, merge):
        self.both("update_metadata", record_id, metadata, merge=merge)

    @rule(record_id=ids, ttl_s=ttls)
    def set_ttl(self, record_id, ttl_s):
        self.both("set_ttl", record_id, ttl_s)

    # ---- upkeep

    @rule(seconds=st.sampled_from([0.001, 1, 3, 40]))
    def advance(self, seconds):
        self.clock.advance(seconds)

    @rule()
    def expire(self):
        self.both("expire")

    @rule()
    def optimize(self):
        self.store.optimize()

        assert self.store.stats().tail == 0
        self.told = self.seqno

    @rule()
    def compact(self):
        removed = self.store.compact()

        assert removed == self.model.compact()
        assert removed.snapshots == tuple(sorted(self.snapshots_with_slots()))
        if removed:
            self.told = self.store.stats().seqno

    @rule()
    def checkpoint(self):
        before = self.store.stats()

        self.store.checkpoint()

        after = self.store.stats()
        assert after.log_bytes <= FRAME_HEADER_BYTES  # of a mark
        grows = after.generation - before.generation
        assert grows in ([0, 1] if before.log_bytes <= FRAME_HEADER_BYTES else [1])
        self.told = self.seqno

    @rule(killed=st.booleans())
    def reopen(self, killed):
        fingerprint = self.store.fingerprint()
        if killed:
            abandon(self.store)
        else:
            self.store.close()
            self.told = self.seqno
        assert self.store.closed
        self.open_again(fingerprint)

    def open_again(self, fingerprint):
        self.store = self.handle()

        self.model.check_contents(self.store)
        assert self.store.fingerprint() == fingerprint
        assert self.store.stats().torn_bytes == 0

    # ---- reading

    @rule()
    def verify(self):
        report = self.store.verify()

        assert report.ok, report.problems

    @rule(query=points, k=st.sampled_from([0, 1, 2, 5, 17, 1000]), ef=beams, trace=st.booleans())
    def query(self, query, k, ef, trace):
        result = self.store.query(query, k=k, ef=ef, trace=trace)

        self.model.check_hits(result, query, k, exact=result.exact)
        assert trace or result.trace is None

    @rule(queries=st.lists(points, min_size=1, max_size=3), k=st.integers(0, 20), ef=beams)
    def query_many(self, queries, k, ef):
        batch = self.store.query_many(queries, k=k, ef=ef)

        for q, query in enumerate(queries):
            found = [record_id for record_id in batch.ids[q] if record_id is not None]
            distances = batch.distances[q, : len(found)]
            self.model.check_nearest(found, distances, query, k, exact=batch.exact[q])
            assert np.isnan(batch.distances[q, len(found) :]).all()

    @rule(names=st.lists(ids, max_size=4))
    def get_many(self, names):
        found, wanted = self.store.get_many(names), self.model.get_many(names)

        assert [(record.id, record.vector.tolist(), record.metadata) for record in found] == [
            slot[:3] for slot in wanted
        ]

    @rule(record_id=ids)
    def get(self, record_id):
        there = record_id in self.model.ids()

        assert (record_id in self.store) == there
        if not there:
            with pytest.raises(NotFound):
                self.store.get(record_id)
            return
        record, slot = self.store.get(record_id), self.model.get(record_id)
        assert record.vector.tolist() == slot.vector
        assert (record.metadata, record.created_at) == (slot.metadata, slot.created_at)
        assert (record.expires_at, record.deleted_at) == (slot.expires_at, None)

    @rule()
    def describe(self):
        assert repr(self.store) == f"<VecStore {self.path}: {len(self.model.ids())} x 3, euclidean>"
        assert (self.store.path, self.store.dim, self.store.metric) == (self.path, 3, "euclidean")
        assert str(self.path) in self.store._repr_html_()
        index = self.store.index
        assert (0 if index is None else len(index)) == len(self.model.slots)
        self.model.check_contents(self.store)

    @invariant()
    def what_was_begun_before_a_call_goes_on_as_it_was(self):
        then, records, hits = self.begun
        if len(then.slots) < 100:
            then.check_records(records)
            then.check_hits(hits, ORIGIN, 10**6, exact=True)
        then = Model(Clock(self.clock()), self.model.slots)
        hits = self.store.iter_query(ORIGIN, strict=True)
        self.begun = (then, self.store.records(deleted=True), hits)

    @invariant()
    def the_newest_is_a_state(self):
        """One seqno is one state, and later calls have later ones."""
        seqno, state = self.store.stats().seqno, tuple(self.model.slots)
        assert seqno >= self.seqno
        assert self.states.setdefault(seqno, state) == state
        self.seqno = seqno

    @invariant()
    def the_same_is_there(self):
        self.model.check_counts(self.store)
        if len(self.model.slots) < 100:
            self.model.check_contents(self.store)


SETTINGS = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
AT_LENGTH = settings(SETTINGS, max_examples=sized(1000, 20))


class TestStoreModel(StoreModel.TestCase):
    settings = SETTINGS


@pytest.mark.slow
class TestStoreModelAtLength(StoreModel.TestCase):
    settings = AT_LENGTH


def test_no_call_of_a_store_is_without_a_rule():
    public = {name for name, _ in inspect.getmembers(vecstore.VecStore, inspect.isfunction)}
    source = "".join(map(inspect.getsource, [StoreModel, Copies, Model]))

    called = set(re.findall(r"(?:store|reader)\.(\w+)\(", source))
    called |= set(re.findall(r'self\.both\(\s*"(\w+)"', source))

    assert {name for name in public if not name.startswith("_")} - called == set()
