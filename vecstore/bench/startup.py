"""
How long a user waits before the first answer: imports, cold compiling, warm caches.

Each figure comes from a process of its own; cold ones get an empty cache directory. Processes are
repeated and the best of them counts, since other work on the machine only ever adds time.
"""

import os
import subprocess
import sys
import tempfile
from typing import NamedTuple

_IMPORT = "import time; t = time.perf_counter(); import vecstore; print(time.perf_counter() - t)"
_QUERY = """
import time
began = time.perf_counter()
import vecstore
rows = [[float(i + j == 3) + 0.5 for j in range(8)] for i in range({n})]
config = {{"flat_threshold": {threshold}, "maintenance": "inline"}}
with vecstore.open(metric="euclidean", config=config) as store:
    store.upsert_many([str(i) for i in range({n})], rows)
    store.query(rows[1], k=1, ef=5)
print(time.perf_counter() - began)
"""
_FLAT = _QUERY.format(n=60, threshold=1000)
_GRAPH = _QUERY.format(n=60, threshold=30)


class Startup(NamedTuple):
    """
    One figure.

    Attributes
    ----------
    name : str
        What was waited for.
    seconds : float
        Best of the repetitions.
    """

    name: str
    seconds: float


def measure_startup(repeats: int = 3) -> list[Startup]:
    """
    Measure how long the first import, query and build take.

    Parameters
    ----------
    repeats : int
        Processes a warm figure; cold ones run once, since compiling takes long.

    Returns
    -------
    list of Startup
        In the order a user meets them.
    """
    with tempfile.TemporaryDirectory() as flat, tempfile.TemporaryDirectory() as graph:
        return [
            Startup("import vecstore", _best(_IMPORT, flat, repeats)),
            Startup("first query of a small store, nothing compiled", _best(_FLAT, flat, 1)),
            Startup("first query of a small store, kernels cached", _best(_FLAT, flat, repeats)),
            Startup("first build and graph query, nothing compiled", _best(_GRAPH, graph, 1)),
            Startup("first build and graph query, cached", _best(_GRAPH, graph, repeats)),
        ]


def _best(program: str, cache: str, repeats: int) -> float:
    environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
    seconds = [
        float(
            subprocess.run(
                [sys.executable, "-c", program],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                check=True,
            ).stdout
        )
        for _ in range(repeats)
    ]
    return min(seconds)
