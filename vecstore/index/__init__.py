"""
Vector indexes that work without a database: arrays, kernels, and files only in save and load.

Examples
--------
>>> import numpy as np
>>> from vecstore.index import FlatIndex
>>> index = FlatIndex(2, metric="euclidean")
>>> index.add(np.eye(2))
>>> index.search([[1.0, 0.0]], k=1).slots.tolist()
[[0]]
"""

from vecstore.index.flat import FlatIndex
from vecstore.index.hnsw import HNSWIndex

__all__ = ["FlatIndex", "HNSWIndex"]
