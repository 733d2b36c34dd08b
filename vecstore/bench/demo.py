"""
The demonstration: a reverse dictionary, filled, closed, reopened, asked, and measured on the spot.

Every figure is taken from this very run. Not here: how it is shown (`cli`).
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vecstore.bench.datasets import WordNet20k
from vecstore.index import FlatIndex
from vecstore.model import Hit, StoreStats
from vecstore.store import VecStore, open

K = 10
ROUNDS = 3


class Built(NamedTuple):
    """
    The store after filling, closing and reopening.

    Attributes
    ----------
    store : VecStore
        Open; to be closed by the caller.
    build_s : float
        Seconds from creating the store to closing it on disk, the graph over all included.
    reopen_s : float
        Seconds that `open` took.
    """

    store: VecStore
    build_s: float
    reopen_s: float


class Figures(NamedTuple):
    """
    What was measured.

    Attributes
    ----------
    recall_questions, recall_senses : float
        Share of the exact ten nearest that were found, over the 24 questions, and over every
        20th sense as a query.
    queries_per_s : float
        Best of three rounds over all those queries, one thread.
    distances_per_query : float
        Mean.
    stats : StoreStats
        Of the store.
    fingerprint : str
        Of the index.
    """

    recall_questions: float
    recall_senses: float
    queries_per_s: float
    distances_per_query: float
    stats: StoreStats
    fingerprint: str


def compile_kernels() -> float:
    """
    Run a small store through everything the demonstration needs, so that it is compiled.

    Returns
    -------
    float
        Seconds; next to nothing once the kernels are cached.
    """
    began = time.perf_counter()
    rows = np.eye(64, dtype=np.float32)
    with open(metric="cosine", config={"flat_threshold": 32, "maintenance": "inline"}) as store:
        store.upsert_many([str(i) for i in range(64)], rows)
        store.query(rows[0], ef=10, k=1)
    return time.perf_counter() - began


def build(data: WordNet20k, path: Path, progress: Callable[[int, int], None]) -> Built:
    """
    Fill a store on disk, close it, and open it again.

    Parameters
    ----------
    data : WordNet20k
        What to put in.
    path : Path
        A directory that does not exist yet.
    progress : callable
        Called with (senses in the graph, senses).

    Returns
    -------
    Built
        The reopened store.
    """
    began = time.perf_counter()
    with open(path, metric="cosine") as store:
        store.upsert_many(data.ids, data.vectors, data.metadata, progress=progress)
        store.optimize()
        progress(len(data.ids), len(data.ids))
    build_s = time.perf_counter() - began
    began = time.perf_counter()
    store = open(path)
    return Built(store, build_s, time.perf_counter() - began)


def ask(store: VecStore, vectors: NDArray[np.float32], k: int = 3) -> list[list[Hit]]:
    """
    Ask for the senses that fit descriptions best.

    Parameters
    ----------
    store : VecStore
        From `build`.
    vectors : float32[q, 384]
        Embedded descriptions.
    k : int
        Senses wanted, each.

    Returns
    -------
    list of list of Hit
        Best first.
    """
    return [list(store.query(vector, k=k)) for vector in vectors]


def measure(store: VecStore, data: WordNet20k) -> Figures:
    """
    Measure recall, speed and cost at the default `ef_search`.

    Parameters
    ----------
    store : VecStore
        From `build`.
    data : WordNet20k
        What was put in.

    Returns
    -------
    Figures
        Of this run.
    """
    n_questions = len(data.questions)
    queries = np.concatenate([data.question_vectors, data.vectors[::20]])
    flat = FlatIndex(queries.shape[1], metric="cosine")
    flat.add(data.vectors)
    exact = np.array(data.ids, np.object_)[flat.search(queries, k=K).slots]
    seconds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        found = store.query_many(queries, k=K)
        seconds.append(time.perf_counter() - began)
    share = np.array([len(set(a) & set(b)) / K for a, b in zip(exact, found.ids, strict=True)])
    return Figures(
        recall_questions=float(share[:n_questions].mean()),
        recall_senses=float(share[n_questions:].mean()),
        queries_per_s=len(queries) / min(seconds),
        distances_per_query=float(found.n_dist.mean()),
        stats=store.stats(),
        fingerprint=store.fingerprint(),
    )


def as_dict(built: Built, figures: Figures) -> dict[str, Any]:
    """
    Give the figures as plain data.

    Parameters
    ----------
    built : Built
        From `build`.
    figures : Figures
        From `measure`.

    Returns
    -------
    dict
        JSON-able.
    """
    stats = figures.stats
    return {
        "records": stats.live,
        "build_s": built.build_s,
        "reopen_ms": 1000 * built.reopen_s,
        "recall_at_10_questions": figures.recall_questions,
        "recall_at_10_senses": figures.recall_senses,
        "queries_per_s": figures.queries_per_s,
        "distances_per_query": figures.distances_per_query,
        "vector_bytes_per_record": 4 * (stats.dim or 0),
        "disk_bytes_per_record": stats.disk_bytes / max(1, stats.slots),
        "graph_bytes_per_record": stats.graph_bytes / max(1, stats.slots),
        "fingerprint": figures.fingerprint,
    }
