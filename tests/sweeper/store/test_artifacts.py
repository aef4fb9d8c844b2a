from __future__ import annotations

import os
from pathlib import Path

import pytest

from sweeper.errors import DiskFull, UserError
from sweeper.store.artifacts import StagingArea, manifest, verify


@pytest.fixture
def staging(tmp_path: Path) -> StagingArea:
    return StagingArea(tmp_path / "staged")


def stage(staging: StagingArea, key: str, text: str = "1") -> Path:
    (staging.begin(key) / "x.csv").write_text(text)
    return staging.commit(key)


def test_a_trial_s_artifacts_appear_at_once(staging: StagingArea) -> None:
    partial = staging.begin("a")
    (partial / "x.csv").write_text("1")
    assert not staging.folder("a").exists()
    assert (staging.commit("a") / "x.csv").read_text() == "1"
    assert list(staging.root.iterdir()) == [staging.folder("a")]


def test_a_second_attempt_replaces_the_first(staging: StagingArea) -> None:
    stage(staging, "a", "1")
    assert (stage(staging, "a", "2") / "x.csv").read_text() == "2"


def test_the_worker_of_a_dead_driver_cannot_commit_what_a_new_one_writes(
    staging: StagingArea,
) -> None:
    orphan = StagingArea(staging.root)
    (orphan.begin("a") / "x.csv").write_text("half")
    partial = staging.begin("a")
    with pytest.raises(OSError):
        orphan.commit("a")
    (partial / "x.csv").write_text("whole")
    assert (staging.commit("a") / "x.csv").read_text() == "whole"


def test_dropping_what_is_shipped_leaves_the_next_attempt_alone(staging: StagingArea) -> None:
    stage(staging, "a")
    partial = staging.begin("a")
    staging.drop("a")
    assert (staging.folder("a").exists(), partial.exists()) == (False, True)


def test_what_dead_drivers_left_is_removed_except_what_is_still_to_be_shipped(
    staging: StagingArea,
) -> None:
    stage(staging, "a")
    stage(staging, "b")
    staging.begin("c")
    staging.keep_only({"b"})
    assert list(staging.root.iterdir()) == [staging.folder("b")]


def test_what_is_missing_or_changed_is_refused(staging: StagingArea) -> None:
    recorded = manifest(stage(staging, "a", "12"))
    staging.verify("a", recorded)
    (staging.folder("a") / "x.csv").write_text("1")
    with pytest.raises(UserError, match=r"'x\.csv' has SHA-256 .*changed or cut short"):
        staging.verify("a", recorded)
    staging.drop("a")
    with pytest.raises(UserError, match=r"'x\.csv' is missing"):
        verify(staging.folder("a") / "x.csv", recorded[0])


def test_a_full_disk_is_named_and_nothing_half_is_visible(
    staging: StagingArea, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    (staging.begin("a") / "x.csv").write_text("1")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFull, match=f"disk full: {staging.root}"):
        staging.commit("a")
    assert not staging.folder("a").exists()
