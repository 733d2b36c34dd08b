"""
Reading a store that somebody else may be writing to, without its lock.

A reader believes what is known to be durable and nothing else: a generation that `CURRENT` names,
and the calls below the greatest `synced` of its logs. What is mapped stays, whether it has a name
or not. Not here: that files may vanish between two looks (`storage.onlooker`).
"""

from pathlib import Path

from vecstore.engine.recovery import Recovery, durable_end, recover, replay
from vecstore.engine.settings import Wanted
from vecstore.engine.table import Table
from vecstore.engine.writer import Writer
from vecstore.errors import CorruptData
from vecstore.storage.checkpoint import check_generation
from vecstore.storage.file_names import log_number
from vecstore.storage.files import Files
from vecstore.storage.frames import LOG_HEADER_BYTES
from vecstore.storage.manifest import Manifest, read_current
from vecstore.storage.onlooker import look_again


class Follower:
    """
    Follows the durable state of a store.

    Parameters
    ----------
    files : Files
        The file system; nothing is written.
    root : Path
        The store.
    wanted : Wanted
        What the caller asks for.

    Attributes
    ----------
    manifest : Manifest
        The generation that was opened last.
    """

    manifest: Manifest

    def __init__(self, files: Files, root: Path, wanted: Wanted) -> None:
        self.files = files
        self.root = root
        self._wanted = wanted
        self._found: Recovery | None = None

    @property
    def log_bytes(self) -> int:
        """Bytes of the calls that the generation does not contain."""
        found = self._found
        return 0 if found is None else found.bytes_before + found.last.end - LOG_HEADER_BYTES

    def open(self, *, full: bool = False) -> Table:
        """
        Read the newest durable state.

        Parameters
        ----------
        full : bool
            Compare every byte with its checksum.

        Returns
        -------
        Table
            Its own, mapped.

        Raises
        ------
        CorruptData
            If the store is damaged.
        """

        def _look(manifest: Manifest) -> tuple[Manifest, Recovery]:
            config = self._wanted.config_over(self.root, manifest)
            if full:
                check_generation(self.files, self.root, manifest)
            return manifest, recover(self.files, self.root, manifest, config, durable_only=True)

        manifest, found = look_again(self.files, self.root, _look)
        self._wanted.agree_with(found.table)
        self.manifest, self._found = manifest, found
        return found.table

    def let_go(self) -> None:
        """Forget what was found, once the store is closed."""
        self._found = None

    def refresh(self, writer: Writer) -> None:
        """
        Move on to the newest durable state.

        Parameters
        ----------
        writer : Writer
            Of the handle; its lock is held.

        Raises
        ------
        CorruptData
            If the store is damaged; the handle stays at the state it had.
        """
        if not self._replay_on(writer):
            writer.put(self.open())

    def _replay_on(self, writer: Writer) -> bool:
        """Replay what came since, if the same log goes on; nothing is changed if it does not."""
        found = self._found
        if found is None or read_current(self.files, self.root) != self.manifest:
            return False
        number = found.last.header.number
        if any(log_number(name) > number for name in self.files.names(self.root)):
            return False
        self._found = None  # until it is known that this went well
        try:
            reader = found.last.again()
            limit = durable_end(reader)
            writer.table.mark(writer.applied)  # nothing that views look into may change
            replay(writer.table, reader, limit)
        except (CorruptData, FileNotFoundError):
            return False
        self._found = found._replace(last=reader)
        writer.refresh()
        return True
