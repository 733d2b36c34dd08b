"""
What a store and its graph can be told: frozen, validated, JSON-able settings.

Some settings are fixed when a store is created, since the index is a function of them; the others
belong to the handle. A config remembers which fields its maker *passed*, so that opening a store
contradicts it only where the caller said so. Not here: how settings are stored (`storage`).
"""

import contextlib
import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

from vecstore.errors import InvalidInput

__all__ = ["METRIC_ALIASES", "HnswConfig", "StoreConfig", "metric_name"]

METRIC_ALIASES = {
    "cosine": "cosine",
    "euclidean": "euclidean",
    "l2": "euclidean",
    "dot": "dot",
    "dotproduct": "dot",
    "manhattan": "manhattan",
    "l1": "manhattan",
    "hamming": "hamming",
    "jaccard": "jaccard",
    "chebyshev": "chebyshev",
    "linf": "chebyshev",
    "l_inf": "chebyshev",
    "canberra": "canberra",
    "braycurtis": "braycurtis",
    "bray-curtis": "braycurtis",
    "bray_curtis": "braycurtis",
}
MAX_DIM = 65_536
_MAX_SECONDS = 86_400

_Config = TypeVar("_Config")


def metric_name(metric: str) -> str:
    """
    Resolve a metric's name or alias, in any case.

    Parameters
    ----------
    metric : str
        Such as ``"L2"``.

    Returns
    -------
    str
        The canonical name, such as ``"euclidean"``.

    Raises
    ------
    InvalidInput
        If there is no such metric.

    Examples
    --------
    >>> metric_name("L2")
    'euclidean'
    """
    known = METRIC_ALIASES.get(metric.lower()) if isinstance(metric, str) else None
    if known is None:
        names = ", ".join(dict.fromkeys(METRIC_ALIASES.values()))
        raise InvalidInput.of("metric", f"one of {names}", metric)
    return known


def whole_number(argument: str, value: object, least: int, most: int) -> int:
    """
    Check that an argument is an integer within bounds; a bool is none.

    Parameters
    ----------
    argument : str
        Its name, for the error.
    value : object
        What came.
    least, most : int
        The bounds, both allowed.

    Returns
    -------
    int
        The value.

    Raises
    ------
    InvalidInput
        If it is not.
    """
    if not isinstance(value, bool):
        try:
            number = int(value.__index__())  # type: ignore[attr-defined]
        except (AttributeError, TypeError):
            pass
        else:
            if least <= number <= most:
                return number
    raise InvalidInput.of(argument, f"an integer from {least} to {most}", value)


def _keep_whole(config: Any, name: str, least: int, most: int) -> None:
    """Check a field and keep it as a plain int, so that NumPy's integers stay JSON-able."""
    object.__setattr__(config, name, whole_number(name, getattr(config, name), least, most))


def _keep_seconds(config: Any, name: str) -> None:
    """Check a field and keep it as a plain float."""
    value = getattr(config, name)
    seconds = math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        with contextlib.suppress(OverflowError):
            seconds = float(value)
    if not 0 <= seconds <= _MAX_SECONDS:
        raise InvalidInput.of(name, f"seconds from 0 to {_MAX_SECONDS}", value)
    object.__setattr__(config, name, seconds)


def _remembers_passed(cls: type[_Config]) -> type[_Config]:
    """Have the constructor of a keyword-only dataclass note which fields it was given."""
    construct: Callable[..., None] = cls.__init__

    @functools.wraps(construct)
    def remembering(self: Any, **given: Any) -> None:
        known = [f.name for f in dataclasses.fields(cls) if f.init]  # type: ignore[arg-type]
        unknown = ", ".join(sorted(set(given) - set(known)))
        if unknown:
            raise InvalidInput(cls.__name__, f"only the fields {', '.join(known)}", unknown)
        construct(self, **given)
        object.__setattr__(self, "passed", frozenset(given))

    cls.__init__ = remembering  # type: ignore[method-assign]
    return cls


@_remembers_passed
@dataclasses.dataclass(frozen=True, kw_only=True)
class HnswConfig:
    """
    The graph's settings, all optional, by keyword.

    Attributes
    ----------
    m : int
        Links a slot has in the upper layers, twice as many at layer 0 [M]. Fixed at creation.
    ef_construction : int
        Beam width while building [efConstruction]. Fixed at creation.
    ef_search : int
        Beam width of a query that names none [ef].
    seed : int
        Decides the levels, from 0 to 2⁶⁴ - 1. Fixed at creation.
    as_printed : bool
        Build by Algorithms 1 to 5 as the paper prints them, see `paper`. Fixed at creation.

    Raises
    ------
    InvalidInput
        For an unknown field or a value out of bounds.

    Examples
    --------
    >>> HnswConfig(m=32)
    HnswConfig(m=32, ef_construction=200, ef_search=50, seed=0, as_printed=False)
    """

    m: int = 16
    ef_construction: int = 200
    ef_search: int = 50
    seed: int = 0
    as_printed: bool = False
    passed: frozenset[str] = dataclasses.field(
        default=frozenset(), init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        _keep_whole(self, "m", 2, 1024)
        _keep_whole(self, "ef_construction", 1, 1_000_000)
        _keep_whole(self, "ef_search", 1, 1_000_000)
        _keep_whole(self, "seed", 0, 2**64 - 1)
        if not isinstance(self.as_printed, bool):
            raise InvalidInput.of("as_printed", "True or False", self.as_printed)

    @classmethod
    def paper(cls, **settings: Any) -> Self:
        """
        Build as the paper prints it: Algorithms 1 to 5 of Malkov & Yashunin, TPAMI 2020.

        One slot at a time instead of batches; M links of its own at layer 0 instead of 1.5 M; a
        candidate exactly as far from a kept neighbour as from the base is discarded. Slower to
        build, and on one thread: for study and for comparison. In a store every write then copies
        the graph. What the default does otherwise, and what that gives, is listed under
        "Deviations from the paper" in ``docs/design/hnsw.md``.

        Parameters
        ----------
        **settings : dict
            Other fields, such as `m`.

        Returns
        -------
        HnswConfig
            With `as_printed`.

        Raises
        ------
        InvalidInput
            For `as_printed` itself, an unknown field or a value out of bounds.

        Examples
        --------
        >>> HnswConfig.paper(m=8).as_printed
        True
        """
        if "as_printed" in settings:
            raise InvalidInput.of("paper(as_printed)", "other fields", settings["as_printed"])
        return cls(**settings, as_printed=True)


@_remembers_passed
@dataclasses.dataclass(frozen=True, kw_only=True)
class StoreConfig:
    """
    A store's settings, all optional, by keyword.

    What is passed to `open` for an existing store holds from then on; what is not passed is as
    it was.

    Attributes
    ----------
    hnsw : HnswConfig
        The graph.
    durability : str
        ``"full"``: a write is durable when its call returns; ``"interval"``: at most the writes
        of the last `sync_interval_s` are lost if the machine stops; ``"off"``: all since the last
        checkpoint may be. The death of the process alone loses nothing at any level, see
        ``docs/durability.md``.
    sync_interval_s : float
        Seconds between syncs under ``"interval"``; with ``maintenance="inline"`` the next write
        after them syncs.
    checkpoint_bytes : int
        A checkpoint begins when the log is longer than this and than a quarter of the generation.
    flat_threshold : int
        Below this many slots there is no graph and every answer is exact. Fixed at creation.
    threads : int
        Threads that absorb rows into the graph; the graph is the same for any number.
    maintenance : str
        ``"background"``: a thread absorbs what is due; ``"inline"``: the write that makes it due.

    Raises
    ------
    InvalidInput
        For an unknown field or a value out of bounds.

    Examples
    --------
    >>> StoreConfig(hnsw=HnswConfig(ef_search=100)).hnsw.ef_search
    100
    """

    hnsw: HnswConfig = HnswConfig()
    durability: str = "full"
    sync_interval_s: float = 1.0
    checkpoint_bytes: int = 64 << 20
    flat_threshold: int = 1000
    threads: int = 1
    maintenance: str = "background"
    passed: frozenset[str] = dataclasses.field(
        default=frozenset(), init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if not isinstance(self.hnsw, HnswConfig):
            raise InvalidInput.of("hnsw", "an HnswConfig", self.hnsw)
        if self.durability not in ("full", "interval", "off"):
            raise InvalidInput.of("durability", "full, interval or off", self.durability)
        _keep_seconds(self, "sync_interval_s")
        _keep_whole(self, "checkpoint_bytes", 0, 2**62)
        if self.maintenance not in ("background", "inline"):
            raise InvalidInput.of("maintenance", "background or inline", self.maintenance)
        _keep_whole(self, "flat_threshold", 1, 2**31 - 1)
        _keep_whole(self, "threads", 1, 1024)

    def to_dict(self) -> dict[str, Any]:
        """
        Give the settings as plain data.

        Returns
        -------
        dict
            What `from_dict` takes, JSON-able.

        Examples
        --------
        >>> StoreConfig.from_dict(StoreConfig(threads=2).to_dict()).threads
        2
        """
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.init}
        hnsw = {
            f.name: getattr(self.hnsw, f.name) for f in dataclasses.fields(HnswConfig) if f.init
        }
        return {**plain, "hnsw": hnsw}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """
        Make a config of plain data.

        Parameters
        ----------
        data : mapping
            Fields by name; `hnsw` as a mapping of its own.

        Returns
        -------
        StoreConfig
            With the given fields passed.

        Raises
        ------
        InvalidInput
            For an unknown key or a value out of bounds.

        Examples
        --------
        >>> StoreConfig.from_dict({"hnsw": {"m": 8}}).hnsw.m
        8
        """
        given = _named(data)
        if "hnsw" in given:
            if not isinstance(given["hnsw"], Mapping):
                raise InvalidInput.of("hnsw", "a mapping", given["hnsw"])
            given["hnsw"] = HnswConfig(**_named(given["hnsw"]))
        return cls(**given)

    def over(self, stored: "StoreConfig") -> "StoreConfig":
        """
        Open a store under these settings: what was passed, over what is stored.

        Parameters
        ----------
        stored : StoreConfig
            The settings of the store.

        Returns
        -------
        StoreConfig
            The settings of the handle.

        Raises
        ------
        InvalidInput
            If a passed value contradicts one that was fixed at creation.

        Examples
        --------
        >>> StoreConfig(threads=2).over(StoreConfig(flat_threshold=10)).flat_threshold
        10
        """
        old, new = stored.to_dict(), self.to_dict()
        old_hnsw, new_hnsw = old.pop("hnsw"), new.pop("hnsw")
        _overlay("", old, new, self.passed - {"hnsw"}, {"flat_threshold"})
        fixed = {"m", "ef_construction", "seed", "as_printed"}
        _overlay("hnsw.", old_hnsw, new_hnsw, self.hnsw.passed, fixed)
        return StoreConfig.from_dict({**old, "hnsw": old_hnsw})


def _named(data: Mapping[Any, Any]) -> dict[str, Any]:
    for key in data:
        if not isinstance(key, str):
            raise InvalidInput.of("config", "keys of type str", key)
    return dict(data)


def _overlay(
    prefix: str, old: dict[str, Any], new: dict[str, Any], passed: frozenset[str], fixed: set[str]
) -> None:
    for name in sorted(passed):
        if name in fixed and new[name] != old[name]:
            expected = f"{old[name]}, as fixed when the store was created"
            raise InvalidInput(f"open(config.{prefix}{name})", expected, new[name])
        old[name] = new[name]
