"""
Looking into a log piece by piece: memory stays bounded, however long it is and whatever is in it.

Not here: which frames are believed (`log_reader`), and what lies between them (`log_scan`).
"""

from collections.abc import Callable

from vecstore.storage.frames import (
    FRAME_HEADER_BYTES,
    MAX_PAYLOAD_BYTES,
    Frame,
    next_candidate,
    parse_frame,
)

_WINDOW_BYTES = 16 << 20
_STEP_BYTES = 1 << 16
Read = Callable[[int, int], bytes]
"""Gives up to so many bytes from an offset on; fewer only where the log ends."""


class LogWindow:
    """
    The part of a log that is in memory, and moves on as one looks further.

    Parameters
    ----------
    read : callable
        Gives its bytes.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self.forget()

    def forget(self) -> None:
        """Let go of what was read, so that newer bytes are seen."""
        self._at = 0
        self._raw = memoryview(b"")

    def look(self, at: int) -> memoryview:
        """
        Give the bytes from a place on.

        Parameters
        ----------
        at : int
            The place.

        Returns
        -------
        memoryview
            Enough for any frame, or all up to the end of the log.
        """
        begin = at - self._at
        ends_here = 0 < len(self._raw) < _WINDOW_BYTES
        behind = 0 if ends_here else FRAME_HEADER_BYTES + MAX_PAYLOAD_BYTES
        if not 0 <= begin <= len(self._raw) - behind:
            self._raw = memoryview(self._read(_WINDOW_BYTES, at))
            self._at, begin = at, 0
        return self._raw[begin:]

    def find_frame(self, at: int, salt: int) -> tuple[Frame | None, int, int]:
        """
        Find the nearest frame whose CRC and salt are right, also behind other bytes.

        Parameters
        ----------
        at : int
            Where to begin.
        salt : int
            Of the log.

        Returns
        -------
        frame : Frame or None
            None where there is none up to the end of the log.
        content : int
            Behind the last byte on the way that is not zero; `at` where all of them are.
        end : int
            Where the frame begins, or else the log ends.
        """
        content, frame = at, None
        while len(raw := self.look(at)) > 0:
            frame = parse_frame(raw, at, salt)
            if frame is not None:
                break
            step = next_candidate(raw[:_STEP_BYTES], salt)
            passed = len(bytes(raw[:step]).rstrip(b"\0"))
            content = at + passed if passed else content
            at += step
        return frame, content, at
