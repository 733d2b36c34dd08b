"""Turns of several databases in interleaved rounds, each in a fresh process and directory."""

import shutil
from collections.abc import Sequence
from typing import Any, NamedTuple

from vecstore.bench.stores.plan import Bench, Rows
from vecstore.bench.stores.process import in_fresh_process
from vecstore.bench.stores.registry import OURS, Contestant
from vecstore.bench.sweep import turn_order
from vecstore.errors import VecStoreError


class Score(NamedTuple):
    """
    What the turns of a contestant gave.

    Attributes
    ----------
    contestant : Contestant
        Who.
    turns : list of dict
        Figures of each round.
    failed : str or None
        Why there are no more of them.
    """

    contestant: Contestant
    turns: list[dict[str, Any]]
    failed: str | None


def interleave(
    bench: Bench, part: str, rows: Rows, contestants: Sequence[Contestant], rounds: int, **more: Any
) -> list[Score]:
    """
    Give each contestant one turn a round.

    Parameters
    ----------
    bench : Bench
        Where.
    part : str
        Whose turn, as `in_fresh_process` takes it.
    rows : Rows
        What goes in.
    contestants : sequence of Contestant
        Who.
    rounds : int
        How often.
    **more : dict
        Further arguments of the turn.

    Returns
    -------
    list of Score
        One for each, in their order. A peer that fails has no further turn.

    Raises
    ------
    VecStoreError
        If our own database fails.
    """
    turns: list[list[dict[str, Any]]] = [[] for _ in contestants]
    failed: dict[int, str] = {}
    for number in range(rounds):
        for which in turn_order(len(contestants), number):
            if which in failed:
                continue
            one = contestants[which]
            bench.tell(f"{part}, round {number + 1} of {rounds}: {one.title}")
            setup = bench.setup("turn", rows, one.variant.label)
            try:
                figures = in_fresh_process(
                    part, name=one.name, setup=setup, rows=str(rows.path), **more
                )
                turns[which].append(figures)
            except VecStoreError as exc:
                if one.name == OURS:
                    raise
                failed[which] = str(exc)
            finally:
                shutil.rmtree(setup["path"], ignore_errors=True)
    return [Score(one, turns[which], failed.get(which)) for which, one in enumerate(contestants)]
