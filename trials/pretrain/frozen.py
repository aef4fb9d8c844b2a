"""The rows of embeddings that a trial does not learn."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from trials.api import Context, TrialError
from trials.inputs.corpora import TokenisedCorpus
from trials.inputs.random_embeddings import RandomEmbedding, permuted_embedding, random_embedding
from trials.inputs.sources import open_source
from trials.kernels.dictionaries import threshold_with
from trials.pretrain.config import PretrainConfig

_SIDES = {"input": 7, "output": 8}
"""The stream of the seed in which the rows of a side are drawn."""


class Frozen(NamedTuple):
    """What is frozen.

    Attributes:
        rows: side ("input", "output") -> (n_vocab, d_model) float32; sides that are learned have
            none, a tied matrix is the input's.
        random: side -> how its random rows came to be.
    """

    rows: dict[str, np.ndarray]
    random: dict[str, RandomEmbedding]

    def metrics(self) -> dict[str, float]:
        """How the random rows came to be; NaN if there are none."""
        drawn = list(self.random.values())
        nan = float("nan")
        return {
            "rows_max_cosine": max((d.max_cosine for d in drawn), default=nan),
            "rows_rejections": float(sum(d.n_rejections for d in drawn)) if drawn else nan,
            "rows_expected_rejections": sum(d.expected_rejections for d in drawn) if drawn else nan,
        }


def frozen_rows(config: PretrainConfig, corpus: TokenisedCorpus, context: Context) -> Frozen:
    """The rows of each side that is not learned. Raises TrialError."""
    frozen = Frozen({}, {})
    seed = config.seed if config.rows_seed is None else config.rows_seed
    for side in config.sides:
        arm = config.arm(side)
        if arm == "learned":
            continue
        rng = np.random.default_rng([seed, _SIDES[side]])
        given = _given_rows(config, side, corpus, context) if config.needs_rows(side) else None
        if arm == "frozen_random":
            drawn = frozen.random[side] = _draw(config, corpus.n_vocab, rng, given, context)
            frozen.rows[side] = drawn.rows
        elif given is not None:
            is_learned = arm == "frozen_learned"
            frozen.rows[side] = given if is_learned else permuted_embedding(given, rng)
    return frozen


def _draw(
    config: PretrainConfig,
    n_vocab: int,
    rng: np.random.Generator,
    given: np.ndarray | None,
    context: Context,
) -> RandomEmbedding:
    threshold = config.max_cosine
    if config.expected_conflicts is not None:
        threshold = threshold_with(config.expected_conflicts, n_vocab, config.d_model)
    try:
        return random_embedding(
            config.rows_distribution,
            n_vocab,
            config.d_model,
            row_norm=config.resolved_row_norm,
            rng=rng,
            max_cosine=threshold,
            method=config.rows_method,
            like=given,
            n_threads=context.n_threads,
        )
    except ValueError as error:
        raise TrialError(str(error)) from error


def _given_rows(
    config: PretrainConfig, side: str, corpus: TokenisedCorpus, context: Context
) -> np.ndarray:
    uri = config.rows_from(side)
    assert uri is not None
    matrix = open_source(uri, fetch_artifact=context.fetch_artifact)
    if matrix.rows.shape != (corpus.n_vocab, config.d_model):
        raise TrialError(
            f"{side}_rows_from {uri} has {matrix.rows.shape[0]} rows of {matrix.rows.shape[1]}; "
            f"this model needs {corpus.n_vocab} of {config.d_model}"
        )
    if matrix.tokens != corpus.vocabulary.tokens:
        raise TrialError(
            f"{side}_rows_from {uri} has other tokens than {config.tokenizer} on {config.corpus}: "
            "both trials need the same corpus and tokenizer"
        )
    return matrix.rows
