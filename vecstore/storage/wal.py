"""
The write-ahead log: appending calls to it.

A call is acknowledged once its frames are durable; whatever else is on disk can be made anew from
the last generation and the calls after it. Not here: the bytes (`frames`), reading them back
(`log_reader`), what a call means (`engine.encoding`), who waits for whom (`engine.journal`).
"""

import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from vecstore.storage.file_names import log_name
from vecstore.storage.files import Buffer, Files, OpenFile
from vecstore.storage.frames import (
    COMMIT,
    FRAME_HEADER_BYTES,
    LOG_HEADER_BYTES,
    MARK,
    MAX_PAYLOAD_BYTES,
    LogHeader,
    pack_frame,
    pack_log_header,
)

PREPARED_BYTES = 1 << 20
_SMALL_BYTES = 1 << 18


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
    told : int
        No more than the greatest `synced` that a frame in it has; its end where a mark is the last.
    uncut : bool
        Whether frames were cut off, and this is not durable yet: `finish_cut` comes next.
    """

    def __init__(self, file: OpenFile, header: LogHeader, end: int, seqno: int) -> None:
        self.file = file
        self.header = header
        self.end = end
        self.seqno = seqno
        self.synced = end
        self.told = 0
        self._room = end
        self.uncut = False

    @classmethod
    def create(cls, files: Files, root: Path, seqno: int, last: Self | None = None) -> Self:
        """
        Begin a log; it and its name are durable.

        Parameters
        ----------
        files : Files
            The file system.
        root : Path
            The store.
        seqno : int
            Of the last call before it.
        last : Log, optional
            The log before it, all of it durable; a file that has its next number is replaced.

        Returns
        -------
        Log
            Without frames.
        """
        header = LogHeader(_new_salt(), 1, seqno, 0, 0)
        if last is not None:
            number, salt = last.number + 1, last.header.salt
            header = header._replace(number=number, before=last.end, salt_before=salt)
        file = files.open(root / log_name(header.number), create=True)
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
        if self.synced == self.end and self.told < self.synced:
            self._write(self.seqno, MARK, [b""], False)
            # subtle: the mark itself need not be durable, nor told of by another mark
            self.told = self.end

    def _write(self, seqno: int, kind: int, chunks: Sequence[Buffer], prepare: bool) -> None:
        assert not self.uncut, "what was cut off must not come back behind this"
        begin = at = self.end
        synced = self.synced  # whoever syncs may set it meanwhile
        size = sum(len(chunk) for chunk in chunks)
        last = max(0, size - 1) // MAX_PAYLOAD_BYTES
        try:
            if prepare and size < _SMALL_BYTES and begin + FRAME_HEADER_BYTES + size > self._room:
                self.file.write(begin, [bytes(PREPARED_BYTES)])
                self._room = begin + PREPARED_BYTES
            for part, payload in enumerate(_parts(chunks) if last else [b"".join(chunks)]):
                flags = COMMIT if part == last and kind != MARK else 0
                salt = self.header.salt
                head = pack_frame(salt, seqno, synced, kind, flags, part, payload)
                self.file.write(at, [head + payload])
                at += len(head) + len(payload)
            if prepare and size < _SMALL_BYTES:
                self.file.hurry(begin, at - begin)
            self.told, self.end, self._room = synced, at, max(self._room, at)
        except BaseException:
            self.cut(begin, self.seqno)
            raise

    def cut(self, end: int, seqno: int) -> bool:
        """
        Forget the frames from a place on; `finish_cut` must follow before the next frame.

        Parameters
        ----------
        end : int
            Where the log ends again.
        seqno : int
            Of the last call before that.

        Returns
        -------
        bool
            Whether the frames are gone, durably or not; else the system refused.
        """
        self.uncut = True
        if end < self.end:
            self.told = 0  # what frames told of it may go with them
        self.end, self.seqno = end, seqno
        self.synced = min(self.synced, end)
        self._room = end
        try:
            self.file.resize(end)
        except OSError:
            return False
        return True

    def finish_cut(self) -> None:
        """
        Make durable that frames were cut off; nobody else syncs meanwhile.

        Parts of the call that is gone must not come back behind parts of the next one, which has
        the same number.

        Raises
        ------
        OSError
            If the system refuses.
        """
        self.file.resize(self.end)
        self.file.sync()
        self.uncut = False

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
