"""Waiting, for tests: until the test says that time is up, and so that the test sees who waits."""

import threading

from tests.storage.watching import PATIENCE_S


class Hourglass(threading.Event):
    """
    An event; whoever waits for it for a while does so until the glass is turned.

    Attributes
    ----------
    asked : list of float
        The seconds for which somebody waited, or still does.
    """

    def __init__(self):
        super().__init__()
        self.asked = []
        self._changed = threading.Condition()
        self._runs = self._run_out = False

    def wait(self, timeout=None):
        with self._changed:
            self.asked.append(timeout)
            self._runs = True
            self._changed.notify_all()
            self._until(lambda: self._run_out or self.is_set())
            self._runs = self._run_out = False
        return self.is_set()

    def set(self):
        super().set()
        with self._changed:
            self._changed.notify_all()

    def turn(self):
        """Let the while be over for which somebody waits, or is about to wait."""
        with self._changed:
            self._until(lambda: self._runs and not self._run_out)
            self._run_out = True
            self._changed.notify_all()

    def runs(self):
        """Wait until somebody waits, who has done by then what came before."""
        with self._changed:
            self._until(lambda: self._runs and not self._run_out)

    def _until(self, condition):
        assert self._changed.wait_for(condition, PATIENCE_S), "nobody else came"


class Line(threading.Condition):
    """A condition that tells how many stand in line for it."""

    def __init__(self):
        super().__init__()
        self._stands = threading.Semaphore(0)

    def wait(self, timeout=None):
        self._stands.release()
        return super().wait(timeout)

    def grows_by(self, n):
        """Wait until so many more have lined up."""
        for _ in range(n):
            assert self._stands.acquire(timeout=PATIENCE_S), "somebody did not wait"
