"""VecStore itself, at each of its durability levels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecstore import __version__
from vecstore.bench.peers import library
from vecstore.bench.peers.ours import Graph
from vecstore.bench.stores.database import KILL, POWER_LOSS, Facts, Setup, Variant
from vecstore.bench.stores.records import Records
from vecstore.config import HnswConfig, StoreConfig
from vecstore.store import VecStore, open

FULL = "full"
VARIANTS = (
    Variant(FULL, POWER_LOSS, "HNSW"),
    Variant("interval", KILL, "HNSW", bulk=False),
    Variant("off", KILL, "HNSW", bulk=False),
)


class Ours:
    """
    `VecStore`, its graph absorbed by a background thread, as users have it.

    Parameters
    ----------
    setup : Setup
        The settings.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._store: VecStore

    def warm(self) -> None:
        load_kernels(self._setup.metric)

    def create(self) -> None:
        self._store = open_store(self._setup)

    def upsert(self, record_id: str, vector: NDArray[np.float32], metadata: dict[str, Any]) -> None:
        self._store.upsert(record_id, vector, metadata)

    def load(self, records: Records) -> None:
        self._store.upsert_many(records.ids, records.vectors, records.metadata)

    def build(self) -> None:
        self._store.optimize()

    def count(self) -> int:
        return len(self._store)

    def nearest(self, vector: NDArray[np.float32]) -> str:
        return self._store.query(vector, k=1)[0].id

    def close(self) -> None:
        self._store.close()

    def facts(self) -> Facts:
        config = self._store.config
        graph = f"m={config.hnsw.m}, ef_construction={config.hnsw.ef_construction}"
        told = f"durability={config.durability}, threads={config.threads}, {graph}"
        return Facts(__version__, told)


def load_kernels(metric: str) -> None:
    """
    Compile the kernels of a metric, or load them from their cache.

    Parameters
    ----------
    metric : str
        Canonical name.
    """
    Graph(library.Setup(1, metric)).warm()


def open_store(setup: Setup) -> VecStore:
    """
    Open a store as the measurements have it, creating it where there is none.

    Parameters
    ----------
    setup : Setup
        Its label is the durability.

    Returns
    -------
    VecStore
        To be closed.
    """
    hnsw = HnswConfig(m=setup.m, ef_construction=setup.ef_construction, seed=setup.seed)
    config = StoreConfig(hnsw=hnsw, durability=setup.label, threads=setup.threads)
    return open(setup.path, metric=setup.metric, config=config)
