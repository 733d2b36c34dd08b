"""The one who writes to a store: makes every kind of call, and writes down what it leads to."""

import queue
import time

import numpy as np

from tests.scenario.chronicle import Chronicle, Facts, vector_of

N_IDS = 500
_PATIENCE_S = 60
"""Of processor time, which is the same on a busy machine: who waits longer waits for ever."""


class Author:
    """
    Writes to a store that nobody else writes to.

    Parameters
    ----------
    store : VecStore
        Empty.

    Attributes
    ----------
    chronicle : Chronicle
        All states it was in.
    n_calls : int
        Calls made by `work`, rewritings not counted.
    """

    def __init__(self, store):
        self.chronicle = Chronicle()
        self.n_calls = 0
        self._store = store
        self._rng = np.random.default_rng(0)
        self._n_slots = 0
        self._goes_on = queue.SimpleQueue()
        self._calls = [self.upsert] * 6 + [self.upsert_many, self.batch, self.delete] * 2
        self._calls += [self.hide, self.bring_back, self.describe, self.describe]

    def fill(self):
        """Begin with a record of every id."""
        self._put([f"r{i}" for i in range(N_IDS)])

    def work(self, enough, *, seconds=0):
        """Write for a while, and then until a condition holds that others see to."""
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                self._make_a_call()
            latest = time.process_time() + _PATIENCE_S
            while not enough():
                assert time.process_time() < latest, "the others do not get on"
                self._make_a_call()
        finally:
            self._goes_on.put(False)

    def _make_a_call(self):
        self._calls[self._rng.integers(len(self._calls))]()
        self.n_calls += 1
        if self.n_calls % 61 == 0:
            self.compact()
        if self.n_calls % 10 == 0:
            self._goes_on.put(True)

    def keep_up(self):
        """Do what changes no record, beside who writes and who reads, until the work is done."""
        while self._goes_on.get():
            self._store.checkpoint()
            self._store.optimize()

    def upsert(self):
        self._put(self._any(1))

    def upsert_many(self):
        self._put(self._any(40))

    def _put(self, ids):
        records, seqno = self._next()
        for record_id in ids:
            self._append(records, record_id, Facts(seqno, seqno))
        rows = [vector_of(record_id, seqno) for record_id in ids]
        metadata = [Facts(seqno, seqno).metadata] * len(ids)
        with self.chronicle.turning_to(records):
            if len(ids) == 1:
                self._store.upsert(ids[0], rows[0], metadata[0])
            else:
                self._store.upsert_many(ids, rows, metadata)

    def delete(self):
        records, _ = self._next()
        ids = self._some(records, 12)
        for record_id in ids:
            del records[record_id]
        with self.chronicle.turning_to(records):
            assert self._store.delete_many(ids) == len(ids)

    def hide(self):
        records, _ = self._next()
        for record_id in self._some(records, 1):
            records[record_id] = records[record_id]._replace(hidden=True)
            with self.chronicle.turning_to(records):
                assert self._store.soft_delete(record_id)

    def bring_back(self):
        records, _ = self._next()
        for record_id in self._some(records, 1, hidden=True):
            self._append(records, record_id, records[record_id]._replace(hidden=False))
            with self.chronicle.turning_to(records):
                assert self._store.restore(record_id)

    def describe(self):
        records, seqno = self._next()
        for record_id in self._some(records, 1):
            records[record_id] = records[record_id]._replace(told=seqno)
            with self.chronicle.turning_to(records):
                self._store.update_metadata(record_id, {"told": seqno}, merge=True)

    def batch(self):
        """Do all of the above in one call."""
        records, seqno = self._next()
        operations = []
        for record_id in self._some(records, 3):
            del records[record_id]
            operations.append({"op": "delete", "id": record_id})
        for record_id in self._some(records, 3):
            records[record_id] = records[record_id]._replace(hidden=True)
            operations.append({"op": "soft_delete", "id": record_id})
        for record_id in self._some(records, 3, hidden=True):
            self._append(records, record_id, records[record_id]._replace(hidden=False))
            operations.append({"op": "restore", "id": record_id})
        for record_id in self._any(6):
            self._append(records, record_id, facts := Facts(seqno, seqno))
            fields = {"vector": vector_of(record_id, seqno), "metadata": facts.metadata}
            operations.append({"op": "upsert", "id": record_id, **fields})
        for record_id in self._some(records, 3):
            records[record_id] = facts = records[record_id]._replace(told=seqno)
            operations.append(
                {"op": "update_metadata", "id": record_id, "metadata": facts.metadata}
            )
        with self.chronicle.turning_to(records):
            self._store.batch(operations)

    def compact(self):
        """Rewrite the store; that is a call of its own only where slots are dead."""
        records = self.chronicle.newest.visible
        if removed := self._n_slots - len(records):
            self._n_slots = len(records)
            with self.chronicle.turning_to(records):
                assert self._store.compact() == removed

    def _next(self):
        """Copy the records, to be turned into the next state's, and give the seqno of that."""
        return dict(self.chronicle.newest.records), self.chronicle.begun + 1

    def _append(self, records, record_id, facts):
        records.pop(record_id, None)
        records[record_id] = facts
        self._n_slots += 1

    def _any(self, most):
        """Choose ids, there or not."""
        return [f"r{i}" for i in self._rng.choice(N_IDS, self._rng.integers(1, most + 1))]

    def _some(self, records, most, *, hidden=False):
        """Choose ids that are there, soft-deleted or not."""
        there = [record_id for record_id, facts in records.items() if facts.hidden == hidden]
        count = min(len(there), int(self._rng.integers(1, most + 1)))
        return [there[at] for at in self._rng.choice(len(there), count, replace=False)]
