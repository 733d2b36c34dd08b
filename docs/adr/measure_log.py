"""
Print the figures that 0005 quotes: ``python docs/adr/measure_log.py [DIRECTORY]``.

Appends records to a file in DIRECTORY, by default here, one after the other, each durable before
the next: what a single write costs under ``durability="full"``.
"""

import mmap
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

RECORD = 640
"""Bytes: 128 float32, an id, a little metadata, and the header of a frame."""
BLOCK = 4096
PREPARED = 1 << 20
TURNS, ROUNDS = 30, 100


class Growing:
    """The file grows with each record; its length has to be made durable too."""

    flags = os.O_RDWR | os.O_CREAT
    sync = staticmethod(os.fsync)

    def __init__(self, path):
        self.file = os.open(path, self.flags)
        self.end = 0

    def append(self, record):
        """Write a record behind the last one and sync it."""
        os.pwrite(self.file, record, self.end)
        self.sync(self.file)
        self.end += len(record)


class GrowingData(Growing):
    """The same with fdatasync, which leaves out the times of change."""

    sync = staticmethod(os.fdatasync)


class Prepared(GrowingData):
    """Zeros are written ahead, 1 MiB at a time: only bytes inside of the file change."""

    room = 0

    def append(self, record):
        """Write a record into the room, which is made where it ends."""
        if self.end + len(record) > self.room:
            os.pwrite(self.file, bytes(PREPARED), self.end)
            self.room = self.end + PREPARED
        super().append(record)


class Allocated(Prepared):
    """Into room that the file system set aside without writing to it."""

    def append(self, record):
        """Write a record into the room, which is set aside where it ends."""
        if self.end + len(record) > self.room:
            os.posix_fallocate(self.file, self.end, PREPARED)
            self.room = self.end + PREPARED
        super().append(record)


class PreparedDsync(Prepared):
    """Into such room by one call that writes and syncs."""

    sync = staticmethod(lambda file: None)

    def append(self, record):
        """Write a record durably."""
        if self.end + len(record) > self.room:
            os.pwrite(self.file, bytes(PREPARED), self.end)
            os.fdatasync(self.file)
            self.room = self.end + PREPARED
        os.pwritev(self.file, [record], self.end, os.RWF_DSYNC)
        self.end += len(record)


class Direct(Prepared):
    """Into such room past the system's cache: whole blocks, from memory that begins on a page."""

    flags = Growing.flags | getattr(os, "O_DIRECT", 0)

    def __init__(self, path):
        super().__init__(path)
        self.zeros = mmap.mmap(-1, PREPARED)
        self.blocks = mmap.mmap(-1, 2 * BLOCK)

    def append(self, record):
        """Write the blocks that the record lies in."""
        first, begin = self.end // BLOCK * BLOCK, self.end % BLOCK
        if self.end + 2 * BLOCK > self.room:
            os.pwrite(self.file, self.zeros, self.room)
            self.room += PREPARED
        self.blocks[begin : begin + len(record)] = record
        over = begin + len(record) > BLOCK
        os.pwrite(self.file, memoryview(self.blocks)[: BLOCK * (1 + over)], first)
        os.fdatasync(self.file)
        if over:
            self.blocks[:BLOCK] = self.blocks[BLOCK:]
            self.blocks[BLOCK:] = bytes(BLOCK)
        self.end += len(record)


WAYS = {
    "growing, fsync": Growing,
    "growing, fdatasync": GrowingData,
    "room from fallocate, fdatasync": Allocated,
    "prepared room, fdatasync": Prepared,
    "prepared room, RWF_DSYNC": PreparedDsync,
    "prepared room, O_DIRECT, fdatasync": Direct,
}


def _turn(log):
    record = bytes(range(1, 129)) * (RECORD // 128)
    began = time.perf_counter()
    for _ in range(TURNS):
        log.append(record)
    return (time.perf_counter() - began) / TURNS * 1e6


def main(folder):
    """Let the ways take turns, so that a slow moment of the disk meets all of them."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        logs = {}
        for name, way in WAYS.items():
            try:
                logs[name] = way(Path(place) / str(len(logs)))
            except OSError as exc:
                print(f"{name:36} refused here: {exc.strerror}")
        found = {name: [] for name in logs}
        for _ in range(ROUNDS):
            for name, log in logs.items():
                found[name].append(_turn(log))
        print(f"0005: one append of {RECORD} bytes and its sync, {ROUNDS} rounds of {TURNS}")
        for name, turns in found.items():
            least, middle, most = min(turns), statistics.median(turns), max(turns)
            print(f"{name:36} {least:6.0f} µs at best, {middle:6.0f} median, {most:6.0f} at worst")
        for log in logs.values():
            os.close(log.file)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ".")
