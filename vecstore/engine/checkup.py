"""
Whether a store on disk is whole, even where it cannot be opened: all damage, not the first.

A store that can be opened for reading is checked as `VecStore.verify` does; one that cannot, file
by file, by the manifest that `CURRENT` names or else by the newest that is whole. Not here: the
checks (`verify`), saving what is left (`salvage`).
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from vecstore.config import StoreConfig
from vecstore.engine.generation import open_table
from vecstore.engine.opening import open_reader
from vecstore.engine.recovery import logs_after
from vecstore.engine.report import verify
from vecstore.engine.settings import Wanted
from vecstore.engine.verify import (
    each_log_problem,
    file_problems,
    issue_of,
    snapshot_problems,
    table_problems,
)
from vecstore.errors import CorruptData, SnapshotNotFound
from vecstore.model import VerifyIssue, VerifyReport
from vecstore.storage.checkpoint import SECTION_KINDS
from vecstore.storage.evidence import judged_sections, whole_manifests
from vecstore.storage.file_names import is_own
from vecstore.storage.files import Files
from vecstore.storage.manifest import FileEntry, Manifest, read_current
from vecstore.storage.snapshot import place_of, read_note, snapshot_names

_ANYTHING = Wanted(StoreConfig(), None, None)


@dataclasses.dataclass(frozen=True)
class Checkup:
    """
    What was found.

    Attributes
    ----------
    store : VerifyReport
        Of the store itself.
    snapshots : dict of str to VerifyReport
        Of each snapshot.
    torn_bytes : int
        Bytes behind the last whole call: of a write that was cut short, or is under way. No damage.
    """

    store: VerifyReport
    snapshots: dict[str, VerifyReport]
    torn_bytes: int

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged."""
        return self.store.ok and all(report.ok for report in self.snapshots.values())


def check_store(files: Files, root: Path, *, full: bool) -> Checkup:
    """
    Look for damage in a store and its snapshots.

    Parameters
    ----------
    files : Files
        The file system; nothing is written.
    root : Path
        The store; others may write to it meanwhile.
    full : bool
        Check graph, ids and counts of each snapshot too, and not only its bytes.

    Returns
    -------
    Checkup
        What is damaged is reported, not raised.

    Raises
    ------
    NotAStore
        If there is no store.
    UnsupportedFormat
        If a newer version wrote it.
    """
    try:
        store = verify(open_reader(files, root, _ANYTHING, full=False))
    except (CorruptData, OSError) as exc:
        found = [issue_of(root, exc), *_problems_without_opening(files, root)]
        store = VerifyReport(tuple(dict.fromkeys(found)), ())
    snapshots = {
        name: VerifyReport(tuple(_snapshot_problems(files, root, name, full)), ())
        for name in snapshot_names(files, root)
    }
    return Checkup(store, snapshots, _torn_bytes(files, root))


def _problems_without_opening(files: Files, root: Path) -> Iterator[VerifyIssue]:
    """Check file by file what can be checked."""
    manifest = _newest(files, root)
    if manifest is not None:
        yield from file_problems(files, root, manifest)
    else:
        yield from _problems_without_manifest(files, root)
        yield from each_log_problem(files, root, 1)


def _newest(files: Files, root: Path) -> Manifest | None:
    try:
        return read_current(files, root)
    except (CorruptData, OSError):
        return next(iter(whole_manifests(files, root)), None)


def _problems_without_manifest(files: Files, root: Path) -> Iterator[VerifyIssue]:
    """Check each section file by the checksums it brings along; of rows nothing is known."""
    for name in files.names(root):
        kind = SECTION_KINDS.get(name.split("-")[0])
        if kind is None or not is_own(name):
            continue
        try:
            size = files.size(root / name)
            seal = int.from_bytes(files.read(root / name, 4, max(0, size - 4)), "little")
        except OSError as exc:
            yield issue_of(root / name, exc)
            continue
        for damage in judged_sections(files, root, FileEntry(name, size, seal), kind).damages:
            yield VerifyIssue(str(root / name), damage.offset, damage.text)


def _snapshot_problems(files: Files, root: Path, name: str, full: bool) -> list[VerifyIssue]:
    try:
        problems = list(snapshot_problems(files, root, name))
        if name not in snapshot_names(files, root):
            return []  # deleted meanwhile
        if problems or not full:
            return problems
        place, manifest = place_of(root, name), read_note(files, root, name, "verify").manifest
        table = open_table(files, place, manifest, _ANYTHING.config_over(place, manifest))
        return table_problems(table.view())[0]
    except (CorruptData, OSError) as exc:
        return [issue_of(place_of(root, name), exc)]
    except SnapshotNotFound:
        return []  # deleted a moment ago


def _torn_bytes(files: Files, root: Path) -> int:
    torn = 0
    try:
        for reader, _ in logs_after(files, root, read_current(files, root)):
            for _ in reader.calls():
                pass
            torn = reader.torn_bytes
    except (CorruptData, OSError):
        return 0  # where something is damaged, it is not known what is torn
    return torn
