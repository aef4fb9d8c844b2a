"""The service serves kinds of another package, where neither our kinds nor the study exist."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
CONTRACT = ("__init__.py", "api.py", "charts.py", "exported.py", "machine.py")
"""All that the service needs of `trials`."""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to import from: the service, the contract, the toy kinds, third-party packages."""
    folder = tmp_path_factory.mktemp("alone")
    no_caches = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT / "sweeper", folder / "sweeper", ignore=no_caches)
    (folder / "trials").mkdir()
    for name in CONTRACT:
        shutil.copy(PROJECT / "trials" / name, folder / "trials" / name)
    shutil.copytree(PROJECT / "tests" / "plugin", folder, dirs_exist_ok=True, ignore=no_caches)
    for place in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for package in Path(place).iterdir():
            # Our own metadata would announce the commands of `study`, which is not here.
            if "embedding_sweeper" not in package.name and not (folder / package.name).exists():
                (folder / package.name).symlink_to(package)
    return folder


@pytest.fixture
def run(installed: Path, tmp_path: Path, store_dir: Path) -> Run:
    """`run(*arguments)` starts Python where nothing but `installed` can be imported."""

    def python(*arguments: str) -> subprocess.CompletedProcess[str]:
        # -S: no site-packages and no .pth file, by which an editable install brings the project.
        return subprocess.run(
            [sys.executable, "-S", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(installed)},
            capture_output=True,
            text=True,
            check=False,
        )

    return python


def test_the_service_runs_and_reports_kinds_of_another_package(
    run: Run, tmp_path: Path, write_sweep: Callable[..., Path]
) -> None:
    write_sweep("kind: bowl\nseeds: 2\nspace: {x: [0.0, 1.0], null: [none, flat]}\n")

    done = run("-m", "sweeper.cli", "run", "bowls.yaml", "--in-process")
    assert done.returncode == 0, done.stderr
    assert "8 trials: 8 run now, 0 reused, 0 failed" in done.stderr

    done = run("-m", "sweeper.cli", "ls", "--json")
    assert done.returncode == 0, done.stderr
    assert [trial["state"] for trial in json.loads(done.stdout)] == ["COMPLETE"] * 8

    done = run("-m", "sweeper.cli", "report", "bowls", "-o", "bowls.html")
    assert done.returncode == 0, done.stderr
    assert "Real vs. null" in (tmp_path / "bowls.html").read_text()


def test_what_is_not_installed_is_no_kind_no_command_and_no_ready_made_sweep(
    run: Run, installed: Path
) -> None:
    program = """
import json, sys
from importlib.util import find_spec
import sweeper.cli, trials, trials.api
import click
places = [module.__file__ for module in (sweeper, trials, trials.api)]
commands = sweeper.cli.cli.list_commands(click.Context(sweeper.cli.cli))
print(json.dumps([places, find_spec("study"), trials.kind_names(), commands]))
"""
    done = run("-c", program)
    assert done.returncode == 0, done.stderr
    places, study, kinds, commands = json.loads(done.stdout)
    assert all(Path(place).is_relative_to(installed) for place in places)
    assert study is None
    assert kinds == ["bowl", "stepper"]
    assert "run" in commands
    assert not {"verdict", "study", "selftest"} & set(commands)

    done = run("-m", "sweeper.cli", "--help")
    assert done.returncode == 0, done.stderr
    assert "verdict" not in done.stdout

    done = run("-m", "sweeper.cli", "run", "pursuit")
    assert done.returncode == 2
    assert "is neither a file nor a ready-made sweep" in done.stderr

    done = run("-m", "sweeper.cli", "kinds", "pursuit")
    assert done.returncode == 2
    assert "unknown kind 'pursuit'" in done.stderr
