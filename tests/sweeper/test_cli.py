"""The command line as a user meets it: real processes, exit codes, one line a mistake."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sweeper.cli import main

GRID = 'kind: bowl\nspace: {x: [0.0, 1.0], "null": [none, flat]}\n'


def sweeper(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sweeper.cli", *words],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def refused(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """`refused(*words, cwd)`: the one line of a command that ends with code 2 and prints nothing.

    It runs in this process: a process for each mistake would cost seconds of imports.
    """

    def refuse(*words: str, cwd: Path) -> str:
        monkeypatch.chdir(cwd)
        with pytest.raises(SystemExit) as ended:
            main(words)
        said = capfd.readouterr()
        assert (ended.value.code, said.out) == (2, "")
        assert said.err.count("\n") == 1
        return said.err

    return refuse


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, make_store: Callable[[Path], Path]) -> Path:
    """A folder in which the sweep `bowls` has run, for tests that leave its trials as they are."""
    folder = tmp_path_factory.mktemp("swept")
    make_store(folder / "results")
    (folder / "bowls.yaml").write_text(GRID)
    done = sweeper("run", "bowls.yaml", "--in-process", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_sweep_runs_and_can_be_looked_at(swept: Path) -> None:
    again = sweeper("run", "bowls.yaml", "--in-process", cwd=swept)
    assert "4 trials: 0 run now, 4 reused, 0 failed" in again.stderr
    assert "report:  results/sweeps/bowls/report.html" in again.stdout
    assert "open UI: sweeper serve" in again.stdout

    listed = json.loads(sweeper("ls", "--json", cwd=swept).stdout)
    assert len(listed) == 4
    assert {"run_id", "sweep", "kind", "key", "state", "params", "metrics"} <= listed[0].keys()

    shown = sweeper("show", listed[0]["key"][:12], cwd=swept)
    assert "the bowl's height" in shown.stdout

    asked = sweeper(
        "query", "select x, loss_held_out from trials where x > 0.5", "--format", "csv", cwd=swept
    )
    assert asked.stdout.splitlines()[0] == "x,loss_held_out"
    assert len(asked.stdout.splitlines()) == 3

    page = sweeper("report", "-o", "all.html", cwd=swept)
    assert page.stdout == "all.html\n"
    assert "bowls" in (swept / "all.html").read_text()

    plan = json.loads(sweeper("plan", "bowls.yaml", "--json", cwd=swept).stdout)
    assert (plan["n_trials"], plan["n_existing"], plan["n_new"]) == (4, 4, 0)


def test_the_command_that_opens_the_store_can_be_typed_as_it_is_printed(swept: Path) -> None:
    (swept / "Ada's results").symlink_to("results")
    run = ["run", "bowls.yaml", "--in-process", "--store", "Ada's results"]
    done = sweeper(*run, cwd=swept)
    assert done.returncode == 0, done.stderr
    [command] = [line for line in done.stdout.splitlines() if line.startswith("open UI: ")]
    assert shlex.split(command)[-3:] == ["serve", "--store", "Ada's results"]


def test_a_failed_trial_is_named_and_gives_exit_code_1(
    tmp_path: Path, store_dir: Path, write_sweep: Callable[..., Path]
) -> None:
    write_sweep("kind: bowl\nspace: {fate: [well, raise]}\n")
    done = sweeper("run", "bowls.yaml", "--in-process", cwd=tmp_path)
    assert done.returncode == 1
    assert "failed: fate=raise: ZeroDivisionError: the bowl has a hole" in done.stderr


def test_a_spent_budget_gives_exit_code_4_and_more_of_it_goes_on(
    tmp_path: Path, store_dir: Path, write_sweep: Callable[..., Path]
) -> None:
    limits = "limits: {budget_trial_hours: 1.0e-6, trial_timeout_s: 60}"
    write_sweep(f"kind: stepper\nfixed: {{step_s: 0.02}}\nspace: {{x: [0.0, 1.0]}}\n{limits}\n")
    checked = sweeper("check", "bowls.yaml", cwd=tmp_path)
    said = "limits: retries 2, trial_timeout_s 60, budget_trial_hours 1e-06"
    assert said in checked.stdout
    first = sweeper("run", "bowls.yaml", "--in-process", cwd=tmp_path)
    assert first.returncode == 4, first.stderr
    assert "budget_trial_hours 1e-06 is spent" in first.stderr
    assert "1 trial left to run; raise the budget and rerun to resume" in first.stderr
    assert "in-process runs do not enforce trial_timeout_s and memory_gib" in first.stderr
    more = ["--set", "limits.budget_trial_hours=1"]
    second = sweeper("run", "bowls.yaml", "--in-process", *more, cwd=tmp_path)
    assert second.returncode == 0, second.stderr
    assert "2 trials: 1 run now, 1 reused" in second.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "pursuitt"], "did you mean 'pursuit'?"),
        (["chek", "pursuit"], "No such command 'chek'"),
        (["run", "pursuit", "--trails", "3"], "No such option"),
        (["run", "pursuit", "--set", "n_atomss=2x"], "did you mean 'n_atoms'?"),
        (["kinds", "pursit"], "unknown kind 'pursit'; did you mean 'pursuit'?"),
        (["ls"], "there is no store yet"),
        (["ls", "--store", "htp://x"], "unknown store scheme 'htp'; did you mean 'http'?"),
        (["run", "no\nsuch\x1bfile.yaml"], "no such file.yaml"),
        (["run", "x" * 10_000], "xxx"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    refused: Callable[..., str], tmp_path: Path, words: list[str], message: str
) -> None:
    said = refused(*words, cwd=tmp_path)
    assert said.startswith("sweeper: ")
    assert message in said
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ls", "bowl"], "the store holds no sweep 'bowl'; did you mean 'bowls'?"),
        (["show", "zzz"], "no trial begins with 'zzz'; see 'sweeper ls'"),
        (["query", "select y from trials"], "y"),
        (["query", "select * from read_csv('/etc/passwd')"], "sweeper: "),
    ],
)
def test_a_mistake_on_a_store_is_one_line_too(
    refused: Callable[..., str], swept: Path, words: list[str], message: str
) -> None:
    assert message in refused(*words, cwd=swept)
