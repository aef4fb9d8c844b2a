"""Rows changed, a few at a time, and the model trained on: what is measured on the way.

Each group of rows leaves a checkpoint; a trial that is tried again goes on with the next group.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trials.api import Context
from trials.inputs.corpora import TokenisedCorpus
from trials.inputs.models import LanguageModel
from trials.row_swap.config import RowSwapConfig
from trials.row_swap.damage import Damage, NewRows, Original, damage, damage_of_whole
from trials.row_swap.exposure import Exposure
from trials.row_swap.finetune import rows_now, train, write_rows


class Recovered(NamedTuple):
    """What training on has given.

    Attributes:
        course: damage of every token after each measured step, by side.
        rows: after the last step, (n_tokens, n_matrices, d_model).
    """

    course: dict[int, dict[str, Damage]]
    rows: np.ndarray


def recover(
    config: RowSwapConfig,
    context: Context,
    opened: LanguageModel,
    corpus: TokenisedCorpus,
    text: dict[str, Exposure],
    before: dict[str, Original],
    new: NewRows,
) -> Recovered:
    """Train group after group, each from the original model."""
    tokens = next(iter(text.values())).tokens
    state = {name: value.clone() for name, value in opened.model.state_dict().items()}
    together = config.rows_together if config.regime == "row" else 1
    n_groups = -(-len(tokens) // together)
    parts = []
    for number, group in enumerate(np.array_split(np.arange(len(tokens)), n_groups)):
        path = context.checkpoint_dir / f"group-{number:05d}-{_digest(config)}.npz"
        if not path.is_file():
            opened.model.load_state_dict(state)
            write_rows(opened, tokens[group], new.of(group))
            _save(path, _one_group(config, context, opened, corpus, text, before, group, number))
            context.report(number + 1, {"n_tokens_tried": float(group[-1] + 1)})
        with np.load(path) as saved:
            parts.append(dict(saved))
    opened.model.load_state_dict(state)
    course = {
        step: {
            side: Damage(
                *(
                    np.concatenate([part[f"{step}/{side}/{field}"] for part in parts])
                    for field in Damage._fields
                )
            )
            for side in text
        }
        for step in config.evaluated_steps
    }
    for path in context.checkpoint_dir.glob("group-*.npz"):
        path.unlink()
    return Recovered(course, np.concatenate([part["rows"] for part in parts]))


def _one_group(
    config: RowSwapConfig,
    context: Context,
    opened: LanguageModel,
    corpus: TokenisedCorpus,
    text: dict[str, Exposure],
    before: dict[str, Original],
    group: np.ndarray,
    number: int,
) -> dict[str, np.ndarray]:
    tokens = next(iter(text.values())).tokens[group]

    def end_if_interrupted() -> None:
        if context.interrupted():
            context.report(number, {"n_tokens_tried": float(group[0])})

    found: dict[str, np.ndarray] = {}
    for step in train(opened, config, tokens, corpus.train, end_if_interrupted):
        for side, seen in text.items():
            if config.regime == "row":
                now = NewRows.of_matrices(rows_now(opened, config.scope, tokens), config.scope)
                done = damage(opened, seen, before[side], now, group)
            else:
                done = damage_of_whole(opened, seen, before[side], group)
            for field, values in done._asdict().items():
                found[f"{step}/{side}/{field}"] = values
    return found | {"rows": rows_now(opened, config.scope, tokens)}


def _save(path: Path, found: dict[str, np.ndarray]) -> None:
    aside = path.with_suffix(".partial.npz")
    with aside.open("wb") as file:
        np.savez(file, **found)  # type: ignore[arg-type]
    aside.rename(path)


def _digest(config: RowSwapConfig) -> str:
    return hashlib.sha256(config.model_dump_json().encode()).hexdigest()[:16]
