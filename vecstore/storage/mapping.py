"""
Maps of files that can be written to without the file noticing, with room behind their end.

`mmap.mmap` cannot place a file at the beginning of a larger region, so this calls the system
through ctypes. The room consists of anonymous pages: growing never touches the file, and neither
a full disk nor a cut file behind `length` can kill the process. Only `files` uses this.
"""

import ctypes
import mmap
import os
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAP_FIXED = 0x10  # the same on Linux and macOS; Python does not export it
_FAILED = ctypes.c_void_p(-1).value
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int64,
]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


class MappingFailed(OSError):
    """The system has no room for a map."""


class _Region:
    """Pages that are unmapped once no array looks into them."""

    def __init__(self, address: int, length: int) -> None:
        self.__array_interface__: dict[str, Any] = {
            "data": (address, False),
            "shape": (length,),
            "typestr": "|u1",
            "version": 3,
        }
        # not at exit: a thread may still be inside a kernel
        weakref.finalize(self, _libc.munmap, address, length).atexit = False


def map_private(descriptor: int, length: int, capacity: int) -> NDArray[np.uint8]:
    """
    Map the beginning of a file, followed by zeros.

    Parameters
    ----------
    descriptor : int
        A file of at least `length` bytes, open for reading.
    length : int
        Bytes of the file.
    capacity : int
        Bytes in all, not 0.

    Returns
    -------
    uint8[capacity]
        Begins on a page. Writes stay in this process; untouched pages take no memory.

    Raises
    ------
    MappingFailed
        If the system has no room for it.
    """
    protection = mmap.PROT_READ | mmap.PROT_WRITE
    anonymous = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0)
    address = _call(None, capacity, protection, anonymous, -1)
    region = _Region(address, capacity)
    if length:
        # over pages that are ours already, so it can hit nobody else's
        _call(address, length, protection, mmap.MAP_PRIVATE | _MAP_FIXED, descriptor)
    raw = np.asarray(region)
    # the file may go on behind `length`, to the end of the page
    raw[length : min(capacity, -(-length // mmap.PAGESIZE) * mmap.PAGESIZE)] = 0
    return raw


def _call(address: int | None, length: int, protection: int, flags: int, descriptor: int) -> int:
    found: int = _libc.mmap(address, length, protection, flags, descriptor, 0)
    if found == _FAILED:
        number = ctypes.get_errno()
        raise MappingFailed(number, f"mapping {length} bytes: {os.strerror(number)}")
    return found
