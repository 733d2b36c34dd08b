"""
A small run through everything, whose outcome must be the same in any process.

Run as ``python -m tests.kernels.outcome METRIC …`` it prints JSON.
"""

import json
import sys

import numpy as np

from vecstore.index import HNSWIndex
from vecstore.kernels.distance import METRICS, distance
from vecstore.kernels.graph import hash_counter

N, DIM, N_QUERIES = 120, 20, 12


def reals(n, dim, first=0):
    """Make float32 with 24 random bits each, so that sums round."""
    hashed = hash_counter(99, np.arange(first, first + n * dim, dtype=np.uint64))
    return ((hashed >> np.uint64(40)).astype(np.float32) / np.float32(2**23) - 1).reshape(n, dim)


def outcome(metric):
    index = HNSWIndex(DIM, metric, m=4, ef_construction=16, flat_threshold=20)
    index.add(reals(N, DIM))
    queries = reals(N_QUERIES, DIM, first=10**6)
    admit = np.arange(N) % 5 > 0
    searches = [
        index.search(queries, k=5, ef=20),
        index.search(queries, k=4, ef=4, admit=admit),
        index.search(queries, k=N, admit=admit),
    ]
    return {
        "fingerprint": index.fingerprint(),
        "fused": int(np.float32(fused()).view(np.uint32)),
        "slots": [found.slots.tolist() for found in searches],
        "distances": [found.distances.view(np.uint32).tolist() for found in searches],
        "n_dist": [found.n_dist.tolist() for found in searches],
        "exact": [found.exact.tolist() for found in searches],
    }


def fused():
    """Let a kernel compute a fused multiply-add that shows a second rounding."""
    rows = np.zeros((2, 64), np.float32)
    rows[0, [0, 32]] = 1 + 2.0**-23, 2.0**-12 * (1 + 2.0**-18)
    rows[1, [0, 32]] = 1, 2.0**-12 * (1 - 2.0**-18)
    return -distance(METRICS["dot"], rows, 0, rows, 1)


if __name__ == "__main__":
    json.dump({metric: outcome(metric) for metric in sys.argv[1:]}, sys.stdout)
