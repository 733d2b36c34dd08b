"""
Every byte of a log, sound or not: frames, zeros, and what is neither.

Nothing is refused here: a damaged header is told, a frame that cannot be trusted is shown as far
as it can be read, and the walk goes on at the next sound one. Memory stays bounded. Not here: which
calls count when a store is opened (`log_reader`), and when it is repaired (`engine.log_remains`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vecstore.errors import CorruptData
from vecstore.storage.evidence import read_patiently
from vecstore.storage.file_names import log_number
from vecstore.storage.files import Files
from vecstore.storage.frames import (
    FRAME_HEADER_BYTES,
    LOG_HEADER_BYTES,
    MAX_PAYLOAD_BYTES,
    Frame,
    LogHeader,
    claimed_frame,
    claimed_numbers,
    parse_log_header,
)
from vecstore.storage.layout import existing_size
from vecstore.storage.log_window import LogWindow

_NO_SALT = 1


class Piece(NamedTuple):
    """
    Some bytes of a log.

    Attributes
    ----------
    offset, length : int
        Where they lie.
    frame : Frame or None
        What they say they are; None for other bytes.
    sound : bool
        Whether the frame can be trusted.
    salt_ok, crc_ok : bool
        What speaks for the frame.
    zeros : bool
        Whether they are all zero.
    payload : bytes
        Of a sound frame.
    """

    offset: int
    length: int
    frame: Frame | None = None
    sound: bool = False
    salt_ok: bool = False
    crc_ok: bool = False
    zeros: bool = False
    payload: bytes = b""


class LogScan:
    """
    A log, read from its beginning to its end whatever is in it.

    Parameters
    ----------
    files : Files
        The file system.
    path : Path
        The log.
    salt : int, optional
        What its salt should be, where its header is damaged.

    Attributes
    ----------
    size : int
        Its bytes when the scan began.
    header : LogHeader or None
        None where it is damaged.
    problem : CorruptData or None
        What is wrong with the header.
    salt : int
        Of the log, as its header or else its frames tell.
    durable : int
        The greatest offset that a sound frame calls durable.

    Raises
    ------
    CorruptData
        If the log is missing, or no regular file.
    UnsupportedFormat
        If a newer version wrote it.
    """

    def __init__(self, files: Files, path: Path, salt: int | None = None) -> None:
        self._files = files
        self.path = path
        self.size = existing_size(files, path)
        self._window = LogWindow(self._read)
        self.header: LogHeader | None = None
        self.problem: CorruptData | None = None
        head = self._read(LOG_HEADER_BYTES + FRAME_HEADER_BYTES, 0)
        told, number = claimed_numbers(head)
        salts = {told}
        try:
            self.header = parse_log_header(path, head, log_number(path.name) or number)
        except CorruptData as exc:
            self.problem = exc
            first = claimed_frame(memoryview(head)[LOG_HEADER_BYTES:], LOG_HEADER_BYTES)
            salts |= {salt or 0, first.salt if first is not None else 0}
        # no log has a salt of zeros, and looking for it in prepared room would take long
        found = [(self._durable_under(one), one) for one in salts - {0}]
        best = max(found, key=lambda one: (one[0], one[1] == salt), default=(0, _NO_SALT))
        durable, self.salt = best
        self.durable = max(LOG_HEADER_BYTES, durable)
        self._window.forget()

    def _read(self, most: int, offset: int) -> bytes:
        most = max(0, min(most, self.size - offset))
        data = read_patiently(self._files, self.path, most, offset)
        if len(data) < most:
            self.size = offset + len(data)  # its writer has cut it meanwhile
        return data

    def _durable_under(self, salt: int) -> int:
        """Find the greatest `synced` of the frames of a salt; 0 where there are none."""
        durable, at = 0, LOG_HEADER_BYTES
        while (frame := self._window.find_frame(at, salt)[0]) is not None:
            durable, at = max(durable, frame.synced), frame.end
        return durable

    def pieces(self) -> Iterator[Piece]:
        """
        Go through the log behind its header.

        Yields
        ------
        Piece
            One after another, without gaps.
        """
        at = LOG_HEADER_BYTES
        while at < self.size:
            frame, content, end = self._window.find_frame(at, self.salt)
            while at < content:
                piece = self._claimed(at, end) or Piece(at, content - at)
                yield piece
                at += piece.length
            if at < end:
                yield Piece(at, end - at, zeros=True)
                at = end
            if frame is not None:
                payload = bytes(self._window.look(at)[FRAME_HEADER_BYTES : frame.end - at])
                yield Piece(at, frame.end - at, frame, True, True, True, False, payload)
                at = frame.end

    def _claimed(self, at: int, end: int) -> Piece | None:
        """Read bytes as a frame that is not sound, where salt or CRC speak for one."""
        raw = self._window.look(at)[: end - at]
        claim = claimed_frame(raw, at)
        if claim is None or claim.frame.length > MAX_PAYLOAD_BYTES:
            return None
        salt_ok, crc_ok = claim.salt == self.salt, claim.matches(raw)
        if not (salt_ok or crc_ok):
            return None
        length = min(claim.frame.end - at, len(raw))
        return Piece(at, length, claim.frame, False, salt_ok, crc_ok)
