from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from trials.api import Context, TrialResult
from trials.embedding_only.config import EmbeddingOnlyConfig
from trials.embedding_only.kind import KIND

SMALLEST: Mapping[str, Mapping[str, Any]] = {
    "modular_addition": {"modulus": 7, "n_test": 10},
    "needle": {"n_pairs": 3, "n_values": 6},
    "decimal_addition": {"n_digits": 2},
    "brackets": {"n_brackets": 16},
    "memorisation": {"n_keys": 12, "n_values": 4},
    "language_modelling": {
        "n_vocab": 300,
        "context": 16,
        "validation_frac": 0.1,
        "held_out_frac": 0.1,
    },
}


class Trials:
    """Trials of the smallest size."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def config(self, **changes: Any) -> EmbeddingOnlyConfig:
        task = changes.get("task", "needle")
        text = {"corpus": f"corpus:{self.folder / 'text.txt'}"} if "language" in task else {}
        return EmbeddingOnlyConfig.model_validate(
            {
                "task": task,
                "n_layers": 2,
                "n_heads": 2,
                "d_model": 16,
                "batch_size": 8,
                "n_steps": 12,
                "warm_up_steps": 3,
                "n_test": 30,
                "n_evaluations": 3,
                **SMALLEST[task],
                **text,
                **changes,
            }
        )

    def context(self, name: str = "trial", **changes: Any) -> Context:
        work_dir, checkpoint_dir = self.folder / f"{name}-work", self.folder / f"{name}-checkpoints"
        for path in (work_dir, checkpoint_dir):
            path.mkdir(exist_ok=True)

        def report(step: int, metrics: Mapping[str, float]) -> None:
            pass

        def fetch(run_id: str, path: str) -> Path:
            raise FileNotFoundError(path)

        context = Context("cpu", 1, work_dir, checkpoint_dir, report, fetch)
        return context._replace(**changes)

    def run(self, **changes: Any) -> TrialResult:
        return KIND.execute(self.config(**changes), self.context())


@pytest.fixture
def trials_here(tmp_path: Path) -> Trials:
    words = ("the cat sleeps in the house.\n", "a dog barks by the river.\n", "one king waits.\n")
    (tmp_path / "text.txt").write_text("".join(words[i * i % 7 % 3] for i in range(9000)))
    return Trials(tmp_path)


@pytest.fixture
def weights_of() -> Callable[[Any], dict[str, Any]]:
    """A copy of all weights of a model."""
    return lambda model: {n: p.detach().clone() for n, p in model.named_parameters()}
