from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from sweeper.errors import UserError
from sweeper.serve.cluster import RAY, submit_sweep
from sweeper.submit import unpack

SWEEP = """\
kind: pursuit
fixed: {source: "file:matrix.npy", n_atoms: 1x}
space: {l1_penalty: [0.2, 0.5]}
"""

# Stands in for `ray`: notes its arguments and what it finds, talks, ends with a code of its own.
FAKE_RAY = """\
import json, os, sys
words = sys.argv[1:]
folder = words[words.index("--working-dir") + 1] if "--working-dir" in words else None
files = os.listdir(folder) if folder else []
json.dump({"words": words, "files": files}, open("said.json", "w"))
print("on the head")
sys.exit(5)
"""


@pytest.fixture
def ray(tmp_path: Path) -> list[str]:
    (tmp_path / "fake_ray.py").write_text(FAKE_RAY)
    (tmp_path / "mine.yaml").write_text(SWEEP)
    (tmp_path / "c.yaml").write_text("cluster_name: c\n")
    return [sys.executable, "fake_ray.py"]


def said(tmp_path: Path) -> dict[str, list[str]]:
    heard: dict[str, list[str]] = json.loads((tmp_path / "said.json").read_text())
    return heard


def test_ray_submit_gets_the_shipped_file_and_one_packed_sweep(ray, tmp_path, capfd):
    assert submit_sweep("mine.yaml", "c.yaml", ray=ray) == 5
    *before, separator, packed = said(tmp_path)["words"]
    assert before[:2] == ["submit", "c.yaml"]
    assert Path(before[2]).parts[-2:] == ("sweeper", "submit.py")
    assert separator == "--"
    assert [name for name, _ in unpack(packed)] == ["mine"]
    assert capfd.readouterr().out == "on the head\n"


@pytest.mark.parametrize("name", ["mine.yaml", "fake_ray.py"])
def test_a_file_that_is_no_cluster_file_never_reaches_ray(ray, tmp_path, name):
    with pytest.raises(UserError, match=f"{name}: not a cluster file"):
        submit_sweep("mine.yaml", name, ray=ray)
    assert not (tmp_path / "said.json").exists()


def test_overrides_and_trials_travel_inside_the_sweep(ray, tmp_path):
    submit_sweep("mine.yaml", "c.yaml", overrides=["n_atoms=3x"], trials=1, ray=ray)
    [(_, text)] = unpack(said(tmp_path)["words"][-1])
    (tmp_path / "arrived.yaml").write_text(text)
    from sweeper.declare.loading import load_sweep

    arrived = load_sweep("arrived.yaml")
    assert arrived.fixed["n_atoms"] == "3x"
    assert arrived.trials == 1


def test_the_sweeps_that_run_first_travel_too(ray, tmp_path, capfd):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "base.yaml").write_text(SWEEP)
    (tmp_path / "later.yaml").write_text(
        "kind: dictionary_match\n"
        "after: {sweep: sub/base.yaml, set: {n_atoms: 3x}}\n"
        "fixed: {second: 'file:atoms.npy', n_nulls: 2}\n"
        "space: {first: {runs: base, artifact: dictionary}}\n"
    )
    submit_sweep("later.yaml", "c.yaml", ray=ray)
    arrived = tmp_path / "arrived"
    arrived.mkdir()
    for name, text in unpack(said(tmp_path)["words"][-1]):
        (arrived / f"{name}.yaml").write_text(text)
    from sweeper.declare.loading import load_sweep

    sweep = load_sweep(str(arrived / "later.yaml"))
    assert sweep.predecessor.fixed["n_atoms"] == "3x"
    assert sweep.open_runs.keys() == {("space", "first")}
    assert capfd.readouterr().err.splitlines() == [
        "sub/base.yaml:2: fixed.source: 'matrix.npy' is not sent; "
        "the cluster reads it from the project folder of the head",
        "later.yaml:3: fixed.second: 'atoms.npy' is not sent; "
        "the cluster reads it from the project folder of the head",
    ]


def test_options_of_ray_stand_before_the_script(ray, tmp_path):
    submit_sweep("mine.yaml", "c.yaml", tmux=True, ray=ray)
    assert said(tmp_path)["words"][:3] == ["submit", "--tmux", "c.yaml"]


def test_a_job_uploads_the_shipped_file_alone(ray, tmp_path):
    submit_sweep("mine.yaml", "http://127.0.0.1:9", via="job", ray=ray)
    heard = said(tmp_path)
    assert heard["files"] == ["submit.py"]
    assert heard["words"][:4] == ["job", "submit", "--address", "http://127.0.0.1:9"]
    assert heard["words"][-4:-1] == ["--", "python", "submit.py"]


def test_a_job_finds_the_dashboard_where_ray_dashboard_puts_it(ray, tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS", raising=False)
    submit_sweep("mine.yaml", "c.yaml", via="job", ray=ray)
    assert "http://127.0.0.1:8265" in said(tmp_path)["words"]


@pytest.mark.parametrize(
    ("sweep", "cluster", "via", "message"),
    [
        ("mine.yaml", "d.yaml", "submit", "--cluster: no cluster file 'd.yaml'"),
        ("mine.yaml", "ftp://x", "job", "--cluster: 'ftp://x' is not the address of a dashboard"),
        ("other.yaml", "c.yaml", "submit", "other.yaml: no such file"),
    ],
)
def test_a_mistake_is_named_and_nothing_is_sent(ray, tmp_path, sweep, cluster, via, message):
    with pytest.raises(UserError, match=message):
        submit_sweep(sweep, cluster, via=via, ray=ray)
    assert not (tmp_path / "said.json").exists()


def test_a_sweep_too_long_for_a_command_line_is_refused(ray, tmp_path):
    values = ", ".join(f"0.{n:012}" for n in range(1, 9000))
    (tmp_path / "long.yaml").write_text(SWEEP.replace("[0.2, 0.5]", f"[{values}]"))
    with pytest.raises(UserError, match="bytes as an argument; at most 98304 fit"):
        submit_sweep("long.yaml", "c.yaml", ray=ray)


def test_the_ray_command_is_the_one_of_this_environment():
    assert Path(RAY[0]).is_file()
