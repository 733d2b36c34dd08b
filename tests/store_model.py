"""
What a store is, in a hundred lines: a list of slots, and brute force.

Every upsert and restore appends a slot, an id leads to its newest slot, nothing is reused before
`compact`. `Model` has the calls of `vecstore.VecStore` under their names; each gives what the
store must give, and raises `NotFound` where the store must. Besides, what calls are made with.
"""

import contextlib
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from tests.stores import euclidean, nearest
from vecstore.errors import NotFound
from vecstore.model import BatchReport, UpsertReport

ids = st.sampled_from(["a", "b", "r0", "r1", "r33"])
points = st.lists(st.integers(-3, 3), min_size=3, max_size=3)
payloads = st.dictionaries(st.sampled_from("xyz"), st.one_of(st.none(), st.booleans(), st.text()))
ttls = st.sampled_from([None, None, 1, 2.5, 30])
operations = st.one_of(
    st.fixed_dictionaries(
        {"op": st.just("upsert"), "id": ids, "vector": points},
        optional={"metadata": payloads, "ttl_s": ttls},
    ),
    st.fixed_dictionaries({"op": st.sampled_from(["soft_delete", "restore"]), "id": ids}),
    st.fixed_dictionaries({"op": st.just("delete"), "id": ids}),
    st.fixed_dictionaries({"op": st.just("update_metadata"), "id": ids, "metadata": payloads}),
)


class Slot(NamedTuple):
    """A record as it once was put; `state` is live, soft or dead."""

    id: str
    vector: list[float]
    metadata: dict
    created_at: int
    expires_at: int | None = None
    deleted_at: int | None = None
    state: str = "live"


class Model:
    """
    Behaves like a store.

    Parameters
    ----------
    clock : callable
        Returns Unix milliseconds.
    slots : sequence of Slot
        What it holds at first.
    """

    def __init__(self, clock, slots=()):
        self.clock = clock
        self.slots = list(slots)

    # ---- what there is

    def expired(self, slot):
        return slot.expires_at is not None and slot.expires_at <= self.clock()

    def is_visible(self, slot):
        return slot.state == "live" and not self.expired(slot)

    @property
    def visible(self):
        return [slot for slot in self.slots if self.is_visible(slot)]

    @property
    def kept(self):
        return [slot for slot in self.slots if slot.state != "dead"]

    def count_of(self, state):
        return sum(slot.state == state for slot in self.slots)

    def ids(self):
        return [slot.id for slot in self.visible]

    def get_many(self, ids):
        found = {slot.id: slot for slot in self.visible}
        return [found[record_id] for record_id in ids if record_id in found]

    def get(self, record_id):
        return self.slots[self._there(record_id)]

    def _newest(self, record_id):
        """Find the newest slot of an id, or None."""
        places = [at for at, slot in enumerate(self.slots) if slot.id == record_id]
        return places[-1] if places else None

    def _there(self, record_id):
        """Find the slot of a visible record."""
        at = self._newest(record_id)
        if at is None or not self.is_visible(self.slots[at]):
            raise NotFound(record_id, "model")
        return at

    # ---- changing it

    def _append(self, slot):
        if (old := self._newest(slot.id)) is not None:
            self._change(old, state="dead")
        self.slots.append(slot)

    def _change(self, at, **facts):
        self.slots[at] = self.slots[at]._replace(**facts)

    def _after(self, ttl_s):
        return None if ttl_s is None else self.clock() + round(ttl_s * 1000)

    def upsert(self, record_id, vector, metadata=None, *, ttl_s=None):
        facts = (metadata or {}, self.clock(), self._after(ttl_s))
        self._append(Slot(record_id, vector, *facts))

    def upsert_many(self, ids, vectors, metadata=None):
        updated = len(set(ids) & set(self.ids()))
        for record in zip(ids, vectors, metadata or [None] * len(ids), strict=True):
            self.upsert(*record)
        return UpsertReport(inserted=len(set(ids)) - updated, updated=updated)

    def delete(self, record_id):
        self._change(self._there(record_id), state="dead")

    def delete_many(self, ids):
        there = set(ids) & set(self.ids())
        for record_id in there:
            self.delete(record_id)
        return len(there)

    def soft_delete(self, record_id):
        try:
            at = self._there(record_id)
        except NotFound:
            return False
        self._change(at, state="soft", deleted_at=self.clock())
        return True

    def restore(self, record_id):
        at = self._newest(record_id)
        if at is None or self.slots[at].state == "dead" or self.is_visible(self.slots[at]):
            return False
        slot = self.slots[at]._replace(state="live", deleted_at=None)
        self._append(slot._replace(expires_at=None) if self.expired(slot) else slot)
        return True

    def update_metadata(self, record_id, metadata, *, merge=False):
        at = self._there(record_id)
        old = self.slots[at].metadata if merge else {}
        self._change(at, metadata={**old, **metadata})

    def set_ttl(self, record_id, ttl_s):
        self._change(self._there(record_id), expires_at=self._after(ttl_s))

    def batch(self, operations):
        counts = dict.fromkeys(["upsert", "delete", "soft_delete", "restore", "update_metadata"], 0)
        with self._all_or_nothing():
            for operation in operations:
                fields = dict(operation)
                name, record_id = fields.pop("op"), fields.pop("id")
                counts[name] += getattr(self, name)(record_id, **fields) is not False
        return BatchReport(*counts.values())

    @contextlib.contextmanager
    def _all_or_nothing(self):
        before = list(self.slots)
        try:
            yield
        except NotFound:
            self.slots = before
            raise

    def expire(self):
        outlived = [
            at for at, slot in enumerate(self.slots) if slot.state != "dead" and self.expired(slot)
        ]
        for at in outlived:
            self._change(at, state="dead")
        return len(outlived)

    def compact(self):
        before, self.slots = self.slots, [slot for slot in self.slots if slot.state == "live"]
        return len(before) - len(self.slots)

    # ---- comparing a store with it

    def check_records(self, records):
        """Compare what `records(deleted=True)` gives."""
        found = [
            (r.id, r.vector.tolist(), r.metadata, r.created_at, r.expires_at, r.deleted_at)
            for r in records
        ]
        assert found == [slot[:-1] for slot in self.kept]

    def check_contents(self, store):
        """Compare everything that a store holds."""
        self.check_records(store.records(deleted=True))
        assert [record.id for record in store.records()] == self.ids()

    def check_counts(self, store):
        """Compare what is counted, and the ids."""
        stats = store.stats()
        counted = (stats.live, stats.soft_deleted, stats.dead)
        assert counted == tuple(map(self.count_of, ("live", "soft", "dead")))
        assert stats.slots == stats.indexed + stats.tail == len(self.slots)
        assert store.ids() == self.ids()
        assert store.count() == len(store) == len(store.ids())

    def check_hits(self, hits, query, k, *, exact):
        """Check an answer, metadata too."""
        hits = list(hits)
        found, distances = [hit.id for hit in hits], [hit.distance for hit in hits]
        self.check_nearest(found, distances, query, k, exact=exact)
        put = {slot.id: slot.metadata for slot in self.visible}
        assert [hit.metadata for hit in hits] == [put[record_id] for record_id in found]

    def check_nearest(self, found, distances, query, k, *, exact):
        """Check ids and distances: right number, visible, once, true, nearest first."""
        rows = {slot.id: np.array(slot.vector) for slot in self.visible}
        assert len(found) == len(set(found)) == min(k, len(rows))
        truth = [euclidean(rows[record_id], query) for record_id in found]
        assert np.allclose(distances, truth, rtol=1e-6)
        assert (np.diff(distances) >= 0).all()
        if exact:
            assert found == nearest(list(rows.items()), query, k)
