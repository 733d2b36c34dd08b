"""
The nine metrics by their definitions, in float64, one component after the other.

They take vectors as the user has them, of any length and without padding. `compared` is what the
kernels compare (Euclidean squared, cosine of unit vectors), `reported` what the user sees.
"""

import math


def cosine(a, b):
    norms = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(y * y for y in b))
    return 1 - sum(x * y for x, y in zip(a, b, strict=True)) / norms


def euclidean(a, b):
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)))


def dot(a, b):
    return -sum(x * y for x, y in zip(a, b, strict=True))


def manhattan(a, b):
    return sum(abs(x - y) for x, y in zip(a, b, strict=True))


def hamming(a, b):
    return sum((x > 0.5) != (y > 0.5) for x, y in zip(a, b, strict=True))


def jaccard(a, b):
    left = {j for j, x in enumerate(a) if x > 0}
    right = {j for j, y in enumerate(b) if y > 0}
    if not left | right:
        return 1
    return 1 - len(left & right) / len(left | right)


def chebyshev(a, b):
    return max(abs(x - y) for x, y in zip(a, b, strict=True))


def canberra(a, b):
    total = 0
    for x, y in zip(a, b, strict=True):
        if abs(x) + abs(y) > 1e-10:
            total += abs(x - y) / (abs(x) + abs(y))
    return total


def braycurtis(a, b):
    size = sum(abs(x) + abs(y) for x, y in zip(a, b, strict=True))
    return manhattan(a, b) / size if size > 1e-10 else 0


METRICS = {
    "cosine": cosine,
    "euclidean": euclidean,
    "dot": dot,
    "manhattan": manhattan,
    "hamming": hamming,
    "jaccard": jaccard,
    "chebyshev": chebyshev,
    "canberra": canberra,
    "braycurtis": braycurtis,
}


def reported(metric, a, b):
    return float(METRICS[metric]([float(x) for x in a], [float(y) for y in b]))


def compared(metric, a, b):
    value = reported(metric, a, b)
    return value * value if metric == "euclidean" else value
