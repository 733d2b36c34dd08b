"""What tables of measurements are put together from."""

from typing import Any

NONE = "-"


def new_table(*columns: str) -> Any:
    """
    Make an empty table: the first column to the left, figures to the right.

    Parameters
    ----------
    *columns : str
        Headings.

    Returns
    -------
    rich.table.Table
        Without rows.
    """
    from rich.table import Table

    table = Table()
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=not number)
    return table


def in_cell(value: float | None, form: str = ",.0f", unit: str = "") -> str:
    """
    Show a figure.

    Parameters
    ----------
    value : float or None
        None where it is not known.
    form : str
        As ``format`` takes it.
    unit : str
        Put behind it.

    Returns
    -------
    str
        A dash for None.

    Examples
    --------
    >>> in_cell(1234.5), in_cell(None), in_cell(2.25, ".1f", " x")
    ('1,234', '-', '2.2 x')
    """
    return NONE if value is None else f"{value:{form}}{unit}"
