"""The page itself.

A topic is a question that some kinds of trials answer. It has a part on the page when the store
holds complete trials of these kinds, from any sweep. Questions without an answer come last, each
with the sweep to run.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from study.report import verdict_section
from study.report.atom_map import describe_atom_map
from study.report.circles import describe_circles
from study.report.matrix_binding import describe_bindings
from study.report.residual import describe_residual
from study.report.row_swap import describe_row_swaps
from study.report.section import Section
from study.report.trial_groups import TrialFiles
from study.verdict.decide import Verdict
from study.verdict.page import QUESTION_1, QUESTION_2
from sweeper.records import TrialRow, TrialState
from sweeper.report.html.page import (
    Plot,
    ReportedSweep,
    SweepSection,
    latest,
    plot,
    sweep_section,
)
from sweeper.report.html.template import environment, plotly_js
from sweeper.report.tables import Grid
from sweeper.store.versions import Inputs, Standing, one_per_key, standing
from trials.api import TrialKind

Describe = Callable[[Sequence[TrialRow], TrialKind, TrialFiles, str], Iterator[Section]]


class Topic(NamedTuple):
    """A question, the kinds that answer it, and a sweep of that kind.

    `describe` yields a section per matrix; `n_plots` of the kind's own charts follow.
    """

    question: str
    kinds: tuple[str, ...]
    sweep: str
    n_plots: int = 2
    describe: Describe | None = None


TOPICS = (
    Topic("How small does the error of sparse codes get?", ("pursuit",), "pursuit", 3),
    Topic("What does a sparse autoencoder lose?", ("sae",), "sae", 1),
    Topic("How many atoms does an exact code take?", ("exact_pursuit",), "exact-pursuit", 1),
    Topic("Are tokens combinations of other tokens?", ("self_pursuit",), "self-pursuit", 1),
    Topic("What does one random row cost?", ("row_swap",), "row-swap", 0, describe_row_swaps),
    Topic(
        "How far do trained embeddings of a random body get?", ("embedding_only",), "embedding-only"
    ),
    Topic(
        "Do the atoms form clusters of meaning?", ("atom_map",), "atom-map", 0, describe_atom_map
    ),
    Topic("Are there circles?", ("circles",), "circles", 0, describe_circles),
    Topic(
        "Are words bound by matrices?", ("matrix_binding",), "matrix-binding", 0, describe_bindings
    ),
    Topic("Is what is left over noise?", ("residual",), "residual", 2, describe_residual),
)


class DrawnSection(NamedTuple):
    """A section with its charts as JSON, ready for the template."""

    section: Section
    plots: list[Plot]


class Part(NamedTuple):
    """A topic with its sections; `note` names a sweep to run where there are none."""

    topic: Topic
    sections: list[DrawnSection]
    sweep_sections: list[SweepSection]
    note: str


OPEN_SECTIONS = 4
"""Sections that a part shows unfolded; the others are folded."""


def write_study(
    path: Path,
    rows: Sequence[TrialRow],
    kinds: Mapping[str, TrialKind],
    verdict: Verdict,
    files: TrialFiles,
    inputs: Inputs = "latest",
) -> Path:
    """Write the page on every trial of `rows` whose kind is among `kinds`.

    Where trials of one config read different inputs the newest count, unless `inputs` is "all".
    """
    kept = Standing([row for row in one_per_key(rows) if row.kind in kinds])
    if inputs == "latest":
        kept = standing(kept.rows)
    page = (
        environment(Path(__file__).parent)
        .get_template("study.html")
        .render(
            verdict=verdict,
            question_1=QUESTION_1.removeprefix("H1").strip(),
            question_2=QUESTION_2.removeprefix("H2").strip(),
            numbers=verdict_section.numbers(verdict),
            training=verdict_section.training(verdict),
            arms=verdict_section.arms(verdict),
            curves=verdict_section.curves(verdict),
            fits=verdict_section.fits(verdict),
            sizes=verdict_section.sizes(verdict),
            parts=[_part(topic, kept.rows, kinds, files) for topic in TOPICS],
            n_open=OPEN_SECTIONS,
            left_out=kept.notes(),
            sweeps=_sweeps(rows),
            provenance=_provenance(kept.rows),
            as_of=latest(rows),
            plotly=plotly_js(),
        )
    )
    path.write_text(page, encoding="utf-8")
    return path


def _part(
    topic: Topic, rows: Sequence[TrialRow], kinds: Mapping[str, TrialKind], files: TrialFiles
) -> Part:
    sections: list[DrawnSection] = []
    sweep_sections: list[SweepSection] = []
    for name in topic.kinds:
        of_kind = [row for row in rows if row.kind == name and not _is_checkpoint(row)]
        if any(row.state is TrialState.COMPLETE for row in of_kind):
            found = sweep_section(ReportedSweep(name, kinds[name], of_kind, inputs="all"))
            sweep_sections.append(found._replace(plots=found.plots[: topic.n_plots]))
            if topic.describe:
                sections += [
                    DrawnSection(section, [plot(*figure) for figure in section.figures])
                    for section in topic.describe(of_kind, kinds[name], files, topic.sweep)
                ]
    note = "" if sweep_sections else f"sweeper run {topic.sweep}"
    return Part(topic, sections, sweep_sections, note)


def _is_checkpoint(row: TrialRow) -> bool:
    """Whether a trial is on a checkpoint: error over training is part of the verdict."""
    return math.isfinite(row.metrics.get("training_step", math.nan))


def _sweeps(rows: Sequence[TrialRow]) -> Grid:
    """Every sweep, with the number of trials in each state."""
    counted: dict[tuple[str, str], Counter[str]] = {}
    for row in rows:
        counted.setdefault((row.sweep, row.kind), Counter())[str(row.state)] += 1
    body = [
        [sweep, kind, ", ".join(f"{n} {state.lower()}" for state, n in sorted(states.items()))]
        for (sweep, kind), states in sorted(counted.items())
    ]
    return Grid(["sweep", "kind", "trials"], body)


def _provenance(rows: Sequence[TrialRow]) -> list[tuple[str, str]]:
    """What produced the numbers: versions of the code and packages, machines."""
    found: dict[str, set[str]] = {}
    for row in rows:
        for name, value in row.provenance.items():
            if not name.startswith("input."):
                found.setdefault(name, set()).add(value)
    return [(name, " · ".join(sorted(values)[:4])) for name, values in sorted(found.items())]
