"""
Snapshots: a generation kept under a name, in a directory of its own inside the store.

    snapshots/<name>/snapshot.json       name, moment, manifest; one line, and its CRC-32
    snapshots/<name>/manifest-000007.json
    snapshots/<name>/vectors-000003.bin  …  links to the files of the store, or copies of them

What a manifest names is never rewritten, so links are as good as copies; where the system refuses
links, they are copied. A snapshot is made in a directory whose name begins with a dot, which the
last step renames, and goes the same way: whoever lists sees whole snapshots. Dotted leftovers of
a crash are swept when the store is opened. Not here: when a snapshot is made (`engine.snapshots`).
"""

import contextlib
import dataclasses
import json
import re
import zlib
from pathlib import Path
from typing import Any, NamedTuple

from vecstore.errors import (
    AlreadyExists,
    CorruptData,
    InvalidInput,
    SnapshotNotFound,
    UnsupportedFormat,
)
from vecstore.model import SnapshotInfo
from vecstore.storage.checksums import sealed_line, unsealed_line
from vecstore.storage.file_names import file_name, manifest_name
from vecstore.storage.files import Files
from vecstore.storage.layout import UNREADABLE, existing_size
from vecstore.storage.links import link_or_copy
from vecstore.storage.manifest import (
    FORMAT,
    MAX_LINE_BYTES,
    MAX_MANIFEST_BYTES,
    FileEntry,
    Manifest,
    parse_manifest,
)

FOLDER = "snapshots"
NOTE = "snapshot.json"
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_LEFTOVER = re.compile(rf"\.{_NAME.pattern}\.(partial|deleted)")


class Note(NamedTuple):
    """
    What a snapshot's own file says.

    Attributes
    ----------
    created_at : int
        Unix milliseconds.
    manifest : Manifest
        The generation it keeps.
    """

    created_at: int
    manifest: Manifest


def checked_name(argument: str, name: object) -> str:
    """
    Check the name of a snapshot.

    Parameters
    ----------
    argument : str
        What brought it, for errors.
    name : object
        What came.

    Returns
    -------
    str
        The name, which is no path.

    Raises
    ------
    InvalidInput
        If it is anything but 1 to 128 ASCII letters, digits, dots, - and _, or begins with a dot.
    """
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        expected = "1 to 128 ASCII letters, digits, dots, - and _, not beginning with a dot"
        raise InvalidInput.of(argument, expected, name)
    return name


def place_of(root: Path, name: str) -> Path:
    """
    Say where a snapshot lies.

    Parameters
    ----------
    root : Path
        The store.
    name : str
        Checked.

    Returns
    -------
    Path
        Its directory.
    """
    return root / FOLDER / name


def snapshot_names(files: Files, root: Path) -> list[str]:
    """
    List the names of the snapshots.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        The store.

    Returns
    -------
    list of str
        Sorted.
    """
    try:
        names = [name for name in files.names(root / FOLDER) if _NAME.fullmatch(name)]
    except FileNotFoundError:
        return []
    return [name for name in names if _is_directory(files, place_of(root, name))]


def _is_directory(files: Files, path: Path) -> bool:
    try:
        files.names(path)
    except (NotADirectoryError, FileNotFoundError):
        return False
    return True


def create(files: Files, root: Path, name: str, manifest: Manifest, now: int) -> None:
    """
    Keep the current generation under a name.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        The store.
    name : str
        Checked.
    manifest : Manifest
        The current one, durable.
    now : int
        Unix milliseconds.

    Raises
    ------
    AlreadyExists
        If there is a snapshot of this name.
    """
    if name in snapshot_names(files, root):
        raise AlreadyExists(f"the snapshot {name!r}", "delete it first, or take another name")
    folder, place = root / FOLDER, place_of(root, name)
    partial = folder / f".{name}.partial"
    try:
        _remove_tree(files, partial)
        files.make_directory(partial)
        for entry in manifest.files.values():
            link_or_copy(files, root / entry.name, partial / entry.name, entry.length)
        data = manifest.to_bytes()
        files.write_new(partial / manifest.name, [data])
        note = {"format": FORMAT, "name": name, "created_at": now}
        note |= {"generation": manifest.generation, "crc": zlib.crc32(data)}
        files.write_new(partial / NOTE, [sealed_line(json.dumps(note, sort_keys=True).encode())])
        files.sync_directory(partial)
        files.replace(partial, place)
        files.sync_directory(folder)
    except BaseException:
        with contextlib.suppress(OSError):
            # subtle: names whose sync failed may never become durable; they are made anew
            # next time, and so is the folder, which stays if it holds other snapshots
            if name in snapshot_names(files, root):
                files.replace(place, partial)
            _remove_tree(files, partial)
            files.remove_directory(folder)
        raise


def read_note(files: Files, root: Path, name: str, argument: str) -> Note:
    """
    Read what a snapshot says of itself.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        The store.
    name : str
        Checked.
    argument : str
        What brought the name, for errors.

    Returns
    -------
    Note
        Checked against its checksums.

    Raises
    ------
    SnapshotNotFound
        If there is none of this name.
    CorruptData
        If its note or manifest is damaged.
    UnsupportedFormat
        If a newer version wrote it.
    """
    place = place_of(root, name)
    try:
        return _read_note(files, place)
    except (CorruptData, OSError):
        if not _is_directory(files, place):  # it may have gone in between
            raise SnapshotNotFound(name, argument) from None
        raise


def _read_note(files: Files, place: Path) -> Note:
    path = place / NOTE
    existing_size(files, path)
    line = unsealed_line(files.read(path, MAX_LINE_BYTES))
    if line is None:
        raise CorruptData(path, 0, "it does not match its checksum")
    try:
        fields: dict[str, Any] = json.loads(line)
        version = int(fields["format"])
        generation, crc, created_at = (int(fields[key]) for key in _NUMBERS)
    except UNREADABLE as exc:
        raise CorruptData(path, 0, f"it cannot be read: {exc}") from exc
    if version != FORMAT:
        raise UnsupportedFormat(path, version, FORMAT)
    source = place / manifest_name(generation)
    existing_size(files, source)
    data = files.read(source, MAX_MANIFEST_BYTES)
    if zlib.crc32(data) != crc:
        raise CorruptData(source, 0, f"the manifest does not match the checksum in {NOTE}")
    return Note(created_at, parse_manifest(source, data, generation))


_NUMBERS = ("generation", "crc", "created_at")


def describe(files: Files, root: Path, name: str, argument: str) -> SnapshotInfo:
    """
    Measure a snapshot, a damaged one as well.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        The store.
    name : str
        Checked.
    argument : str
        What brought the name, for errors.

    Returns
    -------
    SnapshotInfo
        With the bytes that only it has.

    Raises
    ------
    SnapshotNotFound
        If there is none of this name.
    """
    place, size, own = place_of(root, name), 0, 0
    try:
        note = read_note(files, root, name, argument)
    except (CorruptData, UnsupportedFormat, OSError) as exc:
        note, problem = None, str(exc)
    with contextlib.suppress(OSError):  # it is damaged: count what there is
        for file in files.names(place):
            usage = files.usage(place / file)
            size += usage.size
            own += usage.allocated if usage.links == 1 else 0
    if note is None:
        return SnapshotInfo(name, 0, 0, 0, size, own, problem)
    size = sum(entry.length for entry in note.manifest.files.values())
    seqno, records = note.manifest.seqno, note.manifest.n_live
    return SnapshotInfo(name, note.created_at, seqno, records, size, own)


def delete(files: Files, root: Path, name: str) -> None:
    """
    Remove a snapshot; after a crash it is there as a whole or not at all.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        The store.
    name : str
        Of a snapshot that exists.
    """
    gone = root / FOLDER / f".{name}.deleted"
    _remove_tree(files, gone)
    files.replace(place_of(root, name), gone)
    _remove_tree(files, gone)


def bring_back(
    files: Files, root: Path, name: str, manifest: Manifest, generation: int
) -> dict[str, FileEntry]:
    """
    Give the files of a snapshot names in the store.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        The store.
    name : str
        Of the snapshot.
    manifest : Manifest
        Its manifest, whose files were checked.
    generation : int
        The one that will have them.

    Returns
    -------
    dict
        Roles to entries.
    """
    place, entries = place_of(root, name), {}
    for role, entry in manifest.files.items():
        new = file_name(role, generation)
        if role == "vectors":
            # the store will append to it; the snapshot's own must stay as it is
            blocks = files.blocks(place / entry.name, entry.length)
            files.write_new(root / new, blocks)
        else:
            link_or_copy(files, place / entry.name, root / new, entry.length)
        entries[role] = dataclasses.replace(entry, name=new)
    return entries


def sweep(files: Files, root: Path) -> None:
    """
    Remove what a crash left of snapshots that were being made or deleted.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        The store.
    """
    try:
        names = files.names(root / FOLDER)
    except FileNotFoundError:
        return
    for name in names:
        if _LEFTOVER.fullmatch(name):
            with contextlib.suppress(NotADirectoryError):
                _remove_tree(files, root / FOLDER / name)


def _remove_tree(files: Files, folder: Path) -> None:
    """Remove a directory of files; a missing one is fine."""
    try:
        names = files.names(folder)
    except FileNotFoundError:
        return
    # subtle: first its name of now; else a crash could bring it back half empty under the one
    # that it had before
    files.sync_directory(folder.parent)
    for name in names:
        files.remove(folder / name)
    files.remove_directory(folder)
