"""A dictionary and the codes of every token over it: what several kinds begin with."""

from __future__ import annotations

import numpy as np

from trials.api import Context
from trials.inputs.rows import TokenRows
from trials.pursuit.code import Coded, code_rows
from trials.pursuit.config import CertifiedConfig, PursuitConfig
from trials.pursuit.learn import Learned, learn


def learn_and_code(
    data: TokenRows, config: PursuitConfig, context: Context, *, start: np.ndarray | None = None
) -> tuple[Learned, Coded]:
    """Learn on the training tokens, from `start` if given; code all tokens at the same penalty."""
    learned = learn(data, config, context.n_threads, start=start)
    return learned, codes(config, data, learned, context)


def codes(config: CertifiedConfig, data: TokenRows, learned: Learned, context: Context) -> Coded:
    """Certified codes of all tokens over a dictionary, at the penalty that it comes with."""
    return code_rows(
        data,
        learned.atoms,
        learned.l1_penalty,
        nonnegative=config.nonnegative,
        tolerance=config.tolerance,
        n_threads=context.n_threads,
        device=context.device,
    )
