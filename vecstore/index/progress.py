"""Telling a user how far a long call has come."""

import contextlib
from collections.abc import Callable, Iterator

Progress = Callable[[int, int], None]


@contextlib.contextmanager
def progress_of(progress: bool | Progress) -> Iterator[Progress]:
    """
    Turn a `progress` argument into something to call.

    Parameters
    ----------
    progress : bool or callable
        False: silence. True: a bar on stderr. A callable is used as it is.

    Yields
    ------
    callable
        Takes (done, total).
    """
    if not progress:
        yield lambda done, total: None
        return
    if callable(progress):
        yield progress
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("absorbing", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
