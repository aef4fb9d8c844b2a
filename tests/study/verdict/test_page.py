"""What is written of a verdict: the page, its JSON, and what the command notes in the store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from study.verdict.decide import decide
from study.verdict.page import verdict_json, verdict_page
from study.verdict.rule import load_rule
from sweeper.cli import cli
from tests.study.verdict.small_study import OFFSET, costs, kept, trainings


def test_the_page_and_the_json_name_values_runs_and_rule(lenient: str, tmp_path: Path) -> None:
    rows = [*trainings(0.2), *OFFSET, *costs(0.5)]
    decided = decide(rows, load_rule(lenient), kept(tmp_path, 0.02))
    text = verdict_page(decided)
    for part in ("WORSE", "OFFSET", "E + A (t + t0)^-b", "frozen_r", decided.rule.digest[:16]):
        assert part in text
    values = json.loads(verdict_json(decided))
    assert (values["h1"]["value"], values["h2"]["value"]) == ("worse", "offset")
    assert values["h1"]["gap"]["arm_runs"] == ["frozen_random0", "frozen_random1", "frozen_random2"]
    assert len(values["h2"]["models"]["real"]) == 3


def test_the_command_decides_a_store_and_notes_it_there(
    tmp_path: Path, store_dir: Path, write_sweep: Any
) -> None:
    write_sweep("kind: bowl\nspace: {x: [0.0, 1.0]}\n")
    assert CliRunner().invoke(cli, ["run", "bowls.yaml", "--in-process"]).exit_code == 0
    done = CliRunner().invoke(cli, ["verdict", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["h1"]["value"] == "invalid"
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{store_dir / 'mlflow.db'}")
    tags = client.get_experiment_by_name("bowls").tags
    assert tags["verdict.h1"] == "invalid"
    assert tags["verdict.rule_sha256"] == load_rule().digest
