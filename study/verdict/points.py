"""Pursuits of checkpoints as points: one model, at one step and one penalty."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from study.verdict.rule import H2Rule
from study.verdict.selection import complete_trials
from sweeper.records import Scalar, TrialRow
from sweeper.report.artifact_table import Fetch, read_numbers
from trials.inputs.sources.training_steps import training_family

KIND = "pursuit"
FOLLOWING = "pursuit_checkpoints"
"""The kind that covers all checkpoints of a training in one trial, each in a row of its table."""
_TOKENS = ("n_train_tokens", "n_validation_tokens", "n_held_out_tokens")
METRICS = ("training_step", "n_atoms_resolved", "row_change_held_out", *_TOKENS)
"""The metrics that this module reads, besides those that the rule names."""
_RUN = re.compile(r"run:([\w-]+)/[\w.-]+?(#.+)?")
_HUB = re.compile(r"hub:([^@#]+)@[^#]+(#.+)?")


class Origin(NamedTuple):
    """The model that an embedding belongs to.

    Attributes:
        family: models that share it are replicates of one training.
        model: run id or repository.
        tensor: as in the source, "" for the input embedding.
        is_learned: whether training could change the rows.
    """

    family: str
    model: str
    tensor: str
    is_learned: bool


class PursuitPoint(NamedTuple):
    """What a pursuit found on one checkpoint.

    Attributes:
        origin: the model that the embedding belongs to.
        source: URI of the checkpoint; where one trial covers a training, that of its last.
        size: number of atoms as the sweep gave it.
        n_atoms: that number resolved.
        is_warm: whether the dictionary started from that of the checkpoint before.
        null: stand-in for the rows, "none" for the real ones.
        row_change: half the mean squared change of the rows since the checkpoint before, over
            their variance; NaN where the trial did not measure it.
    """

    origin: Origin
    source: str
    size: str
    n_atoms: float
    is_warm: bool
    null: str
    seed: Scalar
    step: float
    l0: float
    fvu: float
    row_change: float
    run_id: str
    uncertified: str
    kind_version: int

    @property
    def title(self) -> str:
        """Name of the group whose points form curves together."""
        warm = ", each from the one before" if self.is_warm else ""
        return f"{self.origin.family}, {self.size} atoms{warm}"


def pursuit_points(
    rows: Sequence[TrialRow], by_run: Mapping[str, TrialRow], rule: H2Rule, fetch: Fetch
) -> Iterator[PursuitPoint]:
    """Every point in the store whose dictionary is not too large for the vocabulary.

    `by_run` holds the trainings by their run ids.
    """
    # Trials of one config have one source, so those of no training can go first.
    origins = {source: origin_of(source, by_run) for source in {_source(row) for row in rows}}
    for row in complete_trials((r for r in rows if origins[_source(r)]), KIND, FOLLOWING):
        origin = origins[_source(row)]
        if origin is None or not _is_small(row, rule):
            continue
        measured = [row.metrics] if row.kind == KIND else read_numbers(row, "checkpoints", fetch)
        for metrics in measured:
            step = metrics.get("training_step", math.nan)
            if not math.isnan(step):
                yield PursuitPoint(
                    origin,
                    _source(row),
                    str(row.params.get("n_atoms")),
                    row.metrics["n_atoms_resolved"],
                    row.kind == FOLLOWING,
                    str(row.params.get("null")),
                    row.params.get("seed"),
                    step,
                    metrics.get(rule.l0, math.nan),
                    metrics.get(rule.fvu, math.nan),
                    metrics.get("row_change_held_out", math.nan),
                    row.run_id,
                    row.uncertified,
                    row.kind_version,
                )


def origin_of(source: str, by_run: Mapping[str, TrialRow]) -> Origin | None:
    """The model that a source belongs to; None where it is not a checkpoint of a training."""
    if (run := _RUN.fullmatch(source)) and (training := by_run.get(run[1])):
        side = "output" if run[2] else "input"
        tying, arm = (training.params.get(name) for name in ("tying", f"{side}_embedding"))
        shape = f"{training.params.get('n_layers')} layers of {training.params.get('d_model')}"
        family = f"GPT-2, {shape}, {tying}, {arm} {side} rows"
        return Origin(family, run[1], run[2] or "", not str(arm).startswith("frozen"))
    if hub := _HUB.fullmatch(source):
        return Origin(f"{training_family(hub[1])}{hub[2] or ''}", hub[1], hub[2] or "", True)
    return None


def _source(row: TrialRow) -> str:
    return str(row.params.get("source"))


def _is_small(row: TrialRow, rule: H2Rule) -> bool:
    n_tokens = sum(row.metrics.get(name, 0) for name in _TOKENS)
    n_atoms = row.metrics.get("n_atoms_resolved", math.inf)
    return n_atoms <= rule.atoms_per_token_of_vocabulary * n_tokens
