"""What the report draws for a kind; part of the contract in `api`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bound:
    """A line that a chart draws through the real trials: the limit at each trial's y.

    `x` names the metric that gives it. `within` names the config fields that the limit depends on:
    trials that agree in them share a line.
    """

    x: str
    label: str
    within: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chart:
    """What the report draws for a sweep of this kind: one point per trial, lines along `x`.

    `x`, `y` name metrics or config fields; `colour` and `dash` name config fields that split lines.
    """

    title: str
    x: str
    y: str
    colour: str = ""
    dash: str = ""
    log_x: bool = False
    log_y: bool = False
    caption: str = ""
    bound: Bound | None = None
