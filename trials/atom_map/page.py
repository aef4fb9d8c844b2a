"""A page with the maps: one point an atom, its tokens on hover."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.colors import qualitative

from trials.atom_map.measure import Maps
from trials.atom_map.tops import Tops

_COLOURS = (*qualitative.Safe, *qualitative.Vivid)
_NO_CLUSTER = "#c9ccd3"


def map_page(title: str, maps: Maps, tops: Tops, names: Sequence[str], cluster: np.ndarray) -> str:
    """HTML that needs no network; a menu chooses the map."""
    texts = [
        f"atom {atom}, {n} tokens<br>"
        + "<br>".join(html.escape(repr(names[t])) for t in tokens if t >= 0)
        for atom, n, tokens in zip(tops.atoms, tops.n_tokens, tops.tokens, strict=True)
    ]
    colours = [_COLOURS[c % len(_COLOURS)] if c >= 0 else _NO_CLUSTER for c in cluster.tolist()]
    every = [
        (f"{n_neighbours} neighbours, seed {seed}", placed)
        for n_neighbours, drawn in maps.placed.items()
        for seed, placed in enumerate(drawn)
    ]
    (_, first), *_ = every
    points = go.Scattergl(
        x=_rounded(first[:, 0]),
        y=_rounded(first[:, 1]),
        mode="markers",
        marker={"color": colours, "size": 6, "opacity": 0.85},
        text=texts,
        hovertemplate="%{text}<extra></extra>",
    )
    # The texts are stored once: a button moves the points.
    buttons = [
        {
            "label": label,
            "method": "restyle",
            "args": [{"x": [_rounded(placed[:, 0])], "y": [_rounded(placed[:, 1])]}],
        }
        for label, placed in every
    ]
    figure = go.Figure(
        points,
        layout=go.Layout(
            title={"text": html.escape(title), "font": {"size": 15}},
            template="plotly_white",
            height=760,
            hovermode="closest",
            hoverlabel={"align": "left"},
            xaxis={"visible": False},
            yaxis={"visible": False, "scaleanchor": "x"},
            updatemenus=[{"buttons": buttons, "x": 1, "xanchor": "right", "y": 1.08}],
        ),
    )
    return str(figure.to_html(include_plotlyjs=True, full_html=True, div_id="map"))


def _rounded(values: np.ndarray) -> list[float]:
    return np.round(values.astype(np.float64), 3).tolist()
