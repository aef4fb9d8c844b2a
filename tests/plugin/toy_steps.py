"""A kind from an outside package that takes time, checkpoints, and can be counted and broken."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from trials.api import Config, Context, Metric, TrialError, TrialKind, TrialResult


class StepperConfig(Config):
    """How long to go on from where, and what should happen at which step."""

    x: float = Field(default=0.0, ge=-10, le=10, description="where to start")
    n_steps: int = Field(default=5, ge=1, le=10_000, description="steps to the end")
    step_s: float = Field(default=0.0, ge=0, le=60, description="time of a step")
    checkpoint_every: int = Field(default=1, ge=1, description="steps between checkpoints")
    n_values: int = Field(default=8, ge=1, le=10_000_000, description="numbers in the artifact")
    marks: str = Field(default="", description="a folder where each executed step leaves a line")
    fate: Literal[
        "well", "raise", "refuse", "exit", "exit_once", "memory", "hang", "nan", "inf", "missing"
    ] = "well"
    fate_step: int = Field(default=1, ge=1, description="the step at which fate strikes")
    stem: str = Field(default="state", description="name of the artifact")
    note: str = Field(default="", description="any text")


def stepper_states(config: StepperConfig, step: int, state: float) -> Iterator[tuple[int, float]]:
    """The steps after `step`, each hanging on the one before: none can be skipped or repeated."""
    while step < config.n_steps:
        step += 1
        state = 0.75 * state + math.sin(config.x + config.seed + step)
        yield step, state


def stepper_progress(step: int, state: float) -> dict[str, float]:
    """What a step reports."""
    return {"loss_validation": state**2 + 1 / step, "state": state}


def stepper_metrics(config: StepperConfig) -> dict[str, float]:
    """What an undisturbed trial returns."""
    return _stepper_metrics(config, *list(stepper_states(config, 0, config.x))[-1])


def run_stepper(config: StepperConfig, context: Context) -> TrialResult:
    """`n_steps` steps from the last checkpoint on; a checkpoint every `checkpoint_every` steps."""
    checkpoint = context.checkpoint_dir / f"{_name(config)}.json"
    step, state = last = _last_checkpoint(checkpoint) or (0, config.x)
    for step, state in stepper_states(config, *last):
        _strike(config, step, context)
        time.sleep(config.step_s)
        _mark(config, step)
        if step % config.checkpoint_every == 0 or context.interrupted():
            aside = checkpoint.with_suffix(".partial")
            aside.write_text(json.dumps((step, state)))
            aside.replace(checkpoint)
        context.report(step, stepper_progress(step, state))
    metrics = _stepper_metrics(config, step, state)
    match config.fate:
        case "nan" | "inf":
            metrics["loss_validation"] = float(config.fate)
        case "missing":
            del metrics["loss_validation"]
    values = np.random.default_rng(config.seed).normal(loc=state, size=config.n_values)
    return TrialResult(metrics=metrics, arrays={config.stem: {"values": values}})


def steps_marked(marks: Path) -> dict[str, list[int]]:
    """The steps that each trial executed, in order, repeated ones included."""
    return {
        path.stem: [int(line.split()[0]) for line in path.read_text().splitlines()]
        for path in sorted(marks.glob("*.steps"))
    }


def _stepper_metrics(config: StepperConfig, step: int, state: float) -> dict[str, float]:
    return {
        "loss_validation": state**2,
        "loss_held_out": state**2 + 0.125,
        "state": state,
        "distance": abs(state - config.x),
        "steps": float(step),
    }


def _name(config: StepperConfig) -> str:
    return f"{config.x!r}_{config.seed}"


def _last_checkpoint(path: Path) -> tuple[int, float] | None:
    if not path.exists():
        return None
    step, state = json.loads(path.read_text())
    return step, state


def _mark(config: StepperConfig, step: int) -> None:
    """One short line by one append: whole or absent, whoever is killed."""
    if config.marks:
        with (Path(config.marks) / f"{_name(config)}.steps").open("a") as file:
            file.write(f"{step} {os.getpid()} {time.time_ns()}\n")


def _strike(config: StepperConfig, step: int, context: Context) -> None:
    if step != config.fate_step:
        return
    died = context.checkpoint_dir / "died"
    match config.fate:
        case "raise":
            raise ZeroDivisionError("the step is broken")
        case "refuse":
            raise TrialError("fate 'refuse': the step refuses")
        case "exit":
            os._exit(9)
        case "exit_once" if not died.exists():
            died.touch()
            os._exit(9)
        case "memory":
            _hoard(n_bytes=3 << 30)
        case "hang":
            time.sleep(3600)


def _hoard(n_bytes: int, chunk_bytes: int = 32 << 20) -> None:
    """Fill memory, slowly enough for whoever watches; an end spares the machine if none does."""
    hoard = []
    for _ in range(n_bytes // chunk_bytes):
        hoard.append(np.ones(chunk_bytes, dtype=np.uint8))
        time.sleep(0.02)


STEPPER = TrialKind(
    name="stepper",
    version=1,
    summary="Steps that take time and leave checkpoints.",
    config=StepperConfig,
    metrics=(
        Metric("loss_validation", "", "minimise", "the last state, squared"),
        Metric("loss_held_out", "", "minimise", "the same, sealed", held_out=True),
        Metric("state", "", "none", "the last state"),
        Metric("distance", "", "none", "from start to end"),
        Metric("steps", "", "none", "the number of the last step"),
    ),
    objective="loss_validation",
    run=run_stepper,
    reports=("loss_validation",),
)
