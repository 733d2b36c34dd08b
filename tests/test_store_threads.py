"""One handle, many threads: readers see whole records of one moment, writers take turns."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import vecstore
from tests.stores import Clock, euclidean, grid, names
from vecstore.engine.saver import CLOSE_BYTES
from vecstore.errors import StoreClosed
from vecstore.storage.frames import FRAME_HEADER_BYTES

QUERY = np.array([3, 1, 4], np.float32)
BACKGROUND = {"flat_threshold": 64, "maintenance": "background"}


def vector_of(number, version):
    """Give the vector that record `number` has in its `version`: metadata tells which to expect."""
    return np.array([number % 17, number % 5, version % 11], np.float32)


def write_for(store, seconds, gone):
    """Upsert, replace and delete; ids enter `gone` once their deletion has returned."""
    rng, end, version = np.random.default_rng(0), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        version += 1
        some = rng.integers(0, 300, 20).tolist()
        rows = [vector_of(number, version) for number in some]
        facts = [{"n": number, "v": version} for number in some]
        store.upsert_many([f"r{number}" for number in some], rows, facts)
        doomed = f"d{version}"
        store.upsert(doomed, vector_of(version, 0), {"n": version, "v": 0})
        if version % 3:
            store.delete(doomed)
        else:
            store.soft_delete(doomed)
        gone.add(doomed)
        if version % 40 == 0:
            store.compact()
        elif version % 15 == 0:
            store.checkpoint()
    return version


def read_until(store, stop, gone):
    """Query, and check every hit against the version it says it is."""
    rounds = 0
    while not stop.is_set():
        known = set(gone)
        hits = list(store.query(QUERY, k=25)) + list(store.iter_query(QUERY, strict=True))[:25]
        for hit in hits:
            truth = vector_of(hit.metadata["n"], hit.metadata["v"])
            assert hit.distance == pytest.approx(euclidean(truth, QUERY), rel=1e-6, abs=1e-6)
            assert hit.id not in known
        assert len(hits) == 50
        batch = store.query_many([QUERY] * 3, k=25)
        assert not any(record_id is None for record_id in batch.ids.ravel())
        record = store.get("r7")
        expected = vector_of(record.metadata["n"], record.metadata["v"])
        assert record.vector.tolist() == expected.tolist()
        assert set(store.ids()).isdisjoint(known)
        rounds += 1
    return rounds


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_readers_see_whole_records_when_a_writer_is_at_work(tmp_path, where):
    path = tmp_path / "store" if where == "disk" else ":memory:"
    gone, stop = set(), threading.Event()
    with vecstore.open(path, metric="l2", config=BACKGROUND) as store:
        facts = [{"n": number, "v": 0} for number in range(300)]
        store.upsert_many(names(300), [vector_of(number, 0) for number in range(300)], facts)
        with ThreadPoolExecutor(3) as pool:
            readers = [pool.submit(read_until, store, stop, gone) for _ in range(2)]
            try:
                versions = pool.submit(write_for, store, 1.2, gone).result()
            finally:
                stop.set()
            rounds = [reader.result() for reader in readers]

        assert versions > 5
        assert min(rounds) > 5
        assert len(store) == 300


def test_no_write_is_lost_when_threads_write_at_once():
    def write(part):
        for number in range(100):
            store.upsert(f"{part}-{number}", [part, number])

    with vecstore.open(metric="l2", config=BACKGROUND) as store:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(write, range(4)))

        assert store.stats().seqno == 400
        assert sorted(store.ids()) == sorted(f"{p}-{n}" for p in range(4) for n in range(100))
        assert len(store.query([0, 0], k=500)) == 400


def test_close_waits_for_what_is_absorbed_when_the_background_is_busy(tmp_path):
    with vecstore.open(tmp_path, metric="l2", config=BACKGROUND) as store:
        store.upsert_many(names(3000), grid(3000))

    background = [t.name for t in threading.enumerate() if t.name == "vecstore-absorb"]
    assert background == []
    with vecstore.open(tmp_path, check="full") as store:
        assert len(store) == 3000


@pytest.mark.parametrize(
    "call",
    [
        lambda s: s.upsert("late", [1, 2, 3, 4]),
        lambda s: s.upsert_many(["late"], [[1, 2, 3, 4]]),
        lambda s: s.batch([{"op": "delete", "id": "r0"}]),
        lambda s: s.delete("r0"),
        lambda s: s.soft_delete("r0"),
    ],
    ids=["upsert", "upsert_many", "batch", "delete", "soft_delete"],
)
def test_a_write_is_refused_when_the_store_is_closed_while_it_begins(tmp_path, call):
    class ClosingClock(Clock):
        """A moment in which another thread closes the store: after the first look at it."""

        armed = False

        def __call__(self):
            if self.armed:
                closer = threading.Thread(target=store.close)
                closer.start()
                closer.join()
            return super().__call__()

    clock = ClosingClock()
    store = vecstore.open(tmp_path, metric="l2", clock=clock)
    store.upsert_many(names(10), grid(10))
    clock.armed = True

    with pytest.raises(StoreClosed):
        call(store)

    with vecstore.open(tmp_path, check="full") as again:
        assert again.ids() == names(10)


@pytest.mark.parametrize(("letters", "generation"), [(1, 1), (CLOSE_BYTES // 200, 2)])
def test_close_happens_once_when_threads_close_at_once(tmp_path, letters, generation):
    store = vecstore.open(tmp_path, metric="l2", config=BACKGROUND)
    # a long log is written down as a generation, a short one is left to the next opening
    store.upsert_many(names(200), grid(200), [{"text": "x" * letters}] * 200)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: store.close(), range(8)))

    with vecstore.open(tmp_path, check="full") as again:
        assert again.stats().generation == generation
        # a sync mark at most is left in the log where its call was written down
        assert (again.stats().log_bytes <= FRAME_HEADER_BYTES) == (generation == 2)
        assert len(again) == 200
