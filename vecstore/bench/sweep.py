"""
Timing libraries against each other: builds one by one, searches in interleaved rounds.

In every round each library answers once at each of its settings, one library after the other, so
that a slow minute of the machine hits all of them. The order changes from round to round: whose
caches and clock a library inherits is not always the same one's. Which settings is decided before
any clock runs, by recall alone.
"""

import gc
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecstore.bench.curves import next_setting
from vecstore.bench.machine import Memory, watched_memory
from vecstore.bench.peers.library import Library, Work
from vecstore.bench.recall import Judge, Recall

Tell = Callable[[str], None]
LATENCY_ROUNDS = 3


class Built(NamedTuple):
    """
    A library whose index stands.

    Attributes
    ----------
    library : Library
        Built.
    build_s : float
        Seconds on the wall clock.
    memory : Memory
        Resident memory of the process around the build.
    """

    library: Library
    build_s: float
    memory: Memory


class Probe(NamedTuple):
    """
    What does not depend on the clock.

    Attributes
    ----------
    recall : Recall
        Of the answers.
    work : Work or None
        Their cost, where the library counts.
    """

    recall: Recall
    work: Work | None


class Row(NamedTuple):
    """
    One library at one setting.

    Attributes
    ----------
    library : str
        Its name.
    setting : float
        Of its knob.
    recall : Recall
        Of its answers.
    seconds : list of float
        One for each round: a call that answers all queries.
    latency_us : tuple of float
        From `latencies`.
    work : Work or None
        Cost of all queries.
    """

    library: str
    setting: float
    recall: Recall
    seconds: list[float]
    latency_us: tuple[float, float, float]
    work: Work | None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the garbage collector from running within the context."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def build(library: Library, base: NDArray[np.float32]) -> Built:
    """
    Build an index, with what it compiles at first use compiled before.

    Parameters
    ----------
    library : Library
        Not built.
    base : float32[n, dim]
        The rows.

    Returns
    -------
    Built
        With the time of this one build.
    """
    library.warm()
    with quiet(), watched_memory() as memory:
        began = perf_counter()
        library.build(base)
        build_s = perf_counter() - began
        return Built(library, build_s, memory())


def explore(
    library: Library,
    queries: NDArray[np.float32],
    judge: Judge,
    k: int,
    targets: Sequence[float],
    extra: int,
) -> dict[float, Probe]:
    """
    Find settings that enclose the recalls of interest.

    Parameters
    ----------
    library : Library
        Built.
    queries : float32[q, dim]
        The queries.
    judge : Judge
        Of these queries.
    k : int
        Neighbours wanted.
    targets : sequence of float
        Recalls to be enclosed.
    extra : int
        Settings at most to add to the library's own grid.

    Returns
    -------
    dict
        Settings, ascending, to what they gave. Its calls are what is called once and discarded
        before any is timed.
    """
    prepared = library.prepare(queries)
    probes: dict[float, Probe] = {}

    def _try(setting: float) -> None:
        answers = library.search(prepared, k, setting)
        probes[setting] = Probe(judge.score(answers), library.work())

    for setting in library.knob.grid:
        _try(setting)
    for _ in range(extra):
        recalls = {setting: probe.recall.by_ids for setting, probe in probes.items()}
        more = next_setting(recalls, targets, library.knob)
        if more is None or more in probes:
            break
        _try(more)
    return dict(sorted(probes.items()))


def race(
    libraries: Sequence[Library],
    settings: Sequence[Sequence[float]],
    queries: NDArray[np.float32],
    k: int,
    rounds: int,
    tell: Tell,
) -> dict[tuple[str, float], list[float]]:
    """
    Time one call for all queries, of every library at every setting, in interleaved rounds.

    Parameters
    ----------
    libraries : sequence of Library
        Built, of different names.
    settings : sequence of sequence of float
        For each library.
    queries : float32[q, dim]
        The queries.
    k : int
        Neighbours wanted.
    rounds : int
        Times that each is measured.
    tell : callable
        Takes a line about how far it is.

    Returns
    -------
    dict
        (Name, setting) to seconds, one for each round.
    """
    prepared = [library.prepare(queries) for library in libraries]
    seconds: dict[tuple[str, float], list[float]] = {}
    with quiet():
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}")
            for which, setting in _turns(settings, number):
                library = libraries[which]
                began = perf_counter()
                library.search(prepared[which], k, setting)
                taken = perf_counter() - began
                seconds.setdefault((library.name, setting), []).append(taken)
    return seconds


def turn_order(n: int, number: int) -> list[int]:
    """
    Say in which order contestants have their turns.

    Parameters
    ----------
    n : int
        Contestants.
    number : int
        Of the round, from 0.

    Returns
    -------
    list of int
        Each of them once.

    Examples
    --------
    >>> turn_order(3, 0), turn_order(3, 1)
    ([0, 1, 2], [1, 0, 2])
    """
    # rotated, which alone would leave every one its predecessor, and every other round backward
    step = -1 if number % 2 else 1
    return [(number + step * place) % n for place in range(n)]


def _turns(settings: Sequence[Sequence[float]], number: int) -> Iterator[tuple[int, float]]:
    """Give each library a turn at its i-th setting before any goes on to the next."""
    order = turn_order(len(settings), number)
    for i in range(max(map(len, settings))):
        for which in order:
            if i < len(settings[which]):
                yield which, settings[which][i]


def latencies(
    libraries: Sequence[Library],
    settings: Sequence[Sequence[float]],
    queries: NDArray[np.float32],
    k: int,
    rounds: int = LATENCY_ROUNDS,
) -> dict[tuple[str, float], tuple[float, float, float]]:
    """
    Time every query in a call of its own, in interleaved rounds.

    Parameters
    ----------
    libraries : sequence of Library
        Built, of different names.
    settings : sequence of sequence of float
        For each library.
    queries : float32[q, dim]
        The queries.
    k : int
        Neighbours wanted.
    rounds : int
        Times that each query is asked.

    Returns
    -------
    dict
        (Name, setting) to the 50th, 95th and 99th percentile over the queries, in microseconds;
        each query counts with its shortest call, so that the tail is that of hard queries and
        not of a busy machine.
    """
    prepared: list[Any] = [library.prepare(queries) for library in libraries]
    singles = [[own[q : q + 1] for q in range(len(queries))] for own in prepared]
    least: dict[tuple[str, float], list[float]] = {}
    with quiet():
        for number in range(rounds):
            for which, setting in _turns(settings, number):
                key = libraries[which].name, setting
                taken = _single_calls(libraries[which], singles[which], k, setting)
                least[key] = list(map(min, least.get(key, taken), taken))
    return {key: _percentiles_us(taken) for key, taken in least.items()}


def _single_calls(library: Library, singles: Sequence[Any], k: int, setting: float) -> list[float]:
    library.search(singles[0], k, setting)  # the first call after another library's is not its own
    taken = []
    for single in singles:
        began = perf_counter()
        library.search(single, k, setting)
        taken.append(perf_counter() - began)
    return taken


def _percentiles_us(seconds: Sequence[float]) -> tuple[float, float, float]:
    p50, p95, p99 = (1e6 * percentile(seconds, share) for share in (0.50, 0.95, 0.99))
    return p50, p95, p99


def percentile(values: Sequence[float], share: float) -> float:
    """
    Find the smallest value that at least a share of all does not exceed.

    Parameters
    ----------
    values : sequence of float
        Not empty.
    share : float
        Above 0, at most 1.

    Returns
    -------
    float
        One of the values: nothing is interpolated.

    Examples
    --------
    >>> percentile([3.0, 1.0, 2.0], 0.5)
    2.0
    """
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
