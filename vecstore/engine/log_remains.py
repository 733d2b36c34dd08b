"""
What can be trusted of the logs after a damaged generation: every whole call, in order.

Bad bytes above the greatest `synced` of a log end it: they are of a write that nobody was told of
(`storage.log_reader`). Bad bytes below it are a loss, and the walk goes on behind them; how many
calls are lost there is known once the number of the next call is. Changes go by ids, except that
expiry goes by slots: it is left out once calls are missing, since it is not known then which slots
are meant. Nobody sees such records anyway.
"""

from pathlib import Path

import numpy as np

from vecstore.engine.changes import Change, Describe, Expire, Kill, Revive, Sweep, apply
from vecstore.engine.chunks import CHUNK, UNSET
from vecstore.engine.encoding import decode
from vecstore.engine.losses import Ledger
from vecstore.engine.records import Appended
from vecstore.engine.remains import Places
from vecstore.engine.table import Table
from vecstore.errors import CorruptData
from vecstore.storage.file_names import log_name, log_number
from vecstore.storage.files import Files
from vecstore.storage.frames import COMMIT, LOG_HEADER_BYTES, MARK, Frame, LogHeader
from vecstore.storage.layout import UNREADABLE
from vecstore.storage.log_scan import LogScan, Piece
from vecstore.storage.manifest import Manifest


class LogRemains:
    """
    Carries the calls of damaged logs out again.

    Parameters
    ----------
    table : Table
        What was saved of the generation; changed.
    places : int64[n]
        The slot there of each slot of the generation; -1 where it has none.
    manifest : Manifest
        The generation.
    ledger : Ledger
        Takes what is lost.
    """

    def __init__(self, table: Table, places: Places, manifest: Manifest, ledger: Ledger) -> None:
        self._table = table
        self._places: list[int] = places.tolist()
        self._numbered = len(self._places) == manifest.n
        self._manifest = manifest
        self._ledger = ledger
        self._seqno = manifest.seqno
        self._end = LOG_HEADER_BYTES
        self._salts = {manifest.first_log: manifest.first_salt}  # of the logs that are this store's
        self._met: list[CorruptData] = []  # damage whose cost is not known yet

    def replay(self, files: Files, root: Path) -> None:
        """
        Go through the logs.

        Parameters
        ----------
        files : Files
            The file system; nothing is written.
        root : Path
            The store.
        """
        scans = self._scans(files, root)
        for place, scan in enumerate(scans):
            if isinstance(scan, CorruptData):
                self._met.append(scan)
            elif self._belongs(scan):
                self._salts[log_number(scan.path.name)] = scan.salt
                self._replay_log(scan, _told_length(scan, scans[place + 1 :]))
        for met in self._met:
            self._ledger.lose(met.path, met.offset, f"{met.reason}; calls may be lost there")

    def _scans(self, files: Files, root: Path) -> list[LogScan | CorruptData]:
        """Look at all logs, and at the gaps between them, in order."""
        first = self._manifest.first_log
        numbers = {n for n in map(log_number, files.names(root)) if n > first} | {first}
        found: list[LogScan | CorruptData] = []
        salt = 0
        for number in sorted(numbers, reverse=True):  # each log tells the salt of the one before
            hint = self._manifest.first_salt if number == first else salt
            try:
                scan = LogScan(files, root / log_name(number), hint)
                salt = scan.header.salt_before if scan.header is not None else 0
                found.append(scan)
            except CorruptData as exc:
                found.append(exc)
                salt = 0
            if number > first and number - 1 not in numbers:
                path = root / log_name(number - 1)
                found.append(CorruptData(path, 0, "the file is missing"))
                salt = 0
        return found[::-1]

    def _belongs(self, scan: LogScan) -> bool:
        """Say whether a log is to be read, because it follows what came before it."""
        header, manifest, path = scan.header, self._manifest, scan.path
        if log_number(path.name) == manifest.first_log:
            seqno = manifest.seqno if header is None else header.seqno
            if (scan.salt, seqno) != (manifest.first_salt, manifest.seqno):
                text = f"this is not the log that {manifest.name} names; it was not read"
                self._met.append(CorruptData(path, 16, text))
                return False
        elif scan.size <= LOG_HEADER_BYTES:
            return False  # a crash cut its creation short, or there were no calls after it
        elif header is not None and not self._follows(header):
            self._met.append(CorruptData(path, 32, "it does not follow; it was not read"))
            return False
        if scan.problem is not None:
            if scan.size == LOG_HEADER_BYTES:
                self._ledger.note(path, scan.problem.offset, scan.problem.reason)
                return False
            self._met.append(scan.problem)
        elif header is not None:
            self._reach(header.seqno, path, LOG_HEADER_BYTES)
        return True

    def _follows(self, header: LogHeader) -> bool:
        """Say whether a log is of this store, as far as the log before it can tell."""
        expected = self._salts.get(header.number - 1, header.salt_before)
        return header.salt_before == expected and header.seqno >= self._seqno

    def _replay_log(self, scan: LogScan, until: int) -> None:
        """Carry out the calls of a log, which was durable up to a place at least."""
        durable = max(scan.durable, until)
        parts: list[Piece] = []
        bad_end = 0
        self._end = LOG_HEADER_BYTES
        for piece in scan.pieces():
            if parts and not _continues(piece, parts):
                if parts[0].offset >= durable:
                    break
                self._met.append(CorruptData(scan.path, parts[0].offset, "a call is cut short"))
                parts = []
            if not parts and not self._begins(piece, durable):
                if piece.offset >= durable:
                    parts = [] if piece.zeros else [piece]
                    break
                if piece.offset != bad_end:  # what lies side by side is one damage
                    self._met.append(CorruptData(scan.path, piece.offset, _unsound(piece)))
                bad_end = piece.offset + piece.length
                continue
            assert piece.frame is not None
            if piece.frame.kind == MARK:
                self._reach(piece.frame.seqno, scan.path, piece.offset)
                self._end = piece.frame.end
                continue
            parts.append(piece)
            if piece.frame.flags & COMMIT:
                self._carry_out(scan.path, parts)
                self._end, parts = piece.frame.end, []
        if parts:
            text = "the end of a write that was cut short, of which nobody was told"
            self._ledger.note(scan.path, parts[0].offset, text)
        elif self._end < durable and not self._met:
            text = f"the log ends here, though it was durable up to byte {durable:,}"
            self._met.append(CorruptData(scan.path, self._end, text))

    def _begins(self, piece: Piece, durable: int) -> bool:
        """Say whether a piece is a mark, or begins a call; where damage was met, some may miss."""
        frame = piece.frame
        if frame is None or not piece.sound or frame.part != 0:
            return False
        missing = frame.seqno - self._seqno - (frame.kind != MARK)
        return missing == 0 or (missing > 0 and (bool(self._met) or frame.offset < durable))

    def _reach(self, seqno: int, path: Path, offset: int) -> None:
        """Tell what the damage met so far has cost, once the number of a call is known."""
        first, self._seqno = self._seqno + 1, seqno
        if seqno < first:
            for exc in self._met:
                self._ledger.note(exc.path, exc.offset, exc.reason)
        else:
            self._numbered = False
            lost = (
                f"call {seqno} is lost" if seqno == first else f"calls {first} to {seqno} are lost"
            )
            for exc in self._met or [CorruptData(path, offset, "before this place")]:
                self._ledger.lose(exc.path, exc.offset, f"{exc.reason}; {lost}")
        self._met = []

    def _carry_out(self, path: Path, parts: list[Piece]) -> None:
        """Apply what can be applied of a whole call."""
        frame = parts[0].frame
        assert frame is not None
        self._reach(frame.seqno - 1, path, frame.offset)
        self._seqno = frame.seqno
        try:
            changes = decode(b"".join(piece.payload for piece in parts))
        except UNREADABLE as exc:
            self._numbered = False
            self._ledger.lose(path, frame.offset, f"call {frame.seqno} cannot be read: {exc}")
            return
        for change in changes:
            self._carry_out_change(path, frame, change)

    def _carry_out_change(self, path: Path, frame: Frame, change: Change) -> None:
        n_before = self._table.n
        refused = self._refusal(change)
        try:
            if refused is None:
                apply(self._table, [self._translated(change)])
        except UNREADABLE as exc:
            refused = str(exc)
        if isinstance(change, Appended | Revive):
            count = len(change.ids) if isinstance(change, Appended) else 1
            came = self._table.n > n_before
            self._places += range(n_before, n_before + count) if came else [-1] * count
        if refused is None:
            return
        text = f"{type(change).__name__.lower()} in call {frame.seqno}: {refused}"
        if isinstance(change, Kill | Sweep):  # what it was to take away is gone, or unseen
            self._ledger.note(path, frame.offset, text)
        else:
            ids = change.ids if isinstance(change, Appended) else [change.id]
            self._ledger.lose(path, frame.offset, text, ids=ids)

    def _refusal(self, change: Change) -> str | None:
        """Say why a change cannot be made; None where it can."""
        table = self._table
        match change:
            case Appended() if table.dim not in (None, change.matrix.shape[1]):
                return f"{change.matrix.shape[1]} components instead of {table.dim}"
            case Sweep() if not self._numbered:
                return "which slots it meant is not known"
            case Kill() | Describe() | Expire() | Revive():
                slot = table.names.find(change.id, table.n)
                if slot < 0:
                    return f"no record has the id {change.id!r}"
                live = int(table.live[slot >> 6]) >> (slot & 63) & 1
                hidden = table.chunks[slot // CHUNK].deleted_at[slot % CHUNK] != UNSET
                if not (live or (hidden and isinstance(change, Revive))):
                    return f"the record of {change.id!r} is gone"
        return None

    def _translated(self, change: Change) -> Change:
        """Let an expiry mean the slots of now."""
        if not isinstance(change, Sweep):
            return change
        known = [self._places[slot] for slot in change.slots.tolist() if slot < len(self._places)]
        return Sweep(np.array([slot for slot in known if slot >= 0], np.int64))


def _told_length(scan: LogScan, later: list[LogScan | CorruptData]) -> int:
    """Say how long a log was when the next one was begun; 0 where that is not known."""
    following = later[0] if later else None
    header = following.header if isinstance(following, LogScan) else None
    return header.before if header is not None and header.salt_before == scan.salt else 0


def _continues(piece: Piece, parts: list[Piece]) -> bool:
    """Say whether a piece is the next part of a call."""
    frame, first = piece.frame, parts[0].frame
    if frame is None or first is None or not piece.sound:
        return False
    return (frame.seqno, frame.kind, frame.part) == (first.seqno, first.kind, len(parts))


def _unsound(piece: Piece) -> str:
    if piece.sound and piece.frame is not None:
        return f"a frame of call {piece.frame.seqno} does not follow what is before it"
    what = "a frame does not match its checksum" if piece.frame is not None else "no frame begins"
    return "zeros where frames were" if piece.zeros else what
