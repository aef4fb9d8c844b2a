import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.declare.canonical import sweep_text
from sweeper.declare.document import Document
from sweeper.declare.loading import load_sweep, stored_search
from sweeper.declare.search import Objective, Search
from sweeper.declare.space import Choice, FloatRange, IntRange
from sweeper.declare.sweep import Sweep
from sweeper.declare.sweep_file import Limits
from sweeper.errors import UserError
from trials import load_kind
from trials.api import TrialError

FULL = """\
kind: toy
description: everything at once
fixed:
  source: "wheel:x"
  betas: [0.5, 0.75]
space:
  penalty: {low: 0.05, high: 0.5, log: true, points: 2}
  n_atoms: [1x, 2x]
  width: {low: 1, high: 5, step: 2}
search: {method: optuna, objectives: [error, {metric: n_dead, direction: maximise}], seed: 7}
trials: 20
seeds: [3, 1]
resources: {cpu: 2, gpu: 0.25}
limits: {retries: 5, trial_timeout_s: 3600, memory_gib: 1.5, budget_gpu_hours: 8}
early_stopping: {method: asha, metric: score, grace: 5, reduction: 4}
"""
GRID = """\
kind: toy
fixed: {source: s}
space:
  width: {low: 1, high: 3}
  penalty: [0.1, 0.2]
"""


@pytest.fixture
def load(write: Callable[[str], str]) -> Callable[[str], Sweep]:
    return lambda text: load_sweep(write(text))


def test_a_full_file_gives_typed_values(load: Callable[[str], Sweep]) -> None:
    sweep = load(FULL)
    assert (sweep.name, sweep.origin, sweep.kind) == ("s", "s.yaml", "toy")
    assert sweep.space == {
        "penalty": FloatRange(low=0.05, high=0.5, log=True, points=2),
        "n_atoms": Choice(values=("1x", "2x")),
        "width": IntRange(low=1, high=5, step=2),
    }
    assert list(sweep.space) == ["penalty", "n_atoms", "width"]
    assert sweep.search.objectives == (
        Objective(metric="error", direction="minimise"),
        Objective(metric="n_dead", direction="maximise"),
    )
    assert (sweep.search.seed, sweep.trials, sweep.seeds) == (7, 20, (3, 1))
    assert (sweep.resources.cpu, sweep.resources.gpu) == (2, 0.25)
    assert sweep.limits == Limits(
        retries=5, trial_timeout_s=3600, memory_gib=1.5, budget_gpu_hours=8
    )
    assert str(sweep.limits) == (
        "retries 5, trial_timeout_s 3600, memory_gib 1.5, budget_gpu_hours 8, equal_failures 5"
    )
    assert sweep.early_stopping is not None
    assert sweep.early_stopping.direction == "maximise"
    assert sweep.varied == ("penalty", "n_atoms", "width", "seed")


def test_a_short_file_is_a_grid_on_the_kinds_objective(load: Callable[[str], Sweep]) -> None:
    sweep = load(GRID)
    assert sweep.search.method == "grid"
    assert sweep.search.objectives == (Objective(metric="error", direction="minimise"),)
    assert (sweep.seeds, sweep.trials, sweep.early_stopping) == ((0,), None, None)
    assert (sweep.resources.cpu, sweep.resources.gpu) == (1, 0)
    assert str(sweep.limits) == "retries 2, equal_failures 5"
    assert sweep.varied == ("width", "penalty")


def test_a_file_without_space_runs_one_config(load: Callable[[str], Sweep]) -> None:
    sweep = load("kind: toy\nfixed: {source: s}\nseeds: 3\n")
    assert (list(sweep.assignments()), sweep.seeds) == ([{}], (0, 1, 2))
    assert sweep.config({}, 2).seed == 2


def test_a_grid_goes_in_file_order_with_the_last_field_fastest(
    load: Callable[[str], Sweep],
) -> None:
    sweep = load(GRID)
    points = [(point["width"], point["penalty"]) for point in sweep.assignments()]
    assert points == [(1, 0.1), (1, 0.2), (2, 0.1), (2, 0.2), (3, 0.1), (3, 0.2)]
    assert sweep.grid_size == len(points)


def test_trials_cap_a_grid_however_large(load: Callable[[str], Sweep]) -> None:
    text = GRID.replace("high: 3", "high: 9000000000000000").replace("width", "n_atoms")
    sweep = load(text + "trials: 3\n")
    assert [p["n_atoms"] for p in sweep.assignments()] == [1, 1, 2]
    assert sweep.grid_size == 2 * 9_000_000_000_000_000


@pytest.mark.parametrize("search", ["grid", "random", "optuna"])
def test_no_search_has_a_best_by_a_held_out_metric(
    load: Callable[[str], Sweep], search: str
) -> None:
    sealed = GRID.replace("toy", "sealed")
    with pytest.raises(UserError, match="choosing by it would spoil them; choose by error"):
        load(sealed)  # the kind's own objective
    trials = "" if search == "grid" else "trials: 2\n"
    given = f"search: {{method: {search}, objectives: [sealed_error]}}\n{trials}"
    with pytest.raises(UserError, match="'sealed_error' is measured on held-out tokens"):
        load(sealed + given)
    other = given.replace("sealed_error", "error")
    assert load(sealed + other).search.objectives[0].metric == "error"


def test_a_config_is_built_by_the_kind(load: Callable[[str], Sweep]) -> None:
    config = load(FULL).config({"penalty": 0.1, "n_atoms": "2x", "width": 3}, 5)
    assert config.model_dump() == {
        "seed": 5,
        "source": "wheel:x",
        "penalty": 0.1,
        "width": 3,
        "n_atoms": "2x",
        "mode": "plain",
        "null": "none",
        "nonnegative": False,
        "betas": (0.5, 0.75),
        "optimiser": {"lr": 0.1, "momentum": 0.0},
    }


def test_a_config_that_the_kind_refuses_names_the_field(load: Callable[[str], Sweep]) -> None:
    sweep = load(GRID)
    with pytest.raises(UserError) as caught:
        sweep.config({"width": 65, "penalty": 0.1}, 0)
    assert str(caught.value) == "s.yaml:4: space.width: given 65; must be at most 64"
    with pytest.raises(ValueError, match="the space has"):
        sweep.config({"width": 3}, 0)


def test_a_trial_error_of_a_config_is_the_users(
    load: Callable[[str], Sweep], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(text: str) -> None:
        raise TrialError("no such source")

    sweep = load(GRID)
    monkeypatch.setattr(load_kind("toy").config, "model_validate_json", refuse)
    with pytest.raises(
        UserError, match=r"^s.yaml:3: space at width=1 penalty=0.1: no such source$"
    ):
        sweep.config({"width": 1, "penalty": 0.1}, 0)


def test_a_small_grid_is_validated_at_its_inner_points(load: Callable[[str], Sweep]) -> None:
    text = GRID.replace("penalty: [0.1, 0.2]", "mode: [signed]").replace("low: 1", "low: 2")
    assert load(text.replace("high: 3}", "high: 4, step: 2}")).grid_size == 2
    with pytest.raises(UserError, match="space at width=3 mode='signed': mode signed with width 3"):
        load(text.replace("high: 3", "high: 4"))


NULLED = """\
kind: nulled
fixed: {source: s}
space: {width: [4, 6]}
nulls: [shuffled, gaussian]
"""


def test_nulls_stand_beside_each_point_and_are_no_part_of_it(load: Callable[[str], Sweep]) -> None:
    sweep = load(NULLED + "seeds: 2\n")
    assert sweep.varied == ("width", "null", "seed")
    assert list(sweep.assignments()) == [{"width": 4}, {"width": 6}]
    assert sweep.grid_size == 2
    assert sweep.n_arms == 3
    nulls = [sweep.config({"width": 4}, 1, null).model_dump() for null in (None, "gaussian")]
    assert [config["null"] for config in nulls] == ["none", "gaussian"]
    assert nulls[0] | {"null": "gaussian"} == nulls[1]
    assert load(NULLED.replace("s}", "s, 'null': none}")).varied == ("width", "null")


def test_without_nulls_a_sweep_is_what_it_was(load: Callable[[str], Sweep]) -> None:
    plain = NULLED.replace("[shuffled, gaussian]", "[]")
    sweep = load(plain)
    assert (sweep.varied, sweep.n_arms) == (("width",), 1)
    assert "nulls" not in sweep_text(sweep)
    fixed = load(plain.replace("s}", "s, 'null': gaussian}"))
    assert fixed.config({"width": 4}, 0).model_dump()["null"] == "gaussian"


def test_constraints_are_typed_and_relative_to_their_bounds(load: Callable[[str], Sweep]) -> None:
    limits = "{error: {max: 20}, score: {min: -2, max: 4}, total: {min: 0}}"
    search = load(GRID + f"search: {{method: optuna, constraints: {limits}}}\ntrials: 3\n").search
    assert search.limits == "error <= 20, score >= -2 and <= 4, total >= 0"
    assert search.violations({"error": 25, "score": 4, "total": 3}) == {
        "error": 0.25,
        "score": 0,
        "total": -3,
    }
    assert search.violations({"error": 20, "score": -3, "total": -0.5}) == {
        "error": 0,
        "score": 0.5,
        "total": 0.5,
    }


def test_the_search_of_a_stored_file_is_read_back(load: Callable[[str], Sweep]) -> None:
    sweep = load(
        GRID + "search: {method: optuna, objectives: [score], constraints: {error: {max: 2}}}\n"
        "trials: 3\n"
    )
    kind = load_kind("toy")
    assert stored_search(sweep_text(sweep), kind) == sweep.search
    default = Search(objectives=(Objective(metric="error", direction="minimise"),))
    assert stored_search("", kind) == default
    assert stored_search(sweep_text(sweep).replace("score", "gone"), kind) == default


def again(sweep: Sweep, folder: Path) -> Sweep:
    path = folder / f"{sweep.name}.yaml"
    path.write_text(sweep_text(sweep))
    return load_sweep(str(path)).model_copy(update={"document": sweep.document})


@pytest.mark.parametrize(
    "text",
    [
        FULL,
        GRID,
        GRID + "search: random\ntrials: 3\nseeds: 20\n",
        GRID + "early_stopping: {method: median, metric: error}\n",
        GRID.replace("[0.1, 0.2]", "{low: 0.1, high: 0.9}")
        + "search: {method: target, constraints: {error: {target: 3, tolerance: 0.1}}}\n",
        "kind: toy\nfixed: {source: s, null: 'null', optimiser: {lr: 0.5}}\n",
        GRID.replace("toy", "nulled") + "nulls: [gaussian]\nseeds: 2\n",
        GRID + "search: {method: optuna, constraints: {score: {min: 1, max: 2.5}, error: {max: 0}}}"
        "\ntrials: 3\n",
        GRID.replace("[0.1, 0.2]", "[1e-3, 1e-5]") + "  null: ['on', '1e5', '08', no, '']\n",
    ],
)
def test_the_canonical_text_declares_the_same_sweep(
    load: Callable[[str], Sweep], tmp_path: Path, text: str
) -> None:
    sweep = load(text)
    assert again(sweep, tmp_path) == sweep
    assert sweep_text(again(sweep, tmp_path)) == sweep_text(sweep)


printable = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]) | st.just(" "))


@given(
    source=printable.filter(len),
    nulls=st.lists(printable | st.just("a\n\tb"), min_size=1, unique=True),
    penalties=st.lists(st.floats(1e-300, 1, exclude_max=True), min_size=1, unique=True),
)
def test_any_values_survive_the_canonical_text(
    tmp_path_factory: pytest.TempPathFactory,
    source: str,
    nulls: list[str],
    penalties: list[float],
) -> None:
    sweep = Sweep(
        name="s",
        document=Document("s.yaml", {}, {}),
        kind="toy",
        fixed={"source": source},
        space={"null": Choice(values=tuple(nulls)), "penalty": Choice(values=tuple(penalties))},
    )
    read = again(sweep, tmp_path_factory.mktemp("again"))
    assert (read.fixed, read.space) == (sweep.fixed, sweep.space)


def test_declaring_loads_nothing_heavy() -> None:
    heavy = {"torch", "numba", "ray", "mlflow", "scipy", "optuna", "pandas", "matplotlib", "plotly"}
    code = f"import sys, sweeper.declare.loading; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
