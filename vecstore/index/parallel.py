"""
Spreading a serial kernel over ranges with a small pool of threads.

Kernels release the interpreter lock, so plain threads suffice; `parallel=True` would bring abort
on concurrent calls, trouble with fork and seconds of compiling. Results never depend on the
split: every range writes what is its own.
"""

import itertools
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

_pool: tuple[int, ThreadPoolExecutor] | None = None
_lock = threading.Lock()

RANGES_PER_THREAD = 4
"""Ranges are claimed as threads become free, so one busy core does not hold up the others."""


def run_ranges(
    work: Callable[[int, int], None], lo: int, hi: int, threads: int, least: int = 1
) -> None:
    """
    Call ``work(begin, end)`` for ranges that cover [lo, hi).

    Parameters
    ----------
    work : callable
        Calls a kernel; must be safe for disjoint ranges at once.
    lo, hi : int
        What to cover.
    threads : int
        Threads to use; 1 calls `work` once, in this thread.
    least : int
        Smallest range worth a thread: a wait costs some 80 µs.
    """
    n_ranges = min(threads * RANGES_PER_THREAD, (hi - lo) // max(1, least))
    if threads == 1 or n_ranges <= 1:
        if hi > lo:
            work(lo, hi)
        return
    bounds = [lo + (hi - lo) * i // n_ranges for i in range(n_ranges + 1)]
    ranges = deque(itertools.pairwise(bounds))

    def _claim() -> None:
        while True:
            try:
                begin, end = ranges.popleft()  # atomic
            except IndexError:
                return
            work(begin, end)

    pool = _pool_of(threads)
    helpers = [pool.submit(_claim) for _ in range(min(threads, n_ranges) - 1)]
    try:
        # this thread works too: a query must not wait until the absorber lets go of the pool
        _claim()
        for future in helpers:
            if not future.cancel():
                future.result()
    finally:
        # also after Ctrl-C nobody may write any more into arrays that the caller gets back
        ranges.clear()
        wait([future for future in helpers if not future.cancel()])


def _pool_of(threads: int) -> ThreadPoolExecutor:
    """Give the one pool, replaced by a larger one where it has too few threads."""
    global _pool
    with _lock:
        if _pool is None or _pool[0] < threads:
            # the smaller one ends by itself when the last call that uses it lets go of it
            _pool = (threads, ThreadPoolExecutor(threads, thread_name_prefix="vecstore"))
        return _pool[1]


def _forget_pool() -> None:
    # a forked child inherits the executor without its threads
    global _lock, _pool
    _lock, _pool = threading.Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
