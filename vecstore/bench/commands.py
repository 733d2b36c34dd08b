"""
`vecstore bench …`: measure VecStore on this machine, alone or beside other libraries.

Heavy imports wait until a command needs them, so that listing the commands stays fast. What a
command measures is in the module of its name.
"""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from vecstore.errors import InvalidInput

_PATH = click.Path(path_type=Path)
_LARGE = "clustered:n=440000,dim=128,intrinsic=16"


@click.group()
def bench() -> None:
    """Measure VecStore on this machine."""


def _numbers(context: click.Context, option: click.Parameter, text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in (text or "").split(",") if part.strip()]
    if not all(part.isascii() and part.isdigit() and len(part) < 19 for part in parts):
        raise InvalidInput(f"--{option.name}", "whole numbers with commas between them", text)
    return tuple(int(part) for part in parts)


def _names(context: click.Context, option: click.Parameter, text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def _decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return _decorate


_data_options = _options(
    click.option("--data", required=True, help="A name, file or folder; see `bench data`."),
    click.option("--metric", help="Instead of the data's own."),
    click.option("--n", type=int, help="Only the first so many rows."),
    click.option("--queries", help="Only the first so many queries, or a file with the queries."),
    click.option("--order", type=click.Choice(["file", "shuffled"]), default="file"),
    click.option("--download", is_flag=True, help="Fetch a public data set that is missing."),
    click.option("--sha256", help="What the public set must hash to, where it is not known."),
)
_machine_options = _options(
    click.option("--cpu", callback=_numbers, help="Cores to pin to; by default the last ones."),
    click.option("--pin/--no-pin", default=True, help="Whether to pin at all."),
    click.option("--rounds", default=5, show_default=True, help="Times that each is timed."),
    click.option("--out", type=_PATH, default=Path("results"), show_default=True),
    click.option("--json", "as_json", is_flag=True, help="Print the document instead of tables."),
)
_graph_options = _options(
    click.option("--m", default=16, show_default=True, help="M."),
    click.option("--ef-construction", default=200, show_default=True),
    click.option("--seed", default=0, show_default=True),
)
_ef_option = click.option("--ef", callback=_numbers, help="Where the sweep starts, as 10,20,40.")
_k_option = click.option("-k", "--k", default=10, show_default=True, help="Neighbours wanted.")
_peers_option = click.option("--peers", default="", callback=_names, help="As hnswlib,faiss,…")
_plot_option = click.option("--plot", type=_PATH, help="Draw a picture.")


def _wanted(options: dict[str, Any]) -> Any:
    from vecstore.bench.datasets import Wanted

    queries = options["queries"] or ""
    count = queries.isascii() and queries.isdigit() and len(queries) < 19
    return Wanted(
        name=options["data"],
        queries_path=Path(queries) if queries and not count else None,
        metric=options["metric"],
        n=options["n"],
        n_queries=int(queries) if count else None,
        shuffled=options["order"] == "shuffled",
        fetch=options["download"],
        sha256=options["sha256"],
    )


def _pinned(options: dict[str, Any], threads: int) -> list[int] | None:
    """Pin before a library starts threads of its own."""
    from vecstore.bench.machine import pin

    return pin(threads, options["cpu"] or None) if options["pin"] else None


def _tell(line: str) -> None:
    click.echo(line, err=True)


def _finish(document: dict[str, Any], options: dict[str, Any]) -> None:
    from rich.console import Console

    from vecstore.bench.report import draw, tables
    from vecstore.bench.results import write

    path = write(document, options["out"])
    if options["as_json"]:
        click.echo(json.dumps(document))
    else:
        console = Console()
        for part in tables(document):
            console.print(part, markup=False, highlight=False)
        for library in document.get("libraries", []):
            if library["fingerprint"]:
                click.echo(f"fingerprint {library['fingerprint']}  {library['name']}")
        click.echo(f"data {document['data']['checksum']}")
    _tell(f"written to {path}")
    if options.get("plot"):
        draw(document, options["plot"])
        _tell(f"drawn to {options['plot']}")


@bench.command("run")
@_data_options
@click.option("--index", "ours", default="hnsw", show_default=True, help="Ours: hnsw or flat.")
@_peers_option
@_k_option
@click.option("--threads", default=1, show_default=True, help="Threads that build and search.")
@_graph_options
@_ef_option
@click.option("--extra", default=12, show_default=True, help="Settings to add at most.")
@click.option("--tail/--no-tail", default=True, help="Whether to measure the longest tail too.")
@_machine_options
@_plot_option
def run(**options: Any) -> None:
    """Measure recall, speed, builds and memory of several libraries side by side."""
    pinned = _pinned(options, options["threads"])
    from vecstore.bench.peers.library import EF_GRID
    from vecstore.bench.runner import Run
    from vecstore.bench.runner import run as measure

    same = ("ours", "peers", "k", "threads", "m", "ef_construction", "seed", "rounds", "extra")
    plan = Run(
        wanted=_wanted(options),
        efs=options["ef"] or EF_GRID,
        with_tail=options["tail"],
        **{name: options[name] for name in same},
    )
    _finish(measure(plan, pinned, sys.argv[1:], _tell), options)


@bench.command("growth")
@_data_options
@click.option(
    "--sizes",
    callback=_numbers,
    default="10000,20000,50000,100000,200000,400000",
    show_default=True,
    help="Numbers of rows.",
)
@click.option("--recall", default=0.95, show_default=True, help="At which costs are read off.")
@_k_option
@_graph_options
@_ef_option
@_machine_options
@_plot_option
def growth(**options: Any) -> None:
    """
    Measure how build time and search cost grow with the number of rows.

    Sizes are the first so many rows in the file's order; where a file is sorted, ask for
    --order shuffled. Two curves are fitted to each cost, a + b ln n and its rival a n^c, and
    printed with the share of the variance that each explains.
    """
    pinned = _pinned(options, 1)
    from vecstore.bench.growth import Growth, measure_growth
    from vecstore.bench.peers.library import EF_GRID

    same = ("sizes", "recall", "k", "m", "ef_construction", "seed", "rounds")
    plan = Growth(
        wanted=_wanted(options),
        efs=options["ef"] or EF_GRID,
        **{name: options[name] for name in same},
    )
    _finish(measure_growth(plan, pinned, sys.argv[1:], _tell), options)


@bench.command("threads")
@_data_options
@click.option("--threads", default="1,2", callback=_numbers, show_default=True)
@_peers_option
@_k_option
@click.option("--ef", default=50, show_default=True, help="Beam width.")
@_graph_options
@_machine_options
def threads(**options: Any) -> None:
    """Measure what more threads bring, for searches and builds."""
    pinned = _pinned(options, max(options["threads"], default=1))
    from vecstore.bench.threads import Threads, measure_threads

    same = ("threads", "peers", "k", "ef", "m", "ef_construction", "seed", "rounds")
    plan = Threads(wanted=_wanted(options), **{name: options[name] for name in same})
    _finish(measure_threads(plan, pinned, sys.argv[1:], _tell), options)


@bench.command("overhead")
@_data_options
@_k_option
@click.option("--ef", default=50, show_default=True, help="Beam width.")
@_machine_options
def overhead(**options: Any) -> None:
    """Measure what the store adds to a single query of its index."""
    pinned = _pinned(options, 1)
    from vecstore.bench.overhead import Overhead, measure_overhead

    same = ("k", "ef", "rounds")
    plan = Overhead(wanted=_wanted(options), **{name: options[name] for name in same})
    _finish(measure_overhead(plan, pinned, sys.argv[1:], _tell), options)


@bench.command("store")
@_data_options
@click.option("--large", default=_LARGE, show_default=True, help="Data of the large store.")
@click.option("--large-n", type=int, help="Only the first so many of its rows.")
@click.option("--parts", callback=_names, default="singles,bulk,growing,opening,waiting")
@click.option("--peers", default="", callback=_names, help="As chromadb,lancedb,…")
@click.option("--threads", default=1, show_default=True, help="Cores that a database has.")
@click.option("--directory", type=_PATH, help="On the disk to measure; here by default.")
@click.option("--loads", default=2, show_default=True, help="Rounds of bulk loads.")
@click.option("--upserts", default=2000, show_default=True, help="Single upserts in a turn.")
@click.option("--most-s", default=20.0, show_default=True, help="Seconds such a turn may take.")
@click.option("--call", default=1000, show_default=True, help="Rows in a call while growing.")
@click.option("--single", default=10, show_default=True, help="Upserts between two such calls.")
@click.option("--waits", default=20_000, show_default=True, help="Upserts into the large store.")
@click.option("--checkpoints", default=4, show_default=True, help="Checkpoints meanwhile.")
@_graph_options
@_machine_options
def store(**options: Any) -> None:
    """Measure what durability costs, beside other databases on the same disk."""
    pinned = _pinned(options, options["threads"])
    from vecstore.bench.datasets import Wanted
    from vecstore.bench.store import measure_store
    from vecstore.bench.stores.plan import StoreRun

    own = {name: options[name] for name in StoreRun._fields if name in options and name != "large"}
    large = Wanted(options["large"], n=options["large_n"])
    plan = StoreRun(wanted=_wanted(options), **{**own, "large": large})
    _finish(measure_store(plan, pinned, sys.argv[1:], _tell), options)


@bench.command("data")
@click.option("--download", help="Fetch this public data set.")
@click.option("--sha256", help="What the public set must hash to, where it is not known.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def data(download: str | None, sha256: str | None, as_json: bool) -> None:
    """List the data sets there are, or fetch a public one."""
    from rich.console import Console

    from vecstore.bench.catalog import checksums, entries, fetch, table

    if download is not None:
        console = Console(stderr=True)
        with console.status(f"fetching {download}"):
            click.echo(fetch(download, sha256))
        return
    listed = entries()
    if as_json:
        click.echo(json.dumps([entry._asdict() for entry in listed]))
    else:
        Console().print(table(listed))
        click.echo(checksums(listed))


@bench.command("startup")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def startup(as_json: bool) -> None:
    """Measure imports, cold compiling, and the first query with warm caches."""
    from vecstore.bench.startup import measure_startup

    figures: Sequence[Any] = measure_startup()
    if as_json:
        click.echo(json.dumps(dict(figures)))
        return
    for name, seconds in figures:
        click.echo(f"{seconds:7.2f} s  {name}")
