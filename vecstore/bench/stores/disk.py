"""
No database: the same bytes, written over zeros and synced, which no database can beat.

What a database gets of these figures is what its own work leaves of the disk.
"""

import platform
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vecstore.bench.stores.database import POWER_LOSS, Facts, Setup, Variant
from vecstore.bench.stores.records import packed
from vecstore.storage.files import Files, OpenFile

VARIANTS = (Variant("fdatasync", POWER_LOSS, bulk=False),)
_ROOM = 16 << 20


class Disk:
    """
    One file of zeros, written to from its beginning to its end and over again.

    Parameters
    ----------
    setup : Setup
        The settings.
    """

    def __init__(self, setup: Setup) -> None:
        self._path = Path(setup.path)
        self._file: OpenFile
        self._at = 0

    def warm(self) -> None:
        pass

    def create(self) -> None:
        self._path.mkdir()
        self._file = Files().open(self._path / "log", create=True)
        self._file.write(0, [bytes(_ROOM)])
        self._file.sync()

    def upsert(self, record_id: str, vector: NDArray[np.float32], metadata: dict[str, Any]) -> None:
        frame = b"".join((record_id.encode(), vector.tobytes(), packed(metadata).encode()))
        self._at = self._at if self._at + len(frame) <= _ROOM else 0
        self._file.write(self._at, [frame])
        self._at += len(frame)
        self._file.sync()

    def close(self) -> None:
        self._file.close()

    def facts(self) -> Facts:
        return Facts(platform.release(), f"over {_ROOM >> 20} MiB of zeros")
