"""Reads one table that a trial left, and gives the columns of several their types."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.csv as pa_csv  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from safetensors import SafetensorError
from safetensors.numpy import load_file

from sweeper.errors import UserError, one_line
from trials.api import TEXT_BYTES, TEXT_ENDS

ENDINGS = (".csv", ".parquet", ".safetensors")
"""Endings of files that may hold a table; of several with one name the first counts."""


def read_table(file: Path) -> pa.Table:
    """The columns of a file; those of a CSV file are texts, see `typed`.

    A file of arrays is a table if they all have one dimension and the same length.

    Raises:
        UserError: it is damaged or no table.
    """
    try:
        if file.suffix == ".csv":
            return _read_csv(file)
        return pq.read_table(file) if file.suffix == ".parquet" else _read_arrays(file)
    except (pa.ArrowException, OSError, SafetensorError, csv.Error, ValueError) as error:
        raise UserError(f"is no table: {one_line(str(error), 200)}", where=str(file)) from error


def _read_csv(file: Path) -> pa.Table:
    with file.open(newline="", encoding="utf-8") as lines:
        names = next(csv.reader(lines), [])
    return pa_csv.read_csv(
        file,
        parse_options=pa_csv.ParseOptions(newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
        ),
    )


def _read_arrays(file: Path) -> pa.Table:
    arrays = load_file(file)
    texts = {name.removesuffix(TEXT_BYTES) for name in arrays if name.endswith(TEXT_BYTES)}
    columns = {
        name: _texts(arrays.pop(name + TEXT_BYTES), arrays.pop(name + TEXT_ENDS))
        for name in sorted(texts)
    }
    columns |= {name: pa.array(values) for name, values in arrays.items() if values.ndim == 1}
    if len(columns) < len(arrays) + len(texts) or len({len(c) for c in columns.values()}) != 1:
        raise ValueError("its arrays have several dimensions or lengths")
    return pa.table(columns)


def _texts(data: np.ndarray, ends: np.ndarray) -> pa.Array:
    offsets = np.concatenate([[0], ends]).astype(np.int32)
    if data.ndim != 1 or (np.diff(offsets) < 0).any() or offsets[-1] != len(data):
        raise ValueError("the ends of its texts do not fit")
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data.astype(np.uint8))]
    column = pa.Array.from_buffers(pa.string(), len(ends), buffers)
    column.validate(full=True)
    return column


def joined(tables: list[pa.Table]) -> pa.Table:
    """The rows of all tables, each column of one type; what a table lacks is NULL, and so is NaN.

    A column of texts becomes boolean, integer or float if that fits every value of every table.
    """
    names = dict.fromkeys(name for table in tables for name in table.column_names)
    columns = {
        name: [
            table.column(name) if name in table.column_names else pa.nulls(len(table))
            for table in tables
        ]
        for name in names
    }
    return pa.table({name: _typed(parts) for name, parts in columns.items()})


def _typed(parts: list[pa.ChunkedArray]) -> pa.ChunkedArray:
    types = {part.type for part in parts if not pa.types.is_null(part.type)}
    if len(types) > 1 and not all(_is_number(each) for each in types):
        types = {pa.string()}
    target = pa.float64() if len(types) > 1 else next(iter(types), pa.string())
    chunks = [chunk for part in parts for chunk in _chunks(part.cast(target))]
    column = pa.chunked_array(chunks, type=target)
    if target == pa.string():
        column = _from_text(column)
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    return column


def _chunks(array: pa.Array | pa.ChunkedArray) -> list[pa.Array]:
    return list(array.chunks) if isinstance(array, pa.ChunkedArray) else [array]


def _from_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    filled = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
    if filled.null_count == len(filled):
        return column
    if set(pc.unique(filled).to_pylist()) <= {"True", "False", None}:
        return filled.cast(pa.bool_())
    for target in (pa.int64(), pa.float64()):
        try:
            return filled.cast(target)
        except pa.ArrowInvalid:
            continue
    return column


def _is_number(of: pa.DataType) -> bool:
    return bool(pa.types.is_integer(of) or pa.types.is_floating(of))
