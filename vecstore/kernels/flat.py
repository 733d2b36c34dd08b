"""
The exact scan: every admitted row of a range against every query.

It serves small stores, the tail that no graph covers yet, selective masks and ground truth alike.
Rows are taken in tiles that stay in cache while all queries pass over them.
"""

from vecstore.kernels.bitset import admits
from vecstore.kernels.distance import distance
from vecstore.kernels.jit import njit
from vecstore.kernels.topk import collect, order_key

TILE_BYTES = 1 << 18
"""Bytes of rows in one tile: half of a small L2 cache."""


@njit(nogil=True, cache=True)
def scan(space, first, last, admit, queries, lo, hi, found):
    """
    Offer the rows [first, last) to the collectors of the queries [lo, hi).

    Parameters
    ----------
    space : Space
        Rows, at least `last`, and their metric.
    first, last : int
        The slots to scan.
    admit : uint64[words]
        Slots that may be returned; empty for all.
    queries : float32[q, stride]
        Prepared as the rows are.
    lo, hi : int
        The queries to answer.
    found : Found
        Its heaps, sizes and `n_dist` are updated.

    Notes
    -----
    Invariant: a heap holds the nearest of the rows offered so far, whatever the tiles.

    Cost: (last - first) distances a query, fewer under a mask; no allocation.
    """
    metric, rows = space.metric, space.rows
    tile = max(1, TILE_BYTES // (4 * rows.shape[1]))
    masked = len(admit) > 0
    for begin in range(first, last, tile):
        end = min(begin + tile, last)
        for q in range(lo, hi):
            heap, size, scored = found.heaps[q], found.sizes[q], 0
            for slot in range(begin, end):
                if masked and not admits(admit, slot):
                    continue
                scored += 1
                key = order_key(distance(metric, rows, slot, queries, q), slot)
                # the same test stands in `collect`: here it spares most rows the call
                if size < len(heap) or (size > 0 and key < heap[0]):
                    size = collect(heap, size, key)
            found.sizes[q] = size
            found.n_dist[q] += scored
