"""
VecStore: an embedded vector database in Python and Numba that one can read.

Examples
--------
>>> import vecstore
>>> with vecstore.open(metric="cosine") as store:
...     store.upsert("cat", [0.9, 0.1], {"legs": 4})
...     store.upsert("snake", [0.1, 0.9], {"legs": 0})
...     store.query([1.0, 0.0], k=1).ids
['cat']
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vecstore import errors
from vecstore.config import HnswConfig, StoreConfig

if TYPE_CHECKING:
    from vecstore.engine.backup import BackupReport, backup, restore_backup
    from vecstore.engine.losses import Loss, SalvageReport
    from vecstore.engine.result import QueryResult
    from vecstore.engine.salvage import salvage
    from vecstore.model import (
        BatchReport,
        CompactReport,
        Hit,
        QueryBatch,
        QueryStats,
        Record,
        SnapshotInfo,
        StoreStats,
        UpsertReport,
        VerifyIssue,
        VerifyReport,
    )
    from vecstore.store import VecStore, open

__version__ = "0.1.0"

__all__ = [
    "BackupReport",
    "BatchReport",
    "CompactReport",
    "Hit",
    "HnswConfig",
    "Loss",
    "QueryBatch",
    "QueryResult",
    "QueryStats",
    "Record",
    "SalvageReport",
    "SnapshotInfo",
    "StoreConfig",
    "StoreStats",
    "UpsertReport",
    "VecStore",
    "VerifyIssue",
    "VerifyReport",
    "__version__",
    "backup",
    "errors",
    "open",
    "restore_backup",
    "salvage",
]

# Numba takes longer to import than most programs run: it comes with the first use, not with us.
_LAZY = {
    "BackupReport": "vecstore.engine.backup",
    "BatchReport": "vecstore.model",
    "CompactReport": "vecstore.model",
    "Hit": "vecstore.model",
    "Loss": "vecstore.engine.losses",
    "QueryBatch": "vecstore.model",
    "QueryResult": "vecstore.engine.result",
    "QueryStats": "vecstore.model",
    "Record": "vecstore.model",
    "SalvageReport": "vecstore.engine.losses",
    "SnapshotInfo": "vecstore.model",
    "StoreStats": "vecstore.model",
    "UpsertReport": "vecstore.model",
    "VecStore": "vecstore.store",
    "VerifyIssue": "vecstore.model",
    "VerifyReport": "vecstore.model",
    "backup": "vecstore.engine.backup",
    "open": "vecstore.store",
    "restore_backup": "vecstore.engine.backup",
    "salvage": "vecstore.engine.salvage",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'vecstore' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
