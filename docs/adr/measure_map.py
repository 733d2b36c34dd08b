"""
Print the figures that 0004 quotes: ``python docs/adr/measure_map.py [DIRECTORY]``.

A rows file of 440,000 x 128 float32 is made in DIRECTORY, by default here, and removed in the end.
"""

import mmap
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from vecstore.storage.files import Files

N, STRIDE = 440_000, 128
HEADER = 4096
LENGTH = HEADER + 4 * N * STRIDE
ROOM = HEADER + 5 * N * STRIDE
"""A quarter more."""
TAIL = 20_000
"""Rows that were appended since the file was mapped."""


def _ours(path):
    """Lay a private map of the file over the beginning of anonymous pages."""
    return Files().map(path, LENGTH, ROOM)


def _sparse(path):
    """Extend the file by a hole, and map all of it privately."""
    with path.open("r+b") as file:
        file.truncate(ROOM)
        return np.frombuffer(mmap.mmap(file.fileno(), ROOM, access=mmap.ACCESS_COPY), np.uint8)


def _in_memory(path):
    """Read the file."""
    raw = np.zeros(ROOM, np.uint8)
    with path.open("rb") as file:
        file.readinto(raw[:LENGTH])
    return raw


def _grow(opened, path):
    """Open anew with more room, and take the tail along; what the file holds is not copied."""
    old = opened(path)
    rows = old[HEADER:].view(np.float32).reshape(-1, STRIDE)
    rows[N : N + TAIL] = 1
    began = time.perf_counter()
    new = opened(path)[HEADER:].view(np.float32).reshape(-1, STRIDE)
    new[N : N + TAIL] = rows[N : N + TAIL]
    return time.perf_counter() - began


def _resident():
    return mmap.PAGESIZE * int(Path("/proc/self/statm").read_text().split()[1])


def _show(what, opened, path):
    opening, growing, before = [], [], _resident()
    for _ in range(7):
        began = time.perf_counter()
        raw = opened(path)
        opening.append(time.perf_counter() - began)
        held = _resident() - before
        del raw
        growing.append(_grow(opened, path))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(LENGTH)
    print(
        f"{what:26} open {1e3 * min(opening):7.2f} ms, then {held / 1e6:6.1f} MB in memory; "
        f"grow {1e3 * min(growing):7.2f} ms; file then {size / 1e6:.1f} MB"
    )


def main(folder):
    """Measure the three ways."""
    rows = np.random.default_rng(0).standard_normal((N // 8, STRIDE)).astype(np.float32)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        path = Path(place) / "rows"
        with path.open("wb") as file:
            file.write(bytes(HEADER))
            for _ in range(8):
                file.write(rows)
        print(f"0004: {N:,} x {STRIDE}, then room for a quarter more, {TAIL:,} rows taken along")
        _show("file over anonymous pages", _ours, path)
        _show("file extended by a hole", _sparse, path)
        _show("file read into memory", _in_memory, path)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ".")
