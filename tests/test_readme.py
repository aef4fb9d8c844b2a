"""The README does not lie: its example runs, its commands exist, and it names every command."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import numpy as np
import pytest

from sweeper.cli import cli

README = (Path(__file__).parent.parent / "README.md").read_text()


def block(language: str, holding: str) -> str:
    """The fenced block of that language that holds a text."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    [found] = [text for text in blocks if holding in text]
    return str(found)


def test_the_example_of_a_kind_runs_as_an_outside_package(
    tmp_path: Path, store_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "package"
    info = package / "spectrum-1.dist-info"
    info.mkdir(parents=True)
    (package / "spectrum.py").write_text(block("python", "# spectrum.py"))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: spectrum\nVersion: 1\n")
    points = tomllib.loads(block("toml", "entry-points"))["project"]["entry-points"]
    (info / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in members.items())
            for group, members in points.items()
        )
    )
    rows = np.random.default_rng(0).normal(size=(500, 16)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    (tmp_path / "dimensions.yaml").write_text(
        "kind: spectrum\nfixed: {source: 'file:rows.npy'}\nspace: {n_removed: [0, 8]}\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(package))
    done = subprocess.run(
        [sys.executable, "-m", "sweeper.cli", "run", "dimensions.yaml", "--in-process"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "2 trials: 2 run now, 0 reused, 0 failed" in done.stderr


def test_every_command_is_documented_and_every_documented_command_exists() -> None:
    documented = set(re.findall(r"\bsweeper ([a-z]+)\b", README))
    assert documented == set(cli.list_commands(click.Context(cli)))


def test_every_documented_field_and_metric_of_pursuit_exists() -> None:
    from trials import load_kind

    kind = load_kind("pursuit")
    known = {*kind.metric_names, *kind.config.model_fields}
    named = set(re.findall(r"\b(?:fvu|l0|l1|excess|n|frequency)_[a-z_]+\b", README))
    assert named - {"n_removed"} <= known
    assert len(named) > 4


def test_the_sweep_file_in_the_readme_is_valid(tmp_path: Path) -> None:
    from sweeper.declare.loading import load_sweep

    path = tmp_path / "mine.yaml"
    path.write_text(block("yaml", "# mine.yaml"))
    sweep = load_sweep(str(path))
    assert (sweep.grid_size, sweep.n_arms) == (15, 2)


def test_the_constraints_in_the_readme_are_valid(tmp_path: Path) -> None:
    from sweeper.declare.loading import load_sweep

    path = tmp_path / "tuned.yaml"
    sweep_file = block("yaml", "# mine.yaml")
    path.write_text(sweep_file + block("yaml", "constraints: {l0_validation: {max"))
    assert load_sweep(str(path)).search.limits == "l0_validation <= 20"
    head = sweep_file.partition("space:")[0]
    path.write_text(head + block("yaml", "method: target"))
    target = load_sweep(str(path))
    assert target.search.limits == "l0_validation = 16 ± 0.32"
    assert (target.solved_field, target.trials) == ("l1_penalty", 8)


def test_the_readme_explains_the_columns_of_real_beside_null() -> None:
    from sweeper.report.final_table import effect_title
    from trials import load_kind

    kind = load_kind("pursuit")
    assert kind.control is not None
    explained = re.findall(r"^\| (.*?) \| .* \|$", README, re.MULTILINE)
    for comparison in kind.control.comparisons:
        assert effect_title(comparison, kind).removesuffix(" (bits)") in explained


def test_make_targets_in_the_readme_exist() -> None:
    makefile = (Path(__file__).parent.parent / "Makefile").read_text()
    for target in set(re.findall(r"^make (\w+)", README, re.MULTILINE)):
        assert f"\n{target}:" in makefile
