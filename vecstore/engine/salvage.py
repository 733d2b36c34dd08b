"""
Saving what can be trusted of a damaged store into a new one, and telling what could not be.

The damaged store is only read. Of its generation whole records are kept (`remains`), of its logs
whole calls (`log_remains`); the graph is built anew, so slots and seqnos are new ones. Here alone a
damaged `CURRENT` or manifest is not the end: an older manifest is gone by, if it is whole. Not
here: how a store that is not damaged is opened (`recovery`).
"""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np

from vecstore.config import MAX_DIM, StoreConfig, metric_name, whole_number
from vecstore.engine.generation import content_of, manifest_of
from vecstore.engine.log_remains import LogRemains
from vecstore.engine.losses import Ledger, SalvageReport
from vecstore.engine.remains import Places, Remains
from vecstore.engine.table import Table
from vecstore.errors import CorruptData, InvalidInput, NotAStore, StoreLocked
from vecstore.index.vectors import MAX_SLOTS
from vecstore.kernels.graph import HnswGraph
from vecstore.storage.checkpoint import RowsContent, write_files
from vecstore.storage.delivery import delivered
from vecstore.storage.evidence import whole_manifests
from vecstore.storage.file_names import CURRENT, is_own
from vecstore.storage.files import Files
from vecstore.storage.manifest import MAX_LINE_BYTES, Manifest, draft, read_current, swap
from vecstore.storage.snapshot import NOTE, checked_name, place_of, read_note, snapshot_names
from vecstore.storage.wal import Log


def salvage(path: str | Path, out: str | Path, *, snapshot: str | None = None) -> SalvageReport:
    """
    Save what can be trusted of a damaged store into a new one.

    Parameters
    ----------
    path : path-like
        The damaged store; it is only read, and nobody may be writing to it.
    out : path-like
        Where the new store is to be; nothing may be there.
    snapshot : str, optional
        Save this snapshot of the store instead of its present state.

    Returns
    -------
    SalvageReport
        How much was saved, what was lost and where the damage is.

    Raises
    ------
    AlreadyExists
        If something is at `out`.
    NotAStore
        If nothing of a store is at `path`.
    SnapshotNotFound
        If there is no snapshot of this name.
    CorruptData
        If no manifest is whole: then nothing tells what the other files mean.

    Notes
    -----
    A record is saved where its vector, id, metadata, times and live bit lie in blocks that match
    their checksums; a call in the log where its own does. Of what was changed by a call that is
    lost, the state before it is saved. Times to live, times of creation and soft-deleted records
    survive.

    Examples
    --------
    >>> import tempfile, vecstore
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with vecstore.open(f"{folder}/store") as store:
    ...         store.upsert("a", [1.0, 0.0])
    ...     report = vecstore.salvage(f"{folder}/store", f"{folder}/saved")
    >>> report.records, report.ok
    (1, True)
    """
    for name, given in (("path", path), ("out", out)):
        if not isinstance(given, str | os.PathLike):
            raise InvalidInput.of(f"salvage({name})", "a path", given)
    if Path(out).absolute().is_relative_to(Path(path).absolute()):
        raise InvalidInput.of("salvage(out)", "a place outside of the damaged store", str(out))
    return salvage_into(Files(), Path(path), Path(out), snapshot)


def salvage_into(files: Files, root: Path, out: Path, snapshot: str | None) -> SalvageReport:
    """
    Save what can be trusted of a damaged store, over any file system.

    Parameters
    ----------
    files : Files
        The file system.
    root, out : Path
        The damaged store and the new one.
    snapshot : str or None
        As for `salvage`.

    Returns
    -------
    SalvageReport
        As `salvage` gives it.
    """
    ledger = Ledger()
    if not any(is_own(name) for name in _names(files, root)):
        raise NotAStore(root, "nothing of a store is there")
    current = _current(files, root)
    if snapshot is None:
        place, manifest = root, _manifest_of_store(files, root, ledger)
    else:
        place, manifest = _manifest_of_snapshot(files, root, snapshot, ledger)
    with delivered(files, out, empty_ok=False) as partial:
        table = _new_table(place, manifest)
        places: Places = np.zeros(0, np.int64)
        if manifest.files:
            places = Remains(files, place, manifest, ledger).bring_into(table)
        if snapshot is None:
            LogRemains(table, places, manifest, ledger).replay(files, root)
        if _current(files, root) != current:
            raise StoreLocked(root, "somebody who has just written to it")
        _build_graph(table)
        _write(files, partial, table)
    return ledger.report(table.n_live, table.n_soft)


def _names(files: Files, root: Path) -> list[str]:
    try:
        return files.names(root)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _current(files: Files, root: Path) -> bytes:
    """Give what CURRENT says, to see later whether it has changed."""
    try:
        return files.read(root / CURRENT, MAX_LINE_BYTES)
    except OSError:
        return b""


def _manifest_of_store(files: Files, root: Path, ledger: Ledger) -> Manifest:
    """Take the manifest that CURRENT names, or else an older one that is whole."""
    try:
        return read_current(files, root)
    except (CorruptData, OSError) as exc:
        return _older(files, root, _damage(root / CURRENT, exc), ledger, _hint(files, root))


def _manifest_of_snapshot(
    files: Files, root: Path, name: object, ledger: Ledger
) -> tuple[Path, Manifest]:
    checked = checked_name("salvage(snapshot)", name)
    place = place_of(root, checked)
    try:
        return place, read_note(files, root, checked, "salvage(snapshot)").manifest
    except (CorruptData, OSError) as exc:
        return place, _older(files, place, _damage(place / NOTE, exc), ledger, "")


def _damage(path: Path, exc: CorruptData | OSError) -> CorruptData:
    """Take a page that the medium cannot read as damage, and nothing else."""
    if isinstance(exc, CorruptData):
        return exc
    if exc.errno != errno.EIO:
        raise exc
    return CorruptData(Path(exc.filename or path), 0, f"it cannot be read: {exc.strerror}")


def _older(files: Files, root: Path, exc: CorruptData, ledger: Ledger, hint: str) -> Manifest:
    found = whole_manifests(files, root)
    if not found:
        raise CorruptData(exc.path, exc.offset, f"{exc.reason}; no manifest is whole{hint}")
    text = f"{exc.reason}; went by {found[0].name}, and what is newer is lost if there was any"
    ledger.lose(exc.path, exc.offset, text)
    return found[0]


def _hint(files: Files, root: Path) -> str:
    names = snapshot_names(files, root)
    return f", but there are snapshots: {', '.join(names)}" if names else ""


def _new_table(root: Path, manifest: Manifest) -> Table:
    try:
        metric = metric_name(manifest.metric)
        config = StoreConfig.from_dict(manifest.config)
        whole_number("n", manifest.n, 0, MAX_SLOTS)
        if manifest.dim is not None:
            whole_number("dim", manifest.dim, 1, MAX_DIM)
    except InvalidInput as exc:
        raise CorruptData(root / manifest.name, 0, f"impossible settings: {exc}") from exc
    return Table(root, metric, manifest.dim, config)


def _build_graph(table: Table) -> None:
    """Absorb what is due, as a store does that was given these records."""

    def _publish(graph: HnswGraph) -> bool:
        table.take_graph(graph)
        return True

    if table.index is not None:
        table.index._absorb(table.index._due(), in_place=True, publish=_publish)


def _write(files: Files, root: Path, table: Table) -> None:
    """Write a table as the first generation of a store."""
    table.seqno = 1
    log = Log.create(files, root, table.seqno)
    log.close()
    view, content = table.view(), None
    if view.snapshot is not None and view.n > 0:
        rows: Any = view.snapshot.space.rows[: view.n]
        content = content_of(view, RowsContent(rows, None, 0, np.zeros(0, np.uint32)))
    manifest = manifest_of(view, table.config, table.metric, 1, log.header)
    draft(files, root, write_files(files, root, manifest, content))
    swap(files, root)
