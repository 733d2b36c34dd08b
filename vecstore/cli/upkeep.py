"""
`vecstore verify`, `dump-log`, `repair`, `backup` and `restore`: a store as files.

Not here: the work itself (`engine.checkup`, `engine.dump`, `engine.salvage`, `engine.backup`).
"""

import dataclasses
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from vecstore.model import VerifyReport

_PATH = click.Path(path_type=Path)
_SHOWN = 3
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_snapshot_option = click.option("--snapshot", metavar="NAME", help="This snapshot of the store.")


@click.command()
@click.argument("path", type=_PATH)
@click.option("--full", is_flag=True, help="Check the graphs of snapshots too, not only bytes.")
@_json_option
def verify(path: Path, full: bool, as_json: bool) -> int:
    """
    Look for damage in the store at PATH and in its snapshots.

    Every checksum, cross-reference, count and graph invariant; all damage is listed, and the exit
    status is then 1. Somebody may be writing to the store meanwhile.
    """
    from vecstore.engine.checkup import check_store
    from vecstore.storage.files import Files

    found = check_store(Files(), path, full=full)
    status = 0 if found.ok else 1
    if as_json:
        snapshots = {name: _plain(report) for name, report in found.snapshots.items()}
        more = {"path": str(path), "ok": found.ok, "torn_bytes": found.torn_bytes}
        click.echo(json.dumps({**_plain(found.store), **more, "snapshots": snapshots}))
        return status
    for name, report in {"": found.store, **found.snapshots}.items():
        whose = f"snapshot {name}" if name else str(path)
        click.echo(f"{whose}: {'whole' if report.ok else 'damaged'}")
        _list("damage", report.problems)
        _list("note", report.findings)
    if found.torn_bytes:
        click.echo(f"{found.torn_bytes:,} bytes of a write that was cut short, which is no damage")
    return status


def _plain(report: "VerifyReport") -> dict[str, Any]:
    return {"ok": report.ok, **dataclasses.asdict(report)}


def _list(what: str, lines: Iterable[object]) -> None:
    for line in lines:
        click.echo(f"  {what:6} {line}")


@click.command("dump-log")
@click.argument("path", type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON a frame.")
def dump_log(path: Path, as_json: bool) -> None:
    """
    Print the frames of the logs of the store at PATH, or of one log file.

    Damaged logs too: what is not a frame, or one that cannot be trusted, is printed as such.
    """
    from vecstore.engine.dump import dump
    from vecstore.storage.files import Files

    for fact in dump(Files(), path):
        click.echo(json.dumps(fact) if as_json else _line(fact))


def _line(fact: dict[str, Any]) -> str:
    """Write one line of the dump."""
    if fact["what"] == "log":
        return _heading(fact)
    place = f"  {fact['offset']:>12,}  {fact['size']:>11,}  "
    if fact["what"] != "frame":
        words = {"room": "zeros: prepared room", "torn": "torn: no frame, and nobody relies on it"}
        zeros = "zeros where frames were" if fact["zeros"] else "no frame"
        return place + words.get(fact["what"], f"DAMAGED: {zeros}")
    flags = "commit" if fact["commit"] else ""
    told = f"seqno {fact['seqno']:<6} part {fact['part']:<3} {fact['kind']:15} {flags:6}  "
    checks = (f"{name} {'ok' if fact[f'{name}_ok'] else 'WRONG'}" for name in ("salt", "crc"))
    told += f"synced {fact['synced']:<8}  {'  '.join(checks)}"
    if fact["state"] != "sound":
        told += f"  {fact['state'].upper()}"
    operations = fact.get("operations", ())
    more = f"; and {len(operations) - _SHOWN:,} more" if len(operations) > _SHOWN else ""
    return (f"{place}{told}  " + "; ".join(operations[:_SHOWN]) + more).rstrip()


def _heading(fact: dict[str, Any]) -> str:
    parts = [f"{fact['log']}:"]
    if fact.get("header"):
        header = fact["header"]
        parts.append(f"log {header['number']} after call {header['seqno']},")
        parts.append(f"salt {header['salt']:08x}, log before {header['before']:,} bytes;")
    if "size" in fact:
        parts.append(f"{fact['size']:,} bytes, durable up to byte {fact['durable']:,}")
    if fact["problem"]:
        parts.append(f"DAMAGED: {fact['problem']}")
    return " ".join(parts)


@click.command()
@click.argument("path", type=_PATH)
@click.option("--salvage", "out", type=_PATH, required=True, help="Where the new store is to be.")
@_snapshot_option
@_json_option
def repair(path: Path, out: Path, snapshot: str | None, as_json: bool) -> int:
    """
    Save what can be trusted of the damaged store at PATH into a new one.

    The damaged store stays as it is. What is lost is listed, and the exit status is then 1.
    """
    from vecstore.engine.salvage import salvage

    report = salvage(path, out, snapshot=snapshot)
    if as_json:
        facts = dataclasses.asdict(report)
        click.echo(json.dumps({"path": str(path), "out": str(out), "ok": report.ok, **facts}))
        return 0 if report.ok else 1
    click.echo(
        f"{out}: {report.records:,} records and {report.soft_deleted:,} soft-deleted ones saved, "
        f"{'nothing' if report.ok else 'something'} was lost"
    )
    _list("lost", report.losses)
    _list("note", report.notes)
    return 0 if report.ok else 1


@click.command()
@click.argument("path", type=_PATH)
@click.argument("out", type=_PATH, metavar="OUT.tar")
@_snapshot_option
def backup(path: Path, out: Path, snapshot: str | None) -> None:
    """
    Write the store at PATH into one tar file; - is standard output.

    Somebody may be writing to the store meanwhile. Every byte is compared with its checksum.
    """
    from vecstore.engine.backup import backup as write

    if str(out) != "-":
        report = write(path, out, snapshot=snapshot)
    elif sys.stdout.isatty():
        raise click.UsageError("an archive is not for a terminal; redirect it, or name a file")
    else:
        report = write(path, sys.stdout.buffer, snapshot=snapshot)
        sys.stdout.buffer.flush()
    click.echo(f"{path}: {report.seqno:,} write calls, {report.size_bytes:,} bytes", err=True)


@click.command()
@click.argument("archive", type=_PATH, metavar="IN.tar")
@click.argument("path", type=_PATH)
def restore(archive: Path, path: Path) -> None:
    """
    Make the store PATH from a tar file that `backup` wrote; - is standard input.

    PATH must not exist, or be an empty directory. It appears once the store is checked and durable.
    """
    from vecstore.engine.backup import restore_backup

    restore_backup(sys.stdin.buffer if str(archive) == "-" else archive, path)
    click.echo(f"{path}: restored", err=True)
