"""
A second name for a file that will not change, or a copy of it.

Not here: which files never change (`manifest`), what links are for (`snapshot`).
"""

import errno
from pathlib import Path

from vecstore.storage.files import Files

_REFUSED = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


def link_or_copy(files: Files, source: Path, target: Path, length: int) -> None:
    """
    Give a file a second name, or copy it where that is refused.

    Parameters
    ----------
    files : Files
        The file system.
    source : Path
        A file whose first `length` bytes are never rewritten.
    target : Path
        A free name.
    length : int
        Bytes that count.
    """
    try:
        files.link(source, target)
    except OSError as exc:
        if exc.errno not in _REFUSED:
            raise
        files.write_new(target, files.blocks(source, length))
