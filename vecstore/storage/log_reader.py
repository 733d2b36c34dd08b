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
    Frame,
    parse_frame,
    parse_log_header,
)
from vecstore.storage.layout import existing_size
from vecstore.storage.log_window import LogWindow


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
        Where reading ended: the limit, or the first byte that belongs to no valid frame. Valid
        frames of an unfinished call may lie between `end` and here.
    synced : int
        The greatest offset that a frame calls durable, among those that were read.
    torn_bytes : int
        Bytes behind `end` that are not zero, up to the last of them; 0 before all was read.

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
        self._window = LogWindow(lambda most, offset: files.read(path, most, offset))
        self.header = parse_log_header(path, files.read(path, LOG_HEADER_BYTES), number)
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
            Stop before a call that ends behind this offset; what lies behind it is not judged.

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
        self._window.forget()
        while limit is None or at < limit:
            raw = self._window.look(at)
            frame = parse_frame(raw, at, self.header.salt)
            if frame is None or not self._follows(frame, parts):
                self._judge_end(at)
                return
            if limit is not None and frame.end > limit:
                break
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

    def _judge_end(self, at: int) -> None:
        """Look past the first bad place for frames that tell how much was durable."""
        self.stop = at
        while True:
            frame, content, _ = self._window.find_frame(at, self.header.salt)
            if frame is None:
                break
            self.synced = max(self.synced, frame.synced)
            at = frame.end
        self.torn_bytes = content - self.end
        self.check(self.synced)
