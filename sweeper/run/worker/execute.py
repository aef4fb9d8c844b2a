"""Running one trial: the only caller of a kind.

Whatever a kind does, `execute` returns an `Outcome`. What passes through is no trial's doing: an
interruption, or a machine without memory, disk or GPU.
"""

from __future__ import annotations

import csv
import json
import math
import os
import re
import resource
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from sweeper.errors import DiskFull, NoDevice, UserError, lacks_space, masked, one_line
from sweeper.records import Artifact, Outcome, TrialSpec, TrialState, now_ms
from sweeper.run.driver.interrupts import TrialInterrupted
from sweeper.run.runner import FetchInto
from sweeper.run.worker.provenance import provenance
from sweeper.run.worker.threads import limited_threads
from sweeper.store.artifacts import manifest
from sweeper.store.scratch import scratch_folder
from trials import load_kind
from trials.api import TEXT_BYTES, TEXT_ENDS, Context, TrialError, TrialKind, TrialResult

# A trial draws no bars of its own into the sweep's output.
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

# What torch says on a machine where it finds no GPU that it could use.
_NO_DEVICE = re.compile(
    r"not compiled with (?:CUDA|HIP)|No (?:CUDA|HIP) GPUs are available|no NVIDIA driver"
    r"|NVIDIA driver on your system is too old|CUDA driver version is insufficient"
    r"|CUDA driver initialization failed|CUDA unknown error|no CUDA-capable device"
    r"|all CUDA-capable devices are busy|no kernel image is available|invalid device ordinal",
    re.IGNORECASE,
)

Report = Callable[[int, Mapping[str, float]], None]


class TrialStopped(BaseException):
    """Raised out of `context.report` when early stopping ends a trial; no kind catches it."""


class OutOfMemory(Exception):
    """The machine or the GPU had no memory left for a trial: another try may go better."""


def execute(
    spec: TrialSpec,
    *,
    artifact_dir: Path,
    checkpoint_dir: Path,
    device: str,
    n_threads: int,
    report: Report,
    fetch_artifact: FetchInto,
    interrupted: Callable[[], bool] = bool,
) -> Outcome:
    """Run `spec` and write its artifacts into `artifact_dir`.

    `fetch_artifact(run_id, path, into)` may copy artifacts into a folder that goes with the trial.
    `checkpoint_dir` is kept, so that a retry goes on: whoever makes the outcome durable drops it.

    An exception in the kind, undeclared or missing metrics, an objective that is not finite, or a
    certificate refused make the outcome FAILED or uncertified. `TrialStopped` makes it PRUNED.

    Raises:
        TrialInterrupted: `interrupted` turned true, and the trial has written its checkpoint.
        OutOfMemory: the kind got no memory.
        NoDevice: the kind got no GPU.
        DiskFull: there is no room for what the trial writes.
    """
    started_ms, clock, cpu = now_ms(), time.perf_counter(), time.process_time()
    metrics: dict[str, float] = {}
    artifacts: tuple[Artifact, ...] = ()
    facts: dict[str, str] = {}
    state, uncertified, error = TrialState.COMPLETE, "", ""
    notice = _Notice(interrupted)
    checkpoint_dir.mkdir(parents=True, exist_ok=True)
    with scratch_folder("trial") as folder:
        work_dir, fetched = folder / "work", folder / "fetched"
        work_dir.mkdir()
        fetched.mkdir()
        context = Context(
            device=device,
            n_threads=n_threads,
            work_dir=work_dir,
            checkpoint_dir=checkpoint_dir,
            report=notice.after(report),
            fetch_artifact=lambda run_id, path: fetch_artifact(run_id, path, fetched),
            interrupted=notice.seen,
        )
        try:
            kind = load_kind(spec.kind)
            result = _run(kind, spec, context)
            _write(result, artifact_dir)
            metrics, facts = dict(result.metrics), dict(result.facts)
            artifacts, uncertified = manifest(artifact_dir), result.uncertified
            if not math.isfinite(objective := metrics[kind.objective]):
                state, error = TrialState.FAILED, f"the objective {kind.objective} is {objective}"
        except TrialStopped:
            state = TrialState.PRUNED
        except (DiskFull, NoDevice):
            raise
        except (TrialError, UserError) as problem:
            state, error = TrialState.FAILED, one_line(str(problem))
        except Exception as problem:  # a bug in a kind fails its trial, not the sweep
            if lacks_space(problem):
                raise DiskFull(getattr(problem, "filename", None) or artifact_dir) from problem
            if _lacks_memory(problem):
                raise OutOfMemory(one_line(f"{type(problem).__name__}: {problem}")) from problem
            if device != "cpu" and _NO_DEVICE.search(str(problem)):
                raise NoDevice(one_line(str(problem), 200)) from problem
            state, error = TrialState.FAILED, one_line(f"{type(problem).__name__}: {problem}")
            (artifact_dir / "traceback.txt").write_text(masked(traceback.format_exc()))
            artifacts = manifest(artifact_dir)
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


class _Notice:
    """The request to end, as a kind meets it: at a report, with its checkpoint written.

    A kind that asks `context.interrupted` writes one when it is told; it is not ended before, by a
    request that came since. One that never asks writes one before every report.
    """

    def __init__(self, interrupted: Callable[[], bool]) -> None:
        self._interrupted = interrupted
        self._asks = self._told = False

    def seen(self) -> bool:
        self._asks, self._told = True, self._interrupted()
        return self._told

    def after(self, report: Report) -> Report:
        def report_then_end(step: int, metrics: Mapping[str, float]) -> None:
            report(step, metrics)
            if self._told or (not self._asks and self._interrupted()):
                raise TrialInterrupted

        return report_then_end


def _lacks_memory(problem: Exception) -> bool:
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(problem, torch.OutOfMemoryError):
        return True
    return isinstance(problem, MemoryError) or "DefaultCPUAllocator" in str(problem)


def _run(kind: TrialKind, spec: TrialSpec, context: Context) -> TrialResult:
    config = kind.config.model_validate_json(json.dumps(spec.config))
    _check_inputs(spec, kind.input_digests(config))
    run = kind.function()  # imported first: what loads a BLAS later would not know of the limit
    with limited_threads(context.n_threads):
        result = run(config, context)
    declared, returned = set(kind.metric_names), set(result.metrics)
    if declared != returned:
        difference = ", ".join(sorted(declared ^ returned))
        raise TrialError(f"kind '{kind.name}' declares and returns different metrics: {difference}")
    return result


def _check_inputs(spec: TrialSpec, found: Mapping[str, str]) -> None:
    """TrialError if an input was replaced since the trial was planned: its key names the former."""
    for name, digest in found.items():
        planned = spec.input_digests.get(name, digest)
        if digest != planned:
            raise TrialError(
                f"input '{name}' was replaced while the sweep ran: planned with digest "
                f"{planned[:16]}, now {digest[:16]}; run the sweep again for trials of the new one"
            )


def _write(result: TrialResult, folder: Path) -> None:
    from safetensors.numpy import save_file

    for stem, tensors in result.arrays.items():
        path = folder / f"{_safe(stem)}.safetensors"
        save_file(dict(_as_numbers(tensors)), path)
        path.chmod(0o644)  # the library writes it for its owner alone; a team shares a store
    for stem, table in result.tables.items():
        with (folder / f"{_safe(stem)}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(table.keys())
            writer.writerows(zip(*table.values(), strict=True))
    for stem, figure in result.figures.items():
        figure.savefig(folder / f"{_safe(stem)}.png", dpi=120)
    for stem, page in result.pages.items():
        (folder / f"{_safe(stem)}.html").write_text(page, encoding="utf-8")


def _as_numbers(tensors: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """Tensors as a safetensors file can hold them: of a text its bytes and where it ends."""
    for name, tensor in tensors.items():
        if tensor.dtype.kind not in "OU":
            yield name, tensor
            continue
        encoded = [text.encode(errors="replace") for text in tensor.tolist()]
        yield name + TEXT_BYTES, np.frombuffer(b"".join(encoded), dtype=np.uint8)
        yield name + TEXT_ENDS, np.cumsum([len(each) for each in encoded], dtype=np.int32)


def _safe(stem: str) -> str:
    if not stem.replace("_", "").replace("-", "").replace(".", "").isalnum() or ".." in stem:
        raise TrialError(f"artifact name {stem!r}: letters, digits, '.', '-' and '_' only")
    return stem


def _peak_memory_bytes() -> float:
    """Largest resident size of this process so far (a reused worker keeps its earlier peak)."""
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
