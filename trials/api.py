"""The contract between a kind of trial and whatever runs it.

A kind is a pure function of a validated config: `run(config, context) -> TrialResult`. It knows
arrays and models; it knows nothing about sweeps, schedulers or databases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from trials.charts import Bound as Bound
from trials.charts import Chart as Chart
from trials.exported import ExportedAutoencoder as ExportedAutoencoder
from trials.exported import Finished as Finished

Direction = Literal["minimise", "maximise", "none"]


class Config(BaseModel):
    """Frozen, validated arguments of one trial. Unknown fields, NaN and loose types are refused.

    A field may declare a symbol for short names of trials: `json_schema_extra={"symbol": "λ"}`.
    Its `title` is what charts call it; without one it is the name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    seed: int = Field(
        default=0, ge=0, lt=2**32, description="seed of every random draw of the trial"
    )


@dataclass(frozen=True)
class Metric:
    """A declared scalar.

    `definition` is the exact formula in words or maths. `unit` is empty for a pure number. `title`
    is what charts and tables call it ("held-out error (FVU)"); without one it is the name.
    `held_out` marks what is measured on sealed tokens: shown, never used by the search. `timing`
    marks what depends on the speed of the machine: no result, and never compared between runs.
    """

    name: str
    unit: str
    direction: Direction
    definition: str
    held_out: bool = False
    timing: bool = False
    title: str = ""


def titled(titles: Mapping[str, str], *metrics: Metric) -> tuple[Metric, ...]:
    """The metrics, those that `titles` names with their title; KeyError for an unknown name."""
    if unknown := set(titles) - {metric.name for metric in metrics}:
        raise KeyError(f"no metric {sorted(unknown)}")
    return tuple(replace(m, title=titles.get(m.name, m.title)) for m in metrics)


@dataclass(frozen=True)
class Comparison:
    """Real and null compared on the metric `of` where the metric `at` is equal.

    `shown` as real over null (a metric that is positive), or as real minus null, in its unit.

    The same quantity may be measured by several methods, so that a result should not depend on one
    of them: by other pairs of metrics (`also`, each an `of` and its `at`), and by the values of the
    config fields `across`. Then the lowest value of all methods counts, for real and null each, at
    equal `at`: the most favourable null vs. the most favourable real.
    """

    of: str
    at: str
    shown: Literal["ratio", "difference"] = "ratio"
    also: tuple[tuple[str, str], ...] = ()
    across: tuple[str, ...] = ()

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Every pair of metrics `of`, `at`; the first is that of the comparison itself."""
        return ((self.of, self.at), *self.also)

    @property
    def is_best_of(self) -> bool:
        """Whether the best of several methods counts."""
        return bool(self.also or self.across)


@dataclass(frozen=True)
class Control:
    """The config field whose other values are nulls, and what real and null are compared on.

    A trial with `config.<field> != real` is a control: scheduled and reported, never "best". It is
    compared with real trials that agree with it in `within` (config fields). The first of the
    `comparisons`, of which there is at least one, is the headline.

    The values in `positive` are positive controls and not nulls: there the `claim` holds by
    construction ("superposition true"), and real trials lie somewhere between them and a null.
    `variants` name the config fields that only controls have, None in all other trials: trials of
    one control that differ in them are different controls.

    `redrawn` says what differs between seeds, and so what an interval over seeds covers.
    """

    field: str
    real: str
    comparisons: tuple[Comparison, ...]
    within: tuple[str, ...] = ()
    positive: tuple[str, ...] = ()
    claim: str = ""
    variants: tuple[str, ...] = ()
    redrawn: str = ""

    def is_null(self, value: Any) -> bool:
        """Whether a value of the field is a null: neither real nor a positive control."""
        return value != self.real and value not in self.positive

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that are compared, or compared at, each once."""
        return tuple(dict.fromkeys(name for c in self.comparisons for name in (c.of, c.at)))


class Context(NamedTuple):
    """What a trial may touch besides its config.

    Attributes:
        device: "cpu" or "cuda:0".
        n_threads: threads the trial may use.
        work_dir: private and empty; removed after the trial.
        checkpoint_dir: survives a retry of the same trial. A checkpoint is written whole: aside,
            then renamed.
        report: `report(step, metrics)`, progress for early stopping. It may raise to end the trial
            (stopped, interrupted), so the checkpoint of a step is written before its report.
        fetch_artifact: `fetch_artifact(run_id, path)`, a verified local copy of an artifact of
            another trial.
        interrupted: turns true when the trial should write a checkpoint and report: it ends there.
    """

    device: str
    n_threads: int
    work_dir: Path
    checkpoint_dir: Path
    report: Callable[[int, Mapping[str, float]], None]
    fetch_artifact: Callable[[str, str], Path]
    interrupted: Callable[[], bool] = bool


@runtime_checkable
class SavesFigure(Protocol):
    """A matplotlib figure, as far as we need it."""

    def savefig(self, fname: Any, **kwargs: Any) -> None:
        """Write the figure to a file."""


Table = Mapping[str, Sequence[Any]]
TEXT_BYTES, TEXT_ENDS = ".utf8", ".ends"
"""An array of texts `x` is stored as two: their bytes as `x.utf8`, where each ends as `x.ends`."""


class TrialResult(NamedTuple):
    """What a trial found.

    Attributes:
        metrics: exactly the declared metrics of the kind; NaN where undefined.
        arrays: file stem -> tensors by name; each becomes one safetensors file. Tensors of one
            dimension and one length can be queried as a table, and may be texts.
        tables: file stem -> columns by name; each becomes one CSV file.
        figures: file stem -> matplotlib figure; each becomes one PNG file.
        pages: file stem -> a whole HTML page that needs no network; each becomes one file.
        facts: short texts that name what was done (which frequency table, which revision).
        uncertified: why the numbers must not be trusted as best ("" when they are certified).
    """

    metrics: Mapping[str, float]
    arrays: Mapping[str, Mapping[str, np.ndarray]] = {}
    tables: Mapping[str, Table] = {}
    figures: Mapping[str, SavesFigure] = {}
    pages: Mapping[str, str] = {}
    facts: Mapping[str, str] = {}
    uncertified: str = ""


class TrialError(Exception):
    """A trial cannot run as configured, and a retry would not help; one line for the user."""


class NoSuchArtifact(TrialError):
    """`fetch_artifact` found the run, but it left no artifact of that name."""


def no_inputs(config: Any) -> dict[str, str]:
    """Input digests of a kind that reads nothing."""
    return {}


@dataclass(frozen=True)
class TrialKind:
    """A registered thing that can be run.

    `version` changes whenever the same config would give other numbers: it is part of the key.
    `input_digests(config)` names every input outside the config by content; it must be cheap
    (no download of data, no torch), and raises `TrialError` if an input does not exist. `reports`
    names the metrics that `context.report` gets while a trial runs: what early stopping can use.

    `run` is a function, or a reference to one (`"trials.sae.run:run"`) that is resolved when a
    trial is executed, so that a declaration stays light to import. `autoencoder` is another, which
    gives the dictionary that a complete trial left as an autoencoder; it raises `TrialError` where
    there is none.
    """

    name: str
    version: int
    summary: str
    config: type[Config]
    metrics: tuple[Metric, ...]
    objective: str
    run: Callable[[Any, Context], TrialResult] | str
    input_digests: Callable[[Any], dict[str, str]] = no_inputs
    control: Control | None = None
    reports: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = field(default=())
    autoencoder: Callable[[Finished], ExportedAutoencoder] | str | None = None

    def metric(self, name: str) -> Metric:
        """The declared metric of that name; KeyError otherwise."""
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise KeyError(name)

    def function(self) -> Callable[[Any, Context], TrialResult]:
        """What runs a trial, imported if `run` is a reference."""
        found: Callable[[Any, Context], TrialResult] = _resolved(self.run)
        return found

    def exported(self, trial: Finished) -> ExportedAutoencoder:
        """The dictionary of a complete trial as an autoencoder; TrialError if there is none."""
        if self.autoencoder is None:
            raise TrialError(f"trials of kind '{self.name}' leave no dictionary")
        found: ExportedAutoencoder = _resolved(self.autoencoder)(trial)
        return found

    def execute(self, config: Any, context: Context) -> TrialResult:
        """Run one trial."""
        return self.function()(config, context)

    def symbol(self, name: str) -> str:
        """The declared symbol of a config field, else the initials of its name."""
        field = self.config.model_fields.get(name)
        declared = field.json_schema_extra if field else None
        if isinstance(declared, dict) and "symbol" in declared:
            return str(declared["symbol"])
        return "".join(word[0] for word in name.split("_") if word)

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Names of the declared metrics, in order."""
        return tuple(m.name for m in self.metrics)

    def is_control(self, config: Mapping[str, Any]) -> bool:
        """Whether a config is a null that must never count as best."""
        return self.control is not None and config[self.control.field] != self.control.real


def _resolved(function: Any) -> Any:
    """The function itself, imported if it is a reference `module:name`."""
    if not isinstance(function, str):
        return function
    module, _, name = function.partition(":")
    return getattr(import_module(module), name)
