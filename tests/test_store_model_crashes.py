"""
The model of `test_store_model` on a medium that crashes: every call that returned must be there.

A crash keeps what is durable and any part of what is not. Under ``durability="full"`` the model
needs no rule for it: nothing that it knows of may be gone, and no snapshot.
"""

import contextlib
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from tests.storage.crashing import CrashingFiles
from tests.storage.damage import abandon
from tests.storage.medium import CONTENT, EVERYTHING, NAMES, NOTHING, seeded
from tests.test_store_model import AT_LENGTH, CONFIG, SETTINGS, StoreModel

WHERE_FILES_ARE_MADE = ["store", "engine.backup", "engine.salvage"]
choices = st.one_of(
    st.sampled_from([NOTHING, EVERYTHING, CONTENT, NAMES]), st.integers(0, 2**16).map(seeded)
)


class CrashModel(StoreModel):
    def __init__(self):
        self.files = CrashingFiles()
        super().__init__()

    def new_home(self):
        return Path("/")

    @contextlib.contextmanager
    def in_its_place(self):
        with contextlib.ExitStack() as patched:
            for module in WHERE_FILES_ARE_MADE:
                name = f"vecstore.{module}.Files"
                patched.enter_context(mock.patch(name, return_value=self.files))
            yield

    @initialize(checkpoint_bytes=st.sampled_from([0, 2000, 20_000]))
    def checkpoints_come_often(self, checkpoint_bytes):
        self.store.close()
        self.config = {**CONFIG, "checkpoint_bytes": checkpoint_bytes}
        self.store = self.handle()

    @rule(choice=choices)
    def crash(self, choice):
        fingerprint = self.store.fingerprint()
        self.let_copies_go()
        self.files = self.files.crash(choice)
        abandon(self.store)
        self.open_again(fingerprint)


class TestCrashModel(CrashModel.TestCase):
    settings = SETTINGS


@pytest.mark.slow
class TestCrashModelAtLength(CrashModel.TestCase):
    settings = AT_LENGTH
