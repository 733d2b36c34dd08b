"""
Twins of `Files` for tests: one that fails at the nth operation, one that writes down what it did.
"""

from vecstore.storage.files import Files

CHANGES = ("make_directory", "write_new", "write_at", "resize", "replace", "remove")
OPERATIONS = (*CHANGES, "sync_directory", "map")


class FailingFiles(Files):
    """
    Raises OSError at one operation, and at all after it if it is `dead`.

    Parameters
    ----------
    at : int or None
        Number of the operation, counted from 0; None fails never.
    dead : bool
        Whether the system never recovers.
    late : bool
        Whether the operation takes effect before it fails: a write half, the others whole.
    """

    def __init__(self, at=None, *, dead=False, late=False):
        self.at = at
        self.dead = dead
        self.late = late
        self.done = []

    @property
    def failed(self):
        return self.at is not None and len(self.done) > self.at

    def fail_after(self, count, *, dead=False, late=False):
        """Let `count` more operations pass, then fail."""
        self.at, self.dead, self.late = len(self.done) + count, dead, late

    def perform(self, name, path, *rest):
        number = len(self.done)
        self.done.append((name, path.name))
        fails = self.at is not None and (number == self.at or (self.dead and number > self.at))
        if fails and self.late and number == self.at:
            if name.startswith("write"):
                *rest, chunks = rest
                whole = b"".join(bytes(chunk) for chunk in chunks)
                rest = [*rest, [whole[: len(whole) // 2]]]
            getattr(Files, name)(self, path, *rest)
        if fails:
            raise OSError(5, f"{name} failed", str(path))
        return getattr(Files, name)(self, path, *rest)


def _operation(name):
    def operation(self, path, *rest):
        return self.perform(name, path, *rest)

    return operation


for _name in OPERATIONS:
    setattr(FailingFiles, _name, _operation(_name))


def until_it_passes(**settings):
    """Yield failing twins, each failing one operation later, until one was not used up."""
    for at in range(200):
        files = FailingFiles(at, **settings)
        yield files
        if not files.failed:
            return
    raise AssertionError("200 operations and no end")
