"""
The thread of a journal: it syncs what nobody waits for, and says in the log what is durable.

It lives as long as there is something to do, and comes back with the next call. Not here: what a
sync is, and what it means when one fails (`engine.journal`).
"""

import contextlib
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from vecstore.errors import StorePoisoned

_Place = TypeVar("_Place")


class SyncThread(Generic[_Place]):
    """
    A thread that looks after a journal every so often.

    Parameters
    ----------
    every_s : float
        Seconds between two looks.
    place : callable
        Says where the journal ends.
    sync : callable
        Takes where it ended at the last look; raises `StorePoisoned` if a sync failed.
    mark : callable
        The same; gives whether all is done. No call is overlooked meanwhile.
    """

    def __init__(
        self,
        every_s: float,
        place: Callable[[], _Place],
        sync: Callable[[_Place], None],
        mark: Callable[[_Place], bool],
    ) -> None:
        self._every_s = every_s
        self._place = place
        self._sync = sync
        self._mark = mark
        self._starting = threading.Lock()  # protects _thread
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def start(self) -> bool:
        """
        Let it run, if it does not already, after a call was appended.

        Returns
        -------
        bool
            Whether it runs; not where the system has no threads left, or once it was stopped.
        """
        with self._starting:
            if self._thread is None and not self._stop.is_set():
                # a daemon: it runs no kernel, and what it would do for an exiting process, a
                # recovery does as well
                thread = threading.Thread(target=self._run, name="vecstore-sync", daemon=True)
                with contextlib.suppress(RuntimeError):  # no threads left
                    thread.start()
                    self._thread = thread
            return self._thread is not None

    def _run(self) -> None:
        done = False
        try:
            while not done and not self._stop.is_set():
                before = self._place()
                self._stop.wait(self._every_s)
                self._sync(before)
                # under the lock that `start` takes after each call: none is overlooked
                with self._starting:
                    done = self._mark(before)
                    self._thread = None if done else self._thread
        except StorePoisoned:
            pass  # whoever writes next meets the reason
        finally:
            with self._starting:
                if self._thread is threading.current_thread():
                    self._thread = None

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stop.set()
        with self._starting:
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def resume(self) -> None:
        """Let the thread start again, after a close that failed."""
        self._stop.clear()
