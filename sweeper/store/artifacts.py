"""Artifact files of a trial: they appear complete or not at all, and have digests."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Collection, Iterator
from pathlib import Path

from sweeper.errors import UserError, disk_full_named
from sweeper.records import Artifact


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest(folder: Path) -> tuple[Artifact, ...]:
    """Every file below `folder` with size and digest, in path order."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple(
        Artifact(
            path=path.relative_to(folder).as_posix(),
            sha256=sha256_of(path),
            n_bytes=path.stat().st_size,
        )
        for path in files
    )


def verify(path: Path, expected: Artifact) -> Path:
    """Return `path` if the file has the size and digest of `expected`.

    Raises:
        UserError: the file is missing, cut short or changed.
    """
    if not path.is_file():
        raise UserError(f"artifact '{expected.path}' is missing", where=str(path))
    actual = sha256_of(path)
    if actual != expected.sha256:
        raise UserError(
            f"artifact '{expected.path}' has SHA-256 {actual[:16]}…, "
            f"recorded {expected.sha256[:16]}…: the file was changed or cut short",
            where=str(path),
        )
    return path


def put_file(source: Path, target: Path) -> None:
    """Copy `source` to `target` atomically: the target appears complete and synced to disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        shutil.copyfile(source, partial)
        _to_disk(partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


class StagingArea:
    """Finished trials' artifacts on the driver's disk, between the worker and the database.

    A trial's folder appears under its key in one rename, after its bytes are on disk.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._partial: dict[str, Path] = {}

    def folder(self, key: str) -> Path:
        """The folder of the complete artifacts of `key`."""
        return self.root / key

    def begin(self, key: str) -> Path:
        """A new folder for the artifacts of `key`; an earlier attempt is removed.

        Each attempt has its own folder: a worker may outlive its dead driver for some seconds.

        Raises:
            DiskFull: no space for a folder.
        """
        self._drop_partial(key)
        partial = self._partial[key] = self.root / f".{key}.{uuid.uuid4().hex[:8]}.partial"
        with disk_full_named(partial):
            partial.mkdir(parents=True)
        return partial

    def commit(self, key: str) -> Path:
        """Publish what was written since `begin` as `folder(key)`.

        Raises:
            DiskFull: not everything could be synced to disk.
        """
        partial, final = self._partial.pop(key), self.folder(key)
        with disk_full_named(self.root):
            for path in _files(partial):
                _to_disk(path)
            shutil.rmtree(final, ignore_errors=True)
            partial.replace(final)
            _to_disk(self.root)
        return final

    def verify(self, key: str, artifacts: Collection[Artifact]) -> None:
        """Raise UserError if one of a trial's `artifacts` is missing or was changed."""
        for artifact in artifacts:
            verify(self.folder(key) / artifact.path, artifact)

    def drop(self, key: str) -> None:
        """Remove the complete artifacts of `key`: the database has them."""
        shutil.rmtree(self.folder(key), ignore_errors=True)

    def keep_only(self, keys: Collection[str]) -> None:
        """Remove everything that dead drivers left, except the complete artifacts of `keys`."""
        for folder in self.root.glob("*"):
            if folder.name not in keys:
                shutil.rmtree(folder, ignore_errors=True)

    def _drop_partial(self, key: str) -> None:
        for partial in self.root.glob(f".{key}.*partial"):
            shutil.rmtree(partial, ignore_errors=True)


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
