"""The rows of a model, and the rows that replace them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from trials.api import Context, TrialError
from trials.inputs.controls.null_rows import gaussian_spectrum
from trials.inputs.dictionaries import load_dictionary
from trials.inputs.models import LanguageModel
from trials.kernels.sparse_coding import (
    code_sizes,
    critical_penalties,
    debiased_codes,
    lasso_codes,
    reconstruct,
    token_errors,
    without_negligible,
)
from trials.kernels.structure import nearest_neighbours
from trials.row_swap.kind import RowSwapConfig

_INITIAL_STD = 0.02


class Drawn(NamedTuple):
    """New rows of some tokens. The other fields are None unless the draw uses sparse codes.

    Attributes:
        rows: float32, (n_tokens, d_model), or (n_tokens, n_matrices, d_model).
        residual_frac: per row x (mean row subtracted), |x - reconstruction|^2 / |x|^2; NaN if
            x is 0.
        l0: atoms used by each reconstruction.
    """

    rows: np.ndarray
    residual_frac: np.ndarray | None = None
    l0: np.ndarray | None = None

    @classmethod
    def of_matrices(cls, each: list[Drawn]) -> Drawn:
        """Rows of all matrices; the other fields are means over the matrices."""
        rows = np.stack([of.rows for of in each], axis=1)
        left = [of.residual_frac for of in each if of.residual_frac is not None]
        l0 = [of.l0 for of in each if of.l0 is not None]
        if not left or not l0:
            return cls(rows)
        return cls(rows, np.mean(left, axis=0), np.mean(l0, axis=0))


def rows_for_model(
    config: RowSwapConfig,
    context: Context,
    opened: LanguageModel,
    tokens: np.ndarray,
    strata: np.ndarray,
) -> Drawn:
    """New rows of the tokens in each matrix of the scope."""
    atoms = None
    if config.dictionary is not None:
        atoms = load_dictionary(config.dictionary, context.fetch_artifact)
    drawn = [
        drawn_rows(
            config,
            of.detach().numpy(),
            tokens,
            strata,
            np.random.default_rng([config.seed, 14]),  # Both sides use the same other token.
            atoms,
            context.n_threads,
        )
        for of in matrices(opened, config.scope)
    ]
    return Drawn.of_matrices(drawn)


def drawn_rows(
    config: RowSwapConfig,
    rows: np.ndarray,
    tokens: np.ndarray,
    strata: np.ndarray,
    rng: np.random.Generator,
    dictionary: np.ndarray | None,
    n_threads: int,
) -> Drawn:
    """New rows of `tokens`.

    `rows` are all rows of the matrix, `strata` the stratum of every token of the vocabulary.
    """
    own, d_model = rows[tokens], rows.shape[1]
    match config.draw:
        case "none":
            new = own.copy()
        case "zero":
            new = np.zeros_like(own)
        case "mean_row":
            new = np.broadcast_to(rows.mean(axis=0), own.shape)
        case "init":
            new = _INITIAL_STD * rng.standard_normal(own.shape)
        case "norm_matched":
            new = rng.standard_normal(own.shape)
            new *= np.linalg.norm(own, axis=1, keepdims=True) / np.linalg.norm(
                new, axis=1, keepdims=True
            )
        case "gaussian":
            new = gaussian_spectrum(rows, np.ones(len(rows)), rng, n_rows=len(tokens))
        case "other_row":
            new = rows[_others(tokens, strata, rng)]
        case "nearest_row":
            new = rows[nearest_neighbours(rows, 1, queries=tokens)[:, 0]]
        case _:
            return _coded(config, rows, tokens, strata, rng, dictionary, n_threads)
    assert new.shape == (len(tokens), d_model)
    return Drawn(np.ascontiguousarray(new, dtype=np.float32))


def _others(tokens: np.ndarray, strata: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each token another one of its stratum."""
    others = []
    for token in tokens:
        members = np.flatnonzero(strata == strata[token])
        members = members[members != token]
        if not len(members):
            raise TrialError(f"token {token} is the only one in its stratum; use fewer strata")
        others.append(int(rng.choice(members)))
    return np.array(others, dtype=np.int64)


def _coded(
    config: RowSwapConfig,
    rows: np.ndarray,
    tokens: np.ndarray,
    strata: np.ndarray,
    rng: np.random.Generator,
    atoms: np.ndarray | None,
    n_threads: int,
) -> Drawn:
    if atoms is None or atoms.shape[1] != rows.shape[1]:
        shape = None if atoms is None else atoms.shape
        raise TrialError(f"the dictionary is {shape}; the rows have {rows.shape[1]} numbers")
    mean = rows.mean(axis=0)
    scale = float(np.linalg.norm(rows - mean, axis=1).mean())
    others = _others(tokens, strata, rng)
    both = ((rows[np.concatenate([tokens, others])] - mean) / scale).astype(np.float32)
    penalty = config.l1_penalty * float(np.median(critical_penalties(both, atoms)))
    solved = lasso_codes(both, atoms, l1_penalty=penalty, n_threads=n_threads)
    codes = debiased_codes(both, atoms, solved.codes, n_threads=n_threads)
    rebuilt = reconstruct(codes, atoms)
    n = len(tokens)
    new = rebuilt[:n]
    if config.draw == "reconstruction_other_residual":
        new = new + (both - rebuilt)[n:]
    errors = token_errors(both[:n], rebuilt[:n], np.zeros(both.shape[1]))
    left = np.full(n, np.nan)
    np.divide(errors.error, errors.variance, out=left, where=errors.variance > 0)
    used = code_sizes(without_negligible(codes[:n], np.sqrt(errors.variance)))
    return Drawn(np.ascontiguousarray(new * scale + mean, dtype=np.float32), left, used.l0)


class NewRows(NamedTuple):
    """New rows of each token, (n_tokens, d_model); None for a side that does not change."""

    read: Tensor | None
    said: Tensor | None

    @classmethod
    def of_matrices(cls, rows: np.ndarray, scope: str) -> NewRows:
        """From (n_tokens, n_matrices, d_model), input side first; a tied matrix is both sides."""
        given = torch.from_numpy(rows)
        return cls(
            None if scope == "output" else given[:, 0], None if scope == "input" else given[:, -1]
        )

    def of(self, which: np.ndarray) -> NewRows:
        """The rows of some tokens, by position."""
        places = torch.from_numpy(np.asarray(which))
        return NewRows(*(None if rows is None else rows[places] for rows in self))


def untie(opened: LanguageModel, scope: str) -> None:
    """Give a tied model one matrix per side if only one side changes."""
    if scope != "both" and opened.tied:
        copied = opened.output_embedding.weight.detach().clone()
        opened.output_embedding.weight = nn.Parameter(copied)


def matrices(opened: LanguageModel, scope: str) -> list[nn.Parameter]:
    """The matrices whose rows change. A tied matrix is listed once."""
    sides: dict[str, list[Any]] = {
        "input": [opened.input_embedding.weight],
        "output": [opened.output_embedding.weight],
    }
    both = sides["input"] + sides["output"]
    chosen = sides.get(scope, both)
    return [weight for i, weight in enumerate(chosen) if all(weight is not w for w in chosen[:i])]


def write_rows(opened: LanguageModel, tokens: np.ndarray, new: NewRows) -> None:
    """Overwrite rows of the model in place."""
    rows = torch.from_numpy(np.asarray(tokens, dtype=np.int64))
    sides: tuple[Any, Any] = (opened.input_embedding.weight, opened.output_embedding.weight)
    with torch.no_grad():
        for weight, values in zip(sides, new, strict=True):
            if values is not None:
                weight[rows] = values


def rows_now(opened: LanguageModel, scope: str, tokens: np.ndarray) -> np.ndarray:
    """Rows of the tokens in each matrix, (n_tokens, n_matrices, d_model), a copy."""
    return np.stack([of.detach().cpu().numpy()[tokens] for of in matrices(opened, scope)], axis=1)


def row_cosines(rows: np.ndarray, old: np.ndarray) -> np.ndarray:
    """Mean over the matrices of the cosine between a token's row and its old row."""
    lengths = np.linalg.norm(rows, axis=2) * np.linalg.norm(old, axis=2)
    products = (rows * old).sum(axis=2)
    cosines: np.ndarray = np.divide(
        products, lengths, out=np.zeros(lengths.shape), where=lengths > 0
    )
    mean: np.ndarray = cosines.mean(axis=1)
    return mean
