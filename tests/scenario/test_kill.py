"""
A writing process is killed at any moment; what it acknowledged is there, and nothing half done.

The store lives through all rounds, so that each round begins on what the last left, and some lives
end while they recover. Beside it goes a store in memory that never dies: it is given what was
acknowledged, and the call that was not if the other one has it. Both must then be the same to the
bit.
"""

import contextlib
import time

import numpy as np
import pytest

import vecstore
from tests.larger_data import sized
from tests.scenario.calls import CONFIG, carry_out, clock_at_rest
from tests.scenario.lives import Life, stay, write
from tests.stores import contents

ROUNDS = [20, pytest.param(sized(200, 20), marks=pytest.mark.slow)]
SETTINGS = [
    {"durability": durability, "maintenance": maintenance, "checkpoint_bytes": length}
    for durability in ("full", "interval", "off")
    for maintenance in ("background", "inline")
    for length in (20_000, 1 << 20)
]


def state_of(store):
    """Everything that can be asked of a store and does not depend on where it is kept."""
    everything = contents(store)
    stats = everything.pop("stats")
    return everything | {"slots": stats.slots, "soft": stats.soft_deleted, "seqno": stats.seqno}


class Survivor:
    """The store in memory, and what was acknowledged to it."""

    def __init__(self, seed):
        self.seed = seed
        self.clock = clock_at_rest()
        inline = {**CONFIG, "maintenance": "inline"}
        self.store = vecstore.open(dim=4, metric="l2", config=inline, clock=self.clock)
        self.n_calls = 0

    def live_to(self, n_calls):
        while self.n_calls < n_calls:
            carry_out(self.store, self.clock, self.seed, self.n_calls)
            self.n_calls += 1

    def close(self):
        self.store.close()

    def agrees(self, state, *, at_rest):
        """Compare; a call amid which the writer was killed may have happened, but not in part."""
        if at_rest or state_of(self.store) == state:
            return state_of(self.store) == state
        self.live_to(self.n_calls + 1)
        return state_of(self.store) == state


def pace_of(path):
    """Measure how long a process takes here to open a store, in seconds; nothing depends on it."""
    for _ in range(3):  # the first one starts the server
        begin = time.perf_counter()
        with Life(stay, path, CONFIG) as life:
            assert life.hear() == "open"
            pace_s = time.perf_counter() - begin
    return pace_s


def kill_a_writer(path, settings, survivor, rng, pace_s):
    """Let a writer live for some calls and kill it, amid one or at rest; tell which, and count."""
    n_calls, at_rest = int(rng.integers(20)), bool(rng.integers(4) == 0)
    most = n_calls if at_rest else None
    with Life(write, path, CONFIG | settings, survivor.seed, survivor.n_calls, most) as life:
        # "open" comes first; some are killed before they come so far
        heard = [life.hear() for _ in range(n_calls + 1)] if n_calls else []
        assert None not in heard, "it ended by itself"
        time.sleep(rng.exponential(pace_s / 2))
        heard += life.kill()
    return at_rest, sum(said != "open" for said in heard)


def kill_an_opener(path, settings, survivor, rng, pace_s):
    """Let a process recover the store, and kill it on the way or soon after."""
    with Life(write, path, CONFIG | settings, survivor.seed, survivor.n_calls, 0) as life:
        time.sleep(rng.uniform(0, 3 * pace_s))
        life.kill()


@pytest.mark.parametrize("n_rounds", ROUNDS)
def test_nothing_acknowledged_is_missing_when_the_writer_is_killed(tmp_path, n_rounds):
    path, rng = tmp_path / "store", np.random.default_rng(n_rounds)
    pace_s = pace_of(tmp_path / "other")
    with contextlib.closing(Survivor(n_rounds)) as survivor:
        for _ in range(n_rounds):
            settings = SETTINGS[rng.integers(len(SETTINGS))]
            at_rest, n_calls = kill_a_writer(path, settings, survivor, rng, pace_s)
            survivor.live_to(survivor.n_calls + n_calls)
            for _ in range(rng.integers(3)):
                kill_an_opener(path, settings, survivor, rng, pace_s)

            with vecstore.open(
                path, dim=4, metric="l2", config=CONFIG, clock=survivor.clock
            ) as store:
                report, state = store.verify(), state_of(store)

            assert report.ok, (settings, report.problems)
            assert survivor.agrees(state, at_rest=at_rest), (settings, survivor.n_calls)
