"""
Compiled kernels and nothing else; the only room that imports Numba.

Read in this order: `simd` (the words), `distance` (the metrics), `topk` (who is nearest), `flat`
(compare all), `graph` (the arrays), `hnsw_search` (walk them), `hnsw_build` (grow them). With
``NUMBA_DISABLE_JIT=1`` every kernel is plain Python, steps in a debugger and gives the same bits.
"""
