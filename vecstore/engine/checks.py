"""
Checks of what a record is made of: id, metadata, time to live, vector.

Each returns the value in the one form the engine keeps, or raises `InvalidInput` naming the place
inside the argument. Nothing here looks at a store's records.
"""

import contextlib
import math
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from vecstore.engine.chunks import UNSET
from vecstore.engine.view import NEVER
from vecstore.errors import InvalidInput
from vecstore.index.vectors import checked_matrix, refuse_zeros
from vecstore.kernels.distance import METRICS

MAX_ID_BYTES = 1024
MAX_METADATA_BYTES = 1 << 24
MAX_DEPTH = 64


def checked_id(call: str, record_id: object) -> str:
    """
    Check an id.

    Parameters
    ----------
    call : str
        Call and argument, for errors.
    record_id : object
        What came.

    Returns
    -------
    str
        The id.

    Raises
    ------
    InvalidInput
        If it is no str, empty, no valid Unicode, or over 1 KiB.
    """
    if not isinstance(record_id, str):
        raise InvalidInput(call, "a str", f"{type(record_id).__name__}")
    raw = _utf8(call, record_id)
    if not 1 <= len(raw) <= MAX_ID_BYTES:
        raise InvalidInput(call, f"1 to {MAX_ID_BYTES} bytes of UTF-8", f"{len(raw)} bytes")
    return raw.decode()  # plain, also where a subclass of str came


def _utf8(call: str, text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise InvalidInput(call, "valid Unicode", "a lone surrogate") from None


def packed_metadata(call: str, metadata: object) -> bytes:
    """
    Check metadata and pack it.

    Parameters
    ----------
    call : str
        Call and argument, for errors.
    metadata : dict or None
        JSON-like; None counts as empty.

    Returns
    -------
    bytes
        MessagePack; types survive.

    Raises
    ------
    InvalidInput
        Naming the place of the first value that cannot be kept.
    """
    if metadata is None:
        return b"\x80"
    if not isinstance(metadata, dict):
        raise InvalidInput(call, "a dict", type(metadata).__name__)
    plain = metadata if _is_flat(metadata) else _plain(call, metadata, 0)
    raw: bytes = msgpack.packb(plain)
    if len(raw) > MAX_METADATA_BYTES:
        raise InvalidInput(call, f"at most {MAX_METADATA_BYTES} bytes packed", f"{len(raw)} bytes")
    return raw


def _is_flat(metadata: dict[Any, Any]) -> bool:
    """Say of most metadata, quickly, that it can be kept as it is; of the rest, nothing."""
    for key, value in metadata.items():
        kind = type(value)
        if type(key) is not str or not key.isascii():
            return False
        if kind is str:
            if not value.isascii():  # which might hold a lone surrogate
                return False
        elif kind is int:
            if not -(2**63) <= value < 2**63:
                return False
        elif kind is float:
            if not math.isfinite(value):
                return False
        elif kind is not bool and value is not None:
            return False
    return True


def _plain(place: str, value: object, depth: int) -> object:
    """Check one value; subclasses of the JSON types become those."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _utf8(place, value).decode()
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise InvalidInput(place, "an int of 64 bits", value)
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidInput(place, "a finite float", value)
        return float(value)
    if depth >= MAX_DEPTH:
        raise InvalidInput(place, f"at most {MAX_DEPTH} levels", "more")
    if isinstance(value, list):
        return [_plain(f"{place}[{i}]", item, depth + 1) for i, item in enumerate(value)]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise InvalidInput(place, "keys of type str", f"the key {key!r}")
        return {
            _utf8(place, key).decode(): _plain(f"{place}[{key!r}]", item, depth + 1)
            for key, item in value.items()
        }
    expected = "str, int, float, bool, None, list or dict"
    raise InvalidInput(place, expected, f"{type(value).__name__}")


def expiry_after(call: str, ttl_s: object, now: int) -> int:
    """
    Turn a time to live into a moment.

    Parameters
    ----------
    call : str
        Call and argument, for errors.
    ttl_s : float or None
        Seconds, above 0; None for no end.
    now : int
        Unix milliseconds.

    Returns
    -------
    int
        Unix milliseconds or `UNSET`.

    Raises
    ------
    InvalidInput
        If it is no positive, finite number.
    """
    if ttl_s is None:
        return UNSET
    seconds = math.nan
    if isinstance(ttl_s, int | float | np.integer | np.floating) and not isinstance(ttl_s, bool):
        with contextlib.suppress(OverflowError):  # an int beyond float stays nan, and is refused
            seconds = float(ttl_s)
    if not (math.isfinite(seconds) and seconds > 0):
        raise InvalidInput.of(call, "seconds above 0, or None", ttl_s)
    return min(NEVER - 1, now + max(1, round(min(seconds, 1e15) * 1000)))


def checked_vectors(call: str, metric: str, vectors: Any, dim: int | None) -> NDArray[np.float32]:
    """
    Check vectors for a store.

    Parameters
    ----------
    call : str
        Call and argument, for errors.
    metric : str
        Decides about zero vectors.
    vectors : array-like
        Numbers of shape [n, dim].
    dim : int or None
        Components that must come.

    Returns
    -------
    float32[n, dim]
        The caller's own array where it has that form already.

    Raises
    ------
    InvalidInput
        If a row is refused, which is named.
    """
    matrix = checked_matrix(call, vectors, dim)
    refuse_zeros(call, METRICS[metric], matrix)
    return matrix
