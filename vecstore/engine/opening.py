"""
Opening a store: for writing, for reading beside a writer, or in memory.

A writer holds the lock of the directory, a reader none. What comes out is `Parts`, which a handle
(`vecstore.store`) puts to work. Not here: how a store is brought back (`recovery`, `follower`).
"""

import contextlib
import itertools
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vecstore.engine.follower import Follower
from vecstore.engine.generation import manifest_of
from vecstore.engine.journal import Journal
from vecstore.engine.recovery import recover, resume
from vecstore.engine.saver import Saver
from vecstore.engine.settings import Wanted
from vecstore.engine.table import Table
from vecstore.engine.writer import Writer
from vecstore.errors import CorruptData, NotAStore
from vecstore.storage.checkpoint import check_generation, holds_store, remove_stale
from vecstore.storage.file_names import LOCK
from vecstore.storage.files import Files, Lock
from vecstore.storage.manifest import draft, read_current, swap, swap_again
from vecstore.storage.snapshot import sweep
from vecstore.storage.wal import Log

_NETWORK = ("nfs", "cifs", "smb", "afs", "9p", "ceph", "glusterfs", "lustre", "fuse.sshfs")


class Parts(NamedTuple):
    """
    An open store.

    Attributes
    ----------
    writer : Writer
        Its table and views.
    saver : Saver or None
        Its generations; None in memory and for reading.
    lock : Lock or None
        Of its directory; None in memory and for reading.
    follower : Follower or None
        What `refresh` asks; for reading only.
    torn_bytes : int
        Bytes of a write that was cut short, dropped on opening.
    """

    writer: Writer
    saver: Saver | None = None
    lock: Lock | None = None
    follower: Follower | None = None
    torn_bytes: int = 0


def open_memory(wanted: Wanted) -> Parts:
    """
    Make a store that ends with its handle.

    Parameters
    ----------
    wanted : Wanted
        What the caller asks for.

    Returns
    -------
    Parts
        Without a log.
    """
    return Parts(Writer(wanted.new_table(None)))


def open_writer(files: Files, root: Path, wanted: Wanted, *, full: bool) -> Parts:
    """
    Open a store for reading and writing, or create it.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        The store.
    wanted : Wanted
        What the caller asks for.
    full : bool
        Compare every byte with its checksum.

    Returns
    -------
    Parts
        Holding the lock.

    Raises
    ------
    InvalidInput
        If what is wanted contradicts what was fixed at creation.
    NotAStore
        If the path is a file or a directory with other files.
    StoreLocked
        If another handle has it open for writing.
    CorruptData
        If bytes on disk are not what was written.
    """
    with _locked(files, root) as lock:
        if not holds_store(files, root):
            _create(files, root, wanted)
        manifest = read_current(files, root)
        if lock.doubtful:
            # subtle: whoever was killed may have left names that only the cache knows; what is
            # acknowledged from here on, and what is removed, must not rest on them
            swap_again(files, root)
        try:
            config = wanted.config_over(root, manifest)
            if full:
                check_generation(files, root, manifest)
            found = recover(files, root, manifest, config)
            wanted.agree_with(found.table)
        except BaseException:
            if not lock.doubtful:
                lock.settle()  # nothing was changed
            raise
        writer = Writer(found.table)
        log = resume(files, root, found, doubtful=lock.doubtful)
        try:
            journal = Journal(files, root, log, found.bytes_before, writer.lock, config)
            writer.journal = journal
            saver = Saver(files, root, manifest, journal, writer)
            with contextlib.suppress(OSError):  # the next opening tries again
                remove_stale(files, root, manifest)
            with contextlib.suppress(OSError):
                sweep(files, root)
        except BaseException:
            log.close()
            raise
        return Parts(writer, saver, lock, None, found.last.torn_bytes)


def open_reader(files: Files, root: Path, wanted: Wanted, *, full: bool) -> Parts:
    """
    Open a store for reading; others may write to it meanwhile.

    Parameters
    ----------
    files : Files
        The file system; nothing is written.
    root : Path
        The store.
    wanted : Wanted
        What the caller asks for.
    full : bool
        Compare every byte with its checksum.

    Returns
    -------
    Parts
        Without a lock.

    Raises
    ------
    NotAStore
        If there is none.
    InvalidInput, CorruptData
        As `open_writer`.
    """
    if not holds_store(files, root):
        raise NotAStore(root, "there is no CURRENT file")
    _warn_of_networks(files, root)
    follower = Follower(files, root, wanted)
    table = follower.open(full=full)
    return Parts(Writer(table, read_only=True), follower=follower)


def _create(files: Files, root: Path, wanted: Wanted) -> None:
    """Make generation 1, which is empty; nothing is acknowledged before CURRENT is durable."""
    table: Table = wanted.new_table(root)
    for below, above in itertools.pairwise([root.absolute(), *root.absolute().parents]):
        # an attempt that was killed may have made directories whose names only the cache knows;
        # nothing else is in those
        with contextlib.suppress(PermissionError):
            files.sync_directory(above)
            if files.names(above) != [below.name]:
                break
    log = Log.create(files, root, 0)
    log.close()
    draft(files, root, manifest_of(table.view(), table.config, table.metric, 1, log.header))
    swap(files, root)


@contextlib.contextmanager
def _locked(files: Files, root: Path) -> Iterator[Lock]:
    """Take the lock of a store; it is given back only where opening fails."""
    holds_store(files, root)  # refuses foreign directories before it leaves a lock file there
    files.make_directory(root)
    _warn_of_networks(files, root)
    try:
        lock = files.lock(root / LOCK)
    except IsADirectoryError:
        raise CorruptData(root / LOCK, 0, "it is not a regular file") from None
    try:
        yield lock
    except BaseException:
        lock.release()
        raise


def _warn_of_networks(files: Files, root: Path) -> None:
    kind = files.file_system(root)
    if kind.startswith(_NETWORK):
        warnings.warn(
            f"{root} lies on a network file system ({kind}): locks, fsync and maps may not hold "
            f"there what they promise, see docs/durability.md",
            stacklevel=5,
        )
