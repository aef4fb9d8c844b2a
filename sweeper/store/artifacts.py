"""Artifact files of a trial: written whole or not at all, named by digest."""

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
    """`path`, after its size and digest have been held against `expected`.

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
    """Copy `source` to `target`, which appears whole and on the disk, or not at all."""
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
        """Where the artifacts of `key` lie once complete."""
        return self.root / key

    def begin(self, key: str) -> Path:
        """An empty folder to write the artifacts of `key` into; an earlier attempt is dropped.

        No two attempts have the same: a dead driver's worker may live for some seconds more.

        Raises:
            DiskFull: there is no room for a folder.
        """
        self._drop_partial(key)
        partial = self._partial[key] = self.root / f".{key}.{uuid.uuid4().hex[:8]}.partial"
        with disk_full_named(partial):
            partial.mkdir(parents=True)
        return partial

    def commit(self, key: str) -> Path:
        """Make what was written since `begin` visible as `folder(key)`.

        Raises:
            DiskFull: not all of it could be written to the disk.
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
        """Raise UserError if one of a trial's `artifacts` is missing here or was changed."""
        for artifact in artifacts:
            verify(self.folder(key) / artifact.path, artifact)

    def drop(self, key: str) -> None:
        """Forget the complete artifacts of `key`: they are in the database."""
        shutil.rmtree(self.folder(key), ignore_errors=True)

    def keep_only(self, keys: Collection[str]) -> None:
        """Remove what dead drivers left, except the complete artifacts of `keys`."""
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
