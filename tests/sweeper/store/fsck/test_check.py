"""What is judged and repaired, and when nothing is."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sweeper.errors import UserError
from sweeper.store.fsck.check import check
from sweeper.store.journal import Started, Suggested
from sweeper.store.location import locate_store


@pytest.fixture
def hold(small: Any) -> Iterator[Callable[[], int]]:
    """`hold()` makes another process take the sweep, and returns its pid."""
    program = (
        "import sys; from pathlib import Path; from sweeper.store.journal import Journal\n"
        f"j = Journal(Path({str(small.folder)!r})); print('held', flush=True); sys.stdin.read()"
    )
    holders: list[subprocess.Popen[str]] = []

    def start() -> int:
        pipe = subprocess.PIPE
        holder = subprocess.Popen(
            [sys.executable, "-c", program], stdin=pipe, stdout=pipe, text=True
        )
        holders.append(holder)
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        return holder.pid

    yield start
    for holder in holders:
        holder.kill()
        holder.communicate()


def test_a_sweep_that_lost_nothing_is_clean(small: Any) -> None:
    verdict = small.check()
    assert (verdict.n_trials, verdict.disagreements, verdict.driver) == (2, [], "")
    assert small.repair().repaired == []


def test_a_reused_trial_whose_source_lies_there_is_clean(reused: Any) -> None:
    assert [verdict.disagreements for verdict in check(reused.store)] == [[], []]


def test_beside_a_living_driver_only_what_is_shipped_is_judged_and_nothing_repaired(
    small: Any, hold: Callable[[], int], make_spec: Callable[..., Any]
) -> None:
    small.finish("c")
    small.write(Suggested(spec=make_spec("d")), Started(key="d"))
    small.tracking.start_trial("bowls", small.parent, make_spec("d"), 1000)
    small.tracking.open_submission("bowls", "second", {})
    (small.folder / "checkpoints" / "a").mkdir(parents=True)
    small.staging.begin("d")
    small.artifact("a", "codes.bin").write_bytes(b"flipped")
    alone = {"unshipped", "running", "checkpoint", "staging", "artifact"}
    assert {d.what for d in small.disagreements()} == alone
    pid = hold()
    verdict = small.check()
    assert [d.what for d in verdict.disagreements] == ["artifact"]
    assert verdict.driver.endswith(f", pid {pid}")
    with pytest.raises(UserError, match=rf"a driver .*pid {pid}.*nothing is repaired"):
        small.repair()
    assert [d.what for d in small.disagreements()] == ["artifact"]


def test_all_sweeps_are_judged_and_an_unknown_one_is_the_users_mistake(reused: Any) -> None:
    assert [verdict.sweep for verdict in check(reused.store)] == ["bowls", "others"]
    with pytest.raises(UserError, match="holds no sweep 'bowl'; did you mean 'bowls'"):
        list(check(reused.store, ["bowl"]))


def test_a_journal_without_a_database_is_judged_and_no_database_is_made(
    small: Any, tmp_path: Path
) -> None:
    store = locate_store(str(tmp_path / "elsewhere"))
    store.sweep_dir("bowls").mkdir(parents=True)
    copied = store.sweep_dir("bowls") / "journal.log"
    copied.write_bytes((small.folder / "journal.log").read_bytes())
    [verdict] = check(store)
    assert [d.what for d in verdict.disagreements] == ["missing", "missing"]
    assert not store.exists()


def test_a_repair_that_fails_is_told_and_the_others_are_made(
    small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = small.tracking.open_submission("bowls", "second", {})
    (small.folder / "staged" / "zzz").mkdir(parents=True)

    def refuse(editor: Any, run_id: str) -> None:
        raise ConnectionError("no answer")

    monkeypatch.setattr("sweeper.store.fsck.run_editor.RunEditor.end", refuse)
    verdict = small.repair()
    assert [d.what for d in verdict.disagreements] == ["running"]
    assert list(verdict.failures.values()) == ["ConnectionError: no answer"]
    assert [d.what for d in verdict.repaired] == ["staging"]
    assert left[:12] in verdict.disagreements[0].where
