"""Artifacts as the store gives them back."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from sweeper.errors import NoSuchArtifact, UserError
from sweeper.store.tracking import Results, Tracking
from tests.sweeper.store.one_trial import SPEC, outcome


def test_artifacts_are_held_against_their_digest(tracking: Tracking, staged: Path) -> None:
    parent = tracking.open_submission("bowls", "first", {})
    run_id = tracking.finish_trial("bowls", parent, SPEC, outcome(staged), staged)
    local = tracking.results.fetch_artifact(run_id, "atoms.csv")
    assert local.read_text() == "atom,token\n0,the\n"
    stored = next(Path(staged.parent / "results" / "artifacts").rglob("atoms.csv"))
    stored.write_text("atom,token\n0,teh\n")
    with pytest.raises(UserError, match=r"atoms\.csv.* changed or cut short"):
        tracking.results.fetch_artifact(run_id, "atoms.csv")
    with pytest.raises(NoSuchArtifact, match="has no artifact 'other'"):
        tracking.results.fetch_artifact(run_id, "other")


def test_copies_of_what_a_server_keeps_go_with_who_asked(
    tracking: Tracking, staged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Results, "_on_this_machine", lambda self, run, path: None)
    parent = tracking.open_submission("bowls", "first", {})
    run_id = tracking.finish_trial("bowls", parent, SPEC, outcome(staged), staged)
    text = (staged / "atoms.csv").read_text()
    into = tmp_path / "trial"
    into.mkdir()
    assert tracking.results.fetch_artifact(run_id, "atoms.csv", into) == into / run_id / "atoms.csv"
    assert (into / run_id / "atoms.csv").read_text() == text
    reader = Results(tracking.store)
    copy = reader.fetch_artifact(run_id, "atoms.csv")
    assert copy.read_text() == text
    assert into not in copy.parents
    del reader
    gc.collect()
    assert not copy.exists()


def test_an_artifact_in_a_folder_has_a_place_on_this_machine(
    tracking: Tracking, staged: Path
) -> None:
    parent = tracking.open_submission("bowls", "first", {})
    run_id = tracking.finish_trial("bowls", parent, SPEC, outcome(staged), staged)
    found = tracking.results.artifact_file(run_id, "atoms.csv")
    assert found is not None
    assert found.read_bytes() == (staged / "atoms.csv").read_bytes()
    assert tracking.results.artifact_file(run_id, "other") is None
    assert tracking.results.artifact_file("no-such-run", "atoms.csv") is None
