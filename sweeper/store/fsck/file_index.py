"""Finds files by their content."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from sweeper.records import Artifact
from sweeper.store.artifacts import sha256_of


class FileIndex:
    """Files below `root`, and `others`, by size and SHA-256, read at first use.

    Only files of a requested size are hashed.
    """

    def __init__(self, root: Path, others: Iterable[Path] = ()) -> None:
        self._root, self._others = root, others
        self._hashed: dict[int, dict[str, Path]] = {}

    def find(self, artifact: Artifact) -> Path | None:
        """A file with the content of `artifact`, None if there is none."""
        n_bytes = artifact.n_bytes
        if n_bytes not in self._hashed:
            files = reversed(self._by_size.get(n_bytes, []))  # of several, the first
            self._hashed[n_bytes] = {sha256_of(path): path for path in files if path.is_file()}
        return self._hashed[n_bytes].get(artifact.sha256)

    @cached_property
    def _by_size(self) -> dict[int, list[Path]]:
        by_size: dict[int, list[Path]] = {}
        for path in (*sorted(self._root.rglob("*")), *self._others):
            if path.is_file():
                by_size.setdefault(path.stat().st_size, []).append(path)
        return by_size
