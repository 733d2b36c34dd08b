"""What stores do while something fails: the store that they begin with, and steps of every kind."""

import functools

from tests.crash.sessions import BusyFiles, Session
from tests.crash.workloads import (
    CHECKPOINT,
    COMPACT,
    LONG,
    OPTIMIZE,
    batch,
    fill,
    one,
    rows,
    upsert,
)
from tests.storage.medium import EMPTY, NOTHING

_EVERYTHING = (
    upsert("x", 1),
    fill("y", 5, 2),
    CHECKPOINT,
    one("delete", "a1"),
    upsert("a2", 3, metadata=LONG),
    OPTIMIZE,
    one("soft_delete", "a3"),
    one("create_snapshot", "S"),
    batch(
        {"op": "upsert", "id": "z", "vector": rows(4)[0]},
        {"op": "delete", "id": "a4"},
    ),
    COMPACT,
    one("update_metadata", "a5", {"new": 1}),
    one("restore_snapshot", "S"),
    upsert("w", 5),
    one("delete_snapshot", "S"),
)
_AUTOMATIC = tuple(upsert(f"long{i}", i, metadata=LONG) for i in range(9))
CREATION = "creation"
CASES = {
    CREATION: ({}, (upsert("a", 1), CHECKPOINT)),
    "everything": ({}, _EVERYTHING),
    "automatic checkpoints": ({"checkpoint_bytes": 400}, _AUTOMATIC),
}


@functools.cache
def begun(case):
    """Make the store that every attempt begins with; none where it is to be created."""
    files = BusyFiles()
    if case == CREATION:
        return EMPTY
    session = Session(files, CASES[case][0])
    session.take(0, fill("a", 12, 0))
    session.take(1, CHECKPOINT)
    session.take(2, upsert("b", 9))
    session.close()
    return files.crash(NOTHING).image


@functools.cache
def model(case, done, *more):
    """Say what a store holds in which some of the steps were taken, and nothing failed."""
    settings, steps = CASES[case]
    session = Session(BusyFiles(begun(case)), settings)
    with session.ending():
        for number in done:
            session.take(number, steps[number])
        for number, step in enumerate(more, len(steps)):
            session.take(number, step)
        return session.state()
