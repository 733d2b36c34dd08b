"""The database: writing, asking, opening again, and what it adds to the index below it."""

import shutil
from pathlib import Path

import vecstore

from .cases import GRAPH_CASES, K, profile, vectors

CASE = "cosine-384"
METRIC, DIM = GRAPH_CASES[CASE]
CONFIG = {"maintenance": "inline"}


def ids(n):
    """Name the records."""
    return [f"record-{i}" for i in range(n)]


class StoreWrite:
    """Upserts into an empty store, the graph included, and back to an empty one."""

    params = (["memory", "disk"],)
    param_names = ("place",)
    number = 1
    warmup_time = 0
    timeout = 3600

    def setup(self, place):
        self.rows = vectors(METRIC, DIM).base
        self.ids = ids(len(self.rows))
        self.metadata = [{"number": i, "even": i % 2 == 0} for i in range(len(self.rows))]
        self.path = Path("written") if place == "disk" else ":memory:"
        self.store = self.opened()
        self.store.upsert_many(self.ids[:1100], self.rows[:1100])  # every kernel is compiled
        self.teardown(place)
        self.store = self.opened()

    def opened(self):
        return vecstore.open(self.path, metric=METRIC, config=CONFIG)

    def teardown(self, place):
        self.store.close()
        shutil.rmtree("written", ignore_errors=True)

    def time_upsert_many(self, place):
        self.store.upsert_many(self.ids, self.rows, self.metadata)

    def time_upsert_one_by_one(self, place):
        for i in range(500):
            self.store.upsert(self.ids[i], self.rows[i], self.metadata[i])

    def time_upsert_many_and_close(self, place):
        self.store.upsert_many(self.ids, self.rows, self.metadata)
        self.store.close()

    def peakmem_upsert_many(self, place):
        self.store.upsert_many(self.ids, self.rows, self.metadata)


class StoreQuery:
    """A store of all rows of the profile with a tail, opened from its files."""

    timeout = 3600

    def setup_cache(self):
        rows = vectors(METRIC, DIM).base
        with vecstore.open("store", metric=METRIC, config=CONFIG) as store:
            store.upsert_many(ids(len(rows)), rows, [{"number": i} for i in range(len(rows))])
            store.checkpoint()

    setup_cache.timeout = 7200

    def setup(self):
        self.queries = vectors(METRIC, DIM).queries
        self.store = vecstore.open("store", config=CONFIG)
        self.index = self.store.index
        self.store.query(self.queries[0], k=K)
        self.index.search(self.queries[0], k=K)

    def teardown(self):
        self.store.close()

    def time_query(self):
        self.store.query(self.queries[0], k=K)

    def time_the_same_query_of_the_index(self):
        self.index.search(self.queries[0], k=K)

    def time_query_many(self):
        self.store.query_many(self.queries, k=K)

    def time_get(self):
        self.store.get("record-7")

    def peakmem_query_many(self):
        self.store.query_many(self.queries, k=K)

    def track_n_dist(self):
        return float(self.store.query_many(self.queries, k=K).n_dist.mean())

    track_n_dist.unit = "distances"

    def track_disk_bytes_per_record(self):
        return self.store.stats().disk_bytes / profile().rows

    track_disk_bytes_per_record.unit = "bytes"


class StoreReopen:
    """Opening a store that was closed cleanly; it should not depend on the size."""

    timeout = 3600

    def setup_cache(self):
        StoreQuery().setup_cache()

    setup_cache.timeout = 7200

    def setup(self):
        self.time_reopen_and_query()  # what is compiled or loaded once is not the store's

    def time_reopen(self):
        vecstore.open("store", config=CONFIG).close()

    def time_reopen_and_query(self):
        with vecstore.open("store", config=CONFIG) as store:
            store.query([1.0] * DIM, k=K)

    def peakmem_reopen(self):
        vecstore.open("store", config=CONFIG).close()


class StoreLog:
    """What is done with a log of single upserts: bring it back, write it down, keep it."""

    number = 1
    warmup_time = 0
    timeout = 3600

    def setup(self):
        self.rows = vectors(METRIC, DIM).base[:500]
        config = {**CONFIG, "flat_threshold": 10_000, "durability": "off"}
        with vecstore.open("logged", metric=METRIC, config=config) as store:
            for record_id, row in zip(ids(500), self.rows, strict=True):
                store.upsert(record_id, row)
        self.store = vecstore.open("logged")

    def teardown(self):
        self.store.close()
        shutil.rmtree("logged", ignore_errors=True)

    def time_recover(self):
        self.store.close()
        self.store = vecstore.open("logged")

    def time_checkpoint(self):
        self.store.checkpoint()

    def time_create_snapshot(self):
        self.store.create_snapshot("kept")

    def time_verify(self):
        assert self.store.verify().ok
