"""`vecstore demo`: a reverse dictionary, filled, asked and measured."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from vecstore.errors import InvalidInput, MissingExtra

NO_WORDS = (
    "your own words need an embedding model, which VecStore does not bring; "
    "install one with:  {install}"
)


@click.command()
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
