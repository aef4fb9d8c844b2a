import sys
from dataclasses import replace
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Literal

import pytest
from hypothesis import settings
from pydantic import BaseModel, Field, model_validator

import trials
from trials.api import Comparison, Config, Context, Control, Metric, TrialKind, TrialResult

settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


class Optimiser(BaseModel, frozen=True, extra="forbid"):
    lr: float = 0.1
    momentum: float = 0.0


class ToyConfig(Config):
    """One field of every sort that a kind may have."""

    source: str = Field(min_length=1)
    penalty: float = Field(default=0.1, gt=0, lt=1)
    width: int = Field(default=8, ge=1, le=64)
    n_atoms: int | str = "1x"
    mode: Literal["plain", "signed"] = "plain"
    null: str = "none"
    nonnegative: bool = False
    betas: tuple[float, float] = (0.9, 0.99)
    optimiser: Optimiser = Optimiser()

    @model_validator(mode="after")
    def _even(self) -> "ToyConfig":
        if self.mode == "signed" and self.width % 2:
            raise ValueError(f"mode signed with width {self.width}; a signed width must be even")
        return self


def _never(config: ToyConfig, context: Context) -> TrialResult:
    raise AssertionError("declaring a sweep runs nothing")


METRICS = (
    Metric("error", "", "minimise", "what is left"),
    Metric("score", "", "maximise", "what is right"),
    Metric("total", "", "minimise", "what is left in the end"),
    Metric("n_dead", "atoms", "none", "atoms without use"),
    Metric("sealed_error", "", "minimise", "what is left of sealed tokens", held_out=True),
)
TOY = TrialKind(
    "toy", 1, "a toy", ToyConfig, METRICS, "error", _never, reports=("error", "score", "n_dead")
)


class NulledConfig(ToyConfig):
    """The toy with named nulls, of which one does not go with every width."""

    null: Literal["none", "gaussian", "shuffled"] = "none"

    @model_validator(mode="after")
    def _wide(self) -> "NulledConfig":
        if self.null == "shuffled" and self.width < 4:
            raise ValueError(f"null shuffled with width {self.width}; it takes at least 4")
        return self


NULLED = replace(
    TOY,
    name="nulled",
    config=NulledConfig,
    control=Control("null", "none", (Comparison("error", at="score"),)),
)
SEALED = TrialKind("sealed", 1, "a toy", ToyConfig, METRICS, "sealed_error", _never)


@pytest.fixture(autouse=True)
def kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three toy kinds stand in for the real ones."""
    module = ModuleType("toy_kinds")
    module.__spec__ = ModuleSpec("toy_kinds", loader=None)  # else it does not count as installed
    module.__dict__.update(TOY=TOY, NULLED=NULLED, SEALED=SEALED)
    monkeypatch.setitem(sys.modules, "toy_kinds", module)
    names = ("toy", "nulled", "sealed")
    monkeypatch.setattr(trials, "KINDS", {name: f"toy_kinds:{name.upper()}" for name in names})
