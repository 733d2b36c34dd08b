"""One turn in a process of its own: ``python -m vecstore.bench.stores PART ANSWER < arguments``."""

import importlib
import json
import os
import sys
from pathlib import Path


def main() -> None:
    """Run the turn that the arguments name and leave its figures in a file."""
    part, answer = sys.argv[1:]
    turn = importlib.import_module(f"vecstore.bench.stores.{part}").turn
    Path(answer).write_text(json.dumps(turn(**json.load(sys.stdin))), encoding="utf-8")
    # some peers leave threads behind that nobody can end
    os._exit(0)


if __name__ == "__main__":
    main()
