import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vecstore.kernels import bitset

MASKS = st.integers(0, 200).flatmap(lambda n: arrays(np.bool_, n))


@given(MASKS)
def test_mask_says_the_same_as_the_booleans_when_packed(admit):
    mask = bitset.pack(admit)

    assert len(mask) == (len(admit) + 63) // 64
    assert [bool(bitset.admits(mask, slot)) for slot in range(len(admit))] == admit.tolist()
    assert bitset.unpack_mask(mask, len(admit)).tolist() == admit.tolist()
    assert bitset.count(mask) == admit.sum()


@pytest.mark.parametrize("n", [1, 63, 65, 127, 130])
def test_pack_leaves_bits_beyond_the_last_slot_clear_when_all_are_admitted(n):
    mask = bitset.pack(np.ones(n, np.bool_))

    assert sum(int(word) << (64 * i) for i, word in enumerate(mask)) == 2**n - 1


def test_pack_puts_a_slot_at_its_documented_bit_when_alone():
    admit = np.zeros(130, np.bool_)
    admit[[0, 63, 64, 129]] = True

    mask = bitset.pack(admit)

    assert mask.tolist() == [1 | 1 << 63, 1, 2]


def test_every_has_no_words_when_it_stands_for_all():
    assert len(bitset.EVERY) == 0
    assert bitset.EVERY.dtype == np.uint64
