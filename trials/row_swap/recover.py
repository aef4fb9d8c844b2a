"""Rows changed, a few at a time, and the model trained on: what is measured on the way.

Each group of rows is a part of the trial, trained from the original model: a trial that is tried
again goes on with the next group, and ends with the numbers of one that was left alone.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from trials.inputs.corpora import TokenisedCorpus
from trials.inputs.models import LanguageModel
from trials.row_swap.config import RowSwapConfig
from trials.row_swap.damage import Damage, NewRows, Original, damage, damage_of_whole
from trials.row_swap.model_and_text import Exposure
from trials.row_swap.stages import rows_now, train, write_rows
from trials.training.parts import Parts, packed, unpacked


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
    parts: Parts,
    opened: LanguageModel,
    corpus: TokenisedCorpus,
    text: dict[str, Exposure],
    before: dict[str, Original],
    new: NewRows,
) -> Recovered:
    """Train group after group, each from the original model."""
    tokens = next(iter(text.values())).tokens
    state = {name: value.clone() for name, value in opened.model.state_dict().items()}

    def one_group(group: np.ndarray) -> dict[str, np.ndarray]:
        opened.model.load_state_dict(state)
        write_rows(opened, tokens[group], new.of(group))
        found: dict[str, np.ndarray] = {}
        for step in train(opened, config, tokens[group], corpus.train, parts.end_if_interrupted):
            for side, seen in text.items():
                done = _damage_now(config, opened, seen, before[side], group)
                found |= packed(done, f"{step}/{side}")
        return found | {"rows": rows_now(opened, config.scope, tokens[group])}

    together = config.rows_together if config.regime == "row" else 1
    groups = np.array_split(np.arange(len(tokens)), -(-len(tokens) // together))
    found = [
        parts.part(f"trained-{number:05d}", int(group[-1]) + 1, partial(one_group, group))
        for number, group in enumerate(groups)
    ]
    opened.model.load_state_dict(state)
    course = {
        step: {side: unpacked(found, f"{step}/{side}") for side in text}
        for step in config.evaluated_steps
    }
    return Recovered(course, np.concatenate([part["rows"] for part in found]))


def _damage_now(
    config: RowSwapConfig, opened: LanguageModel, seen: Exposure, was: Original, group: np.ndarray
) -> Damage:
    if config.regime != "row":
        return damage_of_whole(opened, seen, was, group)
    rows = rows_now(opened, config.scope, seen.tokens[group])
    return damage(opened, seen, was, NewRows.of_matrices(rows, config.scope), group)
