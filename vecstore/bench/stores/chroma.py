"""
chromadb, embedded: sqlite3 for records and queue, hnswlib for the graph.

Each upsert is two transactions of sqlite3 with its default rollback journal: traced with strace,
1.5.9 calls fsync eight times before it returns. The files of its graph it does not sync.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecstore.bench.extra import DATABASES, imported, version_of
from vecstore.bench.stores.database import POWER_LOSS, Facts, Setup, Variant, word_for
from vecstore.bench.stores.records import Records

VARIANTS = (Variant("default", POWER_LOSS, "HNSW"),)
_SPACES = {"cosine": "cosine", "euclidean": "l2", "dot": "ip"}


class Chroma:
    """
    ``chromadb.PersistentClient`` with one collection.

    Parameters
    ----------
    setup : Setup
        The settings.
    """

    def __init__(self, setup: Setup) -> None:
        self._chromadb = imported("chromadb", "chromadb", DATABASES)
        self._setup = setup
        self._space = word_for("chromadb", _SPACES, setup.metric)
        self._client: Any = None
        self._collection: Any = None

    def warm(self) -> None:
        pass

    def create(self) -> None:
        # telemetry would go over the network, in the middle of a measurement
        settings = self._chromadb.Settings(anonymized_telemetry=False)
        self._client = self._chromadb.PersistentClient(path=self._setup.path, settings=settings)
        graph = {
            "space": self._space,
            "max_neighbors": self._setup.m,
            "ef_construction": self._setup.ef_construction,
        }
        self._collection = self._client.create_collection(
            "records", embedding_function=None, configuration={"hnsw": graph}
        )

    def upsert(self, record_id: str, vector: NDArray[np.float32], metadata: dict[str, Any]) -> None:
        self._collection.upsert(
            ids=[record_id], embeddings=vector.reshape(1, -1), metadatas=[metadata]
        )

    def load(self, records: Records) -> None:
        step = self._client.get_max_batch_size()
        for at in range(0, len(records.ids), step):
            self._collection.upsert(
                ids=records.ids[at : at + step],
                embeddings=records.vectors[at : at + step],
                metadatas=records.metadata[at : at + step],
            )

    def build(self) -> None:
        # the last records wait in the queue until a query wants them in the graph
        self.nearest(np.ones(self._setup.dim, np.float32))

    def count(self) -> int:
        return int(self._collection.count())

    def nearest(self, vector: NDArray[np.float32]) -> str:
        found = self._collection.query(query_embeddings=vector.reshape(1, -1), n_results=1)
        return str(found["ids"][0][0])

    def close(self) -> None:
        self._client.close()

    def facts(self) -> Facts:
        graph = f"max_neighbors={self._setup.m}, ef_construction={self._setup.ef_construction}"
        return Facts(version_of("chromadb"), graph)
