"""
When a call is durable: one log at a time, synced for many callers at once.

Appending happens under the writer's lock; waiting does not. Of all who wait, one syncs for as far
as the log has come by then, and the others find their call durable when it is done (group commit).
After a failed sync nothing is durable any more that was not before: the journal is poisoned.

With threads, one writes a sync mark once nothing was written for a while, and syncs under
``"interval"``. Not here: that thread's life (`engine.sync_thread`), the bytes (`storage.wal`).
"""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vecstore.config import StoreConfig
from vecstore.engine.sync_thread import SyncThread
from vecstore.errors import StorePoisoned
from vecstore.storage.file_names import log_name
from vecstore.storage.files import Buffer, Files, SyncFailed
from vecstore.storage.frames import LOG_HEADER_BYTES
from vecstore.storage.wal import Log

QUIET_S = 0.05
Position = tuple[int, int]
"""Number of a log, and an offset in it; later is greater."""


class Journal:
    """
    The log of a store, and who waits for it.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        The store.
    log : Log
        Where the next call goes; all of it is durable.
    bytes_before : int
        Bytes of the logs before it that the generation on disk does not contain.
    lock : RLock
        The writer's.
    config : StoreConfig
        The handle's.

    Attributes
    ----------
    thread : SyncThread
        Runs only where the settings allow threads.
    """

    def __init__(
        self,
        files: Files,
        root: Path,
        log: Log,
        bytes_before: int,
        lock: Any,
        config: StoreConfig,
    ) -> None:
        self.log = log
        self.bytes_before = bytes_before
        self.failure: str | None = None
        self._files = files
        self._root = root
        self._lock = lock
        self._durability = config.durability
        self._interval_s = config.sync_interval_s
        self._inline = config.maintenance == "inline"
        self._done = threading.Condition()  # protects _syncing, failure, log, log.synced
        self._syncing = False
        self._synced_at = time.monotonic()
        every_s = config.sync_interval_s if self._durability == "interval" else QUIET_S
        self.thread = SyncThread(
            every_s, lambda: self.position, self._sync_in_background, self._mark_if_quiet
        )

    @property
    def position(self) -> Position:
        """Behind the last frame."""
        log = self.log
        return (log.number, log.end)

    @property
    def _durable(self) -> Position:
        return (self.log.number, self.log.synced)

    @property
    def n_bytes(self) -> int:
        """Bytes of the logs since the last generation."""
        return self.bytes_before + self.log.end - LOG_HEADER_BYTES

    def refuse_if_poisoned(self) -> None:
        """
        Raise where a sync has failed.

        Raises
        ------
        StorePoisoned
            If one has.
        """
        if self.failure is not None:
            raise StorePoisoned(self._root, self.failure)

    def poison(self, reason: object) -> StorePoisoned:
        """
        Refuse every write from now on.

        Parameters
        ----------
        reason : Exception or str
            The failure.

        Returns
        -------
        StorePoisoned
            To be raised.
        """
        with self._done:
            self.failure = self.failure or str(reason)
            self._done.notify_all()
        return StorePoisoned(self._root, self.failure)

    @contextlib.contextmanager
    def poisoning(self) -> Iterator[None]:
        """
        Refuse every write after an fsync that fails in here.

        Yields
        ------
        None
            While something is written.

        Raises
        ------
        StorePoisoned
            In the place of what the failure has led to, unless that is Ctrl-C.
        """
        outer = sys.exc_info()[1]
        try:
            yield
        except BaseException as exc:
            failure = _sync_failure(exc, outer)
            if failure is None:
                raise
            poisoned = self.poison(failure)
            if isinstance(exc, OSError):
                raise poisoned from exc
            raise

    def append(self, seqno: int, kind: int, chunks: Sequence[Buffer]) -> Position:
        """
        Append a call; the writer's lock is held.

        Parameters
        ----------
        seqno : int
            Its number.
        kind : int
            See `frames.CALL_KINDS`.
        chunks : sequence of bytes-like
            Its byte stream.

        Returns
        -------
        Position
            Behind it, for `wait`.

        Raises
        ------
        OSError
            If the system refused; nothing of the call is left.
        """
        self._finish_cut()
        self.log.append(seqno, kind, chunks, prepare=self._durability == "full")
        return self.position

    def take_back(self, position: Position, seqno: int) -> None:
        """
        Forget the last call, which failed after it was appended.

        Parameters
        ----------
        position : Position
            Before it.
        seqno : int
            Of the call before it.

        Raises
        ------
        StorePoisoned
            If the system refuses, so that recovery may find the call.
        """
        with self._done:
            gone = self.position == position
            gone = gone or self.log.cut(position[1], seqno)
        if not gone:
            raise self.poison("a call that failed could not be taken out of the log")

    def _finish_cut(self) -> None:
        """Make durable that a call was taken back, before another takes its place."""
        if not self.log.uncut:
            return
        with self._done:
            # subtle: a sync that ran since before the cut would vouch for the wrong bytes, and of
            # two at once the system tells only one that pages were lost
            while self._syncing:
                self._done.wait()
            self.refuse_if_poisoned()
            with self.poisoning():
                self.log.finish_cut()

    def wait(self, position: Position) -> None:
        """
        Wait until a call is as durable as the handle's settings ask for.

        Parameters
        ----------
        position : Position
            From `append`.

        Raises
        ------
        StorePoisoned
            If a sync failed; whether the call happened is known after reopening.
        """
        if self._durability == "off":
            return
        if self._durability == "full":
            self.sync(position)
            if not self._inline:
                self.thread.start()  # for the mark
            return
        alone = self._inline or not self.thread.start()
        if alone and time.monotonic() - self._synced_at >= self._interval_s:
            self.sync(position)

    def sync(self, position: Position) -> None:
        """
        Make the log durable up to a position.

        Parameters
        ----------
        position : Position
            Not beyond the last frame.

        Raises
        ------
        StorePoisoned
            If that failed, now or before.
        """
        outer = sys.exc_info()[1]
        while True:
            leads, tried, failure = False, False, None
            try:
                with self._done:
                    while self._syncing and self._durable < position and self.failure is None:
                        self._done.wait()
                    self.refuse_if_poisoned()
                    # less than was asked for, if Ctrl-C has taken the call back meanwhile
                    if self._durable >= min(position, self.position):
                        return
                    log, end = self.log, self.log.end
                    leads = self._syncing = True
                log.file.sync()
                tried = True
            except BaseException as exc:
                failure = _sync_failure(exc, outer)
                tried = failure is not None
                if exc is not failure:
                    raise
            finally:
                if leads:
                    with self._done:
                        self._syncing = False
                        if tried:  # and not interrupted by Ctrl-C
                            self._led(log, end, failure)
                        self._done.notify_all()

    def _led(self, log: Log, end: int, failure: OSError | None) -> None:
        """Note what a sync has made durable, or that it failed; `_done` is held."""
        self._synced_at = time.monotonic()
        # before anybody else can sync: the system may call lost pages clean
        if failure is not None:
            self.failure = self.failure or str(failure)
        else:
            # frames may have been taken back meanwhile; none is in their place yet, since
            # `_finish_cut` waits for this sync
            log.synced = min(end, log.end)

    def prepare(self, seqno: int) -> Log:
        """
        Begin the next log, without using it; the writer's lock is held.

        Parameters
        ----------
        seqno : int
            Of the last call before it, or of a change that no log contains.

        Returns
        -------
        Log
            For `switch`, or to be closed.

        Raises
        ------
        OSError
            If it cannot be made; the log in use stays in use.
        StorePoisoned
            If a sync failed.
        """
        self.sync(self.position)
        self._finish_cut()
        try:
            self.log.trim()
            with self.poisoning():
                return Log.create(self._files, self._root, seqno, self.log)
        except BaseException:
            with contextlib.suppress(OSError):  # if it stays, recovery sees that nothing is in it
                self._files.remove(self._root / log_name(self.log.number + 1))
            raise

    def switch(self, log: Log, *, covered: bool) -> None:
        """
        Route calls to the next log; the writer's lock is held since `prepare`.

        Parameters
        ----------
        log : Log
            From `prepare`.
        covered : bool
            Whether the generation on disk contains all that the logs before hold.
        """
        with self._done:
            while self._syncing:
                self._done.wait()
            old, self.bytes_before = self.log, 0 if covered else self.n_bytes
            self.log = log
        old.close()

    def _sync_in_background(self, before: Position) -> None:
        """Sync every interval; else only what nobody has written to for a while."""
        if self._durability == "interval" or self.position == before:
            self.sync(self.position)

    def _mark_if_quiet(self, before: Position) -> bool:
        """Write a sync mark where nothing came since `before` and nobody is about to write."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            with contextlib.suppress(OSError):  # no room to say so: later, perhaps
                self._finish_cut()
                if self.position == before and self._durable == before:
                    self.log.mark()
                    return True
            return False
        finally:
            self._lock.release()

    def close(self) -> None:
        """
        Make everything durable and say so in the log; the writer's lock is held.

        Raises
        ------
        StorePoisoned
            If a sync failed.
        OSError
            If the system refuses the rest; the log is as durable as it was.
        """
        self.sync(self.position)
        self._finish_cut()
        self.log.mark()
        self.log.trim()
        self.sync(self.position)
        self.log.close()

    def abandon(self) -> None:
        """Let go of the file, whatever is in it."""
        self.log.close()


def _sync_failure(exc: BaseException | None, outer: BaseException | None) -> SyncFailed | None:
    """Find the failed fsync that led to an exception: Ctrl-C may come while it is on its way."""
    while exc is not None and exc is not outer:  # which the caller's caller is handling
        if isinstance(exc, SyncFailed):
            return exc
        exc = exc.__context__
    return None
