"""Figures of the study: arms, error over training, damage by frequency."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from study.verdict.arms import ArmContrast
from study.verdict.curves import ModelGroup
from sweeper.report.contrast import Spread
from sweeper.report.html.style import GRID, INK, PALETTE, frame, log_axis


def draw_arms(contrasts: Sequence[tuple[str, ArmContrast]]) -> go.Figure:
    """One point per arm with its interval, the first at the top."""
    figure = go.Figure(layout=frame("loss minus that of the reference (nats per token)", ""))
    figure.add_vline(x=0, line={"color": INK, "width": 1, "dash": "dot"})
    titles = [html.escape(title) for title, _ in contrasts]
    means = [found.mean for _, found in contrasts]
    figure.add_scatter(
        x=means,
        y=titles,
        mode="markers",
        marker={"size": 9, "color": PALETTE[0]},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [_reach(found.high - found.mean) for _, found in contrasts],
            "arrayminus": [_reach(found.mean - found.low) for _, found in contrasts],
            "thickness": 1.4,
        },
        hovertemplate="%{y}: %{x:.3g} nats<extra></extra>",
        showlegend=False,
    )
    figure.update_yaxes(autorange="reversed", gridcolor=GRID)
    figure.update_layout(height=110 + 44 * len(titles))
    return figure


def draw_training(models: ModelGroup) -> go.Figure | None:
    """Real and null over the steps of training; None without a step after the start."""
    late = models.steps > 0
    if not late.any():
        return None
    steps = models.steps[late]
    figure = go.Figure(layout=frame("training step", "held-out error (FVU, debiased)"))
    for name, values, colour, dash in (
        ("real", models.real[:, late], PALETTE[0], "solid"),
        ("null", models.null[:, late], PALETTE[1], "dash"),
    ):
        low, high = values.min(axis=0), values.max(axis=0)
        figure.add_scatter(
            x=[*steps, *steps[::-1]],
            y=[*high, *low[::-1]],
            fill="toself",
            fillcolor=colour,
            opacity=0.15,
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
        )
        figure.add_scatter(
            x=steps,
            y=values.mean(axis=0),
            mode="lines+markers",
            name=name,
            line={"color": colour, "dash": dash, "width": 2},
            hovertemplate="step %{x}: %{y:.4g}<extra>%{fullData.name}</extra>",
        )
    figure.update_xaxes(log_axis([float(step) for step in steps]))
    figure.update_layout(showlegend=True)
    return figure


def draw_strata(
    draws: Mapping[str, Mapping[float, Mapping[str, Spread]]],
) -> go.Figure | None:
    """Damage over strata for each replacement row: filled as input, open as output."""
    if not draws:
        return None
    figure = go.Figure(layout=frame("stratum, 0 the most frequent", "rise of the loss (nats)"))
    figure.add_hline(y=0, line={"color": INK, "width": 1, "dash": "dot"})
    n_lines = 2 * len(draws)
    for i, (draw, strata) in enumerate(draws.items()):
        for j, (name, words) in enumerate((("as_input", "as input"), ("as_target", "as output"))):
            colour = PALETTE[i % len(PALETTE)]
            shift = 0.3 * ((2 * i + j) / max(1, n_lines - 1) - 0.5)
            found = [strata[stratum][name] for stratum in strata]
            figure.add_scatter(
                x=[stratum + shift for stratum in strata],
                y=[one.mean for one in found],
                mode="lines+markers",
                name=f"{html.escape(draw)}, {words}",
                line={"color": colour, "dash": ("solid", "dot")[j], "width": 1.4},
                marker={"size": 8, "symbol": ("circle", "circle-open")[j]},
                error_y={
                    "type": "data",
                    "array": [_reach(one.high - one.mean) for one in found],
                    "thickness": 1.2,
                },
                hovertemplate="%{y:.3g} nats<extra>%{fullData.name}</extra>",
            )
    strata_of_all = sorted({stratum for strata in draws.values() for stratum in strata})
    figure.update_xaxes(tickvals=strata_of_all)
    figure.update_layout(showlegend=True)
    return figure


def draw_recovery(curves: Mapping[str, Mapping[float, Spread]]) -> go.Figure | None:
    """The share of the damage that fine-tuning undoes, over its steps, one curve per treatment."""
    if not curves:
        return None
    figure = go.Figure(layout=frame("fine-tuning steps", "share of the damage recovered"))
    for y in (0, 1):
        figure.add_hline(y=y, line={"color": INK, "width": 1, "dash": "dot"})
    steps = sorted({step for curve in curves.values() for step in curve})
    for i, (name, curve) in enumerate(curves.items()):
        found = list(curve.values())
        figure.add_scatter(
            x=[steps.index(step) for step in curve],
            y=[one.mean for one in found],
            mode="lines+markers",
            name=html.escape(name),
            line={"color": PALETTE[i % len(PALETTE)], "width": 2},
            error_y={
                "type": "data",
                "array": [_reach(one.high - one.mean) for one in found],
                "thickness": 1.2,
            },
            hovertemplate="%{y:.3g} recovered<extra>%{fullData.name}</extra>",
        )
    figure.update_xaxes(tickvals=list(range(len(steps))), ticktext=[f"{s:.0f}" for s in steps])
    figure.update_layout(showlegend=True)
    return figure


def _reach(length: float) -> float:
    return length if math.isfinite(length) else 0.0
