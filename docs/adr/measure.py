"""Print the figures that the decisions in this folder quote: ``python docs/adr/measure.py``."""

import time

import numba
import numpy as np

from vecstore.engine.names import Names, hash_id
from vecstore.index import FlatIndex
from vecstore.index.absorb import copy_graph
from vecstore.kernels.graph import empty_graph

N = 440_000


def plain_loop(rows, order, query, out):
    for i in range(len(order)):
        total = np.float32(0)
        for j in range(rows.shape[1]):
            difference = rows[order[i], j] - query[j]
            total += difference * difference
        out[i] = total


def best(call, rounds=7):
    """Run once to compile, then give the fewest seconds of some rounds."""
    call()
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def show(value, unit, what):
    print(f"{value:8.2f} {unit:3} {what}")


def lanes_against_loops():
    rows = np.random.default_rng(0).standard_normal((780, 128)).astype(np.float32)
    order, out = np.arange(780), np.zeros(780, np.float32)
    fast = {"reassoc", "contract", "nsz"}
    for name, options in (("plain loop", {}), ("fastmath loop", {"fastmath": fast})):
        kernel = numba.njit(**options)(plain_loop)
        seconds = best(lambda kernel=kernel: kernel(rows, order, rows[0], out))
        show(seconds / 780 * 1e9, "ns", f"0001: one distance of 128, {name}")
    index = FlatIndex(128)
    index.add(rows)
    queries = np.repeat(rows[:1], 200, axis=0)
    seconds = best(lambda: index.search(queries, k=1))
    show(seconds / 780 / 200 * 1e9, "ns", "0001: one distance of 128, lanes, within an exact scan")


def sorted_hashes():
    ids = [f"doc-{i}" for i in range(N)]
    names = Names()
    for slot, record_id in enumerate(ids):
        names.append(slot, record_id)
    began = time.perf_counter()
    hashes = np.fromiter(map(hash_id, ids), np.uint64, N)
    show(time.perf_counter() - began, "s", f"0002: hash {N:,} ids")
    show(best(lambda: np.lexsort((np.arange(N), hashes)), 3), "s", "0002: sort the hashes")
    stored = Names(arrays=names.sections(np.ones(N, np.bool_)))
    asked = [ids[i] for i in np.random.default_rng(0).integers(0, N, 10_000)]
    seconds = best(lambda: [stored.find(record_id, N) for record_id in asked], 3)
    show(seconds / len(asked) * 1e6, "µs", "0002: one lookup")


def copied_graph():
    graph = empty_graph(16)._replace(
        levels=np.zeros(N, np.uint8),
        links=np.ones((N, 32), np.int32),
        upper_start=np.zeros(N, np.int32),
        upper=np.zeros((N // 15, 16), np.int32),
        n_indexed=N,
        n_upper=N // 15,
    )
    began = time.perf_counter()
    copy_graph(graph)
    show(1e3 * (time.perf_counter() - began), "ms", "0003: copy a graph, the first time")
    show(1e3 * best(lambda: copy_graph(graph)), "ms", "0003: copy a graph, later")


if __name__ == "__main__":
    lanes_against_loops()
    sorted_hashes()
    copied_graph()
