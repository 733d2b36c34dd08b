"""
What a call asks for: checked, in plain data, before anything is changed.

`Plan` takes the operations of one call in order, against the table *and* against the operations
before it, refuses the whole call at the first that is wrong, and ends as a list of changes that
`apply` can carry out. A log will store the same changes, and recovery will apply them again.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgpack
import numpy as np
from numpy.typing import NDArray

from vecstore.engine.chunks import CHUNK, UNSET
from vecstore.engine.table import Appended, Table
from vecstore.engine.view import NEVER, ReadView
from vecstore.errors import InvalidInput, NotAvailable, NotFound
from vecstore.index.base import as_row, checked_matrix, refuse_zeros
from vecstore.kernels.distance import METRICS
from vecstore.model import BatchReport

MAX_ID_BYTES = 1024
MAX_METADATA_BYTES = 1 << 24
MAX_DEPTH = 64
OPERATIONS = {
    "upsert": {"id", "vector", "metadata", "text", "ttl_s"},
    "delete": {"id"},
    "soft_delete": {"id"},
    "restore": {"id"},
    "update_metadata": {"id", "metadata"},
}


class Kill(NamedTuple):
    """End the record of an id; softly, at a moment, where `hidden_at` is set."""

    id: str
    hidden_at: int


class Revive(NamedTuple):
    """Append the hidden or expired record of an id again; an expiry before `now` is dropped."""

    id: str
    now: int


class Describe(NamedTuple):
    """Replace the packed metadata of an id."""

    id: str
    metadata: bytes


class Expire(NamedTuple):
    """Set the expiry of an id; `UNSET` for none."""

    id: str
    expires_at: int


class Sweep(NamedTuple):
    """End the records of slots that outlived their TTL."""

    slots: NDArray[np.int64]


Change = Appended | Kill | Revive | Describe | Expire | Sweep


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
    size = len(_utf8(call, record_id))
    if not 1 <= size <= MAX_ID_BYTES:
        raise InvalidInput(call, f"1 to {MAX_ID_BYTES} bytes of UTF-8", f"{size} bytes")
    return str(record_id)


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
    raw: bytes = msgpack.packb(_plain(call, metadata, 0))
    if len(raw) > MAX_METADATA_BYTES:
        raise InvalidInput(call, f"at most {MAX_METADATA_BYTES} bytes packed", f"{len(raw)} bytes")
    return raw


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
    if isinstance(ttl_s, bool) or not isinstance(ttl_s, int | float | np.number):
        raise InvalidInput(call, "seconds above 0, or None", repr(ttl_s))
    seconds = float(ttl_s)
    if not (math.isfinite(seconds) and seconds > 0):
        raise InvalidInput(call, "seconds above 0, or None", repr(ttl_s))
    return min(NEVER - 1, now + max(1, round(seconds * 1000)))


def checked_vectors(call: str, table: Table, vectors: Any, dim: int | None) -> NDArray[np.float32]:
    """
    Check vectors for a table.

    Parameters
    ----------
    call : str
        Call and argument, for errors.
    table : Table
        Whose metric decides about zero vectors.
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
    refuse_zeros(call, METRICS[table.metric], matrix)
    return matrix


class Plan:
    """
    The changes of one call.

    Parameters
    ----------
    table : Table
        What they will be applied to; only read here.
    view : ReadView
        Its newest state.
    now : int
        The moment of the call, Unix milliseconds.
    """

    def __init__(self, table: Table, view: ReadView, now: int) -> None:
        self._table = table
        self._view = view
        self._now = now
        self._dim = table.dim
        self._states: dict[str, str] = {}
        self._upserts: list[tuple[str, NDArray[np.float32], bytes, int]] = []
        self.changes: list[Change] = []
        self.counts = dict.fromkeys(
            ("upserted", "deleted", "soft_deleted", "restored", "updated"), 0
        )

    def state(self, record_id: str) -> str:
        """
        Say what an id is by now: ``"live"``, ``"hidden"`` (restorable), or ``"gone"``.

        Parameters
        ----------
        record_id : str
            A checked id.

        Returns
        -------
        str
            After the operations planned so far.
        """
        if record_id in self._states:
            return self._states[record_id]
        slot = self._view.names.find(record_id, self._view.n)
        if slot < 0:
            return "gone"
        if self._view.is_live(slot):
            return "hidden" if self._view.is_expired(slot, self._now) else "live"
        deleted_at = self._view.chunks[slot // CHUNK].deleted_at[slot % CHUNK]
        return "hidden" if deleted_at != UNSET else "gone"

    def add(self, number: int, operation: object) -> None:
        """
        Take one operation of `batch`.

        Parameters
        ----------
        number : int
            Its index, for errors.
        operation : dict
            As in `VecStore.batch`.

        Raises
        ------
        InvalidInput
            If it is malformed.
        NotFound
            If it needs a record that is not there.
        """
        call = f"batch(operations[{number}])"
        if not isinstance(operation, Mapping):
            raise InvalidInput(call, "a dict", type(operation).__name__)
        fields = dict(operation)
        name = fields.pop("op", None)
        if name not in OPERATIONS:
            raise InvalidInput(f"{call}.op", f"one of {', '.join(OPERATIONS)}", repr(name))
        unknown = sorted(map(str, set(fields) - OPERATIONS[name]))
        if unknown:
            raise InvalidInput(call, f"only {', '.join(sorted(OPERATIONS[name]))}", unknown[0])
        record_id = checked_id(f"{call}.id", fields.pop("id", None))
        getattr(self, name)(call, record_id, **fields)

    def upsert(
        self,
        call: str,
        record_id: str,
        vector: Any = None,
        metadata: Any = None,
        text: Any = None,
        ttl_s: Any = None,
    ) -> None:
        """
        Plan one record.

        Parameters
        ----------
        call : str
            For errors.
        record_id : str
            Checked.
        vector, metadata, text, ttl_s
            As in `VecStore.upsert`.
        """
        if text is not None:
            raise NotAvailable(f"{call}: text", "keep it in the metadata for now")
        row = as_row(f"{call}.vector", vector)
        matrix = checked_vectors(f"{call}.vector", self._table, row, self._dim)
        self._dim = matrix.shape[1]
        packed = packed_metadata(f"{call}.metadata", metadata)
        expires_at = expiry_after(f"{call}.ttl_s", ttl_s, self._now)
        self._upserts.append((record_id, matrix, packed, expires_at))
        self._states[record_id] = "live"
        self.counts["upserted"] += 1

    def delete(self, call: str, record_id: str) -> None:
        """
        Plan a hard deletion.

        Parameters
        ----------
        call : str
            For errors.
        record_id : str
            Checked; must be live.
        """
        self._must_be_live(call, record_id)
        self._change(record_id, Kill(record_id, UNSET), "gone", "deleted")

    def soft_delete(self, call: str, record_id: str) -> None:
        """
        Plan a soft deletion; nothing where there is no live record.

        Parameters
        ----------
        call : str
            For errors.
        record_id : str
            Checked.
        """
        if self.state(record_id) == "live":
            self._change(record_id, Kill(record_id, self._now), "hidden", "soft_deleted")

    def restore(self, call: str, record_id: str) -> None:
        """
        Plan a restoration; nothing where nothing is hidden.

        Parameters
        ----------
        call : str
            For errors.
        record_id : str
            Checked.
        """
        if self.state(record_id) == "hidden":
            self._change(record_id, Revive(record_id, self._now), "live", "restored")

    def update_metadata(
        self, call: str, record_id: str, metadata: Any = None, merge: bool = False
    ) -> None:
        """
        Plan new metadata.

        Parameters
        ----------
        call : str
            For errors.
        record_id : str
            Checked; must be live.
        metadata : dict
            JSON-like.
        merge : bool
            Keep the stored keys that are not in `metadata`; not within a batch.
        """
        self._must_be_live(call, record_id)
        if metadata is None:
            raise InvalidInput(f"{call}.metadata", "a dict", "None")
        packed = packed_metadata(f"{call}.metadata", metadata)
        if merge:
            old = self._view.metadata(self._view.locate(call, record_id, self._now))
            packed = packed_metadata(f"{call}.metadata", {**old, **metadata})
        self._change(record_id, Describe(record_id, packed), "live", "updated")

    def set_ttl(self, call: str, record_id: str, ttl_s: Any) -> None:
        """
        Plan another expiry.

        Parameters
        ----------
        call : str
            For errors.
        record_id : str
            Checked; must be live.
        ttl_s : float or None
            Seconds from now.
        """
        self._must_be_live(call, record_id)
        expires_at = expiry_after(f"{call}.ttl_s", ttl_s, self._now)
        self._change(record_id, Expire(record_id, expires_at), "live", "updated")

    def _must_be_live(self, call: str, record_id: str) -> None:
        if self.state(record_id) != "live":
            raise NotFound(record_id, call)

    def _change(self, record_id: str, change: Change, state: str, counted: str) -> None:
        self._flush()
        self.changes.append(change)
        self._states[record_id] = state
        self.counts[counted] += 1

    def _flush(self) -> None:
        """Turn the upserts in a row into one change."""
        if self._upserts:
            ids, rows, metadata, expires = zip(*self._upserts, strict=True)
            self.changes.append(
                Appended(
                    ids=list(ids),
                    matrix=np.concatenate(rows),
                    metadata=list(metadata),
                    created_at=np.full(len(ids), self._now, np.int64),
                    expires_at=np.array(expires, np.int64),
                )
            )
            self._upserts = []

    def finish(self) -> BatchReport:
        """
        End the plan.

        Returns
        -------
        BatchReport
            What `changes` will do.
        """
        self._flush()
        return BatchReport(**self.counts)


def apply(table: Table, changes: Sequence[Change]) -> None:
    """
    Carry out planned changes.

    Parameters
    ----------
    table : Table
        What to change; the caller rolls back on failure.
    changes : sequence of Change
        From a plan against this very state.
    """
    for change in changes:
        match change:
            case Appended():
                table.append(change)
            case Revive(record_id, now):
                table.revive(table.names.find(record_id, table.n), now)
            case Kill(record_id, hidden_at):
                table.kill(table.names.find(record_id, table.n), hidden_at)
            case Sweep(slots):
                for slot in slots.tolist():
                    table.kill(slot)
                table.refresh_expiry()
            case Describe(record_id, metadata):
                table.set_metadata(table.names.find(record_id, table.n), metadata)
            case Expire(record_id, expires_at):
                table.set_expiry(table.names.find(record_id, table.n), expires_at)
