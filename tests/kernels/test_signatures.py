"""One compile a metric: memory, maps, copies, slices and single queries share their signatures."""

import json

import pytest
from numba.core import config

from tests.kernels.processes import python

PROGRAM = """
import json, sys
import numpy as np
import vecstore
from vecstore.index import FlatIndex, HNSWIndex
from vecstore.kernels import distance, flat, hnsw_build, hnsw_search, topk

folder = sys.argv[1]
rows = 1 + np.arange(320, dtype=np.float64).reshape(80, 4) % 7
index = HNSWIndex(4, "cosine", flat_threshold=40, threads=2)
index.add(rows[:41].tolist())
index.add(rows[41:][:, ::1].astype(np.float16))
index.save(folder + "/index")
for one in (index, HNSWIndex.load(folder + "/index")):
    one.add(np.asfortranarray(rows[:5]))
    one.search(rows[0], k=1)
    one.search(rows[::2], k=50, ef=7, admit=np.arange(len(one)) % 2 > 0, threads=2)
    one.optimize()
index = FlatIndex(4, "cosine")
fixed = rows.astype(np.float32)
fixed.flags.writeable = False
index.add(fixed)
index.search(fixed, k=1)
index.search(rows[:2], k=3)
config = {"flat_threshold": 40, "maintenance": "inline"}
for _ in range(2):
    with vecstore.open(folder + "/store", config=config) as store:
        store.upsert_many([str(i) for i in range(60)], rows[:60])
        store.delete("3")
        store.query(rows[0], k=2, ef=3)
        store.query_many(rows, k=2, threads=2)
        store.upsert("a", rows[0])
        store.checkpoint()
        store.query(rows[0], k=2, ef=3)
        store.compact()
kernels = [distance.normalize_rows, flat.scan, topk.unpack, hnsw_search.search_graph]
kernels += [hnsw_build.peer_distances, hnsw_build.find_neighbors, hnsw_build.merge_links]
print(json.dumps({k.py_func.__name__: [str(s) for s in k.signatures] for k in kernels}))
"""


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled")
def test_kernels_have_one_signature_a_metric_when_arrays_come_from_everywhere(tmp_path):
    signatures = json.loads(python("-c", PROGRAM, str(tmp_path)).stdout)

    assert len(signatures) == 7
    for kernel, compiled in signatures.items():
        assert len(compiled) == 1, (kernel, compiled)
