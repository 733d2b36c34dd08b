"""
Generations: writing the table down while calls go on, and putting another table in its place.

A checkpoint has three steps. Under the writer's lock: begin the next log, to which later calls go.
Without it: write the state as it was then, and let `CURRENT` name it. Under it again: let the table
look into the new files. `compact` and the restoring of snapshots hold the lock throughout, and are
acknowledged by the swap of `CURRENT`, not by the log.

Locks are taken in this order: `saving`, the writer's lock, the journal's.
"""

import contextlib
import dataclasses
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from vecstore.engine.generation import content_of, manifest_of
from vecstore.engine.journal import Journal
from vecstore.engine.rebase import Rebase
from vecstore.engine.table import Table
from vecstore.engine.view import ReadView
from vecstore.engine.writer import Writer, with_graph
from vecstore.errors import CorruptData
from vecstore.kernels.graph import HnswGraph
from vecstore.storage.checkpoint import (
    Content,
    RowsContent,
    check_file,
    check_generation,
    remove_stale,
    rows_sums,
    write_files,
)
from vecstore.storage.file_names import log_name, newest_number
from vecstore.storage.files import Files
from vecstore.storage.frames import LogHeader
from vecstore.storage.manifest import Manifest, draft, swap

CLOSE_BYTES = 4 << 20
"""A log longer than this is not left for the next opening to replay."""
CLOSE_SLOTS = 1024
"""Nor are more slots than this left for it to absorb again."""
_log = logging.getLogger("vecstore")


class Saver:
    """
    Keeps the directory of a store.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        The store.
    manifest : Manifest
        The current generation.
    journal : Journal
        The log that follows it.
    writer : Writer
        Whose table is kept.

    Attributes
    ----------
    saving : RLock
        Held by whoever writes a generation or needs the present one to stay.
    manifest : Manifest
        The current generation.
    leftovers : tuple of str
        Files of earlier ones that could not be removed; the next checkpoint tries again.
    poisoning : callable
        `Journal.poisoning`.
    """

    def __init__(
        self, files: Files, root: Path, manifest: Manifest, journal: Journal, writer: Writer
    ) -> None:
        self.saving = threading.RLock()
        self.manifest = manifest
        self.leftovers: tuple[str, ...] = ()
        self.poisoning = journal.poisoning
        self.files = files
        self.root = root
        self._journal = journal
        self._writer = writer
        # subtle: above whatever is left of attempts that failed, also where it is linked elsewhere
        self._generation = max(manifest.generation, newest_number(files.names(root)))
        self._saved_graph = self._graph
        self._patience = 0
        self._swapping = False

    @property
    def settled(self) -> bool:
        """Whether all names are durable: no fsync failed, and the last swap ended well."""
        return not self._swapping and self._journal.failure is None

    @property
    def _graph(self) -> HnswGraph | None:
        index = self._writer.table.index
        return index.graph if index is not None else None

    @property
    def disk_bytes(self) -> int:
        """Bytes of the files of the current generation."""
        return sum(entry.length for entry in self.manifest.files.values())

    @property
    def due(self) -> bool:
        """Whether the log is so long that a checkpoint is worth it."""
        n_bytes, table = self._journal.n_bytes, self._writer.table
        if n_bytes <= table.config.checkpoint_bytes or table.seqno == self.manifest.seqno:
            return False
        enough = max(self.disk_bytes // 4, self._patience)
        return n_bytes > enough and self._journal.failure is None

    @property
    def behind(self) -> bool:
        """Whether records or graph differ from the generation on disk."""
        table = self._writer.table
        return table.seqno != self.manifest.seqno or self._saved_graph is not self._graph

    def checkpoint_if_due(self) -> None:
        """Make a checkpoint if it is due; a failure is only logged, since nothing is lost by it."""
        if self.due and not self._writer.closed:
            try:
                self.checkpoint()
            except Exception as exc:
                _log.warning("a checkpoint of %s failed, the log goes on: %s", self.root, exc)
                # try again when the log is half as long again
                self._patience = self._journal.n_bytes * 3 // 2

    def checkpoint(self, graph: HnswGraph | None = None) -> None:
        """
        Write the newest state as the next generation; nothing where nothing changed.

        Parameters
        ----------
        graph : HnswGraph, optional
            Over published slots of the table: replaces its graph, once it is on disk.

        Raises
        ------
        CorruptData
            If a file that would be copied is damaged; what was written is still in the log.
        OSError
            If the system refuses; as above.
        StorePoisoned
            If an fsync failed.
        """
        writer = self._writer
        with self.saving, self.poisoning():
            writer.refuse_writes()
            # the bulk of it while writes go on, so that they do not wait for it below
            self._journal.sync(self._journal.position)
            with writer.lock:
                writer.refuse_writes()
                table = writer.table
                if graph is None and not self.behind:
                    self._write_settings()
                    return
                header = self._begin_log()
                writer.publish(writer.applied)
                view = writer.applied if graph is None else with_graph(writer.applied, graph)
            with self._clean_after_failure():
                manifest = self._write(view, table, header, self._content(view))
                draft(self.files, self.root, manifest)
            self._swap(manifest)
            if graph is not None:
                writer.publish_graph(table, graph)
            with writer.lock:
                # subtle: what is in the log now came after the state that was written
                if header.number == self._journal.log.number:
                    self._journal.bytes_before = 0
            self._patience = 0
            self._rebase(table, view)
            self._remove_stale()

    def _begin_log(self) -> LogHeader:
        """Route later calls to a new log, unless the one in use has none."""
        manifest, table = self.manifest, self._writer.table
        if table.seqno == manifest.seqno:
            return LogHeader(manifest.first_salt, manifest.first_log, manifest.seqno, 0, 0)
        log = self._journal.prepare(table.seqno)
        self._journal.switch(log, covered=False)
        return log.header

    def _content(self, view: ReadView) -> Content | None:
        """Say which files have to be written, once those that will be copied are checked."""
        if view.n == 0 or view.snapshot is None:
            return None
        shared = view.seqno == self.manifest.seqno and bool(self.manifest.files)
        for role in self.manifest.files:
            # unseen damage must not be written down again under checksums that call it sound;
            # rows are not copied, and keep the checksums that they have
            if role != "vectors":
                check_file(self.files, self.root, self.manifest, role)
        array = view.snapshot.space.rows[: view.n]
        rows = RowsContent(array, None, 0, np.zeros(0, np.uint32))
        if self.manifest.files:
            # subtle: by what the manifest says, not by what the table has mapped by now
            name = self.manifest.files["vectors"].name
            sums = rows_sums(self.files, self.root, self.manifest)
            rows = RowsContent(array, name, self.manifest.n, sums)
        content = content_of(view, rows)
        if shared:
            return Content(None, {"hnsw_index": content.sections["hnsw_index"]})
        return content

    def _write(
        self, view: ReadView, table: Table, log: LogHeader, content: Content | None
    ) -> Manifest:
        # subtle: an attempt that failed may have swapped CURRENT before it did, so its number,
        # and with it the names of its files, must never be used again
        self._generation += 1
        manifest = manifest_of(view, table.config, table.metric, self._generation, log)
        if content is not None and content.rows is None:
            manifest = dataclasses.replace(manifest, files=self.manifest.files)
        return write_files(self.files, self.root, manifest, content)

    def _swap(self, manifest: Manifest) -> None:
        # subtle: where this raises, CURRENT may name either generation, now and after a crash
        self._swapping = True
        swap(self.files, self.root)
        self._swapping = False
        self.manifest = manifest

    @contextlib.contextmanager
    def _clean_after_failure(self) -> Iterator[None]:
        """Remove what was written for a generation that cannot be: the log needs the room."""
        try:
            yield
        except BaseException:
            self._remove_stale()
            raise

    def _rebase(self, table: Table, view: ReadView) -> None:
        """Let the table look into the files there are now."""
        writer = self._writer
        saved = view.snapshot.graph if view.snapshot is not None else None
        if view.n > 0:
            rebase = Rebase(self.files, self.root, self.manifest, table, view)
            rebase.catch_up(writer.applied.n)
            with writer.lock:
                saved = rebase.finish()
                writer.refresh()
        self._saved_graph = saved

    def _write_settings(self) -> None:
        """Write a manifest with the handle's settings, naming the files there are."""
        table, manifest = self._writer.table, self.manifest
        dim = table.dim if table.n == 0 else manifest.dim
        config = table.config.to_dict()
        if (manifest.dim, manifest.config) != (dim, config):
            self._generation += 1
            manifest = dataclasses.replace(
                manifest, generation=self._generation, dim=dim, config=config
            )
            with self._clean_after_failure():
                draft(self.files, self.root, manifest)
            self._swap(manifest)
            self._remove_stale()

    def _remove_stale(self) -> None:
        if self._swapping:  # what is stale, only the next opening knows
            return
        # last of all: should it fail, memory and disk agree already, and the next one tries again
        try:
            left = remove_stale(self.files, self.root, self.manifest)
        except OSError as exc:
            left = {str(self.root): exc}
        for name, reason in left.items():
            _log.warning("%s of %s is of no use any more, but stays: %s", name, self.root, reason)
        self.leftovers = tuple(left)

    def check(self) -> None:
        """
        Compare every byte of the generation with its checksums, before all of it is copied.

        Raises
        ------
        CorruptData
            With file and offset of the first damage.
        """
        check_generation(self.files, self.root, self.manifest)

    def replace(self, table: Table) -> None:
        """
        Put a table in memory in the place of the current one, on disk first.

        Parameters
        ----------
        table : Table
            Ordered behind the newest call; `saving` and the writer's lock are held.
        """
        view = table.view()

        def _written(generation: int, log: LogHeader) -> tuple[Manifest, Table]:
            manifest = manifest_of(view, table.config, table.metric, generation, log)
            content = None
            if view.snapshot is not None and view.n > 0:
                array = view.snapshot.space.rows[: view.n]
                content = content_of(view, RowsContent(array, None, 0, np.zeros(0, np.uint32)))
            return write_files(self.files, self.root, manifest, content), table

        self.install(table.seqno, _written)
        self._rebase(table, self._writer.applied)

    def install(
        self, seqno: int, write: Callable[[int, LogHeader], tuple[Manifest, Table]]
    ) -> None:
        """
        Make a generation that no log leads to the current one.

        Parameters
        ----------
        seqno : int
            Its place in the order of calls; `saving` and the writer's lock are held.
        write : callable
            Takes the generation's number and the header of its log; writes its files and returns
            its manifest, and the table that goes with it.

        Raises
        ------
        StorePoisoned
            If it is unknown which generation is current.
        OSError
            If the system refused before that; nothing was changed.
        """
        journal, writer = self._journal, self._writer
        with self.poisoning():
            log = journal.prepare(seqno)
            writer.publish(writer.applied)  # durable by now
            try:
                self._generation += 1
                with self._clean_after_failure():
                    manifest, table = write(self._generation, log.header)
                    draft(self.files, self.root, manifest)
            except BaseException:
                log.close()
                with contextlib.suppress(OSError):
                    self.files.remove(self.root / log_name(log.number))
                raise
            try:
                self._swap(manifest)
                journal.switch(log, covered=True)
                writer.put(table)
            except BaseException as exc:
                raise journal.poison(exc) from exc
        self._saved_graph = self._graph
        self._remove_stale()

    def close(self) -> None:
        """
        Write down what the next opening should not have to do again, and close the log.

        Raises
        ------
        CorruptData
            If a damaged file kept that from being written; the calls are safe in the log.
        StorePoisoned
            If an fsync failed.
        OSError
            If the system refuses to end the log; what was acknowledged is as durable as it was.
        """
        problem = None
        try:
            if self._journal.failure is not None:
                return
            try:
                if self._worth_saving:
                    self.checkpoint()
                else:
                    with self.poisoning():
                        self._write_settings()
            except CorruptData as exc:
                problem = exc
            except OSError as exc:
                _log.warning("%s is closed without a checkpoint: %s", self.root, exc)
            self._journal.close()
        except BaseException:
            if self._journal.failure is not None:
                self._journal.abandon()
            raise
        if problem is not None:
            raise problem

    def let_go(self) -> None:
        """Forget the graph that was saved last, once the store is closed."""
        self._saved_graph = None

    @property
    def _worth_saving(self) -> bool:
        graph, saved = self._graph, self.manifest.graph.get("n_indexed", 0)
        grown = graph.n_indexed - saved if graph is not None else 0
        return self._journal.n_bytes > CLOSE_BYTES or grown > CLOSE_SLOTS
