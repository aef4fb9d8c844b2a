"""Sweeps declared in Python, by file or by name; what they would run. Light to import."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from sweeper.declare import sweep as declared
from sweeper.declare.canonical import sweep_text
from sweeper.declare.files import check_files
from sweeper.declare.loading import Overrides, declare_sweep, load_sweep
from sweeper.run.lineage import check_chain, with_runs_of
from sweeper.run.plan import Plan, make_plan
from sweeper.store.index import read_index
from sweeper.store.location import Store, locate_store


@dataclass(frozen=True)
class Sweep:
    """A sweep declared in Python: its name, and the keys of a sweep file.

    `Sweep("mine", kind="pursuit", fixed={"source": "hub:gpt2"}, space={"n_atoms": ["1x", "2x"]})`
    means what the file `mine.yaml` with these keys means. It is validated by `check`, `plan` and
    `run`. Relative paths start in the current folder.

    Attributes:
        name: names the sweep in the store.
        kind: what each trial is; `sweeper kinds` lists them.
        fixed: config fields that every trial shares.
        space: config fields that vary: a list, or a range such as
            `{"low": 0.01, "high": 0.5, "log": True}`.
        nulls: controls that run next to every real trial.
        seeds: a number of replicates, or a list of seeds.
        trials: number of proposals; None for all of a grid.
    """

    name: str
    kind: str
    fixed: Mapping[str, Any] | None = None
    space: Mapping[str, Any] | None = None
    cases: Sequence[Mapping[str, Any]] | None = None
    nulls: Sequence[str] | None = None
    search: Mapping[str, Any] | str | None = None
    trials: int | None = None
    seeds: int | Sequence[int] | None = None
    resources: Mapping[str, Any] | None = None
    limits: Mapping[str, Any] | None = None
    early_stopping: Mapping[str, Any] | str | None = None
    after: Mapping[str, Any] | str | None = None
    description: str | None = None

    @property
    def keys(self) -> dict[str, Any]:
        """The keys of a sweep file that were given."""
        given = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "name"}
        return {name: value for name, value in given.items() if value is not None}

    def to_yaml(self) -> str:
        """The text of an equal sweep file, with every default spelled out; UserError if invalid."""
        return sweep_text(declare_sweep(self.name, self.keys))


def load(
    sweep: str | Path | Sweep, changes: Overrides | None = None, trials: int | None = None
) -> declared.Sweep:
    """The validated sweep: of a file, of the name of a ready-made one, or declared in Python.

    Raises:
        UserError: the first mistake that was found.
    """
    if isinstance(sweep, Sweep):
        return declare_sweep(sweep.name, sweep.keys, overrides=changes or (), trials=trials)
    return load_sweep(str(sweep), overrides=changes or (), trials=trials)


def check(
    sweep: str | Path | Sweep, *, set: Overrides | None = None, trials: int | None = None
) -> str:
    """Validate a sweep: every field, both ends of every range; returns one line about it.

    Args:
        sweep: a path, the name of a ready-made sweep, or a `Sweep`.
        set: changes, such as `{"n_rows": 2000, "seeds": 3}`.
        trials: number of proposals.

    Raises:
        UserError: the first mistake that was found.
    """
    found = load(sweep, set, trials)
    for each in (*found.predecessors, found):
        check_files(each)
    space = ", ".join(found.space) or "nothing"
    nulls = f", nulls {', '.join(found.nulls)}" if found.nulls else ""
    limits = f"; limits: {found.limits}" if found.limits.model_fields_set else ""
    return f"{found.origin}: valid; kind {found.kind}, varies {space}{nulls}{limits}"


def plan(
    sweep: str | Path | Sweep,
    *,
    set: Overrides | None = None,
    trials: int | None = None,
    store: str | Path | None = None,
) -> Plan:
    """What a run would do: how many trials exist, how many would run, and for how long.

    Where a sweep that must run first lacks trials, the plan is that of the first such sweep; its
    `note` says so. The arguments are those of `check`, and the store to compare with.

    Raises:
        UserError: the first mistake that was found.
    """
    found = load(sweep, set, trials)
    for each, made in plans(found, locate_store(None if store is None else str(store))):
        last, of = made, each
    if of is not found:
        note = f"first, {of.name}; then {found.name}: its trials are known when these are"
        return last._replace(note=note)
    return last


def plans(found: declared.Sweep, place: Store) -> Iterator[tuple[declared.Sweep, Plan]]:
    """The plans of a sweep and of those before it, in the order to run them.

    The last is that of the first sweep that lacks trials: what follows depends on their results.
    """
    check_chain(found, place)
    stored = read_index(place)
    for each in (*found.predecessors, found):
        made = make_plan(with_runs_of(each, place), stored)
        yield each, made
        if made.n_new:
            return
