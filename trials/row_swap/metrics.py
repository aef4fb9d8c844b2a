"""The metrics of the kind `row_swap`, each with its exact definition."""

from __future__ import annotations

from trials.api import Metric

SIDES = ("validation", "held_out")
MEASURED = ("damage_overall", "damage_as_input", "damage_as_target", "kl")
_DEFINED = {
    "damage_overall": "rise of the mean loss over all text when the token's row is changed, in "
    "sequences that contain the token and, if its output row changes, elsewhere; each weighted by "
    "its share",
    "damage_as_input": "rise of the loss right after the token, in sequences that contain it",
    "damage_as_target": "rise of the loss where the token is the target, in sequences that "
    "contain it",
    "kl": "mean KL divergence of the changed model's prediction from the original's, in sequences "
    "that contain the token",
}
_TITLES = {
    "damage_overall": "rise of the mean loss",
    "damage_as_input": "rise of the loss right after the token",
    "damage_as_target": "rise of the loss where the token is the target",
    "kl": "KL divergence of the prediction",
}
_IMPORTANCE = {
    "ln_p": ("", "standardised coefficient of ln p"),
    "ln_norm": (
        "",
        "standardised coefficient of the ln of the row's length (geometric mean over its matrices)",
    ),
    "r2": ("frac", "1 - residual over total sum of squares"),
}
_RECOVERED = (
    "1 - sum over tokens of {0} after the last step over its sum before the first; the null of the "
    "last step is the model after the same fine-tuning without a changed row"
)
_AROUND = "the rise of the mean loss in the sequences that contain the token"
_NO_RECOVERY = "NaN without fine-tuning, or without damage"
_WHERE = {"validation": "validation text", "held_out": "held-out text"}

METRICS = (
    *(
        Metric(
            f"{name}_{side}",
            "nats",
            "minimise" if side == "validation" else "none",
            f"{_DEFINED[name]}; mean over the tokens that are tried, {_WHERE[side]}; NaN in mode "
            "cumulative",
            held_out=side == "held_out",
            title=f"{_TITLES[name]}, {_WHERE[side]}",
        )
        for name in MEASURED
        for side in SIDES
    ),
    *(
        Metric(
            f"damage_overall_held_out_{end}",
            "nats",
            "none",
            f"{word} end of the 95 % bootstrap interval over tokens of damage_overall_held_out",
            held_out=True,
        )
        for end, word in (("low", "lower"), ("high", "upper"))
    ),
    *(
        Metric(
            f"damage_overall_{which}_held_out",
            "nats",
            "none",
            f"damage_overall_held_out over the tokens of the {word} stratum",
            held_out=True,
        )
        for which, word in (("frequent", "most frequent"), ("rare", "rarest measurable"))
    ),
    *(
        Metric(
            f"recovered_frac_{side}",
            "frac",
            "maximise" if side == "validation" else "none",
            f"{_RECOVERED.format(_AROUND)}, {_WHERE[side]}; {_NO_RECOVERY}",
            held_out=side == "held_out",
            title=f"share of the damage recovered, {_WHERE[side]}",
        )
        for side in SIDES
    ),
    *(
        Metric(
            f"recovered_frac_held_out_{end}",
            "frac",
            "none",
            f"{word} end of the 95 % bootstrap interval over tokens of recovered_frac_held_out",
            held_out=True,
        )
        for end, word in (("low", "lower"), ("high", "upper"))
    ),
    *(
        Metric(
            f"recovered_{role}_frac_held_out",
            "frac",
            "none",
            f"{_RECOVERED.format(f'damage_{role}')}, held-out text; {_NO_RECOVERY}",
            held_out=True,
        )
        for role in ("as_input", "as_target")
    ),
    *(
        Metric(
            f"null_rise_{side}",
            "nats",
            "none",
            "rise of the mean loss over all text by the same fine-tuning without a changed row, "
            f"mean over the tokens that are tried, {_WHERE[side]}; negative if the model "
            "improves; NaN without fine-tuning",
            held_out=side == "held_out",
        )
        for side in SIDES
    ),
    *(
        Metric(
            f"steps_to_{percent}",
            "steps",
            "minimise",
            f"first measured step at which recovered_frac_validation is {percent / 100} or more; "
            "NaN without one",
        )
        for percent in (50, 90)
    ),
    *(
        Metric(
            f"importance_{name}_{side}",
            unit,
            "none",
            f"{definition} in the least-squares fit of ln(damage_overall / p), p the token's share "
            "of the training text, by ln p, ln of the row's length and, where the draw is a "
            "reconstruction, its residual_frac and l0; over tokens with positive damage, "
            f"{_WHERE[side]}; NaN for fewer than 20 of them, and in mode cumulative",
            held_out=side == "held_out",
        )
        for name, (unit, definition) in _IMPORTANCE.items()
        for side in SIDES
    ),
    *(
        Metric(
            f"importance_tokens_{side}",
            "tokens",
            "none",
            f"tokens with positive damage in this fit, {_WHERE[side]}; NaN in mode cumulative",
            held_out=side == "held_out",
        )
        for side in SIDES
    ),
    Metric(
        "row_cosine",
        "",
        "none",
        "mean over the tokens of the cosine between the row after the last step and the original; "
        "of the changed row if nothing is trained",
    ),
    Metric(
        "rows_to_half",
        "rows",
        "none",
        "mode cumulative: number of changed rows at half of the damage",
    ),
    Metric(
        "damage_of_all_rows",
        "nats",
        "minimise",
        "mode cumulative: rise of the mean loss over validation text with all rows changed",
    ),
    Metric(
        "loss_before",
        "nats",
        "none",
        "mean loss of the sequences that contain a tried token, validation text",
    ),
    Metric("n_tokens_tried", "tokens", "none", "tokens whose rows are changed"),
    Metric(
        "covered_frac",
        "frac",
        "none",
        "share of the vocabulary's tokens that have a stratum; of the others nothing is said",
    ),
    Metric(
        "covered_text_frac",
        "frac",
        "none",
        "share of the tokens of the training text that are tokens with a stratum",
    ),
    Metric(
        "spent_s",
        "s",
        "minimise",
        "wall time of measuring and training, including the saved parts of earlier attempts",
        timing=True,
    ),
)


def undefined() -> dict[str, float]:
    """Every metric, NaN."""
    return dict.fromkeys((metric.name for metric in METRICS), float("nan"))
