"""Evidence for fsck: what journal, database and files say about a sweep, without comparing them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from sweeper.records import Artifact
from sweeper.store.artifacts import StagingArea, sha256_of
from sweeper.store.fsck.inspection import Inspection, StoredRun
from sweeper.store.fsck.journal_text import JournalText, ShippedRuns
from sweeper.store.location import Store


class Damage(NamedTuple):
    """An artifact that is missing or differs from its record."""

    artifact: Artifact
    problem: str


class Copy(NamedTuple):
    """An intact copy of an artifact: of a run, or in a local folder if `run` is None."""

    run: StoredRun | None
    path: str
    folder: Path | None = None

    def __str__(self) -> str:
        return f"run {self.run.run_id[:12]}" if self.run else str(self.folder)


@dataclass(frozen=True)
class Evidence:
    """Everything known about one sweep.

    Attributes:
        journal: None if this store folder has none: it was lost, or no driver of this folder
            ever ran the sweep.
        sources: tells which sweep's journal holds a run.
        in_store_folder: whether the database is in the store folder, so that only its drivers write
            to it.
        driver: who runs the sweep now ("" if nobody does).
        runs: its runs in the database, deleted ones included.
        live_trials: trials of all sweeps that are not deleted, by run id.
        deleted: ids of deleted runs of all sweeps.
        removed: ids of runs of all sweeps that `sweeper rm` removed, or began to.
        is_half_removed: whether the removal of the whole sweep was interrupted.
        damaged: by run id, artifacts that are missing or changed.
        leftover: by run id, artifacts that were pruned and whose files are still there.
        unlisted: by run id, files that the record does not name.
        staging: the folder in which trials are staged.
        staged: keys with staged artifacts, each with the damage to them.
        copies: by SHA-256, an intact copy of a damaged artifact.
        partial: staging folders that were never completed.
        checkpoints: checkpoint folders, by key.
        orphans: artifact folders of runs that neither the database nor the journal knows.
        folder: the sweep's folder, with its journal and latest report.
    """

    sweep: str
    journal: JournalText | None
    sources: ShippedRuns
    in_store_folder: bool
    driver: str
    runs: Sequence[StoredRun]
    live_trials: Mapping[str, StoredRun]
    deleted: frozenset[str]
    removed: frozenset[str]
    is_half_removed: bool
    damaged: Mapping[str, Sequence[Damage]]
    leftover: Mapping[str, Sequence[Artifact]]
    unlisted: Mapping[str, Sequence[str]]
    staging: Path
    staged: Mapping[str, Sequence[Damage]]
    copies: Mapping[str, Copy]
    partial: Sequence[Path]
    checkpoints: Mapping[str, Path]
    orphans: Sequence[Path]
    folder: Path

    @cached_property
    def trials(self) -> Mapping[str, Sequence[StoredRun]]:
        """By key, the sweep's trials in the database that are not deleted."""
        by_key: dict[str, list[StoredRun]] = {}
        for run in self.runs:
            if run.role == "trial" and not run.deleted and not run.removed:
                by_key.setdefault(run.key, []).append(run)
        return by_key

    def copy_of(self, damage: Damage) -> Copy | None:
        """An intact copy of a damaged artifact."""
        return self.copies.get(damage.artifact.sha256)


def gather(
    sweep: str,
    store: Store,
    inspection: Inspection | None,
    runs: Sequence[StoredRun],
    *,
    journal: JournalText | None,
    driver: str,
    files: FileIndex,
    sources: ShippedRuns,
    is_half_removed: bool = False,
) -> Evidence:
    """Read everything about `sweep`; every artifact of its trials is hashed.

    `runs` are those of the whole store. They are read after `journal`, so they include everything
    that a running driver had recorded as shipped. `inspection` is None if there is no database.
    `files` are the files in the store's artifact folder.

    Raises:
        UserError: the store does not answer.
    """
    folder = store.sweep_dir(sweep)
    mine = [run for run in runs if run.sweep == sweep]
    damaged: dict[str, list[Damage]] = {}
    leftover: dict[str, list[Artifact]] = {}
    unlisted: dict[str, list[str]] = {}
    for run in mine:
        if inspection is None or run.deleted or run.removed:
            continue
        if run.row and run.holds_artifacts:
            damaged[run.run_id], unknown = _examine(inspection, run, run.row.held)
            pruned = {a.path: a for a in run.row.artifacts if a.path in run.row.pruned}
            leftover[run.run_id] = [pruned[path] for path in unknown if path in pruned]
            unlisted[run.run_id] = [path for path in unknown if path not in pruned]
        elif run.files and run.folder:
            damaged[run.run_id], _ = _examine(inspection, run, run.files)
    staging = StagingArea(folder / "staged")
    staged = {
        path.name: _staged_damage(staging, path.name, journal)
        for path in _folders(staging.root)
        if not path.name.startswith(".")
    }
    lost = [d.artifact for damages in (*damaged.values(), *staged.values()) for d in damages]
    lost += _artifacts_of_missing_runs(journal, mine)
    return Evidence(
        sweep=sweep,
        journal=journal,
        sources=sources,
        in_store_folder=store.is_folder,
        driver=driver,
        runs=mine,
        live_trials={r.run_id: r for r in runs if r.row and not r.deleted and not r.removed},
        deleted=frozenset(run.run_id for run in runs if run.deleted),
        removed=frozenset(run.run_id for run in runs if run.removed),
        is_half_removed=is_half_removed,
        damaged=damaged,
        leftover=leftover,
        unlisted=unlisted,
        staging=staging.root,
        staged=staged,
        copies=_copies(lost, inspection, runs, staging, files),
        partial=[path for path in _folders(staging.root) if path.name.startswith(".")],
        checkpoints={path.name: path for path in _folders(folder / "checkpoints")},
        orphans=_orphans(store.root / "artifacts" / sweep, runs, journal)
        if store.is_folder
        else (),
        folder=folder,
    )


def _orphans(folder: Path, runs: Sequence[StoredRun], journal: JournalText | None) -> list[Path]:
    known = {run.run_id for run in runs}
    if journal:
        known.update(journal.history.run_ids.values())
    return [path for path in _folders(folder) if path.name not in known]


def _examine(
    inspection: Inspection, run: StoredRun, artifacts: Sequence[Artifact]
) -> tuple[list[Damage], list[str]]:
    sizes = inspection.file_sizes(run)
    damaged = []
    for artifact in artifacts:
        if artifact.path not in sizes:
            damaged.append(Damage(artifact, "is missing"))
        elif (n_bytes := sizes[artifact.path]) != artifact.n_bytes:
            damaged.append(Damage(artifact, f"has {n_bytes:,} bytes of {artifact.n_bytes:,}"))
        else:
            with inspection.local_copy(run, artifact.path) as file:
                damaged += _changed(file, artifact)
    recorded = {artifact.path for artifact in artifacts}
    return damaged, sorted(set(sizes) - recorded)


def _changed(file: Path, artifact: Artifact) -> Iterator[Damage]:
    if not file.is_file():
        yield Damage(artifact, "is missing")
    elif (actual := sha256_of(file)) != artifact.sha256:
        recorded = artifact.sha256[:16]
        yield Damage(artifact, f"has SHA-256 {actual[:16]}…, recorded {recorded}…")


def _staged_damage(staging: StagingArea, key: str, journal: JournalText | None) -> list[Damage]:
    outcome = journal.history.outcomes.get(key) if journal else None
    folder = staging.folder(key)
    artifacts = outcome.artifacts if outcome else ()
    return [damage for a in artifacts for damage in _changed(folder / a.path, a)]


def _artifacts_of_missing_runs(
    journal: JournalText | None, runs: Sequence[StoredRun]
) -> Iterator[Artifact]:
    """Artifacts of trials without a run in the database: copies may exist elsewhere."""
    known = {run.key for run in runs if not run.deleted}
    if journal:
        for key, outcome in journal.history.outcomes.items():
            if key not in known and key not in journal.history.sources:
                yield from outcome.artifacts


def _copies(
    lost: Iterable[Artifact],
    inspection: Inspection | None,
    runs: Sequence[StoredRun],
    staging: StagingArea,
    files: FileIndex,
) -> dict[str, Copy]:
    """An intact copy for each digest, if there is one."""
    wanted = {artifact.sha256: artifact for artifact in lost}
    copies: dict[str, Copy] = {}
    if not wanted:
        return copies
    for folder in _folders(staging.root):
        for file in (path for path in folder.rglob("*") if path.is_file()):
            if (digest := sha256_of(file)) in wanted:
                copies.setdefault(digest, Copy(None, file.relative_to(folder).as_posix(), folder))
    for run in runs:
        for artifact in run.row.artifacts if run.row and run.holds_artifacts else ():
            if artifact.sha256 in wanted.keys() - copies.keys() and _is_intact(
                inspection, run, artifact
            ):
                copies[artifact.sha256] = Copy(run, artifact.path)
    for digest in wanted.keys() - copies.keys():
        if (path := files.find(wanted[digest])) is not None:
            copies[digest] = Copy(None, path.name, path.parent)
    return copies


def _is_intact(inspection: Inspection | None, run: StoredRun, artifact: Artifact) -> bool:
    if not inspection or inspection.file_sizes(run).get(artifact.path) != artifact.n_bytes:
        return False
    with inspection.local_copy(run, artifact.path) as file:
        return file.is_file() and sha256_of(file) == artifact.sha256


def _folders(parent: Path) -> list[Path]:
    return sorted(path for path in parent.iterdir() if path.is_dir()) if parent.is_dir() else []


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
