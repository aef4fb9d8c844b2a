"""A kind from an outside package: a noisy bowl with every way to go wrong built in."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, model_validator

from trials.api import (
    Chart,
    Comparison,
    Config,
    Context,
    Control,
    Metric,
    TrialError,
    TrialKind,
    TrialResult,
)


class BowlConfig(Config):
    """Where in the bowl to look, and what should happen there."""

    x: float = Field(default=0.0, ge=-2, le=2, description="position")
    depth: int = Field(default=0, ge=0, le=5, description="depth of the bowl")
    null: Literal["none", "flat", "noise", "broken", "centred"] = Field(
        default="none",
        description="flat: no bowl at all; noise: a random height; broken: fails; "
        "centred: refused far out",
    )
    fate: Literal["well", "raise", "refuse", "undeclared", "nan", "uncertified", "die_once"] = (
        "well"
    )
    n_steps: int = Field(default=0, ge=0, description="progress reports")
    marks: str = Field(default="", description="a folder that counts executions")
    source: str = Field(default="", description="a file whose digest is part of the key")

    @model_validator(mode="after")
    def _near_the_centre(self) -> BowlConfig:
        # The ends are let through, as by a rule that a check of the ends alone cannot see.
        if self.null == "centred" and 0.5 < abs(self.x) < 2:
            raise ValueError(f"null centred at x {self.x}; at most 0.5 from the centre")
        return self


def run(config: BowlConfig, context: Context) -> TrialResult:
    """(x - 0.3)^2 - depth, with seeded noise."""
    if config.marks:
        marks = Path(config.marks)
        before = len(list(marks.iterdir()))
        (marks / f"{os.getpid()}-{before}-{config.x}-{config.seed}").touch()
        if config.fate == "die_once" and before == 0:
            os._exit(9)
    noise = np.random.default_rng(config.seed).normal(scale=0.01)
    if config.null == "broken":
        raise ZeroDivisionError("there is no bowl")
    heights = {"none": (config.x - 0.3) ** 2 - config.depth, "noise": 40 * noise}
    bowl = heights.get(config.null, 1.0)
    loss = float(bowl + noise)
    for step in range(1, config.n_steps + 1):
        context.report(step, {"loss_validation": loss + 1 / step})
    match config.fate:
        case "raise":
            raise ZeroDivisionError("the bowl has a hole")
        case "refuse":
            raise TrialError("fate 'refuse': the bowl refuses")
        case "nan":
            loss = float("nan")
    metrics = {
        "loss_validation": loss,
        "loss_held_out": loss + 0.1,
        "distance": abs(config.x),
        "threads": context.n_threads,
    }
    if config.fate == "undeclared":
        metrics["surprise"] = 1.0
    return TrialResult(
        metrics=metrics,
        arrays={"point": {"x": np.array([config.x])}},
        tables={"trace": {"step": [0, 1], "token": ["<b>", "a,b"]}},
        facts={"bowl": "round"},
        uncertified="the bowl wobbles" if config.fate == "uncertified" else "",
    )


def input_digests(config: Any) -> dict[str, str]:
    """The digest of `source`, if there is one."""
    if not config.source:
        return {}
    if not Path(config.source).is_file():
        raise TrialError(f"source '{config.source}' does not exist")
    return {"source": hashlib.sha256(Path(config.source).read_bytes()).hexdigest()}


BOWL = TrialKind(
    name="bowl",
    version=1,
    summary="A bowl.",
    config=BowlConfig,
    metrics=(
        Metric("loss_validation", "", "minimise", "the bowl's height"),
        Metric("loss_held_out", "", "minimise", "the bowl's height, sealed", held_out=True),
        Metric("distance", "", "none", "|x|"),
        Metric("threads", "", "none", "threads the trial was given"),
    ),
    objective="loss_validation",
    run=run,
    input_digests=input_digests,
    reports=("loss_validation",),
    control=Control(
        "null", "none", (Comparison("loss_held_out", at="loss_validation", shown="difference"),)
    ),
    charts=(Chart("Height", x="x", y="loss_held_out", colour="depth", dash="null"),),
)
