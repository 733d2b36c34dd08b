"""
A second reader of stores, written from docs/format.md: it shares no line with VecStore.

It reads a directory as bytes, compares every checksum, and carries the calls of the logs out on a
list of slots. It knows nothing of graphs beyond their sections, and keeps vectors as they came.
"""

import json
import struct
import zlib
from typing import NamedTuple

import msgpack
import numpy as np

BLOCK = 1 << 20
KINDS = {"hnsw_index": 2, "metadata": 3, "ids": 4, "checksums": 5}


def check(true, what):
    if not true:
        raise AssertionError(what)


def blocks(raw):
    return [zlib.crc32(raw[at : at + BLOCK]) for at in range(0, len(raw), BLOCK)]


def read_header(raw, kind):
    """Check the header of a section file or rows file; give its table, trailer and length."""
    magic, version, found, count, crc, trailer, length = struct.unpack_from("<8sIIIIQQ", raw)
    check((magic, version, found) == (b"VECSTORE", 1, kind), "header")
    end = 40 + 48 * count
    check(zlib.crc32(raw[:20] + bytes(4) + raw[24:end]) == crc, "crc of the header")
    return list(struct.iter_unpack("<16s8sQQQ", raw[40:end])), trailer, length


def read_sections(raw, kind):
    """Give the named arrays of a section file."""
    table, trailer, length = read_header(raw, kind)
    sums = np.frombuffer(raw[trailer:], "<u4")
    check(len(raw) == length and sums[:-1].tolist() == blocks(raw[:trailer]), "payload")
    check(zlib.crc32(raw[trailer:-4]) == sums[-1], "crc of the checksums")
    arrays = {}
    for name, dtype, rows, columns, offset in table:
        check(offset % 64 == 0, "alignment")
        flat = np.frombuffer(raw, dtype.rstrip(b"\0").decode(), rows * max(1, columns), offset)
        arrays[name.rstrip(b"\0").decode()] = flat.reshape(rows, columns) if columns else flat
    return arrays


def read_lines(raw):
    """Give what a manifest or the note of a snapshot says: a line of JSON, and its checksum."""
    line, crc = raw.splitlines()
    check(zlib.crc32(line) == int(crc, 16), "crc of a line")
    return json.loads(line)


class Frame(NamedTuple):
    offset: int
    seqno: int
    synced: int
    kind: int
    flags: int
    part: int
    payload: bytes

    @property
    def end(self):
        return self.offset + 32 + len(self.payload)


def frame_at(raw, at, salt):
    """Give the frame that begins at an offset, if one does."""
    if len(raw) < at + 32:
        return None
    length, crc, seqno, synced, kind, flags, part, its = struct.unpack_from("<IIQQBBHI", raw, at)
    end = at + 32 + length
    if its != salt or end > len(raw) or zlib.crc32(raw[at + 8 : end]) != crc or synced > at:
        return None
    return Frame(at, seqno, synced, kind, flags, part, raw[at + 32 : end])


class Log:
    """A log: its header, its frames in order, its whole calls, and where the trusted bytes end."""

    def __init__(self, raw):
        magic, version, kind, self.salt, crc = struct.unpack_from("<8sIIII", raw)
        chain = struct.unpack_from("<QQQI", raw, 24)
        self.number, self.seqno, self.before, self.salt_before = chain
        check((magic, version, kind) == (b"VECSTORE", 1, 7), "header of the log")
        check(zlib.crc32(raw[:20] + bytes(4) + raw[24:64]) == crc, "crc of the header")
        self.frames, self.calls, self.end = [], [], 64
        seqno, parts, at = self.seqno, [], 64
        while frame := frame_at(raw, at, self.salt):
            if frame.kind == 0:  # a sync mark
                check((frame.seqno, parts) == (seqno, []), "mark")
                self.end = frame.end
            else:
                check((frame.seqno, frame.part) == (seqno + 1, len(parts)), "order of frames")
                parts.append(frame)
            if frame.flags & 1:  # the last part of its call
                payload = b"".join(part.payload for part in parts)
                self.calls.append((frame.kind, msgpack.unpackb(payload)))
                seqno, parts, self.end = frame.seqno, [], frame.end
            self.frames.append(frame)
            at = frame.end
        self.last_seqno = seqno
        later = [frame_at(raw, at, self.salt) for at in range(64, len(raw))]
        self.durable = max([64, *(frame.synced for frame in later if frame)])
        check(self.durable <= self.end, "a whole frame up to every durable byte")
        self.torn = raw[self.end :].rstrip(b"\0")


def read_store(root):
    """Read the generation that CURRENT names, and the logs after it."""
    name, crc = (root / "CURRENT").read_text().split()
    raw = (root / name).read_bytes()
    check(zlib.crc32(raw) == int(crc, 16), "crc in CURRENT")
    store = Store(root, read_lines(raw))
    store.read_logs(root)
    return store


def read_snapshot(place):
    """Read the generation that a snapshot keeps."""
    note = read_lines((place / "snapshot.json").read_bytes())
    check((note["format"], note["name"]) == (1, place.name), "note of the snapshot")
    raw = (place / f"manifest-{note['generation']:06}.json").read_bytes()
    check(zlib.crc32(raw) == note["crc"], "crc in the note")
    return Store(place, read_lines(raw))


class Store:
    """A generation, slot by slot, and what the calls of the logs make of it."""

    def __init__(self, root, manifest):
        check(manifest["format"] == 1, "version of the manifest")
        self.manifest, self.seqno = manifest, manifest["seqno"]
        self.slots, self.newest, self.logs = [], {}, []
        if manifest["files"]:
            self._read_generation(root, manifest["files"])

    def read_logs(self, root):
        number = self.manifest["first_log"]
        while (path := root / f"wal-{number:06}.log").exists():
            log = Log(path.read_bytes())
            check((log.number, log.seqno) == (number, self.seqno), "order of logs")
            if self.logs:
                check(log.before == self.logs[-1].end, "length of the log before")
            else:
                check(log.salt == self.manifest["first_salt"], "salt of the first log")
            for _, changes in log.calls:
                for code, *fields in changes:
                    CHANGES[code](self, *fields)
            self.logs.append(log)
            self.seqno, number = log.last_seqno, number + 1

    def _read_generation(self, root, files):
        arrays = {}
        for role, kind in KINDS.items():
            raw = (root / files[role]["name"]).read_bytes()
            check(len(raw) == files[role]["length"], "length")
            check(raw[-4:] == struct.pack("<I", files[role]["seal"]), "seal")
            arrays[role] = read_sections(raw, kind)
        raw = (root / files["vectors"]["name"]).read_bytes()[: files["vectors"]["length"]]
        check(read_header(raw, 1) == ([], 0, 0), "header of the rows")
        check(blocks(raw) == arrays["checksums"]["vectors"].tolist(), "rows")
        self.graph, facts, ids = (arrays[role] for role in ("hnsw_index", "metadata", "ids"))
        n, dim = self.manifest["n"], self.manifest["dim"]
        rows = np.frombuffer(raw[4096:], "<f4").reshape(n, -(-dim // 32) * 32)
        check(not rows[:, dim:].any(), "padding")
        lengths = facts["norms"] if len(facts["norms"]) else np.ones(n)
        texts = [cut(ids, slot).decode() for slot in range(n)]
        for slot in range(n):
            self.slots.append(
                {
                    "id": texts[slot],
                    "vector": (rows[slot, :dim] * lengths[slot]).astype(np.float32),
                    "metadata": msgpack.unpackb(cut(facts, slot)),
                    "live": bool(int(facts["live"][slot >> 6]) >> (slot & 63) & 1),
                    **{key: int(facts[key][slot]) for key in TIMES},
                }
            )
        self.newest = {texts[slot]: int(slot) for slot in ids["slots"]}

    def upsert(self, ids, dim, vectors, metadata, created_at, expires_at):
        rows = np.frombuffer(vectors, "<f4").reshape(len(ids), dim)
        times = (np.frombuffer(raw, "<i8").tolist() for raw in (created_at, expires_at))
        for record_id, row, facts, *moments in zip(ids, rows, metadata, *times, strict=True):
            self._append(record_id, row, msgpack.unpackb(facts), *moments)

    def _append(self, record_id, row, facts, created_at, expires_at):
        if record_id in self.newest:
            self._end(self.newest[record_id])
        self.newest[record_id] = len(self.slots)
        names = ("id", "vector", "metadata", "live", *TIMES)
        values = (record_id, row, facts, True, created_at, expires_at, -1)
        self.slots.append(dict(zip(names, values, strict=True)))

    def _end(self, slot, hidden_at=-1):
        self.slots[slot].update(live=False, deleted_at=hidden_at)

    def delete(self, record_id, hidden_at):
        self._end(self.newest[record_id], hidden_at)

    def restore(self, record_id, now):
        old = self.slots[self.newest[record_id]]
        expires_at = old["expires_at"] if old["expires_at"] > now else -1
        self._append(record_id, old["vector"], old["metadata"], old["created_at"], expires_at)

    def update_metadata(self, record_id, metadata):
        self.slots[self.newest[record_id]]["metadata"] = msgpack.unpackb(metadata)

    def set_ttl(self, record_id, expires_at):
        self.slots[self.newest[record_id]]["expires_at"] = expires_at

    def expire(self, slots):
        for slot in np.frombuffer(slots, "<i8").tolist():
            self._end(slot)

    def records(self):
        """List what is live or softly deleted, in slot order."""
        return [slot for slot in self.slots if slot["live"] or slot["deleted_at"] != -1]


TIMES = ("created_at", "expires_at", "deleted_at")
CHANGES = {
    1: Store.upsert,
    2: Store.delete,
    3: Store.restore,
    4: Store.update_metadata,
    5: Store.set_ttl,
    6: Store.expire,
}


def cut(sections, slot):
    begin, end = sections["offsets"][slot : slot + 2].tolist()
    return sections["blob"][begin:end].tobytes()
