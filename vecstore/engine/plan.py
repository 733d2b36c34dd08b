"""
What a call asks for: checked, and turned into changes, before anything is changed.

`Plan` takes the operations of one call in order, against the table *and* against the operations
before it, refuses the whole call at the first that is wrong, and ends as a list of changes that
`changes.apply` can carry out.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vecstore.engine.changes import Change, Describe, Expire, Kill, Revive
from vecstore.engine.checks import checked_id, checked_vectors, expiry_after, packed_metadata
from vecstore.engine.chunks import CHUNK, UNSET
from vecstore.engine.records import Appended, joined
from vecstore.engine.table import Table
from vecstore.engine.view import ReadView
from vecstore.errors import InvalidInput, NotAvailable, NotFound
from vecstore.index.vectors import as_row
from vecstore.model import BatchReport, UpsertReport

OPERATIONS = {
    "upsert": {"id", "vector", "metadata", "text", "ttl_s"},
    "delete": {"id"},
    "soft_delete": {"id"},
    "restore": {"id"},
    "update_metadata": {"id", "metadata"},
}


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
        self._upserts: list[Appended] = []
        self.changes: list[Change] = []
        self.counts = {"upserted": 0, "deleted": 0, "soft_deleted": 0, "restored": 0, "updated": 0}

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
        if not isinstance(name, str) or name not in OPERATIONS:
            raise InvalidInput.of(f"{call}.op", f"one of {', '.join(OPERATIONS)}", name)
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
        matrix = checked_vectors(f"{call}.vector", self._table.metric, row, self._dim)
        self._dim = matrix.shape[1]
        packed = packed_metadata(f"{call}.metadata", metadata)
        expires_at = UNSET if ttl_s is None else expiry_after(f"{call}.ttl_s", ttl_s, self._now)
        times = np.array([[self._now], [expires_at]], np.int64)
        self._upserts.append(Appended([record_id], matrix, [packed], times[0], times[1]))
        self._states[record_id] = "live"
        self.counts["upserted"] += 1

    def upsert_many(
        self, call: str, ids: list[str], vectors: Any, metadata: list[bytes]
    ) -> UpsertReport:
        """
        Plan many records at once.

        Parameters
        ----------
        call : str
            For errors.
        ids : list of str
            Checked.
        vectors : array-like
            As in `VecStore.upsert_many`.
        metadata : list of bytes
            Packed.

        Returns
        -------
        UpsertReport
            What it will have done.
        """
        matrix = checked_vectors(f"{call}(vectors)", self._table.metric, vectors, self._dim)
        if len(matrix) != len(ids):
            raise InvalidInput(f"{call}(vectors)", f"{len(ids)} rows", len(matrix))
        distinct = set(ids)
        updated = sum(self.state(record_id) == "live" for record_id in distinct)
        if ids:
            created = np.full(len(ids), self._now, np.int64)
            expires = np.full(len(ids), UNSET, np.int64)
            self.changes.append(Appended(ids, matrix, metadata, created, expires))
        return UpsertReport(inserted=len(distinct) - updated, updated=updated)

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
            self.changes.append(joined(self._upserts))
            self._upserts = []

    def finish(self) -> list[Change]:
        """
        End the plan.

        Returns
        -------
        list of Change
            What `apply` has to carry out.
        """
        self._flush()
        return self.changes

    def report(self) -> BatchReport:
        """
        Count what the changes do.

        Returns
        -------
        BatchReport
            Operations of each kind.
        """
        return BatchReport(**self.counts)
