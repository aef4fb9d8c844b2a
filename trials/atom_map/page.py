"""A page with the maps: one point per atom, its tokens on hover."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.colors import qualitative

from trials.atom_map.measure import Maps
from trials.atom_map.top_tokens import TopTokens, majority_labels

_COLOURS = (*qualitative.Safe, *qualitative.Vivid)
_NONE = "#c9ccd3"


def map_page(
    title: str,
    finding: str,
    maps: Maps,
    top: TopTokens,
    names: Sequence[str],
    labellings: Sequence[str],
    cluster: np.ndarray,
) -> str:
    """HTML that needs no network; menus choose the map and what gives the colours.

    An atom has the colour of the majority label of its top tokens, by the first of `labellings`.
    """
    texts = [
        f"atom {atom}, {n} tokens<br>"
        + "<br>".join(html.escape(repr(names[t])) for t in tokens if t >= 0)
        for atom, n, tokens in zip(top.atoms, top.n_tokens, top.tokens, strict=True)
    ]
    every = [
        (f"{n_neighbours} neighbours, seed {seed}", placed)
        for n_neighbours, drawn in maps.placed.items()
        for seed, placed in enumerate(drawn)
    ]
    colourings = _colourings(top, names, labellings, cluster)
    (_, first), *_ = every
    points = go.Scattergl(
        x=_rounded(first[:, 0]),
        y=_rounded(first[:, 1]),
        mode="markers",
        marker={"color": next(iter(colourings.values())), "size": 6, "opacity": 0.85},
        text=texts,
        hovertemplate="%{text}<extra></extra>",
    )
    # Texts are stored once: buttons only move or recolour the points.
    placing = [
        _button(label, {"x": [_rounded(placed[:, 0])], "y": [_rounded(placed[:, 1])]})
        for label, placed in every
    ]
    colouring = [_button(label, {"marker.color": [c]}) for label, c in colourings.items()]
    menus = [
        {"buttons": placing, "x": 0, "xanchor": "left", "y": 1.0, "yanchor": "bottom"},
        {"buttons": colouring, "x": 0.3, "xanchor": "left", "y": 1.0, "yanchor": "bottom"},
    ]
    subtitle = "<br>".join(f"<sup>{html.escape(part)}</sup>" for part in finding.split("; "))
    heading = f"{html.escape(title)}<br>{subtitle}"
    figure = go.Figure(
        points,
        layout=go.Layout(
            title={"text": heading, "font": {"size": 16}, "x": 0.02, "y": 0.97},
            margin={"t": 150, "l": 20, "r": 20, "b": 20},
            template="plotly_white",
            height=860,
            hovermode="closest",
            hoverlabel={"align": "left"},
            xaxis={"visible": False},
            yaxis={"visible": False, "scaleanchor": "x"},
            updatemenus=menus,
        ),
    )
    return str(figure.to_html(include_plotlyjs=True, full_html=True, div_id="map"))


def _colourings(
    top: TopTokens, names: Sequence[str], labellings: Sequence[str], cluster: np.ndarray
) -> dict[str, list[str]]:
    colourings = {
        f"colour: {labelling}": [
            _COLOURS[label % len(_COLOURS)] for label in majority_labels(top, names, labelling)
        ]
        for labelling in labellings
    }
    colourings["colour: dense cluster"] = [
        _COLOURS[c % len(_COLOURS)] if c >= 0 else _NONE for c in cluster.tolist()
    ]
    return colourings


def _button(label: str, change: dict[str, object]) -> dict[str, object]:
    return {"label": label, "method": "restyle", "args": [change]}


def _rounded(values: np.ndarray) -> list[float]:
    return np.round(values.astype(np.float64), 3).tolist()
