"""Asking a stored trial's question once more, beside the store."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from sweeper.errors import UserError, nearest, one_line
from sweeper.records import Outcome, TrialRow, TrialSpec, TrialState
from sweeper.run.runner import Job, artifact_fetcher
from sweeper.run.worker.execute import OutOfMemory, execute
from sweeper.store.location import Store
from sweeper.store.scratch import scratch_folder
from trials import kind_names, load_kind
from trials.api import TrialError

_CANNOT = "the same question cannot be asked again"


def rerun(row: TrialRow, spec: TrialSpec, store: Store, device: str | None = None) -> Outcome:
    """Run `spec` in this process with as many threads as `row` had; nothing is stored.

    The device is the GPU if the trial had seen one and there is one here, else the CPU.

    Raises:
        UserError: the trial has no result to compare with, its kind or an input is another one
            today, or the machine has no memory for it.
    """
    _refuse_unfinished(row)
    _refuse_another_question(row, spec)
    with scratch_folder("rerun") as folder:
        (folder / "artifacts").mkdir()
        job = Job(
            sweep=row.sweep,
            working_dir=Path.cwd(),
            cpu=row.metrics.get("system/n_threads", 1.0),
            gpu=0,
            staging_root=folder,
            checkpoint_root=folder,
            store_root=store.root,
            tracking_uri=store.tracking_uri,
            artifact_root=store.artifact_root,
        )
        try:
            return execute(
                spec,
                artifact_dir=folder / "artifacts",
                checkpoint_dir=folder / "checkpoints",
                device=device or _device(row),
                n_threads=job.n_threads,
                report=lambda step, metrics: None,
                fetch_artifact=artifact_fetcher(job),
            )
        except OutOfMemory as error:
            raise UserError(f"no memory for trial {row.label}: {error}") from error


def _refuse_unfinished(row: TrialRow) -> None:
    if row.state is TrialState.PRUNED:
        raise UserError(f"trial {row.label} was stopped early: it has no result to compare with")
    if row.state in (TrialState.WAITING, TrialState.RUNNING):
        raise UserError(
            f"trial {row.label} has not finished ({row.state})", hint=f"sweeper run {row.sweep}"
        )


def _refuse_another_question(row: TrialRow, spec: TrialSpec) -> None:
    if spec.kind not in kind_names():
        raise UserError(
            f"kind '{spec.kind}' is not installed", hint=nearest(spec.kind, kind_names())
        )
    kind = load_kind(spec.kind)
    if kind.version != spec.kind_version:
        raise UserError(
            f"trial {row.label} was run by kind '{kind.name}' version {spec.kind_version}, "
            f"installed is version {kind.version}: {_CANNOT}"
        )
    try:
        config = kind.config.model_validate_json(json.dumps(spec.config))
        digests = kind.input_digests(config)
    except (ValidationError, TrialError) as error:
        raise UserError(f"trial {row.label}: {one_line(str(error), 300)}: {_CANNOT}") from error
    for name in sorted({*digests, *spec.input_digests}):
        before, now = spec.input_digests.get(name, "none"), digests.get(name, "none")
        if before != now:
            raise UserError(
                f"input '{name}' of trial {row.label} had digest {before[:16]}, "
                f"has {now[:16]} now: {_CANNOT}"
            )


def _device(row: TrialRow) -> str:
    if row.provenance.get("gpu"):
        import torch

        if torch.cuda.is_available():
            return "cuda:0"
    return "cpu"
