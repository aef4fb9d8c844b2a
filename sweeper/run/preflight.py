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
from sweeper.errors import UserError
from sweeper.run.plan import DONE, Plan
from sweeper.store.index import StoredTrial, find_deleted
from sweeper.store.location import Store
from sweeper.store.opening import open_tracking

_DEVICES = ("nvidia[0-9]*", "kfd", "dxg")  # NVIDIA; AMD; either under WSL


def preflight(
    sweep: Sweep,
    store: Store,
    plan: Plan,
    stored: Sequence[StoredTrial],
    *,
    runs_here: bool,
    retry_deleted: bool = False,
) -> None:
    """Refuse a sweep that cannot go well.

    Args:
        sweep: what is to run.
        store: where its results go.
        plan: what of it must run.
        stored: the trials that the store holds.
        runs_here: whether trials run on this machine, so that its GPUs and its torch count.
        retry_deleted: whether trials run again whose runs were deleted in MLflow.

    Raises:
        UserError: a folder or the store cannot be written, results were deleted in MLflow, or a GPU
            is asked for and there is none that torch could use.
    """
    _refuse_read_only_folders(sweep, store)
    if plan.n_new and sweep.resources.gpu and runs_here:
        _refuse_without_gpu(sweep)
    _refuse_deleted(sweep, store, plan, stored, retry_deleted=retry_deleted)
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
    sweep: Sweep, store: Store, plan: Plan, stored: Sequence[StoredTrial], *, retry_deleted: bool
) -> None:
    deleted = find_deleted(store, sweep.name)
    if deleted.sweep:
        raise UserError(
            f"sweep '{sweep.name}' was deleted in MLflow",
            hint=f"restore it (MLflow's UI, or `sweeper fsck --repair {sweep.name}`), or run it "
            "under another file name",
        )
    keys = deleted.keys - {trial.key for trial in stored if trial.state in DONE}
    if plan.specs:  # else the search decides which trials there are
        keys &= {spec.key for spec in plan.specs}
    if keys and not retry_deleted:
        runs = f"{len(keys)} of its trials were" if len(keys) > 1 else "1 of its trials was"
        raise UserError(
            f"{runs} deleted in MLflow",
            where=f"sweep '{sweep.name}'",
            hint=f"`sweeper fsck --repair {sweep.name}` restores, `--retry deleted` runs again",
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


def _torch_version() -> str:
    """Text of the file in which torch says what it was built for; importing it takes seconds."""
    spec = find_spec("torch")
    file = Path(spec.origin or "").with_name("version.py") if spec else None
    return file.read_text(encoding="utf-8") if file and file.is_file() else ""
