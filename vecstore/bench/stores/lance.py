"""
lancedb, embedded: a new version of a table in columns for each write.

Traced with strace, 0.40.0 syncs nothing, neither at a write nor at the end of a load, and has no
setting for it: the object store below has one, which is off, and no option passes it on.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecstore.bench.extra import DATABASES, imported, version_of
from vecstore.bench.stores.database import KILL, Facts, Setup, Variant, word_for
from vecstore.bench.stores.records import Records, packed

UPSERT = "merge_insert"
VARIANTS = (
    Variant(UPSERT, KILL, bulk=False),
    Variant("HnswFlat", KILL, "HNSW", singles=False),
    Variant("HnswSq", KILL, "HNSW, 8 bits", singles=False),
)
_DISTANCES = {"cosine": "cosine", "euclidean": "l2", "dot": "dot"}


class Lance:
    """
    ``lancedb.connect`` with one table.

    Parameters
    ----------
    setup : Setup
        The settings.
    """

    def __init__(self, setup: Setup) -> None:
        self._lancedb = imported("lancedb", "lancedb", DATABASES)
        self._index = imported("lancedb.index", "lancedb", DATABASES)
        self._arrow = imported("pyarrow", "lancedb", DATABASES)
        self._setup = setup
        self._distance = word_for("lancedb", _DISTANCES, setup.metric)
        self._table: Any = None

    def warm(self) -> None:
        pass

    def create(self) -> None:
        arrow = self._arrow
        vector = arrow.list_(arrow.float32(), self._setup.dim)
        fields = [("id", arrow.string()), ("vector", vector), ("metadata", arrow.string())]
        database = self._lancedb.connect(self._setup.path)
        self._table = database.create_table("records", schema=arrow.schema(fields))

    def upsert(self, record_id: str, vector: NDArray[np.float32], metadata: dict[str, Any]) -> None:
        row = {"id": record_id, "vector": vector, "metadata": packed(metadata)}
        either = self._table.merge_insert("id").when_matched_update_all()
        either.when_not_matched_insert_all().execute([row])

    def load(self, records: Records) -> None:
        arrow = self._arrow
        flat = arrow.array(np.ascontiguousarray(records.vectors).ravel())
        vectors = arrow.FixedSizeListArray.from_arrays(flat, self._setup.dim)
        words = [packed(one) for one in records.metadata]
        self._table.add(arrow.table({"id": records.ids, "vector": vectors, "metadata": words}))

    def build(self) -> None:
        # one partition is what its documentation recommends below millions of rows
        config = getattr(self._index, self._setup.label)(
            distance_type=self._distance,
            num_partitions=1,
            m=self._setup.m,
            ef_construction=self._setup.ef_construction,
        )
        self._table.create_index("vector", config=config)

    def count(self) -> int:
        return int(self._table.count_rows())

    def nearest(self, vector: NDArray[np.float32]) -> str:
        return str(self._table.search(vector).limit(1).to_list()[0]["id"])

    def close(self) -> None:
        self._table = None

    def facts(self) -> Facts:
        graph = f"m={self._setup.m}, ef_construction={self._setup.ef_construction}"
        told = "no index" if self._setup.label == UPSERT else f"{self._setup.label}({graph})"
        return Facts(version_of("lancedb"), told)
