"""
Rules for what there is of a store besides the handle that writes it.

That is a handle that reads beside it, iterators that go on while it changes, snapshots, backups,
and what a repair saves. Each is compared with the model as it was at that moment.
"""

import contextlib
import io
import itertools
import shutil

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

import vecstore
from tests.store_model import Model, operations, points
from tests.stores import Clock
from vecstore.errors import AlreadyExists, ReadOnlyStore, SnapshotNotFound

labels = st.sampled_from(["monday", "tuesday"])
seldom = precondition(lambda self: self.n_copies < 2)  # whole copies take their time


class Copies:
    """
    To be mixed into the machine that has a store, its model, and all states it was in.

    Attributes
    ----------
    reader : VecStore or None
        A handle that reads; `read_seqno` is the state that it is at.
    walks : list
        Iterators that have begun, with the model as it was then and the query.
    snapshots : dict
        From name to seqno and fingerprint.
    """

    def __init__(self):
        super().__init__()
        self.reader = None
        self.read_seqno = 0
        self.walks = []
        self.snapshots = {}
        self.n_copies = 0

    def in_its_place(self):
        """Let all that is opened meanwhile be on the store's file system."""
        return contextlib.nullcontext()

    def let_copies_go(self):
        self.walks.clear()
        if self.reader is not None:
            self.reader.close()
        self.reader = None

    def as_it_was(self, seqno):
        """Give the model as it was after a call."""
        return Model(self.clock, self.states[seqno])

    # ---- a handle that reads

    @rule(refresh=st.booleans(), query=points)
    def read_beside_the_writer(self, refresh, query):
        if self.reader is None or refresh:
            self.move_on()
        reader = self.reader

        state = self.as_it_was(self.read_seqno)
        assert reader.stats().seqno == self.read_seqno
        state.check_contents(reader)
        state.check_counts(reader)
        result = reader.query(query, k=5)
        state.check_hits(result, query, 5, exact=result.exact)

    @rule(operations=st.lists(operations, min_size=2, max_size=4))
    def follow_the_writer(self, operations):
        for operation in operations:
            self.both("batch", [operation])
            self.the_newest_is_a_state()
            self.move_on()
            self.as_it_was(self.read_seqno).check_contents(self.reader)

    def move_on(self):
        """Let the reader see what is durable, which is everything that is known to be."""
        if self.reader is None:
            self.reader = self.handle(mode="r")
        else:
            begun, then = self.reader.records(deleted=True), self.as_it_was(self.read_seqno)
            self.reader.refresh()
            then.check_records(begun)
        seqno = self.reader.stats().seqno
        assert max(self.read_seqno, self.told, self.seqno - 1) <= seqno <= self.seqno
        self.read_seqno = seqno
        if seqno == self.seqno:
            assert self.reader.fingerprint() == self.store.fingerprint()

    @precondition(lambda self: self.reader is not None)
    @rule()
    def look_for_damage_beside_the_writer(self):
        report = self.reader.verify()

        assert report.ok, report.problems

    @precondition(lambda self: self.reader is not None)
    @rule()
    def close_the_reader(self):
        with pytest.raises(ReadOnlyStore):
            self.reader.upsert("a", [0, 0, 0])
        self.reader.close()
        self.reader = None

    # ---- iterators

    @rule(query=points, strict=st.booleans(), first=st.integers(0, 12), reading=st.booleans())
    def begin_a_walk(self, query, strict, first, reading):
        if reading and self.reader is None:
            self.move_on()
        store = self.reader if reading else self.store
        seqno = self.read_seqno if reading else self.seqno
        walk, then = store.iter_query(query, strict=strict), self.as_it_was(seqno)
        then.clock = Clock(self.clock())
        hits = list(itertools.islice(walk, first))

        self.walks.append((walk, hits, then, query, strict))

    @precondition(lambda self: self.walks)
    @rule()
    def end_the_walks(self):
        for walk, hits, then, query, strict in self.walks:
            hits += walk
            if not strict:
                hits.sort(key=lambda hit: hit.distance)

            then.check_hits(hits, query, 10**6, exact=strict)
        self.walks.clear()

    # ---- snapshots

    def snapshots_with_slots(self):
        return [name for name, (seqno, _) in self.snapshots.items() if self.states[seqno]]

    @rule(name=labels)
    def create_snapshot(self, name):
        if name in self.snapshots:
            with pytest.raises(AlreadyExists):
                self.store.create_snapshot(name)
            return
        made = self.store.create_snapshot(name)

        assert (made.name, made.created_at, made.seqno) == (name, self.clock(), self.seqno)
        assert made.records == self.model.count_of("live")
        self.snapshots[name] = (self.seqno, self.store.fingerprint())
        self.told = self.seqno

    @rule(name=labels)
    def restore_snapshot(self, name):
        if name not in self.snapshots:
            with pytest.raises(SnapshotNotFound):
                self.store.restore_snapshot(name)
            return
        self.store.restore_snapshot(name)

        seqno, fingerprint = self.snapshots[name]
        self.model.slots = list(self.states[seqno])
        self.told = self.store.stats().seqno
        assert self.told == self.seqno + 1
        assert self.store.fingerprint() == fingerprint
        self.model.check_contents(self.store)

    @rule(name=labels)
    def delete_snapshot(self, name):
        if self.snapshots.pop(name, None) is not None:
            self.store.delete_snapshot(name)
            return
        with pytest.raises(SnapshotNotFound):
            self.store.delete_snapshot(name)

    @rule()
    def list_and_verify_snapshots(self):
        listed = self.store.list_snapshots()

        assert {info.name: info.seqno for info in listed} == {
            name: seqno for name, (seqno, _) in self.snapshots.items()
        }
        assert [info.seqno for info in listed] == sorted(info.seqno for info in listed)
        for info in listed:
            report = self.store.verify_snapshot(info.name)
            assert report.ok, report.problems

    # ---- copies

    @seldom
    @rule(name=st.one_of(st.none(), labels), streamed=st.booleans())
    def back_up_and_restore(self, name, streamed):
        archive = io.BytesIO() if streamed else self.new_place(".tar")
        if name is not None and name not in self.snapshots:
            with self.in_its_place(), pytest.raises(SnapshotNotFound):
                vecstore.backup(self.path, archive, snapshot=name)
            return
        copy = self.new_place()
        with self.in_its_place():
            report = vecstore.backup(self.path, archive, snapshot=name)
            if streamed:
                assert archive.tell() == report.size_bytes
                archive.seek(0)
            vecstore.restore_backup(archive, copy)

        fingerprint = self.store.fingerprint() if report.seqno == self.seqno else None
        if name is None:
            assert max(self.told, self.seqno - 1) <= report.seqno <= self.seqno
        else:
            seqno, fingerprint = self.snapshots[name]
            assert report.seqno == seqno
        self.check_copy(copy, self.as_it_was(report.seqno), fingerprint)

    @seldom
    @rule(name=st.one_of(st.none(), labels))
    def salvage(self, name):
        name = name if name in self.snapshots else None
        state = self.model if name is None else self.as_it_was(self.snapshots[name][0])
        copy = self.new_place()
        with self.in_its_place():
            report = vecstore.salvage(self.path, copy, snapshot=name)

        assert report.ok, report.losses
        assert report.records == state.count_of("live")
        assert report.soft_deleted == state.count_of("soft")
        self.check_copy(copy, state, None)

    def new_place(self, suffix=""):
        self.n_copies += 1
        return self.path.with_name(f"copy{self.n_copies}{suffix}")

    def check_copy(self, place, state, fingerprint):
        """Compare a copy of the store with what it must be, write to it, and remove it."""
        with self.handle(place) as copy:
            state.check_contents(copy)
            report = copy.verify()
            assert report.ok, report.problems
            assert fingerprint in (None, copy.fingerprint())
            copy.upsert("new", [1, 2, 3])
            assert copy.get("new").vector.tolist() == [1, 2, 3]
        shutil.rmtree(place, ignore_errors=True)
