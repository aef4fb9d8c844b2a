"""The page itself.

A part is a question that some kinds of trials answer. It is there when the database holds complete
trials of theirs, from whatever sweeps; at the end stand the questions that none answers yet, each
with the sweep that would.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

import sweeper.report.html
from study.report import verdict_section
from study.report.atom_map import tell_atom_map
from study.report.circles import tell_circles
from study.report.matrix_binding import tell_bindings
from study.report.residual import tell_residual
from study.report.row_swap import tell_rows
from study.report.section import Grid, Telling
from study.report.trial_groups import Files
from study.verdict.decide import Verdict
from study.verdict.page import QUESTION_1, QUESTION_2
from sweeper.records import TrialRow, TrialState
from sweeper.report.html.page import Plot, ReportedSweep, Section, figure_json, latest, section
from sweeper.store.results import one_per_key
from sweeper.store.versions import Inputs, Standing, standing
from trials.api import TrialKind

Tell = Callable[[Sequence[TrialRow], TrialKind, Files, str], Iterator[Telling]]


class Topic(NamedTuple):
    """A part of the page: what it asks, the kinds that answer, and a sweep that would.

    `tell` puts the answer into words and tables, one matrix after the other; `n_plots` of the
    kind's own charts follow.
    """

    question: str
    kinds: tuple[str, ...]
    sweep: str
    n_plots: int = 2
    tell: Tell | None = None


TOPICS = (
    Topic("How small does the error of sparse codes get?", ("pursuit",), "pursuit", 3),
    Topic("What does a sparse autoencoder lose?", ("sae",), "sae", 1),
    Topic("How many atoms does an exact code take?", ("exact_pursuit",), "exact-pursuit", 1),
    Topic("Are tokens combinations of other tokens?", ("self_pursuit",), "self-pursuit", 1),
    Topic("What does one random row cost?", ("row_swap",), "row-swap", 0, tell_rows),
    Topic(
        "How far do trained embeddings of a random body get?", ("embedding_only",), "embedding-only"
    ),
    Topic("Do the atoms form clusters of meaning?", ("atom_map",), "atom-map", 0, tell_atom_map),
    Topic("Are there circles?", ("circles",), "circles", 0, tell_circles),
    Topic("Are words bound by matrices?", ("matrix_binding",), "matrix-binding", 0, tell_bindings),
    Topic("Is what is left over noise?", ("residual",), "residual", 2, tell_residual),
)


class Told(NamedTuple):
    """What a page says of one matrix, its charts ready to draw."""

    telling: Telling
    plots: list[Plot]


class Part(NamedTuple):
    """A topic with what was found, one section a kind; `note` says what to run for one without."""

    topic: Topic
    told: list[Told]
    sections: list[Section]
    note: str


OPEN_TELLINGS = 4
"""Matrices that a part tells openly; the others are folded."""


def write_study(
    path: Path,
    rows: Sequence[TrialRow],
    kinds: Mapping[str, TrialKind],
    verdict: Verdict,
    files: Files,
    inputs: Inputs = "latest",
) -> Path:
    """Write the page on every trial of `rows` whose kind is among `kinds`.

    Where trials of one config read other inputs, the newest stand, unless all `inputs` are wanted.
    """
    environment = Environment(
        loader=FileSystemLoader([Path(__file__).parent, Path(sweeper.report.html.__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found = Standing([row for row in one_per_key(rows) if row.kind in kinds])
    if inputs == "latest":
        found = standing(found.rows)
    known = found.rows
    page = environment.get_template("study.html").render(
        verdict=verdict,
        question_1=QUESTION_1.removeprefix("H1").strip(),
        question_2=QUESTION_2.removeprefix("H2").strip(),
        numbers=verdict_section.numbers(verdict),
        training=verdict_section.training(verdict),
        arms=verdict_section.arms(verdict),
        curves=verdict_section.curves(verdict),
        fits=verdict_section.fits(verdict),
        sizes=verdict_section.sizes(verdict),
        parts=[_part(topic, known, kinds, files) for topic in TOPICS],
        n_open=OPEN_TELLINGS,
        left_out=found.notes(),
        sweeps=_sweeps(rows),
        provenance=_provenance(known),
        as_of=latest(rows),
        plotly=Markup(get_plotlyjs()),
    )
    path.write_text(page, encoding="utf-8")
    return path


def _part(
    topic: Topic, rows: Sequence[TrialRow], kinds: Mapping[str, TrialKind], files: Files
) -> Part:
    sections, told = [], []
    for name in topic.kinds:
        of_kind = [row for row in rows if row.kind == name and not _is_checkpoint(row)]
        if any(row.state is TrialState.COMPLETE for row in of_kind):
            found = section(ReportedSweep(name, kinds[name], of_kind, inputs="all"))
            drawn = [plot for plot in found.plots if plot.figure][: topic.n_plots]
            sections.append(found._replace(plots=drawn))
            if topic.tell:
                told += [
                    Told(telling, [_plot(*figure) for figure in telling.figures])
                    for telling in topic.tell(of_kind, kinds[name], files, topic.sweep)
                ]
    note = "" if sections else f"sweeper run {topic.sweep}"
    return Part(topic, told, sections, note)


def _plot(title: str, caption: str, figure: Any) -> Plot:
    return Plot(title, caption, figure_json(figure), "")


def _is_checkpoint(row: TrialRow) -> bool:
    """Checkpoints of a training have a part of their own."""
    return math.isfinite(row.metrics.get("training_step", math.nan))


def _sweeps(rows: Sequence[TrialRow]) -> Grid:
    """Every sweep with its trials by state."""
    counted: dict[tuple[str, str], Counter[str]] = {}
    for row in rows:
        counted.setdefault((row.sweep, row.kind), Counter())[str(row.state)] += 1
    body = [
        [sweep, kind, ", ".join(f"{n} {state.lower()}" for state, n in sorted(states.items()))]
        for (sweep, kind), states in sorted(counted.items())
    ]
    return Grid(["sweep", "kind", "trials"], body)


def _provenance(rows: Sequence[TrialRow]) -> list[tuple[str, str]]:
    """What made the numbers: versions of the code and packages, machines."""
    found: dict[str, set[str]] = {}
    for row in rows:
        for name, value in row.provenance.items():
            if not name.startswith("input."):
                found.setdefault(name, set()).add(value)
    return [(name, " · ".join(sorted(values)[:4])) for name, values in sorted(found.items())]
