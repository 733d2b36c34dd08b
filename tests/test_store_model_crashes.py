"""
The model of `test_store_model` on a medium that crashes: every call that returned must be there.

A crash keeps what is durable and any part of what is not. Under ``durability="full"`` the model
needs no rule for it: nothing that it knows of may be gone. Snapshots are copies of the model.
"""

import copy
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

import vecstore
from tests import test_store_model
from tests.storage.crashing import CrashingFiles
from tests.storage.damage import abandon
from tests.storage.medium import CONTENT, EVERYTHING, NAMES, NOTHING, seeded
from vecstore.errors import AlreadyExists, SnapshotNotFound

PLACE = Path("/store")
choices = st.one_of(
    st.sampled_from([NOTHING, EVERYTHING, CONTENT, NAMES]), st.integers(0, 2**16).map(seeded)
)
labels = st.sampled_from(["monday", "tuesday"])


class CrashModel(test_store_model.StoreModel):
    def __init__(self):
        self.files = CrashingFiles()
        self.checkpoint_bytes = 2**20
        self.snapshots = {}
        super().__init__()

    def open(self):
        with mock.patch("vecstore.store.Files", return_value=self.files):
            self.store = vecstore.open(
                PLACE,
                dim=3,
                metric="l2",
                config={**test_store_model.CONFIG, "checkpoint_bytes": self.checkpoint_bytes},
                clock=self.clock,
                check="full",
            )

    @initialize(checkpoint_bytes=st.sampled_from([0, 2000, 20_000]))
    def checkpoints_come_often(self, checkpoint_bytes):
        self.store.close()
        self.checkpoint_bytes = checkpoint_bytes
        self.open()

    @rule(choice=choices)
    def crash(self, choice):
        fingerprint, records = self.store.fingerprint(), self.contents()
        self.files = self.files.crash(choice)
        abandon(self.store)
        self.open()

        assert self.store.fingerprint() == fingerprint
        assert self.contents() == records

    def contents(self):
        return [
            (r.id, r.vector.tolist(), r.metadata, r.created_at, r.expires_at, r.deleted_at)
            for r in self.store.records(deleted=True)
        ]

    @rule(name=labels)
    def create_snapshot(self, name):
        if name in self.snapshots:
            with pytest.raises(AlreadyExists):
                self.store.create_snapshot(name)
            return
        made = self.store.create_snapshot(name)

        assert made.records == sum(slot.state == "live" for slot in self.slots)
        fingerprint = self.store.fingerprint()
        self.snapshots[name] = (copy.deepcopy(self.slots), fingerprint, self.contents())

    @rule(name=labels)
    def restore_snapshot(self, name):
        if name not in self.snapshots:
            with pytest.raises(SnapshotNotFound):
                self.store.restore_snapshot(name)
            return
        self.store.restore_snapshot(name)

        slots, fingerprint, records = self.snapshots[name]
        self.slots = copy.deepcopy(slots)
        assert self.store.fingerprint() == fingerprint
        assert self.contents() == records

    @precondition(lambda self: self.snapshots)
    @rule(name=labels)
    def delete_snapshot(self, name):
        if self.snapshots.pop(name, None) is not None:
            self.store.delete_snapshot(name)

    @rule()
    def list_and_verify_snapshots(self):
        listed = self.store.list_snapshots()

        assert sorted(info.name for info in listed) == sorted(self.snapshots)
        for info in listed:
            assert self.store.verify_snapshot(info.name).ok


CrashModel.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
TestCrashModel = CrashModel.TestCase
