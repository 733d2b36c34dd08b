"""The one who reads a store in every way, and says which published state it was."""

import contextlib
import math
import time
from collections import Counter

import numpy as np

from tests.scenario.author import N_IDS
from tests.scenario.chronicle import QUERY, Facts, distance_of, vector_of
from vecstore.errors import NotFound

ALL = 100_000
"""As a beam width, the exact route."""


class Reader:
    """
    Reads a store that somebody else writes to.

    Parameters
    ----------
    store : VecStore
        The store.
    chronicle : Chronicle
        The writer's.
    seed : int
        Decides what is read.

    Attributes
    ----------
    n_read : Counter
        How often, by what was read; queries by the graph also as such.
    n_states : int
        How often what was read was later than what was read before.
    """

    def __init__(self, store, chronicle, seed):
        self.n_read = Counter()
        self.n_states = 0
        self._store = store
        self._chronicle = chronicle
        self._rng = np.random.default_rng(seed)
        self._seen = 0
        self._kinds = [self.nearest, self.near_by_graph, self.many_at_once, self.by_distance]
        self._kinds += [self.in_rounds, self.records, self.soft_deleted, self.ids, self.some]
        self._kinds += [self.one, self.counts]

    def read_all(self):
        """Read in every way, once."""
        for kind in self._kinds:
            kind()

    def read_until(self, stop):
        """Read in all ways, in any order, until an event."""
        self.n_read.clear()
        self.n_states = 0
        while not stop.is_set():
            kind = self._kinds[self._rng.integers(len(self._kinds))]
            kind()
            self.n_read[kind.__name__] += 1

    def has_read(self, times):
        """Say whether it has read in every way so many times, and as many states."""
        kinds = [kind.__name__ for kind in self._kinds]
        counts = [self.n_states, self.n_read["by graph"], *map(self.n_read.__getitem__, kinds)]
        return min(counts) >= times

    def _see(self, read, fits, given=lambda found: found):
        """
        Read, and check that a state fits that was published by some moment of the call.

        An iterator is looked through, by `given`, when the moment has passed.
        """
        first = max(self._chronicle.look(), self._seen)
        found = read()
        states = self._chronicle.since(first)
        found = given(found)
        fitting = [state.seqno for state in states if fits(state, found)]
        assert fitting, f"no state from {first} to {states[-1].seqno} is {found}"
        self.n_states += fitting[0] > self._seen
        self._seen = fitting[0]  # nothing older from now on

    def nearest(self):
        k = int(self._rng.integers(1, 60))
        self._see(
            lambda: self._store.query(QUERY, k=k, ef=ALL),
            lambda state, found: found == facts_of(state, state.ranked[:k]),
            given=seen,
        )

    def near_by_graph(self):
        def read():
            found = self._store.query(QUERY, k=5)
            self.n_read["by graph"] += not found.exact
            return found

        def fits(state, found):
            there = all(state.visible.get(record_id) == facts for record_id, facts in found)
            return there and len(dict(found)) == min(5, len(state.visible))

        self._see(read, fits, given=seen)

    def many_at_once(self):
        self._see(
            lambda: self._store.query_many([QUERY, QUERY], k=20, ef=ALL),
            lambda state, found: found.ids.tolist() == [state.ranked[:20]] * 2,
        )

    def by_distance(self):
        self._see(
            lambda: self._store.iter_query(QUERY, strict=True),
            lambda state, found: found == facts_of(state, state.ranked),
            given=seen,
        )

    def in_rounds(self):
        self._see(
            lambda: self._store.iter_query(QUERY),
            lambda state, found: sorted(found) == sorted(state.visible.items()),
            given=seen,
        )

    def records(self):
        self._see(
            self._store.records,
            lambda state, found: found == list(state.visible.items()),
            given=kept,
        )

    def soft_deleted(self):
        self._see(
            lambda: self._store.records(deleted=True),
            lambda state, found: found == list(state.records.items()),
            given=kept,
        )

    def ids(self):
        self._see(self._store.ids, lambda state, found: found == list(state.visible))

    def some(self):
        wanted = [f"r{i}" for i in self._rng.choice(N_IDS, 5, replace=False)]
        self._see(
            lambda: self._store.get_many(wanted),
            lambda state, found: found == facts_of(state, filter(state.visible.get, wanted)),
            given=kept,
        )

    def one(self):
        def read():
            with contextlib.suppress(NotFound):
                return [self._store.get(wanted)]
            return []

        wanted = f"r{self._rng.integers(N_IDS)}"
        self._see(
            read,
            lambda state, found: found == facts_of(state, filter(state.visible.get, [wanted])),
            given=kept,
        )

    def counts(self):
        def fits(state, stats):
            counted = (stats.seqno, stats.live, stats.live + stats.soft_deleted)
            return counted == (state.seqno, len(state.visible), len(state.records))

        self._see(self._store.stats, fits)


def facts_of(state, ids):
    return [(record_id, state.visible[record_id]) for record_id in ids]


def seen(hits):
    """Check that each hit is whole, and give ids and facts."""
    found = []
    for hit in _with_pauses(hits):
        found.append((hit.id, Facts(**hit.metadata)))
        assert math.isclose(hit.distance, distance_of(hit.id, hit.metadata["born"]), rel_tol=1e-6)
    return found


def kept(records):
    """Check that each record is whole, and give ids and facts."""
    found = []
    for record in _with_pauses(records):
        hidden = record.deleted_at is not None
        found.append((record.id, Facts(**record.metadata, hidden=hidden)))
        assert record.vector.tolist() == vector_of(record.id, record.metadata["born"]).tolist()
    return found


def _with_pauses(iterator):
    """Let others write while this one goes on."""
    for number, one in enumerate(iterator, 1):
        yield one
        if number % 100 == 0:
            time.sleep(0.001)
