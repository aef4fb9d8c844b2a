from collections.abc import Callable

import pytest

from sweeper.declare.loading import load_sweep
from sweeper.declare.space import Choice, FloatRange
from sweeper.declare.sweep import Sweep
from sweeper.errors import UserError

TEXT = """\
kind: toy
fixed:
  source: s
  mode: signed
space:
  width: [2, 4]
  penalty: {low: 0.1, high: 0.2, points: 3}
search: grid
"""

MISTAKES = [
    ("width", "--set width: not NAME=VALUE; write field=value"),
    ("=3", "--set =3: not NAME=VALUE; write field=value"),
    ("width=", "--set width=: no value after '='; write null, or '' for empty text"),
    ("widht=3", "--set widht=3: unknown field or key 'widht'; did you mean 'width'?"),
    ("seed=3", "--set seed=3: seed is given by the key seeds alone; write seeds: [0, 1, 2]"),
    (
        "fixed.seed=3",
        "--set fixed.seed=3: seed is given by the key seeds alone; write seeds: [0, 1, 2]",
    ),
    ("seeds=0", "--set seeds=0: 0 seeds; from 1 to 10,000"),
    ("penalty=abc", "--set penalty=abc: given 'abc'; must be a number"),
    (
        "penalty={low: 0.9, high: 0.1}",
        "--set penalty={low: 0.9, high: 0.1}: low 0.9 > high 0.1; low must not exceed high",
    ),
    ("penalty={low: 0.1}", "--set penalty={low: 0.1}: 'high' is missing"),
    ("width=[2, 400]", "--set width=[2, 400]: given 400; must be at most 64"),
    ("width=[2", "--set width=[2: not valid YAML: did not find expected ',' or ']'"),
    ("width=!!int 3", "--set width=!!int 3: tag !!int; tags are not allowed"),
    ("width=*a", "--set width=*a: alias *a; aliases are not allowed"),
    (
        "search.methd=random",
        "--set search.methd=random: unknown key 'methd'; did you mean 'method'?",
    ),
    (
        "search.method=random",
        "--set search.method=random: random search without trials; say how many",
    ),
    (
        "resources.gpu=1.5",
        "--set resources.gpu=1.5: gpu 1.5; above 1 the number of GPUs must be whole",
    ),
    ("serach=grid", "--set serach=grid: unknown field or key 'serach'; did you mean 'search'?"),
    ("kind=toy", "--set kind=toy: the kind of a sweep cannot be changed; copy the file"),
    (
        "space={}",
        "--set space={}: space is empty; name a field to vary, or leave space out to run "
        "one config",
    ),
    ("trials=0", "--set trials=0: given 0; must be at least 1"),
    ("optimiser.rl=3", "--set optimiser.rl=3: unknown key 'rl'; allowed: lr, momentum"),
    (
        "optimiser.lr=x",
        "--set optimiser.lr=x: given 'x'; must be a number, unable to parse string as a number",
    ),
    ("width.low=3", "--set width.low=3: space.width is [2, 4], not a mapping"),
    ("source.x=3", "--set source.x=3: fixed.source is 's', not a mapping"),
    ("width=.nan", "--set width=.nan: given .nan; a number must be finite"),
]


@pytest.fixture
def load(write: Callable[[str], str]) -> Callable[..., Sweep]:
    """Loads the file above with overrides."""
    return lambda *overrides, **options: load_sweep(write(TEXT), overrides=overrides, **options)


@pytest.fixture
def load_nulled(write: Callable[[str], str]) -> Callable[..., Sweep]:
    """The same of a kind that has nulls."""
    return lambda *overrides: load_sweep(write(TEXT.replace("toy", "nulled")), overrides=overrides)


def test_a_value_moves_a_field_from_space_to_fixed(load: Callable[..., Sweep]) -> None:
    sweep = load("width=8")
    assert list(sweep.space) == ["penalty"]
    assert sweep.fixed == {"source": "s", "mode": "signed", "width": 8}


def test_a_list_moves_a_field_from_fixed_to_space(load: Callable[..., Sweep]) -> None:
    sweep = load("mode=[plain, signed]")
    assert sweep.fixed == {"source": "s"}
    assert sweep.space["mode"] == Choice(values=("plain", "signed"))


def test_a_mapping_replaces_a_range(load: Callable[..., Sweep]) -> None:
    sweep = load("penalty={low: 0.3, high: 0.4, points: 2}")
    assert sweep.space["penalty"] == FloatRange(low=0.3, high=0.4, points=2)
    assert list(sweep.space) == ["width", "penalty"]


def test_one_part_of_a_range_can_be_changed(load: Callable[..., Sweep]) -> None:
    sweep = load("penalty.points=9", "penalty.log=true")
    assert sweep.space["penalty"] == FloatRange(low=0.1, high=0.2, log=True, points=9)


def test_one_part_of_a_text_can_be_changed(load: Callable[..., Sweep]) -> None:
    text = "n_atoms={text: '{size}x', size: [1, 2]}"
    assert load(text).space["n_atoms"] == Choice(values=("1x", "2x"))
    assert load(text, "n_atoms.size=[4]").space["n_atoms"] == Choice(values=("4x",))


def test_a_field_that_the_file_lacks_can_be_given(load: Callable[..., Sweep]) -> None:
    assert load("n_atoms=4x").fixed["n_atoms"] == "4x"
    assert load("n_atoms=[1x, 4x]").space["n_atoms"] == Choice(values=("1x", "4x"))
    assert load("optimiser.lr=1e-3").fixed["optimiser"] == {"lr": 0.001}
    assert load("null='null'").fixed["null"] == "null"


def test_a_section_says_outright_whether_a_list_is_a_value(load: Callable[..., Sweep]) -> None:
    sweep = load("fixed.betas=[0.5, 0.6]", "space.nonnegative=[true, false]")
    assert sweep.fixed["betas"] == [0.5, 0.6]
    assert sweep.config({"width": 2, "penalty": 0.1, "nonnegative": True}, 0).betas == (0.5, 0.6)


def test_every_field_can_be_fixed_so_that_one_trial_is_left(load: Callable[..., Sweep]) -> None:
    sweep = load("width=2", "penalty=0.1")
    assert (sweep.space, sweep.grid_size, list(sweep.assignments())) == ({}, 1, [{}])


def test_keys_of_the_file_can_be_changed(load: Callable[..., Sweep]) -> None:
    sweep = load(
        "search.method=random",
        "search.seed=5",
        "trials=10",
        "seeds=3",
        "resources.gpu=0.5",
        "limits.retries=0",
        "description=short",
        "early_stopping={method: asha, metric: error}",
    )
    assert (sweep.search.method, sweep.search.seed) == ("random", 5)
    assert (sweep.trials, sweep.seeds, sweep.description) == (10, (0, 1, 2), "short")
    assert (sweep.resources.gpu, sweep.resources.cpu) == (0.5, 1)
    assert sweep.limits.retries == 0
    assert sweep.early_stopping is not None


def test_nulls_and_constraints_can_be_given_and_taken_back(
    load_nulled: Callable[..., Sweep],
) -> None:
    assert load_nulled("nulls=[gaussian]").nulls == ("gaussian",)
    assert load_nulled("nulls=[gaussian]", "nulls=[]").nulls == ()
    sweep = load_nulled("search={method: optuna, constraints: {score: {min: 1}}}", "trials=2")
    assert sweep.search.limits == "score >= 1"
    assert load_nulled("null=gaussian").fixed["null"] == "gaussian"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["nulls=[gausian]"],
            "--set nulls=[gausian]: [0]: given 'gausian'; must be 'none', 'gaussian' or "
            "'shuffled'; did you mean 'gaussian'?",
        ),
        (
            ["null_s=[gaussian]"],
            "--set null_s=[gaussian]: unknown field or key 'null_s'; did you mean 'nulls'?",
        ),
        (
            ["nulls=[gaussian]", "null=shuffled"],
            "--set null=shuffled: given 'shuffled'; with nulls only 'none' can be fixed",
        ),
        (
            ["null=[none, shuffled]", "nulls=[gaussian]"],
            "--set null=[none, shuffled]: nulls gives 'null' its values; leave out one of the two",
        ),
        (
            ["search.method=optuna", "search.constraints={scor: {min: 1}}", "trials=2"],
            "--set search.constraints={scor: {min: 1}}: scor: unknown metric 'scor'; did you mean "
            "'score'?",
        ),
    ],
)
def test_a_mistake_about_nulls_or_constraints_names_the_option(
    load_nulled: Callable[..., Sweep], options: list[str], message: str
) -> None:
    with pytest.raises(UserError) as caught:
        load_nulled(*options)
    assert str(caught.value) == message


def test_later_options_win(load: Callable[..., Sweep]) -> None:
    assert load("width=[2, 8]", "width=16").fixed["width"] == 16
    assert load("width=16", "width=[2, 8]").space["width"] == Choice(values=(2, 8))


def test_the_number_of_trials_wins_over_file_and_options(load: Callable[..., Sweep]) -> None:
    assert load("trials=4", trials=2).trials == 2
    with pytest.raises(UserError, match=r"^--trials 0: given 0; must be at least 1$"):
        load(trials=0)


@pytest.mark.parametrize(("option", "message"), MISTAKES)
def test_a_mistake_in_an_option_names_the_option(
    load: Callable[..., Sweep], option: str, message: str
) -> None:
    with pytest.raises(UserError) as caught:
        load(option)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["penalty.low=0.9"],
            "s.yaml:7: space.penalty with --set penalty.low=0.9:"
            " low 0.9 > high 0.2; low must not exceed high",
        ),
        (
            ["search.method=optuna", "search.sampler=tpe"],
            "--set search.method=optuna: optuna search without trials; say how many",
        ),
        (
            ["width=3"],
            "s.yaml:5: space at penalty=0.1: mode signed with width 3; a signed width must be even",
        ),
    ],
)
def test_a_mistake_between_file_and_options_names_both(
    load: Callable[..., Sweep], options: list[str], message: str
) -> None:
    with pytest.raises(UserError) as caught:
        load(*options)
    assert str(caught.value) == message
