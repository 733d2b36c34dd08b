"""
A document of kind ``store`` as tables and a histogram for a terminal.

What the fields mean is told by `bench.store`.
"""

from collections.abc import Iterator
from typing import Any

from vecstore.bench.cells import NONE, in_cell, new_table
from vecstore.bench.stores.histogram import SPREAD, histogram_lines

_MIB = 2**20
_SHARES = SPREAD[1:]


def store_tables(document: dict[str, Any]) -> Iterator[Any]:
    """
    Show a document.

    Parameters
    ----------
    document : dict
        Of kind ``store``.

    Yields
    ------
    str or rich.table.Table
        What a table shows, and the table, in turn.
    """
    yield f"databases on {document['disk']['file_system'] or 'an unknown file system'}"
    parts = {
        "singles": _singles,
        "bulk": _bulk,
        "growing": _growing,
        "opening": _opening,
        "waiting": _waiting,
    }
    for part, show in parts.items():
        if document[part]:
            yield from show(document)
    if document["singles"] or document["bulk"]:
        yield from _versions(document)


def _rows_of(data: dict[str, Any]) -> str:
    return f"{data['name']}: {data['n']:,} x {data['dim']}, {data['metric']}"


def _name(one: dict[str, Any]) -> str:
    return f"{one['database']} ({one['label']})"


def _singles(document: dict[str, Any]) -> Iterator[Any]:
    settings = document["settings"]
    yield (
        f"{settings['upserts']:,} single upserts of {document['data']['dim']} components into an "
        f"empty database; best of {settings['rounds']} rounds; x: VecStore at full over it"
    )
    table = new_table("database", "outlives", "a second", "x", "p50 µs", "p99 µs", "disk bytes")
    table.columns[1].justify = "left"
    for one in document["singles"]:
        figures = (
            in_cell(one["upserts_per_s"]),
            in_cell(one["ratio"], ".2f"),
            in_cell(one["p50_us"]),
            in_cell(one["p99_us"]),
            in_cell(one["taken_bytes"]),
        )
        table.add_row(_name(one), one["survives"], *figures)
    yield table
    yield from _failures(document["singles"])


def _bulk(document: dict[str, Any]) -> Iterator[Any]:
    yield (
        f"{_rows_of(document['data'])}, with metadata, loaded, in the graph, closed and synced; "
        f"best of {document['settings']['loads']} rounds; x: VecStore over it"
    )
    steps = ("load_s", "build_s", "close_s", "sync_s")
    table = new_table("database", "graph", "s", "x", *(s[:-2] for s in steps), "MiB", "found")
    table.columns[1].justify = "left"
    for one in document["bulk"]:
        table.add_row(
            _name(one),
            one["graph"] or NONE,
            in_cell(one["seconds"], ".1f"),
            in_cell(one["ratio"], ".2f"),
            *(in_cell(one[step], ".1f") for step in steps),
            in_cell(one["disk_bytes"] and one["disk_bytes"] / _MIB),
            in_cell(one["found"] and 100 * one["found"], ".0f", " %"),
        )
    yield table
    yield from _failures(document["bulk"])


def _failures(rows: list[dict[str, Any]]) -> Iterator[str]:
    for one in rows:
        if one["failed"]:
            yield f"{_name(one)} failed: {one['failed']}"


def _growing(document: dict[str, Any]) -> Iterator[Any]:
    grown, settings = document["growing"], document["settings"]
    yield (
        f"{_rows_of(document['large'])}: growing from nothing, {settings['call']:,} rows a call "
        f"and {settings['single']} single upserts between two"
    )
    seconds = (f"{grown[f'{step}_s']:.1f} s {step}" for step in ("calls", "optimize", "close"))
    yield f"  {', '.join(seconds)}; {grown['checkpoints']} checkpoints"
    yield (
        f"  {grown['ingested_bytes'] / _MIB:,.0f} MiB ingested, "
        f"{grown['disk_bytes'] / _MIB:,.0f} MiB on disk; for each byte ingested "
        f"{in_cell(grown['passed_per_byte'], '.2f')} written and "
        f"{in_cell(grown['taken_per_byte'], '.2f')} taken by the disk"
    )
    shares = (f"{share[:-3]} {in_cell(grown['single'][share])}" for share in _SHARES)
    yield f"  single upserts in between, µs: {', '.join(shares)}"


def _opening(document: dict[str, Any]) -> Iterator[Any]:
    rounds = document["settings"]["rounds"]
    yield f"opening in a fresh process, imports done; best of {rounds} rounds"
    table = new_table("rows", "ms", "resident MiB", "of the data", "private MiB", "first query ms")
    for one in document["opening"]:
        table.add_row(
            f"{one['n']:,}",
            f"{one['open_ms']:.1f}",
            in_cell(one["resident_bytes"] and one["resident_bytes"] / _MIB, ",.1f"),
            in_cell(one["share"] and 100 * one["share"], ".1f", " %"),
            in_cell(one["private_bytes"] and one["private_bytes"] / _MIB, ",.1f"),
            f"{one['first_query_ms']:.0f}",
        )
    yield table


def _waiting(document: dict[str, Any]) -> Iterator[Any]:
    waiting = document["waiting"]
    yield (
        f"single upserts into {document['large']['n']:,} rows, by what the store did meanwhile; "
        f"{len(waiting['checkpoint_s'])} checkpoints"
    )
    table = new_table("meanwhile", "upserts", *(f"{share[:-3]} µs" for share in _SHARES))
    for group in waiting["groups"]:
        shares = (in_cell(group[share]) for share in _SHARES)
        table.add_row(group["name"], f"{group['count']:,}", *shares)
    yield table
    parts = {one["name"]: one["counts"] for one in waiting["groups"] if one["name"] != "all"}
    yield "\n".join(histogram_lines(parts))


def _versions(document: dict[str, Any]) -> Iterator[Any]:
    yield "-: not told, or not there"
    table = new_table("database", "version", "told")
    for column in table.columns[1:]:
        column.justify = "left"
    seen = {(one["database"], one["version"], one["told"]): one for one in document["singles"]}
    seen |= {(one["database"], one["version"], one["told"]): one for one in document["bulk"]}
    for name, version, told in seen:
        table.add_row(name, version or NONE, told or NONE)
    yield table
