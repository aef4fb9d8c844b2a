"""`rm` and `prune` as a user meets them, and what a kill in the middle leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sweeper.store.location import locate_store
from sweeper.store.tracking import Results, Tracking
from tests.sweeper.conftest import Sweeper

TWO = "kind: bowl\nspace: {x: [0.0, 1.0]}\n"


@pytest.fixture
def bowls(store_dir: Path, write_sweep: Callable[..., Path], sweeper: Sweeper) -> Path:
    """A store in which the sweep `bowls` has run; returns its root."""
    write_sweep(TWO)
    assert sweeper("run", "bowls.yaml", "--in-process").returncode == 0
    return store_dir


def listed(sweeper: Sweeper, *sweeps: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(sweeper("ls", *sweeps, "--json").stdout)
    return found


def run_again(sweeper: Sweeper, name: str = "bowls") -> str:
    """What the last line of another run says of new and reused trials."""
    done = sweeper("run", f"{name}.yaml", "--in-process")
    assert done.returncode == 0, done.stderr
    [line] = [line for line in done.stderr.splitlines() if "run now" in line]
    return line


# ---- rm --------------------------------------------------------------------------------------


def test_a_removed_trial_is_gone_everywhere_and_runs_anew(bowls: Path, sweeper: Sweeper) -> None:
    run_id = listed(sweeper)[0]["run_id"]
    said = sweeper("rm", "bowls:x=0", "--dry-run")
    assert said.stdout == f"trial x=0 of bowls ({run_id[:12]})\nwould free 100 B\n"
    assert len(listed(sweeper)) == 2, "a dry run changes nothing"
    assert sweeper("rm", "bowls:x=0", "--yes").stdout.endswith("removed; freed 100 B\n")
    assert [row["label"] for row in listed(sweeper)] == ["x=1"]
    assert not list(bowls.rglob(run_id))
    assert sweeper("fsck").stdout == "bowls: 1 trial, clean\n"
    assert run_again(sweeper) == "2 trials: 1 run now, 1 reused, 0 failed"
    assert run_id not in {row["run_id"] for row in listed(sweeper)}
    assert sweeper("fsck").stdout == "bowls: 2 trials, clean\n"


def test_a_removed_sweep_leaves_nothing_and_runs_anew(bowls: Path, sweeper: Sweeper) -> None:
    assert sweeper("rm", "bowls", "--yes").returncode == 0
    assert list((bowls / "sweeps").iterdir()) == []
    assert list((bowls / "artifacts").iterdir()) == []
    assert "there is no sweep yet" in sweeper("fsck").stderr
    assert "the store holds no sweep 'bowls'" in sweeper("ls", "bowls").stderr
    assert run_again(sweeper) == "2 trials: 2 run now, 0 reused, 0 failed"
    assert sweeper("fsck").stdout == "bowls: 2 trials, clean\n"
    assert sweeper("rm", "bowls", "--yes").returncode == 0, "as often as one likes"
    assert run_again(sweeper) == "2 trials: 2 run now, 0 reused, 0 failed"


def test_a_sweep_that_was_deleted_in_mlflow_is_removed_and_runs_anew(
    bowls: Path, sweeper: Sweeper
) -> None:
    client = Results(locate_store(str(bowls))).client
    client.delete_experiment(client.get_experiment_by_name("bowls").experiment_id)
    refused = sweeper("run", "bowls.yaml", "--in-process")
    assert refused.returncode == 2
    assert "or remove it (`sweeper rm bowls`) and run it anew" in refused.stderr
    Path("readers.yaml").write_text("kind: bowl\nspace: {source: {runs: bowls}}\n")
    for words in (("ls", "bowls"), ("show", "bowls:x=0"), ("plan", "readers.yaml")):
        assert "sweep 'bowls' was deleted in MLflow; restore it" in sweeper(*words).stderr
    assert sweeper("rm", "bowls", "--yes").returncode == 0
    assert list((bowls / "artifacts").iterdir()) == []
    assert run_again(sweeper) == "2 trials: 2 run now, 0 reused, 0 failed"


def test_what_other_trials_depend_on_is_removed_only_when_that_is_said(
    bowls: Path, write_sweep: Callable[..., Path], sweeper: Sweeper
) -> None:
    run_id = listed(sweeper)[0]["run_id"]
    write_sweep(TWO, "others")
    assert run_again(sweeper, "others") == "2 trials: 0 run now, 2 reused, 0 failed"
    reading = f"kind: bowl\nfixed: {{marks: 'run:{run_id}/point'}}\nspace: {{x: [0.5]}}\n"
    (Path.cwd() / f"run:{run_id}" / "point").mkdir(parents=True)
    write_sweep(reading, "readers")
    run_again(sweeper, "readers")
    for name in ("bowls:x=0", "bowls"):
        refused = sweeper("rm", name, "--yes")
        assert refused.returncode == 2
        assert f"was reused from run {run_id[:12]}" in refused.stdout
        assert f"reads run {run_id[:12]}" in refused.stdout
        assert "depend on this: nothing is removed; name them too, or add --force" in refused.stderr
    assert len(listed(sweeper)) == 5
    assert sweeper("rm", "bowls", "others", "readers", "--dry-run").returncode == 0
    assert sweeper("rm", "bowls:x=0", "--force", "--yes").returncode == 0
    found = sweeper("fsck", "others")
    assert f"reused from run {run_id[:12]}, which was removed" in found.stdout
    assert sweeper("fsck", "--repair", "others").returncode == 0
    assert run_again(sweeper, "others") == "2 trials: 1 run now, 1 reused, 0 failed"


def test_nothing_is_removed_while_a_driver_runs_or_where_nobody_agreed(
    bowls: Path, sweeper: Sweeper
) -> None:
    from sweeper.store.journal import Journal

    assert sweeper("rm", "bowls").stderr == (
        "sweeper: nobody can be asked here; --yes removes, --dry-run only shows\n"
    )
    journal = Journal(bowls / "sweeps" / "bowls")
    for words in (("rm", "bowls"), ("rm", "bowls:x=0"), ("prune", "bowls")):
        refused = sweeper(*words, "--yes")
        assert refused.returncode == 2
        assert "a driver is running this sweep" in refused.stderr
    journal.close()
    assert sweeper("fsck").stdout == "bowls: 2 trials, clean\n"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bowl", "no trial begins with 'bowl'; see 'sweeper ls'"),
        ("bowls:x=7", "no trial matches 'bowls:x=7'"),
        ("nowhere:x=0", "the store holds no sweep 'nowhere'"),
    ],
)
def test_a_wrong_name_removes_nothing(bowls: Path, sweeper: Sweeper, name: str, said: str) -> None:
    refused = sweeper("rm", name, "bowls:x=0", "--yes")
    assert (refused.returncode, said in refused.stderr) == (2, True), refused.stderr
    assert len(listed(sweeper)) == 2


# ---- a kill in the middle --------------------------------------------------------------------

KILLED = """
import os, signal
from sweeper.cli import main
from sweeper.store.removal import remove
from sweeper.store.tracking import removals
from mlflow import MlflowClient

def dies_after(owner, name):
    def and_die(*arguments, **named):
        whole(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)
    whole = getattr(owner, name)
    setattr(owner, name, and_die)

owner, name = {where}
dies_after(owner, name)
main({words})
"""
RM, FSCK = ("rm", "{}", "--yes"), ("fsck", "--repair", "bowls")
# After which step the process is killed, and what finishes.
OF_A_TRIAL = {
    "noted in the database": ('removals.Removals, "begin_run"', FSCK),
    "noted in the journal": ('remove, "note_removed"', RM),
    "without artifacts": ('removals.Removals, "_drop_folder"', FSCK),
}
OF_A_SWEEP = {
    "noted in the database": ('removals.Removals, "begin_sweep"', RM),
    "without a journal": ('remove, "_drop_sweep_folder"', FSCK),
    "without artifacts": ('removals.Removals, "_drop_folder"', RM),
    "under another name": ('MlflowClient, "rename_experiment"', ("fsck", "--repair")),
}


def killed(where: str, *words: str) -> None:
    program = KILLED.format(where=where, words=words)
    done = subprocess.run([sys.executable, "-c", program], check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize(("where", "finish"), OF_A_TRIAL.values(), ids=OF_A_TRIAL)
def test_a_killed_removal_of_a_trial_is_finished_by_the_same_command_or_fsck(
    bowls: Path, sweeper: Sweeper, where: str, finish: tuple[str, ...]
) -> None:
    run_id = listed(sweeper)[0]["run_id"]
    killed(where, "rm", "bowls:x=0", "--yes")
    refused = sweeper("run", "bowls.yaml", "--in-process")
    assert refused.returncode == 2
    assert "sweep 'bowls': a removal was interrupted" in refused.stderr
    assert "its removal was interrupted; --repair removes the rest" in sweeper("fsck").stdout
    assert sweeper(*(word.format("bowls:x=0") for word in finish)).returncode == 0
    assert [row["label"] for row in listed(sweeper)] == ["x=1"]
    assert not list(bowls.rglob(run_id))
    assert sweeper("fsck").stdout == "bowls: 1 trial, clean\n"
    assert run_again(sweeper) == "2 trials: 1 run now, 1 reused, 0 failed"


@pytest.mark.parametrize(("where", "finish"), OF_A_SWEEP.values(), ids=OF_A_SWEEP)
def test_a_killed_removal_of_a_sweep_is_finished_by_the_same_command_or_fsck(
    bowls: Path, sweeper: Sweeper, where: str, finish: tuple[str, ...]
) -> None:
    killed(where, "rm", "bowls", "--yes")
    assert "its removal was interrupted; --repair removes the rest" in sweeper("fsck").stdout
    assert sweeper(*(word.format("bowls") for word in finish)).returncode == 0
    assert list((bowls / "sweeps").iterdir()) == []
    assert list((bowls / "artifacts").iterdir()) == []
    assert "there is no sweep yet" in sweeper("fsck").stderr
    assert run_again(sweeper) == "2 trials: 2 run now, 0 reused, 0 failed"
    assert sweeper("fsck").stdout == "bowls: 2 trials, clean\n"


# ---- prune -----------------------------------------------------------------------------------


def test_pruned_artifacts_are_gone_said_and_never_damage(bowls: Path, sweeper: Sweeper) -> None:
    said = sweeper("prune", "bowls", "--dry-run")
    assert said.stdout == "bowls: 2 artifacts of 2 trials, 144 B\nwould free 144 B\n"
    assert len(list(bowls.rglob("point.safetensors"))) == 2
    assert sweeper("prune", "bowls", "--yes").stdout.endswith("pruned; freed 144 B\n")
    assert list(bowls.rglob("point.safetensors")) == []
    assert len(list(bowls.rglob("trace.csv"))) == 2, "tables stay"
    assert sweeper("fsck").stdout == "bowls: 2 trials, clean\n"
    assert run_again(sweeper) == "2 trials: 0 run now, 2 reused, 0 failed"
    [first, _] = listed(sweeper)
    assert first["pruned"] == ["point.safetensors"]
    assert " 72  pruned" in sweeper("show", first["run_id"]).stdout
    assert "bowls (bowl): 2 trials, 56 B" in sweeper("ls").stdout
    tracking = Tracking(locate_store(str(bowls)))
    with pytest.raises(Exception, match=r"artifact 'point.safetensors' of run '\w+' was pruned"):
        tracking.results.fetch_artifact(first["run_id"], "point.safetensors")
    assert sweeper("prune", "bowls", "--yes").stdout == "would free 0 B\n"

    assert sweeper("rm", "bowls:x=0", "--yes").returncode == 0
    assert run_again(sweeper) == "2 trials: 1 run now, 1 reused, 0 failed"
    assert len(list(bowls.rglob("point.safetensors"))) == 1, "computed again"


def test_fsck_removes_what_a_killed_prune_left(bowls: Path, sweeper: Sweeper) -> None:
    killed('MlflowClient, "set_tag"', "prune", "bowls", "--yes")
    assert len(list(bowls.rglob("point.safetensors"))) == 2
    found = sweeper("fsck")
    assert found.stdout.count("point.safetensors: was pruned, and its file is there") == 1
    assert sweeper("fsck", "--repair").returncode == 0
    assert len(list(bowls.rglob("point.safetensors"))) == 1


@pytest.mark.parametrize(
    ("criteria", "n_pruned"),
    [
        (("--larger-than", "0.072kB"), 0),
        (("--larger-than", "71B"), 2),
        (("--older-than", "1d"), 0),
        (("--older-than", "0.0001s"), 2),
        (("bowls", "--name", "*.csv", "--name", "*.safetensors"), 4),
        (("bowls", "--name", "x*"), 0),
        (("--standing", "not-best"), 1),
        (("--standing", "superseded"), 0),
    ],
)
def test_artifacts_are_chosen_by_size_age_name_and_standing(
    bowls: Path, sweeper: Sweeper, criteria: tuple[str, ...], n_pruned: int
) -> None:
    assert sweeper("prune", *criteria, "--yes").returncode == 0
    assert sum(len(row["pruned"]) for row in listed(sweeper)) == n_pruned


def test_what_other_trials_read_is_not_pruned_unless_that_is_said(
    bowls: Path, write_sweep: Callable[..., Path], sweeper: Sweeper
) -> None:
    run_id = listed(sweeper)[0]["run_id"]
    (Path.cwd() / f"run:{run_id}" / "point").mkdir(parents=True)
    reading = f"kind: bowl\nfixed: {{marks: 'run:{run_id}/point'}}\nspace: {{x: [0.5]}}\n"
    write_sweep(reading, "readers")
    run_again(sweeper, "readers")
    said = sweeper("prune", "bowls", "--dry-run").stdout
    assert said.startswith("other trials read 1 trial, which stay (72 B; --force)\nbowls: 1 art")
    assert "2 artifacts" in sweeper("prune", "bowls", "--force", "--dry-run").stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "prune: says nothing about what to prune; name sweeps, or set --older-than"),
        (("--older-than", "3y"), "'3y' is not a number with one of the units s, min, h, d, w"),
        (("--larger-than", "much"), "'much' is not a number with one of the units B, kB, MB"),
        (("bowl",), "the store holds no sweep 'bowl'; did you mean 'bowls'?"),
    ],
)
def test_a_wrong_choice_prunes_nothing(
    bowls: Path, sweeper: Sweeper, words: tuple[str, ...], said: str
) -> None:
    refused = sweeper("prune", *words, "--yes")
    assert (refused.returncode, said in refused.stderr) == (2, True), refused.stderr
