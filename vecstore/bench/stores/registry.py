"""Names to databases, and the refusal of names that cannot be had, before anything is measured."""

import importlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from vecstore.bench.extra import DATABASES, imported
from vecstore.bench.stores.database import Database, Setup, Variant
from vecstore.errors import InvalidInput


class _Place(NamedTuple):
    module: str
    name: str
    package: str = ""


OURS, YARDSTICK, DISK = "vecstore", "sqlite3", "the disk alone"
PEERS = {
    "chromadb": _Place("chroma", "Chroma", "chromadb"),
    "lancedb": _Place("lance", "Lance", "lancedb"),
    "qdrant-client": _Place("qdrant", "Qdrant", "qdrant_client"),
    "milvus-lite": _Place("milvus", "Milvus", "milvus_lite"),
}
_PLACES = {
    OURS: _Place("ours", "Ours"),
    YARDSTICK: _Place("sqlite", "Sqlite"),
    DISK: _Place("disk", "Disk"),
    **PEERS,
}


class Contestant(NamedTuple):
    """
    A database run in one way.

    Attributes
    ----------
    name : str
        Of the database.
    variant : Variant
        The way.
    """

    name: str
    variant: Variant

    @property
    def title(self) -> str:
        """Name and variant, as ``sqlite3 (default)``."""
        return f"{self.name} ({self.variant.label})"


def check_peers(peers: Sequence[str]) -> None:
    """
    Refuse databases that cannot be had.

    Parameters
    ----------
    peers : sequence of str
        Names.

    Raises
    ------
    InvalidInput
        For a name that is not known.
    MissingExtra
        If a peer is not installed.
    """
    for name in peers:
        if name not in PEERS:
            raise InvalidInput("--peers", f"some of {', '.join(PEERS)}", name)
        imported(PEERS[name].package, name, DATABASES)


def contestants(peers: Sequence[str]) -> list[Contestant]:
    """
    List everything that can take part: ours first, then sqlite3, the disk alone, and the peers.

    Parameters
    ----------
    peers : sequence of str
        Of `PEERS`.

    Returns
    -------
    list of Contestant
        Every variant of each.

    Examples
    --------
    >>> [one.title for one in contestants([])][:4]
    ['vecstore (full)', 'vecstore (interval)', 'vecstore (off)', 'sqlite3 (WAL, FULL)']
    """
    names = dict.fromkeys((OURS, YARDSTICK, DISK, *peers))
    return [Contestant(name, variant) for name in names for variant in _module(name).VARIANTS]


def make_database(name: str, setup: Setup) -> Database:
    """
    Make a database; nothing is on disk before it is created.

    Parameters
    ----------
    name : str
        Of a contestant.
    setup : Setup
        The settings.

    Returns
    -------
    Database
        The disk alone can only be written to.

    Raises
    ------
    InvalidInput
        For a metric that it does not know.
    MissingExtra
        If it is not installed.
    """
    made: Any = getattr(_module(name), _PLACES[name].name)(setup)
    database: Database = made
    return database


def _module(name: str) -> Any:
    return importlib.import_module(f"vecstore.bench.stores.{_PLACES[name].module}")
