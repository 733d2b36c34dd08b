"""
Every error of VecStore, in one tree; what each means for the caller stands in its docstring.

    VecStoreError
    ├── InvalidInput (also ValueError)      nothing was changed
    │   └── DimensionMismatch
    ├── NotFound (also KeyError)
    │   └── SnapshotNotFound
    ├── NotAvailable                        this version cannot do it
    ├── MissingExtra (also ImportError)     an optional package is not installed
    ├── AlreadyExists                       a snapshot of that name is there
    ├── StoreClosed
    ├── StoreLocked
    ├── StorePoisoned                       an fsync failed; close and reopen
    ├── ReadOnlyStore                       the handle was opened to read
    ├── NotAStore
    ├── CorruptData                         path and offset of the damage
    └── UnsupportedFormat

Attributes are data (``exc.expected``, ``exc.got``); messages name the argument and the way out.
"""

from pathlib import Path

__all__ = [
    "AlreadyExists",
    "CorruptData",
    "DimensionMismatch",
    "InvalidInput",
    "MissingExtra",
    "NotAStore",
    "NotAvailable",
    "NotFound",
    "ReadOnlyStore",
    "SnapshotNotFound",
    "StoreClosed",
    "StoreLocked",
    "StorePoisoned",
    "UnsupportedFormat",
    "VecStoreError",
]


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # a repr of the caller's may do anything, and huge ints refuse to be printed
        return f"some {type(value).__name__}"
    return text if len(text) <= 100 else f"{text[:100]}…"


def _printable(got: object) -> str:
    return got if isinstance(got, str) else _shown(got)


class VecStoreError(Exception):
    """The root of the tree: catch it to catch whatever VecStore raises on purpose."""


class InvalidInput(VecStoreError, ValueError):
    """
    An argument was refused before anything was changed.

    Parameters
    ----------
    argument : str
        The argument, or the call and the argument.
    expected : object
        What would have been accepted.
    got : object
        What came.
    """

    def __init__(self, argument: str, expected: object, got: object) -> None:
        super().__init__(f"{argument}: expected {expected}, got {_printable(got)}")
        self.argument = argument
        self.expected = expected
        self.got = got

    @classmethod
    def of(cls, argument: str, expected: object, value: object) -> "InvalidInput":
        """
        Refuse a value that may be anything, showing its repr.

        Parameters
        ----------
        argument : str
            The argument, or the call and the argument.
        expected : object
            What would have been accepted.
        value : object
            What came.

        Returns
        -------
        InvalidInput
            To be raised; `got` is the repr, cut where it is long.
        """
        return InvalidInput(argument, expected, _shown(value))


class DimensionMismatch(InvalidInput):
    """
    A vector has another number of components than the store or index; nothing was changed.

    Parameters
    ----------
    argument : str
        The argument, or the call and the argument.
    expected : int
        Components that were due.
    got : int
        Components that came.
    """

    def __init__(self, argument: str, expected: int, got: int) -> None:
        super().__init__(argument, f"{expected} components", got)
        self.expected = expected


class NotFound(VecStoreError, KeyError):
    """
    No live record has this id; soft-deleted and expired records count as missing.

    Parameters
    ----------
    record_id : str
        The id asked for.
    call : str
        The call that needed it.
    """

    def __init__(self, record_id: str, call: str) -> None:
        super().__init__(f"{call}(id={record_id!r}): no live record has this id")
        self.id = record_id

    def __str__(self) -> str:
        # KeyError would print the repr of the message
        return str(self.args[0])


class SnapshotNotFound(NotFound):
    """
    The store has no snapshot of this name.

    Parameters
    ----------
    name : str
        The name asked for.
    argument : str
        What asked for it.
    """

    def __init__(self, name: str, argument: str) -> None:
        super().__init__(name, argument)
        self.args = (f"{argument}: there is no snapshot {name!r}",)
        self.name = name


class NotAvailable(VecStoreError):
    """
    The request is known, but this version cannot serve it; nothing was changed.

    Parameters
    ----------
    what : str
        The argument or call.
    instead : str
        What to do instead.
    """

    def __init__(self, what: str, instead: str) -> None:
        super().__init__(f"{what} is not available in this version; {instead}")
        self.what = what


class MissingExtra(VecStoreError, ImportError):
    """
    An optional package is needed and not installed.

    Parameters
    ----------
    package : str
        The package that could not be imported.
    install : str
        The command that brings it.
    """

    def __init__(self, package: str, install: str) -> None:
        super().__init__(f"this needs the package {package}; install it with: {install}")
        self.package = package


class AlreadyExists(VecStoreError):
    """
    Something of this name is there already; nothing was changed.

    Parameters
    ----------
    what : str
        What was to be made, with its name.
    way_out : str
        What to do instead.
    """

    def __init__(self, what: str, way_out: str) -> None:
        super().__init__(f"{what} exists already; {way_out}")
        self.what = what


class StoreClosed(VecStoreError):
    """The handle was closed, or belongs to the process this one was forked from; open it again."""


class StorePoisoned(VecStoreError):
    """
    An fsync failed, so what is on disk is unknown; every later write is refused.

    Retrying the fsync is not safe: the system may have dropped the dirty pages and report
    success the second time. Queries go on. Close the store and reopen it; recovery replays the
    log. Whether the call that raised this happened is known only then.

    Parameters
    ----------
    path : Path
        The store.
    reason : str
        What failed.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: closed and reopened it can be written to again: {reason}")
        self.path = path
        self.reason = reason


class ReadOnlyStore(VecStoreError):
    """
    The store was opened with ``mode="r"``; nothing was changed.

    Parameters
    ----------
    path : Path
        The store.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(f'{path}: opened with mode="r"; open it with mode="a" to change it')
        self.path = path


class StoreLocked(VecStoreError):
    """
    Another handle, in this process or another, has the store open for writing.

    Parameters
    ----------
    path : Path
        The store.
    holder : str
        Who holds the lock, as far as it is known.
    """

    def __init__(self, path: Path, holder: str) -> None:
        way_out = 'close it there first, or read with mode="r"'
        super().__init__(f"{path}: already open for writing by {holder}; {way_out}")
        self.path = path
        self.holder = holder


class NotAStore(VecStoreError):
    """
    The path holds something, but no store; it was left as it is.

    Parameters
    ----------
    path : Path
        What was opened.
    reason : str
        Why it is no store.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: not a store: {reason}")
        self.path = path


class CorruptData(VecStoreError):
    """
    Bytes on disk are not what was written; nothing was concluded from them.

    The store was not changed. Restore a backup, or save what can be trusted with
    ``vecstore repair``.

    Parameters
    ----------
    path : Path
        The damaged or missing file.
    offset : int
        Where in the file the damage was noticed, in bytes.
    reason : str
        What is wrong there.
    """

    def __init__(self, path: Path, offset: int, reason: str) -> None:
        super().__init__(f"{path}: damaged at byte {offset}: {reason}")
        self.path = path
        self.offset = offset
        self.reason = reason


class UnsupportedFormat(VecStoreError):
    """
    The file was written in a format that this version does not know; update VecStore.

    Parameters
    ----------
    path : Path
        The file.
    version : int
        Its format version.
    supported : int
        The newest version known here.
    """

    def __init__(self, path: Path, version: int, supported: int) -> None:
        super().__init__(f"{path}: format version {version}, this VecStore reads up to {supported}")
        self.path = path
        self.version = version
