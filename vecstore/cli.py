"""
The command line: `vecstore …`, also ``python -m vecstore``.

Built on click and rich; heavy imports wait until a command needs them. Errors are one line on
stderr; exit status 0, 1 (not found, damaged, locked), 2 (usage or input). Not here: anything that
could be used without a terminal.
"""

import dataclasses
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from vecstore import __version__
from vecstore.bench.commands import bench
from vecstore.errors import (
    InvalidInput,
    MissingExtra,
    NotAvailable,
    VecStoreError,
)

NO_WORDS = (
    "your own words need an embedding model, which VecStore does not bring; "
    "install one with:  {install}"
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vecstore")
def app() -> None:
    """Work with VecStore: an embedded vector database that one can read."""


app.add_command(bench)


@app.command()
@click.argument("words", nargs=-1)
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the store in this directory.")
@click.option("--svg", type=click.Path(path_type=Path), help="Save what is shown as a picture.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def demo(words: tuple[str, ...], keep: Path | None, svg: Path | None, as_json: bool) -> None:
    """
    Fill a reverse dictionary, reopen it, ask it, and measure it.

    Give WORDS to ask for a description of your own.
    """
    from rich.console import Console

    text = " ".join(words)
    vectors = _embedded(text) if words else None
    if keep is not None and keep.exists():
        raise InvalidInput("demo(--keep)", "a directory that does not exist yet", keep)
    console = Console(stderr=as_json, record=svg is not None)
    with tempfile.TemporaryDirectory(prefix="vecstore-demo-") as folder:
        plain = _demo(keep or Path(folder) / "store", text, vectors, console)
    if as_json:
        click.echo(json.dumps(plain))
    else:
        console.print(_figures(plain))
    if svg is not None:
        console.save_svg(str(svg), title="vecstore demo")


def _embedded(text: str) -> Any:
    from vecstore.embed.minilm import INSTALL, embed_texts

    try:
        return embed_texts([text])
    except MissingExtra as exc:
        raise click.UsageError(NO_WORDS.format(install=INSTALL)) from exc


def _demo(path: Path, text: str, vectors: Any, console: Any) -> dict[str, Any]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from vecstore.bench import demo as bench
    from vecstore.bench.datasets import load_wordnet20k

    compile_s = bench.compile_kernels()
    if compile_s > 1:
        console.print(f"compiled the kernels in {compile_s:.1f} s; the next run finds them cached")
    data = load_wordnet20k()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task("filling a store on disk", total=len(data.ids))
        built = bench.build(data, path, lambda done, total: bar.update(task, completed=done))
    with built.store as store:
        console.print(f"closed, and reopened in {1000 * built.reopen_s:.1f} ms\n")
        questions = [text] if text else data.questions
        hits = bench.ask(store, data.question_vectors if vectors is None else vectors)
        console.print(_answers(questions, hits))
        figures = bench.measure(store, data)
        return bench.as_dict(built, figures)


def _answers(questions: Sequence[str], hits: Sequence[Any]) -> Any:
    from rich.table import Table

    table = Table("description", "word", "score", "then", title="Which word is it?")
    for question, found in zip(questions, hits, strict=True):
        lemmas = [str(hit.metadata["lemma"]).replace("_", " ") for hit in found]
        table.add_row(question, lemmas[0], f"{found[0].score:.3f}", ", ".join(lemmas[1:]))
    return table


def _figures(plain: dict[str, Any]) -> Any:
    from rich.table import Table

    table = Table("measured just now", "", title=f"{plain['records']:,} records, one thread")
    table.columns[1].justify = "right"
    table.add_row("fill, build the graph, write to disk", f"{plain['build_s']:.2f} s")
    table.add_row("reopen", f"{plain['reopen_ms']:.1f} ms")
    table.add_row(
        "recall@10 against the exact scan, 24 questions",
        f"{100 * plain['recall_at_10_questions']:.1f} %",
    )
    table.add_row(
        "recall@10 against the exact scan, 1,000 senses",
        f"{100 * plain['recall_at_10_senses']:.1f} %",
    )
    table.add_row("queries per second", f"{plain['queries_per_s']:,.0f}")
    table.add_row("distances per query", f"{plain['distances_per_query']:,.0f}")
    table.add_row("bytes per vector alone", f"{plain['vector_bytes_per_record']:,}")
    table.add_row("bytes per record in the graph", f"{plain['graph_bytes_per_record']:,.0f}")
    table.add_row("bytes per record on disk, all", f"{plain['disk_bytes_per_record']:,.0f}")
    table.add_row("fingerprint", plain["fingerprint"])
    return table


@app.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(path: Path, as_json: bool) -> None:
    """Show what the store at PATH holds, without opening it for writing."""
    from vecstore.storage.files import Files
    from vecstore.storage.manifest import read_current
    from vecstore.store import open as open_store

    with open_store(path, mode="r") as store:
        stats = store.stats()
        manifest = read_current(Files(), path)
    facts: dict[str, Any] = {**dataclasses.asdict(manifest), **dataclasses.asdict(stats)}
    if as_json:
        click.echo(json.dumps(facts))
        return
    click.echo(f"{path}: generation {stats.generation}, {stats.seqno} write calls")
    click.echo(f"  {stats.live:,} records of {stats.dim} components, {stats.metric}")
    click.echo(f"  {stats.soft_deleted:,} soft-deleted, {stats.dead:,} dead slots")
    click.echo(f"  {stats.indexed:,} of {stats.slots:,} slots in the graph")
    click.echo(f"  {stats.log_bytes:,} bytes of calls since the last checkpoint")
    unsettled = "none on disk while slots wait for the graph"
    click.echo(f"  fingerprint {manifest.fingerprint or unsettled}")
    for role, entry in manifest.files.items():
        click.echo(f"  {entry.length:>14,} bytes  {entry.name}  ({role})")


@app.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--vector",
    "vector_file",
    required=True,
    type=click.Path(path_type=Path),
    help="A .npy file with one vector, or a JSON list; - reads JSON from standard input.",
)
@click.option("-k", "--k", default=10, show_default=True, help="Hits wanted.")
@click.option("--ef", type=int, help="Beam width; the store's own by default.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def query(path: Path, vector_file: Path, k: int, ef: int | None, as_json: bool) -> None:
    """Find the records of the store at PATH that lie nearest to a vector."""
    vector = _read_vector(vector_file)
    from vecstore.store import open as open_store

    with open_store(path, mode="r") as store:
        result = store.query(vector, k=k, ef=ef)
    if as_json:
        stats = dataclasses.asdict(result.stats)
        click.echo(json.dumps({"hits": result.to_dicts(), "exact": result.exact, "stats": stats}))
        return
    for hit in result:
        click.echo(f"{hit.score:10.4f}  {hit.id}  {json.dumps(hit.metadata, ensure_ascii=False)}")


def _read_vector(file: Path) -> Any:
    import numpy as np

    try:
        if str(file) == "-":
            return json.loads(sys.stdin.read())
        if file.suffix == ".npy":
            vector = np.load(file, allow_pickle=False)
            return vector[0] if vector.ndim == 2 and len(vector) == 1 else vector
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise click.UsageError(f"{file}: no such file") from None
    except (ValueError, OSError) as exc:
        raise InvalidInput("query(--vector)", "a .npy file or a JSON list", exc) from exc


@app.command()
def warmup() -> None:
    """Compile every kernel into the cache, so that no later call has to wait."""
    import time

    from vecstore.index.warmup import warmup_steps
    from vecstore.kernels.jit import cache_directory, watch_compiling

    began, compiled = time.perf_counter(), 0

    def _tell(kernel: str, seconds: float) -> None:
        nonlocal compiled
        compiled += 1
        click.echo(f"{metric:12} {step:7} {kernel:18} {seconds:6.2f} s")

    with watch_compiling(_tell):
        for metric, step, run in warmup_steps():
            before = compiled
            run()
            if compiled == before:
                click.echo(f"{metric:12} {step:7} already in the cache")
    seconds = time.perf_counter() - began
    click.echo(f"{compiled} kernels compiled in {seconds:.1f} s; they are in {cache_directory()}")


@app.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def env(as_json: bool) -> None:
    """Show versions, CPU, threads and the kernel cache: what a bug report should contain."""
    import platform
    from importlib.metadata import version

    from vecstore.kernels.environment import describe

    packages = ("numpy", "scipy", "msgpack", "click", "rich")
    facts = {
        "vecstore": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        **{package: version(package) for package in packages},
        **describe(),
    }
    if as_json:
        click.echo(json.dumps(facts))
        return
    for name, value in facts.items():
        shown = f"{len(value)} features" if isinstance(value, list) else value
        click.echo(f"{name:18} {shown}")


def main(arguments: Sequence[str] | None = None) -> None:
    """
    Run the program and exit.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process by default.
    """
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """
    Run a command; every error becomes one line on stderr.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process by default.

    Returns
    -------
    int
        The exit status.
    """
    try:
        status = app.main(arguments, prog_name="vecstore", standalone_mode=False)
    except click.ClickException as exc:
        return _fail(exc.format_message(), 2)
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted", 130)
    except (InvalidInput, NotAvailable, MissingExtra) as exc:
        return _fail(str(exc), 2)
    except VecStoreError as exc:
        return _fail(str(exc), 1)
    except BrokenPipeError:
        # whoever read our output has stopped; keep Python from complaining at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as exc:
        return _fail(str(exc), 1)
    except Exception as exc:
        if os.environ.get("VECSTORE_TRACEBACK"):
            raise
        return _fail(f"internal error: {exc!r}; set VECSTORE_TRACEBACK=1 to see where", 1)
    return status if isinstance(status, int) else 0


def _fail(message: str, status: int) -> int:
    click.echo(f"vecstore: {' '.join(message.split())}", err=True)
    return status
