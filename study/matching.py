"""Which atoms of two stored dictionaries agree, and how many would by chance.

The kind `dictionary_match` measures how alike two dictionaries are; this lists the pairs.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sweeper.errors import UserError
from sweeper.records import TrialRow
from sweeper.report.listing import to_json
from sweeper.report.tables import Grid, page
from sweeper.report.words import plural
from trials.api import TrialError
from trials.inputs.controls.null_directions import directions_like
from trials.inputs.dictionaries import load_dictionary
from trials.kernels.dictionaries import match_dictionaries

Fetch = Callable[[str, str], Path]
_N_NULLS, _N_TOKENS = 5, 4
_TABLE = "atoms.csv"


class Pair(NamedTuple):
    """Two atoms that agree: their rows in the dictionaries, cosine with its sign, top tokens."""

    first: int
    second: int
    cosine: float
    first_tokens: tuple[str, ...]
    second_tokens: tuple[str, ...]


class Agreement(NamedTuple):
    """What two dictionaries share.

    Attributes:
        first, second: the trials.
        n_first, n_second: numbers of atoms.
        min_cosine: |cosine| from which a pair of the one-to-one matching agrees.
        pairs: the pairs that agree, best first.
        n_by_chance: how many pairs agree between random directions with the second moments of the
            two dictionaries; mean of five draws.
    """

    first: str
    second: str
    n_first: int
    n_second: int
    min_cosine: float
    pairs: tuple[Pair, ...]
    n_by_chance: float


def match_trials(first: TrialRow, second: TrialRow, fetch: Fetch, min_cosine: float) -> Agreement:
    """Match the dictionaries that two trials left.

    Raises:
        UserError: a trial left none, or they have different widths.
    """
    try:
        atoms = [load_dictionary(f"run:{_holder(row)}", fetch) for row in (first, second)]
        matching = match_dictionaries(*atoms)
        nulls = [_n_by_chance(atoms, seed, min_cosine) for seed in range(_N_NULLS)]
    except (TrialError, ValueError) as error:
        raise UserError(str(error)) from error
    tokens = [_top_tokens(row, fetch) for row in (first, second)]
    found = zip(matching.first, matching.second, matching.cosine, strict=True)
    pairs = [
        Pair(int(a), int(b), float(c), tokens[0].get(int(a), ()), tokens[1].get(int(b), ()))
        for a, b, c in found
        if abs(c) >= min_cosine
    ]
    pairs.sort(key=lambda pair: -abs(pair.cosine))
    return Agreement(
        first=f"{first.sweep}: {first.label}",
        second=f"{second.sweep}: {second.label}",
        n_first=len(atoms[0]),
        n_second=len(atoms[1]),
        min_cosine=min_cosine,
        pairs=tuple(pairs),
        n_by_chance=float(np.mean(nulls)),
    )


def agreement_page(found: Agreement, limit: int) -> str:
    """A line on how many atoms agree, then the best pairs."""
    rows = [
        (
            str(pair.first),
            str(pair.second),
            f"{pair.cosine:.3f}",
            " ".join(map(repr, pair.first_tokens)),
            " ".join(map(repr, pair.second_tokens)),
        )
        for pair in found.pairs[:limit]
    ]
    columns = ("atom of A", "atom of B", "cosine", "top tokens of A", "top tokens of B")
    n_pairs = min(found.n_first, found.n_second)
    head = [
        f"A  {found.first}, {plural(found.n_first, 'atom')}",
        f"B  {found.second}, {plural(found.n_second, 'atom')}",
        f"{len(found.pairs):,} of {plural(n_pairs, 'pair')} agree (|cosine| of "
        f"{found.min_cosine:g} or more), {found.n_by_chance:.3g} by chance",
    ]
    parts = [Grid(columns, rows, right=columns[:3])] if rows else []
    return page(*head, *parts)


def agreement_json(found: Agreement) -> str:
    """Every pair, and the counts."""
    return to_json({**found._asdict(), "pairs": [pair._asdict() for pair in found.pairs]})


def _n_by_chance(atoms: list[np.ndarray], seed: int, min_cosine: float) -> int:
    rng = np.random.default_rng(seed)
    drawn = [directions_like(each, rng).draw(len(each), rng) for each in atoms]
    return int((np.abs(match_dictionaries(*drawn).cosine) >= min_cosine).sum())


def _top_tokens(row: TrialRow, fetch: Fetch) -> dict[int, tuple[str, ...]]:
    """The strongest tokens of each atom, where the trial left a table of them."""
    if _TABLE not in {artifact.path for artifact in row.artifacts}:
        return {}
    with fetch(_holder(row), _TABLE).open(newline="", encoding="utf-8") as file:
        lines = [line for line in csv.DictReader(file) if {"atom", "top_tokens"} <= line.keys()]
    return {
        int(line["atom"]): tuple(
            str(token) for token, *_ in json.loads(line["top_tokens"])[:_N_TOKENS]
        )
        for line in lines
    }


def _holder(row: TrialRow) -> str:
    return row.reused_from or row.run_id
