"""
What the system counts: bytes that a process wrote, bytes that a disk took, memory really there.

Linux tells all of it; elsewhere, or where it is hidden, the answer is None. Not used is
``write_bytes`` of ``/proc/self/io``: it counts whole folios, so a write of 1,650 bytes into a file
of prepared zeros, synced, counts as 2 MiB where the disk takes 5,940 bytes (measured, Linux 6.18,
ext4).
"""

import gc
import os
from pathlib import Path
from typing import NamedTuple

_IO = Path("/proc/self/io")
_SMAPS = Path("/proc/self/smaps_rollup")
_DISKS = Path("/sys/dev/block")
_SECTORS_WRITTEN = 6
_SECTOR_BYTES = 512


class Written(NamedTuple):
    """
    Bytes written up to now.

    Attributes
    ----------
    passed : int or None
        By all threads of this process, to calls that write [wchar].
    taken : int or None
        By the disk below a directory, from everybody, what the file system writes about itself
        included. It is this process's alone where nothing else writes.
    """

    passed: int | None
    taken: int | None


class Resident(NamedTuple):
    """
    Memory of the process, in bytes.

    Attributes
    ----------
    total : int
        Pages that are there [Rss]; of a mapped file those that were touched, and their neighbours
        that the system brought along.
    private : int
        Those of them that belong to no file [Anonymous].
    """

    total: int
    private: int


def written(root: Path) -> Written:
    """
    Tell what was written so far; first everything is synced, so that the disk has all of it.

    Parameters
    ----------
    root : Path
        A directory on the disk.

    Returns
    -------
    Written
        To be given to `written_since`.
    """
    os.sync()
    fields = _fields(_IO)
    return Written(None if fields is None else fields["wchar"], _taken(root))


def written_since(before: Written, root: Path) -> Written:
    """
    Tell what was written in between.

    Parameters
    ----------
    before : Written
        From `written`.
    root : Path
        The same directory.

    Returns
    -------
    Written
        Differences.
    """
    now = written(root)
    return Written(_difference(now.passed, before.passed), _difference(now.taken, before.taken))


def _taken(root: Path) -> int | None:
    device = root.stat().st_dev
    try:
        text = (_DISKS / f"{os.major(device)}:{os.minor(device)}" / "stat").read_text("ascii")
    except OSError:
        return None
    return _SECTOR_BYTES * int(text.split()[_SECTORS_WRITTEN])


def _difference(now: int | None, before: int | None) -> int | None:
    return None if now is None or before is None else now - before


def resident() -> Resident | None:
    """
    Tell what memory there is, after what is garbage has been collected.

    Returns
    -------
    Resident or None
        None where the system does not tell.
    """
    gc.collect()
    fields = _fields(_SMAPS)
    return None if fields is None else Resident(fields["Rss"] << 10, fields["Anonymous"] << 10)


def resident_since(before: Resident | None) -> Resident | None:
    """
    Tell by how much memory has grown.

    Parameters
    ----------
    before : Resident or None
        From `resident`.

    Returns
    -------
    Resident or None
        None where the system does not tell.
    """
    now = resident()
    if now is None or before is None:
        return None
    return Resident(now.total - before.total, now.private - before.private)


def _fields(path: Path) -> dict[str, int] | None:
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    parts = (line.split() for line in lines)
    return {part[0][:-1]: int(part[1]) for part in parts if len(part) > 1 and part[1].isdigit()}
