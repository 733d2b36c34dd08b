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
    from vecstore.engine.result import QueryResult
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
    "BatchReport",
    "CompactReport",
    "Hit",
    "HnswConfig",
    "QueryBatch",
    "QueryResult",
    "QueryStats",
    "Record",
    "SnapshotInfo",
    "StoreConfig",
    "StoreStats",
    "UpsertReport",
    "VecStore",
    "VerifyIssue",
    "VerifyReport",
    "__version__",
    "errors",
    "open",
]

# Numba takes longer to import than most programs run: it comes with the first use, not with us.
_LAZY = {
    "BatchReport": "vecstore.model",
    "CompactReport": "vecstore.model",
    "Hit": "vecstore.model",
    "QueryBatch": "vecstore.model",
    "QueryResult": "vecstore.engine.result",
    "QueryStats": "vecstore.model",
    "Record": "vecstore.model",
    "SnapshotInfo": "vecstore.model",
    "StoreStats": "vecstore.model",
    "UpsertReport": "vecstore.model",
    "VecStore": "vecstore.store",
    "VerifyIssue": "vecstore.model",
    "VerifyReport": "vecstore.model",
    "open": "vecstore.store",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'vecstore' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
