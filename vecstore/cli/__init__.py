"""
The command line: `vecstore …`, also ``python -m vecstore``.

Built on click and rich; heavy imports wait until a command needs them. Errors are one line on
stderr; exit status 0, 1 (not found, damaged, locked), 2 (usage or input). The commands are in the
modules beside this one. Not here: anything that could be used without a terminal.
"""

import os
import sys
from collections.abc import Sequence

import click

from vecstore import __version__
from vecstore.bench.commands import bench
from vecstore.cli.demo import demo
from vecstore.cli.inquiry import info, query
from vecstore.cli.machine import env, warmup
from vecstore.cli.upkeep import backup, dump_log, repair, restore, verify
from vecstore.errors import InvalidInput, MissingExtra, NotAvailable, VecStoreError

__all__ = ["app", "main", "run"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vecstore")
def app() -> None:
    """Work with VecStore: an embedded vector database that one can read."""


for _command in (
    bench,
    demo,
    info,
    query,
    verify,
    dump_log,
    repair,
    backup,
    restore,
    warmup,
    env,
):
    app.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> None:
    """
    Run the program and exit.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process by default.
    """
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """
    Run a command; every error becomes one line on stderr.

    Parameters
    ----------
    arguments : sequence of str, optional
        Those of the process by default.

    Returns
    -------
    int
        The exit status.
    """
    try:
        status = app.main(arguments, prog_name="vecstore", standalone_mode=False)
    except click.ClickException as exc:
        return _fail(exc.format_message(), 2)
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted", 130)
    except (InvalidInput, NotAvailable, MissingExtra) as exc:
        return _fail(str(exc), 2)
    except VecStoreError as exc:
        return _fail(str(exc), 1)
    except BrokenPipeError:
        # whoever read our output has stopped; keep Python from complaining at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as exc:
        return _fail(str(exc), 1)
    except Exception as exc:
        if os.environ.get("VECSTORE_TRACEBACK"):
            raise
        return _fail(f"internal error: {exc!r}; set VECSTORE_TRACEBACK=1 to see where", 1)
    return status if isinstance(status, int) else 0


def _fail(message: str, status: int) -> int:
    click.echo(f"vecstore: {' '.join(message.split())}", err=True)
    return status
