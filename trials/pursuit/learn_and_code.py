"""A dictionary and the codes of every token over it: what several kinds begin with."""

from __future__ import annotations

from trials.api import Context
from trials.inputs.rows import TokenRows
from trials.pursuit.code_rows import Coded, code_rows
from trials.pursuit.config import PursuitConfig
from trials.pursuit.learn import Learned, learn


def learn_and_code(
    data: TokenRows, config: PursuitConfig, context: Context
) -> tuple[Learned, Coded]:
    """Learn on the training tokens, then code all tokens at the same penalty."""
    learned = learn(data, config, context.n_threads)
    coded = code_rows(
        data,
        learned.atoms,
        learned.l1_penalty,
        nonnegative=config.nonnegative,
        tolerance=config.tolerance,
        n_threads=context.n_threads,
        device=context.device,
    )
    return learned, coded
