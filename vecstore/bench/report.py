"""
Documents of measurements as tables for a terminal, and as pictures.

Everything is taken from the document, so one that was kept shows as it did. Not here: what the
fields mean (`results`, `growth`, `threads`, `overhead`, `store`), and the tables of stores
(`stores.tables`).
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecstore.bench.cells import NONE, in_cell, new_table
from vecstore.bench.curves import Point, front
from vecstore.bench.extra import imported
from vecstore.bench.growth import Fit
from vecstore.bench.peers.ours import TAIL_NAME
from vecstore.bench.stores.tables import store_tables
from vecstore.errors import InvalidInput

_MIB = 2**20


def tables(document: dict[str, Any]) -> Iterator[Any]:
    """
    Show a document.

    Parameters
    ----------
    document : dict
        Of any kind.

    Yields
    ------
    str or rich.table.Table
        What a table shows, and the table, in turn.

    Raises
    ------
    InvalidInput
        If it is no document of a kind known here.
    """
    kinds: dict[str, Callable[[dict[str, Any]], Iterator[Any]]] = {
        "run": _run_tables,
        "growth": _growth_tables,
        "threads": _threads_tables,
        "overhead": _overhead_tables,
        "store": store_tables,
    }
    kind = document.get("kind")
    if kind not in kinds:
        raise InvalidInput("document", f"of kind {', '.join(kinds)}", kind)
    yield from kinds[kind](document)


def draw(document: dict[str, Any], path: Path) -> None:
    """
    Draw a run's recall against speed, or a growth's costs against the number of rows.

    Parameters
    ----------
    document : dict
        Of kind ``run`` or ``growth``.
    path : Path
        The picture; its ending tells the format.

    Raises
    ------
    MissingExtra
        Without matplotlib.
    """
    figure = imported("matplotlib.figure", "matplotlib").Figure(figsize=(8, 5), layout="tight")
    if document["kind"] == "growth":
        draw_growth(document, figure)
    else:
        from vecstore.inspection.plots import recall_qps

        axes = recall_qps(curves(document), ax=figure.subplots())
        axes.set_title(_title(document))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def curves(document: dict[str, Any]) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """
    Take the best points of every library out of a run.

    Parameters
    ----------
    document : dict
        Of kind ``run``.

    Returns
    -------
    dict
        Names to recalls by ids and queries per second, float64[points] each, recall ascending.
    """
    points: dict[str, list[Point]] = {}
    for row in document["rows"]:
        point = Point(row["recall_ids"], row["qps_best"])
        points.setdefault(row["library"], []).append(point)
    best = {name: np.array(front(own)) for name, own in points.items()}
    return {name: (own[:, 0], own[:, 1]) for name, own in best.items()}


def _title(document: dict[str, Any]) -> str:
    data, settings = document["data"], document["settings"]
    threads = settings.get("threads", 1)
    shown = f", {threads} thread{'s' if threads > 1 else ''}" if isinstance(threads, int) else ""
    return (
        f"{data['name']}: {data['n']:,} x {data['dim']}, {data['metric']}, k = {settings['k']}"
        f"{shown}"
    )


def _with_ratio(value: float | None, ratio: float | None, form: str, first: bool) -> str:
    shown = in_cell(value, form)
    return shown if first or ratio is None else f"{shown}  {ratio:.2f} x"


def _run_tables(document: dict[str, Any]) -> Iterator[Any]:
    yield _title(document)
    if document["truth_agreement"] is not None:
        share = f"{100 * document['truth_agreement']:.2f} %"
        yield f"{share} of our exact neighbours are among those that came with the data"
    yield f"queries per second at recall by ids, best of {document['settings']['rounds']} rounds"
    yield _at_recall(document, "qps_best")
    yield "the same, median of the rounds"
    yield _at_recall(document, "qps_median")
    yield "distances a query at recall by ids, as each library counts"
    yield _at_recall(document, "n_dist")
    if any(library["name"] == TAIL_NAME for library in document["libraries"]):
        yield from _tail_table(document)
    yield "one build each, and its memory"
    yield _build_table(document)
    yield "x: VecStore over the library; -: not told, or no two points enclose it"
    yield _version_table(document)


def _at_recall(document: dict[str, Any], key: str) -> Any:
    targets = document["settings"]["targets"]
    table = new_table("library", *(f"{target:.2f}" for target in targets))
    for number, library in enumerate(document["libraries"]):
        cells = [_summary(document, library["name"], target) for target in targets]
        shown = [
            _with_ratio(cell[key], cell[f"{key}_ratio"], ",.0f", number == 0) for cell in cells
        ]
        table.add_row(library["name"], *shown)
    return table


def _summary(document: dict[str, Any], name: str, target: float) -> dict[str, Any]:
    wanted = (name, "ids", target)
    for entry in document["summary"]:
        if (entry["library"], entry["by"], entry["target"]) == wanted:
            found: dict[str, Any] = entry
            return found
    raise InvalidInput("document", f"a summary of {name} at {target}", "none")


def _tail_table(document: dict[str, Any]) -> Iterator[Any]:
    tailed = next(one for one in document["libraries"] if one["name"] == TAIL_NAME)
    targets = document["settings"]["targets"]
    yield f"speed with a tail of {tailed['parameters']['tail']:,} slots over that without"
    table = new_table("rounds", *(f"{target:.2f}" for target in targets))
    for shown, key in (("best", "qps_best_ratio"), ("median", "qps_median_ratio")):
        ratios = [_summary(document, TAIL_NAME, target)[key] for target in targets]
        table.add_row(shown, *(in_cell(ratio and 1 / ratio, ".2f", " x") for ratio in ratios))
    yield table


def _build_table(document: dict[str, Any]) -> Any:
    table = new_table("library", "build s", "x", "owned MiB", "x", "peak growth MiB", "x")
    for number, one in enumerate(document["libraries"]):
        owned, peak, before = (
            one[key] for key in ("owned_bytes", "rss_peak_bytes", "rss_before_bytes")
        )
        grown = None if peak is None or before is None else (peak - before) / _MIB
        ratios = (
            "" if number == 0 else in_cell(one[key], ".2f")
            for key in ("build_ratio", "owned_ratio", "rss_ratio")
        )
        figures = (f"{one['build_s']:.2f}", in_cell(owned and owned / _MIB, ",.1f"))
        cells = zip((*figures, in_cell(grown, ",.1f")), ratios, strict=True)
        table.add_row(one["name"], *(cell for pair in cells for cell in pair))
    return table


def _version_table(document: dict[str, Any]) -> Any:
    table = new_table("library", "version", "built", "timed call")
    for column in table.columns[1:]:
        column.justify = "left"
    for one in document["libraries"]:
        table.add_row(one["name"], one["version"], one["flags"] or NONE, one["call"])
    return table


def _growth_tables(document: dict[str, Any]) -> Iterator[Any]:
    recall = document["settings"]["recall"]
    yield f"{_title(document)}; build, and search at recall {recall}"
    table = new_table("rows", "build s", "distances a query", "µs a query")
    for size in document["sizes"]:
        costs = in_cell(size["n_dist"]), in_cell(size["us"], ".1f")
        table.add_row(f"{size['n']:,}", f"{size['build_s']:.2f}", *costs)
    yield table
    for name, fit in document["fits"].items():
        yield f"{name} = {_curve(fit)}"
        rival = document.get("rivals", {}).get(name)
        if rival and rival["a"] is not None:
            yield f"{' ' * len(name)} = {_rival(rival)}"


def _curve(fit: dict[str, float | None]) -> str:
    if fit["a"] is None:
        return "no fit through fewer than three sizes"
    return f"{fit['a']:.1f} + {fit['b']:.1f} ln n, R² = {fit['r_squared']:.4f}"


def _rival(fit: dict[str, float]) -> str:
    return f"{fit['a']:.4g} n^{fit['c']:.3f}, R² = {fit['r_squared']:.4f}"


def draw_growth(document: dict[str, Any], figure: Any) -> None:
    """
    Draw what was measured at every size, and the fitted curve through it.

    Parameters
    ----------
    document : dict
        Of kind ``growth``.
    figure : matplotlib.figure.Figure
        Empty; gets one pair of axes for each cost.
    """
    shown = {"n_dist": "distances a query", "us": "µs a query"}
    for axes, (cost, label) in zip(figure.subplots(1, 2), shown.items(), strict=True):
        known = [(size["n"], size[cost]) for size in document["sizes"] if size[cost] is not None]
        axes.set(xscale="log", xlabel="rows", ylabel=label)
        if known:
            sizes, values = np.array(known).T
            axes.plot(sizes, values, "o")
        fit = Fit(**document["fits"][cost])
        if fit.a is not None:
            label = _curve(document["fits"][cost])
            axes.plot(sizes, fit.a + fit.b * np.log(sizes), "-", label=label)
            axes.legend(loc="lower right")
        axes.set_ylim(bottom=0)  # last: it would keep the limits from following the points
    figure.suptitle(f"{_title(document)}, recall {document['settings']['recall']}")


def _threads_tables(document: dict[str, Any]) -> Iterator[Any]:
    yield f"{_title(document)}; {document['data']['queries']:,} queries a call, best round"
    table = new_table("call", "threads", "queries per second", "speedup")
    for one in document["searches"]:
        speedup = f"{one['speedup']:.2f} x"
        table.add_row(one["call"], str(one["threads"]), f"{one['qps_best']:,.0f}", speedup)
    yield table
    yield "one build each"
    table = new_table("library", "threads", "build s", "speedup", "VecStore over it")
    for one in document["builds"]:
        ratios = (f"{one[key]:.2f} x" for key in ("speedup", "build_ratio"))
        table.add_row(one["library"], str(one["threads"]), f"{one['build_s']:.2f}", *ratios)
    yield table


def _overhead_tables(document: dict[str, Any]) -> Iterator[Any]:
    yield f"{_title(document)}; one query a call, median"
    table = new_table("call", "µs")
    table.add_row("index.search", f"{document['index_us']:.1f}")
    table.add_row("store.query", f"{document['store_us']:.1f}")
    table.add_row("difference", f"{document['overhead_us']:.1f}")
    yield table
