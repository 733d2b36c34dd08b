"""What a store tells of itself: counts, fingerprint, damage."""

import contextlib

import numpy as np

from vecstore.engine.follower import Follower
from vecstore.engine.opening import Parts
from vecstore.engine.verify import file_problems, table_problems
from vecstore.engine.view import ReadView
from vecstore.errors import CorruptData
from vecstore.index.fingerprint import fingerprint_of
from vecstore.index.search import Snapshot
from vecstore.kernels.distance import METRICS, Space
from vecstore.kernels.graph import empty_graph
from vecstore.model import StoreStats, VerifyIssue, VerifyReport
from vecstore.storage.evidence import whole_manifests
from vecstore.storage.manifest import Manifest
from vecstore.storage.onlooker import look_again


def fingerprint(parts: Parts) -> str:
    """
    Hash the index of the newest view.

    Parameters
    ----------
    parts : Parts
        The store.

    Returns
    -------
    str
        32 hex digits.
    """
    writer = parts.writer
    with writer.lock:  # not between a grown graph and its view
        view = writer.view
    snapshot = view.snapshot or Snapshot(
        Space(METRICS[writer.table.metric], np.zeros((0, 0), np.float32)),
        empty_graph(writer.table.config.hnsw.m),
        0,
    )
    return fingerprint_of(snapshot, view.dim, writer.table.metric)


def verify(parts: Parts) -> VerifyReport:
    """
    Look for damage, on disk and in memory. Neither writes nor reads wait meanwhile.

    Parameters
    ----------
    parts : Parts
        The store.

    Returns
    -------
    VerifyReport
        What is damaged is reported, not raised.
    """
    saver, writer, damage = parts.saver, parts.writer, []
    if saver is not None and writer.journal is not None:
        with saver.saving:  # no checkpoint meanwhile, which would remove files
            with writer.lock:
                view, end = writer.applied, writer.journal.position
            damage = list(file_problems(saver.files, saver.root, saver.manifest, end))
    else:
        view = writer.view
        damage = _seen_from_outside(parts.follower) if parts.follower is not None else []
    problems, findings = table_problems(view)
    return VerifyReport((*damage, *problems), tuple(findings))


def _seen_from_outside(follower: Follower) -> list[VerifyIssue]:
    """Check the files of a store that somebody else may be writing to."""
    files, root = follower.files, follower.root

    def _look(manifest: Manifest) -> list[VerifyIssue]:
        return list(file_problems(files, root, manifest))

    try:
        return look_again(files, root, _look, doubt=bool)
    except (CorruptData, OSError):  # of `CURRENT` or the manifest it names: reported below
        manifest = follower.manifest
        with contextlib.suppress(OSError):
            manifest = next(iter(whole_manifests(files, root)), manifest)
        return _look(manifest)


def stats(parts: Parts, view: ReadView) -> StoreStats:
    """
    Count.

    Parameters
    ----------
    parts : Parts
        The store.
    view : ReadView
        What it shows.

    Returns
    -------
    StoreStats
        As of now.
    """
    writer = parts.writer
    journal = writer.journal
    home = parts.saver or parts.follower
    manifest = home.manifest if home is not None else None
    log_bytes = journal.n_bytes if journal is not None else 0
    if parts.follower is not None:
        log_bytes = parts.follower.log_bytes
    snapshot = view.snapshot
    graph = snapshot.graph if snapshot is not None else empty_graph(1)
    arrays = (graph.levels, graph.links, graph.upper_start, graph.upper)
    return StoreStats(
        live=view.n_live,
        soft_deleted=view.n_soft,
        dead=view.n - view.n_live - view.n_soft,
        slots=view.n,
        indexed=graph.n_indexed,
        tail=view.n - graph.n_indexed,
        dim=view.dim or None,
        metric=writer.table.metric,
        seqno=view.seqno,
        generation=manifest.generation if manifest is not None else 0,
        disk_bytes=sum(e.length for e in manifest.files.values()) if manifest is not None else 0,
        log_bytes=log_bytes,
        torn_bytes=parts.torn_bytes,
        vector_bytes=snapshot.space.rows.nbytes if snapshot is not None else 0,
        graph_bytes=sum(array.nbytes for array in arrays),
    )
