"""
A store as one stream of bytes, and back; somebody else may be writing to the store meanwhile.

The archive holds the files of one generation, its logs up to what is known to be durable, the
manifest, and `CURRENT` last. Every byte is compared with its checksum on its way out; on the way in
the store is checked as a whole before it gets its name. Not here: the form of the archive
(`storage.archive`).
"""

import contextlib
import dataclasses
import itertools
import os
import secrets
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from vecstore.config import StoreConfig
from vecstore.engine.recovery import durable_end, logs_after, recover
from vecstore.engine.settings import Wanted
from vecstore.errors import (
    AlreadyExists,
    CorruptData,
    InvalidInput,
    NotAStore,
    SnapshotNotFound,
)
from vecstore.storage.archive import END, Read, pack_header, padding, read_members
from vecstore.storage.checked_copy import copied_file, copied_log
from vecstore.storage.checkpoint import check_generation, holds_store, remove_stale
from vecstore.storage.delivery import delivered
from vecstore.storage.file_names import CURRENT, DRAFT, LOCK, is_own, log_name
from vecstore.storage.files import Files
from vecstore.storage.frames import (
    LOG_HEADER_BYTES,
    MARK,
    LogHeader,
    pack_frame,
    pack_log_header,
)
from vecstore.storage.log_reader import LogReader
from vecstore.storage.manifest import Manifest, current_line, read_current
from vecstore.storage.onlooker import look_again
from vecstore.storage.snapshot import FOLDER, checked_name, place_of, read_note, snapshot_names

_REFUSED = {LOCK, DRAFT, FOLDER}


@dataclasses.dataclass(frozen=True)
class BackupReport:
    """
    What `backup` has written.

    Attributes
    ----------
    seqno : int
        Write calls it contains.
    size_bytes : int
        Bytes of the archive.
    """

    seqno: int
    size_bytes: int


class _Content(NamedTuple):
    """A file to be written: its name, its size, and its bytes."""

    name: str
    size: int
    chunks: Iterator[bytes]


def backup(
    path: str | Path, out: str | Path | IO[bytes], *, snapshot: str | None = None
) -> BackupReport:
    """
    Write a store, as far as it is durable, into one tar archive.

    Parameters
    ----------
    path : path-like
        The store; others may write to it meanwhile.
    out : path-like or binary file
        A file that does not exist yet, which appears once it is whole, or a stream.
    snapshot : str, optional
        Write this snapshot instead, as a store of its own.

    Returns
    -------
    BackupReport
        How much it is. The same state gives the same bytes.

    Raises
    ------
    NotAStore
        If there is no store.
    SnapshotNotFound
        If there is no snapshot of this name.
    AlreadyExists
        If there is a file of the name `out`.
    CorruptData
        If a byte does not match its checksum; a stream has then been cut short.

    Notes
    -----
    It holds what ``mode="r"`` would see: while somebody writes, the newest call is not in it until
    the log says that it is durable, with the next call or after 50 ms of quiet; under
    ``durability="off"``, what the last checkpoint wrote. Snapshots of the store are not in it.

    Examples
    --------
    >>> import tempfile, vecstore
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with vecstore.open(f"{folder}/store") as store:
    ...         store.upsert("a", [1.0, 0.0])
    ...     report = vecstore.backup(f"{folder}/store", f"{folder}/store.tar")
    ...     vecstore.restore_backup(f"{folder}/store.tar", f"{folder}/copy")
    ...     with vecstore.open(f"{folder}/copy") as copy:
    ...         report.seqno, copy.ids()
    (1, ['a'])
    """
    if not isinstance(path, str | os.PathLike):
        raise InvalidInput.of("backup(path)", "a path", path)
    if not (isinstance(out, str | os.PathLike) or hasattr(out, "write")):
        raise InvalidInput.of("backup(out)", "a path or a binary file", out)
    target = Path(out) if isinstance(out, str | os.PathLike) else out
    return write_backup(Files(), Path(path), target, snapshot)


def write_backup(
    files: Files, root: Path, out: Path | IO[bytes], snapshot: str | None
) -> BackupReport:
    """
    Write a store into an archive, over any file system.

    Parameters
    ----------
    files : Files
        The file system, which holds `out` too where that is a path.
    root : Path
        The store.
    out : Path or binary file
        As for `backup`.
    snapshot : str or None
        As for `backup`.

    Returns
    -------
    BackupReport
        As `backup` gives it.
    """
    if isinstance(out, Path):
        _refuse_existing(files, out)
    contents, seqno = _contents(files, root, snapshot)
    size = len(END)

    def _stream() -> Iterator[bytes]:
        nonlocal size
        for content in contents:
            head, tail = pack_header(content.name, content.size), padding(content.size)
            size += len(head) + content.size + len(tail)
            yield head
            yield from content.chunks
            yield tail
        yield END

    if isinstance(out, Path):
        _write_file(files, out, _stream())
    else:
        _write_stream(out, _stream())
    return BackupReport(seqno, size)


def _refuse_existing(files: Files, out: Path) -> None:
    try:
        files.size(out)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        pass
    raise AlreadyExists(str(out), "name a file that does not exist yet")


def _write_file(files: Files, out: Path, chunks: Iterator[bytes]) -> None:
    """Write a file that gets its name once it is whole and durable."""
    # its own, whoever else may be writing a backup of this name
    partial = out.with_name(f"{out.name}.{secrets.token_hex(4)}.partial")
    try:
        files.write_new(partial, chunks)
        files.replace(partial, out)
        files.sync_directory(out.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            files.remove(partial)
        raise


def _write_stream(out: Any, chunks: Iterator[bytes]) -> None:
    for chunk in chunks:
        rest = memoryview(chunk)
        while len(rest) > 0:
            written = out.write(rest)  # a raw stream may take fewer bytes than offered
            rest = rest[written if isinstance(written, int) else len(rest) :]


def _contents(files: Files, root: Path, snapshot: str | None) -> tuple[list[_Content], int]:
    """Open everything that goes into the archive."""
    if not holds_store(files, root):
        raise NotAStore(root, "there is no CURRENT file")
    if snapshot is not None:
        name = checked_name("backup(snapshot)", snapshot)
        manifest = read_note(files, root, name, "backup(snapshot)").manifest
        log = LogHeader(manifest.first_salt, manifest.first_log, manifest.seqno, 0, 0)
        empty = _Content(log_name(log.number), LOG_HEADER_BYTES, iter([pack_log_header(log)]))
        try:
            return _around(files, place_of(root, name), manifest, [empty]), manifest.seqno
        except (CorruptData, FileNotFoundError):
            if name not in snapshot_names(files, root):  # deleted meanwhile
                raise SnapshotNotFound(name, "backup(snapshot)") from None
            raise

    def _look(manifest: Manifest) -> tuple[list[_Content], int]:
        logs, seqno = _logs(files, root, manifest)
        return _around(files, root, manifest, logs), seqno

    return look_again(files, root, _look)


def _around(files: Files, place: Path, manifest: Manifest, logs: list[_Content]) -> list[_Content]:
    """Put the files of a generation before its logs, and what names them all behind."""
    listed = [
        _Content(entry.name, entry.length, copied_file(files, place, manifest, role))
        for role, entry in sorted(manifest.files.items())
    ]
    named = [(manifest.name, manifest.to_bytes()), (CURRENT, current_line(manifest))]
    return [*listed, *logs, *(_Content(name, len(raw), iter([raw])) for name, raw in named)]


def _logs(files: Files, root: Path, manifest: Manifest) -> tuple[list[_Content], int]:
    """Cut the logs to what is durable; the last one ends with a mark that says so."""
    readers: list[LogReader] = []
    for reader, until in logs_after(files, root, manifest):
        limit = max(durable_end(reader), until or 0)
        for _ in reader.calls(limit):
            pass
        reader.check(until or 0)
        readers.append(reader)
    if len(readers) > 1 and readers[-1].end == LOG_HEADER_BYTES:
        readers.pop()  # one without calls may be made anew under its name
    listed = [
        _Content(one.path.name, one.end, copied_log(files, one.path, one.header, one.end))
        for one in readers
    ]
    last = readers[-1]
    if last.end > LOG_HEADER_BYTES:
        mark = pack_frame(last.header.salt, last.seqno, last.end, MARK, 0, 0, b"")
        chunks = itertools.chain(listed[-1].chunks, [mark])
        listed[-1] = _Content(last.path.name, last.end + len(mark), chunks)
    return listed, last.seqno


def restore_backup(source: str | Path | IO[bytes], path: str | Path) -> None:
    """
    Make a store from the archive that `backup` wrote.

    Parameters
    ----------
    source : path-like or binary file
        The archive.
    path : path-like
        Where the store is to be: nothing, or an empty directory. It appears there once it is
        whole, checked and durable; a crash before that leaves nothing of that name.

    Raises
    ------
    AlreadyExists
        If something is at `path`.
    CorruptData
        If the archive is damaged, or holds anything but the files of one whole store.
    UnsupportedFormat
        If a newer version wrote it.

    Examples
    --------
    >>> import io, tempfile, vecstore
    >>> archive = io.BytesIO()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with vecstore.open(f"{folder}/store") as store:
    ...         store.upsert("a", [1.0, 0.0])
    ...     report = vecstore.backup(f"{folder}/store", archive)
    ...     _ = archive.seek(0)
    ...     vecstore.restore_backup(archive, f"{folder}/copy")
    ...     with vecstore.open(f"{folder}/copy") as copy:
    ...         copy.ids()
    ['a']
    """
    if not isinstance(path, str | os.PathLike):
        raise InvalidInput.of("restore_backup(path)", "a path", path)
    files, root = Files(), Path(path)
    if isinstance(source, str | os.PathLike):
        file = Path(source)
        restore_into(files, file, _reading(files.blocks(file, files.size(file))), root)
    elif hasattr(source, "read"):
        restore_into(files, Path(str(getattr(source, "name", "-"))), source.read, root)
    else:
        raise InvalidInput.of("restore_backup(source)", "a path or a binary file", source)


def _reading(chunks: Iterator[bytes]) -> Read:
    """Let an iterator be read like a file."""
    rest = memoryview(b"")

    def _read(most: int) -> bytes:
        nonlocal rest
        rest = rest or memoryview(next(chunks, b""))
        part, rest = rest[:most], rest[most:]
        return bytes(part)

    return _read


def restore_into(files: Files, source: Path, read: Read, root: Path) -> None:
    """
    Make a store from an archive, over any file system.

    Parameters
    ----------
    files : Files
        The file system that takes the store.
    source : Path
        Where the archive comes from, for errors.
    read : callable
        Gives the next bytes of the archive.
    root : Path
        As for `restore_backup`.
    """
    with delivered(files, root, empty_ok=True) as partial:
        places: dict[str, int] = {}
        for member in read_members(source, read):
            if not is_own(member.name) or member.name in _REFUSED:
                text = f"{member.name!r} is no file that a store is made of"
                raise CorruptData(source, member.offset, text)
            if member.name in places:
                raise CorruptData(source, member.offset, f"{member.name} comes a second time")
            places[member.name] = member.offset + tarfile.BLOCKSIZE
            files.write_new(partial / member.name, member.chunks)
        try:
            _check(files, partial)
        except CorruptData as exc:
            # what is to be looked at is the archive; the rest is about to be removed
            at = places.get(exc.path.name, 0) + exc.offset
            raise CorruptData(source, at, f"{exc.path.name}: {exc.reason}") from exc


def _check(files: Files, root: Path) -> None:
    """Make sure that a directory holds one whole store, and nothing else."""
    manifest = read_current(files, root)
    check_generation(files, root, manifest)
    recover(files, root, manifest, Wanted(StoreConfig(), None, None).config_over(root, manifest))
    for failure in remove_stale(files, root, manifest).values():  # it would come with the store
        raise failure
