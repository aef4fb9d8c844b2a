"""The answer of a query as a table, CSV, JSON or Parquet."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pandas as pd

from sweeper.declare.search import default_search
from sweeper.errors import UserError, nearest
from sweeper.records import SEED
from sweeper.report.listing import Kinds, to_json
from sweeper.report.summary import headline_metrics
from sweeper.report.tables import Grid, fits, page
from sweeper.report.words import beginnings, number, plural, shown

FORMATS = ("table", "csv", "json", "parquet")


def chosen_columns(frame: pd.DataFrame, names: str) -> pd.DataFrame:
    """The columns of `frame` that `names` lists with commas between.

    Raises:
        UserError: there is no such column.
    """
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in frame.columns:
            hint = nearest(name, frame.columns)
            raise UserError(f"unknown column '{name}'", where="--columns", hint=hint)
    if not wanted:
        raise UserError("names no column", where="--columns", hint="as in '--columns sweep,label'")
    return frame[list(dict.fromkeys(wanted))]


def frame_bytes(
    frame: pd.DataFrame, form: str, *, kinds: Kinds | None = None, width: int | None = None
) -> bytes:
    """`frame` in one of `FORMATS`; text is UTF-8.

    Missing values are empty in CSV and null in JSON, a list of objects. A table too wide for its
    page has a column per line. With `kinds`, those of its trials, a table has the most informative
    columns, as many as fit.

    Raises:
        UserError: there is no such format.
    """
    if form == "table":
        return (_table(frame, width) if kinds is None else _key_table(frame, kinds, width)).encode()
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
    grid, n_rows = _grid(frame), plural(len(frame), "row")
    if frame.empty or fits(grid, width):
        return page(grid, n_rows, width=width)
    records = [
        Grid((f"row {at}", f"of {len(frame)}"), list(zip(grid.columns, row, strict=True)))
        for at, row in enumerate(grid.rows, 1)
    ]
    return page(*records, n_rows, width=width)


def _key_table(frame: pd.DataFrame, kinds: Kinds, width: int | None) -> str:
    columns = _key_columns(frame, kinds)
    ids = beginnings(frame["run_id"])
    shown = frame.assign(run_id=[ids[run_id] for run_id in frame["run_id"]])[columns]
    while len(shown.columns) > 1 and not fits(_grid(shown), width):
        shown = shown.iloc[:, :-1]
    text = plural(len(frame), "row")
    if n_left := len(frame.columns) - len(shown.columns):
        text += f"; {plural(n_left, 'more column')}: --all, --columns A,B or --format csv"
    return page(_grid(shown), text, width=width)


def _key_columns(frame: pd.DataFrame, kinds: Kinds) -> list[str]:
    """The run id, the columns in which trials differ, and the headline metrics of their kinds."""
    here = [kinds[name] for name in frame["kind"].unique() if name in kinds]
    fields = sorted((name for kind in here for name in kind.config.model_fields), key=_is_seed)
    columns = ["sweep", *fields, "kind_version", "state", "certified"]
    differing = [n for n in columns if n in frame and frame[n].nunique(dropna=False) > 1]
    metrics = [n for kind in here for n in headline_metrics(kind, default_search(kind))]
    wanted = dict.fromkeys(["run_id", *differing, *metrics, "duration_s"])
    return [name for name in wanted if name in frame]


def _is_seed(name: str) -> bool:
    return name == SEED


def _grid(frame: pd.DataFrame) -> Grid:
    numeric = frame.select_dtypes("number").columns
    cells = [[_cell(value) for value in record.values()] for record in _records(frame)]
    return Grid(list(frame.columns), cells, right=list(numeric))


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Plain Python values, None for what is missing."""
    columns = {name: [_plain(value) for value in frame[name]] for name in frame.columns}
    return [
        dict(zip(columns, record, strict=True)) for record in zip(*columns.values(), strict=True)
    ]


def _plain(value: Any) -> Any:
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
