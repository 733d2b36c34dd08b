"""
Every byte of a log, sound or not: frames, zeros, and what is neither.

Nothing is refused here: a damaged header is told, a frame that cannot be trusted is shown as far
as it can be read, and the walk goes on at the next sound one. Memory stays bounded. Not here: which
calls count when a store is opened (`log_reader`), and when it is repaired (`engine.log_remains`).
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vecstore.errors import CorruptData
from vecstore.storage.evidence import read_patiently
from vecstore.storage.files import Files
from vecstore.storage.frames import (
    FRAME_HEADER_BYTES,
    LOG_HEADER_BYTES,
    MAX_PAYLOAD_BYTES,
    Frame,
    LogHeader,
    next_candidate,
    parse_frame,
    parse_log_header,
)
from vecstore.storage.layout import existing_size
from vecstore.storage.manifest import log_number

_WINDOW_BYTES = 16 << 20
_STEP_BYTES = 1 << 16
_CLAIM = struct.Struct("<IIQQBBHI")  # as drawn in `frames`, before anything of it is believed
_NO_SALT = 1
_SALT = slice(16, 20)
_NUMBER = slice(24, 32)


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
        self._at = 0
        self._raw = memoryview(b"")
        self.header: LogHeader | None = None
        self.problem: CorruptData | None = None
        head = bytes(self._look(0)[: LOG_HEADER_BYTES + FRAME_HEADER_BYTES])
        number = log_number(path.name) or int.from_bytes(head[_NUMBER], "little")
        self.salt = int.from_bytes(head[_SALT], "little")
        try:
            self.header = parse_log_header(path, head, number)
        except CorruptData as exc:
            self.problem = exc
        salts = {self.salt}
        if self.problem is not None:
            salts |= {int.from_bytes(head[-4:], "little"), salt or 0}  # of the first frame
        # no log has a salt of zeros, and looking for it in prepared room would take long
        found = [(self._durable_under(salt), salt) for salt in salts - {0}]
        best = max(found, key=lambda one: (one[0], one[1] == salt), default=(0, _NO_SALT))
        durable, self.salt = best
        self.durable = max(LOG_HEADER_BYTES, durable)
        self._raw = memoryview(b"")

    def _durable_under(self, salt: int) -> int:
        """Find the greatest `synced` of the frames of a salt; 0 where there are none."""
        self.salt = salt
        told = (piece.frame.synced for piece in self.pieces() if piece.frame and piece.sound)
        return max(told, default=0)

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
            raw = self._look(at)
            frame = parse_frame(raw, at, self.salt)
            if frame is not None:
                payload = bytes(raw[FRAME_HEADER_BYTES : frame.end - at])
                yield Piece(at, frame.end - at, frame, True, True, True, False, payload)
                at = frame.end
                continue
            end, sound = self._next_sound(at)
            while at < end:
                piece = self._claimed(at, sound) or Piece(at, end - at)
                yield piece
                at += piece.length
            if at < sound:
                yield Piece(at, sound - at, zeros=True)
                at = sound

    def _next_sound(self, begin: int) -> tuple[int, int]:
        """Find the end of the bytes that are not zero, and the next sound frame or the end."""
        at = last = begin
        while at < self.size:
            raw = self._look(at)
            if at > begin and parse_frame(raw, at, self.salt) is not None:
                break
            step = next_candidate(raw[:_STEP_BYTES], self.salt)
            content = bytes(raw[:step]).rstrip(b"\0")
            last = at + len(content) if content else last
            at += step
        return last, min(at, self.size)

    def _claimed(self, at: int, end: int) -> Piece | None:
        """Read bytes as a frame that is not sound, where salt or CRC speak for one."""
        raw = self._look(at)[: end - at]
        if len(raw) < FRAME_HEADER_BYTES:
            return None
        length, crc, seqno, synced, kind, flags, part, salt = _CLAIM.unpack_from(raw)
        stop = FRAME_HEADER_BYTES + length
        fits = stop <= len(raw) and length <= MAX_PAYLOAD_BYTES
        salt_ok, crc_ok = salt == self.salt, fits and zlib.crc32(raw[8:stop]) == crc
        if length > MAX_PAYLOAD_BYTES or not (salt_ok or crc_ok):
            return None
        frame = Frame(at, seqno, synced, kind, flags, part, length)
        return Piece(at, min(stop, len(raw)), frame, False, salt_ok, crc_ok)

    def _look(self, at: int) -> memoryview:
        """Give the bytes from an offset on: a whole frame at least, where the log has that many."""
        begin = at - self._at
        least = min(FRAME_HEADER_BYTES + MAX_PAYLOAD_BYTES, self.size - at)
        if not 0 <= begin <= len(self._raw) - least:
            most = min(_WINDOW_BYTES, self.size - at)
            self._raw = memoryview(read_patiently(self._files, self.path, most, at))
            self._at, begin = at, 0
            if len(self._raw) < most:
                self.size = at + len(self._raw)  # its writer has cut it meanwhile
        return self._raw[begin:]
