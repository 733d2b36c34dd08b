"""What the caller of `open` asks for, against what was fixed when the store was created."""

from pathlib import Path
from typing import NamedTuple

from vecstore.config import StoreConfig
from vecstore.engine.table import Table
from vecstore.errors import CorruptData, DimensionMismatch, InvalidInput
from vecstore.storage.manifest import Manifest


class Wanted(NamedTuple):
    """
    The settings that came with a call of `open`, checked.

    Attributes
    ----------
    config : StoreConfig
        Which remembers what was passed.
    metric : str or None
        Canonical name; None for the store's own.
    dim : int or None
        None for the store's own.
    """

    config: StoreConfig
    metric: str | None
    dim: int | None

    def new_table(self, path: Path | None) -> Table:
        """
        Make the table of a new store.

        Parameters
        ----------
        path : Path or None
            The store; None in memory.

        Returns
        -------
        Table
            Empty.
        """
        return Table(path, self.metric or "cosine", self.dim, self.config)

    def config_over(self, root: Path, manifest: Manifest) -> StoreConfig:
        """
        Lay what was passed over what is stored.

        Parameters
        ----------
        root : Path
            The store.
        manifest : Manifest
            Its generation.

        Returns
        -------
        StoreConfig
            The handle's.

        Raises
        ------
        InvalidInput
            If a passed value contradicts one that was fixed at creation.
        CorruptData
            If the stored settings are impossible.
        """
        try:
            stored = StoreConfig.from_dict(manifest.config)
        except InvalidInput as exc:
            raise CorruptData(root / manifest.name, 0, f"impossible settings: {exc}") from exc
        return self.config.over(stored)

    def agree_with(self, table: Table) -> None:
        """
        Compare metric and dimension with a recovered table; fix a dimension that it lacks.

        Parameters
        ----------
        table : Table
            Of the store.

        Raises
        ------
        InvalidInput
            If another metric was passed.
        DimensionMismatch
            If another dimension was.
        """
        if self.metric is not None and self.metric != table.metric:
            raise InvalidInput("open(metric)", f"{table.metric}, as fixed at creation", self.metric)
        if self.dim is not None and table.dim is not None and self.dim != table.dim:
            raise DimensionMismatch("open(dim)", table.dim, self.dim)
        if self.dim is not None and table.dim is None:
            table.fix_dim(self.dim)
