"""
Tables of equally long rows that grow at the end while readers look at their beginning.

`MemoryRows` lives in memory, `MappedRows` in a file that is mapped copy-on-write: old rows cost
no memory until they are read, new rows wait in private pages until a checkpoint writes them. The
file itself is never touched from here.
Neither moves or rewrites a row below `n`: growing makes a new array and leaves the old one to
whoever still looks into it.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecstore.errors import InvalidInput
from vecstore.storage.files import Files

CACHE_LINE = 64
HEADER_BYTES = 4096
"""Where the rows of a file begin: one page, so that a map keeps them aligned."""


def aligned_zeros(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """
    Allocate zeros that begin on a cache line; NumPy itself promises 16 bytes only.

    Parameters
    ----------
    shape : tuple of int
        The shape.
    dtype : dtype
        The type.

    Returns
    -------
    ndarray
        C-order. Untouched pages take no memory.
    """
    size_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(size_bytes + CACHE_LINE, np.uint8)
    shift = -raw.ctypes.data % CACHE_LINE
    aligned: NDArray[Any] = raw[shift : shift + size_bytes].view(dtype).reshape(shape)
    return aligned


def grown(capacity: int, needed: int) -> int:
    """
    Choose a capacity for at least `needed` rows.

    Parameters
    ----------
    capacity : int
        What there is.
    needed : int
        What must fit.

    Returns
    -------
    int
        A quarter more than there was, or just what is needed where that is more.
    """
    return max(needed, capacity + capacity // 4)


class MemoryRows:
    """
    Rows in memory.

    Parameters
    ----------
    stride : int
        float32 in a row.
    """

    def __init__(self, stride: int) -> None:
        self.n = 0
        self.array: NDArray[np.float32] = aligned_zeros((0, stride), np.float32)

    def reserve(self, n: int) -> None:
        """
        Make room for `n` rows; rows in use keep their values, the others are zero.

        Parameters
        ----------
        n : int
            Rows wanted in total.
        """
        if n > len(self.array):
            capacity = grown(len(self.array), n)
            array = aligned_zeros((capacity, self.array.shape[1]), np.float32)
            array[: self.n] = self.array[: self.n]
            self.array = array


class MappedRows:
    """
    Rows in a file, mapped copy-on-write.

    Parameters
    ----------
    files : Files
        The file system.
    path : Path
        A file of `HEADER_BYTES` and at least `n` rows.
    stride : int
        float32 in a row.
    n : int
        Rows in the file.

    Attributes
    ----------
    n_on_disk : int
        Rows that the file held when it was mapped; later ones are in private pages.
    """

    def __init__(self, files: Files, path: Path, stride: int, n: int) -> None:
        self.n = n
        self._files = files
        self.path = path
        self._stride = stride
        self.n_on_disk = n
        self.array = self._map(n)

    def _map(self, capacity: int) -> NDArray[np.float32]:
        used = HEADER_BYTES + self.n_on_disk * self._stride * 4
        room = HEADER_BYTES + capacity * self._stride * 4
        raw = self._files.map(self.path, used, room)
        return raw[HEADER_BYTES:].view(np.float32).reshape(capacity, self._stride)

    def reserve(self, n: int) -> None:
        """
        Make room for `n` rows by mapping the file anew, with more pages behind it.

        Parameters
        ----------
        n : int
            Rows wanted in total.
        """
        if n > len(self.array):
            array = self._map(grown(len(self.array), n))
            # what the file holds need not be copied; the room behind it reads as zeros
            array[self.n_on_disk : self.n] = self.array[self.n_on_disk : self.n]
            self.array = array


class FrozenRows:
    """
    Rows of somebody else, for looking.

    Parameters
    ----------
    array : float32[capacity, stride]
        Not changed below `n`.
    n : int
        Rows in use.
    """

    def __init__(self, array: NDArray[np.float32], n: int) -> None:
        self.array = array
        self.n = n

    def reserve(self, n: int) -> None:
        """
        Refuse to grow.

        Parameters
        ----------
        n : int
            Rows wanted in total.

        Raises
        ------
        InvalidInput
            Always.
        """
        raise InvalidInput("rows", "to be looked at only", f"a change to {n} rows")


Rows = MemoryRows | MappedRows | FrozenRows
