"""Settings of the whole suite."""

from hypothesis import settings

# A first example may compile a kernel, and no test here is about time.
settings.register_profile("vecstore", deadline=None)
settings.register_profile("plain", deadline=None, max_examples=10)  # for NUMBA_DISABLE_JIT=1
settings.load_profile("vecstore")
