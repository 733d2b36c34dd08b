"""
Changes as plain data, and how a table carries them out: now, and again when a log is replayed.

Not here: what may be asked for (`plan`), how changes are written down (`encoding`).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecstore.engine.records import Appended
from vecstore.engine.table import Table
from vecstore.errors import InvalidInput
from vecstore.index.vectors import MAX_SLOTS


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


def _slot(table: Table, record_id: str) -> int:
    slot = table.names.find(record_id, table.n)
    if slot < 0:
        raise InvalidInput("id", "one that has a slot", record_id)  # only a damaged log says so
    return slot


def make_room(table: Table, changes: Sequence[Change]) -> None:
    """
    Make room for changes, so that nothing but memory is needed once they are logged.

    Parameters
    ----------
    table : Table
        What they will be applied to.
    changes : sequence of Change
        Planned.

    Raises
    ------
    InvalidInput
        If they need more slots than there can be.
    OSError
        If the system has no room.
    """
    n = table.n
    for change in changes:
        n += len(change.ids) if isinstance(change, Appended) else isinstance(change, Revive)
    if n > MAX_SLOTS:
        raise InvalidInput("a call", f"at most {MAX_SLOTS} slots in all", n)
    if table.index is not None:
        table.index.storage.reserve(n)


def apply(table: Table, changes: Sequence[Change]) -> None:
    """
    Carry out planned changes.

    Parameters
    ----------
    table : Table
        What to change; the caller rolls back on failure.
    changes : sequence of Change
        From a plan against this very state, or from a log.

    Raises
    ------
    InvalidInput
        If the log that they came from does not belong to this table.
    """
    for change in changes:
        match change:
            case Appended():
                table.append(change)
            case Revive(record_id, now):
                table.revive(_slot(table, record_id), now)
            case Kill(record_id, hidden_at):
                table.kill(_slot(table, record_id), hidden_at)
            case Sweep(slots):
                for slot in slots.tolist():
                    if not 0 <= slot < table.n:
                        raise InvalidInput("slots", f"slots below {table.n}", slot)
                    table.kill(slot)
                table.refresh_expiry()
            case Describe(record_id, metadata):
                table.set_metadata(_slot(table, record_id), metadata)
            case Expire(record_id, expires_at):
                table.set_expiry(_slot(table, record_id), expires_at)
