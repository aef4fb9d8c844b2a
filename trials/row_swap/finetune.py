"""Fine-tuning after rows were changed, next to the same fine-tuning of the unchanged model.

Fine-tuning on the text also helps a model in which nothing was changed, so each group of rows is
trained twice from the original model, on the same batches: with its rows changed, and without (the
null). The damage that is left is the difference of the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from trials.inputs.corpora import TokenisedCorpus
from trials.inputs.corpora.windows import Windows
from trials.inputs.models import LanguageModel
from trials.row_swap.damage import (
    Damage,
    Losses,
    Original,
    damage,
    losses_of_whole,
    packed,
    unpacked,
)
from trials.row_swap.kind import RowSwapConfig
from trials.row_swap.rows import NewRows, matrices, rows_now, write_rows
from trials.row_swap.text import Exposure
from trials.training.parts import Parts

_LARGEST_GRADIENT = 1.0


class WeightedBatches:
    """Batches in which rare tokens occur, and whose weighted loss is that of the text.

    Half of each batch is drawn from all windows, the other half from windows that contain one of
    `tokens`, each token being equally likely. A window has weight p / q, where p is its probability
    in the text and q in the batch (balance heuristic, Veach and Guibas 1995), so the expected
    weighted loss is the mean loss of the text and no weight exceeds 2. Without the weights a model
    would learn to predict these tokens too often.
    """

    def __init__(self, windows: Windows, tokens: np.ndarray, batch_size: int, seed: int) -> None:
        self._windows, self._seed = windows, seed
        n = len(windows)
        stream = np.asarray(windows.tokens[: n * windows.context])
        inside = [np.unique(np.flatnonzero(stream == t) // windows.context) for t in tokens]
        self._inside = [where for where in inside if len(where)]
        self._n_chosen = batch_size // 2 if self._inside else 0
        self._n_uniform = batch_size - self._n_chosen
        chance = np.full(n, self._n_uniform / batch_size / n)
        for where in self._inside:
            chance[where] += self._n_chosen / batch_size / len(self._inside) / len(where)
        self._weights = 1 / n / chance

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Windows, int64 (batch_size, context + 1), and their weights, float32 (batch_size,)."""
        rng = np.random.default_rng([self._seed, 20, step])
        which = list(rng.integers(len(self._windows), size=self._n_uniform))
        for token in rng.integers(max(1, len(self._inside)), size=self._n_chosen):
            which.append(rng.choice(self._inside[token]))
        numbers = np.array(which, np.int64)
        return self._windows[numbers], self._weights[numbers].astype(np.float32)


def train(
    opened: LanguageModel,
    config: RowSwapConfig,
    tokens: np.ndarray,
    stream: np.ndarray,
    end_if_interrupted: Callable[[], None],
) -> Iterator[int]:
    """Train, and yield each of `evaluated_steps` when it is reached.

    The rows of `tokens` have their own optimiser and learning rate, because the rate that moves a
    row in few steps would destroy a trained body. `end_if_interrupted` is called before every step;
    it raises if the trial must end. Parameters that are not trained keep their exact bits.
    """
    windows = Windows(stream, min(config.context, opened.context))
    batches = WeightedBatches(windows, tokens, config.batch_size, config.seed)
    changed = matrices(opened, config.scope)
    body = [p for p in opened.model.parameters() if config.regime != "row" or _is_in(p, changed)]
    for parameter in opened.model.parameters():
        parameter.requires_grad_(_is_in(parameter, body))
    rows = torch.from_numpy(np.asarray(tokens, dtype=np.int64))
    own = [nn.Parameter(weight.detach()[rows]) for weight in changed]
    of_rows = torch.optim.Adam(own, lr=config.learning_rate)
    of_body = torch.optim.Adam(body, lr=config.body_learning_rate)
    for step in range(config.n_steps + 1):
        if step in config.evaluated_steps:
            yield step
        if step == config.n_steps:
            return
        end_if_interrupted()
        opened.model.zero_grad()
        _weighted_loss(opened, *batches[step]).backward()
        for row, weight in zip(own, changed, strict=True):
            assert weight.grad is not None
            row.grad = weight.grad[rows].clone()
            weight.grad[rows] = 0.0
        if config.regime != "row":
            nn.utils.clip_grad_norm_(body, _LARGEST_GRADIENT)
            of_body.step()
        if config.regime != "body":
            of_rows.step()
        with torch.no_grad():
            for row, weight in zip(own, changed, strict=True):
                weight[rows] = row


def _weighted_loss(opened: LanguageModel, ids: np.ndarray, weights: np.ndarray) -> Tensor:
    sequences = torch.from_numpy(ids)
    logits = opened.model(sequences[:, :-1]).logits
    targets = sequences[:, 1:]
    losses = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    return (losses.view(targets.shape).mean(dim=1) * torch.from_numpy(weights)).mean()


def _is_in(parameter: nn.Parameter, others: list[nn.Parameter]) -> bool:
    return any(parameter is other for other in others)


class Swap(NamedTuple):
    """A model, the text of each side, and the rows that are changed.

    Attributes:
        old: original rows, (n_tokens, n_matrices, d_model).
        new: rows in their place, the same shape.
        start: damage by side, before fine-tuning.
    """

    opened: LanguageModel
    text: dict[str, Exposure]
    before: dict[str, Original]
    old: np.ndarray
    new: np.ndarray
    start: dict[str, Damage]


class FineTuned(NamedTuple):
    """What fine-tuning left, by measured step.

    Attributes:
        damage: by step and side, loss with changed rows minus loss of the null, both fine-tuned.
        null_rise: by step and side, rise of the null's loss by its fine-tuning.
        rows: changed rows after the last step, (n_tokens, n_matrices, d_model).
    """

    damage: dict[int, dict[str, Losses]]
    null_rise: dict[int, dict[str, Losses]]
    rows: np.ndarray


def fine_tune(
    config: RowSwapConfig, parts: Parts, corpus: TokenisedCorpus, swap: Swap
) -> FineTuned:
    """Train one group of rows after the other, each twice, from the original model."""
    opened, n_tokens = swap.opened, len(swap.old)
    state = {name: value.clone() for name, value in opened.model.state_dict().items()}

    def one_run(
        group: np.ndarray, rows: np.ndarray, null: dict[str, np.ndarray] | None
    ) -> dict[str, np.ndarray]:
        opened.model.load_state_dict(state)
        tokens = next(iter(swap.text.values())).tokens[group]
        write_rows(opened, tokens, NewRows.of_matrices(rows[group], config.scope))
        arrays: dict[str, np.ndarray] = {}
        for step in train(opened, config, tokens, corpus.train, parts.end_if_interrupted):
            if null is not None and not step:
                continue  # This is the damage at the start.
            others = None if null is None else null[f"{step}/rows"]
            for side in swap.text:
                arrays |= packed(_losses_now(config, swap, side, group, others), f"{step}/{side}")
            arrays[f"{step}/rows"] = rows_now(opened, config.scope, tokens)
        return arrays

    nulls, swapped = [], []
    n_groups = -(-n_tokens // config.rows_together)
    for number, group in enumerate(np.array_split(np.arange(n_tokens), n_groups)):
        compute = partial(one_run, group, swap.old, None)
        nulls.append(parts.get_or_compute(f"null-{number:05d}", int(group[0]), compute))
        compute = partial(one_run, group, swap.new, nulls[-1])
        swapped.append(parts.get_or_compute(f"tuned-{number:05d}", int(group[-1]) + 1, compute))
    opened.model.load_state_dict(state)

    def losses(of: list[dict[str, np.ndarray]], step: int) -> dict[str, Losses]:
        return {side: unpacked(Losses, of, f"{step}/{side}") for side in swap.text}

    null_by_step = {step: losses(nulls, step) for step in config.evaluated_steps}
    by_step = {0: {side: rise.losses for side, rise in swap.start.items()}}
    for step in config.evaluated_steps[1:]:
        by_step[step] = _difference(losses(swapped, step), null_by_step[step])
    return FineTuned(
        by_step,
        {step: _difference(of, null_by_step[0]) for step, of in null_by_step.items()},
        np.concatenate([part[f"{config.n_steps}/rows"] for part in swapped]),
    )


def _difference(of: dict[str, Losses], minus: dict[str, Losses]) -> dict[str, Losses]:
    return {side: losses.minus(minus[side]) for side, losses in of.items()}


def _losses_now(
    config: RowSwapConfig, swap: Swap, side: str, group: np.ndarray, others: np.ndarray | None
) -> Losses:
    """Losses with one changed row at a time; only differences of these mean something.

    `others` are the rows of the null, which stand in for the other rows of the group. With regime
    row, the losses are those of the original model with the row as it is now.
    """
    opened, text = swap.opened, swap.text[side]
    tokens = text.tokens[group]
    own = rows_now(opened, config.scope, tokens)
    if config.regime == "row":
        new = NewRows.of_matrices(own, config.scope)
        return damage(opened, text, swap.before[side], new, group).losses
    if others is None:
        return losses_of_whole(opened, text, group)
    each = []
    for place, i in enumerate(group):
        rows = others.copy()
        rows[place] = own[place]
        write_rows(opened, tokens, NewRows.of_matrices(rows, config.scope))
        each.append(losses_of_whole(opened, text, np.array([i])))
    write_rows(opened, tokens, NewRows.of_matrices(own, config.scope))
    return Losses(*(np.concatenate(column) for column in zip(*each, strict=True)))
