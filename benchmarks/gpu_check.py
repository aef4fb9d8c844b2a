"""What a GPU does with the kernels and the training loop, as one JSON file; at most eight minutes.

Nothing is downloaded: rows, dictionaries and text are made on the spot. Each check runs in a
process of its own, so that a CUDA error ends one check only. A check that has failed makes the exit
code 1. Without a GPU every check is "not run" and the exit code is 0. `--device cpu:0 --quick`
runs the same code on small shapes, in torch on the CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest import mock

import numpy as np
import torch

from benchmarks.measure import Reached, differing_objectives, reached, timed
from trials.kernels.dictionaries import LearnedDictionary, learn_dictionary
from trials.kernels.sparse_coding import (
    critical_penalties,
    debiased_codes,
    duality_gap,
    lasso_codes,
    omp_codes_with_mean,
)
from trials.kernels.sparse_coding.device import memory
from trials.lazy import lazy_module

if TYPE_CHECKING:
    from trials.pretrain import config as pretrain
    from trials.pretrain import measure as training_measure
    from trials.pretrain import model as training
else:  # transformers takes seconds, in each of a dozen processes
    pretrain = lazy_module("trials.pretrain.config")
    training_measure = lazy_module("trials.pretrain.measure")
    training = lazy_module("trials.pretrain.model")

_LIMIT_S = 480
_N_SHARING = 4
_READY_S = 60
_TOLERANCE = 1e-5
_RELATIVE_PENALTY = 0.3
_CAP_BYTES = 3 << 29
_STEPS, _FIRST_STEPS = 200, 50  # the first ones compile

Numbers = dict[str, Any]


class Shape(NamedTuple):
    """Planted rows: `sparsity` atoms per row, and a tenth of noise."""

    n_rows: int
    d_model: int
    n_atoms: int
    sparsity: int = 16


class Check(NamedTuple):
    """A check: `run(device, quick)` returns numbers, among them whether it has `passed`."""

    run: Callable[[str, bool], Numbers]
    limit_s: int
    what: str


def planted(shape: Shape, device: str) -> tuple[np.ndarray, np.ndarray, float]:
    """Rows of mean norm 1, a dictionary near the true one, and a penalty for sparse codes."""
    draw = torch.Generator(device).manual_seed(0)
    options: dict[str, Any] = {"generator": draw, "device": device}
    truth = torch.randn((shape.n_atoms, shape.d_model), **options)
    truth /= truth.norm(dim=1, keepdim=True)
    parts = []
    for first in range(0, shape.n_rows, 4096):
        n = min(4096, shape.n_rows - first)
        which = torch.randint(shape.n_atoms, (n, shape.sparsity), **options)
        sizes = torch.randn((n, shape.sparsity), **options)
        rows = (sizes[:, :, None] * truth[which]).sum(dim=1)
        noise = torch.randn(rows.shape, **options) * rows.norm(dim=1, keepdim=True)
        parts.append((rows + 0.1 * noise / shape.d_model**0.5).cpu().numpy())
    signals = np.concatenate(parts)
    signals /= np.linalg.norm(signals[:4096], axis=1).mean()
    atoms = truth + 0.3 * torch.randn(truth.shape, **options) / shape.d_model**0.5
    near = (atoms / atoms.norm(dim=1, keepdim=True)).cpu().numpy()
    critical = critical_penalties(signals[:1024], near, device=device)
    return signals, near, _RELATIVE_PENALTY * float(np.median(critical))


def learned(
    signals: np.ndarray, start: np.ndarray, penalty: float, device: str, n_passes: int
) -> LearnedDictionary:
    """A few passes over all rows, on a device or on two cores."""
    return learn_dictionary(
        signals,
        len(start),
        l1_penalty=penalty,
        warm_start=start,
        max_passes=n_passes,
        rng=np.random.default_rng(0),
        n_threads=2,
        device=device,
    )


def equality(device: str, quick: bool) -> Numbers:
    """Codes and dictionaries of both paths, each held against a certificate in float64."""
    signals, atoms, penalty = planted(
        Shape(400, 32, 64, 4) if quick else Shape(8192, 256, 1024), device
    )
    found: dict[str, Reached] = {}
    for where in ("cpu", device):
        codes = lasso_codes(
            signals, atoms, l1_penalty=penalty, tolerance=_TOLERANCE, n_threads=2, device=where
        ).codes
        found[where] = reached(signals, atoms, codes, penalty)
    faults = differing_objectives(found["cpu"], found[device])
    faults += [f"gap {each.gap:.1e}" for each in found.values() if each.gap > _TOLERANCE]
    fits = [
        debiased_codes(signals, atoms, codes, n_threads=2, device=where).data
        for where in ("cpu", device)
    ]
    fit_difference = float(np.linalg.norm(fits[0] - fits[1]) / np.linalg.norm(fits[0]))
    here, there = (
        omp_codes_with_mean(
            signals, atoms, mean_nonzero=found["cpu"].l0, n_threads=2, device=where
        ).error.sum()
        for where in ("cpu", device)
    )
    start, n_passes = atoms, 10 if quick else 20
    both = [learned(signals, start, penalty, where, n_passes) for where in ("cpu", device)]
    gaps = [
        float(duality_gap(signals, each.atoms, each.codes, l1_penalty=penalty).max())
        for each in both
    ]
    objectives = [float(each.objective[-1]) for each in both]
    again = learned(signals, start, penalty, device, n_passes)
    return {
        "passed": not faults
        and fit_difference < 1e-3
        and abs(there / here - 1) < 1e-3
        and abs(objectives[1] / objectives[0] - 1) < 1e-2
        and gaps[1] <= 3e-4,
        "faults": faults,
        "lasso_objective": {where: each.objective for where, each in found.items()},
        "lasso_gap": {where: each.gap for where, each in found.items()},
        "least_squares_relative_difference": fit_difference,
        "omp_relative_difference": float(there / here - 1),
        "learned_objective": dict(zip(("cpu", device), objectives, strict=True)),
        "learned_gap": dict(zip(("cpu", device), gaps, strict=True)),
        "same_bits_when_repeated": bool(np.array_equal(again.atoms, both[1].atoms)),
    }


def speed(full: Shape, samples: tuple[int, int], device: str, quick: bool) -> Numbers:
    """Time of two passes of learning and of certified codes, vs. two cores on a sample of rows.

    The time on two cores is the line through the times on two samples, at all rows: a part of it
    (Gram matrix, update of the atoms) does not grow with the rows.
    """
    shape = Shape(600, 32, 64, 4) if quick else full
    samples = (100, 200) if quick else samples
    signals, start, penalty = planted(shape, device)
    _ = learned(signals[: samples[0]], start, penalty, device, 1)
    _reset_peak(device)
    device_s, result = timed(partial(learned, signals, start, penalty, device, 2))
    codes_s, codes = timed(
        partial(
            lasso_codes, signals, start, l1_penalty=penalty, tolerance=_TOLERANCE, device=device
        )
    )
    peak = _peak_bytes(device)
    _ = learned(signals[:64], start[:128], penalty, "cpu", 1)
    small_s, large_s = (
        timed(partial(learned, signals[:n], start, penalty, "cpu", 2))[0] for n in samples
    )
    per_row = max(0.0, (large_s - small_s) / (samples[1] - samples[0]))
    cores_s = large_s + per_row * (shape.n_rows - samples[1])
    return {
        "passed": bool(codes.gap.max() <= _TOLERANCE),
        **shape._asdict(),
        "learning_s": device_s,
        "two_cores_s_extrapolated": cores_s,
        "ratio": cores_s / device_s,
        "sample_s": {str(n): s for n, s in zip(samples, (small_s, large_s), strict=True)},
        "codes_s": codes_s,
        "gap_max": float(codes.gap.max()),
        "atoms_per_row": codes.codes.nnz / shape.n_rows,
        "objective": float(result.objective[-1]),
        "peak_memory_bytes": peak,
    }


def sharing(device: str, quick: bool) -> Numbers:
    """Four processes that learn on one GPU at once, each with a cap on its memory, vs. one."""
    alone = _workers(1, device, quick)
    shared = _workers(_N_SHARING, device, quick)
    slowest = max(each["seconds"] for each in shared)
    objectives = [each["objective"] for each in (*alone, *shared)]
    return {
        "passed": max(objectives) / min(objectives) - 1 < 1e-4,
        "alone_s": alone[0]["seconds"],
        "shared_s": slowest,
        "throughput_ratio": _N_SHARING * alone[0]["seconds"] / slowest,
        "objectives": objectives,
    }


def _workers(n: int, device: str, quick: bool) -> list[Numbers]:
    """Results of `n` workers that start their work together."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*_command("--worker", folder, "--workers", str(n), "--device", device)]
        command += ["--quick"] if quick else []
        running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(n)]
        answers = [process.communicate()[0] for process in running]
    return [json.loads(answer) for answer in answers]


def work_together(folder: Path, n_workers: int, device: str, quick: bool) -> Numbers:
    """One of several workers: learn once all of them are ready."""
    if device.startswith("cuda"):
        torch.cuda.set_per_process_memory_fraction(0.8 / _N_SHARING, device)
    shape = Shape(400, 32, 64, 4) if quick else Shape(32_768, 576, 1152)
    signals, start, penalty = planted(shape, device)
    _ = learned(signals[:256], start, penalty, device, 1)
    with tempfile.NamedTemporaryFile(dir=folder, delete=False):
        pass
    deadline = time.perf_counter() + _READY_S
    while len(list(folder.iterdir())) < n_workers:
        if time.perf_counter() > deadline:
            sys.exit(f"the other workers were not ready after {_READY_S} s")
        time.sleep(0.01)
    seconds, result = timed(partial(learned, signals, start, penalty, device, 6))
    return {"seconds": seconds, "objective": float(result.objective[-1])}


def out_of_memory(device: str, quick: bool) -> Numbers:
    """Codes with blocks that do not fit below a cap: they are cut until they do."""
    if not device.startswith("cuda"):
        return {"not_run": "needs CUDA, whose memory can be capped"}
    signals, atoms, penalty = planted(Shape(16_384, 512, 4096), device)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(_CAP_BYTES / total, device)
    _reset_peak(device)
    with mock.patch.object(memory, "_SHARE", 1000.0):
        found = lasso_codes(signals, atoms, l1_penalty=penalty, tolerance=_TOLERANCE, device=device)
    n_failed = int(torch.cuda.memory_stats(device)["num_ooms"])
    return {
        "passed": n_failed > 0 and bool(found.gap.max() <= _TOLERANCE),
        "allocations_that_failed": n_failed,
        "gap_max": float(found.gap.max()),
        "cap_bytes": _CAP_BYTES,
        "peak_memory_bytes": _peak_bytes(device),
    }


def gpt2(device: str, quick: bool) -> Numbers:
    """Steps of the kind `pretrain` at 124M parameters, on Zipf-distributed tokens."""
    n_steps, n_first, batch = (6, 2, 4) if quick else (_STEPS, _FIRST_STEPS, 32)
    size: Numbers = {"size": "tiny" if quick else "124m"}
    context = pretrain.PretrainConfig(tying="tied", **size).context
    config = pretrain.PretrainConfig(
        tying="tied",
        n_tokens=n_steps * batch * context,
        batch_size=batch,
        micro_batch_size=min(batch, 16),
        warm_up_steps=n_first,
        **size,
    )
    n_vocab = 2000 if quick else 50_257
    drawn = np.random.default_rng(0).zipf(1.2, config.n_tokens + 1)
    tokens = (np.minimum(drawn, n_vocab) - 1).astype(np.int32)
    where = device if device.startswith("cuda") else "cpu"
    _reset_peak(device)
    trainer = training.Trainer(training.build_model(config, n_vocab, {}), tokens, config, where)
    trainer.advance(n_first)
    before_s = trainer.training_s
    trainer.advance(n_steps)
    tokens_per_s = (n_steps - n_first) * batch * context / (trainer.training_s - before_s)
    losses = trainer.losses.cpu().numpy()
    share = tokens_per_s * training.flop_per_token(trainer.model) / training_measure._peak(trainer)
    return {
        "passed": bool(np.isfinite(losses).all() and losses[-1] < losses[0]),
        "n_parameters": sum(p.numel() for p in trainer.model.parameters()),
        "n_steps": n_steps,
        "tokens_per_s": tokens_per_s,
        "share_of_peak": None if np.isnan(share) else share,
        "loss_first": float(losses[0]),
        "loss_last": float(losses[-1]),
        "before_timing_s": before_s,
        "peak_memory_bytes": _peak_bytes(device),
    }


# The largest size comes last: it may take what is left of the time.
CHECKS = {
    "equality": Check(equality, 90, "both paths, by certificates"),
    "sharing": Check(sharing, 90, "four trials on one GPU"),
    "out_of_memory": Check(out_of_memory, 60, "blocks that do not fit"),
    "gpt2_124m": Check(gpt2, 120, "200 training steps"),
    "speed_49152x576": Check(
        partial(speed, Shape(49_152, 576, 1152), (1024, 4096)), 60, "1,152 atoms"
    ),
    "speed_128256x2048": Check(
        partial(speed, Shape(128_256, 2048, 4096), (256, 1024)), 90, "4,096 atoms"
    ),
    "speed_256000x2304": Check(
        partial(speed, Shape(256_000, 2304, 9216), (128, 384)), 240, "9,216 atoms"
    ),
}


def _reset_peak(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)


def _peak_bytes(device: str) -> int | None:
    return torch.cuda.max_memory_allocated(device) if device.startswith("cuda") else None


def _command(*options: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.gpu_check", *options]


def outcome_of(name: str, device: str, quick: bool, limit_s: float) -> Numbers:
    """Run a check in a process of its own: its numbers with their status."""
    command = _command("--only", name, "--device", device, *(["--quick"] if quick else []))
    started = time.perf_counter()
    # A session of its own, so that a check ends together with its workers.
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        answer, errors = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return {"status": "failed", "why": f"took longer than {limit_s:.0f} s"}
    seconds = time.perf_counter() - started
    if process.returncode:
        last = errors.strip().splitlines()[-1:] or ["no message"]
        return {"status": "failed", "why": last[0], "seconds": seconds}
    numbers: Numbers = json.loads(answer.splitlines()[-1])
    if "not_run" in numbers:
        return {"status": "not run", "why": numbers["not_run"]}
    status = "passed" if numbers.pop("passed") else "failed"
    return {"status": status, "seconds": seconds, **numbers}


def describe(device: str) -> Numbers:
    """The device and the libraries."""
    is_cuda = device.startswith("cuda") and torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name(device) if is_cuda else device,
        "memory_bytes": torch.cuda.get_device_properties(device).total_memory if is_cuda else None,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
    }


def check_all(device: str, quick: bool, output: Path) -> int:
    """Run every check, write the file after each; the number of failures."""
    why = "" if not device.startswith("cuda") or torch.cuda.is_available() else "no GPU at hand"
    deadline = time.perf_counter() + _LIMIT_S
    outcomes: dict[str, Numbers] = {}
    for name, check in CHECKS.items():
        left = deadline - time.perf_counter()
        if why or left < 10:
            outcomes[name] = {"status": "not run", "why": why or "the eight minutes are over"}
        else:
            outcomes[name] = outcome_of(name, device, quick, min(left, check.limit_s))
        found = outcomes[name]
        print(f"{name:20}  {check.what:28}  {found['status']:8}  {found.get('why', '')}".rstrip())
        output.write_text(json.dumps(describe(device) | {"checks": outcomes}, indent=2) + "\n")
    if why:
        print(f"torch {torch.__version__} finds no CUDA device: nothing was run on a GPU")
    print(f"wrote {output}")
    return sum(found["status"] == "failed" for found in outcomes.values())


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--device", default="cuda:0", help="torch device (cuda:0)")
    parser.add_argument("--quick", action="store_true", help="small shapes, in seconds")
    parser.add_argument("--output", type=Path, default=Path("gpu-check.json"), help="the file")
    parser.add_argument("--only", choices=CHECKS, help="one check, in this process")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--workers", type=int, default=1, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        print(json.dumps(work_together(given.worker, given.workers, given.device, given.quick)))
        return 0
    if given.only:
        print(json.dumps(CHECKS[given.only].run(given.device, given.quick)))
        return 0
    return int(check_all(given.device, given.quick, given.output) > 0)


if __name__ == "__main__":
    sys.exit(main())
