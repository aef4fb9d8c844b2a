"""Search, its objectives and constraints, and early stopping."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.sweeper.declare.bad_inputs.sweep_files import GOOD, HEAD, cases, optuna, tail

SEARCH = {
    "method misspelt": (
        tail("search: gird"),
        ":6: search: given 'gird'; must be 'grid', 'random', 'optuna' or 'target'; "
        "did you mean 'grid'?",
    ),
    "unknown search key": (
        tail("search: {method: optuna, samplr: tpe}\ntrials: 3"),
        ":6: search.samplr: unknown key 'samplr'; did you mean 'sampler'?",
    ),
    "search as a list": (tail("search: [grid]"), ":6: search: given ['grid']; must be a mapping"),
    "sampler": (
        tail("search: {method: optuna, sampler: tp}\ntrials: 3"),
        ":6: search.sampler: given 'tp'; must be 'auto', 'gp', 'tpe', 'random' or 'qmc'; "
        "did you mean 'tpe'?",
    ),
    "sampler grid": (
        tail("search: {method: grid, sampler: tpe}"),
        ":6: search: sampler with method grid; only optuna has samplers",
    ),
    "seed grid": (
        tail("search: {method: grid, seed: 3}"),
        ":6: search: seed with method grid; a grid draws nothing (replicates: seeds)",
    ),
    "objective misspelt": (
        tail("search: {method: grid, objectives: [eror]}"),
        ":6: search.objectives[0]: unknown metric 'eror'; did you mean 'error'?",
    ),
    "objectives without a list": (
        tail("search: {method: grid, objectives: error}"),
        ":6: search.objectives: given 'error'; must be a list",
    ),
    "objective twice": (
        tail("search: {method: grid, objectives: [error, error]}"),
        ":6: search: an objective is given twice; objectives must be distinct",
    ),
    "objective key": (
        tail("search: {method: grid, objectives: [{metrc: error}]}"),
        ":6: search.objectives[0].metrc: unknown key 'metrc'; did you mean 'metric'?",
    ),
    "objective direction": (
        tail("search: {method: grid, objectives: [{metric: error, direction: minimize}]}"),
        ":6: search.objectives[0].direction: given 'minimize'; must be 'minimise', "
        "'maximise' or 'none'; did you mean 'minimise'?",
    ),
    "objective without direction": (
        tail("search: {method: grid, objectives: [n_dead]}"),
        ":6: search.objectives[0]: 'n_dead' has no direction of its own; add direction: "
        "minimise or maximise",
    ),
    "objective the wrong way": (
        tail("search: {method: optuna, objectives: [{metric: error, direction: maximise}]}"),
        ":6: search.objectives[0]: given direction 'maximise'; kind toy has 'error' to minimise; "
        "leave direction out",
    ),
    "held-out objective": (
        tail("search: {method: optuna, objectives: [error, sealed_error]}\ntrials: 3"),
        ":6: search.objectives[1]: 'sealed_error' is measured on held-out tokens; "
        "choosing by it would spoil them; choose by error, score, total",
    ),
    "held-out default objective": (
        tail("search: optuna\ntrials: 3").replace("kind: toy", "kind: sealed"),
        ":6: search.objectives: 'sealed_error' is measured on held-out tokens; choosing "
        "by it would spoil them; choose by error, score, total",
    ),
    "random no trials": (
        tail("search: random"),
        ":6: search.method: random search without trials; say how many",
    ),
    "optuna no trials": (
        tail("search: {method: optuna}"),
        ":6: search.method: optuna search without trials; say how many",
    ),
    "random no space": (
        HEAD + "search: random\ntrials: 3\n",
        ":4: search.method: random search with nothing in space to vary",
    ),
}

CONSTRAINTS = {
    "constraints of a grid": (
        tail("search: {method: grid, constraints: {error: {max: 1}}}"),
        ":6: search: constraints with grid; only optuna's gp and tpe support them",
    ),
    "constraints of a random sampler": (
        tail("search: {method: optuna, sampler: random, constraints: {error: {max: 1}}}"),
        ":6: search: constraints with sampler random; only optuna's gp and tpe support them",
    ),
    "constraints of an even sequence": (
        tail("search: {method: optuna, sampler: qmc, constraints: {error: {max: 1}}}"),
        ":6: search: constraints with sampler qmc; only optuna's gp and tpe support them",
    ),
    "constraint on an unknown metric": (
        optuna("{scor: {min: 1}}"),
        ":6: search.constraints.scor: unknown metric 'scor'; did you mean 'score'?",
    ),
    "constraint on held-out tokens": (
        optuna("{sealed_error: {max: 1}}"),
        ":6: search.constraints.sealed_error: 'sealed_error' is measured on held-out tokens; "
        "choosing by it would spoil them; choose by error, score, total",
    ),
    "constraint without a bound": (
        optuna("{error: {}}"),
        ":6: search.constraints.error: a constraint without min or max; give {max: 20}, {min: 1} "
        "or both",
    ),
    "constraint that nothing meets": (
        optuna("{error: {min: 2, max: 1}}"),
        ":6: search.constraints.error: min 2.0 > max 1.0; min must not exceed max",
    ),
    "constraint misspelt": (
        optuna("{error: {maxx: 1}}"),
        ":6: search.constraints.error.maxx: unknown key 'maxx'; did you mean 'max'?",
    ),
    "constraint as a number": (
        optuna("{error: 20}"),
        ":6: search.constraints.error: given 20; must be a mapping",
    ),
    "constraint as text": (
        optuna("{error: {max: '20'}}"),
        ":6: search.constraints.error.max: given '20'; must be a number",
    ),
    "constraints as a list": (
        optuna("[error]"),
        ":6: search.constraints: given ['error']; must be a mapping",
    ),
}

RANGE = HEAD + "space:\n  penalty: {low: 0.1, high: 0.9}\n"


def target(constraints: str, text: str = RANGE) -> str:
    """A sound file that solves for a target, but for its constraints on line 6."""
    return f"{text}search: {{method: target, constraints: {constraints}}}\n"


TARGETS = {
    "target and a bound": (
        target("{error: {target: 2, max: 3}}"),
        ":6: search.constraints.error: target and min or max; a constraint has a target, or bounds",
    ),
    "tolerance of a bound": (
        optuna("{error: {max: 2, tolerance: 0.1}}"),
        ":6: search.constraints.error: tolerance without target; only a target has a tolerance",
    ),
    "tolerance of nothing": (
        target("{error: {target: 2, tolerance: 0}}"),
        ":6: search.constraints.error.tolerance: given 0; must be greater than 0",
    ),
    "target of another method": (
        optuna("{error: {target: 2}}"),
        ":6: search: a target with method optuna; give method: target",
    ),
    "no target": (
        target("{error: {max: 2}}"),
        ":6: search: method target without one target; give constraints: {METRIC: {target: 16}}",
    ),
    "two targets": (
        target("{error: {target: 2}, score: {target: 1}}"),
        ":6: search: method target without one target; give constraints: {METRIC: {target: 16}}",
    ),
    "target on held-out tokens": (
        target("{sealed_error: {target: 1}}"),
        ":6: search.constraints.sealed_error: 'sealed_error' is measured on held-out tokens; "
        "choosing by it would spoil them; choose by error, score, total",
    ),
    "target with nothing to solve for": (
        target("{error: {target: 1}}", GOOD),
        ":4: space: method target solves for one float range without points; space has none",
    ),
    "seed of a target": (
        tail("search: {method: target, seed: 3, constraints: {error: {target: 2}}}"),
        ":6: search: seed with method target; a target draws nothing (replicates: seeds)",
    ),
    "sampler of a target": (
        tail("search: {method: target, sampler: gp, constraints: {error: {target: 2}}}"),
        ":6: search: sampler with method target; only optuna has samplers",
    ),
}

EARLY_STOPPING = {
    "early stopping misspelt": (
        tail("early_stopping: {method: ahsa, metric: error}"),
        ":6: early_stopping.method: given 'ahsa'; must be 'asha' or 'median'; did you mean 'asha'?",
    ),
    "early stopping without metric": (
        tail("early_stopping: {method: asha}"),
        ":6: early_stopping: 'metric' is missing",
    ),
    "early stopping on an unknown metric": (
        tail("early_stopping: {method: asha, metric: err}"),
        ":6: early_stopping.metric: unknown metric 'err'; did you mean 'error'?",
    ),
    "early stopping on held-out tokens": (
        tail("early_stopping: {method: median, metric: sealed_error}"),
        ":6: early_stopping.metric: 'sealed_error' is measured on held-out tokens; "
        "choosing by it would spoil them; choose by error, score, total",
    ),
    "early stopping the wrong way": (
        tail("early_stopping: {method: asha, metric: score, direction: minimise}"),
        ":6: early_stopping.metric: given direction 'minimise'; kind toy has 'score' to maximise; "
        "leave direction out",
    ),
    "early stopping without direction": (
        tail("early_stopping: {method: median, metric: n_dead}"),
        ":6: early_stopping.metric: 'n_dead' has no direction of its own; add direction: "
        "minimise or maximise",
    ),
    "early stopping on what is known at the end only": (
        tail("early_stopping: {method: median, metric: total}"),
        ":6: early_stopping.metric: trials of kind toy do not report 'total' while they run; "
        "reported: error, score, n_dead",
    ),
    "reduction of median": (
        tail("early_stopping: {method: median, metric: error, reduction: 3}"),
        ":6: early_stopping: reduction with method median; only asha has a reduction",
    ),
    "reduction by one": (
        tail("early_stopping: {method: asha, metric: error, reduction: 1}"),
        ":6: early_stopping.reduction: given 1; must be at least 2",
    ),
    "no grace": (
        tail("early_stopping: {method: asha, metric: error, grace: 0}"),
        ":6: early_stopping.grace: given 0; must be at least 1",
    ),
}


@pytest.mark.parametrize(("text", "message"), cases(SEARCH, CONSTRAINTS, TARGETS, EARLY_STOPPING))
def test_a_mistake_gets_one_line_with_place_value_and_rule(
    refusal: Callable[[str | bytes], str], text: str | bytes, message: str
) -> None:
    assert refusal(text) == f"s.yaml{message}"
