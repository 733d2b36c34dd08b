"""
The names of a store's files: which are its own, and the numbers in them.

    LOCK  CURRENT  CURRENT.tmp  snapshots/  manifest-000007.json  wal-000012.log
    vectors-000003.bin  checksums-000007.bin  hnsw_index-000007.bin  metadata-000007.bin
    ids-000007.bin

Not here: what is in the files (`manifest`, `frames`, `layout`).
"""

import re
from collections.abc import Iterable

ROLES = {"vectors", "hnsw_index", "metadata", "ids", "checksums"}
CURRENT = "CURRENT"
DRAFT = "CURRENT.tmp"
LOCK = "LOCK"
DATA_FILE = re.compile(r"(vectors|hnsw_index|metadata|ids|checksums)-[0-9]{6,}\.bin")
_OWN = re.compile(
    r"LOCK|CURRENT|CURRENT\.tmp|snapshots|manifest-[0-9]{6,}\.json|wal-[0-9]{6,}\.log|"
    + DATA_FILE.pattern
)
_LOG = re.compile(r"wal-([0-9]{6,18})\.log")
_MANIFEST = re.compile(r"manifest-([0-9]{6,18})\.json")
_NUMBERED = re.compile(r"[a-z_]+-([0-9]{6,15})\.[a-z]+")


def is_own(name: str) -> bool:
    """
    Say whether a file name is one that stores use.

    Parameters
    ----------
    name : str
        Without directory.

    Returns
    -------
    bool
        True for `LOCK`, `CURRENT` and numbered files.
    """
    return _OWN.fullmatch(name) is not None


def file_name(role: str, generation: int) -> str:
    """
    Name a binary file.

    Parameters
    ----------
    role : str
        Such as ``"vectors"``.
    generation : int
        In which it was begun.

    Returns
    -------
    str
        Such as ``"vectors-000003.bin"``.
    """
    return f"{role}-{generation:06d}.bin"


def manifest_name(generation: int) -> str:
    """
    Name a manifest.

    Parameters
    ----------
    generation : int
        From 1 on.

    Returns
    -------
    str
        Such as ``"manifest-000007.json"``.
    """
    return f"manifest-{generation:06d}.json"


def manifest_number(name: str) -> int:
    """
    Read the generation of a manifest from its name.

    Parameters
    ----------
    name : str
        A file name.

    Returns
    -------
    int
        0 where the file is no manifest.
    """
    match = _MANIFEST.fullmatch(name)
    return int(match[1]) if match is not None and manifest_name(int(match[1])) == name else 0


def log_name(number: int) -> str:
    """
    Name a log.

    Parameters
    ----------
    number : int
        From 1 on.

    Returns
    -------
    str
        Such as ``"wal-000012.log"``.
    """
    return f"wal-{number:06d}.log"


def log_number(name: str) -> int:
    """
    Read the number of a log from its name.

    Parameters
    ----------
    name : str
        A file name.

    Returns
    -------
    int
        0 where the file is no log.
    """
    match = _LOG.fullmatch(name)
    return int(match[1]) if match is not None and log_name(int(match[1])) == name else 0


def newest_number(names: Iterable[str]) -> int:
    """
    Find the generation that anything in a store was begun for last.

    Parameters
    ----------
    names : iterable of str
        Of files.

    Returns
    -------
    int
        Names of later generations are free; 0 where there is none.
    """
    own = (_NUMBERED.fullmatch(name) for name in names if is_own(name) and not log_number(name))
    return max((int(match[1]) for match in own if match is not None), default=0)
