"""The answer of a query as a table, CSV, JSON or Parquet."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from sweeper.errors import UserError, nearest
from sweeper.look.listing import to_json
from sweeper.look.tables import Grid, page
from sweeper.look.words import number, plural, shown

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("table", "csv", "json", "parquet")


def frame_bytes(frame: pd.DataFrame, form: str, *, width: int | None = None) -> bytes:
    """`frame` in one of `FORMATS`; text is UTF-8.

    CSV leaves missing values empty; JSON is a list of objects with null for them.

    Raises:
        UserError: there is no such format.
    """
    if form == "table":
        return _table(frame, width).encode()
    if form == "csv":
        return frame.to_csv(index=False).encode()
    if form == "json":
        return to_json(_records(frame)).encode()
    if form == "parquet":
        stream = io.BytesIO()
        frame.to_parquet(stream, index=False)
        return stream.getvalue()
    raise UserError(f"unknown format '{form}'", where="--format", hint=nearest(form, FORMATS))


def _table(frame: pd.DataFrame, width: int | None) -> str:
    numeric = frame.select_dtypes("number").columns
    cells = [[_cell(value) for value in record.values()] for record in _records(frame)]
    return page(
        Grid(list(frame.columns), cells, right=numeric), plural(len(frame), "row"), width=width
    )


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Plain Python values, None for what is missing."""
    columns = {name: [_plain(value) for value in frame[name]] for name in frame.columns}
    return [
        dict(zip(columns, record, strict=True)) for record in zip(*columns.values(), strict=True)
    ]


def _plain(value: Any) -> Any:
    import numpy as np
    import pandas as pd

    if isinstance(value, np.ndarray):
        return [_plain(inner) for inner in value.tolist()]
    if isinstance(value, dict | list):
        return value
    if pd.isna(value):
        return None
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, bool | int | float | str) else str(value)


def _cell(value: Any) -> str:
    return number(value) if isinstance(value, float) else shown(value)
