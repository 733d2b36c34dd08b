"""
A store that comes to be as a whole: filled in a directory beside its place, then renamed.

After a crash the place is as it was before, or holds everything. What a crash leaves in
``<place>.partial`` is removed by the next attempt. Not here: what is put there (`engine.backup`,
`engine.salvage`).
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from vecstore.errors import AlreadyExists
from vecstore.storage.file_names import LOCK, is_own
from vecstore.storage.files import Files
from vecstore.storage.snapshot import FOLDER


@contextlib.contextmanager
def delivered(files: Files, root: Path, *, empty_ok: bool) -> Iterator[Path]:
    """
    Give a directory to fill; it gets its name once that went well, and is removed otherwise.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        Where the store is to be.
    empty_ok : bool
        Whether an empty directory may be there.

    Yields
    ------
    Path
        An empty directory in the same file system; every file in it must be synced.

    Raises
    ------
    AlreadyExists
        If the place is taken, or what lies beside it is not ours to remove.
    StoreLocked
        If somebody else is filling it.
    """
    _refuse_taken(files, root, empty_ok)
    place = root.absolute()  # with a name of its own, also for "."
    partial = place.with_name(f"{place.name}.partial")
    files.make_directory(partial)
    lock = files.lock(partial / LOCK)
    try:
        _clear(files, partial)
        try:
            yield partial
            files.sync_directory(partial)
            files.remove_directory(place)
            files.replace(partial, place)
            files.sync_directory(place.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                _clear(files, partial)
                files.remove(partial / LOCK)
                files.remove_directory(partial)
            raise
    finally:
        lock.release()


def _refuse_taken(files: Files, root: Path, empty_ok: bool) -> None:
    try:
        free = not files.names(root) and empty_ok
    except FileNotFoundError:
        free = True
    except NotADirectoryError:
        free = False
    if not free:
        raise AlreadyExists(str(root), "name a directory that does not exist yet")


def _clear(files: Files, partial: Path) -> None:
    """Remove what an attempt left, but for the lock that is held."""
    names = [name for name in files.names(partial) if name != LOCK]
    if not all(is_own(name) and name != FOLDER for name in names):
        raise AlreadyExists(str(partial), "it holds other files; move them away first")
    for name in names:
        files.remove(partial / name)
