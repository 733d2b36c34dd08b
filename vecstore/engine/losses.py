"""What a repair could not save, and what it met on the way; plain data, and who collects it."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from vecstore.model import VerifyIssue


@dataclasses.dataclass(frozen=True)
class Loss:
    """
    Something that could not be trusted, and was left out.

    Attributes
    ----------
    path : str
        The damaged or missing file.
    offset : int
        Where in the file, in bytes.
    text : str
        What is wrong there.
    slots : sequence of int
        Slots of the damaged store whose records are lost by it; those of a log are not numbered.
    ids : tuple of str
        Their ids, as far as they are known.
    """

    path: str
    offset: int
    text: str
    slots: Sequence[int] = ()
    ids: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Say it in one line."""
        parts = [f"{self.path} at byte {self.offset:,}: {self.text}"]
        if self.slots:
            parts.append(f"{len(self.slots):,} records from slot {self.slots[0]} on")
        if self.ids:
            shown = ", ".join(map(repr, self.ids[:5]))
            more = f" and {len(self.ids) - 5:,} more" if len(self.ids) > 5 else ""
            parts.append(f"ids {shown}{more}")
        return "; ".join(parts)


@dataclasses.dataclass(frozen=True)
class SalvageReport:
    """
    What `salvage` saved, and what it could not.

    Attributes
    ----------
    records, soft_deleted : int
        In the new store.
    losses : tuple of Loss
        What is not in it, or may not be.
    notes : tuple of VerifyIssue
        Damage that cost nothing.
    """

    records: int
    soft_deleted: int
    losses: tuple[Loss, ...]
    notes: tuple[VerifyIssue, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was lost."""
        return not self.losses


class Ledger:
    """Collects what a repair meets, in the order in which it meets it."""

    def __init__(self) -> None:
        self.losses: list[Loss] = []
        self.notes: list[VerifyIssue] = []

    def lose(
        self,
        path: Path,
        offset: int,
        text: str,
        slots: Sequence[int] = (),
        ids: Sequence[str] = (),
    ) -> None:
        """
        Enter something that is lost.

        Parameters
        ----------
        path : Path
            The file.
        offset : int
            Where in it.
        text : str
            What is wrong.
        slots, ids : sequence
            What went with it.
        """
        self.losses.append(Loss(str(path), offset, text, slots, tuple(ids)))

    def note(self, path: Path, offset: int, text: str) -> None:
        """
        Enter damage that cost nothing.

        Parameters
        ----------
        path : Path
            The file.
        offset : int
            Where in it.
        text : str
            What is wrong.
        """
        self.notes.append(VerifyIssue(str(path), offset, text))

    def report(self, records: int, soft_deleted: int) -> SalvageReport:
        """
        Close the ledger.

        Parameters
        ----------
        records, soft_deleted : int
            What was saved.

        Returns
        -------
        SalvageReport
            All of it.
        """
        return SalvageReport(records, soft_deleted, tuple(self.losses), tuple(self.notes))
