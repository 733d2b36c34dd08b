"""
Making, listing, checking and restoring snapshots of an open store.

A snapshot is the generation that a checkpoint has just written. Restoring copies its rows, links
the other files, and makes them the current generation with one swap of `CURRENT`: a crash at any
point leaves the store as it was or as it is to be. Not here: the files (`storage.snapshot`).
"""

import contextlib
import dataclasses
from pathlib import Path

from vecstore.engine.generation import open_table
from vecstore.engine.maintenance import Maintenance
from vecstore.engine.opening import Parts
from vecstore.engine.saver import Saver
from vecstore.engine.table import Table
from vecstore.engine.verify import snapshot_problems
from vecstore.errors import CorruptData, InvalidInput, SnapshotNotFound, UnsupportedFormat
from vecstore.model import SnapshotInfo, VerifyReport
from vecstore.storage import snapshot
from vecstore.storage.checkpoint import check_generation
from vecstore.storage.files import Files
from vecstore.storage.frames import LogHeader
from vecstore.storage.manifest import Manifest


def create_snapshot(parts: Parts, name: object, now: int) -> SnapshotInfo:
    """
    Keep the newest state under a name.

    Parameters
    ----------
    parts : Parts
        The store.
    name : str
        As `storage.snapshot.checked_name` wants it.
    now : int
        Unix milliseconds.

    Returns
    -------
    SnapshotInfo
        What was made.
    """
    call = "create_snapshot"
    checked = snapshot.checked_name(f"{call}(name)", name)
    saver = _saver(parts, call)
    with saver.saving, saver.poisoning():
        saver.checkpoint()
        snapshot.create(saver.files, saver.root, checked, saver.manifest, now)
        return snapshot.describe(saver.files, saver.root, checked, call)


def list_snapshots(parts: Parts) -> list[SnapshotInfo]:
    """
    Describe all snapshots.

    Parameters
    ----------
    parts : Parts
        The store.

    Returns
    -------
    list of SnapshotInfo
        The oldest first, behind those that cannot be read.
    """
    found = _home(parts)
    if found is None:
        return []
    listed = []
    for name in snapshot.snapshot_names(*found):
        with contextlib.suppress(SnapshotNotFound):  # deleted a moment ago
            listed.append(snapshot.describe(*found, name, "list_snapshots"))
    return sorted(listed, key=lambda info: (info.created_at, info.seqno, info.name))


def snapshots_with_slots(parts: Parts) -> tuple[str, ...]:
    """
    Name the snapshots whose files may hold what the store has removed.

    Parameters
    ----------
    parts : Parts
        The store.

    Returns
    -------
    tuple of str
        Sorted; those that cannot be read are among them.
    """
    found = _home(parts)
    if found is None:
        return ()
    names = []
    for name in snapshot.snapshot_names(*found):
        try:
            if snapshot.read_note(*found, name, "compact").manifest.n > 0:
                names.append(name)
        except SnapshotNotFound:
            continue  # deleted a moment ago
        except (CorruptData, UnsupportedFormat, OSError):
            names.append(name)
    return tuple(names)


def delete_snapshot(parts: Parts, name: object) -> None:
    """
    Remove a snapshot.

    Parameters
    ----------
    parts : Parts
        The store.
    name : str
        Its name.
    """
    checked = snapshot.checked_name("delete_snapshot(name)", name)
    saver = _saver(parts, "delete_snapshot")
    with saver.saving, saver.poisoning():
        if checked not in snapshot.snapshot_names(saver.files, saver.root):
            raise SnapshotNotFound(checked, "delete_snapshot(name)")
        snapshot.delete(saver.files, saver.root, checked)


def verify_snapshot(parts: Parts, name: object) -> VerifyReport:
    """
    Compare every byte of a snapshot with its checksums.

    Parameters
    ----------
    parts : Parts
        The store.
    name : str
        Its name.

    Returns
    -------
    VerifyReport
        What is damaged is reported, not raised.
    """
    checked = snapshot.checked_name("verify_snapshot(name)", name)
    found = _home(parts)
    problems = list(snapshot_problems(*found, checked)) if found is not None else []
    if found is None or checked not in snapshot.snapshot_names(*found):
        raise SnapshotNotFound(checked, "verify_snapshot(name)")  # perhaps deleted meanwhile
    return VerifyReport(tuple(problems), ())


def restore_snapshot(parts: Parts, maintenance: Maintenance, name: object) -> None:
    """
    Make a snapshot the store, in one step.

    Parameters
    ----------
    parts : Parts
        The store.
    maintenance : Maintenance
        Its upkeep, which waits meanwhile.
    name : str
        Its name.
    """
    checked = snapshot.checked_name("restore_snapshot(name)", name)
    saver, writer = _saver(parts, "restore_snapshot"), parts.writer
    files, root = saver.files, saver.root
    with maintenance.alone("restore_snapshot()"):
        writer.refuse_writes()
        manifest = snapshot.read_note(files, root, checked, "restore_snapshot(name)").manifest
        check_generation(files, snapshot.place_of(root, checked), manifest)
        config, seqno = writer.table.config, writer.table.seqno + 1

        def _write(generation: int, log: LogHeader) -> tuple[Manifest, Table]:
            restored = dataclasses.replace(
                manifest,
                generation=generation,
                seqno=seqno,
                config=config.to_dict(),
                first_log=log.number,
                first_salt=log.salt,
                files=snapshot.bring_back(files, root, checked, manifest, generation),
            )
            return restored, open_table(files, root, restored, config)

        saver.install(seqno, _write)


def _saver(parts: Parts, call: str) -> Saver:
    parts.writer.refuse_writes()
    if parts.saver is None:
        raise InvalidInput(call, "a store on disk", "one in memory")
    return parts.saver


def _home(parts: Parts) -> tuple[Files, Path] | None:
    home = parts.saver or parts.follower
    return (home.files, home.root) if home is not None else None
