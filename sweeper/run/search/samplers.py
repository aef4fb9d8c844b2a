"""Which sampler suits a space."""

from __future__ import annotations

import math

from sweeper.declare.space import Choice
from sweeper.declare.sweep import Sweep
from sweeper.run.search.points import Points

MAX_GP_TRIALS = 100
"""A fit costs the cube of the trials: at 100 a proposal takes seconds."""
MAX_GP_FIELDS = 8
MAX_GP_CATEGORIES = 16
"""Combinations of listed values: the kernel learns each of them from its own trials."""


def sampler_of(sweep: Sweep) -> str:
    """The sampler of an Optuna search: the one that the sweep file names, or that suits its space.

    A Gaussian process where the space is small and continuous and the trials are few, else TPE. A
    space that the trials exhaust needs no model.
    """
    if sweep.search.sampler != "auto":
        return sweep.search.sampler
    n_trials = sweep.trials or 0
    lists = [len(d.values) for d in sweep.space.values() if isinstance(d, Choice)]
    suits = (
        n_trials <= MAX_GP_TRIALS
        and len(lists) < len(sweep.space) <= MAX_GP_FIELDS
        and math.prod(lists) <= MAX_GP_CATEGORIES
        and Points(sweep.space).size > n_trials
    )
    return "gp" if suits else "tpe"


_IN_WORDS = {
    "gp": "Gaussian process",
    "tpe": "TPE",
    "random": "random draws",
    "qmc": "scrambled Sobol sequence",
}


def sampler_note(sweep: Sweep) -> str:
    """The sampler in words, and whether the sweep file named it."""
    name = sampler_of(sweep)
    chosen = "; chosen for this space, 'search.sampler' names another"
    return f"sampler {name} ({_IN_WORDS[name]}{chosen if sweep.search.sampler == 'auto' else ''})"
