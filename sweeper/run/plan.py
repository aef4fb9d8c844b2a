"""What a sweep will do before it does it: which trials exist, which must run, how long."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Sequence
from html import escape
from statistics import median
from typing import NamedTuple

from sweeper.declare.sweep import Sweep
from sweeper.errors import UserError
from sweeper.records import TrialSpec, TrialState
from sweeper.run.keys import Resolver
from sweeper.run.search.samplers import sampler_note
from sweeper.run.search.searches import make_search, n_proposals
from sweeper.run.slots import slots_here
from sweeper.store.index import StoredTrial

DONE = frozenset({TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED})


class Retry(NamedTuple):
    """Which trials run although the store holds them.

    Attributes:
        failed: those that failed.
        deleted: those whose runs were deleted in MLflow.
        everything: all of them.
    """

    failed: bool = False
    deleted: bool = False
    everything: bool = False

    def done_states(self, sweep: Sweep) -> frozenset[TrialState]:
        """The states that need no new run; PRUNED only where the sweep stops trials itself."""
        if self.everything:
            return frozenset()
        again = {TrialState.FAILED} if self.failed else set()
        return DONE - again - ({TrialState.PRUNED} if sweep.early_stopping is None else set())


MISSING_ONLY = Retry()
"""Only trials run that the store does not hold."""


class Plan(NamedTuple):
    """The trials of a sweep against what the store holds.

    Attributes:
        n_trials: trials that the sweep declares.
        specs: the trials themselves, where the search fixes them beforehand (grid and random).
        n_existing, n_elsewhere: of these, found under the same key, and found in another sweep.
        n_new: to be run (an upper bound where the search adapts).
        expected_s: wall time for the new ones from the median of earlier trials of this kind, and
            of the time that passed between them; NaN if there are none.
        note: the sampler, and why `trials` was not taken at its word, if it was not.
    """

    n_trials: int
    specs: tuple[TrialSpec, ...]
    n_existing: int
    n_elsewhere: int
    n_new: int
    n_slots: int
    expected_s: float
    note: str = ""

    def __str__(self) -> str:
        return plan_text(self)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(plan_text(self))}</pre>"


def make_plan(sweep: Sweep, stored: Sequence[StoredTrial], *, retry: Retry = MISSING_ONLY) -> Plan:
    """Compare the sweep's trials with those that the store holds.

    Raises:
        UserError: an input of the sweep does not exist, or the store has a sweep of the same name
            and another kind.
    """
    check_name(sweep, stored)
    resolver = Resolver(sweep)
    specs = _listed(sweep, resolver)
    n_trials = len(specs)
    if not specs:  # the search adapts: at least see that the inputs exist
        n_trials = n_proposals(sweep) * len(sweep.seeds) * sweep.n_arms
        resolver.specs({name: dimension.ends()[0] for name, dimension in sweep.space.items()})
    done = retry.done_states(sweep)
    finished = [trial for trial in stored if trial.state in done]
    anywhere = {trial.key for trial in finished}
    here = {trial.key for trial in finished if trial.sweep == sweep.name}
    keys = {spec.key for spec in specs}
    n_existing, n_elsewhere = len(keys & anywhere), len((keys & anywhere) - here)
    n_new = n_trials - n_existing
    earlier = [g for g in stored if g.kind == sweep.kind and g.state == "COMPLETE"]
    n_slots = slots_here(sweep.resources)
    expected_s = math.nan
    if earlier:
        trial_s = median(g.duration_s for g in earlier)
        expected_s = math.ceil(n_new / n_slots) * trial_s + n_new * service_s(earlier)
    note = _note(sweep)
    return Plan(n_trials, specs, n_existing, n_elsewhere, n_new, n_slots, expected_s, note)


def service_s(stored: Sequence[StoredTrial]) -> float:
    """Median wall time per trial that the service spends: from an end to the next start there.

    Places are not recorded: the one that has been free for longest is taken to be used next. Places
    wait at the same time, so the time is divided by the trials that ran at once.
    """
    waits_s: list[float] = []
    for sweep in {trial.sweep for trial in stored}:
        trials = [t for t in stored if t.sweep == sweep and t.ended_ms]
        starts = [(t.ended_ms - round(1000 * t.duration_s), 1) for t in trials]
        ends = [(t.ended_ms, 0) for t in trials]  # an end frees its place for a start just then
        free: deque[int] = deque()
        waits_ms, n_running, most = list[int](), 0, 1
        for at_ms, is_start in sorted(starts + ends):
            n_running += 1 if is_start else -1
            most = max(most, n_running)
            if not is_start:
                free.append(at_ms)
            elif free:
                waits_ms.append(at_ms - free.popleft())
        waits_s += [wait_ms / 1000 / most for wait_ms in waits_ms]
    return median(waits_s) if waits_s else 0.0


def check_name(sweep: Sweep, stored: Sequence[StoredTrial]) -> None:
    """Raise UserError if the store has a sweep of the same name and another kind."""
    kinds = {g.kind for g in stored if g.sweep == sweep.name} - {sweep.kind}
    if kinds:
        what = f"the store holds a sweep '{sweep.name}' of kind '{min(kinds)}'"
        hint = f"this one is of kind '{sweep.kind}': give its file another name"
        raise UserError(what, where=sweep.origin, hint=hint)


def _listed(sweep: Sweep, resolver: Resolver) -> tuple[TrialSpec, ...]:
    if sweep.search.method in ("optuna", "target"):
        return ()
    search = make_search(sweep)
    specs: dict[str, TrialSpec] = {}
    while (proposal := search.ask()) is not None:
        for null in (None, *sweep.nulls):
            specs |= {spec.key: spec for spec in resolver.specs(proposal.assignment, null)}
    return tuple(specs.values())


def _note(sweep: Sweep) -> str:
    notes = [sampler_note(sweep)] if sweep.search.method == "optuna" else []
    if sweep.search.method == "target":
        limits, field = sweep.search.limits, sweep.solved_field
        arms = f" and {len(sweep.nulls)} nulls" if sweep.nulls else ""
        points = (
            f"each of {sweep.grid_size} points{arms}" if sweep.grid_size > 1 or arms else "once"
        )
        return f"{field} is solved for {limits}, {points}, with at most {sweep.trials} proposals"
    n_points = n_proposals(sweep)
    if sweep.trials is not None and sweep.trials > n_points:
        notes.append(f"the space has {n_points} points, fewer than trials {sweep.trials}")
    return "\n".join(notes)


def plan_text(plan: Plan) -> str:
    """A plan in two lines, and its note."""
    elsewhere = f" ({plan.n_elsewhere} of them in other sweeps)" if plan.n_elsewhere else ""
    counts = f"{plan.n_trials} trials: {plan.n_existing} exist{elsewhere}, {plan.n_new} to run"
    if not plan.n_new:
        time = ""
    elif math.isnan(plan.expected_s):
        time = "expected time unknown: no trial of this kind has run yet"
    else:
        time = f"expected about {plan.expected_s:.0f} s, {plan.n_slots} at a time"
    return "\n".join(filter(None, (counts, time, plan.note)))


def plan_json(plan: Plan) -> str:
    """A plan as one JSON object, its trials by key."""
    numbers = {k: v for k, v in plan._asdict().items() if k != "specs"}
    numbers["expected_s"] = None if math.isnan(plan.expected_s) else plan.expected_s
    trials = [{"key": spec.key, "config": spec.config} for spec in plan.specs]
    return json.dumps({**numbers, "trials": trials}, indent=2)
