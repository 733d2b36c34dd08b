"""
Letting a table look into a new generation while it goes on: what is on disk leaves the memory.

A checkpoint writes a state that calls have gone beyond by the time it is done. `Rebase` copies what
came since, most of it without the writer's lock, and the rest under it, in time that does not
depend on the size of the store. Views that were published before keep what they look into.
"""

from pathlib import Path

from vecstore.engine.chunks import CHUNK, mapped_chunks
from vecstore.engine.generation import check_sections_of
from vecstore.engine.names import Names
from vecstore.engine.table import Table
from vecstore.engine.view import ReadView
from vecstore.index.graph_data import graph_from
from vecstore.kernels.graph import HnswGraph
from vecstore.storage.checkpoint import open_generation
from vecstore.storage.files import Files
from vecstore.storage.manifest import Manifest
from vecstore.storage.rows import MappedRows


class Rebase:
    """
    Rows, names and chunks of a table, as they will be.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        The store.
    manifest : Manifest
        The new generation, durable and current.
    table : Table
        Which will look into it; calls may change it meanwhile.
    view : ReadView
        The state that was written.

    Raises
    ------
    CorruptData, InvalidInput, KeyError
        If the files are not those that were written; the table is as it was.
    """

    def __init__(
        self, files: Files, root: Path, manifest: Manifest, table: Table, view: ReadView
    ) -> None:
        assert table.index is not None
        opened = open_generation(files, root, manifest)
        check_sections_of(manifest, opened)
        stride = table.index.storage.array.shape[1]
        path = root / manifest.files["vectors"].name
        self._table = table
        self._view = view
        self._graph = graph_from(
            manifest.graph, opened["hnsw_index"], table.config.hnsw.m, manifest.n
        )
        self._norms = opened["metadata"]["norms"]
        self._rows = MappedRows(files, path, stride, manifest.n)
        self._names = Names(root / manifest.files["ids"].name, opened["ids"])
        facts = root / manifest.files["metadata"].name
        self._chunks = mapped_chunks(facts, opened["metadata"], manifest.n)

    def catch_up(self, n: int) -> None:
        """
        Copy slots that came since.

        Parameters
        ----------
        n : int
            Slots to have afterwards; none of them may still be taken back.
        """
        index, rows = self._table.index, self._rows
        assert index is not None
        first = rows.n
        if n > first:
            rows.reserve(n)
            rows.array[first:n] = index.storage.array[first:n]
            rows.n = n
            self._names.take_over(self._table.names, n)

    def finish(self) -> HnswGraph:
        """
        Put everything in place; the writer's lock is held.

        Returns
        -------
        HnswGraph
            The graph that is in the new generation, as the table has it.
        """
        table, view = self._table, self._view
        assert table.index is not None
        assert view.snapshot is not None
        self.catch_up(table.n)
        for number, chunk in enumerate(self._chunks):
            covered = min(table.n, (number + 1) * CHUNK) <= view.n
            # what was changed since is another object by now
            if covered and table.chunks[number] is view.chunks[number]:
                table.chunks[number] = chunk
        table.index.storage = self._rows
        table.names = self._names
        table.live = table.live.copy()
        if table.n == view.n:
            table.norms = self._norms
        if table.index.graph is not view.snapshot.graph:
            return view.snapshot.graph
        if table.index.graph is table.mapped_graph:
            # of the generation before, whose file would otherwise stay on the disk, nameless
            table.index.graph = table.mapped_graph = self._graph
        return table.index.graph
