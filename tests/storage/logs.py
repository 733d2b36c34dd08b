"""What the tests of the log share: logs of small frames, and one as the format's text has it."""

import struct
import zlib
from pathlib import Path

from vecstore.storage.log_reader import LogReader
from vecstore.storage.wal import Log

COMMIT = 1


def cut_small(monkeypatch, payload_bytes, window_bytes=1 << 16):
    """Let frames be small, so that calls of a few bytes need several, and reading small windows."""
    for module in ("frames", "wal", "log_window"):
        name = f"vecstore.storage.{module}.MAX_PAYLOAD_BYTES"
        monkeypatch.setattr(name, payload_bytes)
    monkeypatch.setattr("vecstore.storage.log_window._WINDOW_BYTES", window_bytes)


def frame(salt, seqno, synced, kind, flags, part, payload=b""):
    """Write a frame as the format's description has it."""
    covered = struct.pack("<QQBBHI", seqno, synced, kind, flags, part, salt) + payload
    return struct.pack("<II", len(payload), zlib.crc32(covered)) + covered


def call(salt, seqno, synced, payload, kind=1, payload_bytes=4 << 20):
    """Write the frames of a call."""
    cuts = range(0, max(1, len(payload)), payload_bytes)
    return b"".join(
        frame(
            salt, seqno, synced, kind, COMMIT * (at == cuts[-1]), part, payload[at:][:payload_bytes]
        )
        for part, at in enumerate(cuts)
    )


def mark(salt, seqno, synced):
    """Write a sync mark."""
    return frame(salt, seqno, synced, 0, 0, 0)


class Written:
    """A log that is written by hand, so that anything may be in it."""

    salt = 0xA1B2C3D4

    def __init__(self, path, seqno=0):
        self.path = Path(path)
        self.seqno = seqno
        fields = (b"VECSTORE", 1, 7, self.salt)
        blank = struct.pack("<8sIIIIQQQI12x", *fields, 0, 1, seqno, 0, 0)
        crc = zlib.crc32(blank)
        self.raw = struct.pack("<8sIIIIQQQI12x", *fields, crc, 1, seqno, 0, 0)
        self.ends = [len(self.raw)]

    def add(self, raw):
        """Append any bytes."""
        self.raw += raw
        return self

    def call(self, payload, synced=None, **how):
        """Append a call that says of all before it that it is durable, or of less."""
        self.seqno += 1
        synced = len(self.raw) if synced is None else synced
        self.add(call(self.salt, self.seqno, synced, payload, **how))
        self.ends.append(len(self.raw))
        return self

    def mark(self, synced=None):
        self.add(mark(self.salt, self.seqno, len(self.raw) if synced is None else synced))
        self.ends.append(len(self.raw))
        return self

    def read(self, files, raw=None):
        """Write the bytes down, or others, and read them; give the reader and the payloads."""
        self.path.write_bytes(self.raw if raw is None else raw)
        return read_all(files, self.path)


def read_all(files, path, number=1, limit=None):
    """Read a log; give the reader, and its calls as (seqno, kind, payload)."""
    reader = LogReader(files, path, number)
    return reader, [(call.seqno, call.kind, call.payload) for call in reader.calls(limit)]


def cut_off(log):
    """Finish what a cut has begun, as whoever writes has to."""
    if log.uncut:
        log.finish_cut()
    return log


def appended(log, payloads, kind=1, *, prepare=False, durable=True):
    """Append calls, each of which becomes durable before the next."""
    for payload in payloads:
        cut_off(log).append(log.seqno + 1, kind, [payload], prepare=prepare)
        if durable:
            log.synced = log.end
    return log


def begun(files, root):
    """Begin a log in a directory."""
    return Log.create(files, root, 0)
