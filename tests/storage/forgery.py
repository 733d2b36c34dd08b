"""
Damage that no checksum finds: generations rewritten with other values and every checksum right.

A case of the group "values" edits arrays, one of "fields" edits the manifest. What is left to hold
is that the store refuses or answers, and never crashes.
"""

import dataclasses
import itertools
import json
import zlib

import msgpack
import numpy as np

from vecstore.storage.checkpoint import _KINDS, open_generation
from vecstore.storage.files import Files
from vecstore.storage.layout import write_sections
from vecstore.storage.manifest import FileEntry, read_current

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
        length = write_sections(files, path, _KINDS[role], arrays)
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


def forgeries(manifest):
    """Yield (group, label, function of a directory)."""
    yield "values", "rows with nan and infinity", bad_rows
    for label, edit in array_edits():
        yield "values", label, lambda root, edit=edit: rewrite(root, edit)
    for label, changes in manifest_edits():
        yield "fields", label, lambda root, changes=changes: forge(root, **changes)
    for label, changes in nested_edits(manifest):
        yield "fields", label, lambda root, changes=changes: forge(root, **changes)
