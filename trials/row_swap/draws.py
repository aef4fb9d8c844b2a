"""What a row becomes."""

from __future__ import annotations

import numpy as np

from trials.api import TrialError
from trials.inputs.nulls import gaussian_spectrum
from trials.row_swap.config import RowSwapConfig

_INITIAL_STD = 0.02


def drawn_rows(
    config: RowSwapConfig,
    rows: np.ndarray,
    tokens: np.ndarray,
    strata: np.ndarray,
    rng: np.random.Generator,
    dictionary: np.ndarray | None,
    n_threads: int,
) -> np.ndarray:
    """New rows of `tokens`, float32, (n_tokens, d_model).

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
            from trials.kernels.neighbours import nearest_neighbours

            new = rows[nearest_neighbours(rows, 1, queries=tokens)[:, 0]]
        case _:
            new = _coded(config, rows, tokens, strata, rng, dictionary, n_threads)
    assert new.shape == (len(tokens), d_model)
    return np.ascontiguousarray(new, dtype=np.float32)


def _others(tokens: np.ndarray, strata: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each token another one of its stratum."""
    found = []
    for token in tokens:
        members = np.flatnonzero(strata == strata[token])
        members = members[members != token]
        if not len(members):
            raise TrialError(f"token {token} is alone in its stratum: use fewer strata")
        found.append(int(rng.choice(members)))
    return np.array(found, dtype=np.int64)


def _coded(
    config: RowSwapConfig,
    rows: np.ndarray,
    tokens: np.ndarray,
    strata: np.ndarray,
    rng: np.random.Generator,
    atoms: np.ndarray | None,
    n_threads: int,
) -> np.ndarray:
    from trials.kernels.reconstruction import reconstruct
    from trials.kernels.sparse_coding import critical_penalties, debiased_codes, lasso_codes

    if atoms is None or atoms.shape[1] != rows.shape[1]:
        shape = None if atoms is None else atoms.shape
        raise TrialError(f"the dictionary is {shape}; the rows have {rows.shape[1]} numbers")
    mean = rows.mean(axis=0)
    scale = float(np.linalg.norm(rows - mean, axis=1).mean())
    others = _others(tokens, strata, rng)
    both = ((rows[np.concatenate([tokens, others])] - mean) / scale).astype(np.float32)
    penalty = config.l1_penalty * float(np.median(critical_penalties(both, atoms)))
    solved = lasso_codes(both, atoms, l1_penalty=penalty, n_threads=n_threads)
    rebuilt = reconstruct(debiased_codes(both, atoms, solved.codes, n_threads=n_threads), atoms)
    n = len(tokens)
    new = rebuilt[:n]
    if config.draw == "reconstruction_other_residual":
        new = new + (both - rebuilt)[n:]
    return np.asarray(new * scale + mean)
