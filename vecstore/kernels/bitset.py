"""
Sets of slots as bits: an admit mask costs n/8 bytes, and is copied, not changed, when it is shared.

Bit ``slot % 64`` of word ``slot // 64`` says whether a slot may be returned. The empty array
stands for "every slot". Packing and counting are NumPy's; only the test of one bit is a kernel.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecstore.kernels.jit import njit

EVERY: NDArray[np.uint64] = np.zeros(0, np.uint64)
"""The mask that admits every slot."""

_6, _63, _1 = np.uint64(6), np.uint64(63), np.uint64(1)


@njit(nogil=True, cache=True, forceinline=True)
def admits(mask, slot):
    """Say whether `slot`, below 64 × ``len(mask)``, is in `mask`, which is not empty."""
    at = np.uint64(slot)
    return (mask[at >> _6] >> (at & _63)) & _1 != np.uint64(0)


def pack(admit: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """
    Pack one boolean a slot into a mask.

    Parameters
    ----------
    admit : bool[n]
        True where a slot may be returned.

    Returns
    -------
    uint64[(n + 63) // 64]
        The mask; bits from n on are 0.
    """
    words = np.zeros((len(admit) + 63) // 64, "<u8")
    packed = np.packbits(admit, bitorder="little")
    words.view(np.uint8)[: len(packed)] = packed
    return words.astype(np.uint64, copy=False)


def unpack_mask(mask: NDArray[np.uint64], n: int) -> NDArray[np.bool_]:
    """
    Unpack a mask into one boolean a slot.

    Parameters
    ----------
    mask : uint64[words]
        A mask over at least `n` slots.
    n : int
        Slots wanted.

    Returns
    -------
    bool[n]
        True where the slot is in the mask.
    """
    raw: Any = mask.astype("<u8", copy=False).view(np.uint8)
    return np.unpackbits(raw, count=n, bitorder="little").view(np.bool_)


def count(mask: NDArray[np.uint64]) -> int:
    """
    Count the slots in a mask.

    Parameters
    ----------
    mask : uint64[words]
        Any mask.

    Returns
    -------
    int
        The number of set bits.
    """
    return int(np.bitwise_count(mask).sum())
