"""Small file systems in memory, and what is done to them: for tests of the twins."""

import contextlib
from pathlib import Path

from tests.storage.crashing import CrashingFiles
from tests.storage.files_contract import tree
from tests.storage.medium import SECTOR

HOME = Path("/home")
OLD, NEW = b"o" * (3 * SECTOR), b"n" * (3 * SECTOR)


def with_files(**contents):
    """Make a file system with files in its home, all of it durable."""
    files = CrashingFiles()
    files.make_directory(HOME)
    for name, data in contents.items():
        files.write_new(HOME / name, [data])
    files.sync_directory(HOME)
    return files


def write_unsynced(files, name, offset, *chunks):
    with contextlib.closing(files.open(HOME / name)) as file:
        file.write(offset, chunks)


def create_unsynced(files, name, data):
    with contextlib.closing(files.open(HOME / name, create=True)) as file:
        file.write(0, [data])


def left(files, choice):
    """List what a crash leaves at home."""
    return tree(files.crash(choice), HOME)


def lefts(files, choices):
    """List what crashes may leave at home, each possibility once."""
    found = [left(files, choice) for choice in choices]
    return [tree for at, tree in enumerate(found) if tree not in found[:at]]


def random_step(rng):
    """Make a random operation on few names; it is a function of (files, base)."""
    names = ["a", "b", "d", "d/a", "d/b", "e", "e/a"]
    path, other = (Path(names[i]) for i in rng.integers(len(names), size=2))
    offset, size = (int(i) for i in rng.integers(2000, size=2))
    data = rng.bytes(size)

    def opened(files, base):
        with contextlib.closing(files.open(base / path, create=bool(offset % 2))) as file:
            file.write(offset, [data, data[:5]])
            file.resize(size)
            file.write(offset // 2, [data[:7]])
            if size % 2:
                file.sync()

    steps = [
        lambda files, base: files.make_directory(base / path),
        lambda files, base: files.write_new(base / path, [data]),
        lambda files, base: files.write_at(base / path, offset, [data]),
        lambda files, base: files.replace(base / path, base / other),
        lambda files, base: files.remove(base / path),
        lambda files, base: files.remove_directory(base / path),
        lambda files, base: files.link(base / path, base / other),
        lambda files, base: files.sync_directory((base / path).parent),
        lambda files, base: files.read(base / path, size, offset),
        lambda files, base: list(files.blocks(base / path, size, 100)),
        lambda files, base: files.size(base / path),
        lambda files, base: files.names(base / path),
        opened,
    ]
    return steps[rng.integers(len(steps))]


def outcome(step, files, base):
    try:
        return step(files, base)
    except OSError as error:
        return error.errno
