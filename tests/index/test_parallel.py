import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecstore.index.parallel import run_ranges


@given(st.integers(0, 50), st.integers(0, 200), st.integers(1, 4), st.integers(1, 70))
def test_run_ranges_covers_each_place_once_when_spread(lo, count, threads, least):
    ranges, lock = [], threading.Lock()

    def work(begin, end):
        with lock:
            ranges.append((begin, end))

    run_ranges(work, lo, lo + count, threads, least)

    covered = sorted(place for begin, end in ranges for place in range(begin, end))
    assert covered == list(range(lo, lo + count))
    assert all(end - begin >= min(least, count) for begin, end in ranges)


def test_run_ranges_stays_in_the_calling_thread_when_there_is_one():
    seen = []

    run_ranges(lambda lo, hi: seen.append((lo, hi, threading.get_ident())), 3, 90, 1)

    assert seen == [(3, 90, threading.get_ident())]


def test_run_ranges_spreads_over_the_caller_and_the_pool_when_there_are_several_threads():
    meet = threading.Barrier(2, timeout=60)  # passes only where two threads work at once
    seen = set()

    def work(lo, hi):
        if len(seen) < 2:
            seen.add(threading.get_ident())
            meet.wait()

    run_ranges(work, 0, 2, 2)

    assert len(seen) == 2
    assert threading.get_ident() in seen


@pytest.mark.parametrize("threads", [1, 2])
def test_run_ranges_raises_when_the_work_does(threads):
    def fail(lo, hi):
        raise ArithmeticError(lo)

    with pytest.raises(ArithmeticError):
        run_ranges(fail, 0, 100, threads)
