"""Paired arms of pretraining: which runs are compared, and how large the gap is."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import load_file

from study.verdict.rule import Arm
from sweeper.errors import UserError
from sweeper.records import TrialRow
from sweeper.report.artifact_table import Fetch, read_numbers
from sweeper.store.versions import version_of
from trials.kernels.statistics import Curve, gap_trend, paired_gap, tokens_ratio

KIND = "pretrain"
METRICS = ("loss_held_out", "loss_validation")
"""The metrics that this module reads."""
_WORLD = (
    "corpus",
    "corpus_bytes",
    "tokenizer",
    "n_vocab",
    "n_layers",
    "n_heads",
    "d_model",
    "context",
    "n_tokens",
    "batch_size",
    "weight_decay",
    "precision",
)
"""Fields in which two arms must agree to be compared."""

_SHARED_INPUTS = ("corpus", "tokenizer")
"""Inputs in which they must agree too. The source of frozen rows is read by one arm only."""

World = tuple[Any, ...]


class ArmContrast(NamedTuple):
    """An arm minus its reference.

    Attributes:
        mean, low, high: difference of the loss on held-out text, nats per token.
        n_seeds: pairs of runs that share seed and order of the text.
        method: of the interval.
        seed_sd: standard deviation of the reference's loss over seeds.
        tokens_ratio: tokens that the arm takes to reach a loss of the reference, over the
            reference's own; the median over seeds. Negative: the arm never reached it, and the
            absolute value is a lower bound.
        tokens_ratio_low: the smallest over seeds, bounds by their absolute value.
        closing: g of gap ~ tokens^-g over the rest of the budget on validation text, with its
            interval; NaN where the gap is not positive throughout.
        reference_loss: mean over seeds.
        arm_runs, reference_runs: run ids, pair by pair.
        uncertified: why runs must not count; "" if all count.
        n_row_sources: trained models that the arm's frozen rows come from; 0 where it has none.
    """

    mean: float
    low: float
    high: float
    n_seeds: int
    method: str
    seed_sd: float
    tokens_ratio: float
    tokens_ratio_low: float
    closing: tuple[float, float, float]
    reference_loss: float
    arm_runs: tuple[str, ...]
    reference_runs: tuple[str, ...]
    uncertified: str
    n_row_sources: int = 0


def contrast_arms(
    trainings: Sequence[TrialRow],
    arm: Arm,
    reference: Arm,
    *,
    level: float,
    tokens_share: float,
    fetch: Fetch,
) -> ArmContrast | None:
    """Compare the arms in the setting with the most paired seeds; None where no seed has both."""
    worlds: dict[World, list[TrialRow]] = defaultdict(list)
    for row in trainings:
        fields = (row.params.get(name) for name in _WORLD)
        inputs = (row.inputs.get(name) for name in _SHARED_INPUTS)
        worlds[*fields, row.kind_version, *inputs].append(row)
    paired = [_pairs(found, arm, reference) for found in worlds.values()]
    pairs = max(paired, key=_n_pairs_and_start, default=[])
    return _measured(pairs, level, tokens_share, fetch) if pairs else None


def _n_pairs_and_start(pairs: Sequence[tuple[TrialRow, TrialRow]]) -> tuple[int, int]:
    return len(pairs), max((row.started_ms for pair in pairs for row in pair), default=0)


def matches(row: TrialRow, arm: Arm) -> bool:
    """Whether a training has the config values of an arm."""
    return all(row.params.get(name) == value for name, value in arm.items())


def _pairs(rows: Sequence[TrialRow], arm: Arm, reference: Arm) -> list[tuple[TrialRow, TrialRow]]:
    ours, theirs = (_at_best_rate([r for r in rows if matches(r, of)]) for of in (arm, reference))
    return [(ours[seed], theirs[seed]) for seed in sorted(ours.keys() & theirs.keys())]


def _at_best_rate(rows: Sequence[TrialRow]) -> dict[tuple[int, int], TrialRow]:
    """One training per seed, at the setting with the most seeds, then the lowest validation loss.

    Settings of one arm differ in the learning rate and the like: the best of them represents it.
    """
    settings: dict[Hashable, dict[tuple[int, int], TrialRow]] = defaultdict(dict)
    for row in rows:
        left_out = {"seed", "data_seed", "rows_seed", "n_snapshots", "keep_model"}
        others = {k: v for k, v in row.params.items() if k not in left_out}
        seed = int(row.params["seed"] or 0)
        data_seed = row.params.get("data_seed")
        setting = repr(sorted(others.items())), version_of(row)
        settings[setting][seed, seed if data_seed is None else int(data_seed)] = row
    most = max((len(found) for found in settings.values()), default=0)
    full = [found for found in settings.values() if len(found) == most]
    return min(
        full,
        key=lambda found: np.mean([r.metrics["loss_validation"] for r in found.values()]),
        default={},
    )


def _measured(
    pairs: list[tuple[TrialRow, TrialRow]], level: float, tokens_share: float, fetch: Fetch
) -> ArmContrast:
    losses = [(_losses(arm, fetch), _losses(reference, fetch)) for arm, reference in pairs]
    n_items = min(len(side) for pair in losses for side in pair)
    if any(len(side) != n_items for pair in losses for side in pair):
        losses = [(a.mean(keepdims=True), b.mean(keepdims=True)) for a, b in losses]
    gap = paired_gap(
        np.stack([a for a, _ in losses]),
        np.stack([b for _, b in losses]),
        level=level,
        rng=np.random.default_rng(0),
    )
    curves = [(_curve(arm, fetch), _curve(ref, fetch)) for arm, ref in pairs]
    ratios = [tokens_ratio(*both, share=tokens_share) for both in curves]
    own = [ref.metrics["loss_held_out"] for _, ref in pairs]
    doubts = [row.uncertified for pair in pairs for row in pair if row.uncertified]
    return ArmContrast(
        gap.mean,
        gap.low,
        gap.high,
        gap.n_seeds,
        gap.method,
        float(np.std(own, ddof=1)) if len(own) > 1 else float("nan"),
        float(sorted(ratios, key=abs)[len(ratios) // 2]),
        float(min(abs(r) for r in ratios)),
        _closing(curves, tokens_share, level),
        float(np.mean(own)),
        tuple(arm.run_id for arm, _ in pairs),
        tuple(ref.run_id for _, ref in pairs),
        "; ".join(doubts),
        len({source for arm, _ in pairs for source in _row_sources(arm)}),
    )


def _row_sources(arm: TrialRow) -> tuple[str, ...]:
    """The trained models whose rows an arm's seeds share out."""
    return tuple(str(arm.params.get("input_rows_from") or "").split())


def _closing(
    curves: list[tuple[Curve, Curve]], share: float, level: float
) -> tuple[float, float, float]:
    try:
        return gap_trend(curves, share=share, level=level)
    except ValueError:  # the two were evaluated at different steps
        return math.nan, math.nan, math.nan


def _losses(row: TrialRow, fetch: Fetch) -> np.ndarray:
    """The loss of each held-out sequence; the mean alone where the training left no more."""
    try:
        path = fetch(row.reused_from or row.run_id, "held_out.safetensors")
        return np.asarray(load_file(path)["loss"], dtype=np.float64)
    except (UserError, OSError, LookupError):
        return np.array([row.metrics["loss_held_out"]])


def _curve(row: TrialRow, fetch: Fetch) -> Curve:
    """Tokens and validation losses along a training; the last point where it left no curve."""
    last = {
        "n_tokens": float(row.params["n_tokens"] or 1),
        "loss_validation": row.metrics["loss_validation"],
    }
    points = read_numbers(row, "loss_curve", fetch) or [last]
    tokens, losses = (np.array([point[name] for point in points]) for name in last)
    return tokens, losses
