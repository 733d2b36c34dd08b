"""
A process of its own for every turn: no database inherits another's threads, caches or memory.

Arguments go in as JSON, figures come back as JSON; what a database prints on the way is dropped.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from vecstore.errors import VecStoreError


def in_fresh_process(part: str, **arguments: Any) -> dict[str, Any]:
    """
    Run the turn of a part in a fresh interpreter, pinned as this one is.

    Parameters
    ----------
    part : str
        A module of this package that has a function `turn`.
    **arguments : dict
        Of that function; JSON-able.

    Returns
    -------
    dict
        What it returned.

    Raises
    ------
    VecStoreError
        If it did not come to its end; with the last line that it wrote.
    """
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        done = subprocess.run(
            [sys.executable, "-m", __package__, part, str(answer)],
            input=json.dumps(arguments),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode != 0:
            lines = done.stderr.split("\n")
            last = next((line for line in reversed(lines) if line.strip()), "it said nothing")
            raise VecStoreError(f"{part} ended with status {done.returncode}: {last.strip()}")
        figures: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
        return figures
