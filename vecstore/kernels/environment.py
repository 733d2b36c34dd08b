"""
What decides how kernels run here, for `vecstore env` and for bug reports.

Results do not depend on any of it, with one exception that is worth finding: a library that sets
flush-to-zero in the process changes the bits of denormal numbers.
"""

from typing import Any

import llvmlite
import llvmlite.binding
import numba
import numpy as np
from numba.core import config

from vecstore.kernels.jit import cache_directory, njit, target_cpu


@njit(nogil=True, cache=True)
def _smallest_normal_halved(tiny):
    return tiny * np.float32(0.5)


def flushes_denormals() -> bool:
    """
    Say whether this thread rounds denormal numbers to zero.

    Returns
    -------
    bool
        True if some library changed the floating-point mode; fingerprints are not comparable then.
    """
    return bool(_smallest_normal_halved(np.finfo(np.float32).tiny) == 0)


def describe() -> dict[str, Any]:
    """
    Describe compiler, CPU and cache.

    Returns
    -------
    dict
        JSON-able.
    """
    directory = cache_directory()
    cached = [path.stat().st_size for path in directory.rglob("*.nb*")]
    features = llvmlite.binding.get_host_cpu_features()
    return {
        "numba": numba.__version__,
        "llvmlite": llvmlite.__version__,
        "llvm": ".".join(map(str, llvmlite.binding.llvm_version_info)),
        "cpu": target_cpu(),
        "cpu_features": sorted(name for name, present in features.items() if present),
        "jit": not config.DISABLE_JIT,
        "thread_layer": "none: serial kernels on Python threads",
        "flushes_denormals": flushes_denormals(),
        "cache_directory": str(directory),
        "cache_files": len(cached),
        "cache_bytes": sum(cached),
    }
