"""
Between a table in memory and a generation on disk: which section holds what.

    hnsw_index   levels, links, upper_start, upper
    metadata     live, norms, offsets, blob, created_at, expires_at, deleted_at
    ids          offsets, blob, hashes, slots

Not here: how sections become bytes (`storage`). Shapes are checked when a generation is opened,
since kernels trust them; values are checked where they are used.
"""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from vecstore.config import MAX_DIM, StoreConfig, metric_name, whole_number
from vecstore.engine.chunks import UNSET, chunk_sections, mapped_chunks, times
from vecstore.engine.names import Names
from vecstore.engine.table import Table
from vecstore.engine.view import NEVER, ReadView
from vecstore.errors import CorruptData, InvalidInput
from vecstore.index.absorb import due_batches
from vecstore.index.fingerprint import fingerprint_of
from vecstore.index.graph_data import graph_from, graph_meta, graph_sections
from vecstore.index.vectors import MAX_SLOTS
from vecstore.kernels import bitset
from vecstore.storage.checkpoint import Content, RowsContent, open_generation
from vecstore.storage.files import Files
from vecstore.storage.frames import LogHeader
from vecstore.storage.layout import UNREADABLE
from vecstore.storage.manifest import Manifest
from vecstore.storage.rows import HEADER_BYTES, MappedRows

Sections = dict[str, NDArray[Any]]


def manifest_of(
    view: ReadView, config: StoreConfig, metric: str, generation: int, log: LogHeader
) -> Manifest:
    """
    Describe a state of a table as a generation.

    Parameters
    ----------
    view : ReadView
        The state.
    config : StoreConfig
        The handle's.
    metric : str
        Canonical name.
    generation : int
        Its number.
    log : LogHeader
        Of the log with the calls after it.

    Returns
    -------
    Manifest
        Complete but for its files.
    """
    snapshot, hnsw = view.snapshot, config.hnsw
    # while batches are due, how many are in the graph is a matter of time, and so is its hash
    settled = snapshot is not None and not due_batches(
        snapshot.graph.n_indexed, view.n, config.flat_threshold, hnsw.as_printed
    )
    return Manifest(
        generation=generation,
        seqno=view.seqno,
        dim=view.dim or None,
        metric=metric,
        config=config.to_dict(),
        n=view.n,
        n_live=view.n_live,
        n_soft=view.n_soft,
        next_expiry=None if view.next_expiry == NEVER else view.next_expiry,
        graph=graph_meta(snapshot.graph) if snapshot is not None else {},
        fingerprint=fingerprint_of(snapshot, view.dim, metric) if snapshot and settled else "",
        first_log=log.number,
        first_salt=log.salt,
        files={},
    )


def content_of(view: ReadView, rows: RowsContent) -> Content:
    """
    Collect what a checkpoint writes.

    Parameters
    ----------
    view : ReadView
        With slots; calls that come meanwhile do not change it.
    rows : RowsContent
        Its rows.

    Returns
    -------
    Content
        All files of a generation.
    """
    assert view.snapshot is not None
    n = view.n
    live = view.live[: -(-n // 64)]
    leads = bitset.unpack_mask(live, n) | (times(view.chunks, "deleted_at", n) != UNSET)
    facts = {"live": live, "norms": view.norms[:n], **chunk_sections(view.chunks, n)}
    ids = view.names.sections(leads)
    return Content(
        rows,
        {
            "hnsw_index": graph_sections(view.snapshot.graph),
            "metadata": facts,
            "ids": ids,
        },
    )


def open_table(files: Files, root: Path, manifest: Manifest, config: StoreConfig) -> Table:
    """
    Map a generation as a table.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        The store.
    manifest : Manifest
        The current one.
    config : StoreConfig
        The handle's, agreeing with the manifest.

    Returns
    -------
    Table
        Whose arrays are mapped, not read.

    Raises
    ------
    CorruptData
        If a file is missing or does not fit the manifest.
    """
    path = root / manifest.name
    try:
        metric = metric_name(manifest.metric)
        if manifest.dim is not None:
            whole_number("dim", manifest.dim, 1, MAX_DIM)
        whole_number("n", manifest.n, 0, MAX_SLOTS)
        table = Table(root, metric, manifest.dim, config)
    except InvalidInput as exc:
        raise CorruptData(path, 0, f"impossible settings: {exc}") from exc
    table.seqno = manifest.seqno
    opened = open_generation(files, root, manifest)
    if table.index is None or manifest.n == 0:
        if manifest.files or manifest.n:
            raise CorruptData(path, 0, "the files do not fit the number of slots")
        return table
    try:
        adopt_generation(table, files, root, manifest, opened)
        table.index.graph = table.mapped_graph = graph_from(
            manifest.graph, opened["hnsw_index"], config.hnsw.m, manifest.n
        )
    except UNREADABLE as exc:
        raise CorruptData(path, 0, f"the files do not fit the manifest: {exc}") from exc
    table.n_live, table.n_soft = manifest.n_live, manifest.n_soft
    table.next_expiry = NEVER if manifest.next_expiry is None else int(manifest.next_expiry)
    return table


def adopt_generation(
    table: Table, files: Files, root: Path, manifest: Manifest, opened: dict[str, Sections]
) -> None:
    """
    Let an empty table look into the files of a generation; the graph comes after.

    Parameters
    ----------
    table : Table
        With an index.
    files : Files
        The file system.
    root : Path
        The store.
    manifest : Manifest
        The generation.
    opened : dict
        Its sections, from `open_generation`.

    Raises
    ------
    InvalidInput, KeyError
        If a section is missing or has an impossible shape.
    """
    assert table.index is not None
    n, facts, ids = manifest.n, opened["metadata"], opened["ids"]
    check_sections_of(manifest, opened)
    if (counted := bitset.count(facts["live"])) != manifest.n_live:
        raise InvalidInput("live", f"{manifest.n_live} live slots", counted)
    rows = manifest.files["vectors"]
    stride = table.index.storage.array.shape[1]
    if rows.length != HEADER_BYTES + n * stride * 4:
        raise InvalidInput(rows.name, f"{n} rows of {stride} float32", f"{rows.length} bytes")
    table.index.storage = MappedRows(files, root / rows.name, stride, n)
    table.live, table.norms = facts["live"], facts["norms"]
    table.chunks = mapped_chunks(root / manifest.files["metadata"].name, facts, n)
    table.names = Names(root / manifest.files["ids"].name, ids)


def check_sections_of(manifest: Manifest, opened: dict[str, Sections]) -> None:
    """
    Check types and shapes of the sections of a generation.

    Parameters
    ----------
    manifest : Manifest
        The generation.
    opened : dict
        Its sections.

    Raises
    ------
    InvalidInput, KeyError
        If a section is missing or has an impossible shape.
    """
    n, facts, ids = manifest.n, opened["metadata"], opened["ids"]
    _check(facts, "live", "<u8", -(-n // 64))
    _check(facts, "norms", "<f8", n if manifest.metric == "cosine" else 0)
    for name in ("created_at", "expires_at", "deleted_at"):
        _check(facts, name, "<i8", n)
    for sections in (facts, ids):
        _check(sections, "offsets", "<i8", n + 1)
        _check(sections, "blob", "|u1", len(sections["blob"]))
    _check(ids, "hashes", "<u8", len(ids["hashes"]))
    _check(ids, "slots", "<i4", len(ids["hashes"]))


def _check(sections: Sections, name: str, dtype: str, length: int) -> None:
    array = sections[name]
    if array.dtype.str != dtype or array.shape != (length,):
        raise InvalidInput(name, f"{dtype}({length},)", f"{array.dtype}{array.shape}")
