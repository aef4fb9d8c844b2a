"""`ls`: which trials it lists, in which order, and what it says of the rest."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sweeper.cli import main
from sweeper.records import Outcome, TrialSpec, TrialState
from sweeper.store.location import locate_store
from sweeper.store.tracking import Tracking

N_TRIALS = 60
List = Callable[..., tuple[str, str]]


@pytest.fixture
def store(store_dir: Path) -> Path:
    """A store with 60 trials of `many`, of which `few` has reused one."""
    tracking = Tracking(locate_store(str(store_dir)))
    for sweep, numbers in (("many", range(N_TRIALS)), ("few", [7])):
        parent = tracking.open_submission(sweep, "", {})
        for number in numbers:
            spec = TrialSpec(
                key=f"key{number}",
                kind="bowl",
                kind_version=1,
                config={"x": number / 2, "null": "none"},
                input_digests={},
                varied=("x",),
            )
            outcome = Outcome(
                key=spec.key,
                state=TrialState.COMPLETE,
                metrics={"loss": (number * 7) % N_TRIALS + 0.25},
                started_ms=1000 + number,
                ended_ms=2000 + number,
            )
            reused = "many-run" if sweep == "few" else ""
            tracking.finish_trial(sweep, parent, spec, outcome, None, reused_from=reused)
    return store_dir


@pytest.fixture
def ls(store: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> List:
    """`ls(*words)` lists the store and returns its output and its notes."""
    monkeypatch.setenv("COLUMNS", "100")

    def command(*words: str) -> tuple[str, str]:
        with pytest.raises(SystemExit):
            main(["ls", "--store", str(store), *words])
        return tuple(capfd.readouterr())  # type: ignore[return-value]

    return command


def test_the_newest_fifty_are_listed_and_the_rest_is_counted(ls: List) -> None:
    shown, note = ls("many")
    assert "x=29.5" in shown
    assert "x=4.5" not in shown  # the 50th newest is number 10
    assert note == "50 of 60 trials; --all lists all\n"
    shown, note = ls("many", "--all")
    assert " x=0 " in shown
    assert note == ""


def test_a_condition_an_order_and_a_limit_choose_trials(ls: List) -> None:
    asked = ("--where", "x < 20 and loss > 30", "--sort", "loss desc", "--limit", "3")
    found = json.loads(ls("many", *asked, "--json")[0])
    losses = [trial["metrics"]["loss"] for trial in found]
    expected = sorted(((n * 7) % 60 + 0.25 for n in range(40)), reverse=True)[:3]
    assert losses == expected
    table, _ = ls("many", *asked, "--columns", "x,loss")
    assert re.findall(r"(\d+\.25)", table) == ["59.25", "58.25", "56.25"]


def test_json_holds_all_trials_unless_a_limit_is_given(ls: List) -> None:
    assert len(json.loads(ls("--json")[0])) == N_TRIALS + 1
    newest = json.loads(ls("many", "--json", "--limit", "2")[0])
    assert [trial["params"]["x"] for trial in newest] == [29.0, 29.5]


def test_a_sweep_lists_what_it_reused(ls: List) -> None:
    [trial] = json.loads(ls("few", "--where", "x = 3.5", "--json")[0])
    assert trial["reused_from"] == "many-run"


def test_every_column_and_columns_of_any_name(ls: List) -> None:
    [trial] = json.loads(ls("few", "--columns", "*", "--json")[0])
    assert {"run_id", "x", "null", "loss", "setting"} <= set(trial)
    assert json.loads(ls("few", "--columns", "null,x", "--json")[0]) == [{"null": "none", "x": 3.5}]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--columns", "los"), "sweeper: ls: unknown column 'los'; did you mean 'loss'?\n"),
        (("--where", "los < 1"), "sweeper: ls: unknown column 'los'; did you mean 'loss'?\n"),
        (("--sort", "los"), "sweeper: ls: unknown column 'los'; did you mean 'loss'?\n"),
    ],
)
def test_an_unknown_column_is_named_with_the_nearest(
    ls: List, words: tuple[str, str], line: str
) -> None:
    assert ls(*words)[1] == line


def test_a_condition_reads_no_file(ls: List) -> None:
    text = "x in (select 1 from read_text('/etc/hostname'))"
    shown, line = ls("--where", text)
    assert shown == ""
    assert line.startswith("sweeper: ls: ")
    assert "disabled" in line


@pytest.mark.parametrize("command", [["ls"], ["show", "key7"]])
def test_listing_a_store_imports_no_slow_package(store: Path, command: list[str]) -> None:
    code = (
        "import sys; from sweeper.cli import main\n"
        f"try: main({[*command, '--store', str(store)]!r})\n"
        "except SystemExit: pass\n"
        "slow = {'pandas', 'duckdb', 'mlflow', 'ray', 'torch', 'sqlalchemy'}\n"
        "sys.stderr.write(','.join(slow & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "key7" in done.stdout or "x=3.5" in done.stdout or "many" in done.stdout
    assert done.stderr in ("", "50 of 61 trials; --all lists all\n")
