"""
Looking at a store that somebody else may be writing to, without its lock.

Files may vanish between two looks, since a checkpoint removes those of the generation before; of a
log that grows meanwhile, newer bytes may be seen and older ones not. What looks like damage then is
none, and the next look shows it. Not here: what is looked at (`engine.follower`, `engine.backup`).
"""

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from vecstore.errors import CorruptData
from vecstore.storage.files import Files
from vecstore.storage.manifest import Manifest, read_current

_FEWEST_LOOKS = 3
_MOST_LOOKS = 20
_PAUSE_S = 0.001
_Found = TypeVar("_Found")


def look_again(
    files: Files,
    root: Path,
    look: Callable[[Manifest], _Found],
    doubt: Callable[[_Found], bool] = lambda found: False,
) -> _Found:
    """
    Look at what `CURRENT` names; if that fails, look again as long as `CURRENT` moves on.

    Parameters
    ----------
    files : Files
        The file system; nothing is written.
    root : Path
        The store.
    look : callable
        Takes the manifest that `CURRENT` names; gives what it finds there, or raises.
    doubt : callable, optional
        Says of what was found whether a writer may have been in the way.

    Returns
    -------
    object
        What was found last: beyond doubt, or still in doubt though `CURRENT` stayed, or after as
        many looks as there are.

    Raises
    ------
    CorruptData
        If the store is damaged, or a file is missing.
    """
    manifest = read_current(files, root)
    for number in itertools.count(1):
        failure: CorruptData | FileNotFoundError | None = None
        try:
            found = look(manifest)
            if not doubt(found):
                break
        except (CorruptData, FileNotFoundError) as exc:
            failure = exc
        before, manifest = manifest, read_current(files, root)
        stayed = number >= _FEWEST_LOOKS and manifest == before
        if stayed or number == _MOST_LOOKS:
            break
        time.sleep(_PAUSE_S * number)
    try:
        if isinstance(failure, FileNotFoundError):
            raise CorruptData(Path(failure.filename), 0, "the file is missing") from failure
        if failure is not None:
            raise failure
    finally:
        del failure  # subtle: its traceback leads here, and a cycle would keep files mapped
    return found
