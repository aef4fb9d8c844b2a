"""The shipped file as the head of a cluster runs it: alone, in a login shell, any Python."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sweeper.submit
from sweeper.submit import SubmitError, pack, unpack

# Stands in for the console script: says what it was given, and ends with a code of its own.
SWEEPER = """\
#!/bin/sh
echo "arguments=$*"
echo "directory=$PWD"
echo "store=$MLFLOW_TRACKING_URI"
echo "ray=$RAY_ADDRESS"
echo "other=$SWEEPER_STORE"
exit 7
"""


class Head:
    """The home folder of a head node."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.project_dir = home / "project"
        self.project_dir.mkdir(parents=True)
        script = home / "env" / "bin" / "sweeper"
        script.parent.mkdir(parents=True)
        script.write_text(SWEEPER)
        script.chmod(0o755)
        shutil.copy(sweeper.submit.__file__, home / "submit.py")
        self.write_cluster_file(
            tracking_uri="sqlite:////store/mlflow.db", project_dir="~/project", environment="~/env"
        )

    def write_cluster_file(self, **site: str) -> None:
        text = json.dumps({"cluster_name": "c", "metadata": {"sweeper": site}})
        (self.home / "ray_bootstrap_config.yaml").write_text(text)

    def submit(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the shipped file as Ray does: the words joined, in a login shell."""
        line = " ".join([shlex.quote(sys.executable), "-I", "~/submit.py", *words])
        env = {"HOME": str(self.home), "PATH": "/usr/bin:/bin", **variables}
        return subprocess.run(
            ["bash", "--login", "-c", line], env=env, capture_output=True, text=True, cwd=self.home
        )


@pytest.fixture
def head(tmp_path: Path) -> Head:
    return Head(tmp_path / "head")


def test_a_name_becomes_sweeper_run_in_the_project_with_the_store_of_the_cluster_file(head):
    done = head.submit("pursuit", SWEEPER_STORE="/elsewhere")
    assert done.stdout.splitlines() == [
        "arguments=run pursuit",
        f"directory={head.project_dir}",
        "store=sqlite:////store/mlflow.db",
        "ray=auto",
        "other=",
    ]


def test_the_exit_code_is_that_of_the_sweep(head):
    assert head.submit("pursuit").returncode == 7


def test_the_address_that_a_job_was_given_is_kept(head):
    assert "ray=10.0.0.1:6379" in head.submit("pursuit", RAY_ADDRESS="10.0.0.1:6379").stdout


def test_a_file_in_the_project_is_run_by_its_relative_path(head):
    (head.project_dir / "mine.yaml").write_text("kind: pursuit\n")
    done = head.submit("mine.yaml")
    assert "arguments=run mine.yaml" in done.stdout
    assert done.stderr.startswith("mine.yaml: the version of 20")


def test_a_packed_sweep_is_kept_and_run(head):
    text = "kind: pursuit\nfixed: {source: 'file:$HOME/é; echo'}\n"
    words = head.submit(pack([("mine", text)])).stdout.splitlines()[0].split()
    kept = Path(words[1])
    assert kept.name == "mine.yaml"
    assert kept.read_text() == text
    assert kept.is_relative_to(head.home)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "expected one sweep after `--`, got 0 words"),
        (("pursuit", "--trials", "3"), "got 3 words"),
        (("--help",), "'--help' is neither a name nor a .yaml path"),
        (("/etc/x.yaml",), "'/etc/x.yaml' is neither"),
        (("../x.yaml",), "'../x.yaml' is neither"),
        (("a/../../x.yaml",), "'a/../../x.yaml' is neither"),
        (("'a b'",), "'a b' is neither"),
        (("'$HOME'",), "'$HOME' is neither"),
        (("b64:mine:",), "'b64:mine:' is neither"),
        (("b64:mine:_w",), "the packed sweep 'mine' arrived damaged"),
        (("b64:../x:aGk",), "'b64:../x:aGk' is neither"),
        (("lost.yaml",), "lost.yaml is not on the head; copy it with `ray rsync-up"),
    ],
)
def test_anything_but_one_sweep_is_refused_in_one_line(head, words, said):
    done = head.submit(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert said in done.stderr
    assert done.stderr.startswith("submit: ")
    assert done.stderr.count("\n") == 1


def test_a_cluster_file_without_a_store_is_named(head):
    head.write_cluster_file(project_dir="~/project", environment="~/env")
    assert "metadata.sweeper.tracking_uri is missing" in head.submit("pursuit").stderr


def test_elsewhere_than_on_a_head_it_says_how_to_use_it(head):
    (head.home / "ray_bootstrap_config.yaml").unlink()
    done = head.submit("pursuit")
    assert done.returncode == 2
    assert "ray submit ray_cluster.yaml sweeper/submit.py -- SWEEP" in done.stderr


def test_a_head_whose_setup_failed_says_so(head):
    shutil.rmtree(head.home / "env")
    assert "env/bin/sweeper is not on the head; its setup failed" in head.submit("pursuit").stderr


@given(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True), st.text(min_size=1))
def test_a_packed_sweep_survives_and_has_nothing_for_a_shell_to_touch(name, text):
    sweeps = [(name, text), (f"{name}-first", text)]
    for files in (sweeps, sweeps[:1]):
        packed = pack(files)
        assert shlex.quote(packed) == packed
        assert unpack(packed) == files


def test_a_name_that_a_shell_could_touch_is_not_packed():
    with pytest.raises(ValueError, match="'a;b' is not a name"):
        pack([("a;b", "kind: pursuit")])


def test_two_files_of_one_name_are_not_packed():
    with pytest.raises(ValueError, match="two of the sweeps are named 'a'"):
        pack([("a", "kind: pursuit"), ("a", "kind: sae")])


def test_packed_sweeps_lie_side_by_side(head):
    words = head.submit(pack([("mine", "kind: a\n"), ("base", "kind: b\n")])).stdout.split()
    kept = Path(words[1])
    assert kept.name == "mine.yaml"
    assert kept.with_name("base.yaml").read_text() == "kind: b\n"


def test_damage_is_noticed():
    with pytest.raises(SubmitError, match="arrived damaged"):
        unpack("b64:mine:_w")
