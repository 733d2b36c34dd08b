"""Vectors that the index tests share."""

import numpy as np

from vecstore.kernels.graph import hash_counter

SMALL_GRAPH = {"m": 4, "ef_construction": 20, "flat_threshold": 20}
"""Settings under which a hundred points have a graph of several layers and a tail."""


def generated(n, dim, seed=0, below=256):
    """Make integer-valued vectors from a counter, the same on every machine."""
    counters = np.arange(n * dim, dtype=np.uint64)
    values = hash_counter(seed, counters) % np.uint64(below)
    return values.reshape(n, dim).astype(np.float32)


def normal(n, dim, seed=0):
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def clustered(n, dim, n_clusters, seed=0):
    """Make clusters that come one after the other, as near-duplicates in real files do."""
    generator = np.random.default_rng(seed)
    centers = generator.normal(size=(n_clusters, dim))
    members = np.sort(generator.integers(0, n_clusters, n))
    return (centers[members] + 0.25 * generator.normal(size=(n, dim))).astype(np.float32)


def state(index):
    """Give what may not change when a call is refused."""
    return len(index), index.fingerprint(), index.rows.tobytes()


def fields(found):
    """Give the arrays of a search result, for comparison to the bit."""
    return [found.slots, found.distances, found.n_dist, found.n_hops, found.n_scanned, found.exact]
