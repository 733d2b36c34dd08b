"""Packages of the extras ``[bench]`` and ``[bench-db]``: imported when one is asked for."""

import importlib
from importlib.metadata import distribution, version
from typing import Any

from vecstore.errors import MissingExtra

LIBRARIES = "bench"
DATABASES = "bench-db"


def imported(module: str, package: str, extra: str = LIBRARIES) -> Any:
    """
    Import a module of a package that only an extra needs.

    Parameters
    ----------
    module : str
        What to import.
    package : str
        Who brings it, for the error.
    extra : str
        Which extra, for the error.

    Returns
    -------
    module
        The module.

    Raises
    ------
    MissingExtra
        If it is not installed; the message names the extra.

    Examples
    --------
    >>> imported("json", "python").dumps([1])
    '[1]'
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        install = f"python -m pip install 'vecstore-numba[{extra}]'"
        raise MissingExtra(package, install) from None


def version_of(package: str) -> str:
    """
    Tell the version of an installed package.

    Parameters
    ----------
    package : str
        As package indexes call it.

    Returns
    -------
    str
        Such as ``2.4.6``.

    Examples
    --------
    >>> version_of("numpy")[0].isdigit()
    True
    """
    return version(package)


def wheel_of(package: str) -> str:
    """
    Tell for what machines an installed package was compiled, and who installed it.

    Parameters
    ----------
    package : str
        As package indexes call it.

    Returns
    -------
    str
        Such as ``wheel cp311-cp311-linux_x86_64 built here, installed by pip``: indexes take no
        wheel that says plain ``linux``, so its compiler may have used all that this processor
        has. One for ``manylinux`` was compiled for many.

    Examples
    --------
    >>> wheel_of("numpy").startswith("wheel cp")
    True
    """
    files = distribution(package)
    lines = (files.read_text("WHEEL") or "").splitlines()
    tags = [line.removeprefix("Tag: ") for line in lines if line.startswith("Tag: ")]
    here = any("-linux_" in tag for tag in tags)
    installer = (files.read_text("INSTALLER") or "").strip()
    return (
        f"wheel {' '.join(tags) or 'of unknown tag'}{' built here' if here else ''}, "
        f"installed by {installer or 'an unknown program'}"
    )
