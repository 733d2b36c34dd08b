"""sqlite3, the yardstick of durable writes: the same bytes in a table, without any vector index."""

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecstore.bench.stores.database import POWER_LOSS, Facts, Setup, Variant
from vecstore.bench.stores.records import Records, packed

WAL = "WAL, FULL"
DEFAULT = "default"
VARIANTS = (Variant(WAL, POWER_LOSS), Variant(DEFAULT, POWER_LOSS, bulk=False))
_TABLE = "CREATE TABLE records (id TEXT PRIMARY KEY, vector BLOB, metadata TEXT)"
_UPSERT = (
    "INSERT INTO records VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE "
    "SET vector = excluded.vector, metadata = excluded.metadata"
)


class Sqlite:
    """
    One connection in autocommit mode: each statement is a transaction.

    By default it keeps a rollback journal and syncs at every commit; with a write-ahead log it
    syncs at every commit only where ``synchronous`` is ``FULL``, which is its default too.

    Parameters
    ----------
    setup : Setup
        The settings.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._path = Path(setup.path)
        self._db: sqlite3.Connection

    def warm(self) -> None:
        pass

    def create(self) -> None:
        self._path.mkdir()
        self._db = sqlite3.connect(self._path / "records.db", isolation_level=None)
        if self._setup.label == WAL:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute(_TABLE)

    def upsert(self, record_id: str, vector: NDArray[np.float32], metadata: dict[str, Any]) -> None:
        self._db.execute(_UPSERT, (record_id, vector.tobytes(), packed(metadata)))

    def load(self, records: Records) -> None:
        rows = zip(records.ids, records.vectors, records.metadata, strict=True)
        self._db.execute("BEGIN")
        self._db.executemany(
            _UPSERT, ((one, row.tobytes(), packed(meta)) for one, row, meta in rows)
        )
        self._db.execute("COMMIT")

    def build(self) -> None:
        pass

    def count(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM records").fetchone()[0])

    def nearest(self, vector: NDArray[np.float32]) -> str:
        found, least = "", np.inf
        for record_id, blob in self._db.execute("SELECT id, vector FROM records"):
            distance = float(np.square(np.frombuffer(blob, np.float32) - vector).sum())
            if distance < least:
                found, least = record_id, distance
        return found

    def close(self) -> None:
        self._db.close()

    def facts(self) -> Facts:
        named = ("journal_mode", "synchronous", "page_size")
        told = (f"{one}={self._db.execute(f'PRAGMA {one}').fetchone()[0]}" for one in named)
        return Facts(sqlite3.sqlite_version, ", ".join(told))
