"""Running one trial: the only caller of a kind.

Whatever a kind does, `execute` returns an `Outcome`; only a stop request passes through.
"""

from __future__ import annotations

import csv
import json
import os
import resource
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

from sweeper.errors import UserError, one_line
from sweeper.records import Artifact, Outcome, TrialSpec, TrialState, now_ms
from sweeper.run.provenance import provenance
from sweeper.run.threads import limited_threads
from sweeper.store.artifacts import manifest
from trials import load_kind
from trials.api import Context, TrialError, TrialKind, TrialResult

# A trial draws no bars of its own into the sweep's output.
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

Report = Callable[[int, Mapping[str, float]], None]
FetchArtifact = Callable[[str, str], Path]


class TrialStopped(Exception):
    """Raised out of `context.report` when early stopping ends a trial."""


def execute(
    spec: TrialSpec,
    *,
    artifact_dir: Path,
    checkpoint_dir: Path,
    device: str,
    n_threads: int,
    report: Report,
    fetch_artifact: FetchArtifact,
) -> Outcome:
    """Run `spec` and write its artifacts into `artifact_dir`.

    `checkpoint_dir` is kept if the process dies, so that a retry goes on, and dropped at the end.

    An exception in the kind, undeclared or missing metrics, or a certificate refused make the
    outcome FAILED or uncertified; nothing is raised. `TrialStopped` makes it PRUNED.
    """
    started_ms, clock, cpu = now_ms(), time.perf_counter(), time.process_time()
    metrics: dict[str, float] = {}
    artifacts: tuple[Artifact, ...] = ()
    facts: dict[str, str] = {}
    state, uncertified, error = TrialState.COMPLETE, "", ""
    checkpoint_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sweeper-trial-") as work_dir:
        context = Context(
            device=device,
            n_threads=n_threads,
            work_dir=Path(work_dir),
            checkpoint_dir=checkpoint_dir,
            report=report,
            fetch_artifact=fetch_artifact,
        )
        try:
            result = _run(load_kind(spec.kind), spec, context)
            _write(result, artifact_dir)
            metrics, facts = dict(result.metrics), dict(result.facts)
            artifacts, uncertified = manifest(artifact_dir), result.uncertified
        except TrialStopped:
            state = TrialState.PRUNED
        except (TrialError, UserError) as problem:
            state, error = TrialState.FAILED, one_line(str(problem))
        except Exception as problem:  # a bug in a kind fails its trial, not the sweep
            state, error = TrialState.FAILED, one_line(f"{type(problem).__name__}: {problem}")
            (artifact_dir / "traceback.txt").write_text(traceback.format_exc())
            artifacts = manifest(artifact_dir)
    shutil.rmtree(checkpoint_dir, ignore_errors=True)
    metrics |= {
        "system/wall_s": time.perf_counter() - clock,
        "system/cpu_s": time.process_time() - cpu,
        "system/peak_memory_bytes": _peak_memory_bytes(),
        "system/n_threads": float(n_threads),
    }
    return Outcome(
        key=spec.key,
        state=state,
        metrics=metrics,
        artifacts=artifacts,
        facts=facts,
        provenance=provenance(),
        uncertified=uncertified,
        error=error,
        started_ms=started_ms,
        ended_ms=now_ms(),
    )


def _run(kind: TrialKind, spec: TrialSpec, context: Context) -> TrialResult:
    config = kind.config.model_validate_json(json.dumps(spec.config))
    with limited_threads(context.n_threads):
        result: TrialResult = kind.run(config, context)
    declared, returned = set(kind.metric_names), set(result.metrics)
    if declared != returned:
        difference = ", ".join(sorted(declared ^ returned))
        raise TrialError(f"kind '{kind.name}' declares and returns different metrics: {difference}")
    return result


def _write(result: TrialResult, folder: Path) -> None:
    from safetensors.numpy import save_file

    for stem, tensors in result.arrays.items():
        path = folder / f"{_safe(stem)}.safetensors"
        save_file(dict(tensors), path)
        path.chmod(0o644)  # the library writes it for its owner alone; a team shares a store
    for stem, table in result.tables.items():
        with (folder / f"{_safe(stem)}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(table.keys())
            writer.writerows(zip(*table.values(), strict=True))
    for stem, figure in result.figures.items():
        figure.savefig(folder / f"{_safe(stem)}.png", dpi=120)


def _safe(stem: str) -> str:
    if not stem.replace("_", "").replace("-", "").replace(".", "").isalnum() or ".." in stem:
        raise TrialError(f"artifact name {stem!r}: letters, digits, '.', '-' and '_' only")
    return stem


def _peak_memory_bytes() -> float:
    """Largest resident size of this process so far (a reused worker keeps its earlier peak)."""
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
