"""Records on their way into a table: what a plan makes, a log keeps, a table takes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Appended(NamedTuple):
    """
    Records to append, column by column.

    Attributes
    ----------
    ids : list of str
        Not checked for duplicates: each takes a slot, the last wins.
    matrix : float32[n, dim]
        Checked vectors, as they came.
    metadata : list of bytes
        Packed.
    created_at, expires_at : int64[n]
        Unix milliseconds or `UNSET`.
    """

    ids: list[str]
    matrix: NDArray[np.float32]
    metadata: list[bytes]
    created_at: NDArray[np.int64]
    expires_at: NDArray[np.int64]


def joined(parts: Sequence[Appended]) -> Appended:
    """
    Join records that are appended one after another.

    Parameters
    ----------
    parts : sequence of Appended
        At least one, of one dimension.

    Returns
    -------
    Appended
        All of them in order.
    """
    if len(parts) == 1:
        return parts[0]
    return Appended(
        ids=[record_id for part in parts for record_id in part.ids],
        matrix=np.concatenate([part.matrix for part in parts]),
        metadata=[packed for part in parts for packed in part.metadata],
        created_at=np.concatenate([part.created_at for part in parts]),
        expires_at=np.concatenate([part.expires_at for part in parts]),
    )
