"""Where results are stored: the folder of journals and artifacts, and the tracking store."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sweeper.errors import UserError, masked, nearest, shortened

DEFAULT_ROOT = "results"
ARTIFACTS = "artifacts"
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
    def shown(self) -> str:
        """The tracking URI for messages and pages, without the password."""
        return masked(self.tracking_uri)

    @property
    def is_server(self) -> bool:
        """Whether a tracking server keeps the results, including artifacts."""
        return self.tracking_uri.startswith(("http:", "https:"))

    @property
    def is_local_file(self) -> bool:
        """Whether the database is a SQLite file."""
        return self.tracking_uri.startswith("sqlite:")

    @property
    def database(self) -> Path:
        """Path of the SQLite file; only where `is_local_file`."""
        return Path(self.tracking_uri.removeprefix("sqlite:///"))

    @property
    def is_folder(self) -> bool:
        """Whether the database is in `root`: then the folder can be moved and copied whole."""
        return self.is_local_file and self.database.absolute().parent == self.root

    def artifact_folder(self, uri: str) -> Path | None:
        """The artifact folder of a run on this machine; None if only a server has it.

        MLflow records absolute locations (`uri`), which are wrong once a store was moved, copied or
        mounted elsewhere. So the store's own folder comes first, then the recorded location:
        earlier versions wrote there after a copy.
        """
        recorded = _local_path(uri)
        if recorded is None:
            return None
        own = self.own_artifact_folder(uri)
        candidates = [recorded] if own is None else [own, recorded]
        if not self.is_folder:
            candidates.reverse()
        return next((folder for folder in candidates if folder.is_dir()), candidates[0])

    def own_artifact_folder(self, uri: str) -> Path | None:
        """Where the artifacts of a run belong in `root`; None if the location is not in a store."""
        recorded = _local_path(uri)
        if recorded is None or not self.artifact_root:
            return None
        # <store>/artifacts/<sweep>/<run id>/artifacts
        *_, parent, sweep, run_id, last = ("", "", "", *recorded.parts)
        if parent != ARTIFACTS or last != ARTIFACTS:
            return None
        return self.root / ARTIFACTS / sweep / run_id / last

    def exists(self) -> bool:
        """Whether the store has a database (always true for a server)."""
        return not self.is_local_file or holds_bytes(self.database)

    def sweep_dir(self, sweep: str) -> Path:
        """Folder of one sweep: its journal, staged artifacts, last report."""
        return self.root / "sweeps" / sweep


def holds_bytes(database: Path) -> bool:
    """Whether a database file exists and is not empty."""
    return database.is_file() and database.stat().st_size > 0


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
        _refuse_incomplete(given, where)
        root = Path(DEFAULT_ROOT).absolute()
        served = scheme in ("http", "https")
        return Store(root, given.rstrip("/"), "" if served else (root / ARTIFACTS).as_uri())
    root = Path(given).expanduser().absolute()
    _refuse_unsafe(root, where)
    _refuse_no_folder(root, given, where)
    return Store(root, f"sqlite:///{root / 'mlflow.db'}", (root / ARTIFACTS).as_uri())


def _refuse_unsafe(root: Path, where: str) -> None:
    """Refuse a path that changes inside a database URI: the database would be created elsewhere."""
    text = str(root)
    if not text.isprintable():
        what = f"the path {text!a} holds a character that cannot be printed"
    elif "?" in text:
        what = f"the path '{text}' holds '?', which ends the path in a database URI"
    elif unquote(text) != text:
        what = f"the path '{text}' holds an escape such as %20, which a database URI reads as text"
    else:
        return
    raise UserError(what, where=where, hint="name another folder")


def _refuse_no_folder(root: Path, given: str, where: str) -> None:
    """Refuse a path that is no folder and where none can be created."""
    try:
        nearest_path = next(path for path in (root, *root.parents) if path.exists())
        longest = max(len(os.fsencode(part)) for part in root.parts)
        if longest > os.pathconf(nearest_path, "PC_NAME_MAX"):
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    except OSError as error:  # the name is too long, or the parent folder is not accessible
        raise UserError(f"'{shortened(given)}': {error.strerror}", where=where) from error
    if not nearest_path.is_dir():
        named = given if nearest_path == root else str(nearest_path)
        raise UserError(f"'{named}' is a file; a store is a folder or a URI", where=where)


def _local_path(uri: str) -> Path | None:
    parts = urlsplit(uri)
    return Path(unquote(parts.path)) if parts.scheme in ("", "file") else None


def _refuse_incomplete(uri: str, where: str) -> None:
    """Raise UserError if a store URI does not say which file, database or host it means."""
    parts = urlsplit(uri)
    rule = ""
    if parts.scheme in ("http", "https"):
        rule = "" if parts.hostname else "names no host; write http://HOST:PORT"
    elif parts.scheme == "sqlite":
        file = uri.partition(":///")[2]
        if not file:
            rule = "names no file; write sqlite:////absolute/path/mlflow.db, or a folder"
        elif Path(file).is_dir():
            rule = "is a folder; give the folder itself as the store, or a file in it"
    elif not parts.path.strip("/"):
        rule = f"names no database; write {parts.scheme}://USER@HOST/DATABASE"
    if rule:
        raise UserError(f"'{uri}' {rule}", where=where)


def _first(*candidates: tuple[str | None, str]) -> tuple[str, str]:
    for given, where in candidates:
        if given:
            return given, where
    raise AssertionError("the last candidate is never empty")
