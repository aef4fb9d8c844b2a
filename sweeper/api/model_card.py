"""The model card of an exported dictionary."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sweeper.api.trial import Trial
from sweeper.declare.search import default_search
from sweeper.report.summary import headline_metrics
from sweeper.report.words import control_title, metric_heading, number, shown
from trials import load_kind
from trials.api import ExportedAutoencoder, TrialKind

_FRONT = """---
library_name: saelens
tags:
- sparse-autoencoder
- embeddings
---
"""


def model_card(trial: Trial, autoencoder: ExportedAutoencoder, architecture: str, load: str) -> str:
    """What a reader must know of an exported dictionary, in Markdown.

    It holds what the dictionary is and how its codes differ from those of the trial, the numbers
    of the trial and of its controls, the config, and where all of it came from. `load` holds the
    lines of Python that load it.
    """
    row = trial.row
    n_atoms, d_model = autoencoder.decoder.shape
    certified = "yes" if trial.certified else f"no: {row.uncertified}"
    facts = [
        ("trial", f"{trial.sweep}: {trial.label}"),
        ("run id", trial.run_id),
        ("key", trial.key),
        ("kind", f"{trial.kind}, version {row.kind_version}"),
        ("certified", certified),
        *((name, text) for name, text in sorted(row.facts.items())),
        *((name, text) for name, text in sorted(row.provenance.items())),
    ]
    parts = [
        f"# {trial.sweep}: {trial.label}",
        autoencoder.description,
        f"**Note.** {autoencoder.caution}" if autoencoder.caution else "",
        "**This is a control**: its rows are not those of the model." if row.is_control else "",
        f"SAELens architecture `{architecture}`: {n_atoms} latents, inputs of width {d_model}. "
        "Inputs are raw rows of the embedding matrix: centring and scaling are part of the "
        "weights.",
        f"```python\nfrom sae_lens import SAE\n{load}\n"
        "codes = sae.encode(rows)  # rows: (n_tokens, d_model), float32\n```",
        "## Metrics",
        "The columns next to the trial are its controls in the same sweep: the same learner on "
        "rows without the structure (nulls), or with planted structure (positive controls).",
        _metrics_table(trial, load_kind(trial.kind)),
        "## Config",
        _table(("field", "value"), ((n, shown(v)) for n, v in row.params.items())),
        "## Provenance",
        _table(("", ""), facts),
        _table(("artifact", "SHA-256"), ((a.path, a.sha256) for a in row.artifacts)),
    ]
    return _FRONT + "\n" + "\n\n".join(filter(None, parts)) + "\n"


def _metrics_table(trial: Trial, kind: TrialKind) -> str:
    """The headline metrics of a trial and its controls, each with its definition."""
    controls = trial.controls if kind.control and not trial.row.is_control else ()
    titles = [
        control_title(row.params.get(kind.control.field), kind.control)
        for row in controls
        if kind.control
    ]
    names = headline_metrics(kind, default_search(kind))
    head = ("metric", "trial", *titles, "definition")
    body = (
        (
            metric_heading(kind.metric(name)),
            number(trial.metrics.get(name)),
            *(number(row.metrics.get(name)) for row in controls),
            kind.metric(name).definition,
        )
        for name in names
    )
    return _table(head, body)


def _table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
