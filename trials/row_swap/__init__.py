"""The kind `row_swap`: what does one row cost a trained model when it becomes something else?

Rows of a sample of tokens are changed one at a time, and the loss is measured where the token is
read, where it is predicted, and over all text. Then the model may be trained on: the row alone, all
but the row, or everything. Whether a row that was lost is found again, and where, tells how much of
its place is the token's own.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from trials.api import Chart, Context, Table, TrialError, TrialKind, TrialResult
from trials.inputs.corpora import TokenisedCorpus, corpus_digests, open_corpus
from trials.row_swap.config import RowSwapConfig
from trials.row_swap.metrics import METRICS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from trials.inputs.models import LanguageModel
    from trials.row_swap.damage import Damage
    from trials.row_swap.draws import Drawn
    from trials.row_swap.exposure import Exposure
    from trials.row_swap.measure import Course
    from trials.row_swap.parts import Parts

_SIDES = ("validation", "held_out")


def run(config: RowSwapConfig, context: Context) -> TrialResult:
    """Load model and text, change rows, measure, and train on where asked."""
    import torch

    from trials.inputs.models import open_model
    from trials.row_swap.finetune import untie
    from trials.row_swap.parts import Parts

    started = time.perf_counter()
    torch.set_flush_denormal(True)
    try:
        opened = open_model(config.model, fetch_artifact=context.fetch_artifact)
        corpus = open_corpus(config, n_threads=context.n_threads)
        _check_vocabulary(config, corpus, opened, context)
        untie(opened, config.scope)
        whole = _cumulative if config.mode == "cumulative" else _single
        parts = Parts(context, f"{config.model_dump_json()} {corpus.digest}")
        result = whole(config, context, parts, corpus, opened)
    finally:
        torch.set_flush_denormal(False)
    parts.forget()
    spent = {"spent_s": time.perf_counter() - started + parts.earlier_s}
    return result._replace(metrics=dict(result.metrics) | spent)


def input_digests(config: RowSwapConfig) -> dict[str, str]:
    """Digests of the model, the text, and the dictionary where there is one."""
    from trials.inputs.dictionaries import dictionary_digest
    from trials.inputs.sources import source_digest

    digests = corpus_digests(config) | {"model": source_digest(config.model)}
    if config.dictionary is not None:
        digests["dictionary"] = dictionary_digest(config.dictionary)
    return digests


def _check_vocabulary(
    config: RowSwapConfig, corpus: TokenisedCorpus, opened: LanguageModel, context: Context
) -> None:
    n_rows = opened.input_embedding.weight.shape[0]
    if corpus.n_vocab > n_rows:
        raise TrialError(
            f"{config.tokenizer} has {corpus.n_vocab} tokens and {config.model} {n_rows} rows: the "
            "tokenizer must be the model's"
        )
    if config.model.startswith("run:"):
        from trials.inputs.sources.run import vocabulary_of

        run_id = config.model.removeprefix("run:").partition("/")[0]
        if vocabulary_of(run_id, context.fetch_artifact).tokens != corpus.vocabulary.tokens:
            raise TrialError(
                f"{config.model} was trained on other tokens than {config.tokenizer} on "
                f"{config.corpus}: give the corpus and n_vocab of that trial"
            )


def _new_rows(
    config: RowSwapConfig,
    context: Context,
    opened: LanguageModel,
    tokens: np.ndarray,
    strata: np.ndarray,
) -> Drawn:
    """New rows of the tokens in each matrix."""
    from trials.inputs.dictionaries import load_dictionary
    from trials.row_swap.draws import Drawn, drawn_rows
    from trials.row_swap.finetune import matrices

    atoms = None
    if config.dictionary is not None:
        atoms = load_dictionary(config.dictionary, context.fetch_artifact)
    drawn = [
        drawn_rows(
            config,
            of.detach().numpy(),
            tokens,
            strata,
            np.random.default_rng([config.seed, 14]),  # the same other token on both sides
            atoms,
            context.n_threads,
        )
        for of in matrices(opened, config.scope)
    ]
    return Drawn.of_matrices(drawn)


def _single(
    config: RowSwapConfig,
    context: Context,
    parts: Parts,
    corpus: TokenisedCorpus,
    opened: LanguageModel,
) -> TrialResult:
    from trials.row_swap.damage import NewRows, original
    from trials.row_swap.exposure import exposure, tried_tokens
    from trials.row_swap.finetune import rows_now
    from trials.row_swap.importance import importance, predictors, token_columns
    from trials.row_swap.measure import all_metrics
    from trials.row_swap.recover import recover
    from trials.row_swap.start import damage_at_start

    tokens = tried_tokens(config, corpus)
    text = {side: exposure(config, corpus, getattr(corpus, side), tokens) for side in _SIDES}
    before = {side: original(opened, text[side]) for side in _SIDES}
    old = rows_now(opened, config.scope, tokens)
    drawn = _new_rows(config, context, opened, tokens, text["validation"].strata)
    new = NewRows.of_matrices(drawn.rows, config.scope)
    start = damage_at_start(parts, opened, text, before, new)
    course: Course = {}
    last, final_rows = start, drawn.rows
    if config.n_steps:
        course, final_rows = recover(config, parts, opened, corpus, text, before, new)
        last = course[config.n_steps]
    of_tokens = predictors(corpus.counts[tokens] / corpus.counts.sum(), old, drawn)
    regressed, found = importance(start, of_tokens)
    cosines = _cosines(final_rows, old)
    rows = _table(text, corpus, start, last, cosines) | token_columns(start["held_out"], of_tokens)
    return TrialResult(
        metrics=all_metrics(text, start, last, course, cosines, before) | found,
        tables={"rows": rows, "importance": regressed}
        | ({"course": _course(course)} if course else {}),
        arrays={"rows": {"token_id": tokens, "old": old, "new": drawn.rows, "last": final_rows}},
        figures={"damage": _figure(text["held_out"], start["held_out"])},
        facts=_facts(config, corpus),
    )


def _cumulative(
    config: RowSwapConfig,
    context: Context,
    parts: Parts,
    corpus: TokenisedCorpus,
    opened: LanguageModel,
) -> TrialResult:
    from trials.row_swap.cumulative import more_and_more, rows_to_half
    from trials.row_swap.damage import NewRows
    from trials.row_swap.exposure import exposure

    text = exposure(config, corpus, corpus.validation, np.arange(0))
    order = np.random.default_rng([config.seed, 15]).permutation(corpus.n_vocab)
    drawn = _new_rows(config, context, opened, order, text.strata)
    new = NewRows.of_matrices(drawn.rows, config.scope)
    table = more_and_more(parts, opened, text, order, new)
    nothing = dict.fromkeys((metric.name for metric in METRICS), float("nan"))
    return TrialResult(
        metrics=nothing
        | {
            "rows_to_half": rows_to_half(table),
            "damage_of_all_rows": float(table["damage"][-1]),
            "loss_before": float(table["loss"][0]),
            "n_tokens_tried": float(len(order)),
        },
        tables={"cumulative": table},
        facts=_facts(config, corpus),
    )


def _table(
    texts: dict[str, Exposure],
    corpus: TokenisedCorpus,
    start: dict[str, Damage],
    last: dict[str, Damage],
    cosines: np.ndarray,
) -> dict[str, list[Any]]:
    """One row a token, held-out text."""
    text, first = texts["held_out"], start["held_out"]
    return {
        "token": [corpus.vocabulary.tokens[t] for t in text.tokens],
        "token_id": text.tokens.tolist(),
        "stratum": text.stratum.tolist(),
        "count": corpus.counts[text.tokens].tolist(),
        **{name: values.tolist() for name, values in first._asdict().items()},
        "overall_last": last["held_out"].overall.tolist(),
        "row_cosine": cosines.tolist(),
    }


def _course(course: Course) -> Table:
    """One row a measured step of the training."""
    steps = sorted(course)
    return {
        "step": steps,
        **{
            f"damage_{side}": [float(course[s][side].overall.mean()) for s in steps]
            for side in _SIDES
        },
    }


def _cosines(rows: np.ndarray, old: np.ndarray) -> np.ndarray:
    """Mean over the matrices of the cosine of a token's row with what it was."""
    lengths = np.linalg.norm(rows, axis=2) * np.linalg.norm(old, axis=2)
    products = (rows * old).sum(axis=2)
    cosines: np.ndarray = np.divide(
        products, lengths, out=np.zeros(lengths.shape), where=lengths > 0
    )
    mean: np.ndarray = cosines.mean(axis=1)
    return mean


def _facts(config: RowSwapConfig, corpus: TokenisedCorpus) -> dict[str, str]:
    return {
        "model": config.model,
        "corpus": config.corpus,
        "corpus_digest": corpus.digest,
        "tokenizer": config.tokenizer,
    }


def _figure(text: Exposure, found: Damage) -> Figure:
    """Damage of every token by its stratum."""
    from matplotlib.figure import Figure

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


KIND = TrialKind(
    name="row_swap",
    version=3,
    summary="One row of a trained model set to something else: damage, and whether it recovers.",
    config=RowSwapConfig,
    metrics=METRICS,
    objective="damage_overall_validation",
    run=run,
    input_digests=input_digests,
    charts=(
        Chart(
            title="What a changed row costs where it is read and where it is predicted",
            x="draw",
            y="damage_as_input_held_out",
            colour="scope",
            caption="Rise of the loss right after the token, mean over the tokens tried.",
        ),
        Chart(
            title="What a changed row costs where it is what comes",
            x="draw",
            y="damage_as_target_held_out",
            colour="scope",
            caption="Rise of the loss where the token is the target.",
        ),
        Chart(
            title="How much comes back",
            x="n_steps",
            y="recovered_frac_held_out",
            colour="regime",
            dash="draw",
            caption="Share of the damage that further training undoes.",
        ),
    ),
)
