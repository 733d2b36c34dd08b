"""
A store whose real disk is full: `python -m tests.crash.room PART DIRECTORY`.

`limit` meets a limit on the size of files, and is freed of it. `fill` writes until the file system
is full and dies; `reopen` opens the store while it still is, and makes room. Each prints a line of
JSON. A process of its own, since limits and mounts are a process's.
"""

import errno
import json
import os
import resource
import sys
from pathlib import Path

import numpy as np

import vecstore

DIM = 4
CONFIG = {"maintenance": "inline", "flat_threshold": 8, "hnsw": {"m": 2, "ef_construction": 8}}
LIMIT_BYTES = 2 << 20
FILLER_BYTES = 3 << 20
LONG = {"long": "x" * 100_000}


def opened(directory):
    return vecstore.open(directory / "store", metric="l2", config=CONFIG)


def put(store, number, metadata):
    store.upsert(f"id{number}", np.full(DIM, number), metadata)


def until_refused(store):
    """Upsert until the system refuses; return how many calls passed, and the number it gave."""
    for number in range(1000):
        try:
            put(store, number, LONG)
        except OSError as error:
            return number, error.errno
    raise AssertionError("there is no end of room")


def numbers(store):
    """Check every record, and list the numbers of all."""
    found = []
    for record in store.records():
        number = int(record.id.removeprefix("id"))
        assert record.vector.tolist() == [number] * DIM
        found.append(number)
    if found:
        assert store.query(np.full(DIM, found[0]), k=1)[0].distance == 0
    assert store.verify().ok
    return found


def limit(directory):
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    store = opened(directory)
    put(store, 1000, {})
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, hard))
    passed, error = until_refused(store)
    again = until_refused(store)  # the same ids: the log is as it was
    present = numbers(store)

    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    put(store, 1001, LONG)
    after = numbers(store)
    store.close()
    with opened(directory) as store:
        assert numbers(store) == after
    assert error == again[1] == errno.EFBIG
    assert sorted(present) == [*range(passed), 1000]
    assert sorted(after) == [*range(passed), 1000, 1001]
    return {"passed": passed}


def fill(directory):
    (directory / "filler").write_bytes(bytes(FILLER_BYTES))
    store = opened(directory)
    put(store, 1000, {})
    passed, error = until_refused(store)
    assert error == errno.ENOSPC
    assert sorted(numbers(store)) == [*range(passed), 1000]
    print(json.dumps({"passed": passed}), flush=True)
    os._exit(0)  # as if killed


def reopen(directory):
    with opened(directory) as store:
        before = numbers(store)
        _, error = until_refused(store)
        assert error == errno.ENOSPC
        assert sorted(numbers(store)) == sorted(before)

        (directory / "filler").unlink()
        put(store, 1001, LONG)
        store.checkpoint()
        put(store, 1002, LONG)
    with opened(directory) as store:
        assert sorted(numbers(store)) == [*sorted(before), 1001, 1002]
    return {"before": sorted(before)}


if __name__ == "__main__":
    part = {"limit": limit, "fill": fill, "reopen": reopen}[sys.argv[1]]
    print(json.dumps(part(Path(sys.argv[2]))), flush=True)
