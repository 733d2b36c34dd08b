"""
Looking for damage without acting on it: every checksum on disk, every cross-reference in memory.

Not here: the checks themselves (`storage.checkpoint`, `inspection.validation`); `open` raises
what these report.
"""

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from vecstore.engine.chunks import CHUNK, UNSET, times
from vecstore.engine.encoding import decode
from vecstore.engine.journal import Position
from vecstore.engine.recovery import logs_after
from vecstore.engine.view import NEVER, ReadView
from vecstore.errors import CorruptData, SnapshotNotFound, UnsupportedFormat
from vecstore.inspection.validation import validate
from vecstore.kernels import bitset
from vecstore.model import VerifyIssue
from vecstore.storage.checkpoint import check_file
from vecstore.storage.file_names import CURRENT, log_name, log_number
from vecstore.storage.files import Files
from vecstore.storage.frames import LOG_HEADER_BYTES
from vecstore.storage.layout import UNREADABLE, existing_size
from vecstore.storage.log_reader import LogReader
from vecstore.storage.manifest import Manifest, read_current
from vecstore.storage.snapshot import place_of, read_note

_UNIT_SLACK = 1e-5


def file_problems(
    files: Files, root: Path, manifest: Manifest, end: Position | None = None
) -> Iterator[VerifyIssue]:
    """
    Compare `CURRENT`, the manifest, every byte that it names and the logs with their checksums.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        The store.
    manifest : Manifest
        What the handle goes by.
    end : Position or None
        Where the newest log ends; None where nobody is writing to it.

    Yields
    ------
    VerifyIssue
        The first damage of each file.
    """
    checks = {CURRENT: lambda: _check_current(files, root, manifest)}
    for role, entry in manifest.files.items():
        checks[entry.name] = functools.partial(check_file, files, root, manifest, role)
    yield from _distinct(_problem(root / name, check) for name, check in checks.items())
    yield from _log_problems(files, root, manifest, end)


def _log_problems(
    files: Files, root: Path, manifest: Manifest, end: Position | None
) -> Iterator[VerifyIssue]:
    """Check the logs one after the other, and where that comes to an end, each for itself."""
    first = manifest.first_log
    found = _problem(root / log_name(first), lambda: _check_logs(files, root, manifest, end))
    if found is not None:
        yield found
        others = each_log_problem(files, root, first, end)
        yield from (issue for issue in others if issue.path != found.path)


def _check_logs(files: Files, root: Path, manifest: Manifest, end: Position | None) -> None:
    for reader, until in logs_after(files, root, manifest):
        _check_calls(reader, until or 0, end)
        if end is not None and end[0] == reader.header.number:
            return
    if end is not None:  # whoever writes knows of a log to which no call was sent yet
        _check_log(files, root, end[0], end, begun=False)


def each_log_problem(
    files: Files, root: Path, first: int, end: Position | None = None
) -> Iterator[VerifyIssue]:
    """
    Check each log for itself, whatever is wrong with those before it, and tell of gaps.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        The store.
    first : int
        Number of the first log.
    end : Position or None
        As for `file_problems`.

    Yields
    ------
    VerifyIssue
        The first damage of each log.
    """
    try:
        names = files.names(root)
    except OSError as exc:
        yield issue_of(root, exc)
        return
    most = end[0] if end is not None else float("inf")
    numbers = sorted(n for n in map(log_number, names) if first <= n <= most)
    for place, number in enumerate(numbers):
        if place and numbers[place - 1] != number - 1:
            yield VerifyIssue(str(root / log_name(number - 1)), 0, "the file is missing")
        begun = end is None and 0 < place == len(numbers) - 1
        check = functools.partial(_check_log, files, root, number, end, begun)
        issue = _problem(root / log_name(number), check)
        if issue is not None:
            yield issue


def _check_log(files: Files, root: Path, number: int, end: Position | None, begun: bool) -> None:
    """Check a log; one that was only just begun when the system crashed may lack its header."""
    path = root / log_name(number)
    if begun and existing_size(files, path) <= LOG_HEADER_BYTES:
        return  # no call is in it
    reader, until = LogReader(files, path, number), 0
    with contextlib.suppress(CorruptData, UnsupportedFormat, OSError):
        following = LogReader(files, root / log_name(number + 1), number + 1).header
        until = following.before if following.salt_before == reader.header.salt else 0
    _check_calls(reader, until, end)


def _check_calls(reader: LogReader, until: int, end: Position | None) -> None:
    """Read every call of a log that must be whole up to a place."""
    limit = end[1] if end is not None and end[0] == reader.header.number else None
    for call in reader.calls(limit):
        try:
            decode(call.payload)
        except UNREADABLE as exc:
            raise CorruptData(reader.path, call.offset, f"no call: {exc}") from exc
    reader.check(max(until, limit or 0))


def _check_current(files: Files, root: Path, manifest: Manifest) -> None:
    if read_current(files, root) != manifest:
        raise CorruptData(root / CURRENT, 0, f"it does not name {manifest.name}")


def _problem(path: Path, check: Callable[[], None]) -> VerifyIssue | None:
    """Run a check, and turn what it raises into what is reported."""
    try:
        check()
    except (CorruptData, UnsupportedFormat, OSError) as exc:
        return issue_of(path, exc)
    return None


def issue_of(path: Path, exc: CorruptData | UnsupportedFormat | OSError) -> VerifyIssue:
    """
    Turn what was raised into what is reported.

    Parameters
    ----------
    path : Path
        What was looked at.
    exc : CorruptData, UnsupportedFormat or OSError
        What that has led to.

    Returns
    -------
    VerifyIssue
        Of the file that `exc` names, if it names one.
    """
    if isinstance(exc, CorruptData):
        return VerifyIssue(str(exc.path), exc.offset, exc.reason)
    if isinstance(exc, UnsupportedFormat):
        return VerifyIssue(str(exc.path), 0, str(exc))
    return VerifyIssue(str(exc.filename or path), 0, f"the file cannot be read: {exc.strerror}")


def snapshot_problems(files: Files, root: Path, name: str) -> Iterator[VerifyIssue]:
    """
    Compare every byte of a snapshot with its checksums.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        The store.
    name : str
        Of a snapshot that exists.

    Yields
    ------
    VerifyIssue
        The first damage of each file.
    """
    place = place_of(root, name)
    try:
        manifest = read_note(files, root, name, "verify_snapshot(name)").manifest
    except SnapshotNotFound:
        return
    except (CorruptData, UnsupportedFormat, OSError) as exc:
        yield issue_of(place, exc)
        return
    yield from _distinct(
        _problem(place / entry.name, functools.partial(check_file, files, place, manifest, role))
        for role, entry in manifest.files.items()
    )


def _distinct(issues: Iterable[VerifyIssue | None]) -> Iterator[VerifyIssue]:
    """Tell each damage once: vectors are compared with what another file holds."""
    told = set()
    for issue in issues:
        if issue is not None and issue not in told:
            told.add(issue)
            yield issue


def table_problems(view: ReadView) -> tuple[list[VerifyIssue], list[VerifyIssue]]:
    """
    Check what a table holds: every invariant of the graph, every cross-reference, every count.

    Parameters
    ----------
    view : ReadView
        What to check.

    Returns
    -------
    problems, findings : list of VerifyIssue
        Without offsets: what is wrong with a relation has no place in a file.
    """
    if view.snapshot is None:
        return [], []
    path = str(view.path) if view.path is not None else None
    report = validate(view.snapshot.graph)
    texts = [f"graph: {issue.text}" for issue in report.problems]
    texts += [*_wrong_counts(view), *_wrong_rows(view), *_wrong_records(view)]
    problems = [VerifyIssue(path, None, text) for text in texts]
    findings = [VerifyIssue(path, None, f"graph: {issue.text}") for issue in report.findings]
    return problems, findings


def _wrong_counts(view: ReadView) -> Iterator[str]:
    live = bitset.unpack_mask(view.live, view.n)
    hidden = times(view.chunks, "deleted_at", view.n) != UNSET
    counts = [
        ("live", int(live.sum()), view.n_live),
        ("soft-deleted", int(hidden.sum()), view.n_soft),
        ("both live and soft-deleted", int((live & hidden).sum()), 0),
    ]
    yield from (f"{n} slots are {what}, not {told}" for what, n, told in counts if n != told)
    expires = times(view.chunks, "expires_at", view.n)
    first = int(expires[live & (expires != UNSET)].min(initial=NEVER))
    if first < view.next_expiry:
        yield f"a record expires at {first}, before {view.next_expiry}"


def _wrong_rows(view: ReadView) -> Iterator[str]:
    assert view.snapshot is not None
    norms = view.norms
    if len(norms) and not (np.isfinite(norms[: view.n]) & (norms[: view.n] > 0)).all():
        yield "a length of a vector is no positive number"
    for first in range(0, view.n, CHUNK):
        rows = view.snapshot.space.rows[first : min(view.n, first + CHUNK)]
        with np.errstate(invalid="ignore", over="ignore"):  # damage may be any number
            wrong = ~np.isfinite(rows).all(axis=1) | rows[:, view.dim :].any(axis=1)
            if len(norms):
                lengths = np.square(rows, dtype=np.float64).sum(axis=1)
                wrong |= abs(lengths - 1) > _UNIT_SLACK
        if wrong.any():
            yield f"the row of slot {first + int(wrong.argmax())} cannot have been written"


def _wrong_records(view: ReadView) -> Iterator[str]:
    for slot in view.kept_slots().tolist():
        try:
            record_id = view.names.id_of(slot)
            view.metadata(slot)
            found = view.names.find(record_id, view.n)
        except CorruptData as exc:
            yield f"slot {slot}: {exc.reason}"
            continue
        if found != slot:
            yield f"the id {record_id!r} of slot {slot} leads to slot {found}"
