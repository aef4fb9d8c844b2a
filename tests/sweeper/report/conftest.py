"""A small kind of trial with a null, and rows of it with known answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import pytest
from pydantic import Field

from sweeper.records import TrialRow, TrialState
from trials.api import Chart, Comparison, Config, Context, Control, Metric, TrialKind, TrialResult

MakeRow = Callable[..., TrialRow]


class ToyConfig(Config):
    """Fields of every type that a page has to describe."""

    size: int | str = Field(description='a number, or a multiple such as "4x"')
    penalty: float = Field(gt=0, lt=1, description="how dear a coefficient is")
    null: Literal["none", "gaussian", "shuffled"] = Field(default="none", description="a control")
    name: str = Field(default="", min_length=1)


def _run(config: ToyConfig, context: Context) -> TrialResult:
    return TrialResult(metrics={"loss": config.penalty, "l0": 1.0, "bits": 0.0, "score": 0.0})


KIND = TrialKind(
    name="toy",
    version=3,
    summary="Does a penalty help?",
    config=ToyConfig,
    metrics=(
        Metric("loss", "frac", "minimise", "what is left / what there was"),
        Metric("l0", "atoms", "minimise", "nonzero coefficients", held_out=True),
        Metric("bits", "bits", "minimise", "length of the code, which may be < 0"),
        Metric("score", "", "maximise", "cos(x, xhat)"),
    ),
    objective="bits",
    run=_run,
    control=Control(
        field="null",
        real="none",
        comparisons=(Comparison("loss", at="l0"), Comparison("bits", "loss", shown="difference")),
        within=("size",),
    ),
    charts=(
        Chart("Loss against l0", "l0", "loss", colour="size", log_x=True, caption="one a trial"),
        Chart("Loss against size", "size", "loss", colour="penalty"),
    ),
)


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text does not depend on the terminal that the tests run in."""
    monkeypatch.setenv("COLUMNS", "400")


@pytest.fixture
def kind() -> TrialKind:
    return KIND


@pytest.fixture
def plain_kind() -> TrialKind:
    """The same without a control and without charts."""
    return replace(KIND, control=None, charts=())


@pytest.fixture
def make_row() -> MakeRow:
    """A complete trial whose key and label come from its params."""

    def make(
        size: int | str = "2x",
        penalty: float = 0.1,
        null: str = "none",
        seed: int = 0,
        metrics: dict[str, float] | None = None,
        **changes: Any,
    ) -> TrialRow:
        name = f"size={size} penalty={penalty:g} null={null} seed={seed}"
        given = {
            "run_id": f"run-{name}".replace(" ", "-"),
            "sweep": "toys",
            "submission": "1",
            "kind": "toy",
            "kind_version": 3,
            "key": name,
            "state": TrialState.COMPLETE,
            "label": name,
            "params": {"size": size, "penalty": penalty, "null": null, "name": "x", "seed": seed},
            "metrics": metrics or {},
            "varied": ("size", "penalty", "null", "seed"),
            "is_control": null != "none",
            "started_ms": 1_700_000_000_000,
            "ended_ms": 1_700_000_012_000,
        }
        return TrialRow(**(given | changes))

    return make


@pytest.fixture
def power_law_rows(make_row: MakeRow) -> list[TrialRow]:
    """Nulls on loss = l0^-0.5, real trials at 0.7 of it; two seeds 1 % to either side of that."""
    rows = []
    for size in ("2x", "10x"):
        for seed, factor in ((0, 0.99), (1, 1.01)):
            for penalty, l0 in ((0.4, 10.0), (0.2, 30.0), (0.1, 100.0)):
                null = {"l0": l0, "loss": l0**-0.5, "bits": -l0, "score": 0.1}
                rows.append(make_row(size, penalty, "gaussian", seed, null))
                x = 0.9 * l0
                real = {"l0": x, "loss": 0.7 * factor * x**-0.5, "bits": 1 - l0, "score": 0.2}
                rows.append(make_row(size, penalty, "none", seed, real))
    return rows
