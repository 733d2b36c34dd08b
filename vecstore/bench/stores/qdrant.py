"""
qdrant-client in its local mode: pickles in sqlite3, and a scan of NumPy arrays.

Every point is a transaction of its own with the default rollback journal: traced with strace,
1.20.0 calls fdatasync four times before an upsert returns. It has no graph and no setting.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecstore.bench.extra import DATABASES, imported, version_of
from vecstore.bench.stores.database import POWER_LOSS, Facts, Setup, Variant, word_for
from vecstore.bench.stores.records import Records, id_of, number_of

VARIANTS = (Variant("default", POWER_LOSS),)
_DISTANCES = {"cosine": "COSINE", "euclidean": "EUCLID", "dot": "DOT"}
_STEP = 1000


class Qdrant:
    """
    ``QdrantClient(path=…)`` with one collection; ids are numbers there.

    Parameters
    ----------
    setup : Setup
        The settings.
    """

    def __init__(self, setup: Setup) -> None:
        self._package = imported("qdrant_client", "qdrant-client", DATABASES)
        self._setup = setup
        self._distance = word_for("qdrant-client", _DISTANCES, setup.metric)
        self._client: Any = None

    def warm(self) -> None:
        pass

    def create(self) -> None:
        models = self._package.models
        self._client = self._package.QdrantClient(path=self._setup.path)
        distance = getattr(models.Distance, self._distance)
        vectors = models.VectorParams(size=self._setup.dim, distance=distance)
        self._client.create_collection("records", vectors_config=vectors)

    def upsert(self, record_id: str, vector: NDArray[np.float32], metadata: dict[str, Any]) -> None:
        point = self._package.models.PointStruct(
            id=number_of(record_id), vector=vector.tolist(), payload=metadata
        )
        self._client.upsert("records", [point])

    def load(self, records: Records) -> None:
        for at in range(0, len(records.ids), _STEP):
            batch = self._package.models.Batch(
                ids=[number_of(one) for one in records.ids[at : at + _STEP]],
                vectors=records.vectors[at : at + _STEP].tolist(),
                payloads=records.metadata[at : at + _STEP],
            )
            self._client.upsert("records", batch)

    def build(self) -> None:
        pass

    def count(self) -> int:
        return int(self._client.count("records").count)

    def nearest(self, vector: NDArray[np.float32]) -> str:
        found = self._client.query_points("records", query=vector.tolist(), limit=1)
        return id_of(found.points[0].id)

    def close(self) -> None:
        self._client.close()

    def facts(self) -> Facts:
        return Facts(version_of("qdrant-client"), "local mode")
