"""
The one writer: it plans a call, logs it, applies it, waits for the log, and publishes a view.

`lock` protects the table: whoever changes it holds the lock, readers need only `view`. A call is
one seqno; it is planned against the newest *applied* state, and either all of it is applied and
logged or nothing. Readers see *published* states, whose calls are as durable as was asked for.
Not here: the log and who syncs it (`journal`), generations on disk (`saver`).
"""

import os
import threading
from collections.abc import Callable

from vecstore.engine.changes import Change, Sweep, apply, make_room
from vecstore.engine.encoding import encode
from vecstore.engine.journal import Journal, Position
from vecstore.engine.plan import Plan
from vecstore.engine.table import Table
from vecstore.engine.view import ReadView
from vecstore.errors import ReadOnlyStore, StoreClosed
from vecstore.kernels.graph import HnswGraph

Committed = tuple[ReadView, Position]


class Writer:
    """
    Changes a table and publishes its views.

    Parameters
    ----------
    table : Table
        What to change.
    read_only : bool
        Refuse every change.

    Attributes
    ----------
    journal : Journal or None
        The log; None in memory and for reading. Set once, before the first call.
    applied : ReadView
        The newest state; its last calls may not be durable yet.
    view : ReadView
        The newest published state.
    """

    def __init__(self, table: Table, *, read_only: bool = False) -> None:
        self.lock = threading.RLock()
        self.table = table
        self.journal: Journal | None = None
        self.closed = False
        self.read_only = read_only
        self.applied: ReadView = table.view()
        self.view: ReadView = self.applied
        self._publishing = threading.Lock()  # protects view; taken after lock
        self._process = os.getpid()

    def change(self, now: int, plan: Callable[[Plan], None]) -> Plan:
        """
        Plan a call, carry it out, and wait until it is durable.

        Parameters
        ----------
        now : int
            The moment of the call, Unix milliseconds.
        plan : callable
            Adds operations to the plan it is given; what it raises ends the call unchanged.

        Returns
        -------
        Plan
            What was done.
        """
        with self.lock:
            self.refuse_writes()
            planned = Plan(self.table, self.applied, now)
            plan(planned)
            changes = planned.finish()
            committed = self._commit(changes) if changes else None
        if committed is not None:
            self._settle(committed)
        return planned

    def sweep(self, now: int) -> int:
        """
        Kill the slots that outlived their TTL.

        Parameters
        ----------
        now : int
            Unix milliseconds.

        Returns
        -------
        int
            How many.
        """
        with self.lock:
            self.refuse_writes()
            outlived = self.applied.outlived_slots(now)
            committed = self._commit([Sweep(outlived)]) if len(outlived) else None
        if committed is not None:
            self._settle(committed)
        return len(outlived)

    def _commit(self, changes: list[Change]) -> Committed:
        """Log and apply planned changes as one seqno; the lock is held."""
        make_room(self.table, changes)
        kind, chunks = encode(changes) if self.journal is not None else (0, [])
        before = self.applied
        mark = self.table.mark(before)
        begin = position = self.journal.position if self.journal is not None else (0, 0)
        try:
            # first the log: the disk works while the call is applied
            if self.journal is not None:
                position = self.journal.append(self.table.seqno + 1, kind, chunks)
            apply(self.table, changes)
            self.table.seqno += 1
            view = self.table.view()
            self.applied = view
        except BaseException:
            # Ctrl-C and a full disk alike: the call did not happen
            self.table.rollback(mark)
            self.applied = before
            if self.journal is not None:
                self.journal.take_back(begin, self.table.seqno)
            raise
        return view, position

    def _settle(self, committed: Committed) -> None:
        """Wait until a call is durable, and show it; the lock is not held."""
        view, position = committed
        if self.journal is not None:
            self.journal.wait(position)
        self.publish(view)

    def publish(self, view: ReadView) -> None:
        """
        Show readers a state, unless they see a later one already.

        Parameters
        ----------
        view : ReadView
            Whose calls are durable.
        """
        with self._publishing:
            newest = self.applied  # read once: a writer may put another there
            if newest.seqno == view.seqno:
                view = newest  # the same records, in arrays that may be newer
            if view.seqno >= self.view.seqno and not self.closed:
                self.view = _with_newer_graph(view, self.view)

    def publish_graph(self, table: Table, graph: HnswGraph) -> bool:
        """
        Give a table its grown graph and show it.

        Parameters
        ----------
        table : Table
            The table whose rows the graph covers.
        graph : HnswGraph
            Over published slots, with arrays that nobody writes any more.

        Returns
        -------
        bool
            False if the store was closed or has another table by now.
        """
        with self.lock, self._publishing:
            if self.closed or self.table is not table or table.index is None:
                return False
            # a progress callback may have had more absorbed meanwhile
            if graph.n_indexed > table.index.graph.n_indexed:
                table.take_graph(graph)
                self.applied = with_graph(self.applied, graph)
                self.view = with_graph(self.view, graph)
            return True

    def put(self, table: Table) -> None:
        """
        Put another table in the place of the current one; the lock is held.

        Parameters
        ----------
        table : Table
            Durable, with a later seqno.
        """
        with self._publishing:
            self.table = table
            self.applied = self.view = table.view()

    def let_go(self) -> None:
        """Forget rows, graph and views once the store is closed, so that nothing stays mapped."""
        table = self.table
        shell = Table(table.path, table.metric, table.dim, table.config)
        with self.lock, self._publishing:
            self.table, self.applied = shell, shell.view()
            self.view = self.applied

    def refresh(self) -> None:
        """Show readers the table as it lies in memory by now; the lock is held."""
        with self._publishing:
            published = self.view.seqno == self.applied.seqno
            self.applied = self.table.view()
            if published:
                self.view = self.applied

    def refuse_if_closed(self) -> None:
        """
        Raise where the store was closed, or belongs to another process.

        Raises
        ------
        StoreClosed
            If so.
        """
        if self.closed:
            name = self.table.path or ":memory:"
            raise StoreClosed(f"the store {name} is closed; open it again")
        if self.table.path is not None and os.getpid() != self._process:
            raise StoreClosed(
                f"the store {self.table.path} was opened by process {self._process}, from which "
                f"this one was forked; open it again in this process"
            )

    @property
    def forked(self) -> bool:
        """Whether this process was forked from the one that opened the store."""
        return os.getpid() != self._process

    def refuse_writes(self) -> None:
        """
        Raise where nothing can be written.

        Raises
        ------
        StoreClosed
            If the store was closed.
        ReadOnlyStore
            If it was opened for reading.
        StorePoisoned
            If an fsync failed.
        """
        self.refuse_if_closed()
        if self.read_only and self.table.path is not None:
            raise ReadOnlyStore(self.table.path)
        if self.journal is not None:
            self.journal.refuse_if_poisoned()


def with_graph(view: ReadView, graph: HnswGraph) -> ReadView:
    """
    Show the same records with another graph.

    Parameters
    ----------
    view : ReadView
        With rows.
    graph : HnswGraph
        Over some of its slots.

    Returns
    -------
    ReadView
        Otherwise the same.
    """
    assert view.snapshot is not None
    return view._replace(snapshot=view.snapshot._replace(graph=graph))


def _with_newer_graph(view: ReadView, shown: ReadView) -> ReadView:
    """Keep the graph that readers see, where it has grown since the view was made."""
    old, new = shown.snapshot, view.snapshot
    if old is not None and new is not None and old.graph.n_indexed > new.graph.n_indexed:
        return with_graph(view, old.graph)
    return view
