"""
Upkeep: absorbing the tail, making checkpoints when they are due, rewriting without the dead.

With `maintenance="background"` a thread lives as long as something is due and no longer. The graph
grows on copies that no reader sees, a few batches at a time, and is then published. When and where
this happens has no influence on the graph (`index.absorb`). Only published slots are absorbed:
those of a call that is not durable yet might still be taken back.

Locks are taken in this order: `_absorbing`, `Saver.saving`, the writer's.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from vecstore.engine.chunks import CHUNK
from vecstore.engine.records import Appended
from vecstore.engine.saver import Saver
from vecstore.engine.table import Table
from vecstore.engine.writer import Writer
from vecstore.errors import InvalidInput, StoreClosed
from vecstore.index.absorb import due_batches, is_due, rest_batches
from vecstore.index.progress import progress_of
from vecstore.kernels import bitset
from vecstore.kernels.graph import HnswGraph

Batches = list[tuple[int, int]]
Tell = Callable[[int], None]
_log = logging.getLogger("vecstore")


class Maintenance:
    """
    Keeps the graph of a store up with its rows.

    Parameters
    ----------
    writer : Writer
        Whose table is kept.
    saver : Saver or None
        Its generations; None in memory and for reading.
    mode : str
        ``"background"``: what is due waits for a thread; ``"inline"``: the caller does it.
    """

    def __init__(self, writer: Writer, saver: Saver | None, mode: str) -> None:
        self._writer = writer
        self._saver = saver
        self._mode = mode
        # one absorber at a time; reentrant, since a progress callback may use the store
        self._absorbing = threading.RLock()
        self._starting = threading.Lock()  # protects _thread
        self._thread: threading.Thread | None = None
        self._stop = False
        self._at_end: Callable[[], None] | None = None
        self._absorber: int | None = None  # the thread that holds _absorbing

    @property
    def _work(self) -> bool:
        """Whether anything is due; asked after every write, so it must cost next to nothing."""
        if self._saver is not None and self._saver.due:
            return True
        view, config = self._writer.view, self._writer.table.config
        if view.snapshot is None:
            return False
        n_indexed = view.snapshot.graph.n_indexed
        return is_due(n_indexed, view.n, config.flat_threshold, config.hnsw.as_printed)

    def _due(self) -> Batches:
        """List the batches that published slots make due."""
        view, config = self._writer.view, self._writer.table.config
        if view.snapshot is None:
            return []
        n_indexed, threshold = view.snapshot.graph.n_indexed, config.flat_threshold
        return due_batches(n_indexed, view.n, threshold, config.hnsw.as_printed)

    def after_write(self) -> None:
        """Absorb what is due and make a checkpoint where it is due, here or in the background."""
        if not self._work:
            return
        if self._mode == "inline":
            with contextlib.suppress(StoreClosed):  # by another thread; the write was before that
                self.absorb_due()
                if self._saver is not None:
                    self._saver.checkpoint_if_due()
            return
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                # not a daemon: the interpreter must not end inside a kernel
                thread = threading.Thread(target=self._run, name="vecstore-absorb")
                try:
                    thread.start()
                except RuntimeError as exc:
                    # the write is done; what is due stays due, for the next write or fingerprint
                    _log.warning("no thread for upkeep could be started: %s", exc)
                else:
                    self._thread = thread

    def _run(self) -> None:
        try:
            self._work_on()
        finally:
            if self._at_end is not None:
                self._at_end()

    def _work_on(self) -> None:
        while self._keeps_on():
            if self._saver is not None:
                self._saver.checkpoint_if_due()
            if not self._keeps_on() or not self._absorb_some():
                with self._starting:
                    # under the lock after_write takes, so that nothing due is overlooked
                    if not self._work or not self._keeps_on():
                        self._thread = None
                        return

    def _keeps_on(self) -> bool:
        return not self._stop and threading.main_thread().is_alive()

    def stop(self) -> None:
        """
        End the background thread and wait for its current batch.

        Raises
        ------
        InvalidInput
            If this is called from a progress callback, which runs inside of an absorption.
        """
        self._refuse_inside("close()")
        self._stop = True
        with self._starting:
            thread = self._thread
        if thread is not None:
            thread.join()

    def end_with(self, last: Callable[[], None]) -> None:
        """
        End the background thread for good, and then call something.

        Parameters
        ----------
        last : callable
            Called once nothing is being written any more: by that thread itself, where this very
            call comes from it, as when it collects a store that was never closed.
        """
        self._stop = True
        with self._starting:
            thread = self._thread
        if thread is threading.current_thread():
            self._at_end = last
            return
        if thread is not None:
            thread.join()
        last()

    def _refuse_inside(self, call: str) -> None:
        if self._absorber == threading.get_ident():
            raise InvalidInput(call, "a call outside of a progress callback", "one inside")

    def resume(self) -> None:
        """Let background threads start again, after a close that failed."""
        self._stop = False

    def absorb_due(self, progress: Any = False) -> None:
        """
        Absorb every due batch before returning.

        Parameters
        ----------
        progress : bool or callable
            Called with (done, total).
        """
        due = self._due()
        if due:
            self._absorb_all(due[0][0], due[-1][1], progress)

    def optimize(self, progress: Any) -> None:
        """
        Absorb the whole tail as it is now.

        Parameters
        ----------
        progress : bool or callable
            Called with (done, total).
        """
        self._refuse_inside("optimize()")
        with self._absorbing:
            self._writer.refuse_writes()
            view = self._writer.view
            if view.snapshot is None:
                return
            first, last = view.snapshot.graph.n_indexed, view.n
            with progress_of(progress) as tell:
                self._absorb_to(last, lambda done: tell(done - first, last - first))

    def _absorb_to(self, last: int, tell: Tell) -> None:
        """Absorb what is due, and then the rest up to `last`, shown once it is on disk."""
        while self._absorb_some(tell):
            pass
        table, saver = self._writer.table, self._saver
        assert table.index is not None
        rest = rest_batches(table.index.graph.n_indexed, last, table.config.hnsw.as_printed)
        grown = self._grown(table, rest, tell) if rest else None
        if saver is not None:
            # the boundary that this sets is durable before anybody can build on it
            saver.checkpoint(grown)
        elif grown is not None:
            self._writer.publish_graph(table, grown)

    def _absorb_all(self, first: int, last: int, progress: Any) -> None:
        with progress_of(progress) as tell:
            while self._absorb_some(lambda done: tell(done - first, last - first)):
                pass

    def _absorb_some(self, tell: Tell | None = None) -> bool:
        """
        Absorb a few of the batches that are due; publish the graph.

        Returns
        -------
        bool
            False where there was nothing to do.
        """
        with self._absorbing:
            self._writer.refuse_if_closed()
            table, some = self._writer.table, _few(self._due())
            return bool(some) and self._writer.publish_graph(table, self._grown(table, some, tell))

    def _grown(self, table: Table, batches: Batches, tell: Tell | None) -> HnswGraph:
        """Grow a copy of the graph, or as much of it as there is time for."""
        assert table.index is not None
        grown: list[HnswGraph] = []

        def _publish(graph: HnswGraph) -> bool:
            grown[:] = [graph]
            if tell is not None:
                tell(graph.n_indexed)
            return threading.current_thread() is not self._thread or self._keeps_on()

        before, self._absorber = self._absorber, threading.get_ident()
        try:
            table.index._absorb(batches, in_place=False, publish=_publish)
        finally:
            self._absorber = before
        return grown[0]

    def compact(self) -> int:
        """
        Rewrite the table without dead slots; writes wait meanwhile, reads do not.

        Returns
        -------
        int
            Slots removed.
        """
        with self.alone("compact()"):
            self._writer.refuse_writes()
            old = self._writer.table
            removed = old.n - old.n_live
            if removed == 0 or old.index is None:
                return 0
            if self._saver is not None:
                self._saver.check()
            new = survivors(old)
            new.seqno = old.seqno + 1
            assert new.index is not None

            def _publish(graph: HnswGraph) -> bool:
                new.take_graph(graph)
                return True

            new.index._absorb(new.index._due(), in_place=True, publish=_publish)
            if self._saver is not None:
                self._saver.replace(new)
            else:
                self._writer.put(new)
            return removed

    @contextlib.contextmanager
    def alone(self, call: str) -> Iterator[None]:
        """
        Keep writes, absorption and checkpoints out; reads go on.

        Parameters
        ----------
        call : str
            Who asks, for the error.

        Yields
        ------
        None
            While everything else waits.

        Raises
        ------
        InvalidInput
            If this is called from a progress callback, which runs inside of an absorption.
        """
        self._refuse_inside(call)
        saving = self._saver.saving if self._saver is not None else contextlib.nullcontext()
        with self._absorbing, saving, self._writer.lock:
            yield


def _few(batches: Batches) -> Batches:
    """Take batches until they are worth copying the graph: a quarter of it, at least 4096 slots."""
    if not batches:
        return []
    enough = max(4096, batches[0][0] // 4)
    count = 0
    while count < len(batches) and batches[count][0] - batches[0][0] < enough:
        count += 1
    return batches[:count]


def survivors(old: Table) -> Table:
    """
    Copy the live slots of a table, in slot order, into a table of their own.

    Parameters
    ----------
    old : Table
        Not changed meanwhile.

    Returns
    -------
    Table
        Equal to one into which just these records were put in this order, without its graph.
    """
    new = Table(old.path, old.metric, old.dim, old.config)
    assert old.index is not None
    slots = np.flatnonzero(bitset.unpack_mask(old.live, old.n))
    for at in range(0, len(slots), CHUNK):
        part = slots[at : at + CHUNK]
        facts = [(old.chunks[slot // CHUNK], slot % CHUNK) for slot in part.tolist()]
        records = Appended(
            ids=[old.names.id_of(slot) for slot in part.tolist()],
            matrix=old.index.rows[part, : old.index.dim],
            metadata=[chunk.metadata[place] for chunk, place in facts],
            created_at=np.array([chunk.created_at[place] for chunk, place in facts], np.int64),
            expires_at=np.array([chunk.expires_at[place] for chunk, place in facts], np.int64),
        )
        new.copy_in(records, old.index.rows[part], old.norms[part] if len(old.norms) else None)
    return new
