from __future__ import annotations

import pytest

from sweeper.errors import UserError
from sweeper.look import lookup
from sweeper.look.lookup import find_trial


@pytest.fixture
def rows(make_row):
    """Two trials of `toys`, the first of which stands in `others` too."""
    first = make_row(run_id="aa11", key="k1", label="size=2x null=none")
    second = make_row(run_id="aa22", key="k2", null="gaussian")
    return [
        make_row(run_id="bb11", key="k1", label=first.label, sweep="others", reused_from="aa11"),
        first,
        second,
    ]


@pytest.fixture
def grown(make_row):
    """A sweep whose first trials ran before it varied the seed: their labels do not name it."""
    old = [make_row(penalty=p, null=n, key=f"{p}{n}") for p in (0.2, 0.3) for n in ("none", "flat")]
    old = [row.model_copy(update={"label": row.label.replace(" seed=0", "")}) for row in old]
    new = [row.params | {"seed": 1} for row in old]
    return old + [
        row.model_copy(update={"params": params, "key": row.key + "1", "run_id": row.run_id + "1"})
        for row, params in zip(old, new, strict=True)
    ]


@pytest.mark.parametrize(
    "text", ["aa11", "aa1", "bb", "k1", "toys:size=2x null=none", "toys:null=none"]
)
def test_a_trial_is_found_as_its_own_sweep_ran_it(rows, text: str) -> None:
    assert find_trial(rows, text).key == "k1"
    assert find_trial(rows, "k1").run_id == "aa11"


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("penalty", ["0.2", "0.20", "2e-1"])
def test_every_seed_is_reached_by_its_config_whatever_the_labels_say(
    grown, seed: int, penalty: str
) -> None:
    found = find_trial(grown, f"toys:null=none penalty={penalty} seed={seed}")
    assert (found.params["seed"], found.params["penalty"]) == (seed, 0.2)
    assert found.params["null"] == "none"


def test_fields_that_no_sweep_varies_may_be_named(rows) -> None:
    assert find_trial(rows, "toys:name=x null=gaussian").key == "k2"


def test_values_are_compared_in_the_type_of_their_field(make_row) -> None:
    params = {"flag": True, "limit": None, "share": 0.31234567, "size": 16}
    row = make_row(params=params, key="k")
    for text in ("flag=true", "flag=True", "limit=null", "limit=none", "size=16", "size=16.0"):
        assert find_trial([row], f"toys:{text}") is row
    for text in ("share=0.31234567", "share=0.3123"):  # as a label shortens it
        assert find_trial([row], f"toys:{text}") is row
    for text in ("flag=1", "limit=0", "share=0.312", "size=17", "size=1x"):
        with pytest.raises(UserError, match="no trial matches"):
            find_trial([row], f"toys:{text}")


def test_a_number_given_exactly_is_not_the_one_that_only_looks_like_it(make_row) -> None:
    rows = [make_row(penalty=p, key=str(p)) for p in (0.3123, 0.31234)]
    assert find_trial(rows, "toys:penalty=0.3123").key == "0.3123"


def test_a_text_is_compared_in_the_kinds_normal_form(make_row, kind, monkeypatch) -> None:
    class Normal(kind.config):
        """A config that knows one spelling of a size."""

        def model_post_init(self, context: object) -> None:
            object.__setattr__(self, "size", str(self.size).lstrip("0"))

    normal = type(kind)(**{**vars(kind), "config": Normal})
    monkeypatch.setattr(lookup, "kind_names", lambda: ["toy"])
    monkeypatch.setattr(lookup, "load_kind", lambda name: normal)
    row = make_row(size="2x")
    assert find_trial([row], "toys:size=02x") is row
    assert find_trial([row], "toys:size=2x") is row


def test_values_may_hold_spaces(make_row) -> None:
    row = make_row(params={"name": "a b", "seed": 0})
    assert find_trial([row], "toys:name=a b seed=0") is row


def test_a_trial_of_a_sweep_that_varies_nothing_is_found_by_its_label(make_row) -> None:
    assert find_trial([make_row(label="toy 55df11bd", key="k")], "toys:toy 55df11bd").key == "k"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("aa", "2 trials begin with 'aa'; see 'sweeper ls'"),
        ("zz", "no trial begins with 'zz'; see 'sweeper ls'"),
        (
            "toys:size=2x",
            "2 trials match 'toys:size=2x'; they differ in null: none, gaussian",
        ),
        ("toys:size=3x", "no trial matches 'toys:size=3x'; see 'sweeper ls'"),
        ("toys:sise=3x", "toys: unknown field 'sise'; did you mean 'size'?"),
        ("toys:2x", "toys: '2x' is not FIELD=VALUE; as in 'SWEEP:FIELD=VALUE ...'"),
        ("toy:size=2x", "the store holds no sweep 'toy'; did you mean 'toys'?"),
    ],
)
def test_what_names_no_trial_or_several_is_refused(rows, text: str, message: str) -> None:
    with pytest.raises(UserError) as refused:
        find_trial(rows, text)
    assert str(refused.value) == message


def test_several_matches_are_told_apart_by_the_fields_in_which_they_differ(grown) -> None:
    with pytest.raises(UserError, match=r"2 trials match .*; they differ in seed: 0, 1$"):
        find_trial(grown, "toys:null=none penalty=0.2")


def test_trials_of_one_config_are_told_apart_by_their_inputs(make_row) -> None:
    rows = [
        make_row(key=key, kind_version=version, provenance={"input.source": key * 16})
        for key, version in (("aa", 3), ("bb", 4))
    ]
    expected = "they differ in input.source: a{16}, b{16}; kind_version: 3, 4"
    with pytest.raises(UserError, match=expected):
        find_trial(rows, "toys:size=2x")
