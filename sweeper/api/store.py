"""A store of results, read from Python."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from sweeper.api.export import export_sae
from sweeper.api.frames import Format, converted
from sweeper.api.trial import Trial
from sweeper.errors import UserError
from sweeper.report.lookup import named_trial
from sweeper.store import selection
from sweeper.store.opening import existing_store, open_reader, open_results
from sweeper.store.query_text import is_filter
from sweeper.store.sql import SqlReader
from sweeper.store.trial_parts import artifact_here, recorded_artifact

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa  # type: ignore[import-untyped]

    from sweeper.records import TrialRow
    from sweeper.store.location import Store as Place
    from sweeper.store.tracking import Results

_SWEEPS = """
SELECT members.sweep, any_value(kind) AS kind, count(*) AS n_trials,
    count(*) FILTER (state = 'COMPLETE') AS n_complete,
    count(*) FILTER (state = 'FAILED') AS n_failed,
    max(started_at) AS last_started_at, sum(duration_s) AS duration_s
FROM members JOIN trials USING (key) GROUP BY members.sweep ORDER BY members.sweep
"""


def open_store(store: str | Path | None = None) -> Store:
    """Open a store: a folder, the URI of a database, or that of a tracking server.

    Without an argument it is the store of the command line: `SWEEPER_STORE`, else
    `MLFLOW_TRACKING_URI`, else the folder `results`.

    Raises:
        UserError: there is no store, or it does not answer.
    """
    return Store(existing_store(None if store is None else str(store)))


class Store:
    """The trials of a store. Every call reads the store anew; nothing writes to it."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._reader = open_reader(place)

    def __repr__(self) -> str:
        place = self._place
        shown = str(place.root) if place.is_folder else place.shown
        return f"sweeper.open_store({shown!r})"

    def _repr_html_(self) -> str:
        return str(self.sweeps().to_html(index=False, float_format="{:.4g}".format))

    def sweeps(self) -> pd.DataFrame:
        """One row per sweep: its kind, number of trials, when the last started, time of all."""
        return self.query(_SWEEPS)

    @overload
    def trials(
        self,
        where: str = "",
        *,
        columns: Sequence[str] | None = None,
        format: Literal["pandas"] = "pandas",
    ) -> pd.DataFrame: ...

    @overload
    def trials(
        self, where: str = "", *, columns: Sequence[str] | None = None, format: Literal["arrow"]
    ) -> pa.Table: ...

    @overload
    def trials(
        self, where: str = "", *, columns: Sequence[str] | None = None, format: Format
    ) -> Any: ...

    def trials(
        self,
        where: str = "",
        *,
        columns: Sequence[str] | None = None,
        format: Format = "pandas",
    ) -> Any:
        """One row per trial: config fields, metrics, state, times, digests of inputs.

        Args:
            where: an SQL condition, such as `sweep = 'mine' and fvu_held_out < 0.5`; `order by`
                and `limit` may follow it.
            columns: the columns to read (default: all); naming a few is faster in a large store.
            format: "pandas", "polars" (if installed) or "arrow".

        Raises:
            UserError: an unknown column, or a condition that cannot be read.
        """
        if not is_filter(where):
            raise UserError("a condition is expected; use query for a whole SELECT", where="where")
        if isinstance(columns, str):
            raise UserError(f"'{columns}' is text; give a list of names", where="columns")
        if columns is None:
            return self.query(where, format=format)
        quoted = ", ".join('"' + name.replace('"', '""') + '"' for name in columns)
        condition = f" WHERE {where}" if where.strip() else ""
        return self.query(f"SELECT {quoted or '*'} FROM trials{condition}", format=format)

    @overload
    def query(self, sql: str, *, format: Literal["pandas"] = "pandas") -> pd.DataFrame: ...

    @overload
    def query(self, sql: str, *, format: Literal["arrow"]) -> pa.Table: ...

    @overload
    def query(self, sql: str, *, format: Format) -> Any: ...

    def query(self, sql: str, *, format: Format = "pandas") -> Any:
        """The answer to one SELECT on the tables `trials` and `members`, as `sweeper query` gives.

        `trials` has every trial once, under the sweep that ran it; `members` maps every sweep to
        its trials, reused ones included (`sweep`, `key`, `run_id`, `reused_from`).

        Raises:
            UserError: not one SELECT, or an unknown column.
        """
        return converted(selection.answer(self._reader, sql), format)

    def trial(self, name: str) -> Trial:
        """One trial by run id or key (a unique beginning is enough), or `SWEEP:FIELD=VALUE ...`.

        As in `store.trial("pursuit:n_atoms=2x null=none")`: as many fields as name one trial.

        Raises:
            UserError: no trial is named so, or several.
        """
        return Trial(named_trial(self._reader, name), self._reader, self._fetch)

    def export_sae(self, name: str, to: str | Path) -> tuple[Path, ...]:
        """Write the dictionary of a trial as an autoencoder that SAELens loads, with a model card.

        Args:
            name: a trial, as for `trial`.
            to: a folder, or `hub:OWNER/NAME` for a model repository on the hub.

        Returns:
            The files; those that went to the hub are relative.

        Raises:
            UserError: the trial left no dictionary, or none that a linear encoder can express.
        """
        return export_sae(self.trial(name), to)

    @cached_property
    def _results(self) -> Results:
        """MLflow's reader, which takes two seconds to import: only where nothing else will do."""
        return open_results(self._place)

    def _fetch(self, row: TrialRow, path: str) -> Path:
        """A local copy of an artifact, verified by its recorded digest."""
        if isinstance(self._reader, SqlReader):
            found = artifact_here(self._reader, row, path)
            if found is not None:
                return found
        recorded_artifact(row, path)
        return self._results.fetch_artifact(row.reused_from or row.run_id, path)
