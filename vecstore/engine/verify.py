"""
Looking for damage without acting on it: every checksum on disk, every cross-reference in memory.

Not here: the checks themselves (`storage.checkpoint`, `inspection.validation`); `open` raises
what these report.
"""

import functools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from vecstore.engine.chunks import CHUNK, UNSET, times
from vecstore.engine.encoding import decode
from vecstore.engine.journal import Position
from vecstore.engine.recovery import logs_after
from vecstore.engine.view import NEVER, ReadView
from vecstore.errors import CorruptData, UnsupportedFormat
from vecstore.inspection.validation import validate
from vecstore.kernels import bitset
from vecstore.model import VerifyIssue
from vecstore.storage.checkpoint import check_file
from vecstore.storage.files import Files
from vecstore.storage.layout import UNREADABLE
from vecstore.storage.manifest import CURRENT, Manifest, log_name, read_current
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
    checks[log_name(manifest.first_log)] = lambda: _check_logs(files, root, manifest, end)
    yield from _distinct(_issue_of(root / name, check) for name, check in checks.items())


def _check_logs(files: Files, root: Path, manifest: Manifest, end: Position | None) -> None:
    for reader, until in logs_after(files, root, manifest):
        number = reader.header.number
        limit = end[1] if end is not None and end[0] == number else None
        for call in reader.calls(limit):
            try:
                decode(call.payload)
            except UNREADABLE as exc:
                raise CorruptData(reader.path, call.offset, f"no call: {exc}") from exc
        reader.check(max(until or 0, limit or 0))
        if end is not None and end[0] == number:
            return


def _check_current(files: Files, root: Path, manifest: Manifest) -> None:
    if read_current(files, root) != manifest:
        raise CorruptData(root / CURRENT, 0, f"it does not name {manifest.name}")


def _issue_of(path: Path, check: Callable[[], None]) -> VerifyIssue | None:
    """Run a check, and turn what it raises into what is reported."""
    try:
        check()
    except CorruptData as exc:
        return VerifyIssue(str(exc.path), exc.offset, exc.reason)
    except UnsupportedFormat as exc:
        return VerifyIssue(str(path), 0, str(exc))
    except OSError as exc:
        return VerifyIssue(str(path), 0, f"the file cannot be read: {exc.strerror}")
    return None


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
        manifest = read_note(files, root, name, "verify_snapshot").manifest
    except CorruptData as exc:
        yield VerifyIssue(str(exc.path), exc.offset, exc.reason)
        return
    except (UnsupportedFormat, OSError) as exc:
        yield VerifyIssue(str(place), 0, str(exc))
        return
    yield from _distinct(
        _issue_of(place / entry.name, functools.partial(check_file, files, place, manifest, role))
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
