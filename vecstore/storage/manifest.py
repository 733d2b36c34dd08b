"""
Which files make up a generation: the manifest, and `CURRENT`, which names the newest.

A manifest is one line of JSON and one line with the CRC-32 of the first. `CURRENT` holds the
manifest's name and the CRC-32 of its bytes, and is replaced atomically: whoever reads it sees one
whole generation. What a manifest names is never rewritten. Not here: the files' formats (`layout`).
"""

import dataclasses
import json
import re
import zlib
from pathlib import Path
from typing import Any

from vecstore.errors import CorruptData, InvalidInput, UnsupportedFormat
from vecstore.storage.checksums import sealed_line
from vecstore.storage.file_names import (
    CURRENT,
    DATA_FILE,
    DRAFT,
    ROLES,
    manifest_name,
    manifest_number,
)
from vecstore.storage.files import Files
from vecstore.storage.layout import UNREADABLE, existing_size

FORMAT = 1
MAX_MANIFEST_BYTES = 1 << 20
MAX_LINE_BYTES = 4096
"""More than `CURRENT` holds, or the note of a snapshot."""
_CURRENT_LINE = re.compile(rb"(manifest-[0-9]{6,18}\.json) ([0-9a-f]{8})\n")


@dataclasses.dataclass(frozen=True)
class FileEntry:
    """
    One file of a generation.

    Attributes
    ----------
    name : str
        Within the store's directory.
    length : int
        Bytes that count; a rows file may be longer.
    seal : int
        The last four bytes of a section file, the checksum of its checksums; 0 for rows.
    """

    name: str
    length: int
    seal: int


@dataclasses.dataclass(frozen=True)
class Manifest:
    """
    A generation: everything that is not in its binary files.

    Attributes
    ----------
    generation : int
        From 1 on.
    seqno : int
        Write calls it contains.
    dim : int or None
        None before the first insert.
    metric : str
        Canonical name.
    config : dict
        `StoreConfig.to_dict`.
    n, n_live, n_soft : int
        Slots; those live; those soft-deleted.
    next_expiry : int or None
        Earliest expiry of a live slot, Unix milliseconds.
    graph : dict
        `index.graph_data.graph_meta`.
    fingerprint : str
        Of the index; empty while batches were due, since it would depend on the moment.
    first_log, first_salt : int
        Number and salt of the log with the calls after `seqno`.
    files : dict
        Roles (`vectors`, `hnsw_index`, `metadata`, `ids`, `checksums`) to entries; empty while
        there are no slots.
    """

    generation: int
    seqno: int
    dim: int | None
    metric: str
    config: dict[str, Any]
    n: int
    n_live: int
    n_soft: int
    next_expiry: int | None
    graph: dict[str, int]
    fingerprint: str
    first_log: int
    first_salt: int
    files: dict[str, FileEntry]

    @property
    def name(self) -> str:
        """The manifest's own file name."""
        return manifest_name(self.generation)

    def to_bytes(self) -> bytes:
        """
        Write the manifest down.

        Returns
        -------
        bytes
            Its file.
        """
        fields = {"format": FORMAT, **dataclasses.asdict(self)}
        return sealed_line(json.dumps(fields, sort_keys=True).encode())


def current_line(manifest: Manifest) -> bytes:
    """
    Say what `CURRENT` holds while a generation is the store.

    Parameters
    ----------
    manifest : Manifest
        Of the generation.

    Returns
    -------
    bytes
        One line.
    """
    return f"{manifest.name} {zlib.crc32(manifest.to_bytes()):08x}\n".encode()


def draft(files: Files, root: Path, manifest: Manifest) -> None:
    """
    Write a manifest and what `CURRENT` will say; all files of the generation become durable names.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        The store.
    manifest : Manifest
        Whose files are written and synced.
    """
    files.write_new(root / manifest.name, [manifest.to_bytes()])
    files.write_new(root / DRAFT, [current_line(manifest)])
    files.sync_directory(root)


def swap(files: Files, root: Path) -> None:
    """
    Let `CURRENT` say what was drafted: from here on, the generation is the store.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        The store.

    Raises
    ------
    OSError
        If the system refuses; which generation is current is then unknown.
    """
    files.replace(root / DRAFT, root / CURRENT)
    files.sync_directory(root)


def swap_again(files: Files, root: Path) -> None:
    """
    Let `CURRENT` say once more what it says, in case that only the cache knows of the last time.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        A store that `read_current` accepts.
    """
    files.write_new(root / DRAFT, [files.read(root / CURRENT, MAX_LINE_BYTES)])
    files.sync_directory(root)
    swap(files, root)


def read_current(files: Files, root: Path) -> Manifest:
    """
    Read the manifest that `CURRENT` names.

    Parameters
    ----------
    files : Files
        The file system.
    root : Path
        A directory with a `CURRENT`.

    Returns
    -------
    Manifest
        Checked against its checksums; its numbers are of the right types and not negative.

    Raises
    ------
    CorruptData
        If either file is damaged or missing.
    UnsupportedFormat
        If a newer version wrote it.
    """
    line = _current_line(files, root)
    while True:
        try:
            return _named_in(files, root, line)
        except (CorruptData, FileNotFoundError):
            # whoever writes may have removed the manifest by now: then CURRENT names another
            before, line = line, _current_line(files, root)
            if line == before:
                raise


def _current_line(files: Files, root: Path) -> bytes:
    existing_size(files, root / CURRENT)
    return files.read(root / CURRENT, MAX_LINE_BYTES)


def _named_in(files: Files, root: Path, line: bytes) -> Manifest:
    match = _CURRENT_LINE.fullmatch(line)
    if match is None:
        raise CorruptData(root / CURRENT, 0, "it does not name a manifest")
    path = root / match[1].decode()
    existing_size(files, path)
    data = files.read(path, MAX_MANIFEST_BYTES)
    if zlib.crc32(data) != int(match[2], 16):
        raise CorruptData(path, 0, "the manifest does not match the checksum in CURRENT")
    return parse_manifest(path, data, manifest_number(path.name))


def parse_manifest(path: Path, data: bytes, generation: int) -> Manifest:
    """
    Read a manifest.

    Parameters
    ----------
    path : Path
        For errors.
    data : bytes
        Its file, vouched for by a checksum.
    generation : int
        The one in its name.

    Returns
    -------
    Manifest
        Its numbers are of the right types and not negative.

    Raises
    ------
    CorruptData
        If it is none.
    UnsupportedFormat
        If a newer version wrote it.
    """
    try:
        fields = json.loads(data[: data.index(b"\n")])
        version = fields.pop("format")
        if version != FORMAT:
            raise UnsupportedFormat(path, int(version), FORMAT)
        return _checked(fields, generation)
    except UNREADABLE as exc:
        raise CorruptData(path, 0, f"the manifest cannot be read: {exc}") from exc


def _checked(fields: dict[str, Any], generation: int) -> Manifest:
    fields["files"] = {role: FileEntry(**entry) for role, entry in fields["files"].items()}
    manifest = Manifest(**fields)
    counts = [manifest.generation, manifest.seqno, manifest.n, manifest.n_live, manifest.n_soft]
    counts += [manifest.first_log, manifest.first_salt]
    counts += [count for entry in manifest.files.values() for count in (entry.length, entry.seal)]
    counts += [0 if value is None else value for value in (manifest.next_expiry, manifest.dim)]
    if any(type(count) is not int or not 0 <= count < 2**63 for count in counts):
        raise InvalidInput("counts", "whole numbers from 0 on", counts)
    kinds = [(manifest.metric, str), (manifest.fingerprint, str), (manifest.config, dict)]
    kinds += [(manifest.graph, dict), *((entry.name, str) for entry in manifest.files.values())]
    if not all(isinstance(value, kind) for value, kind in kinds):
        raise InvalidInput("fields", "values of the types they are written with", "others")
    if any(type(count) is not int for count in manifest.graph.values()):
        raise InvalidInput("graph", "whole numbers", manifest.graph)
    if manifest.generation != generation:
        raise InvalidInput("generation", generation, manifest.generation)
    if manifest.files and set(manifest.files) != ROLES:
        raise InvalidInput("files", f"the roles {sorted(ROLES)}", sorted(manifest.files))
    if manifest.n_live + manifest.n_soft > manifest.n:
        raise InvalidInput("n_live + n_soft", f"at most {manifest.n}", manifest.n_live)
    if not all(DATA_FILE.fullmatch(entry.name) for entry in manifest.files.values()):
        raise InvalidInput("files", "names that stores use", sorted(manifest.files))
    return manifest
