"""Where results live: the folder of journals and staged artifacts, and the tracking store."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sweeper.errors import UserError, nearest

DEFAULT_ROOT = "results"
_SCHEMES = (
    "http",
    "https",
    "sqlite",
    "postgresql",
    "postgresql+psycopg",
    "postgresql+psycopg2",
    "mysql+pymysql",
)


@dataclass(frozen=True)
class Store:
    """A resolved store.

    Attributes:
        root: folder for journals, staged artifacts and reports of this driver.
        tracking_uri: the database of results, as MLflow names it.
        artifact_root: where artifacts go when the driver writes the database itself
            ("" when a tracking server decides).
    """

    root: Path
    tracking_uri: str
    artifact_root: str

    @property
    def is_local_file(self) -> bool:
        """Whether the database is a SQLite file."""
        return self.tracking_uri.startswith("sqlite:")

    @property
    def database(self) -> Path:
        """Path of the SQLite file; only where `is_local_file`."""
        return Path(self.tracking_uri.removeprefix("sqlite:///"))

    def exists(self) -> bool:
        """Whether there is anything to look at (always true for a server)."""
        return not self.is_local_file or self.database.is_file()

    def sweep_dir(self, sweep: str) -> Path:
        """Folder of one sweep: its journal, staged artifacts, last report."""
        return self.root / "sweeps" / sweep


def locate_store(option: str | None = None) -> Store:
    """The store named by `--store`, else SWEEPER_STORE, else MLFLOW_TRACKING_URI, else ./results.

    A folder holds everything (`mlflow.db`, `artifacts/`, `sweeps/`); a URI names the database or
    server only, and journals stay in ./results.

    Raises:
        UserError: a URI of an unknown scheme, or a path that is a file.
    """
    given, where = _first(
        (option, "--store"),
        (os.environ.get("SWEEPER_STORE"), "SWEEPER_STORE"),
        (os.environ.get("MLFLOW_TRACKING_URI"), "MLFLOW_TRACKING_URI"),
        (DEFAULT_ROOT, "default"),
    )
    if "://" in given or given.startswith("sqlite:"):
        scheme = urlsplit(given).scheme
        if scheme not in _SCHEMES:
            raise UserError(
                f"unknown store scheme '{scheme}'", where=where, hint=nearest(scheme, _SCHEMES)
            )
        root = Path(DEFAULT_ROOT).absolute()
        served = scheme in ("http", "https")
        return Store(root, given.rstrip("/"), "" if served else (root / "artifacts").as_uri())
    root = Path(given).expanduser().absolute()
    if root.exists() and not root.is_dir():
        raise UserError(f"'{given}' is a file; a store is a folder or a URI", where=where)
    return Store(root, f"sqlite:///{root / 'mlflow.db'}", (root / "artifacts").as_uri())


def _first(*candidates: tuple[str | None, str]) -> tuple[str, str]:
    for given, where in candidates:
        if given:
            return given, where
    raise AssertionError("the last candidate is never empty")
