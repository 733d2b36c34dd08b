"""
The write-ahead log: appending calls to it, and reading them back after a crash.

A call is acknowledged once its frames are durable; whatever else is on disk can be made anew from
the last generation and the calls after it. Not here: the bytes (`frames`), what a call means
(`engine.encoding`), who waits for whom (`engine.journal`).

Torn or corrupt? Every frame says how much of its log was durable when it was written. Bytes below
the greatest such number were acknowledged, so damage there is corruption; above it, it is the end
of a write that a crash cut short, and is dropped.
"""

import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from vecstore.errors import CorruptData
from vecstore.storage.files import Buffer, Files, OpenFile
from vecstore.storage.frames import (
    COMMIT,
    FRAME_HEADER_BYTES,
    LOG_HEADER_BYTES,
    MARK,
    MAX_PAYLOAD_BYTES,
    Frame,
    LogHeader,
    next_candidate,
    pack_frame,
    pack_log_header,
    parse_frame,
    parse_log_header,
)
from vecstore.storage.manifest import log_name

PREPARED_BYTES = 1 << 20
_SMALL_BYTES = 1 << 18
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


class Log:
    """
    A log that is being written; the caller sees to it that appending happens one at a time.

    Parameters
    ----------
    file : OpenFile
        The log, open.
    header : LogHeader
        Its header.
    end : int
        Where the next frame goes; everything before it is durable.
    seqno : int
        Of the last call in it, or before it.

    Attributes
    ----------
    synced : int
        Offset known to be durable; set by who syncs.
    epoch : int
        Counts how often frames were taken back, so that a sync that ran meanwhile is not believed.
    """

    def __init__(self, file: OpenFile, header: LogHeader, end: int, seqno: int) -> None:
        self.file = file
        self.header = header
        self.end = end
        self.seqno = seqno
        self.synced = end
        self.epoch = 0
        self._told = 0
        self._room = end
        self._uncut = False

    @classmethod
    def create(cls, files: Files, root: Path, number: int, seqno: int, before: int) -> Self:
        """
        Begin a log; it and its name are durable.

        Parameters
        ----------
        files : Files
            The file system.
        root : Path
            The store.
        number : int
            Of the log; a file of that name is replaced.
        seqno : int
            Of the last call before it.
        before : int
            Length of the log before it, all of it durable; 0 where that does not matter.

        Returns
        -------
        Log
            Without frames.
        """
        header = LogHeader(_new_salt(), number, seqno, before)
        file = files.open(root / log_name(number), create=True)
        try:
            file.write(0, [pack_log_header(header)])
            file.sync()
            files.sync_directory(root)
        except BaseException:
            file.close()
            raise
        return cls(file, header, LOG_HEADER_BYTES, seqno)

    @property
    def number(self) -> int:
        """Of the log."""
        return self.header.number

    def append(self, seqno: int, kind: int, chunks: Sequence[Buffer], *, prepare: bool) -> None:
        """
        Write a call behind the last; all of its frames or none.

        Parameters
        ----------
        seqno : int
            Its number, one more than the last.
        kind : int
            See `frames.CALL_KINDS`.
        chunks : sequence of bytes-like
            Its byte stream.
        prepare : bool
            Write zeros ahead of small calls: to sync bytes inside of a file is half the work of
            syncing a file that grew.

        Raises
        ------
        OSError
            If the system refuses; the log is as it was.
        """
        self._write(seqno, kind, chunks, prepare)
        self.seqno = seqno

    def mark(self) -> None:
        """Note in the log how much of it is durable, where its frames do not say so yet."""
        if self.synced == self.end and self._told < self.synced:
            self._write(self.seqno, MARK, [b""], False)
            # subtle: the mark itself need not be durable, nor told of by another mark
            self._told = self.end

    def _write(self, seqno: int, kind: int, chunks: Sequence[Buffer], prepare: bool) -> None:
        if self._uncut:
            self.take_back(self.end, self.seqno)
        begin = at = self.end
        try:
            size = sum(len(chunk) for chunk in chunks)
            if prepare and size < _SMALL_BYTES and begin + FRAME_HEADER_BYTES + size > self._room:
                self.file.write(begin, [bytes(PREPARED_BYTES)])
                self._room = begin + PREPARED_BYTES
            last = max(0, size - 1) // MAX_PAYLOAD_BYTES
            salt = self.header.salt
            for part, payload in enumerate(_parts(chunks)):
                flags = COMMIT if part == last and kind != MARK else 0
                head = pack_frame(salt, seqno, self.synced, kind, flags, part, payload)
                self.file.write(at, [head + payload])
                at += len(head) + len(payload)
        except BaseException:
            self.take_back(begin, self.seqno, best_effort=True)
            raise
        self._told = self.synced
        self.end = at
        self._room = max(self._room, at)

    def take_back(self, end: int, seqno: int, *, best_effort: bool = False) -> None:
        """
        Forget the frames from a place on, as if they had never been written.

        Parameters
        ----------
        end : int
            Where the log ends again.
        seqno : int
            Of the last call before that.
        best_effort : bool
            Leave a refusal of the system to the next attempt, which comes before the next frame.

        Raises
        ------
        OSError
            If the system refuses.
        """
        self._uncut = True
        self.epoch += 1
        self.end, self.seqno = end, seqno
        self.synced = min(self.synced, end)
        self._room, self._told = end, min(self._told, end)
        try:
            self.file.resize(end)
        except OSError:
            if not best_effort:
                raise
        else:
            self._uncut = False

    def trim(self) -> None:
        """Cut off the prepared room, before the log is left alone."""
        if self._room > self.end:
            self.file.resize(self.end)
            self._room = self.end

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        self.file.close()


def _new_salt() -> int:
    # no zero bytes: prepared room must not look like the salt of frames
    return secrets.randbits(32) | 0x01010101


def _parts(chunks: Sequence[Buffer]) -> Iterator[bytes]:
    """Cut a byte stream into payloads."""
    if sum(len(chunk) for chunk in chunks) <= MAX_PAYLOAD_BYTES:
        yield b"".join(chunks)
        return
    part = bytearray()
    for chunk in chunks:
        rest = memoryview(chunk).cast("B")
        while len(rest) > 0:
            if len(part) == MAX_PAYLOAD_BYTES:
                yield bytes(part)
                part = bytearray()
            taken = MAX_PAYLOAD_BYTES - len(part)
            part += rest[:taken]
            rest = rest[taken:]
    yield bytes(part)


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
        If the header is damaged.
    UnsupportedFormat
        If a newer version wrote it.
    """

    def __init__(self, files: Files, path: Path, number: int) -> None:
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
