"""
Processes that the tests start and end as they please.

They are forked from a server that has loaded and compiled everything once. What a life does is a
function of its end of a pipe and of plain arguments; `Life` is the other end.
"""

import contextlib
import itertools
import multiprocessing
import os
import signal

import vecstore
from tests.scenario.author import Author
from tests.scenario.calls import carry_out, clock_at_rest
from tests.scenario.chronicle import DIM, digest_of
from tests.scenario.reader import kept
from vecstore.errors import StoreClosed, StoreLocked

_PRELOADED = ["tests.scenario.warm", "tests.scenario.lives"]
_HANG_S = 600
CALLS = {
    "upsert": ("a", [1, 2]),
    "upsert_many": (["a"], [[1, 2]]),
    "batch": ([],),
    "update_metadata": ("a", {}),
    "set_ttl": ("a", 1),
    "delete": ("a",),
    "delete_many": (["a"],),
    "soft_delete": ("a",),
    "restore": ("a",),
    "expire": (),
    "query": ([1, 2],),
    "query_many": ([[1, 2]],),
    "iter_query": ([1, 2],),
    "get": ("a",),
    "get_many": (["a"],),
    "ids": (),
    "records": (),
    "count": (),
    "__len__": (),
    "__contains__": ("a",),
    "optimize": (),
    "compact": (),
    "checkpoint": (),
    "create_snapshot": ("new",),
    "list_snapshots": (),
    "restore_snapshot": ("old",),
    "delete_snapshot": ("old",),
    "verify_snapshot": ("old",),
    "fingerprint": (),
    "stats": (),
    "verify": (),
    "refresh": (),
}
"""Every call of a store but `close`, and what it is given."""


class Life:
    """
    A process, and what it says.

    Parameters
    ----------
    work : callable
        A function of this module.
    *arguments
        What it takes behind its end of the pipe.
    """

    def __init__(self, work, *arguments):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_PRELOADED)
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs, *arguments), daemon=True)
        self._process.start()
        theirs.close()

    @property
    def pid(self):
        return self._process.pid

    @property
    def is_alive(self):
        return self._process.is_alive()

    def hear(self, within_s=_HANG_S):
        """Wait for the next thing that it says; None once it has ended."""
        try:
            return self._pipe.recv() if self._pipe.poll(within_s) else None
        except (EOFError, ConnectionResetError):
            return None

    def tell(self, what):
        self._pipe.send(what)

    def kill(self):
        """Kill it, and give everything that it had said and nobody had heard."""
        self._process.kill()
        self._process.join(_HANG_S)
        assert self._process.exitcode in (0, -signal.SIGKILL), "it has ended in an error"
        return list(iter(lambda: self.hear(0), None))

    def end(self):
        """Let it go on to its end, which must be a good one."""
        with contextlib.suppress(BrokenPipeError):
            self.tell("go on")
        self._process.join(_HANG_S)
        assert self._process.exitcode == 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self._pipe.close()


def write(pipe, path, config, seed, first, most):
    """
    Open a store and make calls; tell the number of each that has returned.

    After the most that it may make, if there is such a number, it rests.
    """
    clock = clock_at_rest()
    store = vecstore.open(path, dim=4, metric="l2", config=config, clock=clock)
    pipe.send("open")
    for number in itertools.count(first) if most is None else range(first, first + most):
        carry_out(store, clock, seed, number)
        pipe.send(number)
    pipe.recv()


def stay(pipe, path, config):
    """Open a store, and keep it open until told to go on."""
    try:
        with vecstore.open(path, config=config):
            pipe.send("open")
            pipe.recv()
    except StoreLocked as exc:
        pipe.send(exc.holder)


def fill(pipe, path, config):
    """Make a store with a generation and a log."""
    with vecstore.open(path, dim=DIM, metric="l2", config=config) as store:
        author = Author(store)
        author.fill()
        store.checkpoint()
        author.upsert()
    pipe.recv()


def follow(pipe, path, enough):
    """
    Read what is durable again and again until told to go on, then once more; tell it all.

    Tell besides when so many states and generations have been seen.
    """
    seen = []
    with vecstore.open(path, mode="r") as store:
        pipe.send("open")
        told = False
        while True:
            last = pipe.poll()
            store.refresh()
            stats = store.stats()
            seen.append(
                (stats.seqno, stats.generation, digest_of(kept(store.records(deleted=True))))
            )
            if not told and min(len(set(column)) for column in zip(*seen, strict=True)) >= enough:
                pipe.send("enough")
                told = True
            if last:
                break
    pipe.send(seen)
    pipe.recv()


def bequeath(pipe, path, config):
    """Open a store and fork: the child tries everything, the parent writes on and closes."""
    store = vecstore.open(path, metric="l2", config=config)
    store.upsert("a", [1, 2])
    store.create_snapshot("old")
    pipe.send("open")
    pipe.recv()
    if not (child := os.fork()):
        pipe.send({name: _outcome(store, name) for name in CALLS})
        signal.pause()
        os._exit(0)
    pipe.send(child)
    pipe.recv()
    store.upsert("b", [3, 4])
    store.close()
    pipe.send("closed")
    pipe.recv()


def _outcome(store, name):
    """Give what a call leads to, for a handle from which nothing must come."""
    try:
        return repr(getattr(store, name)(*CALLS[name]))
    except StoreClosed as exc:
        return str(exc)
    finally:
        store.close()
        store.__del__()
