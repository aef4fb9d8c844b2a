"""A run names the runs whose artifacts it reads, and links to them in the UI."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    PERMISSION_DENIED,
    RESOURCE_DOES_NOT_EXIST,
    TEMPORARILY_UNAVAILABLE,
)

from sweeper.records import Outcome, TrialSpec, TrialState
from sweeper.store.location import locate_store
from sweeper.store.run_format.lineage import NOTE_TAG, PARENTS_TAG, lineage_tags, parents_of
from sweeper.store.run_format.record import MAX_TAG_CHARS
from sweeper.store.tracking import Tracking

LINE = "Parent runs, whose artifacts this one reads: "


def spec(key: str = "child", **config: Any) -> TrialSpec:
    return TrialSpec(key=key, kind="bowl", kind_version=1, config=config, input_digests={})


def finish(tracking: Tracking, sweep: str, trial: TrialSpec) -> str:
    submission = tracking.open_submission(sweep, "first", {})
    outcome = Outcome(key=trial.key, state=TrialState.COMPLETE, started_ms=1000, ended_ms=2000)
    return tracking.finish_trial(sweep, submission, trial, outcome, None)


def tags(tracking: Tracking, run_id: str) -> dict[str, str]:
    found: dict[str, str] = tracking._client.get_run(run_id).data.tags
    return found


def link(tracking: Tracking, run_id: str) -> str:
    experiment = tracking._client.get_run(run_id).info.experiment_id
    return f"[{run_id}](#/experiments/{experiment}/runs/{run_id})"


class Watched:
    """MLflow's client: counts its calls, and raises `errors` in place of the next `get_run`s."""

    def __init__(self, client: Any, *errors: Exception) -> None:
        self.client, self.errors = client, list(errors)
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.calls.append(name)
            if name == "get_run" and self.errors:
                raise self.errors.pop(0)
            return getattr(self.client, name)(*arguments, **options)

        return call


def test_every_field_that_names_a_run_counts_and_each_run_once() -> None:
    trial = spec(
        source="run:b1/step-000500#output_embedding",
        dictionary="run:a2",
        initial={"model": "run:b1/model", "others": ["run:c-3/codes", "hub:run"]},
        note="rerun:d4, see run:e5",
        input_rows_from="run:b1/step-2 run:g7/step-2",
        seed=7,
    ).model_copy(update={"input_digests": {"source": "run:f6/step-1"}})
    assert parents_of(trial) == ["b1", "a2", "c-3", "g7", "f6"]


def test_a_run_links_to_the_runs_it_reads_and_is_found_by_them(tracking: Tracking) -> None:
    parents = [
        finish(tracking, sweep, spec(f"parent of {sweep}")) for sweep in ("pretrain", "codes")
    ]
    child = finish(
        tracking,
        "readers",
        spec(source=f"run:{parents[0]}/step-000500", dictionary=f"run:{parents[1]}"),
    )
    stored = tags(tracking, child)
    assert stored[PARENTS_TAG] == ",".join(parents)
    assert stored[NOTE_TAG] == LINE + ", ".join(link(tracking, parent) for parent in parents)
    for parent in parents:
        assert not {PARENTS_TAG, NOTE_TAG} & tags(tracking, parent).keys()
        wanted = f"tags.`{PARENTS_TAG}` LIKE '%{parent}%'"
        everywhere = [e.experiment_id for e in tracking._client.search_experiments()]
        [found] = tracking._client.search_runs(everywhere, wanted)
        assert found.info.run_id == child


@pytest.mark.parametrize("unknown", ["0" * 32, "_no-id-of-mlflow"])
def test_a_run_that_the_store_does_not_hold_is_named_without_a_link(
    tracking: Tracking, unknown: str
) -> None:
    child = finish(tracking, "readers", spec(source=f"run:{unknown}/step-1"))
    assert tags(tracking, child)[PARENTS_TAG] == unknown
    assert tags(tracking, child)[NOTE_TAG] == LINE + unknown


def test_what_a_person_wrote_stays_and_our_line_stands_once(tracking: Tracking) -> None:
    parent = finish(tracking, "pretrain", spec("parent"))
    trial = spec(source=f"run:{parent}/step-1")
    child = tracking.start_trial("readers", "", trial, 1000)
    line = tags(tracking, child)[NOTE_TAG]
    for written in ("A strange one.", f"Above.\n\n{LINE}{parent}\n\nBelow.", "Rewritten."):
        tracking._client.set_tag(child, NOTE_TAG, written)
        for _ in range(2):
            assert finish(tracking, "readers", trial) == child
        note = tags(tracking, child)[NOTE_TAG]
        assert note.count(line) == note.count(LINE) == 1
        assert note.replace(line, "").split() == written.replace(LINE + parent, "").split()


def test_a_run_begun_without_its_lineage_gets_it(tracking: Tracking) -> None:
    parent = finish(tracking, "pretrain", spec("parent"))
    trial = spec(source=f"run:{parent}/step-1")
    child = tracking.start_trial("readers", "", trial, 1000)
    for name in (PARENTS_TAG, NOTE_TAG):
        tracking._client.delete_tag(child, name)
    tracking.start_trial("readers", "", trial, 2000)
    assert tags(tracking, child)[PARENTS_TAG] == parent
    assert link(tracking, parent) in tags(tracking, child)[NOTE_TAG]


def test_lineage_costs_one_question_a_parent_and_no_write(tracking: Tracking) -> None:
    parent = finish(tracking, "pretrain", spec("parent"))
    client = tracking._client

    def calls(source: str) -> list[str]:
        """What MLflow is asked for two trials from start to end."""
        tracking.results.client = Watched(client)
        for n in (1, 2):
            trial = spec(f"{source} {n}", source=source, n=n)
            tracking.start_trial("readers", "", trial, 1000)
            outcome = Outcome(key=trial.key, state=TrialState.COMPLETE, ended_ms=2000)
            tracking.finish_trial("readers", "", trial, outcome, None)
        return list(tracking._client.calls)

    plain = [name for name in calls("hub:gpt2") if "experiment" not in name]
    reading = calls(f"run:{parent}/step-1")
    assert reading.count("get_run") == 1
    assert [name for name in reading if name != "get_run"] == plain
    unknown = calls("run:unknown/step-1")
    assert unknown.count("get_run") == 1


def test_a_store_that_does_not_answer_is_asked_again_and_a_refusal_costs_the_link(
    tracking: Tracking,
) -> None:
    parent = finish(tracking, "pretrain", spec("parent"))
    trial = spec(source=f"run:{parent}/step-1")
    client = tracking._client
    busy = MlflowException("(sqlite3.OperationalError) database is locked", TEMPORARILY_UNAVAILABLE)
    tracking.results.client = Watched(client, busy)
    with pytest.raises(MlflowException, match="locked"):
        tracking.start_trial("readers", "", trial, 1000)
    child = tracking.start_trial("readers", "", trial, 1000)
    assert link(tracking, parent) in tags(tracking, child)[NOTE_TAG]

    tracking.results.client = Watched(
        client, MlflowException("Permission denied", PERMISSION_DENIED)
    )
    tracking.writer._parents.clear()
    tracking.start_trial("readers", "", trial, 1000)
    tracking.results.client = client
    assert tags(tracking, child)[NOTE_TAG] == LINE + parent


def test_a_proxy_that_knows_nothing_is_no_word_on_a_parent(tracking: Tracking) -> None:
    parent = finish(tracking, "pretrain", spec("parent"))
    trial = spec(source=f"run:{parent}/step-1")
    proxy = MlflowException("failed with error code 404", RESOURCE_DOES_NOT_EXIST)
    tracking.results.store = locate_store("http://127.0.0.1:9")
    tracking.results.client = Watched(tracking._client, proxy)
    with pytest.raises(MlflowException, match="404"):
        tracking.start_trial("readers", "", trial, 1000)


def test_a_description_that_is_full_stays_as_it_is() -> None:
    full = "x" * (MAX_TAG_CHARS - 10)
    assert lineage_tags({"a": "1"}, full) == {PARENTS_TAG: "a"}
    many = {f"{n:032}": "1" for n in range(300)}
    assert lineage_tags(many, "").keys() == {PARENTS_TAG}
    assert len(lineage_tags(many, "")[PARENTS_TAG]) <= MAX_TAG_CHARS
