"""
Vectors at the door: checked, converted to float32, and written as rows that kernels take.

Kernels trust what comes from here: finite, C-order, zero padded to `stride_of`, unit length under
cosine. Not here: where rows are kept (`storage.rows`).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecstore.config import MAX_DIM
from vecstore.errors import DimensionMismatch, InvalidInput
from vecstore.kernels.distance import Cosine, normalize_rows
from vecstore.kernels.simd import STEP
from vecstore.storage.rows import aligned_zeros

MAX_SLOTS = 2**31 - 1
MAX_ANSWERS = 2**28


def stride_of(dim: int) -> int:
    """
    Round a dimension up to what the kernels read in one turn.

    Parameters
    ----------
    dim : int
        Components of a vector.

    Returns
    -------
    int
        float32 in a row.
    """
    return -(-dim // STEP) * STEP


def checked_matrix(call: str, vectors: Any, dim: int | None) -> NDArray[np.float32]:
    """
    Check vectors and convert them to float32.

    Parameters
    ----------
    call : str
        Call and argument, for errors.
    vectors : array-like
        Numbers of shape [n, dim].
    dim : int or None
        Components that must come; None for any number.

    Returns
    -------
    float32[n, dim]
        C-order; the caller's own array where it has that form already.

    Raises
    ------
    InvalidInput
        If it is no matrix of finite numbers; a bad row is named.
    DimensionMismatch
        If the vectors have another number of components.
    """
    try:
        given = np.asarray(vectors)
    except (ValueError, TypeError):
        raise InvalidInput(call, "numbers of shape [n, dim]", "rows of unequal length") from None
    if given.size == 0 and (given.ndim == 1 or given.shape == (0, dim or given.shape[-1])):
        return np.zeros((0, dim or 0), np.float32)
    if given.dtype.kind not in "fiub":
        raise InvalidInput(call, "numbers of shape [n, dim]", f"values of type {given.dtype}")
    if given.ndim != 2:
        raise InvalidInput(call, "numbers of shape [n, dim]", f"an array of shape {given.shape}")
    if dim is not None and given.shape[1] != dim:
        raise DimensionMismatch(call, dim, given.shape[1])
    if not 1 <= given.shape[1] <= MAX_DIM:
        raise InvalidInput(call, f"1 to {MAX_DIM} components", given.shape[1])
    if given.dtype == np.float32:
        matrix = np.ascontiguousarray(given)
    else:
        with np.errstate(over="ignore"):
            matrix = np.ascontiguousarray(given, np.float32)
    finite = np.isfinite(matrix)
    if not finite.all():
        row = int(finite.all(axis=1).argmin())
        raise InvalidInput(f"{call}[{row}]", "finite float32", "nan or infinity")
    return matrix


def prepare_rows(
    call: str, metric: Any, matrix: NDArray[np.float32], out_rows: NDArray[np.float32]
) -> NDArray[np.float64]:
    """
    Write vectors as rows that kernels take: zero padded, of unit length under cosine.

    Parameters
    ----------
    call : str
        Call and argument, for errors.
    metric : metric tag
        Decides about normalization.
    matrix : float32[n, dim]
        Checked vectors.
    out_rows : float32[n, stride]
        Zeros; overwritten in its first `dim` columns.

    Returns
    -------
    float64[n]
        Lengths of the vectors under cosine, else of no rows.

    Raises
    ------
    InvalidInput
        For a zero vector under cosine; the row is named and `out_rows` is as it was.
    """
    refuse_zeros(call, metric, matrix)
    out_rows[:, : matrix.shape[1]] = matrix
    if not isinstance(metric, Cosine):
        return np.zeros(0)
    norms = np.zeros(len(matrix))
    normalize_rows(out_rows, norms)
    return norms


def refuse_zeros(call: str, metric: Any, matrix: NDArray[np.float32]) -> None:
    """
    Refuse vectors without a direction where the metric compares directions.

    Parameters
    ----------
    call : str
        Call and argument, for errors.
    metric : metric tag
        Only cosine refuses.
    matrix : float32[n, dim]
        Checked vectors.

    Raises
    ------
    InvalidInput
        Naming the first zero row.
    """
    if not isinstance(metric, Cosine) or (len(matrix) == 1 and matrix.any()):
        return  # most calls, quickly
    nonzero = matrix.any(axis=1)
    if not nonzero.all():
        row = int(nonzero.argmin())
        expected = "a direction, since the metric is cosine"
        raise InvalidInput(f"{call}[{row}]", expected, "a zero vector")


def as_row(call: str, vector: Any) -> NDArray[Any]:
    """
    Take one vector as a matrix of one row.

    Parameters
    ----------
    call : str
        Call and argument, for errors.
    vector : array-like
        Of shape [dim].

    Returns
    -------
    ndarray
        Of shape [1, dim], its values unchecked.

    Raises
    ------
    InvalidInput
        If it is not one-dimensional.
    """
    try:
        row = np.asarray(vector)
    except (ValueError, TypeError):
        raise InvalidInput(call, "one vector", "values of unequal shape") from None
    if vector is None or row.ndim != 1:
        got = "None" if vector is None else f"an array of shape {row.shape}"
        raise InvalidInput(call, "one vector", got)
    return row[None]


def prepared_queries(call: str, metric: Any, queries: Any, dim: int | None) -> NDArray[np.float32]:
    """
    Check queries and write them as rows.

    Parameters
    ----------
    call : str
        Call and argument, for errors.
    metric : metric tag
        Decides about normalization.
    queries : array-like
        Numbers of shape [q, dim].
    dim : int or None
        Components that must come; None for any number.

    Returns
    -------
    float32[q, stride]
        Aligned.

    Raises
    ------
    InvalidInput
        As `checked_matrix` and `prepare_rows`.
    """
    matrix = checked_matrix(call, queries, dim)
    shape = (len(matrix), stride_of(matrix.shape[1]))
    rows: NDArray[np.float32] = aligned_zeros(shape, np.float32)
    prepare_rows(call, metric, matrix, rows)
    return rows


def is_one_vector(queries: Any) -> bool:
    """
    Say whether a query is given as one vector instead of a matrix.

    Parameters
    ----------
    queries : array-like
        What came, unchecked.

    Returns
    -------
    bool
        True for a non-empty sequence of numbers.
    """
    try:
        return np.ndim(queries) == 1 and len(queries) > 0
    except (ValueError, TypeError):
        return False  # ragged: the check of the matrix will say so


def refuse_flood(call: str, n_queries: int, k: int) -> None:
    """
    Refuse answers that would not fit in memory, before they are allocated.

    Parameters
    ----------
    call : str
        Call and argument, for errors.
    n_queries, k : int
        Shape of the answer.

    Raises
    ------
    InvalidInput
        If it has more than `MAX_ANSWERS` places.
    """
    if n_queries * k > MAX_ANSWERS:
        expected = f"at most {MAX_ANSWERS} answers in all"
        raise InvalidInput(call, expected, f"{n_queries} queries x {k}")
