"""Training and test data: the stream and fixed sets of a task, or a corpus."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from trials.api import TrialError
from trials.embedding_only.config import EmbeddingOnlyConfig
from trials.inputs.algorithmic_tasks import (
    Brackets,
    DecimalAddition,
    Memorisation,
    ModularAddition,
    Needle,
    Sequences,
    Stream,
    Task,
    fixed_sets,
)
from trials.inputs.corpora import open_corpus
from trials.inputs.corpora.windows import ShuffledBatches, Windows

_N_TYPICAL = 4096
_TABLE = 3
"""The random stream that draws the table of memorisation."""


@runtime_checkable
class Batches(Protocol):
    """Training batches by step. A step always gives the same batch."""

    def __getitem__(self, step: int) -> Sequences:
        """The batch of step 0, 1, ..."""
        ...


class Data(NamedTuple):
    """Sequences of one length, `context` + 1.

    Attributes:
        names: of the tokens.
        typical: 4,096 sequences from the training distribution.
        shortcut_accuracy: held-out accuracy of a rule that does not solve the task.
        digest: digest of the text, if there is one.
    """

    names: tuple[str, ...]
    context: int
    batches: Batches
    typical: Sequences
    validation: Sequences
    held_out: Sequences
    shortcut_accuracy: float = math.nan
    digest: str = ""


def open_data(config: EmbeddingOnlyConfig, *, n_threads: int = 1) -> Data:
    """The data of the task.

    Raises TrialError if there are too few different sequences, or too little text.
    """
    if config.task == "language_modelling":
        return _text(config, n_threads)
    task = task_of(config)
    try:
        sets = fixed_sets(task, config.n_test)
        taken = sets.rows if task.generalises else frozenset()
        typical = Stream(task, _N_TYPICAL, config.seed, taken)[0]
    except ValueError as error:
        raise TrialError(f"n_test is {config.n_test}; {config.task} is small: {error}") from None
    return Data(
        names=task.names,
        context=task.length - 1,
        batches=Stream(task, config.batch_size, config.seed, taken),
        typical=typical,
        validation=sets.validation,
        held_out=sets.held_out,
        shortcut_accuracy=task.shortcut(sets.held_out.tokens),
    )


def task_of(config: EmbeddingOnlyConfig) -> Task:
    """The task at the size of the config."""
    match config.task:
        case "modular_addition":
            return ModularAddition(config.modulus)
        case "needle":
            return Needle(config.n_pairs, config.n_values)
        case "decimal_addition":
            return DecimalAddition(config.n_digits)
        case "brackets":
            return Brackets(config.n_brackets)
        case _:
            rng = np.random.default_rng([config.seed, _TABLE])
            return Memorisation.random(config.n_keys, config.n_values, rng)


class _TextBatches:
    """Batches of a stream of tokens, all of which count."""

    def __init__(self, batches: ShuffledBatches) -> None:
        self._batches = batches

    def __getitem__(self, step: int) -> Sequences:
        return _all_scored(self._batches[step])


def _text(config: EmbeddingOnlyConfig, n_threads: int) -> Data:
    corpus = open_corpus(config, n_threads=n_threads)
    sides = {
        s: Windows(getattr(corpus, s), config.context) for s in ("train", "validation", "held_out")
    }
    for side, windows in sides.items():
        if not len(windows):
            raise TrialError(
                f"the {side} side of {config.corpus} has {len(windows.tokens)} tokens, a sequence "
                f"takes {config.context + 1}: use more text, a larger share, or a shorter context"
            )
    n = {"train": _N_TYPICAL, "validation": config.n_test, "held_out": config.n_test}
    evenly = {
        side: _all_scored(windows[windows.evenly(n[side] * config.context)])
        for side, windows in sides.items()
    }
    return Data(
        names=corpus.vocabulary.tokens,
        context=config.context,
        batches=_TextBatches(ShuffledBatches(sides["train"], config.batch_size, config.seed)),
        typical=evenly["train"],
        validation=evenly["validation"],
        held_out=evenly["held_out"],
        digest=corpus.digest,
    )


def _all_scored(tokens: np.ndarray) -> Sequences:
    return Sequences(tokens, np.ones((len(tokens), tokens.shape[1] - 1), bool))
