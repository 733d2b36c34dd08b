"""`vecstore info` and `vecstore query`: asking a store, without changing it."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import click

from vecstore.errors import InvalidInput


@click.command()
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


@click.command()
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
