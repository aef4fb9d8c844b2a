"""One trial of a store, read from Python."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import pandas as pd

from sweeper.api.frames import Format, converted
from sweeper.errors import UserError, nearest
from sweeper.records import Scalar, TrialRow
from sweeper.report.words import number, shown
from sweeper.store.trial_parts import read_history, read_spec
from trials import kind_names, load_kind

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

    from sweeper.store.opening import Reader

_DTYPES = {
    "BOOL": "?",
    "U8": "u1",
    "I8": "i1",
    "U16": "<u2",
    "I16": "<i2",
    "U32": "<u4",
    "I32": "<i4",
    "U64": "<u8",
    "I64": "<i8",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
}


class Trial:
    """A stored trial: what it was given, what it found, and the files that it left."""

    def __init__(
        self,
        row: TrialRow,
        reader: Reader,
        fetch: Callable[[TrialRow, str], Path],
    ) -> None:
        self._row, self._reader, self._fetch = row, reader, fetch
        self._verified: dict[str, Path] = {}

    def __repr__(self) -> str:
        return f"<Trial {self._row.run_id[:8]} of {self.sweep}: {self.label} ({self.state})>"

    def _repr_html_(self) -> str:
        varied = [(name, shown(value)) for name, value in self._row.params.items()]
        metrics = [(name, number(value)) for name, value in self.metrics.items()]
        parts = [("config", varied), ("metric", metrics)]
        tables = "".join(_html_table(title, pairs) for title, pairs in parts if pairs)
        files = ", ".join(escape(name) for name in self.artifacts)
        return (
            f"<p><b>{escape(repr(self)[1:-1])}</b></p>{tables}<p>artifacts: {files or 'none'}</p>"
        )

    @property
    def controls(self) -> tuple[TrialRow, ...]:
        """Complete controls of its sweep that differ from it only in what makes them controls."""
        if self.kind not in kind_names() or (control := load_kind(self.kind).control) is None:
            return ()
        free = {control.field, *control.variants}
        mine = _without(self._row.params, free)
        rows = self._reader.rows([self.sweep])
        alike = [row for row in rows if row.is_control and _without(row.params, free) == mine]
        return tuple(row for row in alike if row.key != self.key and row.state == "COMPLETE")

    @property
    def row(self) -> TrialRow:
        """Everything that the store records of the trial, as one frozen value."""
        return self._row

    @property
    def run_id(self) -> str:
        """Id of its MLflow run."""
        return self._row.run_id

    @property
    def key(self) -> str:
        """Hash of what was run: kind, version, config, digests of the inputs."""
        return self._row.key

    @property
    def sweep(self) -> str:
        """Name of its sweep."""
        return self._row.sweep

    @property
    def kind(self) -> str:
        """Name of its kind."""
        return self._row.kind

    @property
    def state(self) -> str:
        """WAITING, RUNNING, COMPLETE, PRUNED or FAILED."""
        return str(self._row.state)

    @property
    def label(self) -> str:
        """The fields that its sweep varies."""
        return self._row.label

    @property
    def certified(self) -> bool:
        """Whether its numbers may count as best."""
        return not self._row.uncertified

    @property
    def config(self) -> dict[str, Any]:
        """The resolved config, defaults included; a new dictionary at each call."""
        return dict(read_spec(self._reader, self._row.run_id).config)

    @property
    def metrics(self) -> Mapping[str, float]:
        """Metrics by name."""
        return MappingProxyType(self._row.metrics)

    @property
    def artifacts(self) -> tuple[str, ...]:
        """Paths of the files that the trial left."""
        return tuple(artifact.path for artifact in self._row.artifacts)

    def history(self, metric: str) -> pd.Series[float]:
        """What the trial reported of a metric while it ran, by step; its result is the last value.

        Raises:
            UserError: it reported no such metric.
        """
        found = read_history(self._reader, self._row, metric)
        if not found:
            hint = nearest(metric, self._row.metrics)
            raise UserError(f"trial '{self.label}' reported no metric '{metric}'", hint=hint)
        index = pd.Index([each.step for each in found], name="step")
        return pd.Series([each.value for each in found], index=index, name=metric)

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """The tensors of the artifact `NAME.safetensors`, by name.

        The file is verified by its recorded SHA-256 once per `Trial`; the arrays are then mapped
        into memory and cannot be written to.

        Raises:
            UserError: the trial left no such arrays, or the file was changed.
        """
        return _mapped_tensors(self.file(f"{name}.safetensors"))

    @overload
    def table(self, name: str, *, format: Literal["pandas"] = "pandas") -> pd.DataFrame: ...

    @overload
    def table(self, name: str, *, format: Literal["arrow"]) -> pa.Table: ...

    @overload
    def table(self, name: str, *, format: Format) -> Any: ...

    def table(self, name: str, *, format: Format = "pandas") -> Any:
        """The table of the artifact `NAME.csv`, verified as `arrays`."""
        # Tokens such as "null" and "NA" are text.
        frame = pd.read_csv(self.file(f"{name}.csv"), keep_default_na=False, na_values=[""])
        return converted(frame, format)

    def figure(self, name: str) -> Figure:
        """The figure of the artifact `NAME.png`, verified as `arrays`; a notebook shows it."""
        return Figure(self.file(f"{name}.png"))

    def file(self, path: str) -> Path:
        """A local copy of any artifact, by its path, verified by its recorded SHA-256.

        Raises:
            NoSuchArtifact: the trial left no such file.
            UserError: the file is missing or was changed.
        """
        if path not in self._verified or not self._verified[path].is_file():
            self._verified[path] = self._fetch(self._row, path)
        return self._verified[path]


class Figure:
    """A PNG file that a trial left."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"<Figure {self.path.name}>"

    def _repr_png_(self) -> bytes:
        return self.path.read_bytes()

    def save(self, path: str | Path) -> Path:
        """Copy the figure to a file."""
        target = Path(path)
        target.write_bytes(self.path.read_bytes())
        return target


def _without(params: Mapping[str, Scalar], names: Collection[str]) -> dict[str, Scalar]:
    return {name: value for name, value in params.items() if name not in names}


def _mapped_tensors(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a safetensors file, read-only views of the file.

    The format: 8 bytes with the length of a JSON header, the header, the data; offsets count from
    the end of the header.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header: dict[str, Any] = json.loads(file.read(length))
    header.pop("__metadata__", None)
    tensors: dict[str, np.ndarray] = {}
    for name, entry in header.items():
        if entry["dtype"] not in _DTYPES:
            what = f"tensor '{name}' has the type {entry['dtype']}, which NumPy lacks"
            raise UserError(what, where=str(path), hint="open the file with safetensors")
        dtype, shape = np.dtype(_DTYPES[entry["dtype"]]), tuple(entry["shape"])
        if math.prod(shape):
            offset = 8 + length + entry["data_offsets"][0]
            tensors[name] = np.memmap(path, dtype, "r", offset, shape)
        else:  # nothing to map
            tensors[name] = np.empty(shape, dtype)
    return tensors


def _html_table(title: str, pairs: list[tuple[str, str]]) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in pairs
    )
    head = f"<tr><th>{title}</th><th>value</th></tr>"
    return f'<table style="display: inline-table; vertical-align: top">{head}{rows}</table>'
