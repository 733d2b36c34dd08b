"""
A file system in memory that can crash at every operation: a twin of `Files` for tests.

It behaves as the real one while it runs, and keeps a journal of everything it did to its `Medium`.
Record a workload once, then let `moments` lead through the journal and take images of the medium;
each image is the beginning of another `CrashingFiles`. Paths have nothing to do with real ones.
"""

import contextlib
import errno
import functools
import itertools
import os
import threading

import numpy as np

from tests.storage.medium import (
    EMPTY,
    EVERYTHING,
    ROOT,
    Loss,
    Medium,
    Node,
    Rename,
    Resize,
    Sync,
    Write,
)
from vecstore.errors import StoreLocked
from vecstore.storage.descriptors import CLOSED, SETTLED, SyncFailed
from vecstore.storage.files import READ_BYTES, Files, Usage

PAGE = 4096


def _one_at_a_time(method):
    @functools.wraps(method)
    def locked(self, *given, **named):
        with self._guard:
            return method(self, *given, **named)

    return locked


class CrashingFiles(Files):
    """
    A file system in memory.

    Parameters
    ----------
    image : Image
        What is on its medium at first.

    Attributes
    ----------
    image : Image
        As given.
    journal : list of Operation
        All that has been done to it since. What only reads is not in it: a crash then leaves the
        same.
    """

    def __init__(self, image=EMPTY):
        self.image = image
        self.journal = []
        self._guard = threading.RLock()
        self._medium = Medium(image)
        self._contents = dict(image.contents)
        self._names = {node: dict(names) for node, names in image.names.items()}
        self._numbers = max(node.number for node in {*self._names, *self._contents}) + 1
        self._locked = set()

    def crash(self, choice):
        """Give a file system with what a crash leaves of this one now."""
        return CrashingFiles(self._medium.image(choice))

    def paths(self):
        """List all files with their bytes, as they are while nothing crashes."""
        return self._medium.image(EVERYTHING).paths()

    # ---- reading

    @_one_at_a_time
    def names(self, path):
        return sorted(self._directory(path))

    @_one_at_a_time
    def size(self, path):
        return len(self._contents[self._file(path)])

    @_one_at_a_time
    def read(self, path, most, offset=0):
        return bytes(self._contents[self._file(path)][offset : offset + most])

    def blocks(self, path, length, block_bytes=READ_BYTES):
        node = self._file(path)
        for at in range(0, length, block_bytes):
            with self._guard:
                block = bytes(self._contents[node][at : min(at + block_bytes, length)])
            if block:
                yield block

    @_one_at_a_time
    def map(self, path, length, capacity=0):
        node = self._existing(path)
        if node.is_directory:
            raise _refusal(errno.ENODEV, path)
        if max(length, capacity) == 0:
            raise _refusal(errno.EINVAL, path)
        # the real one ends the process, at the latest when such a page is touched
        assert length <= len(self._contents[node]), f"{path} is mapped beyond its end"
        room = np.zeros(max(length, capacity) + PAGE, np.uint8)
        begin = -room.ctypes.data % PAGE
        mapped = room[begin : begin + max(length, capacity)]
        mapped[:length] = np.frombuffer(self._contents[node], np.uint8, length)
        return mapped

    @_one_at_a_time
    def usage(self, path):
        node = self._file(path)
        data = bytes(self._contents[node])
        blocks = (data[at : at + PAGE] for at in range(0, len(data), PAGE))
        n_blocks = sum(bool(block.strip(b"\0")) for block in blocks)
        links = [n for names in self._names.values() for n in names.values() if n == node]
        return Usage(len(data), n_blocks * PAGE, len(links))

    def file_system(self, path):
        return "memory"

    # ---- writing

    def make_directory(self, path):
        try:
            exists = self._existing(path).is_directory
        except (FileNotFoundError, NotADirectoryError):
            exists = False
        if exists:
            return
        self.make_directory(path.parent)
        with self._guard:
            parent = self._directory(path.parent)
            if path.name in parent:
                raise _refusal(errno.EEXIST, path)
            made = self._new_node(is_directory=True)
            self._names[made] = {}
            self._rename((path, made))
        self.sync_directory(path.parent)

    def write_new(self, path, chunks):
        with contextlib.closing(self.open(path, create=True)) as file:
            file.write(0, chunks)
            file.sync()

    def write_at(self, path, offset, chunks):
        with contextlib.closing(self.open(path)) as file:
            file.write(offset, chunks)
            file.sync()

    @_one_at_a_time
    def open(self, path, *, create=False):
        if create:
            self.remove(path)
            made = self._new_node(is_directory=False)
            self._contents[made] = b""
            self._rename((path, made))
        return _CrashingOpenFile(self, self._file(path))

    @_one_at_a_time
    def replace(self, source, target):
        self._directory(source.parent)  # the system looks at both directories first
        replaced = self._directory(target.parent).get(target.name)
        moved = self._existing(source)
        if replaced == moved:  # two names of one file: the system leaves both
            return
        if moved.is_directory and moved in self._way(target.parent):
            raise _refusal(errno.EINVAL, source)
        if replaced in self._way(source):
            raise _refusal(errno.ENOTEMPTY, target)
        if replaced is not None:
            if moved.is_directory and not replaced.is_directory:
                raise _refusal(errno.ENOTDIR, target)
            if replaced.is_directory and not moved.is_directory:
                raise _refusal(errno.EISDIR, target)
            if self._names.get(replaced):
                raise _refusal(errno.ENOTEMPTY, target)
        self._rename((source, None), (target, moved))

    @_one_at_a_time
    def remove(self, path):
        try:
            self._file(path)
        except FileNotFoundError:
            return
        self._rename((path, None))

    @_one_at_a_time
    def remove_directory(self, path):
        try:
            names = self._directory(path)
        except FileNotFoundError:
            return
        if names:
            raise _refusal(errno.ENOTEMPTY, path)
        self._rename((path, None))

    @_one_at_a_time
    def link(self, source, target):
        node = self._existing(source)
        if target.name in self._directory(target.parent):
            raise _refusal(errno.EEXIST, target)
        if node.is_directory:
            raise _refusal(errno.EPERM, source)
        self._rename((target, node))

    @_one_at_a_time
    def sync_directory(self, path):
        self._record(Sync(self._existing(path)))

    @_one_at_a_time
    def lose(self, path, *, shows):
        """Drop the unsynced names of a directory, as a failed fsync does; it still shows them."""
        self._record(Loss(self._existing(path)))

    @_one_at_a_time
    def lock(self, path):
        file = self.open(path, create=path.name not in self._directory(path.parent))
        before = bytes(self._contents[file.node])
        if file.node in self._locked:
            known = before.decode().strip() if before != SETTLED else ""
            raise StoreLocked(path.parent, known or "another process")
        return _CrashingLock(self, file.node, before)

    # ---- nodes

    def _way(self, path):
        """List the directories down to a path, and what it names."""
        way = [ROOT]
        for name in path.parts[path.is_absolute() :]:
            if not way[-1].is_directory:
                raise _refusal(errno.ENOTDIR, path)
            if name not in self._names[way[-1]]:
                raise _refusal(errno.ENOENT, path)
            way.append(self._names[way[-1]][name])
        return way

    def _existing(self, path):
        return self._way(path)[-1]

    def _file(self, path):
        node = self._existing(path)
        if node.is_directory:
            raise _refusal(errno.EISDIR, path)
        return node

    def _directory(self, path):
        node = self._existing(path)
        if not node.is_directory:
            raise _refusal(errno.ENOTDIR, path)
        return self._names[node]

    def _new_node(self, *, is_directory):
        self._numbers += 1
        return Node(self._numbers, is_directory)

    # ---- what the journal is told

    def _record(self, operation):
        self._medium.apply(len(self.journal), operation)
        self.journal.append(operation)

    def _rename(self, *entries):
        named = [(self._existing(path.parent), path.name, node) for path, node in entries]
        for directory, name, node in named:
            self._names[directory].pop(name, None)
            if node is not None:
                self._names[directory][name] = node
        self._record(Rename(tuple(named)))

    @_one_at_a_time
    def _write(self, node, offset, data):
        if offset < 0:
            raise _refusal(errno.EINVAL)
        content = self._contents[node]
        if not isinstance(content, bytearray):
            content = self._contents[node] = bytearray(content)
        content.extend(bytes(max(0, offset + len(data) - len(content))))
        content[offset : offset + len(data)] = data
        self._record(Write(node, offset, data))

    @_one_at_a_time
    def _resize(self, node, length):
        if length < 0:
            raise _refusal(errno.EINVAL)
        self._contents[node] = bytes(self._contents[node][:length]).ljust(length, b"\0")
        self._record(Resize(node, length))

    @_one_at_a_time
    def _sync(self, node):
        self._record(Sync(node))

    @_one_at_a_time
    def _lose(self, node, shows):
        if not shows:
            self._contents[node] = self._medium.content(node)
        self._record(Loss(node))


class _CrashingOpenFile:
    """A twin of `OpenFile`."""

    _numbers = itertools.count(1_000_000)

    def __init__(self, files, node):
        self.node = node
        self.number = next(self._numbers)
        self._files = files

    def write(self, offset, chunks):
        for chunk in chunks:
            data = bytes(memoryview(chunk).cast("B"))
            if data:
                self._refuse_if_closed()
                self._files._write(self.node, offset, data)
                offset += len(data)

    def hurry(self, offset, length):
        """Do nothing: unsynced sectors may reach the medium in any case, or not."""

    def resize(self, length):
        self._refuse_if_closed()
        self._files._resize(self.node, length)

    def sync(self):
        self._refuse_if_closed(SyncFailed)
        self._files._sync(self.node)

    def lose(self, *, shows):
        """Drop the unsynced sectors, as a failed fsync does; it may go on to show them."""
        self._files._lose(self.node, shows)

    def close(self):
        self.number = CLOSED

    def _refuse_if_closed(self, kind=OSError):
        if self.number == CLOSED:
            raise _refusal(errno.EBADF, kind=kind)


class _CrashingLock(_CrashingOpenFile):
    """A twin of `Lock`."""

    def __init__(self, files, node, before):
        super().__init__(files, node)
        files._locked.add(node)
        self.doubtful = before != SETTLED
        self._say(f"process {os.getpid()}\n".encode())

    def settle(self):
        self._say(SETTLED)

    def _say(self, text):
        self.resize(0)
        self.write(0, [text])

    def release(self):
        self.close()

    def close(self):
        if self.number != CLOSED:
            self._files._locked.discard(self.node)
        super().close()


def _refusal(number, path="", kind=OSError):
    return kind(number, os.strerror(number), str(path))
