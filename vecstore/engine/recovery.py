"""
Opening a store: the generation that `CURRENT` names, and the calls of the logs after it.

Calls are replayed through the same `apply` that carried them out. A last log to which no call was
sent is dropped: the one before goes on. Everything else that does not fit is `CorruptData`.
Not here: what is torn and what is corrupt (`storage.log_reader`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vecstore.config import StoreConfig
from vecstore.engine.changes import apply
from vecstore.engine.encoding import decode
from vecstore.engine.generation import open_table
from vecstore.engine.records import Appended, joined
from vecstore.engine.table import Table
from vecstore.errors import CorruptData
from vecstore.storage.file_names import log_name, log_number
from vecstore.storage.files import READ_BYTES, Files
from vecstore.storage.frames import FRAME_HEADER_BYTES, LOG_HEADER_BYTES
from vecstore.storage.layout import UNREADABLE, existing_size
from vecstore.storage.log_reader import LogReader
from vecstore.storage.manifest import Manifest
from vecstore.storage.wal import Log

_TOGETHER_BYTES = 4 << 20


class Recovery(NamedTuple):
    """
    A store as it was found.

    Attributes
    ----------
    table : Table
        With every call replayed.
    last : LogReader
        The log that goes on.
    bytes_before : int
        Bytes of the logs before it.
    """

    table: Table
    last: LogReader
    bytes_before: int


def recover(
    files: Files, root: Path, manifest: Manifest, config: StoreConfig, *, durable_only: bool = False
) -> Recovery:
    """
    Bring a store back.

    Parameters
    ----------
    files : Files
        The file system; nothing is written.
    root : Path
        The store.
    manifest : Manifest
        The current one.
    config : StoreConfig
        The handle's, agreeing with the manifest.
    durable_only : bool
        Leave out the calls that are not known to be durable: a writer may still take them back.

    Returns
    -------
    Recovery
        Whose torn end, if there is one, is still there.

    Raises
    ------
    CorruptData
        If a file is missing or damaged.
    """
    table = open_table(files, root, manifest, config)
    bytes_before, reader = 0, None
    for following, until in logs_after(files, root, manifest):
        bytes_before += reader.end - LOG_HEADER_BYTES if reader is not None else 0
        reader = following
        limit = max(durable_end(reader), until or 0) if durable_only else None
        replay(table, reader, limit)
        reader.check(until or 0)
    assert reader is not None
    return Recovery(table, reader, bytes_before)


def logs_after(
    files: Files, root: Path, manifest: Manifest
) -> Iterator[tuple[LogReader, int | None]]:
    """
    Go through the logs that follow a generation; each must be read to its end before the next.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        The store.
    manifest : Manifest
        The generation.

    Yields
    ------
    reader, durable
        A log, and up to where it must be whole because another follows; None for the last.

    Raises
    ------
    CorruptData
        If a log is missing, damaged, or does not follow the one before.
    """
    first = manifest.first_log
    numbers = sorted(n for n in map(log_number, files.names(root)) if n >= first)
    if not numbers or numbers[0] != first:
        raise CorruptData(root / log_name(first), 0, "the file is missing")
    reader: LogReader | None = LogReader(files, root / log_name(first), first)
    assert reader is not None
    if (reader.header.salt, reader.header.seqno) != (manifest.first_salt, manifest.seqno):
        raise CorruptData(reader.path, 16, f"this is not the log that {manifest.name} names")
    for place, number in enumerate(numbers[1:], 1):
        if number != numbers[place - 1] + 1:
            raise CorruptData(root / log_name(number - 1), 0, "the file is missing")
        following = _begun(files, root / log_name(number), number)
        last = place + 1 == len(numbers)
        if following is None and last:
            break  # a crash cut its creation short
        if following is None:
            raise CorruptData(root / log_name(number), 0, "the log is empty, but others follow")
        header = following.header
        if header.salt_before != reader.header.salt:
            raise CorruptData(following.path, 48, f"this log does not follow {reader.path.name}")
        yield reader, header.before
        if last and files.size(following.path) <= LOG_HEADER_BYTES:
            # subtle: also where it would fit; its name may be in the cache only, for good, and
            # what is written to it next would be lost with it
            reader = None
            break
        if (header.seqno, header.before) != (reader.seqno, reader.end):
            raise CorruptData(following.path, 32, "calls are missing before this log")
        reader = following
    if reader is not None:
        yield reader, None


def _begun(files: Files, path: Path, number: int) -> LogReader | None:
    """Open a log that may be cut short before its header."""
    try:
        return LogReader(files, path, number)
    except CorruptData:
        # no call is sent to a log before its header is durable
        if existing_size(files, path) <= LOG_HEADER_BYTES:
            return None
        raise


def durable_end(reader: LogReader) -> int:
    """
    Find out how much of a log is known to be durable.

    Parameters
    ----------
    reader : LogReader
        At its beginning, where it stays.

    Returns
    -------
    int
        The offset behind the last durable byte.
    """
    ahead = reader.again()
    for _ in ahead.calls():
        pass
    return ahead.synced


def replay(table: Table, reader: LogReader, limit: int | None = None) -> None:
    """
    Carry the calls of a log out again.

    Parameters
    ----------
    table : Table
        As it was before them; not to be used if this raises.
    reader : LogReader
        The log.
    limit : int or None
        Leave out the calls that end behind this offset.

    Raises
    ------
    CorruptData
        If a call cannot have been made, or the log is damaged.
    """
    waiting: list[Appended] = []
    n_bytes = 0
    for call in reader.calls(limit):
        try:
            for change in decode(call.payload):
                # upserts in a row are the same as one large one, and much quicker
                if isinstance(change, Appended):
                    waiting.append(change)
                    n_bytes += len(call.payload)
                if not isinstance(change, Appended) or n_bytes >= _TOGETHER_BYTES:
                    waiting, n_bytes = _apply_waiting(table, waiting), 0
                if not isinstance(change, Appended):
                    apply(table, [change])
        except UNREADABLE as exc:
            raise CorruptData(reader.path, call.offset, f"no such call was made: {exc}") from exc
        table.seqno = call.seqno
    try:
        _apply_waiting(table, waiting)
    except UNREADABLE as exc:
        raise CorruptData(reader.path, reader.end, f"no such call was made: {exc}") from exc


def _apply_waiting(table: Table, waiting: list[Appended]) -> list[Appended]:
    if waiting:
        apply(table, [joined(waiting)])
    return []


def resume(files: Files, root: Path, found: Recovery, *, doubtful: bool) -> Log:
    """
    Make a recovered log ready to be written to: its torn end goes, the rest is durable.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        The store.
    found : Recovery
        The store.
    doubtful : bool
        Whether a sync may have failed since the system was started, as `Lock` has it.

    Returns
    -------
    Log
        Which goes on where the last whole call ends.

    Raises
    ------
    OSError
        If the system refuses.
    """
    reader = found.last
    for name in files.names(root):
        if log_number(name) > reader.header.number:
            files.remove(root / name)
    file = files.open(reader.path)
    try:
        if files.size(reader.path) > reader.end:
            file.resize(reader.end)
        # subtle: after a failed fsync the system may call pages clean that never reached the
        # medium, so what is not known to be durable is written again, not only synced again
        for at in range(reader.synced if doubtful else reader.end, reader.end, READ_BYTES):
            most = min(READ_BYTES, reader.end - at)
            file.write(at, [files.read(reader.path, most, at)])
        # subtle: before anything is appended; else a crash could bring the torn end back behind it
        file.sync()
    except BaseException:
        file.close()
        raise
    log = Log(file, reader.header, reader.end, reader.seqno)
    # a mark at the end, or no call at all, says of everything that it is durable
    told = reader.synced + FRAME_HEADER_BYTES >= reader.end
    log.told = reader.end if told else 0
    return log
