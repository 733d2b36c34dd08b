"""
The records that every database gets: the same ids, vectors and metadata, made from row numbers.

Metadata are of the kind that people filter by, flat and small, since not every peer takes more.
"""

import json
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_TOPICS = 32


class Records(NamedTuple):
    """
    Records in the order in which they go in.

    Attributes
    ----------
    ids : list of str
        n of them.
    vectors : float32[n, dim]
        C-order, finite.
    metadata : list of dict
        n of them.
    """

    ids: list[str]
    vectors: NDArray[np.float32]
    metadata: list[dict[str, Any]]


def make_records(vectors: NDArray[np.float32], first: int = 0) -> Records:
    """
    Give rows their ids and metadata.

    Parameters
    ----------
    vectors : float32[n, dim]
        The rows.
    first : int
        Number of the first one.

    Returns
    -------
    Records
        The rows are not copied.

    Examples
    --------
    >>> made = make_records(np.eye(2, dtype=np.float32), first=7)
    >>> made.ids[0], made.metadata[0]
    ('record-0000007', {'topic': 'topic-07', 'rank': 7, 'score': 25.9, 'fresh': False})
    """
    numbers = range(first, first + len(vectors))
    metadata: list[dict[str, Any]] = [
        {
            "topic": f"topic-{number % _TOPICS:02}",
            "rank": number,
            "score": number * 37 % 1000 / 10,
            "fresh": number % 3 == 0,
        }
        for number in numbers
    ]
    return Records([id_of(number) for number in numbers], vectors, metadata)


def id_of(number: int) -> str:
    """
    Give the id of a row.

    Parameters
    ----------
    number : int
        Of the row.

    Returns
    -------
    str
        What `number_of` turns back.
    """
    return f"record-{number:07}"


def number_of(record_id: str) -> int:
    """
    Find the row that has an id, for databases whose ids are numbers.

    Parameters
    ----------
    record_id : str
        From `id_of`.

    Returns
    -------
    int
        The row.

    Examples
    --------
    >>> number_of(id_of(7))
    7
    """
    return int(record_id.rpartition("-")[2])


def packed(metadata: dict[str, Any]) -> str:
    """
    Write metadata as JSON, for databases that store text.

    Parameters
    ----------
    metadata : dict
        JSON-like.

    Returns
    -------
    str
        Without spaces.
    """
    return json.dumps(metadata, separators=(",", ":"))


def ingested_bytes(records: Records) -> int:
    """
    Count what a user hands over: components, ids and metadata as JSON.

    Parameters
    ----------
    records : Records
        The records.

    Returns
    -------
    int
        Bytes.

    Examples
    --------
    >>> ingested_bytes(make_records(np.zeros((2, 4), np.float32)))
    169
    """
    words = sum(len(record_id.encode()) for record_id in records.ids)
    return records.vectors.nbytes + words + sum(len(packed(one)) for one in records.metadata)
