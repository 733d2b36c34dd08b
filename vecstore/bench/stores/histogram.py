"""Waits, sorted into buckets that double, and read off at the shares that users care about."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from vecstore.bench.sweep import percentile

EDGES_US = tuple(2**power for power in range(5, 21))
"""Upper ends of the buckets, in microseconds; a last bucket takes what is longer."""
_SHARES = {"p50_us": 0.50, "p90_us": 0.90, "p99_us": 0.99, "p99_9_us": 0.999, "max_us": 1.0}
SPREAD = ("count", *_SHARES)


def spread(seconds: Sequence[float]) -> dict[str, Any]:
    """
    Describe a sample of waits.

    Parameters
    ----------
    seconds : sequence of float
        Each wait.

    Returns
    -------
    dict
        ``count``, ``p50_us``, ``p90_us``, ``p99_us``, ``p99_9_us``, ``max_us``: each one of the
        sample, None of an empty one.

    Examples
    --------
    >>> spread([0.001, 0.003, 0.002])["p50_us"], spread([])["max_us"]
    (2000.0, None)
    """
    read = {
        name: 1e6 * percentile(seconds, share) if seconds else None
        for name, share in _SHARES.items()
    }
    return {"count": len(seconds), **read}


def bucket_counts(seconds: Sequence[float]) -> list[int]:
    """
    Count waits by bucket.

    Parameters
    ----------
    seconds : sequence of float
        Each wait.

    Returns
    -------
    list of int
        One for each of `EDGES_US`, and one for what is longer than all of them.

    Examples
    --------
    >>> bucket_counts([32e-6, 33e-6, 2.0])[:2], bucket_counts([32e-6, 33e-6, 2.0])[-1]
    ([1, 1], 1)
    """
    counts = [0] * (len(EDGES_US) + 1)
    for wait in seconds:
        counts[bisect_left(EDGES_US, round(1e6 * wait, 3))] += 1
    return counts


def histogram_lines(groups: dict[str, Sequence[int]], width: int = 12) -> list[str]:
    """
    Draw counts of several groups side by side, one line for each bucket that holds any.

    Parameters
    ----------
    groups : dict
        Names to counts, from `bucket_counts`.
    width : int
        Characters of the longest bar.

    Returns
    -------
    list of str
        A heading and the lines. Each group has a scale of its own; what is there at all shows.

    Examples
    --------
    >>> for line in histogram_lines({"all": bucket_counts([50e-6] * 8 + [70e-6, 90e-6])}, width=8):
    ...     print(line)
      up to µs  all
            64  ████████ 8
           128  ██ 2
    """
    longest = {name: max(1, *counts) for name, counts in groups.items()}
    room = width + 1 + max(len(f"{most:,}") for most in longest.values())
    places = [place for place in range(len(EDGES_US) + 1) if any(c[place] for c in groups.values())]
    lines = ["  ".join([f"{'up to µs':>10}", *(f"{name:{room}}" for name in groups)])]
    for place in range(places[0], places[-1] + 1) if places else ():
        edge = f"{EDGES_US[place]:,}" if place < len(EDGES_US) else "longer"
        bars = (
            _bar(counts[place], -(-counts[place] * width // longest[name]), room)
            for name, counts in groups.items()
        )
        lines.append("  ".join([f"{edge:>10}", *bars]))
    return [line.rstrip() for line in lines]


def _bar(count: int, length: int, room: int) -> str:
    return f"{'█' * length} {count:,}".ljust(room) if count else " " * room
