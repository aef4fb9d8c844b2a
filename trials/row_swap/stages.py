"""Training a model on after rows were changed: those rows, all but them, or everything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from trials.inputs.corpora.windows import ShuffledBatches, Windows
from trials.inputs.models import LanguageModel
from trials.row_swap.config import RowSwapConfig
from trials.row_swap.damage import NewRows


def untie(opened: LanguageModel, scope: str) -> None:
    """Give a tied model a matrix for each side, where only one of them is changed."""
    if scope != "both" and opened.tied:
        copied = opened.output_embedding.weight.detach().clone()
        opened.output_embedding.weight = nn.Parameter(copied)


def matrices(opened: LanguageModel, scope: str) -> list[nn.Parameter]:
    """The matrices that hold changed rows, a tied one once."""
    sides: dict[str, list[Any]] = {
        "input": [opened.input_embedding.weight],
        "output": [opened.output_embedding.weight],
    }
    both = sides["input"] + sides["output"]
    found = sides.get(scope, both)
    return [weight for i, weight in enumerate(found) if all(weight is not w for w in found[:i])]


def write_rows(opened: LanguageModel, tokens: np.ndarray, new: NewRows) -> None:
    """Set rows of the model."""
    rows = torch.from_numpy(np.asarray(tokens, dtype=np.int64))
    sides: tuple[Any, Any] = (opened.input_embedding.weight, opened.output_embedding.weight)
    with torch.no_grad():
        for weight, values in zip(sides, new, strict=True):
            if values is not None:
                weight[rows] = values


def rows_now(opened: LanguageModel, scope: str, tokens: np.ndarray) -> np.ndarray:
    """Rows of the tokens in each matrix, (n_tokens, n_matrices, d_model), a copy."""
    return np.stack([of.detach().cpu().numpy()[tokens] for of in matrices(opened, scope)], axis=1)


def train(
    opened: LanguageModel,
    config: RowSwapConfig,
    tokens: np.ndarray,
    stream: np.ndarray,
    end_if_interrupted: Callable[[], None],
) -> Iterator[int]:
    """Train, and stop after each of `evaluated_steps`, which it yields.

    `end_if_interrupted` is called before every step; it raises where the trial must end.

    Batches are of the text as it comes: with only those sequences that hold a token, the model
    would learn to predict it too often. What is not trained stays as it is, bit for bit.
    """
    batches = ShuffledBatches(
        Windows(stream, min(config.context, opened.context)), config.batch_size, config.seed
    )
    changed = matrices(opened, config.scope)
    others = [p for p in opened.model.parameters() if all(p is not w for w in changed)]
    trained = changed if config.regime == "row" else [*changed, *others]
    for parameter in opened.model.parameters():
        parameter.requires_grad_(any(parameter is t for t in trained))
    optimiser = torch.optim.Adam(trained, lr=config.learning_rate)
    rows = torch.from_numpy(np.asarray(tokens, dtype=np.int64))
    stops = config.evaluated_steps
    for step in range(config.n_steps + 1):
        if step in stops:
            yield step
        if step == config.n_steps:
            return
        end_if_interrupted()
        ids = torch.from_numpy(batches[step])
        logits = opened.model(ids[:, :-1]).logits
        loss = functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        if config.regime != "all":
            for weight in changed:
                _mask(weight, rows, config.regime)
        if config.regime != "row":  # rows trained together would shorten each other's gradient
            nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()


def _mask(weight: nn.Parameter, rows: Tensor, regime: str) -> None:
    """Leave the gradient of the changed rows alone, or of all but them."""
    assert weight.grad is not None
    if regime == "body":
        weight.grad[rows] = 0.0
        return
    kept = weight.grad[rows].clone()
    weight.grad.zero_()
    weight.grad[rows] = kept
