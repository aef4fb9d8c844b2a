"""Another file under the same path: its trials are never replicates of the earlier ones."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from sweeper.cli import cli
from sweeper.declare.loading import load_sweep
from sweeper.report.final_table import final_table
from sweeper.run.driver.drive import SweepRun
from sweeper.run.lineage import with_runs_of
from sweeper.store.location import locate_store
from trials import load_kind

LEFT_OUT = "bowls: 4 trials of an earlier input left out; --inputs all shows them apart"


@pytest.fixture
def replaced(run: Callable[..., SweepRun], tmp_path: Path) -> SweepRun:
    """A sweep that ran on one file, then on another under the same path."""
    file = tmp_path / "rows.txt"
    text = f"kind: bowl\nspace: {{x: [0.0, 1.0]}}\nfixed: {{source: {file}}}\nseeds: 2\n"
    file.write_text("first")
    assert run(text).n_run == 4
    file.write_text("second")
    done = run(text)
    assert done.n_run == 4
    return done


def test_a_report_leaves_out_the_earlier_input_and_says_so(
    replaced: SweepRun, store_dir: Path, tmp_path: Path
) -> None:
    page = tmp_path / "report.html"
    said = CliRunner().invoke(cli, ["report", "--store", str(store_dir), "-o", str(page)])
    assert LEFT_OUT in said.stderr.splitlines()
    text = page.read_text()
    assert "4 trials of an earlier input left out" in text
    assert "4 of 4" in text

    words = ["report", "--inputs", "all", "--store", str(store_dir), "-o", str(page)]
    assert "left out" not in CliRunner().invoke(cli, words).stderr
    text = page.read_text()
    assert "8 of 8" in text
    digests = {row.inputs["source"][:8] for row in replaced.rows}
    shown = set(re.findall(r"<td>source ([0-9a-f]{8})</td>", text))
    assert len(shown) == 2, "each version is a setting of its own"
    assert digests < shown


def test_sql_tells_the_inputs_apart(replaced: SweepRun, store_dir: Path) -> None:
    def ask(sql: str) -> list[dict[str, object]]:
        words = ["query", sql, "--store", str(store_dir), "--format", "json"]
        found: list[dict[str, object]] = json.loads(CliRunner().invoke(cli, words).stdout)
        return found

    by_setting = ask("select min(input_source) i, count(*) n from trials group by setting")
    assert [row["n"] for row in by_setting] == [2] * 4
    assert len({row["i"] for row in by_setting}) == 2
    assert ask("select distinct kind_version v from trials") == [{"v": 1}]


def test_the_table_at_the_end_of_a_run_holds_what_the_sweep_declares_now(
    replaced: SweepRun, write_sweep: Callable[..., Path]
) -> None:
    kind = load_kind("bowl")
    sweep = load_sweep(str(write_sweep("kind: bowl\nspace: {x: [0.0, 1.0]}\nseeds: 2\n")))
    text = final_table(replaced.rows, kind, sweep.search, seeds=sweep.seeds)
    assert "4 trials of 4 complete" in text
    assert "over 2 seeds (x=0)" in text
    earlier = [
        row.model_copy(
            update={"key": f"old{row.key}", "provenance": {"input.source": "0123456789"}}
        )
        for row in replaced.rows
    ]
    both = final_table([*earlier, *replaced.rows], kind, sweep.search, seeds=sweep.seeds)
    assert both.count("source 01234567") >= 2, "and even then would not pool two inputs"


def test_an_entry_of_runs_takes_the_trials_of_the_newest_input(
    replaced: SweepRun, store_dir: Path, write_sweep: Callable[..., Path]
) -> None:
    text = "kind: bowl\nspace: {marks: {runs: bowls, where: {seed: 0}, artifact: point}}\n"
    said: list[str] = []
    reader = load_sweep(str(write_sweep(text, "reader")))
    sweep = with_runs_of(reader, locate_store(str(store_dir)), said.append)
    wanted = {f"run:{row.run_id}/point" for row in replaced.rows if row.params["seed"] == 0}
    assert {point["marks"] for point in sweep.assignments()} == wanted
    (line,) = said
    assert line.startswith("2 trials of an earlier input left out; ")
    assert line.endswith("reader.yaml:2: space.marks takes the newest")
