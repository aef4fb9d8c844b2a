from __future__ import annotations

from sweeper.records import Artifact, Outcome, TrialSpec, TrialState
from sweeper.store.journal import (
    Abandoned,
    Event,
    Finished,
    History,
    Proposed,
    Removed,
    Reported,
    Reused,
    Shipped,
    Started,
    Suggested,
    ended_ms,
    key_of,
    replay,
)


def spec(key: str) -> TrialSpec:
    return TrialSpec(key=key, kind="bowl", kind_version=1, config={}, input_digests={})


def outcome(key: str, at_ms: int = 100) -> Outcome:
    artifact = Artifact(path="x.csv", sha256="0", n_bytes=1)
    return Outcome(key=key, state=TrialState.COMPLETE, artifacts=(artifact,), ended_ms=at_ms)


def attempt(key: str, n_reports: int = 1) -> list[Event]:
    reports = [Reported(key=key, step=n, metrics={}) for n in range(1, n_reports + 1)]
    return [Suggested(spec=spec(key)), Started(key=key), *reports]


def finished(key: str, at_ms: int = 100) -> Finished:
    return Finished(outcome=outcome(key, at_ms))


def shipped(end: Event) -> Shipped:
    return Shipped(key=key_of(end), run_id=f"run-{key_of(end)}", ended_ms=ended_ms(end) or 0)


def keys(history: History) -> list[str]:
    return [spec.key for spec in history.unfinished]


def test_an_empty_journal_says_nothing() -> None:
    assert replay([]) == History()


def test_what_began_and_did_not_end_is_unfinished_in_order_of_the_last_start() -> None:
    history = replay([*attempt("a"), *attempt("b"), *attempt("c"), finished("b"), Started(key="a")])
    assert keys(history) == ["c", "a"]
    assert history.left_running == {"a", "c"}
    assert history.outcomes == {"b": outcome("b")}


def test_a_trial_that_was_only_suggested_never_began() -> None:
    history = replay([Suggested(spec=spec("a"))])
    assert (keys(history), history.unshipped, list(history.specs)) == ([], (), ["a"])


def test_proposals_are_kept_in_order() -> None:
    proposals = [Proposed(number=n, assignment={"x": float(n)}, keys=("a",)) for n in (0, 1)]
    assert replay(proposals).proposals == tuple(proposals)


def test_everything_of_a_begun_trial_waits_for_its_shipment() -> None:
    whole, running = [*attempt("a"), finished("a")], attempt("b", n_reports=3)
    history = replay([*whole, *attempt("c"), finished("c"), shipped(finished("c")), *running])
    assert list(history.unshipped) == [*whole[1:], *running[1:]]
    assert history.run_ids == {"c": "run-c"}


def test_a_trial_that_runs_again_has_no_outcome_until_it_ends() -> None:
    once = [*attempt("a"), finished("a"), shipped(finished("a"))]
    assert keys(replay([*once, Started(key="a")])) == ["a"]
    assert replay([*once, Started(key="a")]).outcomes == {}
    again = replay([*once, Started(key="a"), finished("a", 200)])
    assert again.outcomes == {"a": outcome("a", 200)}


def test_the_end_of_an_earlier_attempt_is_not_shipped_any_more_but_its_reports_are() -> None:
    first, second = attempt("a"), [Started(key="a"), finished("a", 200)]
    history = replay([*first, finished("a", 100), *second])
    assert list(history.unshipped) == [*first[1:], *second]


def test_a_shipment_covers_one_attempt_and_not_the_next_that_has_begun() -> None:
    left = Abandoned(key="a", reason="the worker died", at_ms=150)
    second = attempt("a", n_reports=2)
    history = replay([*attempt("a"), left, *second, shipped(left)])
    assert list(history.unshipped) == second[1:]
    ended = finished("a", 200)
    history = replay([*attempt("a"), left, *second, shipped(left), ended, shipped(ended)])
    assert history.unshipped == ()


def test_a_late_shipment_of_the_last_attempt_covers_the_earlier_ones_too() -> None:
    left, ended = Abandoned(key="a", reason="died", at_ms=150), finished("a", 200)
    history = replay([*attempt("a"), left, *attempt("a"), ended, shipped(ended)])
    assert history.unshipped == ()


def test_an_abandoned_trial_is_unfinished_and_no_longer_left_running() -> None:
    history = replay([*attempt("a"), Abandoned(key="a", reason="interrupted")])
    assert keys(history) == ["a"]
    assert history.left_running == frozenset()
    assert len(history.unshipped) == 3


def test_an_outcome_whose_artifacts_were_lost_does_not_count() -> None:
    history = replay([*attempt("a"), finished("a"), Abandoned(key="a", reason="x.csv is gone")])
    assert (keys(history), history.outcomes) == (["a"], {})
    assert [event.event for event in history.unshipped] == ["started", "reported", "abandoned"]


def test_a_reused_trial_has_its_outcome_and_its_source() -> None:
    reused = Reused(spec=spec("a"), outcome=outcome("a"), run_id="elsewhere")
    history = replay([*attempt("a"), reused])
    assert (history.sources, keys(history)) == ({"a": "elsewhere"}, [])
    assert history.unshipped[-1] == reused
    assert replay([reused, shipped(reused)]).unshipped == ()


def test_a_trial_whose_declaration_is_lost_holds_nothing_up() -> None:
    history = replay([*attempt("a")[1:], finished("a"), *attempt("b")])
    assert {key_of(event) for event in history.unshipped} == {"b"}
    assert keys(history) == ["b"]


def test_every_report_is_kept() -> None:
    history = replay([*attempt("a", n_reports=3), finished("a"), *attempt("a")])
    assert [report.step for report in history.reports] == [1, 2, 3, 1]


def test_a_removed_trial_was_never_there_and_may_come_again() -> None:
    whole = [*attempt("a"), finished("a"), shipped(finished("a"))]
    kept = [*attempt("b"), finished("b"), shipped(finished("b"))]
    removed = Removed(key="a", run_id="run-a")
    assert replay([*whole, *kept, removed]) == replay(kept)
    assert replay([*whole[:-1], removed]) == History(), "shipped or not"
    again = replay([*whole, removed, *attempt("a")])
    assert (keys(again), len(again.reports), again.run_ids) == (["a"], 1, {})
