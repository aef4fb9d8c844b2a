"""What a store holds of one trial besides its row: its spec, its reports over steps, its files.

Where the database can be read directly, this needs no mlflow.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sweeper.errors import NoSuchArtifact, nearest
from sweeper.records import Artifact, TrialRow, TrialSpec
from sweeper.store.artifacts import verify
from sweeper.store.run_format.record import RECORD_TAGS, trial_spec, unclipped
from sweeper.store.sql import SqlReader
from sweeper.store.sql.database import open_database
from sweeper.store.sql.trials import read_tags

if TYPE_CHECKING:
    from sweeper.store.opening import Reader

_HISTORY = """
SELECT step, timestamp, value, is_nan FROM metrics
WHERE run_uuid = ? AND key = ? ORDER BY step, timestamp
"""
_ARTIFACT_URI = "SELECT artifact_uri FROM runs WHERE run_uuid = ?"


class Reported(NamedTuple):
    """A value of a metric, and when it was logged (Unix time in milliseconds)."""

    step: int
    at_ms: int
    value: float


def read_spec(reader: Reader, run_id: str) -> TrialSpec:
    """The spec of a stored trial, with its whole config; UserError if its record is damaged."""
    if not isinstance(reader, SqlReader):
        return reader.results.spec(run_id)
    with open_database(reader.store) as database:
        tags = read_tags(database, [run_id], (*RECORD_TAGS, "kind", "trial_key", "state"))
    return trial_spec(run_id, tags[run_id])


def read_history(reader: Reader, row: TrialRow, metric: str) -> list[Reported]:
    """Every value of a metric that a trial reported, in the order of the steps; its result last."""
    run_id = row.reused_from or row.run_id
    if not isinstance(reader, SqlReader):
        return [Reported(*value) for value in reader.results.history(run_id, metric)]
    with open_database(reader.store) as database:
        found = database.select(_HISTORY, [run_id, metric])
    return [
        Reported(int(step), int(at_ms), float("nan") if is_nan else unclipped(float(value)))
        for step, at_ms, value, is_nan in found
    ]


def recorded_artifact(row: TrialRow, path: str) -> Artifact:
    """The record of an artifact; NoSuchArtifact names the nearest that the trial left."""
    recorded = {artifact.path: artifact for artifact in row.artifacts}
    if path not in recorded:
        what = f"trial '{row.label}' has no artifact '{path}'"
        raise NoSuchArtifact(what, hint=nearest(path, recorded))
    return recorded[path]


def artifact_here(reader: SqlReader, row: TrialRow, path: str) -> Path | None:
    """An artifact of a trial as a file on this machine, verified by its recorded digest.

    None if only a server or an object store has it.

    Raises:
        NoSuchArtifact: the trial left no such artifact.
        UserError: its content differs from the record.
    """
    recorded = recorded_artifact(row, path)
    with open_database(reader.store) as database:
        found = database.select(_ARTIFACT_URI, [row.reused_from or row.run_id])
    folder = reader.store.artifact_folder(str(found[0][0] or "")) if found else None
    if folder is None or not folder.is_dir():
        return None
    return verify(folder / path, recorded)
