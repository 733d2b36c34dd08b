"""What the measurements ask of a database, and what all of them are told alike."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from vecstore.bench.stores.records import Records
from vecstore.errors import InvalidInput

POWER_LOSS = "power loss"
KILL = "kill -9"


class Variant(NamedTuple):
    """
    One way to run a database.

    Attributes
    ----------
    label : str
        What sets it apart, as tables show it.
    survives : str
        The worst that an acknowledged write outlives: ``POWER_LOSS`` where the database syncs
        before it returns, ``KILL`` where it leaves the bytes to the system.
    graph : str or None
        The graph that `Database.build` builds; None where searches scan.
    singles, bulk : bool
        Whether it takes part in that measurement.
    """

    label: str
    survives: str
    graph: str | None = None
    singles: bool = True
    bulk: bool = True


class Setup(NamedTuple):
    """
    What every database is told alike, as far as it has a word for it; JSON-able.

    Attributes
    ----------
    path : str
        A directory that does not exist yet.
    dim : int
        Components of a vector.
    metric : str
        ``cosine``, ``euclidean`` or ``dot``.
    label : str
        Of the variant.
    m : int
        Links in the upper layers, half those at layer 0 [M].
    ef_construction : int
        Beam width while building [efConstruction].
    seed : int
        For what is drawn.
    threads : int
        Threads that build.
    """

    path: str
    dim: int
    metric: str
    label: str
    m: int = 16
    ef_construction: int = 200
    seed: int = 0
    threads: int = 1


class Facts(NamedTuple):
    """
    What a database tells of itself.

    Attributes
    ----------
    version : str
        Of the package.
    told : str
        What it was told, in its own words.
    """

    version: str
    told: str


class Writer(Protocol):
    """Something in one directory that takes records; made with a `Setup`, which only imports."""

    def warm(self) -> None:
        """Compile whatever it compiles at its first use; not timed."""

    def create(self) -> None:
        """Create it, empty; timed in bulk loads."""

    def upsert(self, record_id: str, vector: NDArray[np.float32], metadata: dict[str, Any]) -> None:
        """
        Put one record and return when it is acknowledged; timed.

        Parameters
        ----------
        record_id : str
            From `records`.
        vector : float32[dim]
            Finite.
        metadata : dict
            JSON-like.
        """

    def close(self) -> None:
        """Close it; timed in bulk loads."""

    def facts(self) -> Facts:
        """
        Tell about it; called before `close`.

        Returns
        -------
        Facts
            For the record.
        """


class Database(Writer, Protocol):
    """A writer that can also be loaded, and asked."""

    def load(self, records: Records) -> None:
        """
        Put many records, in calls as large as the database likes them; timed.

        Parameters
        ----------
        records : Records
            Of ids that are not there yet.
        """

    def build(self) -> None:
        """Bring every record into the graph, where there is one; timed."""

    def count(self) -> int:
        """
        Count the records.

        Returns
        -------
        int
            All of them.
        """

    def nearest(self, vector: NDArray[np.float32]) -> str:
        """
        Find the record nearest to a vector.

        Parameters
        ----------
        vector : float32[dim]
            The query.

        Returns
        -------
        str
            Its id.
        """


def word_for(name: str, words: Mapping[str, Any], metric: str) -> Any:
    """
    Translate a metric into a database's word for it.

    Parameters
    ----------
    name : str
        The database.
    words : mapping
        Metrics to its words.
    metric : str
        Ours.

    Returns
    -------
    Any
        Its word.

    Raises
    ------
    InvalidInput
        If it has none.
    """
    if metric not in words:
        raise InvalidInput("--metric", f"one that {name} knows: {', '.join(words)}", metric)
    return words[metric]
