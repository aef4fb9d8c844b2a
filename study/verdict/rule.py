"""The decision rule as data: a YAML file, its values, and the digest that identifies it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field

import study
from sweeper.declare.reader import read_document
from sweeper.declare.validation import Declared, build
from sweeper.errors import UserError
from sweeper.records import Scalar

Positive = Annotated[float, Field(gt=0)]
Arm = dict[str, Scalar]


class OtherContrast(Declared):
    """A comparison of two arms that is reported and decides nothing."""

    title: str
    arm: Arm
    reference: Arm


class H1Rule(Declared):
    """When frozen random rows count as worse, and when as not worse."""

    arm: Arm
    reference: Arm
    rows_distribution: tuple[str, ...] = Field(min_length=1)
    gap_nats: Positive
    tokens_ratio: Positive
    tokens_share: float = Field(gt=0, le=1)
    seed_sds: Positive
    equivalent_nats: Positive


class H2Rule(Declared):
    """Which error is followed over training, and when its limit counts as decided."""

    fvu: str
    l0: str
    atoms_a_token: Positive
    atoms_per_token_of_vocabulary: Positive
    null: str
    counts_as_zero: Positive
    cost_seed_sds: Positive
    checkpoints_min: int = Field(ge=8)
    max_chi2_per_dof: Positive
    max_prediction: Positive
    horizon: Positive
    slope_min: Positive = 0.03
    aic_margin: Positive = 6.0


class RuleFile(Declared):
    """The keys of a rule."""

    name: str
    seeds_min: int = Field(ge=3)
    seeds_firm: int = Field(ge=3)
    level: float = Field(gt=0.5, lt=1)
    worse: H1Rule
    error: H2Rule
    others: tuple[OtherContrast, ...] = ()


class Rule(NamedTuple):
    """A rule and its origin; `digest` is the SHA-256 of the file's bytes."""

    values: RuleFile
    digest: str
    origin: str


def load_rule(path: str | None = None) -> Rule:
    """The rule of that file, or the one that comes with the package.

    Raises UserError: no such file, not YAML, an unknown key, a value out of range.
    """
    file = Path(path) if path else Path(study.__file__).parent / "rules" / "verdict.yaml"
    if not file.is_file():
        raise UserError("no such file", where=str(file))
    document = read_document(file, str(file))
    values = build(RuleFile, document.values, document.where)
    return Rule(values, hashlib.sha256(file.read_bytes()).hexdigest(), str(file))
