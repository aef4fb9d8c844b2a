"""The rows that a trial sees: the config fields that all kinds on a matrix share, and what they do.

A kind's config inherits `RowsConfig`; its `input_digests` is `rows_digests`, and `load_rows` does
the rest: choose tokens, weight them, split them, replace the rows by a null, centre and scale.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, field_validator, model_validator

from trials.api import Config, TrialError
from trials.inputs.controls.null_rows import Null, null_rows
from trials.inputs.corpora.tokenizers import model_tokenizer
from trials.inputs.frequencies import (
    AUTO,
    FrequencyTable,
    check_form,
    frequency_digest,
    token_frequencies,
)
from trials.inputs.preprocessing import Centre, Scale, preprocess, weighted_mean_row
from trials.inputs.sources import EmbeddingMatrix, open_source, source_digest
from trials.inputs.sources.before_training import has_initial, open_initial
from trials.inputs.sources.precision import rounded, stored_precision
from trials.inputs.sources.training_steps import initial_uri
from trials.inputs.sources.uri import check_source
from trials.inputs.splits import Split, described_shares, split_tokens, stratified_sample
from trials.inputs.token_counts import described_distance
from trials.inputs.token_sorts import UNKNOWN, TokenSort, TokenSorts, token_sorts
from trials.lazy import lazy_module

if TYPE_CHECKING:
    from trials.inputs.controls import planted_sparse
else:  # SciPy takes a while to import
    planted_sparse = lazy_module("trials.inputs.controls.planted_sparse")

PLANTED = "planted_sparse"
PlantedAtoms = Literal["0.5x", "1x", "2x", "4x", "8x"]
PLANTED_DEFAULTS: dict[str, int | float | str] = {
    "planted_atoms": "2x",
    "planted_l0": 16,
    "planted_noise": 0.1,
}


class RowsConfig(Config):
    """The rows that a trial sees."""

    source: str = Field(min_length=1, description="URI of the embedding matrix")
    tokens: TokenSort = Field(
        default="all",
        description="tokens to use: all, reachable (those whose text the tokenizer turns back into "
        "them), trained (those whose rows are unlike rows that no text has trained)",
    )
    n_rows: int | Literal["all"] = Field(
        default="all",
        description='how many of them: "all", or a number sampled evenly by frequency',
    )
    frequencies: str = Field(
        default=AUTO,
        description="token frequencies: auto (source, else words, else zipf), words (English word "
        "frequencies), source (a run's counts of its training text), zipf (by merge rank), "
        "counts:PATH.npy, corpus:PATH (a text file or folder), stdlib: (sources of Python's "
        "library), hub:OWNER/NAME[?n_tokens=N] (a data set)",
    )
    frequency_exponent: float = Field(
        default=0.0, ge=0, le=1, description="the weight of a token is its frequency to this power"
    )
    centre: Centre = Field(default="mean", description="what is subtracted from every row")
    scale: Scale = Field(default="mean_norm", description="what every row is divided by")
    null: Null = Field(default="none", description="what replaces the real rows, as a control")
    planted_atoms: PlantedAtoms | None = Field(
        default=None,
        validate_default=True,
        description="null planted_sparse: features, as a multiple of d_model (2x unless set)",
    )
    planted_l0: int | None = Field(
        default=None,
        ge=1,
        validate_default=True,
        description="null planted_sparse: features per token (16 unless set)",
    )
    planted_noise: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        validate_default=True,
        description="null planted_sparse: noise, as a share of the variance (0.1 unless set)",
    )
    held_out_frac: float = Field(
        default=0.1, gt=0, le=0.4, description="share of the tokens that are held out and sealed"
    )
    validation_frac: float = Field(
        default=0.1,
        gt=0,
        le=0.4,
        description="share of the tokens for validation",
    )
    split_seed: int | None = Field(
        default=None,
        ge=0,
        lt=2**32,
        description="seed of the sample of rows and of the split; the trial's own seed unless set",
    )

    @property
    def tokens_seed(self) -> int:
        """Seed of what is drawn of the tokens. Replicates redraw it, so intervals cover tokens."""
        return self.seed if self.split_seed is None else self.split_seed

    def planted_shape(self, d_model: int) -> dict[str, Any]:
        """Arguments of `planted_sparse`: number of features, features per token, noise."""
        n_atoms = max(1, round(float(str(self.planted_atoms).removesuffix("x")) * d_model))
        return {"n_atoms": n_atoms, "l0": self.planted_l0, "noise": self.planted_noise}

    @field_validator("source")
    @classmethod
    def _known_source(cls, source: str) -> str:
        return check_source(source)

    @field_validator("n_rows")
    @classmethod
    def _enough_rows(cls, n_rows: int | str) -> int | str:
        if isinstance(n_rows, int) and n_rows < 20:
            raise ValueError(f'n_rows is {n_rows}; it must be "all" or at least 20')
        return n_rows

    @field_validator("frequencies")
    @classmethod
    def _known_frequencies(cls, frequencies: str) -> str:
        return check_form(frequencies)

    @field_validator(*PLANTED_DEFAULTS)
    @classmethod
    def _planted_only(cls, given: int | float | str | None, info: Any) -> int | float | str | None:
        """None under any other null, so that these fields are in the key of no other trial."""
        assert info.field_name is not None
        if info.data.get("null") != PLANTED:
            return None
        return PLANTED_DEFAULTS[info.field_name] if given is None else given

    @model_validator(mode="after")
    def _null_applies(self) -> RowsConfig:
        if self.null == "row_permuted" and self.frequency_exponent == 0:
            raise ValueError(
                "null row_permuted needs frequency_exponent above 0: with equal weights, giving "
                "the rows to other tokens changes nothing"
            )
        if self.null == "initial":
            try:
                initial_uri(self.source)
            except TrialError as error:
                raise ValueError(f"null initial: {error}") from error
        return self


class TokenRows(NamedTuple):
    """The tokens of one trial; every array but `mean` and `offset` has one entry per token.

    Attributes:
        ids: rows of the embedding matrix.
        names: decoded text.
        probabilities: relative frequency among these tokens, sums to 1.
        weights: probabilities ** frequency_exponent, mean 1.
        split: positions of the training, validation and held-out tokens.
        rows: float32, (n_tokens, d_model), real or null, centred and scaled.
        mean: float64, (d_model,), weighted mean of the training rows as they are in `rows`.
        offset, divisor: `rows` are (raw rows - offset) / divisor.
        facts: what the rows are, for the record.
    """

    ids: np.ndarray
    names: tuple[str, ...]
    probabilities: np.ndarray
    weights: np.ndarray
    split: Split
    rows: np.ndarray
    mean: np.ndarray
    offset: np.ndarray
    divisor: np.ndarray
    facts: dict[str, str]

    def side(self) -> np.ndarray:
        """int8, one per token: 0 for training, 1 for validation, 2 for held-out tokens."""
        side = np.zeros(len(self.ids), dtype=np.int8)
        side[self.split.validation], side[self.split.held_out] = 1, 2
        return side


def rows_digests(config: RowsConfig) -> dict[str, str]:
    """Digests of the matrix and of what the frequencies are counted from."""
    digests = {"source": source_digest(config.source)}
    if _needs_initial(config):
        digests["initial"] = source_digest(initial_uri(config.source))
    if table := frequency_digest(config.frequencies):
        digests["frequencies"] = table
    return digests


def load_rows(
    config: RowsConfig, *, fetch_artifact: Callable[[str, str], Path] | None = None
) -> TokenRows:
    """Open the source and the frequencies, then `prepare_rows`. Raises TrialError."""
    matrix = open_source(config.source, fetch_artifact=fetch_artifact)
    tokenizer = cache(partial(model_tokenizer, config.source))
    initial = open_initial(matrix, fetch_artifact) if _needs_initial(config) else None
    sorts = token_sorts(matrix, tokenizer, initial if config.tokens == "trained" else None)
    if initial and config.null == "initial":
        matrix = matrix._replace(rows=initial.rows)
    table = token_frequencies(config.frequencies, matrix.merge_rank, tokenizer, matrix.counts)
    data = prepare_rows(config, matrix, table, sorts)
    if config.frequency_exponent == 0:
        return data
    ordinary = np.flatnonzero(~matrix.special)
    distance = described_distance(table.probabilities, ordinary, tokenizer, matrix.counts)
    return data._replace(facts=data.facts | {"frequencies_checked": distance})


def _needs_initial(config: RowsConfig) -> bool:
    """Whether the matrix before training is an input too."""
    return config.null == "initial" or (config.tokens == "trained" and has_initial(config.source))


def prepare_rows(
    config: RowsConfig,
    matrix: EmbeddingMatrix,
    table: FrequencyTable,
    sorts: TokenSorts = UNKNOWN,
) -> TokenRows:
    """Choose tokens, weight, split, replace by the null, centre and scale.

    Raises TrialError when the matrix has too few rows for the config.
    """
    sampling = np.random.default_rng([config.tokens_seed, 0])
    ids = np.flatnonzero(~matrix.special)
    counts = sorts.counts(ids)
    if config.tokens != "all":
        ids = ids[sorts.of(config.tokens)[ids]]
    if config.n_rows != "all":
        if config.n_rows > len(ids):
            raise TrialError(
                f'n_rows is {config.n_rows}, the matrix has {len(ids)} tokens; "all" uses them all'
            )
        ids = ids[stratified_sample(table.probabilities[ids], config.n_rows, sampling)]
    names = tuple(matrix.tokens[i] for i in ids)
    probabilities = table.probabilities[ids] / table.probabilities[ids].sum()
    weights = probabilities**config.frequency_exponent
    weights /= weights.mean()
    split = split_tokens(
        names,
        probabilities,
        weights,
        held_out_frac=config.held_out_frac,
        validation_frac=config.validation_frac,
        rng=sampling,
    )
    if not all(map(len, split)):
        raise TrialError(f"{len(ids)} tokens are too few to split: a side got none")
    drawing = np.random.default_rng([config.seed, 5])
    precision = stored_precision(matrix.rows[ids], matrix.facts.get("dtype", "F32"))
    raw = null_rows(config.null, matrix.rows[ids], weights, probabilities, split, drawing)
    if config.null == PLANTED:
        how = config.planted_shape(raw.shape[1])
        planted = planted_sparse.planted_sparse(raw, weights, split, drawing, **how)
        raw = rounded(planted.rows, precision)
    seen = preprocess(raw, split.train, weights, centre=config.centre, scale=config.scale)
    facts = {
        "source": config.source,
        "source_digest": matrix.digest,
        "frequencies": table.name,
        "weights": "distribution weighting: codes do not depend on them",
        "split_weight": described_shares(
            split, weights, (config.validation_frac, config.held_out_frac)
        ),
        **counts,
        "null": config.null,
        "precision": precision,
        **matrix.facts,
    }
    return TokenRows(
        ids,
        names,
        probabilities,
        weights,
        split,
        seen.rows,
        weighted_mean_row(seen.rows[split.train], weights[split.train]),
        seen.offset,
        seen.divisor,
        facts,
    )
