"""
What a crash leaves of a file system: a model of a disk beneath a cache that nobody can trust.

Operations come from a journal that `crashing.CrashingFiles` keeps. Until a file is synced, each of
its 512-byte sectors may be on the medium as it was at any moment since, and so may its length;
until a directory is synced, each change of its names may have arrived or not, in any order, a
rename in both of its places together. So a name may be durable before the bytes that it names,
and the other way around. This is stricter than any real file system.
"""

import functools
import hashlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

SECTOR = 512
ALL = np.iinfo(np.int64).max


class Node(NamedTuple):
    """A file or a directory, whatever its names are."""

    number: int
    is_directory: bool


ROOT = Node(0, True)


class Write(NamedTuple):
    """Bytes go into a file."""

    node: Node
    offset: int
    data: bytes


class Resize(NamedTuple):
    """A file is cut, or extended by zeros."""

    node: Node
    length: int


class Rename(NamedTuple):
    """
    Names come and go, all of them together: a creation, a link, a removal or a renaming.

    `entries` are (directory, name, what it names from now on or None).
    """

    entries: tuple[tuple[Node, str, Node | None], ...]


class Sync(NamedTuple):
    """All changes of a file, or of the names in a directory, reach the medium."""

    node: Node


class Loss(NamedTuple):
    """
    The system drops what is unsynced of a file or a directory, having failed to write it.

    The cache shows names that were dropped as if they were durable, and no later sync helps them.
    """

    node: Node


Operation = Write | Resize | Rename | Sync | Loss


class Choice(NamedTuple):
    """
    Which of the unsynced changes a crash keeps.

    Attributes
    ----------
    name : str
        For messages.
    until : callable
        Takes what it is about ("sector", "length" or "name") and int64[n] each: the places in the
        journal of the first and the last unsynced change of n things. Gives int64[n]: the place
        such that just the changes before it are kept of each.
    """

    name: str
    until: Callable[[str, np.ndarray, np.ndarray], np.ndarray]


NOTHING = Choice("nothing unsynced", lambda kind, first, last: np.zeros_like(last))
EVERYTHING = Choice("everything", lambda kind, first, last: np.full_like(last, ALL))
CONTENT = Choice(
    "sectors yes, names no", lambda kind, first, last: np.full_like(last, ALL * (kind != "name"))
)
NAMES = Choice(
    "names yes, sectors no", lambda kind, first, last: np.full_like(last, ALL * (kind == "name"))
)


def before(place):
    """Keep what came before a place in the journal: writes arrive in order, but late."""
    return Choice(f"before {place}", lambda kind, first, last: np.full_like(last, place))


def since(place, *, lengths=True):
    """
    Keep the things that changed at a place in the journal or later: the newest arrive first.

    Without `lengths`, files stay as long as they were: what was cut off is there again.
    """

    def until(kind, first, last):
        return np.where((last >= place) & (lengths or kind != "length"), ALL, 0)

    return Choice(f"since {place}{'' if lengths else ', lengths as before'}", until)


def seeded(seed):
    """Keep every thing as it was at some moment since it was durable, many or few of them whole."""

    def until(kind, first, last):
        rng = np.random.default_rng([seed, int(last.sum()), *kind.encode()])
        at_some_moment = rng.integers(first, last + 1)
        return np.where(rng.random(len(last)) < rng.random(), last + 1, at_some_moment)

    return Choice(f"seeded {seed}", until)


class Image(NamedTuple):
    """A file system at rest: the bytes of each file, and the names in each directory."""

    contents: dict[Node, bytes]
    names: dict[Node, dict[str, Node]]

    def paths(self):
        """List all files with their bytes, and all directories with None, by path."""
        found, waiting = {}, [("", ROOT)]
        while waiting:
            path, node = waiting.pop()
            if node.is_directory:
                found[path or "/"] = None
                waiting += [(f"{path}/{name}", n) for name, n in self.names.get(node, {}).items()]
            else:
                found[path] = self.contents.get(node, b"")
        return dict(sorted(found.items()))

    def fingerprint(self):
        """Hash names and bytes, but neither who holds a lock nor which names are one file."""
        found = hashlib.blake2b(digest_size=16)
        for path, data in self.paths().items():
            data = b"" if path.endswith("/LOCK") else data
            found.update(repr((path, None if data is None else _digest(data))).encode())
        return found.hexdigest()


EMPTY = Image({}, {ROOT: {}})


@functools.lru_cache(512)
def _digest(data):
    return len(data), hashlib.blake2b(data.rstrip(b"\0"), digest_size=16).hexdigest()


class _Change(NamedTuple):
    """An unsynced change of a file: bytes at an offset, and the length it has then."""

    place: int
    offset: int
    data: np.ndarray
    length: int


class Medium:
    """
    What is durable, and what is on its way.

    Parameters
    ----------
    image : Image
        What is durable at first.
    """

    def __init__(self, image):
        self._contents = dict(image.contents)
        # each name with the place of its newest durable change: older ones may arrive after it
        self._names = {
            directory: {name: (-1, node) for name, node in names.items()}
            for directory, names in image.names.items()
        }
        self._changes = {}
        self._renames = []

    def apply(self, place, operation):
        """Carry out the operation at a place in the journal."""
        match operation:
            case Write(node, offset, data):
                length = max(self._length(node), offset + len(data))
                self._change(node, place, offset, np.frombuffer(data, np.uint8), length)
            case Resize(node, length):
                zeros = np.zeros(max(0, self._length(node) - length), np.uint8)
                self._change(node, place, length, zeros, length)
            case Rename():
                self._renames.append((place, operation))
            case Sync(node) if node.is_directory:
                self._sync_names(node)
            case Sync(node):
                self._contents[node] = self._content(node, EVERYTHING)
                self._changes.pop(node, None)
            case Loss(node) if node.is_directory:
                self._sync_names(node, arrive=False)
            case Loss(node):
                length = self._length(node)
                self._changes.pop(node, None)
                self.apply(place, Resize(node, length))

    def places(self):
        """List the places of all unsynced changes, in order."""
        of_files = [change.place for changes in self._changes.values() for change in changes]
        return sorted({*of_files, *(place for place, _ in self._renames)})

    def content(self, node):
        """Give the durable bytes of a file, extended to the length that it has in the cache."""
        length = self._length(node)
        return self._contents.get(node, b"")[:length].ljust(length, b"\0")

    def image(self, choice):
        """Give what a crash leaves at this moment."""
        names = {directory: dict(entries) for directory, entries in self._names.items()}
        places = np.array([place for place, _ in self._renames], np.int64)
        kept = choice.until("name", places, places) > places
        for (place, rename), keeps in zip(self._renames, kept, strict=True):
            if keeps:
                _carry_out(names, place, rename)
        left, waiting = Image({}, {}), [ROOT]
        while waiting:
            node = waiting.pop()
            if node.is_directory:
                found = {name: n for name, (_, n) in names.get(node, {}).items() if n is not None}
                left.names[node] = found
                waiting += found.values()
            elif node not in left.contents:
                left.contents[node] = self._content(node, choice)
        return left

    def _length(self, node):
        changes = self._changes.get(node)
        return changes[-1].length if changes else len(self._contents.get(node, b""))

    def _change(self, node, *change):
        self._changes.setdefault(node, []).append(_Change(*change))

    def _sync_names(self, directory, *, arrive=True):
        waiting = []
        for place, rename in self._renames:
            if any(where == directory for where, _, _ in rename.entries):
                if arrive:
                    _carry_out(self._names, place, rename)
            else:
                waiting.append((place, rename))
        self._renames = waiting

    def _content(self, node, choice):
        durable, changes = self._contents.get(node, b""), self._changes.get(node)
        if not changes:
            return durable
        longest = max(len(durable), *(change.offset + len(change.data) for change in changes))
        longest = max(longest, *(change.length for change in changes))
        raw = np.zeros(longest, np.uint8)
        raw[: len(durable)] = np.frombuffer(durable, np.uint8)
        until = self._sectors_until(changes, -(-longest // SECTOR), choice)
        for place, offset, data, _ in changes:
            first, end = offset // SECTOR, offset + len(data)
            kept = until[first : -(-end // SECTOR)] > place
            if kept.all():
                raw[offset:end] = data
            elif kept.any():
                begin = offset - first * SECTOR
                bytes_kept = kept.repeat(SECTOR)[begin : begin + len(data)]
                raw[offset:end][bytes_kept] = data[bytes_kept]
        ends = np.array([[changes[0].place], [changes[-1].place]])
        arrived = [c.length for c in changes if c.place < choice.until("length", *ends)[0]]
        return raw[: arrived[-1] if arrived else len(durable)].tobytes()

    def _sectors_until(self, changes, n_sectors, choice):
        first, last = np.full(n_sectors, ALL), np.full(n_sectors, -1)
        for place, offset, data, _ in changes:
            span = slice(offset // SECTOR, -(-(offset + len(data)) // SECTOR))
            first[span] = np.minimum(first[span], place)
            last[span] = place
        touched = np.flatnonzero(last >= 0)
        until = np.zeros(n_sectors, np.int64)
        until[touched] = choice.until("sector", first[touched], last[touched])
        return until


def _carry_out(names, place, rename):
    """Change names, but for those that a newer change has reached already."""
    for directory, name, node in rename.entries:
        entries = names.setdefault(directory, {})
        if entries.get(name, (-1, None))[0] <= place:
            entries[name] = (place, node)


def moments(image, journal):
    """
    Go through a journal and stop wherever a crash may happen.

    Parameters
    ----------
    image : Image
        What was durable before it.
    journal : list of Operation
        What was done.

    Yields
    ------
    int, Medium
        How many operations were done, and what they left. Before a write also once with the first
        half of its bytes written. The medium is the same object each time.
    """
    medium = Medium(image)
    for place, operation in enumerate(journal):
        yield place, medium
        if isinstance(operation, Write) and len(operation.data) > 1:
            medium.apply(place, operation._replace(data=operation.data[: len(operation.data) // 2]))
            yield place, medium  # the whole write then covers its half
        medium.apply(place, operation)
    yield len(journal), medium
