"""Tables as pandas, polars or Arrow."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from sweeper.errors import UserError, nearest

if TYPE_CHECKING:
    import pandas as pd

Format = Literal["pandas", "polars", "arrow"]
FORMATS = ("pandas", "polars", "arrow")


def converted(frame: pd.DataFrame, form: str) -> Any:
    """The table as a `pandas.DataFrame`, a `polars.DataFrame` or a `pyarrow.Table`.

    Raises:
        UserError: there is no such format, or polars is not installed.
    """
    if form == "pandas":
        return frame
    if form not in FORMATS:
        raise UserError(f"unknown format '{form}'", where="format", hint=nearest(form, FORMATS))
    table = import_module("pyarrow").Table.from_pandas(frame, preserve_index=False)
    if form == "arrow":
        return table
    try:
        polars = import_module("polars")  # no dependency of ours: many use pandas only
    except ImportError as error:
        what = "polars is not installed"
        raise UserError(what, where="format", hint="pip install polars") from error
    return polars.from_arrow(table)
