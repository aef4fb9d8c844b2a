"""Rewrites the artifact locations in the database after a store folder was moved or copied.

MLflow records an absolute location with each experiment and run. Our own readers and writers use
the store's folder (see `Store.artifact_folder`) and do not need this. The MLflow UI does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from sweeper.errors import UserError, disk_full_named
from sweeper.store.location import ARTIFACTS, Store

_PATIENCE_S = 60.0


class _Move(NamedTuple):
    """An experiment whose recorded location is in another store folder."""

    experiment_id: int
    recorded: str
    own: str


def relocate(store: Store) -> int:
    """Point the recorded artifact locations to the store's own folder.

    Only a driver, a repair and a server call this: readers never write. Returns the number of
    experiments that were changed.

    Raises:
        UserError: the database cannot be read or written.
        DiskFull: no space to write it.
    """
    if not store.is_folder or not store.database.is_file():
        return 0
    try:
        with (
            disk_full_named(store.database),
            closing(sqlite3.connect(store.database, timeout=_PATIENCE_S)) as database,
            database,
        ):
            moves = list(_moves(database, store))
            for move in moves:
                _rebase(database, store, move)
            return len(moves)
    except sqlite3.Error as error:
        raise UserError(f"cannot open the store: {error}", where=str(store.database)) from error


def _moves(database: sqlite3.Connection, store: Store) -> Iterator[_Move]:
    tables = database.execute("SELECT name FROM sqlite_master WHERE name = 'experiments'")
    if tables.fetchone() is None:  # created and never migrated
        return
    found = database.execute("SELECT experiment_id, artifact_location FROM experiments").fetchall()
    for experiment_id, recorded in found:
        parts = urlsplit(recorded or "")
        folder = Path(unquote(parts.path))
        if parts.scheme not in ("", "file") or folder.parent.name != ARTIFACTS:
            continue
        own = store.root / ARTIFACTS / folder.name
        if folder.resolve() != own.resolve() and _is_of_a_store(folder.parent.parent):
            yield _Move(experiment_id, recorded, own.as_uri())


def _is_of_a_store(root: Path) -> bool:
    """Whether `root` is or was a store folder. Any other location was chosen on purpose."""
    return not root.is_dir() or (root / "mlflow.db").is_file()


def _rebase(database: sqlite3.Connection, store: Store, move: _Move) -> None:
    database.execute(
        "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?",
        (move.own, move.experiment_id),
    )
    runs = database.execute(
        "SELECT run_uuid, artifact_uri FROM runs WHERE experiment_id = ? AND artifact_uri LIKE ?",
        (move.experiment_id, "%/artifacts"),
    ).fetchall()
    for run_id, recorded in runs:
        own = store.own_artifact_folder(recorded)
        # An earlier version wrote into the original of a copied store: keep that location.
        if own is not None and store.artifact_folder(recorded) == own:
            database.execute(
                "UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?", (own.as_uri(), run_id)
            )
