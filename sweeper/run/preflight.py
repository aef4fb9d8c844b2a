"""What must hold before the first trial starts, checked within seconds.

A sweep that could not store its results, or whose every trial would fail, is refused in one line
before anything is written.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sweeper.declare.sweep import Sweep
from sweeper.errors import SweepDeleted, UserError
from sweeper.run.plan import DONE, MISSING_ONLY, Plan, Retry
from sweeper.run.runner import Runner
from sweeper.store.index import StoredTrial, find_deleted
from sweeper.store.location import Store
from sweeper.store.opening import open_tracking
from trials import machine

_DEVICES = ("nvidia[0-9]*", "kfd", "dxg")  # NVIDIA; AMD; either under WSL


def preflight(
    sweep: Sweep,
    store: Store,
    plan: Plan,
    stored: Sequence[StoredTrial],
    *,
    runner: Runner,
    retry: Retry = MISSING_ONLY,
) -> None:
    """Refuse a sweep that cannot go well.

    Args:
        sweep: what is to run.
        store: where its results go.
        plan: what of it must run.
        stored: the trials that the store holds.
        runner: what will run it. If trials run on this machine, its cores, GPUs and torch count.
        retry: which trials run although the store holds them.

    Raises:
        UserError: a folder or the store cannot be written, results were deleted in MLflow, or a
            trial asks for more cores than there are, or for a GPU that torch could not use.
    """
    _refuse_read_only_folders(sweep, store)
    if plan.n_new:
        _refuse_too_few_cores(sweep, runner)
    if plan.n_new and sweep.resources.gpu and runner.runs_here:
        _refuse_without_gpu(sweep)
    _refuse_deleted(sweep, store, plan, stored, retry)
    if not store.is_local_file:
        open_tracking(store).refuse_read_only(sweep.name)


def _refuse_read_only_folders(sweep: Sweep, store: Store) -> None:
    folders = [store.sweep_dir(sweep.name)]
    if store.artifact_root.startswith("file:"):
        folders.append(Path(unquote(urlsplit(store.artifact_root).path), sweep.name))
    if store.is_local_file:
        folders.append(store.database.absolute().parent)
        if store.database.exists() and not os.access(store.database, os.W_OK):
            raise UserError("the store is read-only", where=str(store.database))
    for folder in folders:
        first = next(path for path in (folder, *folder.parents) if path.exists())
        if not first.is_dir():
            raise UserError("is a file, where a folder of the store belongs", where=str(first))
        if not os.access(first, os.W_OK | os.X_OK):
            raise UserError("the store is read-only: cannot write this folder", where=str(first))


def _refuse_deleted(
    sweep: Sweep, store: Store, plan: Plan, stored: Sequence[StoredTrial], retry: Retry
) -> None:
    deleted = find_deleted(store, sweep.name)
    if deleted.sweep:
        raise SweepDeleted(sweep.name)
    if deleted.is_half_removed:
        raise UserError(
            "a removal was interrupted",
            where=f"sweep '{sweep.name}'",
            hint=f"`sweeper fsck --repair {sweep.name}` finishes it",
        )
    if retry.deleted or retry.everything:
        return
    keys = deleted.keys - {trial.key for trial in stored if trial.state in DONE}
    if plan.specs:  # else the search decides which trials there are
        keys &= {spec.key for spec in plan.specs}
    if keys:
        runs = f"{len(keys)} of its trials were" if len(keys) > 1 else "1 of its trials was"
        raise UserError(
            f"{runs} deleted in MLflow",
            where=f"sweep '{sweep.name}'",
            hint=f"`sweeper fsck --repair {sweep.name}` restores, `--retry deleted` runs again",
        )


def _refuse_too_few_cores(sweep: Sweep, runner: Runner) -> None:
    wanted, there = sweep.resources.cpu, runner.n_cpus
    if wanted > there:
        raise UserError(
            f"a trial asks for {wanted:g} cores, and this machine grants {there:g}",
            where=f"{sweep.origin}: resources.cpu",
            hint=f"set it to {there:g} or less",
        )


def _refuse_without_gpu(sweep: Sweep) -> None:
    where, hint = f"{sweep.origin}: resources.gpu {sweep.resources.gpu:g}", "or set it to 0"
    version = _torch_version()
    if version and re.search(r"^(?:cuda|hip)\b.*= *['\"]", version, re.MULTILINE) is None:
        name = re.search(r"__version__ = '(.*)'", version)
        build = f"torch {name[1]}" if name else "torch"
        raise UserError(
            f"{build} is built for the CPU only", where=where, hint=f"install a GPU build, {hint}"
        )
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        raise UserError(
            "CUDA_VISIBLE_DEVICES hides every GPU", where=where, hint=f"unset it, {hint}"
        )
    if not any(path for name in _DEVICES for path in Path("/dev").glob(name)):
        raise UserError("this machine has no GPU", where=where, hint=hint)
    there = machine.n_gpus()
    if 0 < there < sweep.resources.gpu:  # AMD's and WSL's devices are not counted
        raise UserError(
            f"this machine shows {there} GPUs", where=where, hint=f"set it to {there} or less"
        )


def _torch_version() -> str:
    """Text of the file in which torch says what it was built for; importing it takes seconds."""
    spec = find_spec("torch")
    file = Path(spec.origin or "").with_name("version.py") if spec else None
    return file.read_text(encoding="utf-8") if file and file.is_file() else ""
