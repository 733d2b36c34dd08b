"""
What is known of a slot beside vector and id: metadata and times, in chunks of 4096 slots.

A chunk that a view holds is never changed below the view's slots; a change replaces it by a copy.
Metadata stays packed (MessagePack) until somebody looks at it. `UNSET` stands for "no time".
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgpack
import numpy as np
from numpy.typing import NDArray

from vecstore.engine.names import MappedBlobs, packed
from vecstore.errors import CorruptData

CHUNK = 4096
UNSET = -1
_TIMES = ("created_at", "expires_at", "deleted_at")


class Chunk(NamedTuple):
    """
    The facts of up to `CHUNK` consecutive slots.

    Attributes
    ----------
    metadata : sequence of bytes
        Packed; a list in memory, mapped from a file.
    created_at, expires_at, deleted_at : int64[slots]
        Unix milliseconds; `deleted_at` is set while the slot is soft-deleted.
    """

    metadata: Sequence[bytes] | MappedBlobs
    created_at: NDArray[np.int64]
    expires_at: NDArray[np.int64]
    deleted_at: NDArray[np.int64]


def empty_chunk() -> Chunk:
    """
    Make a chunk in memory.

    Returns
    -------
    Chunk
        Without metadata, with room for `CHUNK` times.
    """
    return Chunk([], *(np.full(CHUNK, UNSET, np.int64) for _ in _TIMES))


def thawed(chunk: Chunk) -> Chunk:
    """
    Copy a chunk into memory, so that it can be changed.

    Parameters
    ----------
    chunk : Chunk
        Mapped or in memory.

    Returns
    -------
    Chunk
        With arrays of `CHUNK` places.
    """
    copy = empty_chunk()
    metadata: Any = copy.metadata
    metadata.extend(chunk.metadata[i] for i in range(len(chunk.metadata)))
    for own, old in zip(copy[1:], chunk[1:], strict=True):
        own[: len(old)] = old
    return copy


def chunk_sections(chunks: Sequence[Chunk], n: int) -> dict[str, NDArray[Any]]:
    """
    Write the chunks of `n` slots down.

    Parameters
    ----------
    chunks : sequence of Chunk
        Covering at least `n` slots.
    n : int
        Slots.

    Returns
    -------
    dict
        Sections `offsets`, `blob`, `created_at`, `expires_at`, `deleted_at`.
    """
    whole = [
        chunk.metadata if isinstance(chunk.metadata, MappedBlobs) else chunk.metadata[: n - first]
        for first, chunk in zip(range(0, n, CHUNK), chunks, strict=False)
    ]
    offsets, blob = packed(whole)
    facts: dict[str, NDArray[Any]] = {"offsets": offsets, "blob": blob}
    return facts | {name: times(chunks, name, n) for name in _TIMES}


def times(chunks: Sequence[Chunk], name: str, n: int) -> NDArray[np.int64]:
    """
    Join one kind of times over all slots.

    Parameters
    ----------
    chunks : sequence of Chunk
        Covering at least `n` slots.
    name : str
        ``"created_at"``, ``"expires_at"`` or ``"deleted_at"``.
    n : int
        Slots.

    Returns
    -------
    int64[n]
        Unix milliseconds or `UNSET`.
    """
    parts = [getattr(chunk, name) for chunk in chunks]
    return np.concatenate([*parts, np.zeros(0, np.int64)])[:n]


def mapped_chunks(path: Path, arrays: dict[str, NDArray[Any]], n: int) -> list[Chunk]:
    """
    Look at a metadata file as chunks; nothing is read.

    Parameters
    ----------
    path : Path
        The file, for errors.
    arrays : dict
        Its sections.
    n : int
        Slots.

    Returns
    -------
    list of Chunk
        Mapped.
    """
    blobs = MappedBlobs(path, arrays["offsets"], arrays["blob"])
    return [
        Chunk(
            blobs.part(first, min(n, first + CHUNK)),
            *(arrays[name][first : min(n, first + CHUNK)] for name in _TIMES),
        )
        for first in range(0, n, CHUNK)
    ]


def unpacked(path: Path | None, raw: bytes) -> dict[str, Any]:
    """
    Unpack the metadata of one slot.

    Parameters
    ----------
    path : Path or None
        The store, for errors.
    raw : bytes
        Packed.

    Returns
    -------
    dict
        The caller's own.

    Raises
    ------
    CorruptData
        If the bytes are no packed dictionary.
    """
    try:
        # each size inside is bounded by the length of `raw`, so damage cannot make it allocate much
        metadata = msgpack.unpackb(raw)
    except (ValueError, msgpack.UnpackException, UnicodeDecodeError) as exc:
        raise CorruptData(path or Path(), 0, f"metadata cannot be unpacked: {exc}") from exc
    if not isinstance(metadata, dict):
        raise CorruptData(path or Path(), 0, "metadata is not a dictionary")
    return metadata
