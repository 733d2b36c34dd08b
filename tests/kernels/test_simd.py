"""Every word: the compiled code does what the plain function says, to the bit."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from llvmlite import ir
from numba import njit
from numba.core import config, types
from numba.extending import intrinsic

from vecstore.kernels import simd
from vecstore.kernels.distance import METRICS, distance

LANES = simd.LANES
compiled_only = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="compares with compiled code")

_TINY = np.finfo(np.float32).smallest_subnormal
_SPECIAL = np.array(
    [0.0, -0.0, 1.0, -1.0, 0.5, 3.4028235e38, -3.4028235e38, 1.1754944e-38, _TINY, -_TINY],
    np.float32,
)
_FEW = st.sampled_from(_SPECIAL.tolist())
_FINITE = st.one_of(_FEW, st.floats(allow_nan=False, allow_infinity=False, width=32))
_BLOCK = arrays(np.float32, LANES, elements=_FINITE)
_FLOOR = 1e-10


@intrinsic
def _lane(typing_context, block, at):
    def lower(context, builder, signature, args):
        return builder.extract_element(args[0], builder.trunc(args[1], ir.IntType(32)))

    return types.float32(simd.float32x16, types.int64), lower


@njit
def _store(block, out_row):
    for lane in range(16):
        out_row[lane] = _lane(block, np.int64(lane))


@njit
def _every_word(rows, at, out_lanes, out_numbers, out_bits):
    a, b = simd.load16(rows, at), simd.load16(rows, at + 16)
    c = simd.load16(rows, at + 32)
    simd.prefetch(rows, at)
    _store(simd.zero16(), out_lanes[0])
    _store(a, out_lanes[1])
    _store(simd.add16(a, b), out_lanes[2])
    _store(simd.sub16(a, b), out_lanes[3])
    _store(simd.abs16(a), out_lanes[4])
    _store(simd.max16(a, b), out_lanes[5])
    _store(simd.fma16(a, b, c), out_lanes[6])
    _store(simd.ratio16(a, b, np.float32(1e-10)), out_lanes[7])
    out_numbers[0] = simd.hsum16(a)
    out_numbers[1] = simd.hmax16(a)
    for lane in range(16):
        out_bits[lane] = simd.float_bits(rows.reshape(-1)[at + lane])
        out_numbers[2 + lane] = simd.bits_float(out_bits[lane])


def _compiled(a, b, c):
    rows = np.concatenate([np.full(5, np.nan, np.float32), a, b, c]).reshape(1, -1)
    lanes = np.zeros((8, LANES), np.float32)
    numbers, bits = np.zeros(2 + LANES, np.float32), np.zeros(LANES, np.uint32)
    _every_word(rows, 5, lanes, numbers, bits)
    return _bits(lanes), _bits(numbers), bits.tolist()


def _plain(a, b, c):
    lanes = np.array(
        [
            simd.zero16(),
            simd.load16(np.concatenate([a, b, c]).reshape(3, LANES), 0),
            simd.add16(a, b),
            simd.sub16(a, b),
            simd.abs16(a),
            simd.max16(a, b),
            simd.fma16(a, b, c),
            simd.ratio16(a, b, np.float32(_FLOOR)),
        ],
        np.float32,
    )
    bits = [int(simd.float_bits(x)) for x in a]
    back = [simd.bits_float(np.uint32(x)) for x in bits]
    numbers = np.array([simd.hsum16(a), simd.hmax16(a), *back], np.float32)
    return _bits(lanes), _bits(numbers), bits


def _bits(values):
    # which nan an overflow leaves is not promised, that it is one is
    return np.where(np.isnan(values), np.float32(np.nan), values).view(np.uint32).tolist()


def _exact_fma(a, b, c):
    """Round a * b + c once, by integer arithmetic; None where it leaves the range of float32."""
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    if not 0 < abs(exact) < Fraction(2.0**127):
        return None
    exponent = max(math.frexp(float(abs(exact)))[1] - 24, -149)
    for step in (exponent - 1, exponent, exponent + 1):  # float() may have crossed a power of two
        mantissa = round(exact / Fraction(2) ** step)  # a Fraction rounds half to even
        if step >= -149 and abs(mantissa) <= 2**24:
            return float(mantissa * Fraction(2) ** step)
    raise AssertionError


@compiled_only
@given(_BLOCK, _BLOCK, _BLOCK)
@example(*[np.resize(_SPECIAL, LANES).astype(np.float32)] * 3)
@example(
    np.resize(_SPECIAL, LANES).astype(np.float32),
    np.resize(_SPECIAL[::-1], LANES).astype(np.float32),
    np.resize(np.roll(_SPECIAL, 3), LANES).astype(np.float32),
)
def test_words_equal_their_plain_meaning_when_compiled(a, b, c):
    compiled = _compiled(a, b, c)

    plain = _plain(a, b, c)

    assert compiled == plain


@compiled_only
@pytest.mark.parametrize("scale", [1.0, 1e-38, 1e30])
def test_words_equal_their_plain_meaning_when_values_are_random(scale):
    generator = np.random.default_rng(5)
    blocks = (generator.normal(size=(300, 3, LANES)) * scale).astype(np.float32)

    compiled = [_compiled(*block) for block in blocks]

    assert compiled == [_plain(*block) for block in blocks]


@compiled_only
def test_words_equal_their_plain_meaning_when_every_pair_of_special_values_meets():
    pairs = [(x, y, z) for x in _SPECIAL for y in _SPECIAL for z in _SPECIAL]
    blocks = np.resize(np.array(pairs, np.float32), (len(pairs) // LANES + 1, LANES, 3))

    compiled = [_compiled(*block.T.copy()) for block in blocks]

    assert compiled == [_plain(*block.T.copy()) for block in blocks]


@given(_FINITE, _FINITE, _FINITE)
@example(2.0**-12 * (1 + 2.0**-18), 2.0**-12 * (1 - 2.0**-18), 1 + 2.0**-23)
@example(float(_TINY), 0.5, 0.0)
@example(float(_TINY), 1.5, float(_TINY))
def test_fma16_rounds_once_when_compared_with_exact_arithmetic(a, b, c):
    exact = _exact_fma(a, b, c)

    lanes = [np.full(LANES, x, np.float32) for x in (a, b, c)]
    fused = simd.fma16(*lanes)[0]

    assert exact is None or float(fused) == float(exact)


def test_fma16_does_not_round_twice_when_plain():
    a, b, c = (
        np.full(LANES, x, np.float32)
        for x in (2.0**-12 * (1 + 2.0**-18), 2.0**-12 * (1 - 2.0**-18), 1 + 2.0**-23)
    )

    fused = simd.fma16(a, b, c)

    assert fused.view(np.uint32).tolist() == [1065353217] * LANES
    # the case can fail: rounding the float64 sum gives another number
    assert np.float32(np.float64(a[0]) * b[0] + c[0]).view(np.uint32) == 1065353218


def test_fma16_does_not_round_twice_when_a_kernel_uses_it():
    rows = np.zeros((2, 64), np.float32)
    rows[0, [0, 32]] = 1 + 2.0**-23, 2.0**-12 * (1 + 2.0**-18)
    rows[1, [0, 32]] = 1, 2.0**-12 * (1 - 2.0**-18)

    product = -distance(METRICS["dot"], rows, 0, rows, 1)

    assert np.float32(product).view(np.uint32) == 1065353217


def test_hsum16_adds_half_upon_half_when_the_order_matters():
    lanes = np.zeros(LANES, np.float32)
    lanes[[0, 1, 8]] = 1e8, 1, -1e8

    total = simd.hsum16(lanes)

    assert total == 1.0  # from left to right it would be 0


def test_distance_adds_in_the_order_of_the_lanes_when_the_order_matters():
    rows = np.zeros((2, 64), np.float32)
    rows[0, [0, 1, 40]] = 1e8, 1, -1e8
    rows[1] = 1

    apart = distance(METRICS["dot"], rows, 0, rows, 1)

    assert apart == -1.0
