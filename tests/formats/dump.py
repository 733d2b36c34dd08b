"""
Shows the bytes of a log and what each means: `python -m tests.formats.dump [LOG]`.

docs/format.md shows this of the golden store `example`; when that is made anew, its lines have to
be replaced by what this prints.
"""

import sys
from pathlib import Path

import msgpack
import numpy as np

from tests.formats.make import NEWEST
from tests.formats.parser import Log

EXAMPLE = NEWEST / "example" / "wal-000001.log"
CHANGES = {
    1: ("upsert", "ids", "dim", "vectors", "metadata", "created_at", "expires_at"),
    2: ("delete", "id", "hidden_at"),
}
HEADER = (
    ("magic", 8),
    ("version", 4),
    ("kind", 4),
    ("salt", 4),
    ("crc", 4),
    ("number", 8),
    ("seqno before it", 8),
    ("length before it", 8),
    ("salt before it", 4),
    ("zeros", 12),
)
FRAME = (
    ("length", 4),
    ("crc", 4),
    ("seqno", 8),
    ("synced", 8),
    ("kind", 1),
    ("flags", 1),
    ("part", 2),
    ("salt", 4),
)


def lines_of(raw, at, meaning):
    """Show some bytes, sixteen a line."""
    for first in range(0, len(raw), 16):
        part = raw[first : first + 16]
        yield f"{at + first:4}  {part.hex(' '):47}  {meaning if first == 0 else ''}".rstrip()


def fields_of(raw, at, fields):
    """Show numbers that follow each other."""
    for name, size in fields:
        value = int.from_bytes(raw[:size], "little")
        shown = f" 0x{value:08x}" if name in ("salt", "crc") else f" {value}"
        plain = name in ("magic", "zeros")
        yield from lines_of(raw[:size], at, name if plain else name + shown)
        raw, at = raw[size:], at + size


def items_of(payload, at):
    """Show a whole call, item by item."""
    items = msgpack.Unpacker()
    items.feed(payload)
    done = 0

    def taken(meaning):
        nonlocal done
        part, begin = payload[done : items.tell()], at + done
        done = items.tell()
        return lines_of(part, begin, meaning)

    n_changes = items.read_array_header()
    yield from taken(f"a call of {n_changes} change")
    for _ in range(n_changes):
        n_fields = items.read_array_header()
        yield from taken(f"a change of {n_fields} items")
        code = items.unpack()
        yield from taken(f"{CHANGES[code][0]}")
        for name in CHANGES[code][1:]:
            yield from taken(f"{name} {_shown(name, items.unpack())}")


def _shown(name, value):
    if name == "metadata":
        return [msgpack.unpackb(one) for one in value]
    if isinstance(value, bytes):
        return np.frombuffer(value, "<f4" if name == "vectors" else "<i8").tolist()
    return repr(value)


def annotated(path):
    """Show a log whose calls have one frame each."""
    raw = path.read_bytes()
    yield from fields_of(raw[:64], 0, HEADER)
    for frame in Log(raw).frames:
        yield ""
        yield from fields_of(raw[frame.offset : frame.offset + 32], frame.offset, FRAME)
        if frame.payload:
            yield from items_of(frame.payload, frame.offset + 32)


if __name__ == "__main__":
    print("\n".join(annotated(Path(sys.argv[1]) if len(sys.argv) > 1 else EXAMPLE)))
