import pytest

from sweeper.errors import UserError
from sweeper.look.lookup import find_trial


@pytest.fixture
def rows(make_row):
    """Two trials of `toys`, the first of which stands in `others` too."""
    first = make_row(run_id="aa11", key="k1", label="size=2x null=none")
    second = make_row(run_id="aa22", key="k2", label="size=2x null=gaussian")
    return [
        make_row(run_id="bb11", key="k1", label=first.label, sweep="others", reused_from="aa11"),
        first,
        second,
    ]


@pytest.mark.parametrize(
    "text", ["aa11", "aa1", "bb", "k1", "toys:size=2x null=none", "toys:null=none"]
)
def test_a_trial_is_found_as_its_own_sweep_ran_it(rows, text: str) -> None:
    assert find_trial(rows, text).key == "k1"
    assert find_trial(rows, "k1").run_id == "aa11"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("aa", "2 trials begin with 'aa'; see 'sweeper ls'"),
        ("zz", "no trial begins with 'zz'; see 'sweeper ls'"),
        ("toys:size=2x", "2 trials match 'toys:size=2x'; see 'sweeper ls'"),
        ("toys:size=3x", "no trial matches 'toys:size=3x'; see 'sweeper ls'"),
        ("toy:size=2x", "the store holds no sweep 'toy'; did you mean 'toys'?"),
    ],
)
def test_what_names_no_trial_or_several_is_refused(rows, text: str, message: str) -> None:
    with pytest.raises(UserError) as refused:
        find_trial(rows, text)
    assert str(refused.value) == message
