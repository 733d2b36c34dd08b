"""What is to be measured, and what it is measured with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vecstore.bench.datasets import Dataset, Wanted
from vecstore.bench.stores.database import Setup

PARTS = ("singles", "bulk", "growing", "opening", "waiting")


class StoreRun(NamedTuple):
    """
    What is to be measured.

    Attributes
    ----------
    wanted : Wanted
        The data of single upserts and bulk loads.
    large : Wanted
        The data of the large store.
    parts : tuple of str
        Some of `PARTS`.
    peers : tuple of str
        Databases beside ours and sqlite3.
    rounds : int
        Turns of single upserts, and openings.
    loads : int
        Turns of bulk loads.
    upserts : int
        Timed in a turn of single upserts.
    most_s : float
        Seconds after which such a turn ends.
    call, single : int
        Rows in a call while growing, and upserts between two calls.
    waits, checkpoints : int
        Upserts into the large store, and checkpoints meanwhile.
    threads : int
        Cores that a database has; ours is told, the peers see.
    m, ef_construction, seed : int
        Of the graph.
    directory : Path or None
        Where databases are put; the current directory by default.
    """

    wanted: Wanted
    large: Wanted
    parts: tuple[str, ...] = PARTS
    peers: tuple[str, ...] = ()
    rounds: int = 5
    loads: int = 2
    upserts: int = 2000
    most_s: float = 20.0
    call: int = 1000
    single: int = 10
    waits: int = 20_000
    checkpoints: int = 4
    threads: int = 1
    m: int = 16
    ef_construction: int = 200
    seed: int = 0
    directory: Path | None = None


class Rows(NamedTuple):
    """
    Rows in a file, where every process can read them.

    Attributes
    ----------
    path : Path
        The file.
    n, dim : int
        Their shape.
    metric : str
        Canonical name.
    """

    path: Path
    n: int
    dim: int
    metric: str


class Bench(NamedTuple):
    """
    Where a part is measured.

    Attributes
    ----------
    plan : StoreRun
        What.
    folder : Path
        Empty, on the disk that is measured.
    tell : callable
        Takes lines about how far it is.
    """

    plan: StoreRun
    folder: Path
    tell: Callable[[str], None]

    def keep(self, name: str, data: Dataset) -> Rows:
        """
        Write rows into a file.

        Parameters
        ----------
        name : str
            Of the file.
        data : Dataset
            The rows.

        Returns
        -------
        Rows
            The file.
        """
        path = self.folder / f"{name}.npy"
        np.save(path, data.base)
        n, dim = data.base.shape
        return Rows(path, n, dim, data.metric)

    def setup(self, name: str, rows: Rows, label: str) -> dict[str, Any]:
        """
        Give the settings of a database of these rows.

        Parameters
        ----------
        name : str
            Of its directory.
        rows : Rows
            What it will hold.
        label : str
            Of its variant.

        Returns
        -------
        dict
            Fields of a `Setup`.
        """
        plan, path = self.plan, str(self.folder / name)
        more = plan.m, plan.ef_construction, plan.seed, plan.threads
        return Setup(path, rows.dim, rows.metric, label, *more)._asdict()
