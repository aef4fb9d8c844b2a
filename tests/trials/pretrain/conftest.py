from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trials.tiny_training import leave
from trials.api import Context, TrialResult
from trials.pretrain.config import PretrainConfig
from trials.pretrain.kind import KIND

SUBJECTS = ["the cat", "a dog", "my aunt", "the king", "one child", "that bird"]
VERBS = {"the cat": "sleeps", "a dog": "barks", "my aunt": "sings", "the king": "rules"}
PLACES = ["in the house", "under a tree", "by the river", "at night", "on the road"]


class Runs:
    """Trials on one text; what a trial left can be fetched under the run id it was given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def config(self, **changes: Any) -> PretrainConfig:
        return PretrainConfig.model_validate(
            {
                "tying": "untied",
                "corpus": f"corpus:{self.folder / 'text.txt'}",
                "n_vocab": 320,
                "validation_frac": 0.1,
                "held_out_frac": 0.1,
                "n_layers": 2,
                "n_heads": 2,
                "d_model": 32,
                "context": 16,
                "n_tokens": 5120,
                "batch_size": 8,
                "warm_up_steps": 5,
                "learning_rate": 0.01,
                "n_evaluations": 4,
                "evaluation_tokens": 3000,
                **changes,
            }
        )

    def context(self, name: str = "trial", **changes: Any) -> Context:
        work_dir, checkpoint_dir = self.folder / f"{name}-work", self.folder / f"{name}-checkpoints"
        for path in (work_dir, checkpoint_dir):
            path.mkdir(exist_ok=True)

        def report(step: int, metrics: Any) -> None:
            pass

        context = Context("cpu", 1, work_dir, checkpoint_dir, report, self.fetch)
        return context._replace(**changes)

    def run(self, run_id: str = "", **changes: Any) -> TrialResult:
        result = KIND.execute(self.config(**changes), self.context())
        if run_id:
            self.leave(run_id, result)
        return result

    def leave(self, run_id: str, result: TrialResult) -> None:
        folder = self.folder / "runs" / run_id
        folder.mkdir(parents=True)
        leave(folder, result)

    def fetch(self, run_id: str, path: str) -> Path:
        found = self.folder / "runs" / run_id / path
        if not found.is_file():
            raise FileNotFoundError(f"{run_id}/{path}")
        return found


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    rng = np.random.default_rng(0)
    lines = []
    for _ in range(7000):
        subject = str(rng.choice(SUBJECTS))
        lines.append(f"{subject} {VERBS.get(subject, 'waits')} {rng.choice(PLACES)}.\n")
    (tmp_path / "text.txt").write_text("".join(lines))
    return Runs(tmp_path)


@pytest.fixture
def loss_of() -> Callable[[TrialResult], np.ndarray]:
    """The loss of every step of training."""
    return lambda result: np.asarray(result.arrays["training"]["loss"])
