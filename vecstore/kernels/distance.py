"""
Nine metrics as tags: `distance` picks the kernel by the *type* of its first argument.

A tag is an empty NamedTuple, so Numba specializes every caller for its metric at compile time
and still finds the result in its cache (a kernel passed as an argument never would). Smaller is
nearer, always. `Euclidean` is compared squared; `reported` gives what the user sees. Float sums
use the lanes of `simd`: `_fold` passes blocks of sixteen to two accumulators in one fixed order,
through the step of the metric.

Not here: names and aliases that users type (`config`).
"""

from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload
from numpy.typing import NDArray

from vecstore.kernels.jit import njit
from vecstore.kernels.simd import (
    STEP,
    abs16,
    add16,
    fma16,
    hmax16,
    hsum16,
    load16,
    max16,
    ratio16,
    sub16,
    zero16,
)

_STEP = np.uint64(STEP)
_HALF = np.uint64(STEP // 2)
_ZERO = np.uint64(0)
_CANBERRA_FLOOR = np.float32(1e-10)


class Cosine(NamedTuple):
    """1 - a·b, for rows and queries of unit length."""


class Euclidean(NamedTuple):
    """Σ(a - b)², reported as its square root."""


class Dot(NamedTuple):
    """-a·b: the larger the inner product, the nearer."""


class Manhattan(NamedTuple):
    """Σ|a - b|."""


class Chebyshev(NamedTuple):
    """max|a - b|."""


class Canberra(NamedTuple):
    """Σ |a - b| / (|a| + |b|); a term whose denominator is at most 1e-10 counts 0."""


class BrayCurtis(NamedTuple):
    """Σ|a - b| / Σ(|a| + |b|); 0 where the denominator is at most 1e-10."""


class Hamming(NamedTuple):
    """The number of components in which exactly one of a and b is above 0.5."""


class Jaccard(NamedTuple):
    """1 - |A ∩ B| / |A ∪ B| over the sets of positive components; 1 for two empty sets."""


class Space(NamedTuple):
    """
    Rows and the metric that compares them.

    Attributes
    ----------
    metric : metric tag
        One of `METRICS`.
    rows : float32[capacity, stride]
        C-order, finite, zero padded, `stride` a multiple of `simd.STEP`; unit length when the
        metric is `Cosine`.
    """

    metric: Any
    rows: NDArray[np.float32]


METRICS = {
    "cosine": Cosine(),
    "euclidean": Euclidean(),
    "dot": Dot(),
    "manhattan": Manhattan(),
    "hamming": Hamming(),
    "jaccard": Jaccard(),
    "chebyshev": Chebyshev(),
    "canberra": Canberra(),
    "braycurtis": BrayCurtis(),
}


# ---- what one block of sixteen components adds to the lanes of an accumulator


@njit(nogil=True, cache=True, forceinline=True)
def _add_products(x, y, sums):
    return fma16(x, y, sums)


@njit(nogil=True, cache=True, forceinline=True)
def _add_squares(x, y, sums):
    difference = sub16(x, y)
    return fma16(difference, difference, sums)


@njit(nogil=True, cache=True, forceinline=True)
def _add_differences(x, y, sums):
    return add16(sums, abs16(sub16(x, y)))


@njit(nogil=True, cache=True, forceinline=True)
def _keep_largest(x, y, largest):
    return max16(largest, abs16(sub16(x, y)))


@njit(nogil=True, cache=True, forceinline=True)
def _add_ratios(x, y, sums):
    return add16(sums, ratio16(abs16(sub16(x, y)), add16(abs16(x), abs16(y)), _CANBERRA_FLOOR))


_STEPS = {
    Cosine: _add_products,
    Dot: _add_products,
    Euclidean: _add_squares,
    Manhattan: _add_differences,
    Chebyshev: _keep_largest,
    Canberra: _add_ratios,
}


def _step(metric: Any, x: Any, y: Any, lanes: Any) -> Any:
    return _STEPS[type(metric)](x, y, lanes)


@overload(_step, jit_options={"forceinline": True})
def _step_of(metric, x, y, lanes):
    step = _STEPS[metric.instance_class]
    return lambda metric, x, y, lanes: step(x, y, lanes)


@njit(nogil=True, cache=True, forceinline=True)
def _fold(metric, a_rows, a, b_rows, b):
    """Pass two rows through a metric's step, blocks in turn to two accumulators; return both."""
    stride = np.uint64(a_rows.shape[1])
    a_at, b_at = np.uint64(a) * stride, np.uint64(b) * stride
    even, odd = zero16(), zero16()
    for j in range(_ZERO, stride, _STEP):
        even = _step(metric, load16(a_rows, a_at + j), load16(b_rows, b_at + j), even)
        k = np.uint64(j) + _HALF
        odd = _step(metric, load16(a_rows, a_at + k), load16(b_rows, b_at + k), odd)
    return even, odd


# ---- from lanes to a distance


@njit(nogil=True, cache=True, forceinline=True)
def _total(metric, a_rows, a, b_rows, b):
    even, odd = _fold(metric, a_rows, a, b_rows, b)
    return hsum16(add16(even, odd))


@njit(nogil=True, cache=True, forceinline=True)
def _cosine(metric, a_rows, a, b_rows, b):
    return np.float32(1) - _total(metric, a_rows, a, b_rows, b)


@njit(nogil=True, cache=True, forceinline=True)
def _dot(metric, a_rows, a, b_rows, b):
    return np.float32(0) - _total(metric, a_rows, a, b_rows, b)


@njit(nogil=True, cache=True, forceinline=True)
def _chebyshev(metric, a_rows, a, b_rows, b):
    even, odd = _fold(metric, a_rows, a, b_rows, b)
    return hmax16(max16(even, odd))


@njit(nogil=True, cache=True, forceinline=True)
def _braycurtis(metric, a_rows, a, b_rows, b):
    stride = np.uint64(a_rows.shape[1])
    a_at, b_at = np.uint64(a) * stride, np.uint64(b) * stride
    apart, size = zero16(), zero16()
    for j in range(_ZERO, stride, _HALF):
        x, y = load16(a_rows, a_at + j), load16(b_rows, b_at + j)
        apart = add16(apart, abs16(sub16(x, y)))
        size = add16(size, add16(abs16(x), abs16(y)))
    total = hsum16(size)
    if total <= _CANBERRA_FLOOR:
        return np.float32(0)
    return hsum16(apart) / total


@njit(nogil=True, cache=True, forceinline=True)
def _hamming(metric, a_rows, a, b_rows, b):
    a, b = np.uint64(a), np.uint64(b)
    differing = np.int32(0)
    for j in range(np.uint64(a_rows.shape[1])):
        in_a = a_rows[a, j] > np.float32(0.5)
        in_b = b_rows[b, j] > np.float32(0.5)
        differing = np.int32(differing + np.int32(in_a != in_b))
    return np.float32(differing)


@njit(nogil=True, cache=True, forceinline=True)
def _jaccard(metric, a_rows, a, b_rows, b):
    a, b = np.uint64(a), np.uint64(b)
    both, either = np.int32(0), np.int32(0)
    for j in range(np.uint64(a_rows.shape[1])):
        in_a = a_rows[a, j] > np.float32(0)
        in_b = b_rows[b, j] > np.float32(0)
        both = np.int32(both + np.int32(in_a & in_b))
        either = np.int32(either + np.int32(in_a | in_b))
    if either == 0:
        return np.float32(1)
    return np.float32(1) - np.float32(both) / np.float32(either)


_KERNELS = {
    Cosine: _cosine,
    Euclidean: _total,
    Dot: _dot,
    Manhattan: _total,
    Hamming: _hamming,
    Jaccard: _jaccard,
    Chebyshev: _chebyshev,
    Canberra: _total,
    BrayCurtis: _braycurtis,
}


def distance(metric: Any, a_rows: Any, a: Any, b_rows: Any, b: Any) -> Any:
    """
    Measure how far row `a` of `a_rows` lies from row `b` of `b_rows`.

    Parameters
    ----------
    metric : metric tag
        One of `METRICS`.
    a_rows : float32[n, stride]
        C-order, finite, zero padded, `stride` a multiple of `simd.STEP`.
    a : int
        Row number, trusted.
    b_rows : float32[n, stride]
        As `a_rows`; may be the same array.
    b : int
        Row number, trusted.

    Returns
    -------
    float32
        Symmetric to the bit: ``distance(m, x, i, y, j) == distance(m, y, j, x, i)``. Nan or inf
        where finite components overflow; `topk.order_key` ranks both last.
    """
    return _KERNELS[type(metric)](metric, a_rows, a, b_rows, b)


@overload(distance, jit_options={"forceinline": True})
def _distance_of(metric, a_rows, a, b_rows, b):
    kernel = _KERNELS[metric.instance_class]
    # int64 for both, else each mix of integer types would compile a kernel of its own
    return lambda metric, a_rows, a, b_rows, b: kernel(
        metric, a_rows, np.int64(a), b_rows, np.int64(b)
    )


def reported(metric: Any, compared: Any) -> Any:
    """
    Turn a distance as it is compared into the one the user sees.

    Parameters
    ----------
    metric : metric tag
        One of `METRICS`.
    compared : float32
        What `distance` returned.

    Returns
    -------
    float32
        The square root for `Euclidean`, else `compared`.
    """
    return np.sqrt(compared) if isinstance(metric, Euclidean) else compared


@overload(reported)
def _reported_of(metric, compared):
    if metric.instance_class is Euclidean:
        return lambda metric, compared: np.sqrt(compared)
    return lambda metric, compared: compared


@njit(nogil=True, cache=True)
def normalize_rows(rows, out_norms):
    """
    Scale each row to unit length, leaving rows that have it already as they came.

    Parameters
    ----------
    rows : float32[n, stride]
        C-order, finite, zero padded, no zero rows; overwritten.
    out_norms : float64[n]
        Overwritten with the Euclidean lengths; 1 for rows left as they came.

    Notes
    -----
    Lengths are summed in float64 from the first component to the last; a length within 2⁻²² of 1
    counts as 1, so that what was normalized elsewhere is not rounded a second time.
    """
    for i in range(rows.shape[0]):
        square = 0.0
        for j in range(rows.shape[1]):
            x = np.float64(rows[i, j])
            square += x * x
        norm = np.sqrt(square)
        if abs(norm - 1.0) <= 2.0**-22:
            norm = 1.0
        out_norms[i] = norm
        for j in range(rows.shape[1]):
            rows[i, j] = np.float32(np.float64(rows[i, j]) / norm)
