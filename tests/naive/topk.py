"""The k nearest by sorting everything by (distance, slot); nan ranks with infinity."""

import math


def nearest(distances, k, admitted=None):
    """Return the k smallest as a list of (distance, slot), among the admitted slots."""
    ranked = sorted(
        (math.inf if math.isnan(distance) else distance, slot)
        for slot, distance in enumerate(distances)
        if admitted is None or admitted[slot]
    )
    return ranked[:k]
