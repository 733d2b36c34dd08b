"""
Every state that a store was ever in, written down by the one who writes to it.

The vector of a record is a function of its id and of the seqno of its upsert, which its metadata
tells; so of whatever a reader gets it can be said whether it is whole, and of which moment it is.
"""

import contextlib
import dataclasses
import functools
import hashlib
import threading
from typing import NamedTuple

import numpy as np

DIM = 4
QUERY = np.array([11, 3, 17, 8], np.float32)


class Facts(NamedTuple):
    """The calls that upserted a record and last described it, and whether it is soft-deleted."""

    born: int
    told: int
    hidden: bool = False

    @property
    def metadata(self):
        return {"born": self.born, "told": self.told}


@dataclasses.dataclass(frozen=True)
class State:
    """
    What a store holds after a call.

    Attributes
    ----------
    seqno : int
        Of the call.
    records : dict
        From id to `Facts`, in slot order: an upsert or a restore puts an id last.
    """

    seqno: int
    records: dict[str, Facts]

    @functools.cached_property
    def visible(self):
        """The records that are not soft-deleted."""
        return {i: facts for i, facts in self.records.items() if not facts.hidden}

    @functools.cached_property
    def ranked(self):
        """All ids that answer `QUERY`, nearest first; of equally near ones by slot."""
        return sorted(self.visible, key=lambda i: distance_of(i, self.visible[i].born))

    @functools.cached_property
    def digest(self):
        return digest_of(list(self.records.items()))


@functools.lru_cache(maxsize=1 << 18)
def vector_of(record_id, born):
    """Give small whole numbers, so that distances are exact and ties are many."""
    mixed = int(record_id[1:]) * 7 + born * np.array([1, 3, 5, 11])
    return (mixed % 23).astype(np.float32)


@functools.lru_cache(maxsize=1 << 18)
def distance_of(record_id, born):
    apart = vector_of(record_id, born).astype(np.float64) - QUERY
    return float(np.sqrt(np.square(apart).sum()))


def digest_of(found):
    """Hash ids and facts in slot order, for those who cannot tell of all of them."""
    return hashlib.sha256(repr(found).encode()).hexdigest()


class Chronicle:
    """
    The states of a store; those are forgotten that nobody can be reading any more.

    Attributes
    ----------
    begun : int
        The last call that may have happened.
    done : int
        The last call that has returned.
    """

    def __init__(self):
        self.begun = self.done = 0
        self._states = {0: State(0, {})}
        self._since = {}
        self._lock = threading.Lock()  # protects _since, and the removal of states

    @property
    def newest(self):
        return self._states[self.begun]

    @contextlib.contextmanager
    def turning_to(self, records):
        """Write down what a call will lead to, before it is made."""
        self._states[self.begun + 1] = State(self.begun + 1, records)
        self.begun += 1
        yield
        with self._lock:
            self.done = self.begun
            if self._since:
                for seqno in [seqno for seqno in self._states if seqno < min(self._since.values())]:
                    del self._states[seqno]

    def look(self):
        """Note that this thread begins to read; what it sees is not older than this moment."""
        with self._lock:
            self._since[threading.get_ident()] = self.done
            return self.done

    def since(self, first):
        """Give the states from one on; the last may not be published yet."""
        return [self._states[seqno] for seqno in range(first, self.begun + 1)]
