"""The index of a store, as its users may look at it while the store goes on."""

import sys
import threading

import numpy as np
import pytest

import vecstore
from vecstore.errors import InvalidInput

CONFIG = {"flat_threshold": 40, "maintenance": "inline", "hnsw": {"m": 4, "ef_construction": 20}}
ROWS = np.random.default_rng(5).integers(-9, 10, (400, 6)).astype(np.float32)


def names(first, last):
    return [str(i) for i in range(first, last)]


def test_index_shows_slots_and_graph_when_the_store_has_both():
    with vecstore.open(metric="l2", config=CONFIG) as store:
        store.upsert_many(names(0, 300), ROWS[:300])

        index = store.index
        found = index.search(ROWS[:5], k=3)

        assert len(index) == 300
        assert index.graph.n_indexed == store.stats().indexed
        assert found.distances[:, 0].tolist() == [0] * 5
        assert index.fingerprint() == store.fingerprint()


def test_index_stays_as_it_was_when_the_store_goes_on():
    with vecstore.open(metric="l2", config=CONFIG) as store:
        store.upsert_many(names(0, 100), ROWS[:100])
        index, before = store.index, store.fingerprint()

        store.upsert_many(names(100, 400), ROWS[100:])

        assert len(index) == 100
        assert index.fingerprint() == before != store.fingerprint()
        assert len(store.index) == 400


@pytest.mark.parametrize("call", ["add", "optimize", "_append"])
def test_index_refuses_changes_when_it_belongs_to_a_store(call):
    with vecstore.open(metric="l2", config=CONFIG) as store:
        store.upsert_many(names(0, 100), ROWS[:100])
        before = store.fingerprint()

        with pytest.raises(InvalidInput):
            getattr(store.index, call)(*([] if call == "optimize" else [ROWS[:2]]))

        store.upsert("next", ROWS[7])
        assert store.get("next").vector.tolist() == ROWS[7].tolist()
        assert before != store.fingerprint()


def test_index_is_whole_when_read_beside_a_writer():
    torn, done = [], threading.Event()

    def read(store):
        while not done.is_set():
            index = store.index
            if index is not None and not (
                len(index) <= len(index.storage.array) and index.graph.n_indexed <= len(index)
            ):
                torn.append(index)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with vecstore.open(metric="l2", config=CONFIG) as store:
            reader = threading.Thread(target=read, args=(store,))
            reader.start()
            for first in range(0, 400, 4):
                store.upsert_many(names(first, first + 4), ROWS[first : first + 4])
            done.set()
            reader.join()
    finally:
        done.set()
        sys.setswitchinterval(interval)

    assert not torn


def test_close_is_refused_when_it_comes_from_a_progress_callback():
    raised = []

    def progress(done, total):
        if not raised:
            with pytest.raises(InvalidInput, match="progress") as caught:
                store.close()
            raised.append(caught.value)

    with vecstore.open(metric="l2", config={**CONFIG, "maintenance": "background"}) as store:
        store.upsert_many(names(0, 300), ROWS[:300], progress=progress)

        assert raised
        assert not store.closed
    assert store.closed


def test_write_and_close_succeed_when_no_thread_can_be_started(monkeypatch, caplog):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    with vecstore.open(metric="l2", config={**CONFIG, "maintenance": "background"}) as store:
        monkeypatch.setattr(threading.Thread, "start", refuse)

        store.upsert_many(names(0, 300), ROWS[:300])

        monkeypatch.undo()
        assert len(store) == 300
        assert "no thread for upkeep" in caplog.text
        assert store.stats().indexed == 0
        store.fingerprint()
        assert store.stats().indexed > 0


def test_fingerprint_is_the_same_when_a_progress_callback_absorbs_too():
    seen = []
    with vecstore.open(metric="l2", config=CONFIG) as store:
        store.upsert_many(names(0, 400), ROWS, progress=lambda *_: seen.append(store.fingerprint()))
        last = store.fingerprint()
    with vecstore.open(metric="l2", config=CONFIG) as other:
        other.upsert_many(names(0, 400), ROWS)

        assert set(seen) == {last}
        assert last == other.fingerprint()
