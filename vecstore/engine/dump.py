"""
The logs of a store as plain data, line by line, whatever is in them: for people who look.

Memory stays bounded: of a call that takes several frames, the operations are told as far as the
first frame holds them. Not here: the walk through the bytes (`storage.log_scan`), printing (`cli`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack

from vecstore.engine.chunks import UNSET
from vecstore.engine.encoding import DELETE, DESCRIBE, EXPIRY, RESTORE, SWEEP, UPSERT
from vecstore.errors import CorruptData, NotAStore
from vecstore.storage.file_names import log_number
from vecstore.storage.files import Files
from vecstore.storage.frames import CALL_KINDS, COMMIT, MARK
from vecstore.storage.layout import UNREADABLE
from vecstore.storage.log_scan import LogScan, Piece

_SHOWN = 4
_VERBS = {
    UPSERT: "upsert",
    DELETE: "delete",
    RESTORE: "restore",
    DESCRIBE: "update_metadata",
    EXPIRY: "set_ttl",
    SWEEP: "expire",
}
Fact = dict[str, Any]


def dump(files: Files, path: Path) -> Iterator[Fact]:
    """
    Describe every log of a store, or one log.

    Parameters
    ----------
    files : Files
        The file system; nothing is written.
    path : Path
        A store, or a log file.

    Yields
    ------
    dict
        One for each log, and then one for each piece of it, in order.

    Raises
    ------
    NotAStore
        If there is no log.
    UnsupportedFormat
        If a newer version wrote one.
    """
    try:
        paths = [path / name for name in files.names(path) if log_number(name)]
    except NotADirectoryError:
        paths = [path]
    except FileNotFoundError:
        raise NotAStore(path, "there is nothing of this name") from None
    if not paths:
        raise NotAStore(path, "there is no log")
    for log in sorted(paths, key=lambda log: log_number(log.name)):
        yield from _dump_log(files, log)


def _dump_log(files: Files, path: Path) -> Iterator[Fact]:
    named = {"log": path.name}
    try:
        scan = LogScan(files, path)
    except CorruptData as exc:
        yield {**named, "what": "log", "problem": exc.reason}
        return
    header = scan.header._asdict() if scan.header is not None else None
    problem = scan.problem.reason if scan.problem is not None else None
    durable = {"size": scan.size, "durable": scan.durable}
    yield {**named, "what": "log", **durable, "header": header, "problem": problem}
    for piece in scan.pieces():
        yield {**named, **_fact(piece, scan)}


def _fact(piece: Piece, scan: LogScan) -> Fact:
    """Describe a piece: a frame, or bytes that were damaged, torn, or never written."""
    below = piece.offset < scan.durable
    fact: Fact = {"what": "frame", "offset": piece.offset, "size": piece.length}
    state = "sound" if piece.sound else "damaged" if below else "torn"
    frame = piece.frame
    if frame is None:
        what = state if not piece.zeros or below else "room"
        return {**fact, "what": what, "zeros": piece.zeros}
    checks = {"salt_ok": piece.salt_ok, "crc_ok": piece.crc_ok, "state": state}
    named = {
        "kind": CALL_KINDS.get(frame.kind, str(frame.kind)),
        "commit": frame.flags & COMMIT > 0,
    }
    fact |= {**frame._asdict(), **named, **checks}
    if piece.sound and frame.part == 0 and frame.kind != MARK:
        fact["operations"] = told(piece.payload)
    return fact


def told(payload: bytes) -> list[str]:
    """
    Name the operations of a call.

    Parameters
    ----------
    payload : bytes
        Of its first frame, which need not be all of it.

    Returns
    -------
    list of str
        One for each operation that begins in there; what is no operation is said to be none.
    """
    unpacker = msgpack.Unpacker(max_buffer_size=max(1, len(payload)), strict_map_key=True)
    unpacker.feed(payload)
    texts: list[str] = []
    try:
        for _ in range(unpacker.read_array_header()):
            texts.append("")
            for text in _operation(unpacker):
                texts[-1] = text
    except msgpack.OutOfData:
        texts.append("the rest is in the next frames")
    except (*UNREADABLE, msgpack.UnpackException) as exc:
        texts.append(f"no operation: {exc}")
    return [text for text in texts if text]


def _operation(unpacker: Any) -> Iterator[str]:
    """Say more and more of an operation, as it is read."""
    fields, code = unpacker.read_array_header() - 1, unpacker.unpack()
    verb = _VERBS.get(code, f"operation {code!r}")
    yield verb
    if code == UPSERT:
        count = unpacker.read_array_header()
        verb = f"{verb} of {count:,} record{'s' * (count != 1)}"
        yield verb
        ids = [unpacker.unpack() for _ in range(min(count, _SHOWN))]
        verb = f"{verb}: {', '.join(map(repr, ids))}{', …' * (count > _SHOWN)}"
        yield verb
        for _ in range(count - len(ids)):
            unpacker.skip()
        yield f"{verb}; dim {unpacker.unpack()}"
        fields -= 2
    elif code == SWEEP:
        yield f"{verb} of {len(unpacker.unpack()) // 8:,} slots"
        fields -= 1
    else:
        verb = f"{verb} {unpacker.unpack()!r}"
        yield verb
        fields -= 1
        if code == DELETE:
            soft = unpacker.unpack() != UNSET
            yield f"{verb}, softly" if soft else verb
            fields -= 1
    for _ in range(fields):
        unpacker.skip()
