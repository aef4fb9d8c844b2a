"""What a trial leaves besides its metrics: tables, a figure, facts."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from trials.api import Table
from trials.inputs.corpora import TokenisedCorpus
from trials.row_swap.config import RowSwapConfig
from trials.row_swap.metrics import SIDES
from trials.row_swap.results import Course, Measured


def token_table(found: Measured, corpus: TokenisedCorpus) -> dict[str, list[Any]]:
    """One row a token, held-out text."""
    text = found.text["held_out"]
    return {
        "token": [corpus.vocabulary.tokens[t] for t in text.tokens],
        "token_id": text.tokens.tolist(),
        "stratum": text.stratum.tolist(),
        "count": corpus.counts[text.tokens].tolist(),
        **{name: values.tolist() for name, values in found.start["held_out"]._asdict().items()},
        "overall_last": found.last["held_out"].overall.tolist(),
        "row_cosine": found.cosines.tolist(),
    }


def course_tables(course: Course) -> dict[str, Table]:
    """`course`: one row a measured step of the training, if there was any."""
    if not course:
        return {}
    steps = sorted(course)
    damages = {
        f"damage_{side}": [float(course[s][side].overall.mean()) for s in steps] for side in SIDES
    }
    return {"course": {"step": steps, **damages}}


def facts(config: RowSwapConfig, corpus: TokenisedCorpus) -> dict[str, str]:
    """Which model, which text."""
    return {
        "model": config.model,
        "corpus": config.corpus,
        "corpus_digest": corpus.digest,
        "tokenizer": config.tokenizer,
    }


def damage_figure(measured: Measured) -> Figure:
    """Damage of every token by its stratum, held-out text."""
    text, found = measured.text["held_out"], measured.start["held_out"]
    figure = Figure(figsize=(5.5, 3.5), layout="constrained")
    axes = figure.add_subplot(
        title="One row changed, held-out text",
        xlabel="stratum, 0 the most frequent",
        ylabel="rise of the loss (nats)",
    )
    for shift, (name, values) in enumerate(
        (("as input", found.as_input), ("as target", found.as_target))
    ):
        axes.plot(text.stratum + 0.16 * (shift - 0.5), values, "o", alpha=0.6, label=name)
    axes.axhline(0, color="0.6", linewidth=0.8)
    axes.legend()
    return figure
