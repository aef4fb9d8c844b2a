"""Which artifacts `table('NAME')` means, read as one table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pyarrow as pa  # type: ignore[import-untyped]

from sweeper.errors import UserError, nearest
from sweeper.records import Artifact, TrialRow
from sweeper.store.tables.files import ENDINGS, joined, read_table

RUN_ID = "run_id"
MOST_BYTES = 2 * 10**9
"""How much one call may read."""


class TableSource(NamedTuple):
    """Where the tables of trials come from.

    Attributes:
        rows: trials by their run ids.
        fetch: a local, verified copy of an artifact of a run.
    """

    rows: Callable[[Sequence[str]], Iterable[TrialRow]]
    fetch: Callable[[str, str], Path]


def read_relation(name: str, run_ids: Sequence[str], source: TableSource) -> pa.Table:
    """The tables `name` of these trials, one below the other, with the trial's `run_id`.

    Trials without such a table, or whose table was pruned, have no rows.

    Raises:
        UserError: none of the trials left one, they are too large, or an artifact is damaged.
    """
    rows = list(source.rows(run_ids))
    found = [(row, artifact) for row in rows if (artifact := _artifact(row, name))]
    if not found:
        known = {PurePosixPath(a.path).stem for row in rows for a in _tables(row)}
        of = f"of {len(rows)} trials" if rows else "of no trial"
        hint = nearest(name, sorted(known)) if rows else "its condition fits none"
        raise UserError(f"no table '{name}' {of}", where="query", hint=hint)
    n_bytes = sum(artifact.n_bytes for _, artifact in found)
    if n_bytes > MOST_BYTES:
        raise UserError(
            f"table('{name}') of {len(found)} trials has {n_bytes / 1e9:.1f} GB, more than "
            f"{MOST_BYTES / 1e9:g} GB",
            where="query",
            hint=f"say of which trials, as in table('{name}', sweep = '{found[0][0].sweep}')",
        )
    return joined([_read(row, artifact, source) for row, artifact in found])


def _read(row: TrialRow, artifact: Artifact, source: TableSource) -> pa.Table:
    table = read_table(source.fetch(row.reused_from or row.run_id, artifact.path))
    if RUN_ID in table.column_names:
        renamed = [f"table_{RUN_ID}" if name == RUN_ID else name for name in table.column_names]
        table = table.rename_columns(renamed)
    return table.add_column(0, RUN_ID, pa.array([row.run_id] * len(table), type=pa.string()))


def _artifact(row: TrialRow, name: str) -> Artifact | None:
    by_path = {artifact.path: artifact for artifact in _tables(row)}
    return next((by_path[name + end] for end in ENDINGS if name + end in by_path), None)


def _tables(row: TrialRow) -> list[Artifact]:
    return [a for a in row.artifacts if a.path.endswith(ENDINGS) and a.path not in row.pruned]
