"""The disk is full under the journal, the artifacts or the database."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from chaos.driver import Ended
from chaos.stored import n_wrong
from chaos.sweep import MakeSweep, Sweep
from chaos.table import Demand

from sweeper.records import TrialState
from sweeper.store.artifacts import sha256_of

N_TRIALS = 4
# 80 kB of journal a trial, and whatever artifact is asked for.
SWEEP = f"""
kind: stepper
fixed: {{marks: marks, n_steps: 500, checkpoint_every: 100, n_values: %d}}
space: {{x: {{low: -2.0, high: 2.0, points: {N_TRIALS}}}}}
"""


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """`folder` on a tmpfs of that size; what lies in it moves there and, at the end, back."""
    kept = folder.with_name(f"{folder.name}-kept")
    shutil.copytree(folder, kept) if folder.exists() else kept.mkdir(parents=True)
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "chaos", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {mounted.stderr.strip()}")
    try:
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        yield
        shutil.rmtree(kept)
        shutil.copytree(folder, kept)
    finally:
        subprocess.run(["umount", str(folder)], check=True)
    shutil.rmtree(folder)
    kept.rename(folder)


def demand_a_clear_end(demand: Demand, fault: str, sweep: Sweep, full: Ended, path: Path) -> None:
    """One line that names the path, and nothing half-written in sight."""
    last = full.stderr.strip().splitlines()[-1] if full.stderr.strip() else ""
    demand(fault, 1, "exit code", full.code, equals=2)
    demand(fault, 1, "the last line names the path", str(path) in last, equals=True)
    demand(fault, 1, "half artifacts in sight", n_half_artifacts(sweep), equals=0)


def n_half_artifacts(sweep: Sweep) -> int:
    """Artifacts of complete trials that are not there, or are not what was recorded."""
    half = 0
    for row in sweep.rows():
        if row.state is TrialState.COMPLETE:
            for artifact in row.artifacts:
                path = sweep.root / "artifacts" / sweep.name / row.run_id / "artifacts"
                whole = path / artifact.path
                half += not whole.is_file() or sha256_of(whole) != artifact.sha256
    return half


def demand_it_finishes(demand: Demand, fault: str, sweep: Sweep) -> None:
    """The same command, once there is space."""
    again = sweep.run()
    demand(fault, 1, "exit code with space", again.code, equals=0)
    demand(fault, 1, "finished trials lost", sweep.n_lost(), equals=0)
    database, rows = sweep.database, sweep.rows()
    complete = sum(row.state is TrialState.COMPLETE for row in rows)
    demand(fault, 1, "trials complete", complete, equals=N_TRIALS)
    n_emitted, missing, _ = database.unlike_emitted(rows)
    demand(fault, 1, f"metric points missing or wrong, of {n_emitted}", missing, equals=0)
    demand(fault, 1, "values in the table unlike the trial's", n_wrong(rows), equals=0)
    demand(fault, 1, "duplicate runs", database.duplicates(), equals=0)
    demand(fault, 1, "RUNNING orphans", database.orphans(), equals=0)
    demand(fault, 1, "half artifacts in sight", n_half_artifacts(sweep), equals=0)


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("what", "folder", "size", "n_values", "ray"),
    [
        ("journal", "sweeps", "200k", 8, False),
        ("artifacts, staged", "sweeps/steps/staged", "400k", 65_000, False),
        ("artifacts, staged by a Ray worker", "sweeps/steps/staged", "400k", 65_000, True),
        ("artifacts, stored", "artifacts", "1200k", 65_000, False),
        ("database and all", "", "1500k", 8, False),
    ],
)
def test_a_sweep_on_a_full_disk_names_it_and_finishes_with_space(
    make_sweep: MakeSweep,
    demand: Demand,
    what: str,
    folder: str,
    size: str,
    n_values: int,
    ray: bool,
) -> None:
    fault, text = f"disk full (tmpfs): {what}", SWEEP % n_values
    sweep = make_sweep(text, ray=ray)
    with small_disk(sweep.root / folder, size):
        full = sweep.run()
    demand_a_clear_end(demand, fault, sweep, full, sweep.root / folder)
    demand_it_finishes(demand, fault, sweep)


def test_a_sweep_whose_files_may_not_grow_names_them_and_finishes_with_space(
    make_sweep: MakeSweep, demand: Demand
) -> None:
    fault = "disk full (RLIMIT_FSIZE): artifacts"
    text = (SWEEP % 1_000_000).replace("n_steps: 500", "n_steps: 10")
    sweep = make_sweep(text)
    full = sweep.run(largest_file_bytes=7_000_000)  # an artifact has 8 MB
    demand_a_clear_end(demand, fault, sweep, full, sweep.root)
    demand_it_finishes(demand, fault, sweep)
