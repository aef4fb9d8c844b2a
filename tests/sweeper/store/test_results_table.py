import math
from itertools import permutations
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.errors import UserError
from sweeper.records import Scalar, TrialRow, TrialState
from sweeper.store import results_table
from sweeper.store.results_table import query
from sweeper.store.sql.frame import trials_frame
from sweeper.store.versions import one_per_key


def row(name: str, **changes: Any) -> TrialRow:
    """A complete trial with a key, label and run id made from `name`."""
    given = {
        "run_id": f"run-{name}",
        "sweep": "first",
        "submission": "1",
        "kind": "toy",
        "kind_version": 1,
        "key": f"key-{name}",
        "state": TrialState.COMPLETE,
        "label": name,
        "params": {},
        "metrics": {},
        "started_ms": 1_700_000_000_123,
        "ended_ms": 1_700_000_002_623,
    }
    return TrialRow(**(given | changes))


def test_columns_are_fixed_ones_then_params_then_metrics_each_typed() -> None:
    frame = trials_frame(
        [
            row("a", params={"n": 3, "rate": 1, "size": "4x", "on": True}, metrics={"loss": 0.5}),
            row("b", params={"n": None, "rate": 0.5, "size": 512, "on": False}),
        ]
    )
    assert list(frame.columns) == [
        *("run_id", "sweep", "submission", "kind", "key", "state", "label", "setting"),
        *("kind_version", "certified", "is_control", "reused_from"),
        *("started_at", "duration_s", "error"),
        *("n", "on", "rate", "size", "loss"),
    ]
    assert {name: str(frame[name].dtype) for name in ("n", "on", "rate", "size", "loss")} == {
        "n": "Int64",
        "on": "boolean",
        "rate": "float64",
        "size": "str",
        "loss": "float64",
    }
    assert list(frame["size"]) == ["4x", "512"]
    assert frame["duration_s"].iloc[0] == 2.5
    assert frame["started_at"].iloc[0] == pd.Timestamp("2023-11-14 22:13:20.123", tz="UTC")


def test_a_frame_of_no_trials_still_has_the_fixed_columns() -> None:
    frame = query([], "select count(*) as n, max(duration_s) as longest from trials")
    assert frame["n"].tolist() == [0]
    assert "duration_s" in trials_frame([]).columns


def test_only_a_complete_trial_is_certified_or_not() -> None:
    rows = [
        row("a"),
        row("b", uncertified="gap"),
        row("c", state=TrialState.FAILED, error="no memory"),
    ]
    assert trials_frame(rows)["certified"].tolist() == [True, False, pd.NA]


def test_a_name_that_is_both_param_and_metric_is_prefixed_in_both() -> None:
    frame = trials_frame([row("a", params={"loss": "l2", "state": 1}, metrics={"loss": 2.0})])
    assert frame["param_loss"].tolist() == ["l2"]
    assert frame["metric_loss"].tolist() == [2.0]
    assert frame["param_state"].tolist() == [1]
    assert frame["state"].tolist() == ["COMPLETE"]
    assert "loss" not in frame.columns


def test_names_that_differ_only_in_case_can_be_queried() -> None:
    rows = [row("a", params={"Rate": 1, "rate": 2}, metrics={"RATE": 3.0})]
    frame = query(rows, "")
    values = [frame[name].iloc[0] for name in frame.columns if "rate" in name.casefold()]
    assert sorted(values) == [1, 2, 3]


def test_the_order_of_rows_does_not_depend_on_the_order_given() -> None:
    rows = [row("a", started_ms=3), row("b", started_ms=1), row("c", sweep="another", started_ms=2)]
    for shuffled in permutations(rows):
        assert trials_frame(shuffled)["label"].tolist() == ["c", "b", "a"]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(-(2**70), 2**70),
            st.floats(allow_nan=False, allow_infinity=False),
            st.text("ab'\"; -x√\n", max_size=5),
        ),
        max_size=4,
    )
)
def test_a_param_comes_back_from_sql_as_it_was_recorded(values: list[Scalar]) -> None:
    rows = [row(str(i), params={"value": value}) for i, value in enumerate(values)]
    if not rows:
        return
    types = {type(value) for value in values if value is not None}
    integers = [v for v in values if type(v) is int]
    as_text = (
        (len(types) > 1 and types != {int, float})
        or (types == {int} and any(abs(v) >= 2**63 for v in integers))
        or (types == {int, float} and any(float(v) != v for v in integers))
    )
    found = query(rows, "select * from trials order by label")["value"].tolist()
    for given_value, value in zip(values, found, strict=True):
        if given_value is None:
            assert pd.isna(value)
        else:
            assert value == (str(given_value) if as_text else given_value)


def test_nan_is_null_and_no_comparison_finds_it() -> None:
    rows = [row("a", metrics={"loss": math.nan}), row("b", metrics={"loss": 0.5}), row("c")]
    assert query(rows, "loss > 0")["label"].tolist() == ["b"]
    assert query(rows, "loss is null order by label")["label"].tolist() == ["a", "c"]
    assert query(rows, "select avg(loss) as m from trials")["m"].tolist() == [0.5]


def test_a_trial_that_two_sweeps_share_counts_once_and_belongs_to_both() -> None:
    rows = [
        row("a", metrics={"loss": 1.0}),
        row("b", metrics={"loss": 3.0}),
        row("a", run_id="run-c", sweep="second", reused_from="run-a", metrics={"loss": 1.0}),
    ]
    assert query(rows, "select avg(loss) as m, count(*) as n from trials").values.tolist() == [
        [2, 2]
    ]
    of_second = "select trials.run_id, m.run_id as here from trials join members m using (key)"
    found = query(rows, of_second + " where m.sweep = 'second'")
    assert found["here"].tolist() == ["run-c"]
    members = query(rows, "select * from members order by run_id")
    assert members["sweep"].tolist() == ["first", "first", "second"]
    assert members["reused_from"].isna().tolist() == [True, True, False]


def test_of_two_attempts_at_a_key_the_complete_one_stands() -> None:
    complete = row("a", started_ms=1)
    failed = row("a", run_id="run-late", state=TrialState.FAILED, started_ms=9)
    assert one_per_key([complete, failed]) == one_per_key([failed, complete]) == [complete]


def test_a_filter_is_a_where_clause_with_all_that_may_follow_it() -> None:
    rows = [row(str(n), params={"n": n, "size": f"{n}x"}) for n in range(5)]
    assert query(rows, "n >= 2 ORDER BY n DESC LIMIT 2")["n"].tolist() == [4, 3]
    assert query(rows, "size = '3x'")["n"].tolist() == [3]
    assert query(rows, " SELECT n FROM trials WHERE n = 1; ")["n"].tolist() == [1]
    assert query(rows, "With t as (select * from trials) select count(*) c from t")["c"][0] == 5
    assert len(query(rows, "")) == 5


def test_integers_stay_integers_through_null_and_sum() -> None:
    rows = [row("a", params={"n": 2**53 + 1}), row("b", params={"n": None})]
    frame = query(rows, "select n, sum(n) over () as total, n as n from trials order by label")
    assert list(frame.columns) == ["n", "total", "n_1"]
    assert frame["n"].iloc[0] == 2**53 + 1
    assert frame["total"].tolist() == [2**53 + 1] * 2
    huge = query(rows, "select sum(n::hugeint * 4096) as total from trials")
    assert huge["total"].iloc[0] == pytest.approx(2.0**65)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("los < 1", "query: unknown column 'los'; did you mean 'loss'?"),
        ("select t.los from trials t", "query: unknown column 'los'; did you mean 'loss'?"),
        ('size = "4x"', "query: unknown column '4x'; a text value takes single quotes: '4x'"),
        ("select * from trial", "query: unknown table 'trial'; did you mean 'trials'?"),
        ("loss <", 'query: Parser Error: syntax error at or near "<"'),
        ("loss < 'x'", "query: Conversion Error: Could not convert string 'x' to DOUBLE"),
        ("select 1; select 2", "query: only one SELECT or one filter expression is allowed"),
        ("1=1; drop table trials", "query: only one SELECT or one filter expression is allowed"),
        (
            "with a as (select 1) insert into trials select * from trials",
            "query: only one SELECT or one filter expression is allowed",
        ),
    ],
)
def test_a_wrong_query_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        query([row("a", params={"size": "4x"}, metrics={"loss": 1.0})], text)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_text_in_the_wrong_case_is_named_where_nothing_is_found() -> None:
    rows = [row("a", params={"size": "4x"}), row("it's")]
    for text, nearest in (
        ("state = 'complete'", "'COMPLETE'"),
        ("size in ('4X', '8x') and state = 'COMPLETE'", "'4x'"),
        ("label = 'IT''S'", "'it's'"),
    ):
        with pytest.raises(
            UserError, match=f"comparisons are case-sensitive; did you mean {nearest}"
        ):
            query(rows, text)
    assert len(query(rows, "lower(state) = 'complete'")) == 2
    assert len(query(rows, "state = 'FAILED' or size = '8x'")) == 0


@pytest.mark.parametrize(
    "text",
    [
        "null = 'none'",
        "loss < 1 and NULL in ('none')",
        "select size, null from trials",
        "select null, avg(loss) from trials group by all",
        "select avg(loss) from trials group by size, null",
        "select * from trials order by null desc",
    ],
)
def test_a_column_that_sql_takes_for_null_asks_for_its_quotes(text: str) -> None:
    rows = [row("a", params={"size": "4x", "null": "none"}, metrics={"loss": 1.0})]
    with pytest.raises(UserError, match='the column is written "null"'):
        query(rows, text)


@pytest.mark.parametrize(
    "text",
    [
        "\"null\" = 'none'",
        "error is null and size = 'x, null, y' or true",
        "error is not null or loss = 1",
        "select coalesce(error, null) from trials order by loss nulls last",
        "select case when size = '4x' then null else loss end from trials",
    ],
)
def test_null_where_sql_means_nothing_is_left_alone(text: str) -> None:
    rows = [row("a", params={"size": "4x", "null": "none"}, metrics={"loss": 1.0})]
    assert len(query(rows, text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "select * from read_csv('{secret}')",
        "select * from read_text('{secret}')",
        "select * from '{secret}'",
        "select * from glob('{folder}/*')",
        "select * from read_csv('http://127.0.0.1:9/x.csv')",
        "copy trials to '{folder}/out.csv'",
        "attach '{folder}/other.db'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "1=1; set lock_configuration = false",
        "select * from secret",
        "select getenv('HOME')",
    ],
)
def test_a_query_reaches_no_file_network_extension_or_variable(text: str, tmp_path: Any) -> None:
    path = tmp_path / "secret.csv"
    path.write_text("word\nhunter2\n")
    secret = pd.DataFrame({"word": ["hunter2"]})
    with pytest.raises(UserError) as caught:
        query([row("a")], text.format(secret=path, folder=tmp_path))
    assert "hunter2" not in str(caught.value)
    assert len(secret) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["secret.csv"]


def test_replicates_share_a_setting_and_other_inputs_or_versions_do_not() -> None:
    def trial(name: str, seed: int, digest: str, version: int = 1) -> TrialRow:
        params: dict[str, Scalar] = {"rate": 0.5, "seed": seed}
        return row(
            name,
            params=params,
            metrics={"loss": float(ord(digest))},
            provenance={"input.source": digest, "commit": "c"},
            kind_version=version,
        )

    rows = [
        trial("old0", 0, "a"),
        trial("old1", 1, "a"),
        trial("new0", 0, "b"),
        trial("v2", 0, "b", version=2),
    ]
    text = "select count(*) n, min(input_source) s, min(kind_version) v, avg(loss) loss from trials"
    answer = query(rows, f"{text} group by setting order by s, v")
    assert answer.to_dict("list") == {
        "n": [2, 1, 1],
        "s": ["a", "b", "b"],
        "v": [1, 1, 2],
        "loss": [97.0, 98.0, 98.0],
    }


def test_an_inputs_column_keeps_clear_of_a_param_of_its_name() -> None:
    rows = [row("a", params={"input_rows": "learned"}, provenance={"input.rows": "d1"})]
    frame = trials_frame(rows)
    assert frame["input_rows"].tolist() == ["learned"]
    assert frame["digest_input_rows"].tolist() == ["d1"]


def test_a_query_that_takes_too_long_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results_table, "_LIMIT_S", 0.05)
    with pytest.raises(UserError, match=r"query: took longer than 0.05 s"):
        query([row("a")], "select sum(a.i * b.i) from range(1000000) a(i), range(1000000) b(i)")


def test_a_query_that_needs_too_much_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(results_table.SANDBOX, "memory_limit", "20MB")
    with pytest.raises(UserError, match="Out of Memory"):
        query([row("a")], "select list(i order by i desc) from range(20000000) t(i)")
