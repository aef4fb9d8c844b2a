"""`ray up` and `ray submit` as typed, end to end, on the project's own cluster file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweeper.serve.cluster import submit_sweep

pytestmark = [pytest.mark.cluster, pytest.mark.system]

# A kind without compiled kernels: of the project's copy on the head none is compiled yet.
SWEEP = """\
kind: dictionary_match
fixed:
  first: file:{matrix}
  second: file:{matrix}
  n_nulls: 2
space:
  shared_cosine: [0.2, 0.5]
"""


@pytest.fixture(scope="module")
def sweep_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of one's own over a small random matrix."""
    folder = tmp_path_factory.mktemp("mine")
    np.save(folder / "matrix.npy", np.random.default_rng(0).normal(size=(20, 8)))
    path = folder / "mine.yaml"
    path.write_text(SWEEP.format(matrix=folder / "matrix.npy"))
    return path


@pytest.fixture(scope="module")
def submitted(cluster, sweep_file: Path) -> str:
    """What `ray submit ... -- mine.yaml` said, once the file is in the project on the head."""
    target = "~/embedding-sweeper/mine.yaml"
    copied = cluster.ray("rsync-up", str(cluster.file), str(sweep_file), target)
    assert copied.returncode == 0, copied.stdout
    done = cluster.ray("submit", str(cluster.file), "sweeper/submit.py", "--", "mine.yaml")
    assert done.returncode == 0, done.stdout
    return str(done.stdout)


def stored_trials(tracking_uri: str) -> list[dict[str, Any]]:
    """Every trial in a store."""
    command = [sys.executable, "-m", "sweeper.cli", "ls", "--json", "--store", tracking_uri]
    listing = subprocess.run(command, capture_output=True, check=True)
    trials: list[dict[str, Any]] = json.loads(listing.stdout)
    return trials


def test_a_sweep_file_of_ones_own_lands_in_the_store_that_the_cluster_file_names(
    cluster, submitted
):
    trials = stored_trials(cluster.tracking_uri)
    assert [trial["state"] for trial in trials] == ["COMPLETE", "COMPLETE"]
    assert {trial["sweep"] for trial in trials} == {"mine"}
    assert {trial["params"]["shared_cosine"] for trial in trials} == {0.2, 0.5}
    assert all(trial["metrics"]["shared_frac"] == 1 for trial in trials)


def test_the_same_sweep_through_sweeper_submit_finds_its_trials_done(
    cluster, submitted, sweep_file, monkeypatch, capfd
):
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    assert submit_sweep(str(sweep_file), str(cluster.file)) == 0
    assert "2 reused" in capfd.readouterr().out


def test_a_name_reaches_the_command_line_on_the_head(cluster):
    done = cluster.ray("submit", str(cluster.file), "sweeper/submit.py", "--", "no_such_sweep")
    assert done.returncode == 1
    assert "'no_such_sweep' is neither a file nor a ready-made sweep" in done.stdout


def test_words_after_the_sweep_are_refused_on_the_head(cluster):
    done = cluster.ray("submit", str(cluster.file), "sweeper/submit.py", "--", "mine.yaml", "-x")
    assert done.returncode == 1
    assert "submit: expected one sweep after `--`, got 2 words" in done.stdout


def test_the_project_came_to_the_head(cluster):
    there = {path.name for path in cluster.project_dir.iterdir()}
    assert there >= {"constraints.txt", "pyproject.toml", "sweeper", "trials"}
    assert (cluster.project_dir / "sweeper" / "cli" / "program.py").is_file()
