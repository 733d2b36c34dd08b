"""Scenario: the power goes, at every operation, in every way, and again while recovering."""

import pytest

import tests.crash.enumeration
from tests.crash.enumeration import Enumeration, record
from tests.crash.sessions import BusyFiles, Session
from tests.crash.workloads import WORKLOADS
from tests.larger_data import sized
from tests.storage.medium import EVERYTHING, Rename, Sync
from vecstore.engine.journal import Journal
from vecstore.errors import CorruptData

LEVELS = ("full", "interval", "off")
LARGE = {"absorb"}
EVERY = {"n_chosen": None, "n_again": None}
TWICE = ("equals", "off")
"""Where each recovery crashes as well, in every way."""
_done = {}


def at_level(name, level):
    workload = WORKLOADS[name]
    return workload._replace(settings={**workload.settings, "durability": level})


@pytest.mark.parametrize("name", ["calls", "checkpoints", "compact", "equals"])
def test_store_comes_back_as_it_was_when_it_crashed_anywhere(name):
    enumeration = Enumeration(WORKLOADS[name], n_seeds=1, n_chosen=1, n_again=1, sampled=30)

    assert enumeration.run() > 15


def recorded():
    """List the workloads that are tried, with their levels."""
    names = sized(set(WORKLOADS) - LARGE, {"checkpoints", "equals"})
    levels = [(name, level) for name in names for level in LEVELS]
    return sorted({*levels, *((name, "full") for name in WORKLOADS)})


@pytest.mark.slow
@pytest.mark.parametrize(("name", "level"), recorded())
def test_store_comes_back_as_it_was_when_it_crashed_in_any_way(name, level):
    how = {"n_chosen": sized(28 if level == "full" else 8, 1), "n_again": 2}
    how["sampled"] = sized(40, 60)
    if (name, level) == TWICE:
        how = {**EVERY, "sampled": sized(1, 9)}
    if name in LARGE:
        how |= {"n_chosen": sized(6, 1), "sampled": 200}

    enumeration = Enumeration(at_level(name, level), n_seeds=2, **how)

    _done[name, level] = enumeration.run()


@pytest.mark.slow
def test_crash_images_are_many_when_all_workloads_were_tried():
    if len(_done) < len(recorded()):
        pytest.skip("only when all of them were tried, and came back")

    # of one level alone: its name is in each image
    assert sum(n for (_, level), n in _done.items() if level == "full") >= sized(20_000, 2_000)


# ---- the workloads are what they are meant to be


@pytest.mark.parametrize(
    ("name", "least_swaps", "least_indexed"),
    [
        ("calls", 1, 8),
        ("checkpoints", 4, 8),
        ("automatic", 4, 8),
        ("graph", 5, 38),
        ("absorb", 4, 512),
        ("compact", 7, 0),
        ("snapshots", 6, 8),
        ("equals", 1, 0),
        ("amid", 7, 8),
    ],
)
def test_workload_reaches_generations_and_graph_when_nothing_crashes(
    name, least_swaps, least_indexed
):
    files = BusyFiles()
    recording = record(files, WORKLOADS[name])

    session = Session(BusyFiles(files.crash(EVERYTHING).image), WORKLOADS[name].settings)

    with session.ending():
        swaps = [
            operation
            for operation in recording.journal
            if isinstance(operation, Rename)
            and any(entry == "CURRENT" and node for _, entry, node in operation.entries)
        ]
        assert len(swaps) >= least_swaps
        indexed = session.store.index.graph.n_indexed if session.store.index else 0
        assert indexed >= least_indexed
        assert recording.acknowledged == sorted(recording.acknowledged)
        assert len(recording.acknowledged) == len(WORKLOADS[name].steps)


def test_recordings_are_the_same_when_a_workload_is_repeated():
    first, second = (record(BusyFiles(), WORKLOADS["amid"]) for _ in range(2))

    assert first.journal == second.journal


# ---- the enumeration can fail


@pytest.fixture
def _apart(monkeypatch):
    monkeypatch.setattr(tests.crash.enumeration, "SEEN", set())


@pytest.mark.usefixtures("_apart")
@pytest.mark.parametrize("is_directory", [False, True])
def test_enumeration_fails_when_syncs_do_nothing(is_directory, monkeypatch):
    tell = BusyFiles._record

    def told(self, operation):
        if not (isinstance(operation, Sync) and operation.node.is_directory == is_directory):
            tell(self, operation)

    monkeypatch.setattr(BusyFiles, "_record", told)

    with pytest.raises((AssertionError, CorruptData)):
        Enumeration(WORKLOADS["checkpoints"], n_seeds=1, **EVERY, sampled=99).run()


@pytest.mark.usefixtures("_apart")
def test_enumeration_fails_when_calls_are_acknowledged_before_they_are_durable(monkeypatch):
    monkeypatch.setattr(Journal, "wait", lambda self, position: None)

    with pytest.raises(AssertionError, match="no state after"):
        Enumeration(WORKLOADS["calls"], n_seeds=1, **EVERY, sampled=99).run()


@pytest.mark.usefixtures("_apart")
def test_enumeration_fails_when_a_torn_end_is_left_in_the_log(monkeypatch):
    resize = BusyFiles._resize

    def kept(self, node, length):
        if length > len(self._contents[node]) or length == 0:
            resize(self, node, length)

    monkeypatch.setattr(BusyFiles, "_resize", kept)

    with pytest.raises(AssertionError):
        Enumeration(at_level("equals", "off"), n_seeds=2, **EVERY, sampled=1).run()
