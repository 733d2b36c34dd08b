"""
Taking back half a batch: Ctrl-C in the middle of an in-place growth must not change the graph.

Only rows that the graph has already are saved; link rows of the batch itself are not read before
the batch is published, and are written anew when it is absorbed again.
"""

import numpy as np
from numpy.typing import NDArray


class Undo:
    """The link rows that the batch in work has changed, as they were before."""

    def __init__(self) -> None:
        self._first = -1
        self._saved: list[tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int32]]] = []

    def begin(self, first: int) -> None:
        """
        Forget the batch before and begin another.

        Parameters
        ----------
        first : int
            Its first slot.
        """
        self._saved = []
        self._first = first

    def save(self, links: NDArray[np.int32], rows: NDArray[np.int64]) -> None:
        """
        Remember rows that are about to change.

        Parameters
        ----------
        links : int32[capacity, width]
            The array.
        rows : int64[n]
            Rows of it.
        """
        self._saved.append((links, rows, links[rows]))

    def restore(self, n_indexed: int) -> None:
        """
        Bring the rows back, unless the batch was published after all.

        Parameters
        ----------
        n_indexed : int
            Slots in the published graph.
        """
        if n_indexed == self._first:
            for links, rows, values in self._saved:
                links[rows] = values
