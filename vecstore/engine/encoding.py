"""
Changes as bytes: what a log holds of a call, and what recovery makes of it.

A call is a MessagePack array of changes, each an array that begins with its code:

    [1, ids, dim, vectors, metadata, created_at, expires_at]     upsert of n records, n at least 1
    [2, id, hidden_at]                                           delete; softly unless -1
    [3, id, now]                                                 restore
    [4, id, metadata]                                            update_metadata
    [5, id, expires_at]                                          set_ttl; -1 for none
    [6, slots]                                                   expire

`ids` is an array of str, `metadata` one of bin (each MessagePack of its own); `vectors` is a bin
of float32[n, dim], times and slots are bins of int64, little-endian. Times are Unix milliseconds.
A record takes less than a frame on its way through memory: large upserts are cut into several.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from vecstore.config import MAX_DIM
from vecstore.engine.changes import Change, Describe, Expire, Kill, Revive, Sweep
from vecstore.engine.checks import MAX_METADATA_BYTES, checked_id
from vecstore.engine.records import Appended
from vecstore.errors import InvalidInput
from vecstore.storage.files import Buffer
from vecstore.storage.frames import MAX_CALL_BYTES

UPSERT, DELETE, RESTORE, DESCRIBE, EXPIRY, SWEEP, BATCH = 1, 2, 3, 4, 5, 6, 255
_PIECE_BYTES = 1 << 28
_SMALL_BYTES = 1 << 16


def encode(changes: Sequence[Change]) -> tuple[int, list[Buffer]]:
    """
    Write the changes of a call down.

    Parameters
    ----------
    changes : sequence of Change
        Planned.

    Returns
    -------
    kind, chunks
        What the call does, and its byte stream; vectors are not copied.

    Raises
    ------
    InvalidInput
        If the stream is longer than a call may be.
    """
    pieces = [piece for change in changes for piece in _pieces(change)]
    packer = msgpack.Packer()
    chunks: list[Buffer] = [packer.pack_array_header(len(pieces))]
    codes = set()
    for piece in pieces:
        code, parts = _encoded(packer, piece)
        codes.add(code)
        chunks += parts
    size = sum(len(chunk) for chunk in chunks)
    if size > MAX_CALL_BYTES:
        raise InvalidInput("a call", f"at most {MAX_CALL_BYTES} bytes", f"{size} bytes")
    return (codes.pop() if len(codes) == 1 else BATCH), chunks


def _encoded(packer: msgpack.Packer, change: Change) -> tuple[int, list[Buffer]]:
    match change:
        case Appended():
            return UPSERT, _encoded_upsert(packer, change)
        case Kill(record_id, hidden_at):
            fields: list[Any] = [DELETE, record_id, hidden_at]
        case Revive(record_id, now):
            fields = [RESTORE, record_id, now]
        case Describe(record_id, metadata):
            fields = [DESCRIBE, record_id, metadata]
        case Expire(record_id, expires_at):
            fields = [EXPIRY, record_id, expires_at]
        case Sweep(slots):
            fields = [SWEEP, _int64(slots)]
    return fields[0], [packer.pack(fields)]


def _encoded_upsert(packer: msgpack.Packer, records: Appended) -> list[Buffer]:
    matrix = np.ascontiguousarray(records.matrix, "<f4")
    if matrix.nbytes <= _SMALL_BYTES:
        times = (_int64(records.created_at), _int64(records.expires_at))
        vectors = (matrix.shape[1], matrix.tobytes())
        return [packer.pack([UPSERT, records.ids, *vectors, records.metadata, *times])]
    before = (packer.pack_array_header(7), b"\x01", packer.pack(records.ids))
    # the header of a bin of 32 bits; the vectors are handed over as they lie in memory
    begin = packer.pack(matrix.shape[1]) + struct.pack(">BI", 0xC6, matrix.nbytes)
    times = (_int64(records.created_at), _int64(records.expires_at))
    after = (packer.pack(records.metadata), packer.pack(times[0]), packer.pack(times[1]))
    return [b"".join(before) + begin, matrix.reshape(-1).view(np.uint8).data, b"".join(after)]


def _pieces(change: Change) -> Iterator[Change]:
    """Cut a large upsert, so that no bin outgrows MessagePack."""
    if not isinstance(change, Appended) or change.matrix.nbytes <= _PIECE_BYTES:
        yield change
        return
    rows = max(1, _PIECE_BYTES // change.matrix[:1].nbytes)
    for first in range(0, len(change.ids), rows):
        part = slice(first, first + rows)
        yield Appended(
            ids=change.ids[part],
            matrix=change.matrix[part],
            metadata=change.metadata[part],
            created_at=change.created_at[part],
            expires_at=change.expires_at[part],
        )


def _int64(values: NDArray[np.int64]) -> bytes:
    return values.astype("<i8", copy=False).tobytes()


def decode(payload: bytes) -> list[Change]:
    """
    Read the changes of a call.

    Parameters
    ----------
    payload : bytes
        From a log, where checksums vouch for it; it is checked all the same.

    Returns
    -------
    list of Change
        Of the right types and shapes; whether ids and slots exist, `apply` finds out.

    Raises
    ------
    InvalidInput, ValueError, TypeError
        If it is nothing that `encode` writes.
    """
    # subtle: MessagePack bounds each size inside by the length of the payload
    try:
        listed = msgpack.unpackb(payload, strict_map_key=True)
    except msgpack.UnpackException as exc:
        raise InvalidInput("call", "MessagePack", str(exc)) from exc
    if not isinstance(listed, list):
        raise InvalidInput("call", "an array of changes", type(listed).__name__)
    return [_change(*item) for item in listed]


def _change(code: int, *fields: Any) -> Change:
    match code, *fields:
        case (1, ids, dim, vectors, metadata, created_at, expires_at):
            return _upsert(ids, dim, vectors, metadata, created_at, expires_at)
        case (2, record_id, int(hidden_at)):
            return Kill(checked_id("id", record_id), hidden_at)
        case (3, record_id, int(now)):
            return Revive(checked_id("id", record_id), now)
        case (4, record_id, bytes(metadata)) if len(metadata) <= MAX_METADATA_BYTES:
            return Describe(checked_id("id", record_id), metadata)
        case (5, record_id, int(expires_at)):
            return Expire(checked_id("id", record_id), expires_at)
        case (6, bytes(slots)):
            return Sweep(np.frombuffer(slots, "<i8").astype(np.int64))
    raise InvalidInput("change", "one of the forms above", f"code {code}")


def _upsert(
    ids: Any, dim: Any, vectors: Any, metadata: Any, created_at: Any, expires_at: Any
) -> Appended:
    if not isinstance(ids, list) or not isinstance(metadata, list):
        raise InvalidInput("upsert", "arrays of ids and of metadata", "others")
    n = len(ids)
    bins = (*metadata, vectors, created_at, expires_at)
    if not all(isinstance(one, bytes) for one in bins) or len(metadata) != n:
        raise InvalidInput("upsert", f"{n} records", "others")
    if type(dim) is not int or not 1 <= dim <= MAX_DIM:
        raise InvalidInput("dim", f"1 to {MAX_DIM}", dim)
    matrix = np.frombuffer(vectors, "<f4").reshape(n, dim)
    times = [np.frombuffer(raw, "<i8").astype(np.int64) for raw in (created_at, expires_at)]
    if n == 0 or any(len(values) != n for values in times):
        raise InvalidInput("times", f"{n} of them", [len(values) for values in times])
    return Appended([checked_id("ids", one) for one in ids], matrix, list(metadata), *times)
