"""
Log file, little-endian: a header of 64 bytes, frames without gaps, then zeros (prepared room).

     0  8s     magic     b"VECSTORE"
     8  u32    version   of this format: 1
    12  u32    kind      7, see `layout.Kind`
    16  u32    salt      random, of this file
    20  u32    crc       CRC-32 of the header, this field being 0
    24  u64    number    of the file, as in its name
    32  u64    seqno     of the last call before this log
    40  u64    before    length of the log before this one, all of it durable; else 0
    48  u32    salt of the log before this one; else 0
    52  ...    zeros

Frame. Valid if and only if CRC and salt match and (seqno, part) follows the previous frame's.

     0  u32    length    of payload, bytes; at most 4 MiB
     4  u32    crc       CRC-32 of bytes [8, 32 + length)
     8  u64    seqno
    16  u64    synced    log offset known durable when this frame was written
    24  u8     kind      what the call does, see `CALL_KINDS`; 0 a sync mark
    25  u8     flags     1 commit: last part of its call
    26  u16    part      0, 1, 2 … within one call (one seqno)
    28  u32    salt      of this file: bytes of a recycled file never match
    32  ...    payload   the call's byte stream, cut anywhere

A sync mark has no payload, repeats the seqno of the call before it, and says with its `synced`
what had become durable by then. The stream is MessagePack (`engine.encoding`).
"""

import struct
import zlib
from pathlib import Path
from typing import NamedTuple

from vecstore.errors import CorruptData, UnsupportedFormat
from vecstore.storage.files import Buffer
from vecstore.storage.layout import MAGIC, VERSION, Kind

LOG_HEADER_BYTES = 64
FRAME_HEADER_BYTES = 32
MAX_PAYLOAD_BYTES = 4 << 20
MAX_CALL_BYTES = 4 << 30
"""A call must fit in memory twice, here and when it is recovered."""
COMMIT = 1
MARK = 0
CALL_KINDS = {
    MARK: "mark",
    1: "upsert",
    2: "delete",
    3: "restore",
    4: "update_metadata",
    5: "set_ttl",
    6: "expire",
    255: "batch",
}
_LOG_HEADER = struct.Struct("<8sIIIIQQQI12x")
_FRAME = struct.Struct("<IIQQBBHI")
_CRC_FROM = 8
_SALT_AT = 28


class LogHeader(NamedTuple):
    """
    The header of a log.

    Attributes
    ----------
    salt : int
        Of this file.
    number : int
        As in its name.
    seqno : int
        Of the last call before this log.
    before : int
        Length of the log before this one, all of it durable; 0 in the first.
    salt_before : int
        Its salt; 0 in the first.
    """

    salt: int
    number: int
    seqno: int
    before: int
    salt_before: int


class Frame(NamedTuple):
    """
    A frame whose CRC and salt are right.

    Attributes
    ----------
    offset : int
        Where it begins.
    seqno, synced, kind, flags, part : int
        As in the module's header.
    length : int
        Bytes of its payload.
    """

    offset: int
    seqno: int
    synced: int
    kind: int
    flags: int
    part: int
    length: int

    @property
    def end(self) -> int:
        """Where the next frame begins."""
        return self.offset + FRAME_HEADER_BYTES + self.length

    @property
    def payload_offset(self) -> int:
        """Where the payload begins."""
        return self.offset + FRAME_HEADER_BYTES


class Claim(NamedTuple):
    """
    What bytes say if a frame begins there, before anything of it is believed.

    Attributes
    ----------
    frame : Frame
        The frame it would be.
    crc, salt : int
        As in the module's header.
    """

    frame: Frame
    crc: int
    salt: int

    def matches(self, raw: memoryview) -> bool:
        """
        Compare the frame with its CRC.

        Parameters
        ----------
        raw : memoryview
            As for `claimed_frame`.

        Returns
        -------
        bool
            False also where it is too long, or the bytes end before it does.
        """
        end = FRAME_HEADER_BYTES + self.frame.length
        fits = self.frame.length <= MAX_PAYLOAD_BYTES and end <= len(raw)
        return fits and zlib.crc32(raw[_CRC_FROM:end]) == self.crc


def pack_log_header(header: LogHeader) -> bytes:
    """
    Write the header of a log.

    Parameters
    ----------
    header : LogHeader
        Its numbers.

    Returns
    -------
    bytes
        `LOG_HEADER_BYTES` of them.
    """
    rest = (header.number, header.seqno, header.before, header.salt_before)
    blank = _LOG_HEADER.pack(MAGIC, VERSION, int(Kind.LOG), header.salt, 0, *rest)
    return _LOG_HEADER.pack(MAGIC, VERSION, int(Kind.LOG), header.salt, zlib.crc32(blank), *rest)


def parse_log_header(path: Path, raw: bytes, number: int) -> LogHeader:
    """
    Read the header of a log.

    Parameters
    ----------
    path : Path
        For errors.
    raw : bytes
        The beginning of the file.
    number : int
        The one in its name.

    Returns
    -------
    LogHeader
        Vouched for by its CRC.

    Raises
    ------
    CorruptData
        If it is not the header of this log.
    UnsupportedFormat
        If the version is newer.
    """
    if len(raw) < LOG_HEADER_BYTES or raw[:8] != MAGIC:
        raise CorruptData(path, 0, "this is not the beginning of a log")
    raw = raw[:LOG_HEADER_BYTES]
    _, version, kind, salt, crc, *rest = _LOG_HEADER.unpack(raw)
    if zlib.crc32(raw[:20] + bytes(4) + raw[24:]) != crc:
        raise CorruptData(path, 20, "the header does not match its checksum")
    if version != VERSION:
        raise UnsupportedFormat(path, version, VERSION)
    header = LogHeader(salt, *rest)
    if kind != Kind.LOG or header.number != number:
        raise CorruptData(path, 12, f"this is log {header.number} of kind {kind}")
    return header


def claimed_numbers(raw: bytes) -> tuple[int, int]:
    """
    Read the numbers of a header that may be damaged.

    Parameters
    ----------
    raw : bytes
        The beginning of the file; may be shorter than a header.

    Returns
    -------
    salt, number : int
        For which nothing vouches; zeros stand in for what is missing.
    """
    _, _, _, salt, _, number, *_ = _LOG_HEADER.unpack(
        raw[:LOG_HEADER_BYTES].ljust(LOG_HEADER_BYTES, b"\0")
    )
    return salt, number


def pack_frame(
    salt: int, seqno: int, synced: int, kind: int, flags: int, part: int, payload: Buffer
) -> bytes:
    """
    Write the header of a frame.

    Parameters
    ----------
    salt, seqno, synced, kind, flags, part : int
        As in the module's header.
    payload : bytes-like
        What follows; not copied.

    Returns
    -------
    bytes
        `FRAME_HEADER_BYTES` of them.
    """
    fields = (seqno, synced, kind, flags, part, salt)
    crc = zlib.crc32(_FRAME.pack(0, 0, *fields)[_CRC_FROM:])
    return _FRAME.pack(len(payload), zlib.crc32(payload, crc), *fields)


def claimed_frame(raw: memoryview, offset: int) -> Claim | None:
    """
    Read bytes as the header of a frame, whatever they are.

    Parameters
    ----------
    raw : memoryview
        Bytes of a log from there on; more than the frame may follow.
    offset : int
        Where in the log that is.

    Returns
    -------
    Claim or None
        None where there are too few bytes for a header.
    """
    if len(raw) < FRAME_HEADER_BYTES:
        return None
    length, crc, seqno, synced, kind, flags, part, salt = _FRAME.unpack_from(raw)
    return Claim(Frame(offset, seqno, synced, kind, flags, part, length), crc, salt)


def parse_frame(raw: memoryview, offset: int, salt: int) -> Frame | None:
    """
    Read a frame, if there is one.

    Parameters
    ----------
    raw : memoryview
        Bytes of a log from the frame's beginning on; more than the frame may follow.
    offset : int
        Where in the log that is.
    salt : int
        Of the log.

    Returns
    -------
    Frame or None
        None where CRC, salt or length are wrong, or the bytes end too early.
    """
    claim = claimed_frame(raw, offset)
    # subtle: the cheap tests come first, so that searching through other bytes costs no checksums
    if claim is None or claim.salt != salt or claim.frame.synced > offset:
        return None
    return claim.frame if claim.matches(raw) else None


def next_candidate(raw: memoryview, salt: int) -> int:
    """
    Find the next place where a frame may begin, after the first byte.

    Parameters
    ----------
    raw : memoryview
        Bytes of a log, not empty.
    salt : int
        Of the log.

    Returns
    -------
    int
        The nearest place where the salt stands as it would in a frame, or else the first place
        that is too near to the end to tell.
    """
    at = bytes(raw).find(salt.to_bytes(4, "little"), _SALT_AT + 1)
    return at - _SALT_AT if at >= 0 else max(1, len(raw) - FRAME_HEADER_BYTES + 1)
