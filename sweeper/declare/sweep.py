"""A sweep: what a sweep file declares, validated and resolved before anything starts."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator, model_validator

from sweeper.declare import check
from sweeper.declare.canonical import flow_text, sweep_text
from sweeper.declare.cases import Case, case_space, whole_cases
from sweeper.declare.catalog import SUFFIXES, find
from sweeper.declare.document import Document, KeyPath, Where, dotted, shown
from sweeper.declare.limits import Limits
from sweeper.declare.overrides import apply_overrides
from sweeper.declare.read_space import read_dimension
from sweeper.declare.reader import parse_document, read_document
from sweeper.declare.runs import FindRuns, run_entries, stand_in, with_runs
from sweeper.declare.search import EarlyStopping, Resources, Search, default_search
from sweeper.declare.space import Dimension
from sweeper.declare.validation import Declared, build
from sweeper.errors import UserError
from sweeper.records import Scalar
from trials import load_kind
from trials.api import Config, TrialKind

MAX_SEEDS = 10_000
MAX_DESCRIPTION = 200
MAX_PROBED = 2_000
"""Grids up to this size are validated point by point before anything starts."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def _counted(seeds: Any) -> Any:
    """A number n of seeds stands for 0 to n - 1."""
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        if not 1 <= seeds <= MAX_SEEDS:
            raise ValueError(f"{seeds} seeds; from 1 to {MAX_SEEDS:,}")
        return tuple(range(seeds))
    return tuple(seeds) if isinstance(seeds, list) else seeds


Seed = Annotated[int, Field(ge=0, lt=2**32)]
Seeds = Annotated[
    tuple[Seed, ...], Field(min_length=1, max_length=MAX_SEEDS), BeforeValidator(_counted)
]


class First(Declared):
    """A sweep that must hold its results before this one starts, as `set` changes it."""

    sweep: str
    set: dict[str, Any] = {}

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, given: Any) -> Any:
        return {"sweep": given} if isinstance(given, str) else given


class SweepFile(Declared):
    """The keys of a sweep file; those of `fixed`, `space` and `cases` are the kind's."""

    kind: str
    description: str = Field(default="", max_length=MAX_DESCRIPTION)
    first: First | None = None
    cases: tuple[dict[str, Any], ...] = ()
    fixed: dict[str, Any] = {}
    space: dict[str, Any] = {}
    beside_null: tuple[str, ...] = ()
    search: Search = Search()
    trials: Annotated[int, Field(ge=1)] | None = None
    seeds: Seeds = (0,)
    resources: Resources = Resources()
    limits: Limits = Limits()
    early_stopping: EarlyStopping | None = None

    @field_validator("description")
    @classmethod
    def _one_line(cls, text: str) -> str:
        if "\n" in text.strip():
            raise ValueError("a description is one line")
        return text.strip()

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("seeds must be distinct")
        return seeds

    @field_validator("beside_null")
    @classmethod
    def _distinct_nulls(cls, nulls: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(nulls)) < len(nulls):
            raise ValueError("nulls must be distinct")
        return nulls


class Sweep(SweepFile):
    """A validated sweep.

    Attributes:
        name: the stem of the file.
        origin: the path of the file, for messages.
        fixed: values of config fields that every trial shares.
        cases: points of several fields, which are in `space` too, with the values they take.
        space: the varied config fields, those of the cases first, in the order of the file.
        open_runs: entries that name other trials' artifacts and have a stand-in here.
        beside_null: values of the kind's control field that every proposal runs with too.
        trials: number of proposals; None for all of a grid.
        seeds: replicates of every proposal.
    """

    name: str
    origin: str
    cases: tuple[Case, ...] = ()
    space: dict[str, Dimension] = {}
    open_runs: dict[KeyPath, dict[str, Any]] = {}

    @property
    def varied(self) -> tuple[str, ...]:
        """Names of the varied fields; the control field of `beside_null`, then `seed`, last."""
        control = load_kind(self.kind).control if self.beside_null else None
        beside = (control.field,) if control else ()
        return (*self.space, *beside, *(("seed",) if len(self.seeds) > 1 else ()))

    @property
    def n_arms(self) -> int:
        """Trials that a proposal gets on each seed: the real one and its nulls."""
        return 1 + len(self.beside_null)

    @property
    def grid_size(self) -> int:
        """Number of points of the whole grid; ValueError where a range has no grid."""
        n_points = math.prod(dimension.grid_size for dimension in self.crossed.values())
        return n_points * len(self.cases or ({},))

    @property
    def crossed(self) -> dict[str, Dimension]:
        """The dimensions of the space that no case gives a value."""
        return {n: d for n, d in self.space.items() if not self.cases or n not in self.cases[0]}

    def assignments(self) -> Iterator[dict[str, Scalar]]:
        """The points of the grid in file order, last field fastest, at most `trials` of them."""
        return itertools.islice(_grid(self), self.trials)

    def config(
        self, assignment: Mapping[str, Scalar], seed: int, null: str | None = None
    ) -> Config:
        """The config of one trial, the real one unless one of `beside_null` is named.

        `UserError` names the field that the kind refuses.
        """
        if assignment.keys() != self.space.keys():
            raise ValueError(f"assigned {sorted(assignment)}, the space has {sorted(self.space)}")

        def where(path: KeyPath) -> str:
            return f"{self.origin}: {dotted(path)}"

        return _config(self, load_kind(self.kind), assignment, seed, null, where)

    def to_yaml(self) -> str:
        """A sweep file that declares the same, every default spelled out."""
        return sweep_text(self)


def load_sweep(
    name_or_path: str, *, overrides: Sequence[str] = (), trials: int | None = None
) -> Sweep:
    """Read and validate a sweep, by the path of its file or the name of a ready-made one.

    `overrides` are the values of `--set`, `trials` that of `--trials`. Raises `UserError` for the
    first mistake found; nothing has started by then.
    """
    path, origin = find(name_or_path)
    if not _NAME.fullmatch(path.stem):
        rule = "at most 100 letters, digits, '.', '_' and '-', a letter or digit first"
        raise UserError(f"the file name is the sweep's name; {rule}", where=origin)
    document = read_document(path, origin)
    if not isinstance(document.get(("kind",)), str):
        build(SweepFile, document.values, document.where)  # names what is wrong with `kind`
    kind = check.known_kind(document.values["kind"], document.where)
    document = apply_overrides(
        document,
        overrides,
        list(kind.config.model_fields),
        list(SweepFile.model_fields),
        _fields_of_first(document),
    )
    if trials is not None:
        document = document.set(("trials",), trials, f"--trials {trials}")
    sweep = _validated(with_runs(document, stand_in), kind, path.stem)
    _probe(sweep, kind, document.where)
    return sweep.model_copy(update={"open_runs": run_entries(document)})


def with_found_runs(sweep: Sweep, find_runs: FindRuns) -> Sweep:
    """The sweep with its entries that name other trials replaced by what they stand for."""
    if not sweep.open_runs:
        return sweep
    document = parse_document(sweep.to_yaml(), sweep.origin)
    document = with_runs(Document(sweep.origin, document.values, {}), find_runs)
    kind = load_kind(sweep.kind)
    resolved = _validated(document, kind, sweep.name)
    _probe(resolved, kind, document.where)
    return resolved


def load_first(sweep: Sweep) -> Sweep | None:
    """The sweep that must run before this one, if there is one."""
    if sweep.first is None:
        return None
    overrides = [f"{name}={flow_text(value)}" for name, value in sweep.first.set.items()]
    return load_sweep(_beside(sweep.first.sweep, sweep.origin), overrides=overrides)


def stored_search(text: str, kind: TrialKind) -> Search:
    """The search of a sweep file's text in the store.

    It is the kind's own objective where there is no text, or where the kind has changed since.
    """
    try:
        document = parse_document(text, "stored sweep file")
        file = build(SweepFile, document.values, document.where)
        return check.resolved_search(kind, file.search, document.where)
    except UserError:
        return default_search(kind)


def _beside(name_or_path: str, origin: str) -> str:
    """A file is looked for beside the file that names it."""
    is_file = Path(name_or_path).suffix in SUFFIXES
    return str(Path(origin).parent / name_or_path) if is_file else name_or_path


def _fields_of_first(document: Document) -> tuple[str, ...]:
    """Config fields of the sweep that runs first; options that name no field here go to it."""
    if "first" not in document.values:
        return ()
    first = build(First, document.values["first"], document.where, ("first",))
    path, origin = find(_beside(first.sweep, document.origin))
    named = read_document(path, origin)
    return tuple(check.known_kind(named.values.get("kind", ""), named.where).config.model_fields)


def _validated(document: Document, kind: TrialKind, name: str) -> Sweep:
    where = document.where
    file = build(SweepFile, document.values, where)
    if "space" in document.values and not file.space:
        hint = "name a field to vary, or leave space out to run one config"
        raise UserError("space is empty", where=where(("space",)), hint=hint)
    fields = kind.config.model_fields
    cases = whole_cases(file.cases, fields, file.fixed, where)
    joined = case_space(cases)
    fixed = {name: value for name, value in file.fixed.items() if name not in joined}
    check.check_fields(kind, fixed, file.space, joined, where)
    check.check_nulls(kind, file.beside_null, fixed, [*joined, *file.space], where)
    check.check_limits(file.limits, file.resources, where)
    crossed = {
        field: read_dimension(given, fields[field].annotation, where, ("space", field))
        for field, given in file.space.items()
    }
    search = check.resolved_search(kind, file.search, where)
    stopping = check.resolved_stopping(kind, file.early_stopping, where)
    n_seeds, n_nulls = len(file.seeds), len(file.beside_null)
    check.check_size(search, crossed, len(cases), file.trials, n_seeds, n_nulls, where)
    resolved = {
        "fixed": fixed,
        "cases": cases,
        "space": joined | crossed,
        "search": search,
        "early_stopping": stopping,
    }
    return Sweep(**dict(file) | resolved, name=name, origin=document.origin)


def _probe(sweep: Sweep, kind: TrialKind, where: Where) -> None:
    """Build the config at every end of every dimension, the others at their first value.

    A small grid is built whole, since a kind may refuse a combination of values. Each is built
    beside each null too.
    """
    ends = {name: dimension.ends() for name, dimension in sweep.crossed.items()}
    first = {name: of[0] for name, of in ends.items()}
    one_end = [first, *(first | {name: end} for name, of in ends.items() for end in of)]
    probes: Iterator[dict[str, Scalar]] = (
        case | point for case in sweep.cases or ({},) for point in one_end
    )
    if sweep.search.method == "grid" and sweep.grid_size <= MAX_PROBED:
        probes = itertools.chain(probes, _grid(sweep))
    for assignment in probes:
        for null in (None, *sweep.beside_null):
            _config(sweep, kind, assignment, sweep.seeds[0], null, where)


def _config(
    sweep: Sweep,
    kind: TrialKind,
    assignment: Mapping[str, Scalar],
    seed: int,
    null: str | None,
    where: Where,
) -> Config:
    arm: dict[str, Scalar] = {}
    if kind.control and sweep.beside_null:
        arm[kind.control.field] = kind.control.real if null is None else null

    def where_given(path: KeyPath) -> str:
        beside = () if null is None else ("beside_null", sweep.beside_null.index(null))
        if not path:  # a rule about several fields: the values under test say which
            point = " ".join(f"{name}={shown(value)}" for name, value in assignment.items())
            varied = "cases" if sweep.cases else "space"
            at = where(beside or (varied if point else "fixed",))
            return f"{at} at {point}" if point else at
        if path[0] in arm and beside:
            return where(beside)
        if sweep.cases and path[0] in sweep.cases[0]:
            return where(("cases",))
        return where(("space" if path[0] in assignment else "fixed", *path))

    return build(kind.config, {**sweep.fixed, **assignment, **arm, "seed": seed}, where_given)


def _grid(sweep: Sweep) -> Iterator[dict[str, Scalar]]:
    """Points of a grid: every case, and within it the last field fastest."""
    crossed = sweep.crossed
    for case in sweep.cases or ({},):
        for values in _product([dimension.grid() for dimension in crossed.values()]):
            yield case | dict(zip(crossed, values, strict=True))


def _product(grids: Sequence[Sequence[Scalar]]) -> Iterator[tuple[Scalar, ...]]:
    """`itertools.product`, which would first list every value of a range, but lazy."""
    if not grids:
        yield ()
        return
    for value in grids[0]:
        for rest in _product(grids[1:]):
            yield (value, *rest)
