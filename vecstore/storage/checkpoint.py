"""
Writing a generation to disk, and mapping it back.

A checkpoint appends the new rows to the rows file, writes the other files anew and syncs them; only
then `manifest.swap` replaces `CURRENT`, so a crash before that leaves the old generation as it
was. Afterwards the files that no manifest names are removed. Not here: what slots, ids and
metadata mean (`engine`).
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecstore.errors import CorruptData, NotAStore
from vecstore.storage.checksums import BLOCK_BYTES, BlockChecksums, check_blocks
from vecstore.storage.file_names import CURRENT, LOCK, file_name, is_own, log_name, log_number
from vecstore.storage.files import Buffer, Files
from vecstore.storage.frames import LOG_HEADER_BYTES
from vecstore.storage.layout import (
    Kind,
    check_rows_header,
    check_sections,
    existing_size,
    open_sections,
    rows_header,
    write_sections,
)
from vecstore.storage.manifest import FileEntry, Manifest
from vecstore.storage.rows import HEADER_BYTES

SECTION_KINDS = {
    "hnsw_index": Kind.GRAPH,
    "metadata": Kind.METADATA,
    "ids": Kind.IDS,
    "checksums": Kind.CHECKSUMS,
}


class RowsContent(NamedTuple):
    """
    The rows of a generation.

    Attributes
    ----------
    array : float32[n, stride]
        All of them.
    file : str or None
        The rows file that holds the first `on_disk` already; None to begin a new one.
    on_disk : int
        Rows that need not be written.
    sums : uint32[blocks]
        Checksums of the blocks of `file`, up to those rows.
    """

    array: NDArray[np.float32]
    file: str | None
    on_disk: int
    sums: NDArray[np.uint32]


class Content(NamedTuple):
    """
    What is new in a generation, beside its manifest.

    Attributes
    ----------
    rows : RowsContent or None
        None where the rows are those of the generation before.
    sections : dict
        Roles `hnsw_index`, `metadata` and `ids`, or some of them, to named arrays.
    """

    rows: RowsContent | None
    sections: dict[str, dict[str, NDArray[Any]]]


def holds_store(files: Files, root: Path) -> bool:
    """
    Look whether a directory holds a store, or may become one.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        What the user named.

    Returns
    -------
    bool
        True for a store, False for a missing or empty directory, or one in which a creation was
        cut short.

    Raises
    ------
    NotAStore
        If it is a file, or a directory with other people's files.
    CorruptData
        If it holds files of a store but no `CURRENT`.
    """
    try:
        names = files.names(root)
        if CURRENT not in names and _exists(files, root / CURRENT):
            names.append(CURRENT)  # a listing may miss a name that is being replaced
    except FileNotFoundError:
        return False
    except NotADirectoryError:
        raise NotAStore(root, "it is a file, a store is a directory") from None
    theirs = any(not is_own(name) for name in names)
    ours = any(is_own(name) and name not in (LOCK, CURRENT, "snapshots") for name in names)
    if CURRENT in names and theirs and not ours:
        raise NotAStore(root, "the directory holds other files")  # LevelDB has a CURRENT too
    if CURRENT in names:
        return True
    begun = {LOCK, "CURRENT.tmp", "manifest-000001.json", log_name(1)}
    called = log_name(1) in names and existing_size(files, root / log_name(1)) > LOG_HEADER_BYTES
    if called or any(is_own(name) and name not in begun for name in names):
        raise CorruptData(root / CURRENT, 0, "the file is missing")
    if theirs:
        raise NotAStore(root, "the directory holds other files and no CURRENT")
    return False


def _exists(files: Files, path: Path) -> bool:
    try:
        files.size(path)
    except FileNotFoundError:
        return False
    except IsADirectoryError:
        return True
    return True


def write_files(files: Files, root: Path, manifest: Manifest, content: Content | None) -> Manifest:
    """
    Write the files of a generation; `manifest.swap` makes it the current one.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        The store.
    manifest : Manifest
        Its `files` are those that the generation shares with the one before.
    content : Content or None
        None where no file is to be written.

    Returns
    -------
    Manifest
        With all its files, which are durable; their names are not yet.
    """
    entries = dict(manifest.files)
    if content is not None:
        sections = dict(content.sections)
        if content.rows is not None:
            rows = content.rows
            name, sums = _write_rows(files, root, manifest.generation, rows)
            entries["vectors"] = FileEntry(name, HEADER_BYTES + rows.array.nbytes, 0)
            sections["checksums"] = {"vectors": sums}
        for role, arrays in sections.items():
            name = file_name(role, manifest.generation)
            length = write_sections(files, root / name, SECTION_KINDS[role], arrays)
            entries[role] = FileEntry(name, length, _seal(files, root / name, length))
    return dataclasses.replace(manifest, files=entries)


def remove_stale(files: Files, root: Path, manifest: Manifest) -> dict[str, OSError]:
    """
    Remove files that the current manifest does not name, and rows behind those it counts.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        The store.
    manifest : Manifest
        The current one, durable.

    Returns
    -------
    dict
        Names of files that are still there, to the reason. Logs after the manifest count as named.
    """
    kept = {LOCK, CURRENT, manifest.name, "snapshots"}
    kept |= {entry.name for entry in manifest.files.values()}
    left = {}
    for name in files.names(root):
        if is_own(name) and name not in kept and not log_number(name) >= manifest.first_log:
            try:
                files.remove(root / name)
            except OSError as exc:
                left[name] = exc
    rows = manifest.files.get("vectors")
    if rows is not None and files.size(root / rows.name) > rows.length:
        # nobody has mapped them: what is mapped, a manifest names
        with contextlib.closing(files.open(root / rows.name)) as file:
            file.resize(rows.length)
    return left


def open_generation(
    files: Files, root: Path, manifest: Manifest
) -> dict[str, dict[str, NDArray[Any]]]:
    """
    Map the section files of a generation and check headers and lengths of all.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        The store.
    manifest : Manifest
        The current one.

    Returns
    -------
    dict
        Roles to named arrays.

    Raises
    ------
    CorruptData
        If a file is missing, foreign, or of another length.
    """
    opened = {role: _open_file(files, root, manifest, role) for role in manifest.files}
    opened.pop("vectors", None)  # mapped by the rows themselves
    return opened


def _open_file(files: Files, root: Path, manifest: Manifest, role: str) -> dict[str, NDArray[Any]]:
    """Check header, length and seal of one file; map it if it is a section file."""
    entry = manifest.files[role]
    path = root / entry.name
    if role == "vectors":
        check_rows_header(files, path, entry.length)
        return {}
    arrays = open_sections(files, path, SECTION_KINDS[role])
    size = files.size(path)
    if size != entry.length or _seal(files, path, size) != entry.seal:
        raise CorruptData(path, size - 4, "this is not the file the manifest names")
    return arrays


def check_generation(files: Files, root: Path, manifest: Manifest) -> None:
    """
    Compare every byte that a manifest names with its checksums.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        The store.
    manifest : Manifest
        One that `open_generation` accepts.

    Raises
    ------
    CorruptData
        With file and offset of the first damage.
    """
    for role in manifest.files:
        check_file(files, root, manifest, role)


def check_file(files: Files, root: Path, manifest: Manifest, role: str) -> None:
    """
    Check that one file is the one the manifest names, and compare every byte with its checksums.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        The store.
    manifest : Manifest
        One that names the file.
    role : str
        Which file.

    Raises
    ------
    CorruptData
        With file and offset of the first damage.
    """
    entry = manifest.files[role]
    _open_file(files, root, manifest, role)
    if role != "vectors":
        check_sections(files, root / entry.name)
        return
    check_blocks(files, root / entry.name, entry.length, rows_sums(files, root, manifest))


def rows_sums(files: Files, root: Path, manifest: Manifest) -> NDArray[np.uint32]:
    """
    Map the checksums of the rows.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        The store.
    manifest : Manifest
        One that names them.

    Returns
    -------
    uint32[blocks]
        As many as the rows file has blocks.

    Raises
    ------
    CorruptData
        If the file holds none, or another number of them.
    """
    path = root / manifest.files["checksums"].name
    sums = _open_file(files, root, manifest, "checksums").get("vectors")
    blocks = -(-manifest.files["vectors"].length // BLOCK_BYTES)
    if sums is None or sums.dtype != np.uint32 or sums.shape != (blocks,):
        raise CorruptData(path, 0, "it does not hold the checksums of the vectors")
    return sums


def _write_rows(
    files: Files, root: Path, generation: int, rows: RowsContent
) -> tuple[str, NDArray[np.uint32]]:
    """Append the new rows; return the file's name and the checksums of its blocks."""
    raw = rows.array.reshape(-1).view(np.uint8).data
    if rows.file is None:
        name = file_name("vectors", generation)
        files.write_new(root / name, _pieces(rows_header(), raw))
        sums = BlockChecksums()
        sums.update(rows_header())
        sums.update(raw)
        return name, sums.finish()
    done = rows.on_disk * rows.array.shape[1] * 4
    files.write_at(root / rows.file, HEADER_BYTES + done, _pieces(raw[done:]))
    # what was there before keeps its checksums, unread: damage to it cannot become sound here
    sums = BlockChecksums(rows.sums, HEADER_BYTES + done)
    sums.update(raw[done:])
    return rows.file, sums.finish()


def _pieces(*buffers: Buffer) -> Iterator[Buffer]:
    for buffer in buffers:
        for at in range(0, len(buffer), BLOCK_BYTES):
            yield buffer[at : at + BLOCK_BYTES]


def _seal(files: Files, path: Path, length: int) -> int:
    return int.from_bytes(files.read(path, 4, length - 4), "little")
