"""Runs a trial of the kind `row_swap`, stage by stage.

Mode single: change rows and measure the damage, then train groups of rows further, each group from
the original model. Mode cumulative: change more and more rows at once. Every stage is saved part by
part, so that a retry continues after the last part.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from trials.api import Context, Table, TrialResult
from trials.inputs.corpora import TokenisedCorpus, open_corpus
from trials.inputs.corpora.windows import ShuffledBatches, Windows
from trials.inputs.models import LanguageModel, open_model
from trials.inputs.models.text import check_tokens
from trials.row_swap.damage import (
    Damage,
    Original,
    damage,
    damage_of_whole,
    original,
    packed,
    unpacked,
)
from trials.row_swap.kind import RowSwapConfig
from trials.row_swap.metrics import SIDES
from trials.row_swap.results import (
    Measured,
    all_metrics,
    cumulative_metrics,
    damage_by_step_table,
    damage_figure,
    facts,
    importance,
    predictors,
    row_cosines,
    token_columns,
    token_table,
)
from trials.row_swap.rows import NewRows, matrices, rows_for_model, rows_now, untie, write_rows
from trials.row_swap.text import Exposure, exposure, tried_tokens
from trials.training.parts import Parts

_ROWS_OF_A_BLOCK = 16


def run(config: RowSwapConfig, context: Context) -> TrialResult:
    """Load model and text, change rows, measure the damage, and train further if asked."""
    started = time.perf_counter()
    # Adam moments of rows that hardly change become denormal, which is very slow.
    torch.set_flush_denormal(True)
    try:
        subject = open_subject(config, context)
        parts = Parts(context, f"{config.model_dump_json()} {subject.corpus.digest}")
        mode = _cumulative if config.mode == "cumulative" else _single
        result = mode(config, context, subject, parts)
    finally:
        torch.set_flush_denormal(False)
    parts.forget()
    spent = {"spent_s": time.perf_counter() - started + parts.earlier_s}
    return result._replace(metrics=dict(result.metrics) | spent)


class Subject(NamedTuple):
    """A model and its text. If only one side changes, each side has its own matrix."""

    opened: LanguageModel
    corpus: TokenisedCorpus


def open_subject(config: RowSwapConfig, context: Context) -> Subject:
    """Load both. Raises TrialError if the text is not in the tokens of the model."""
    fetch = context.fetch_artifact
    opened = open_model(config.model, fetch_artifact=fetch)
    corpus = open_corpus(config, n_threads=context.n_threads)
    check_tokens(opened, corpus, config, fetch_artifact=fetch)
    untie(opened, config.scope)
    return Subject(opened, corpus)


def _single(config: RowSwapConfig, context: Context, subject: Subject, parts: Parts) -> TrialResult:
    opened, corpus = subject
    tokens = tried_tokens(config, corpus)
    text = {side: exposure(config, corpus, getattr(corpus, side), tokens) for side in SIDES}
    before = {side: original(opened, text[side]) for side in SIDES}
    old = rows_now(opened, config.scope, tokens)
    drawn = rows_for_model(config, context, opened, tokens, text["validation"].strata)
    new = NewRows.of_matrices(drawn.rows, config.scope)

    start = damage_at_start(parts, opened, text, before, new)
    damage_by_step, last = Recovered({}, drawn.rows)
    if config.n_steps:
        damage_by_step, last = recover(config, parts, opened, corpus, text, before, new)

    measured = Measured(text, before, start, damage_by_step, row_cosines(last, old))
    of_tokens = predictors(corpus.counts[tokens] / corpus.counts.sum(), old, drawn)
    importances, importance_metrics = importance(start, of_tokens)
    return TrialResult(
        metrics=all_metrics(measured) | importance_metrics,
        tables={
            "rows": token_table(measured, corpus) | token_columns(start["held_out"], of_tokens),
            "importance": importances,
            **damage_by_step_table(damage_by_step),
        },
        arrays={"rows": {"token_id": tokens, "old": old, "new": drawn.rows, "last": last}},
        figures={"damage": damage_figure(measured)},
        facts=facts(config, corpus),
    )


def _cumulative(
    config: RowSwapConfig, context: Context, subject: Subject, parts: Parts
) -> TrialResult:
    opened, corpus = subject
    text = exposure(config, corpus, corpus.validation, np.arange(0))
    order = np.random.default_rng([config.seed, 15]).permutation(corpus.n_vocab)
    drawn = rows_for_model(config, context, opened, order, text.strata)
    new = NewRows.of_matrices(drawn.rows, config.scope)
    table = cumulative_losses(parts, opened, text, order, new)
    return TrialResult(
        metrics=cumulative_metrics(table),
        tables={"cumulative": table},
        facts=facts(config, corpus),
    )


def damage_at_start(
    parts: Parts,
    opened: LanguageModel,
    text: dict[str, Exposure],
    before: dict[str, Original],
    new: NewRows,
) -> dict[str, Damage]:
    """Damage of every token before training, by side. Each block of rows is a part of the trial."""
    n_tokens = len(next(iter(text.values())).tokens)

    def one_block(block: np.ndarray) -> dict[str, np.ndarray]:
        arrays: dict[str, np.ndarray] = {}
        for side, seen in text.items():
            arrays |= packed(damage(opened, seen, before[side], new.of(block), block), side)
        return arrays

    blocks = []
    for first in range(0, n_tokens, _ROWS_OF_A_BLOCK):
        block = np.arange(first, min(first + _ROWS_OF_A_BLOCK, n_tokens))
        name = f"changed-{first:05d}"
        blocks.append(parts.get_or_compute(name, int(block[-1]) + 1, partial(one_block, block)))
    return {side: unpacked(blocks, side) for side in text}


def train(
    opened: LanguageModel,
    config: RowSwapConfig,
    tokens: np.ndarray,
    stream: np.ndarray,
    end_if_interrupted: Callable[[], None],
) -> Iterator[int]:
    """Train, and yield each of `evaluated_steps` when it is reached.

    `end_if_interrupted` is called before every step. It raises if the trial must end.

    Batches are drawn from all of the text: on sequences that contain the token alone, the model
    would learn to predict it too often. Parameters that are not trained keep their exact bits.
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
        if config.regime != "row":  # Clipping would couple the rows that are trained together.
            nn.utils.clip_grad_norm_(trained, 1.0)
        optimiser.step()


def _mask(weight: nn.Parameter, rows: Tensor, regime: str) -> None:
    """Zero the gradient of the changed rows (regime body), or of all other rows (regime row)."""
    assert weight.grad is not None
    if regime == "body":
        weight.grad[rows] = 0.0
        return
    kept = weight.grad[rows].clone()
    weight.grad.zero_()
    weight.grad[rows] = kept


class Recovered(NamedTuple):
    """Damage and rows after further training.

    Attributes:
        damage_by_step: damage of every token after each measured step, by side.
        rows: rows after the last step, (n_tokens, n_matrices, d_model).
    """

    damage_by_step: dict[int, dict[str, Damage]]
    rows: np.ndarray


def recover(
    config: RowSwapConfig,
    parts: Parts,
    opened: LanguageModel,
    corpus: TokenisedCorpus,
    text: dict[str, Exposure],
    before: dict[str, Original],
    new: NewRows,
) -> Recovered:
    """Train one group of rows after the other, each from the original model."""
    tokens = next(iter(text.values())).tokens
    state = {name: value.clone() for name, value in opened.model.state_dict().items()}

    def one_group(group: np.ndarray) -> dict[str, np.ndarray]:
        opened.model.load_state_dict(state)
        write_rows(opened, tokens[group], new.of(group))
        arrays: dict[str, np.ndarray] = {}
        for step in train(opened, config, tokens[group], corpus.train, parts.end_if_interrupted):
            for side, seen in text.items():
                done = _damage_now(config, opened, seen, before[side], group)
                arrays |= packed(done, f"{step}/{side}")
        return arrays | {"rows": rows_now(opened, config.scope, tokens[group])}

    together = config.rows_together if config.regime == "row" else 1
    groups = np.array_split(np.arange(len(tokens)), -(-len(tokens) // together))
    groups_done = [
        parts.get_or_compute(f"trained-{number:05d}", int(group[-1]) + 1, partial(one_group, group))
        for number, group in enumerate(groups)
    ]
    opened.model.load_state_dict(state)
    damage_by_step = {
        step: {side: unpacked(groups_done, f"{step}/{side}") for side in text}
        for step in config.evaluated_steps
    }
    return Recovered(damage_by_step, np.concatenate([part["rows"] for part in groups_done]))


def _damage_now(
    config: RowSwapConfig, opened: LanguageModel, seen: Exposure, was: Original, group: np.ndarray
) -> Damage:
    if config.regime != "row":
        return damage_of_whole(opened, seen, was, group)
    rows = rows_now(opened, config.scope, seen.tokens[group])
    return damage(opened, seen, was, NewRows.of_matrices(rows, config.scope), group)


def cumulative_losses(
    parts: Parts, opened: LanguageModel, text: Exposure, order: np.ndarray, new: NewRows
) -> Table:
    """Loss with 0, 1, 2, 4, ... and all rows changed, one table row per number of changed rows.

    The loss at each number is a part of the trial. Afterwards, all rows of the model are changed.
    """
    base = torch.from_numpy(text.base)
    counts = [0, *(2**e for e in range(len(order).bit_length()) if 2**e < len(order)), len(order)]
    losses, done = [], 0
    for n in counts:
        added = np.arange(done, n)
        write_rows(opened, order[added], new.of(added))
        part = parts.get_or_compute(
            f"loss-{n:07d}", n, lambda: {"loss": np.array(_loss(opened, base))}
        )
        losses.append(float(part["loss"]))
        done = n
    return {"n_rows": counts, "loss": losses, "damage": [loss - losses[0] for loss in losses]}


def _loss(opened: LanguageModel, sequences: torch.Tensor) -> float:
    total = 0.0
    with torch.no_grad():
        for part in sequences.split(16):
            logits = opened.model(part[:, :-1]).logits
            targets = part[:, 1:].flatten()
            total += float(functional.cross_entropy(logits.flatten(0, 1), targets, reduction="sum"))
    return total / sequences[:, 1:].numel()
