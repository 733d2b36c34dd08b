"""
What durability costs: a store beside other databases on the same disk, in parts.

`singles` and `bulk` measure several databases in interleaved rounds, `growing`, `opening` and
`waiting` VecStore alone; each turn is a process of its own. The first two take the rows of `data`,
the others those of `large`. Ratios are VecStore's figure at ``durability="full"`` over the
database's: upserts per second above 1 are more, seconds below 1 are fewer.

The document, besides what every document has (`results`); a part that was not asked for is empty:

    large.name                     str    the data of the last three parts, as `data`
    large.metric                   str
    large.n  large.dim             int
    large.queries                  int
    large.checksum                 str
    large.notes[]                  str
    settings.parts[]               str
    settings.peers[]               str
    settings.rounds                int    of single upserts and openings
    settings.loads                 int    rounds of bulk loads
    settings.upserts               int    timed in a turn
    settings.most_s                float  after which a turn of single upserts ends
    settings.call                  int    rows in a call while growing
    settings.single                int    upserts between two such calls
    settings.waits                 int    upserts into the large store
    settings.checkpoints           int    meanwhile
    settings.threads               int    cores that a database has
    settings.m                     int
    settings.ef_construction       int
    settings.seed                  int
    disk.file_system               str
    singles[].database             str
    singles[].label                str    how it was run
    singles[].survives             str    the worst that an acknowledged write outlives
    singles[].version              str
    singles[].told                 str
    singles[].upserts_per_s        float  best round
    singles[].rounds[]             float  the same, each round
    singles[].ratio                float
    singles[].count                int    timed in the best round
    singles[].p50_us               float  of the best round, as all that follow
    singles[].p90_us               float
    singles[].p99_us               float
    singles[].p99_9_us             float
    singles[].max_us               float
    singles[].passed_bytes         float  an upsert, given to calls that write
    singles[].taken_bytes          float  an upsert, by the disk, from whoever writes to it
    singles[].failed               str    why there are no figures
    bulk[].database                str
    bulk[].label                   str
    bulk[].graph                   str    null where searches scan
    bulk[].version                 str
    bulk[].told                    str
    bulk[].seconds                 float  best round: all of it
    bulk[].rounds[]                float  the same, each round
    bulk[].ratio                   float
    bulk[].load_s                  float  of the best round, as all that follow
    bulk[].build_s                 float  bringing the graph up to date
    bulk[].close_s                 float
    bulk[].sync_s                  float  syncing what the database had left unsynced
    bulk[].count                   int    records afterwards
    bulk[].found                   float  share of rows that found themselves
    bulk[].disk_bytes              int
    bulk[].failed                  str
    growing.n                      int    rows in the end
    growing.calls                  int
    growing.calls_s                float
    growing.optimize_s             float
    growing.close_s                float
    growing.ingested_bytes         int    components, ids, and metadata as JSON
    growing.passed_bytes           int    given to calls that write
    growing.taken_bytes            int    by the disk, from whoever writes to it
    growing.passed_per_byte        float  over what was ingested
    growing.taken_per_byte         float
    growing.checkpoints            int
    growing.disk_bytes             int
    growing.single.count           int    upserts between the calls
    growing.single.p50_us          float
    growing.single.p90_us          float
    growing.single.p99_us          float
    growing.single.p99_9_us        float
    growing.single.max_us          float
    opening[].n                    int    rows of the store
    opening[].open_ms              float  best round, imports done
    opening[].rounds[]             float  the same, each round
    opening[].first_query_ms       float  best round; loads the kernels
    opening[].data_bytes           int    as `growing.ingested_bytes`
    opening[].resident_bytes       int    growth by opening, most of the rounds
    opening[].private_bytes        int    that part of it which belongs to no file
    opening[].share                float  resident bytes over those of the data
    waiting.edges_us[]             int    upper ends of the buckets
    waiting.checkpoint_s[]         float  each checkpoint
    waiting.groups[].name          str    "all", "quiet", "absorb", "checkpoint"
    waiting.groups[].count         int
    waiting.groups[].p50_us        float
    waiting.groups[].p90_us        float
    waiting.groups[].p99_us        float
    waiting.groups[].p99_9_us      float
    waiting.groups[].max_us        float
    waiting.groups[].counts[]      int    by bucket; the last one is beyond all edges
"""

import math
import tempfile
from pathlib import Path
from typing import Any

from vecstore.bench import results
from vecstore.bench.datasets import Dataset, load_dataset
from vecstore.bench.stores import bulk, growing, opening, singles, waiting
from vecstore.bench.stores.plan import PARTS, Bench, StoreRun
from vecstore.bench.stores.registry import check_peers
from vecstore.bench.sweep import Tell
from vecstore.config import whole_number
from vecstore.errors import InvalidInput
from vecstore.storage.files import Files

_LARGE_PARTS = {"growing", "opening", "waiting"}
_GROWN = "grown"
_LEAST = {
    "rounds": 1,
    "loads": 1,
    "upserts": 1,
    "call": 1,
    "single": 0,
    "waits": 1,
    "checkpoints": 0,
    "threads": 1,
}
"""Smallest values of the whole numbers of a `StoreRun`."""


def measure_store(
    plan: StoreRun, pinned: list[int] | None, command: list[str], tell: Tell = lambda line: None
) -> dict[str, Any]:
    """
    Measure the parts that were asked for, one after the other.

    Parameters
    ----------
    plan : StoreRun
        What.
    pinned : list of int or None
        Cores that the process was pinned to, for the record.
    command : list of str
        Arguments of the program, for the record.
    tell : callable
        Takes lines about how far it is.

    Returns
    -------
    dict
        The document described above.

    Raises
    ------
    InvalidInput
        For a value out of bounds, an unknown peer or part, or too few rows.
    MissingExtra
        If a peer is not installed; nothing was measured.
    VecStoreError
        If a turn of ours failed; those of peers are told in the document.
    """
    _check(plan)
    began = results.now()
    data = load_dataset(plan.wanted)
    large = load_dataset(plan.large) if _LARGE_PARTS & set(plan.parts) else None
    for name, rows in (("--data", data), ("--large", large)):
        if rows is not None and len(rows.base) <= singles.UNTIMED:
            raise InvalidInput(name, f"more than {singles.UNTIMED} rows", len(rows.base))
    with tempfile.TemporaryDirectory(dir=plan.directory or Path(), prefix="bench-") as folder:
        bench = Bench(plan, Path(folder).absolute(), tell)
        measured = {**_compare(bench, data), **_measure_large(bench, large)}
        file_system = Files().file_system(bench.folder)
    return {
        **results.header("store", began, command, data, pinned),
        "large": results.data_facts(large) if large is not None else {},
        "settings": _settings(plan),
        "disk": {"file_system": file_system},
        **measured,
    }


def _check(plan: StoreRun) -> None:
    """Refuse what can be refused before data are loaded."""
    check_peers(plan.peers)
    for part in plan.parts:
        if part not in PARTS:
            raise InvalidInput("--parts", f"some of {', '.join(PARTS)}", part)
    for name, least in _LEAST.items():
        whole_number(f"--{name.replace('_', '-')}", getattr(plan, name), least, 10_000_000)
    if not 0 < plan.most_s < math.inf:
        raise InvalidInput("--most-s", "seconds above 0", plan.most_s)
    if plan.directory is not None and not plan.directory.is_dir():
        raise InvalidInput("--directory", "a directory that exists", plan.directory)


def _settings(plan: StoreRun) -> dict[str, Any]:
    names = (*_LEAST, "most_s", "m", "ef_construction", "seed")
    own = {name: getattr(plan, name) for name in names}
    return {"parts": list(plan.parts), "peers": list(plan.peers), **own}


def _compare(bench: Bench, data: Dataset) -> dict[str, Any]:
    rows = bench.keep("rows", data)
    asked = bench.plan.parts
    return {
        "singles": singles.measure(bench, rows) if "singles" in asked else [],
        "bulk": bulk.measure(bench, rows) if "bulk" in asked else [],
    }


def _measure_large(bench: Bench, large: Dataset | None) -> dict[str, Any]:
    if large is None:
        return {"growing": {}, "opening": [], "waiting": {}}
    rows = bench.keep("large", large)
    asked = bench.plan.parts
    # the others need what it leaves; waiting comes last, since it adds to it
    grown = growing.measure(bench, rows, _GROWN)
    ingested = grown["ingested_bytes"]
    return {
        "growing": grown if "growing" in asked else {},
        "opening": opening.measure(bench, rows, _GROWN, ingested) if "opening" in asked else [],
        "waiting": waiting.measure(bench, rows, _GROWN) if "waiting" in asked else {},
    }
