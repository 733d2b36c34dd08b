"""
Damage that no checksum finds: stores rewritten with other values and every checksum right.

A case of the group "values" edits arrays, one of "fields" the manifest, one of "calls" appends to
the log. What is left to hold is that the store refuses or answers, and never crashes.
"""

import dataclasses
import itertools
import json
import struct
import zlib

import msgpack
import numpy as np

from vecstore.storage.checkpoint import SECTION_KINDS, open_generation
from vecstore.storage.file_names import log_number
from vecstore.storage.files import Files
from vecstore.storage.frames import CALL_KINDS, MARK
from vecstore.storage.layout import write_sections
from vecstore.storage.log_reader import LogReader
from vecstore.storage.manifest import FileEntry, read_current
from vecstore.storage.wal import Log

GARBAGE = [-(2**31), 2**31 - 1, -1, -2, 0, 1, 299, 300, 327, 328, 329, 2**30]
NO_NUMBER = [None, "x", [], {}, 1.5, -1, -(2**63), 2**31 - 1, 2**40, 2**63, 10**30]
NO_NUMBER += [float("inf"), float("nan"), True]


def rewrite(root, edit):
    """Write the section files anew after `edit` changed their arrays, and a manifest for them."""
    files = Files()
    manifest = read_current(files, root)
    sections = {
        role: {name: array.copy() for name, array in arrays.items()}
        for role, arrays in open_generation(files, root, manifest).items()
    }
    edit(sections)
    entries = dict(manifest.files)
    for role, arrays in sections.items():
        path = root / entries[role].name
        length = write_sections(files, path, SECTION_KINDS[role], arrays)
        seal = int.from_bytes(path.read_bytes()[-4:], "little")
        entries[role] = FileEntry(path.name, length, seal)
    forge(root, files={role: dataclasses.asdict(entry) for role, entry in entries.items()})


def forge(root, **changes):
    """Write the manifest anew with other fields; `...` leaves a field out."""
    manifest = read_current(Files(), root)
    fields = {"format": 1, **dataclasses.asdict(manifest), **changes}
    fields = {name: value for name, value in fields.items() if value is not ...}
    line = json.dumps(fields).encode()
    data = line + b"\n%08x\n" % zlib.crc32(line)
    (root / manifest.name).write_bytes(data)
    (root / "CURRENT").write_text(f"{manifest.name} {zlib.crc32(data):08x}\n")


def sprinkled(array, rng, values=GARBAGE):
    """Replace about every third value."""
    chosen = rng.random(array.shape) < 0.3
    array[chosen] = rng.choice(np.array(values), int(chosen.sum())).astype(array.dtype)


def assign(role, name, value):
    """Edit one array: by a function of it, or with values to assign."""

    def edit(sections):
        array = sections[role][name]
        sections[role][name] = value(array) if callable(value) else np.full_like(array, value)

    return edit


def sprinkle(role, name, values=GARBAGE):
    def change(array):
        sprinkled(array, np.random.default_rng(1), values)
        return array

    return assign(role, name, change)


def blob_of(role, entries):
    """Make slots i, i + 3 … of a blob hold bytes of ours."""

    def edit(sections):
        arrays = sections[role]
        offsets, blob = arrays["offsets"], arrays["blob"].tobytes()
        old = [blob[a:b] for a, b in itertools.pairwise(offsets)]
        new = [entries[i % len(entries)] if i % 2 else raw for i, raw in enumerate(old)]
        arrays["offsets"] = np.cumsum([0, *map(len, new)])
        arrays["blob"] = np.frombuffer(b"".join(new), np.uint8)

    return edit


def array_edits():
    """Yield (label, edit of the sections)."""
    big = [-(2**63), 2**63 - 1, -1, 2**31, 2**32, 7000, 10**15]
    for role in ("ids", "metadata"):
        yield f"{role}: offsets garbage", sprinkle(role, "offsets", big)
        yield f"{role}: offsets fall", assign(role, "offsets", lambda array: array[::-1])
        yield f"{role}: offsets all 0", assign(role, "offsets", 0)
        yield f"{role}: offsets wide", assign(role, "offsets", lambda a: a * (a > a[-1] // 2))
        yield f"{role}: offsets all large", assign(role, "offsets", 2**62)
        yield f"{role}: blob empty", assign(role, "blob", lambda array: array[:0])
        yield f"{role}: blob not UTF-8", assign(role, "blob", 0xFF)
    yield "ids: not UTF-8", blob_of("ids", [b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\x80"])
    yield "ids: empty, huge, all alike", blob_of("ids", [b"", b"a" * 5000, b"id0000", b"\0"])
    yield "ids: hashes fall", assign("ids", "hashes", lambda array: array[::-1])
    yield "ids: hashes all alike", assign("ids", "hashes", 7)
    yield "ids: slots garbage", sprinkle("ids", "slots")
    yield "ids: slots all -1", assign("ids", "slots", -1)
    yield "ids: slots all largest", assign("ids", "slots", 2**31 - 1)
    yield "ids: slots all alike", assign("ids", "slots", 0)
    yield "ids: slots fall", assign("ids", "slots", lambda array: array[::-1])
    packed = [msgpack.packb(value) for value in (5, [], None, "x", {1: 2})]
    broken = [b"", b"\xc1", b"\x81", b"\xdd\xee\xee\xee\xee", b"\xdf\xff\xff\xff\xff", b"\x80\x80"]
    broken += [b"\xdb\xff\xff\xff\xff", b"\x81\xa1\xff\x01", b"\x81\x80\x01", b"\x91" * 5000]
    broken += [b"\x81\xa1a" * 2000, b"\x81\x90\x01", b"\xd6\xff\xff\xff\xff\xff", b"\xc9" * 9]
    for number, raw in enumerate([*packed, *broken]):
        yield f"metadata: packed {number} {raw[:6]!r}", blob_of("metadata", [raw])
    yield "metadata: a map of dates", blob_of("metadata", [b"\x81\xa1a\xd6\xff\0\0\0\1"])
    for value in (0, 2**64 - 1, 0x5555555555555555):
        yield f"live all {value:x}", assign("metadata", "live", np.uint64(value))
    for name in ("created_at", "expires_at", "deleted_at"):
        yield f"{name} garbage", sprinkle("metadata", name, big)
        yield f"{name} all least", assign("metadata", name, -(2**63))
        yield f"{name} all largest", assign("metadata", name, 2**63 - 1)
    for value in (np.nan, np.inf, -np.inf, 0.0, -1.0, 1e308, 5e-324):
        yield f"norms all {value}", assign("metadata", "norms", value)
    yield from shape_edits()
    yield from graph_edits()


def shape_edits():
    """Yield edits that leave values alone and change what an array is."""
    names = {
        "metadata": ["live", "norms", "offsets", "blob", "created_at", "deleted_at"],
        "ids": ["offsets", "blob", "hashes", "slots"],
        "hnsw_index": ["levels", "links", "upper_start", "upper"],
        "checksums": ["vectors"],
    }
    for role, arrays in names.items():
        for name in arrays:
            place = f"{role}: {name}"
            yield f"{place} missing", lambda s, role=role, name=name: s[role].pop(name)
            yield f"{place} empty", assign(role, name, lambda array: array[:0])
            yield f"{place} one short", assign(role, name, lambda array: array[:-1])
            longer = assign(role, name, lambda array: np.concatenate([array, array[:1]]))
            yield f"{place} one long", longer
            yield f"{place} of floats", assign(role, name, lambda array: array.astype("<f4"))
            yield f"{place} flat", assign(role, name, lambda array: array.reshape(-1, 1))
    yield (
        "ids: nobody",
        lambda s: s["ids"].update(hashes=np.zeros(0, "<u8"), slots=s["ids"]["slots"][:0]),
    )
    yield "extra section", lambda s: s["ids"].update(more=np.zeros(3))


def graph_edits():
    """Yield edits of the graph's values."""
    for name in ("links", "upper", "upper_start", "levels"):
        yield f"graph: {name} garbage", sprinkle("hnsw_index", name)
        for value in (-(2**31), 2**31 - 1, -2, 0, 256, 257, 10_000):
            stored = value % 256 if name == "levels" else value
            yield f"graph: {name} all {value}", assign("hnsw_index", name, stored)
    yield "graph: levels all 255", assign("hnsw_index", "levels", 255)


def manifest_edits():
    """Yield (label, changes of fields)."""
    fields = ["seqno", "n", "n_live", "n_soft", "dim", "next_expiry", "generation", "metric"]
    fields += ["first_log", "first_salt"]
    for name in [*fields, "config", "graph", "files", "fingerprint"]:
        for value in [*NO_NUMBER, ...]:
            yield f"{name} is {value!r}", {name: value}
    for dim in (0, 1, 7, 9, 32, 33, 65_536, 65_537):
        yield f"dim is {dim}", {"dim": dim}
    for n in (0, 1, 255, 256, 327, 329):
        yield f"n is {n}", {"n": n, "n_live": min(n, 5), "n_soft": 0}
    for live in (0, 1, 4, 200, 328):
        yield f"n_live is {live}", {"n_live": live, "n_soft": 0}
    for metric in ("l2", "COSINE", "x", ""):
        yield f"metric is {metric!r}", {"metric": metric}


def nested_edits(manifest):
    """Yield (label, changes) inside the config, the graph and the files of a manifest."""
    fields = dataclasses.asdict(manifest)
    for outer, inner in (("graph", fields["graph"]), ("config", fields["config"])):
        for name in inner:
            for value in [*NO_NUMBER, 0]:
                yield f"{outer}.{name} is {value!r}", {outer: {**inner, name: value}}
            rest = {key: value for key, value in inner.items() if key != name}
            yield f"{outer}.{name} is missing", {outer: rest}
        yield f"{outer} has one more", {outer: {**inner, "more": 1}}
    hnsw = fields["config"]["hnsw"]
    for name in hnsw:
        for value in [*NO_NUMBER, 0, 3, 5]:
            config = {**fields["config"], "hnsw": {**hnsw, name: value}}
            yield f"config.hnsw.{name} is {value!r}", {"config": config}
    files = fields["files"]
    for role in files:
        rest = {key: value for key, value in files.items() if key != role}
        yield f"files without {role}", {"files": rest}
        yield f"files with {role} renamed", {"files": {**rest, "more": files[role]}}
        for other in files:
            yield f"files with {role} as {other}", {"files": {**files, role: files[other]}}
        for length in (0, 3, 4096, 2**63):
            entry = {**files[role], "length": length}
            yield f"files with {role} of {length} bytes", {"files": {**files, role: entry}}


def bad_rows(root):
    """Put nan and infinity into the rows; their checksums will not match."""
    path = root / read_current(Files(), root).files["vectors"].name
    data = path.read_bytes()
    rows = np.frombuffer(data[4096:], "<f4").copy()
    sprinkled(rows, np.random.default_rng(1), [np.nan, np.inf, -np.inf, 1e38, -1e38, 1e-45])
    path.write_bytes(data[:4096] + rows.tobytes())


def call(root, payload, kind=1, *, marked=True):
    """Append a call to the last log, as durable as any."""
    path = max(root.glob("wal-*"))
    reader = LogReader(Files(), path, log_number(path.name))
    for _ in reader.calls():
        pass
    log = Log(Files().open(path), reader.header, reader.end, reader.seqno)
    log.append(reader.seqno + 1, kind, [payload], prepare=False)
    if marked:
        log.synced = log.end
        log.mark()
    log.close()


def times(*moments):
    return struct.pack(f"<{len(moments)}q", *moments)


def upserted(ids=("x", "y"), dim=8, vectors=None, metadata=None, created=None, expires=None):
    """Give the change of an upsert, of which some fields may be wrong."""
    vectors = np.ones((len(ids), 8), "<f4").tobytes() if vectors is None else vectors
    metadata = [b"\x80"] * len(ids) if metadata is None else metadata
    created = times(*[5] * len(ids)) if created is None else created
    expires = times(*[-1] * len(ids)) if expires is None else expires
    return [1, list(ids), dim, vectors, metadata, created, expires]


def wrong_upserts():
    """Yield (label, change)."""
    rows = np.ones((2, 8), "<f4")
    for value in (np.nan, np.inf, -np.inf, 0, 1e38, 1e-45):
        yield f"rows of {value}", upserted(vectors=np.full_like(rows, value).tobytes())
    for dim in (0, 1, 7, 9, 16, 65_536, 2**31, 2**63, -1, 8.0, "8", None, True):
        yield f"dim {dim!r}", upserted(dim=dim)
    for name in ("vectors", "created", "expires"):
        for raw in (b"", b"1234567", times(1), times(1, 2, 3), "text", 5, [1, 2], {}):
            yield f"{name} {raw!r}", upserted(**{name: raw})
    for moment in (-(2**63), 2**63 - 1, 0, -2):
        yield f"created at {moment}", upserted(created=times(moment, moment))
        yield f"expires at {moment}", upserted(expires=times(moment, moment))
    for ids in ([], ["", "y"], ["x" * 1025, "y"], [5, "y"], [None, "y"], ["x", "x"], [b"x", "y"]):
        yield f"ids {ids!r}"[:30], upserted(ids=ids)
    for metadata in (
        [],
        [b""],
        ["", ""],
        [b"", b"\xc1"],
        [b"\x01"] * 2,
        [b"\x91" * 5000] * 2,
        None,
    ):
        yield f"metadata {metadata!r}"[:30], upserted(metadata=metadata)
    yield "one id too many", [1, ["x", "y", "z"], *upserted()[2:]]
    yield "ids are a text", [1, "xy", *upserted()[2:]]
    yield "metadata is a map", upserted(metadata={b"\x80": 1, b"\x81\xa1a\x01": 2})


def wrong_changes():
    """Yield (label, changes) for calls that nobody can have made."""
    numbers = [-(2**63), -2, -1, 0, 2**63 - 1, 2**64 - 1, 1.5, None, "x", True]
    for code, name in ((2, "delete"), (3, "restore"), (5, "set_ttl")):
        for number in numbers:
            yield f"{name} at {number!r}", [[code, "id0050", number]]
        for record_id in ("nobody", "", "x" * 2000, 5, None, b"id0050", "later0"):
            yield f"{name} of {record_id!r}"[:40], [[code, record_id, 5]]
    for metadata in (
        b"",
        b"\x01",
        b"\xc1",
        b"\x91" * 5000,
        "text",
        None,
        {},
        b"\x80" * (1 << 24 | 1),
    ):
        yield f"metadata {metadata!r}"[:40], [[4, "id0050", metadata]]
    for slots in (b"", b"123", times(-1), times(2**63 - 1), times(10**6), times(*[0] * 99), None):
        yield f"slots {slots!r}"[:40], [[6, slots]]
    for number, code in enumerate([0, 7, -1, 2**63, "1", None, 1.0, True, [], {}]):
        yield f"code {number}", [[code, "id0050", 5]]
    yield "no changes", []
    yield "a change without fields", [[]]
    yield "a change that is none", [5, None, "x"]
    yield "fields missing and too many", [[2, "id0050"], [2, "id0050", -1, -1]]
    yield "a number", 5
    yield "a text", "delete"
    yield "a map", {"delete": "id0050"}
    yield "the good before the bad", [[2, "id0051", -1], upserted(["good"]), [2, "nobody", -1]]


def wrong_calls():
    """Yield (label, function of a directory)."""
    for label, change in wrong_upserts():
        yield f"upsert: {label}", lambda root, change=change: call(root, msgpack.packb([change]))
    for label, changes in wrong_changes():
        packed = msgpack.packb(changes)
        yield label, lambda root, packed=packed: call(root, packed, 255)
    raws = [
        b"",
        b"\xc1",
        b"\x91",
        b"\xdd\xff\xff\xff\xff",
        b"\x91" * 5000,
        b"\x90\x90",
        b"\xc9" * 9,
    ]
    raws += [
        b"\x91\x93\x02\xa1\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\x91\x97\x01\xdd\xee\xee\xee\xee",
    ]
    for number, raw in enumerate(raws):
        yield f"bytes {number}", lambda root, raw=raw: call(root, raw)
    good = msgpack.packb([[2, "id0052", -1]])
    for kind in sorted({0, *range(2, 9), 77, 254, *CALL_KINDS} - {MARK}):
        yield f"kind {kind}", lambda root, kind=kind: call(root, good, kind)
    yield "not known to be durable", lambda root: call(root, b"\xc1", marked=False)


def forgeries(manifest):
    """Yield (group, label, function of a directory)."""
    yield "values", "rows with nan and infinity", bad_rows
    for label, forge_calls in wrong_calls():
        yield "calls", label, forge_calls
    for label, edit in array_edits():
        yield "values", label, lambda root, edit=edit: rewrite(root, edit)
    for label, changes in manifest_edits():
        yield "fields", label, lambda root, changes=changes: forge(root, **changes)
    for label, changes in nested_edits(manifest):
        yield "fields", label, lambda root, changes=changes: forge(root, **changes)
