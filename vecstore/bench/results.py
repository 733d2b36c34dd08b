"""
The document of a measurement: plain data, written as ``<out>/<data>/<time>.json``.

Ratios are VecStore's figure over the library's: speed above 1 is faster, bytes below 1 are fewer.
What a library does not tell, or no two points enclose, is null. Every document begins with:

    format                        int    1; another number where a field changes its meaning
    kind                          str    "run", "growth", "threads", "overhead" or "store"
    time                          str    start, UTC, ISO 8601
    command[]                     str    arguments of the program
    vecstore                      str    version
    data.name                     str    with everything that was left out
    data.metric                   str
    data.n  data.dim              int
    data.queries                  int
    data.checksum                 str    SHA-256 of shapes, rows and queries
    data.notes[]                  str
    environment.*                 any    machine, interpreter, compilers, pinned cores

A run has besides (for the others see `growth`, `threads`, `overhead`, `store`):

    truth_agreement               float  share of our exact neighbours that the source names too
    settings.ours                 str    which of our indexes
    settings.peers[]              str
    settings.k  settings.threads  int
    settings.m                    int
    settings.ef_construction      int
    settings.seed                 int
    settings.rounds               int
    settings.targets[]            float  recalls of the summary
    libraries[].name              str
    libraries[].version           str
    libraries[].flags             str    how it was built, where it tells
    libraries[].call              str    the call that is timed
    libraries[].parameters.*      any    what it was told, in its own words
    libraries[].fingerprint       str    ours only
    libraries[].knob              str    what `setting` is
    libraries[].build_s           float
    libraries[].build_ratio       float
    libraries[].owned_bytes       int    vectors included
    libraries[].owned_ratio       float
    libraries[].rss_before_bytes  int    resident memory of the process around the build
    libraries[].rss_after_bytes   int
    libraries[].rss_peak_bytes    int
    libraries[].rss_ratio         float  of the peak's growth
    rows[].library                str
    rows[].setting                float
    rows[].recall_ids             float
    rows[].recall_distance        float
    rows[].seconds[]              float  each round's call for all queries
    rows[].qps_best               float
    rows[].qps_median             float
    rows[].p50_us  rows[].p95_us  float  calls with one query, each the shortest of some rounds
    rows[].p99_us                 float
    rows[].n_dist  rows[].n_hops  float  a query
    summary[].library             str
    summary[].by                  str    "ids" or "distance": which recall
    summary[].target              float
    summary[].qps_best            float  interpolated
    summary[].qps_median          float
    summary[].n_dist              float
    summary[].qps_best_ratio      float
    summary[].qps_median_ratio    float
    summary[].n_dist_ratio        float
"""

import json
import os
import re
import statistics
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from vecstore import __version__
from vecstore.bench.curves import Point, value_at
from vecstore.bench.datasets import Dataset
from vecstore.bench.machine import environment
from vecstore.bench.sweep import Built, Row

FORMAT = 1


def header(
    kind: str, began: datetime, command: list[str], data: Dataset, pinned: list[int] | None
) -> dict[str, Any]:
    """
    Begin a document.

    Parameters
    ----------
    kind : str
        What was measured.
    began : datetime
        When, from `now`.
    command : list of str
        Arguments of the program.
    data : Dataset
        What was measured with.
    pinned : list of int or None
        Cores that the process was pinned to.

    Returns
    -------
    dict
        The fields that every document has.
    """
    return {
        "format": FORMAT,
        "kind": kind,
        "time": began.isoformat(timespec="seconds"),
        "command": command,
        "vecstore": __version__,
        "data": data_facts(data),
        "environment": environment(pinned),
    }


def data_facts(data: Dataset) -> dict[str, Any]:
    """
    Describe a data set.

    Parameters
    ----------
    data : Dataset
        What was measured with.

    Returns
    -------
    dict
        The fields ``data.*``.
    """
    return {
        "name": data.name,
        "metric": data.metric,
        "n": len(data.base),
        "dim": data.base.shape[1],
        "queries": len(data.queries),
        "checksum": data.checksum,
        "notes": list(data.notes),
    }


def library_facts(built: Sequence[Built]) -> list[dict[str, Any]]:
    """
    Describe the libraries, their builds and their memory.

    Parameters
    ----------
    built : sequence of Built
        Ours first.

    Returns
    -------
    list of dict
        The fields ``libraries[].*``.
    """
    return [
        {
            "name": one.library.name,
            **one.library.facts()._asdict(),
            "knob": one.library.knob.name,
            "build_s": one.build_s,
            "build_ratio": built[0].build_s / one.build_s,
            "owned_bytes": one.library.owned_bytes(),
            "owned_ratio": _ratio(built[0].library.owned_bytes(), one.library.owned_bytes()),
            "rss_before_bytes": one.memory.before,
            "rss_after_bytes": one.memory.after,
            "rss_peak_bytes": one.memory.peak,
            "rss_ratio": _ratio(_growth(built[0]), _growth(one)),
        }
        for one in built
    ]


def _growth(built: Built) -> int | None:
    before, _, peak = built.memory
    return None if before is None or peak is None else peak - before


def _ratio(ours: float | None, theirs: float | None) -> float | None:
    return ours / theirs if ours is not None and theirs else None


def row_facts(rows: Iterable[Row], n_queries: int) -> list[dict[str, Any]]:
    """
    Turn measured rows into plain data.

    Parameters
    ----------
    rows : iterable of Row
        Of all libraries.
    n_queries : int
        Queries in a call.

    Returns
    -------
    list of dict
        The fields ``rows[].*``.
    """
    return [_row_facts(row, n_queries) for row in rows]


def _row_facts(row: Row, n_queries: int) -> dict[str, Any]:
    p50, p95, p99 = row.latency_us
    hops = row.work.n_hops if row.work else None
    return {
        "library": row.library,
        "setting": row.setting,
        "recall_ids": row.recall.by_ids,
        "recall_distance": row.recall.by_distance,
        "seconds": row.seconds,
        "qps_best": n_queries / min(row.seconds),
        "qps_median": n_queries / statistics.median(row.seconds),
        "p50_us": p50,
        "p95_us": p95,
        "p99_us": p99,
        "n_dist": row.work.n_dist / n_queries if row.work else None,
        "n_hops": hops / n_queries if hops is not None else None,
    }


def summarize(rows: Sequence[dict[str, Any]], targets: Sequence[float]) -> list[dict[str, Any]]:
    """
    Read every library's curves at the recalls of interest.

    Parameters
    ----------
    rows : sequence of dict
        From `row_facts`, ours first.
    targets : sequence of float
        Recalls.

    Returns
    -------
    list of dict
        The fields ``summary[].*``.
    """
    summary = []
    for by in ("ids", "distance"):
        for target in targets:
            ours: dict[str, Any] | None = None
            for name in dict.fromkeys(row["library"] for row in rows):
                own = [row for row in rows if row["library"] == name]
                figures = _figures_at(own, f"recall_{by}", target)
                ours = ours or figures
                ratios = {f"{key}_ratio": _ratio(ours[key], figures[key]) for key in figures}
                summary.append({"library": name, "by": by, "target": target, **figures, **ratios})
    return summary


def _figures_at(rows: Sequence[dict[str, Any]], recall: str, target: float) -> dict[str, Any]:
    figures: dict[str, Any] = {
        key: value_at([Point(row[recall], row[key]) for row in rows], target)
        for key in ("qps_best", "qps_median")
    }
    # fewer is better, so the curve is one of queries for each distance
    counted = [Point(row[recall], 1 / row["n_dist"]) for row in rows if row["n_dist"]]
    inverse = value_at(counted, target)
    return {**figures, "n_dist": None if inverse is None else 1 / inverse}


def now() -> datetime:
    """
    Tell the time.

    Returns
    -------
    datetime
        Now, in UTC.
    """
    return datetime.now(UTC)


def write(document: dict[str, Any], out: Path) -> Path:
    """
    Write a document below a folder, named by its data and its time.

    Parameters
    ----------
    document : dict
        With `kind`, `time` and ``data.name``.
    out : Path
        The folder; made if missing.

    Returns
    -------
    Path
        The file; of a name that no file had.
    """
    folder = out / re.sub(r"[^\w.=,-]+", "_", document["data"]["name"])[:100]
    folder.mkdir(parents=True, exist_ok=True)
    moment = datetime.fromisoformat(document["time"]).strftime("%Y%m%dT%H%M%SZ")
    kind = "" if document["kind"] == "run" else f"{document['kind']}-"
    path = _unused(folder, f"{kind}{moment}")
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    draft.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    draft.replace(path)
    return path


def _unused(folder: Path, stem: str) -> Path:
    """Take a name by making the file, so that no run of the same second takes it too."""
    for number in count(1):
        path = folder / (f"{stem}.json" if number == 1 else f"{stem}-{number}.json")
        with suppress(FileExistsError):
            path.touch(exist_ok=False)
            break
    return path
