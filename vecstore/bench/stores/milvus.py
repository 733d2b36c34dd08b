"""
milvus-lite: its engine without the server in front, a log of Arrow batches and FAISS graphs.

By default nothing is synced before a write returns. Its log has a mode that syncs every write,
``batch``, which no public call passes on; here it is set behind the engine's back.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecstore.bench.extra import DATABASES, imported, version_of
from vecstore.bench.stores.database import KILL, POWER_LOSS, Facts, Setup, Variant, word_for
from vecstore.bench.stores.records import Records

SYNCED = "sync_mode=batch"
VARIANTS = (Variant("default", KILL, "HNSW"), Variant(SYNCED, POWER_LOSS, "HNSW", bulk=False))
_METRICS = {"cosine": "COSINE", "euclidean": "L2", "dot": "IP"}
_STEP = 5000


class Milvus:
    """
    ``milvus_lite.MilvusLite`` with one collection.

    Parameters
    ----------
    setup : Setup
        The settings.
    """

    def __init__(self, setup: Setup) -> None:
        self._package = imported("milvus_lite", "milvus-lite", DATABASES)
        self._setup = setup
        self._metric = word_for("milvus-lite", _METRICS, setup.metric)
        self._db: Any = None
        self._collection: Any = None

    def warm(self) -> None:
        pass

    def create(self) -> None:
        package = self._package
        kinds, field = package.DataType, package.FieldSchema
        fields = [
            field(name="id", dtype=kinds.VARCHAR, max_length=1024, is_primary=True),
            field(name="vector", dtype=kinds.FLOAT_VECTOR, dim=self._setup.dim),
            field(name="metadata", dtype=kinds.JSON),
        ]
        self._db = package.MilvusLite(self._setup.path)
        schema = package.CollectionSchema(fields=fields)
        self._collection = self._db.create_collection("records", schema)
        if self._setup.label == SYNCED:
            self._collection._wal._sync_mode = "batch"  # of this log, which 128 MiB fill

    def upsert(self, record_id: str, vector: NDArray[np.float32], metadata: dict[str, Any]) -> None:
        self._collection.upsert(
            [{"id": record_id, "vector": vector.tolist(), "metadata": metadata}]
        )

    def load(self, records: Records) -> None:
        for at in range(0, len(records.ids), _STEP):
            parts = (part[at : at + _STEP] for part in records)
            self._collection.insert(
                [
                    {"id": one, "vector": row.tolist(), "metadata": metadata}
                    for one, row, metadata in zip(*parts, strict=True)
                ]
            )

    def build(self) -> None:
        graph = {"M": self._setup.m, "efConstruction": self._setup.ef_construction}
        self._collection.flush()
        self._collection.create_index(
            "vector", {"index_type": "HNSW", "metric_type": self._metric, "params": graph}
        )
        self._collection.load()

    def count(self) -> int:
        return int(self._collection.num_entities)

    def nearest(self, vector: NDArray[np.float32]) -> str:
        found = self._collection.search([vector.tolist()], top_k=1, metric_type=self._metric)
        return str(found[0][0]["id"])

    def close(self) -> None:
        self._db.close()

    def facts(self) -> Facts:
        graph = f"M={self._setup.m}, efConstruction={self._setup.ef_construction}"
        return Facts(version_of("milvus-lite"), f"engine alone, a graph for each segment, {graph}")
