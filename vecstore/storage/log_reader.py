"""
Reading a log back: its whole calls in order, and the verdict on its end.

Torn or corrupt? Every frame says how much of its log was durable when it was written. Bytes below
the greatest such number were acknowledged, so damage there is corruption; above it, it is the end
of a write that a crash cut short, and is dropped. A reader therefore looks past bad bytes for
later frames. Not here: the bytes (`frames`), writing them (`wal`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vecstore.errors import CorruptData
from vecstore.storage.files import Files
from vecstore.storage.frames import (
    COMMIT,
    FRAME_HEADER_BYTES,
    LOG_HEADER_BYTES,
    MARK,
    MAX_PAYLOAD_BYTES,
    Frame,
    next_candidate,
    parse_frame,
    parse_log_header,
)
from vecstore.storage.layout import existing_size

_WINDOW_BYTES = 16 << 20
_STEP_BYTES = 1 << 16


class Call(NamedTuple):
    """
    One whole call, as read from a log.

    Attributes
    ----------
    seqno : int
        Its number.
    kind : int
        See `frames.CALL_KINDS`.
    payload : bytes
        Its byte stream.
    offset, end : int
        Where its first frame begins, and the place behind its last.
    """

    seqno: int
    kind: int
    payload: bytes
    offset: int
    end: int


class LogReader:
    """
    Reads a log: its whole calls in order, and then whether its end is sound.

    Parameters
    ----------
    files : Files
        The file system.
    path : Path
        The log.
    number : int
        The one in its name.

    Attributes
    ----------
    header : LogHeader
        As parsed.
    seqno : int
        Of the last whole call read, or before the log.
    end : int
        Behind the last whole call or mark.
    stop : int
        The first byte that belongs to no valid frame; valid frames of an unfinished call may
        lie between `end` and here.
    synced : int
        The greatest offset that a frame calls durable, once the calls have been read.
    torn_bytes : int
        Bytes behind `end` that are not zero, up to the last of them.

    Raises
    ------
    CorruptData
        If the file is missing or its header damaged.
    UnsupportedFormat
        If a newer version wrote it.
    """

    def __init__(self, files: Files, path: Path, number: int) -> None:
        existing_size(files, path)
        self._files = files
        self.path = path
        self._at = 0
        self._raw = memoryview(b"")
        self.header = parse_log_header(path, bytes(self._look(0)[:LOG_HEADER_BYTES]), number)
        self.seqno = self.header.seqno
        self.end = self.stop = self.synced = LOG_HEADER_BYTES
        self.torn_bytes = 0

    def again(self) -> "LogReader":
        """
        Read the log anew, from the place reached so far.

        Returns
        -------
        LogReader
            Which finds what was written since this one looked.
        """
        other = LogReader(self._files, self.path, self.header.number)
        other.end = other.stop = other.synced = self.end
        other.seqno = self.seqno
        return other

    def calls(self, limit: int | None = None) -> Iterator[Call]:
        """
        Read the whole calls from the place reached so far; damage behind them is looked at last.

        Parameters
        ----------
        limit : int or None
            Stop before a call that ends behind this offset.

        Yields
        ------
        Call
            The next one.

        Raises
        ------
        CorruptData
            After the last whole call, if bytes behind it were durable once.
        """
        parts: list[Frame] = []
        at, pieces = self.end, []
        # subtle: whoever gives a limit has looked at newer bytes than those that are kept here
        self._raw = memoryview(b"")
        while True:
            raw = self._look(at)
            frame = parse_frame(raw, at, self.header.salt)
            if frame is None or not self._follows(frame, parts):
                break
            if limit is not None and frame.end > limit:
                return
            self.synced = max(self.synced, frame.synced)
            at = frame.end
            if frame.kind == MARK:
                self.end = at
                continue
            parts.append(frame)
            pieces.append(bytes(raw[FRAME_HEADER_BYTES : at - frame.offset]))
            if frame.flags & COMMIT:
                call = Call(frame.seqno, frame.kind, b"".join(pieces), parts[0].offset, at)
                self.seqno, self.end = frame.seqno, at
                parts, pieces = [], []
                yield call
        self.stop = at
        self._search(at)
        self.check(self.synced)

    def check(self, durable: int) -> None:
        """
        Make sure that everything below an offset was read, once the calls have been.

        Parameters
        ----------
        durable : int
            Where the durable bytes end.

        Raises
        ------
        CorruptData
            If a byte below it belongs to no whole call.
        """
        if self.end < durable:
            reason = f"no frame follows here, though the log was durable up to byte {durable}"
            raise CorruptData(self.path, self.stop, reason)

    def _follows(self, frame: Frame, parts: list[Frame]) -> bool:
        if frame.kind == MARK:
            alone = frame.flags == frame.part == frame.length == 0
            return alone and not parts and frame.seqno == self.seqno
        same = not parts or frame.kind == parts[0].kind
        return same and (frame.seqno, frame.part) == (self.seqno + 1, len(parts))

    def _search(self, at: int) -> None:
        """Look for valid frames behind a bad place, and for the last byte that is not zero."""
        last = at - 1
        while len(raw := self._look(at)) > 0:
            frame = parse_frame(raw, at, self.header.salt)
            if frame is not None:
                self.synced = max(self.synced, frame.synced)
                at, last = frame.end, frame.end - 1
                continue
            step = next_candidate(raw[:_STEP_BYTES], self.header.salt)
            content = bytes(raw[:step]).rstrip(b"\0")
            last = at + len(content) - 1 if content else last
            at += step
        self.torn_bytes = last + 1 - self.end

    def _look(self, at: int) -> memoryview:
        """Give the bytes from an offset on: a whole frame at least, where the log has that many."""
        begin = at - self._at
        if not 0 <= begin <= len(self._raw) - FRAME_HEADER_BYTES - MAX_PAYLOAD_BYTES:
            whole = len(self._raw) < _WINDOW_BYTES and 0 <= begin <= len(self._raw) and self._raw
            if not whole:
                self._raw = memoryview(self._files.read(self.path, _WINDOW_BYTES, at))
                self._at, begin = at, 0
        return self._raw[begin:]
