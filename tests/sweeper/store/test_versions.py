from typing import Any

from sweeper.records import TrialRow, TrialSpec, TrialState
from sweeper.store.versions import (
    INPUTS,
    are_comparable,
    of_sweep,
    same_names,
    standing,
    told_apart,
    version_of,
)


def row(at: int, digest: str, version: int = 1, **params: Any) -> TrialRow:
    """A trial that started at a time and read an input."""
    return TrialRow(
        run_id=f"run{at}",
        sweep="first",
        submission="1",
        kind="toy",
        kind_version=version,
        key=f"key{at}",
        state=TrialState.COMPLETE,
        label=f"label{at}",
        params={"source": "file:m.npy", "rate": 0.5, "seed": 0, **params},
        metrics={},
        provenance={"input.source": digest, "commit": "abc"},
        started_ms=at,
    )


def starts(rows: list[TrialRow]) -> list[int]:
    return [row.started_ms for row in rows]


def test_of_one_config_the_trials_of_the_newest_input_stand_and_the_others_are_counted() -> None:
    rows = [row(1, "a"), row(2, "a", seed=1), row(4, "b", seed=1), row(3, "b"), row(0, "a", rate=2)]
    found = standing(rows)
    assert starts(found.rows) == [4, 3, 0]
    assert found.notes() == ["2 trials of an earlier input left out; --inputs all shows them apart"]


def test_within_a_sweep_an_earlier_input_is_left_out_at_whatever_numbers() -> None:
    rows = [row(1, "a"), row(2, "a", rate=0.1), row(3, "b", rate=0.7), row(0, "c", source="file:n")]
    found = of_sweep(rows)
    assert starts(found.rows) == [3, 0], "another source keeps its own input"
    assert found.n_earlier_inputs == 2


def test_a_new_version_of_the_kind_stands_in_place_of_the_earlier() -> None:
    found = standing([row(1, "a"), row(2, "a", version=2), row(3, "b", version=2, seed=1)])
    assert starts(found.rows) == [3], "the newest version read two inputs"
    assert found.notes("so") == [
        "1 trial of an earlier input left out; so",
        "1 trial of an earlier version of the kind left out; so",
    ]


def test_one_input_leaves_everything_as_it_is() -> None:
    rows = [row(1, "a"), row(2, "a", seed=1), row(3, "a", rate=2)]
    assert standing(rows) == standing(rows, same_names) == (rows, 0, 0)
    assert told_apart(rows) == rows
    assert of_sweep(rows, "all").rows == rows


def test_all_inputs_are_told_apart_by_what_differs() -> None:
    rows = [row(1, "a" * 64), row(2, "b" * 64, version=2), row(3, "c" * 64, source="file:n.npy")]
    found = of_sweep(rows, "all")
    assert [r.params.get(INPUTS) for r in found.rows] == [
        "version 1, source aaaaaaaa",
        "version 2, source bbbbbbbb",
        None,
    ]
    assert found.notes() == []


def test_a_null_that_reads_more_or_less_can_be_compared_and_one_of_another_input_cannot() -> None:
    real = version_of(row(1, "a"))
    more = (1, (("initial", "i"), ("source", "a")))
    assert are_comparable(real, more)
    assert are_comparable(more, real)
    assert are_comparable(real, (1, ()))
    assert not are_comparable(real, version_of(row(2, "b")))
    assert not are_comparable(real, (2, (("source", "a"),)))


def test_a_setting_is_the_key_without_its_seed() -> None:
    config = {"rate": 0.5, "nested": {"a": [1, 2]}, "seed": 3, "source": "file:m.npy"}
    spec = TrialSpec(
        key="k", kind="toy", kind_version=1, config=config, input_digests={"source": "a"}
    )
    params = {"rate": 0.5, "nested.a": "[1, 2]", "source": "file:m.npy"}
    stored = row(1, "a").model_copy(update={"params": params | {"seed": 4}})
    assert stored.setting == spec.setting, "of a declared trial as of a stored one"
    for other in (row(1, "b"), row(1, "a", version=2), row(1, "a", rate=0.6)):
        assert other.setting != row(1, "a").setting
    assert row(1, "a", seed=9).setting == row(1, "a").setting
    assert len(stored.setting) == 12
