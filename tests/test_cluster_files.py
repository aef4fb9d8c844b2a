"""The cluster files and the deployment of the tracking server: valid, and true to the project."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from sweeper.submit import Site

PROJECT = Path(__file__).parents[1]
CLUSTER_FILES = ("ray_cluster.yaml", "ray_cluster.onprem.yaml")
TOKEN = "~/.ray/auth_token"
SHARED_KEYS = ("file_mounts", "rsync_exclude", "metadata")


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((PROJECT / name).read_text())
    return content


@pytest.fixture(scope="module")
def validate():
    """Ray's own check: its defaults for the provider filled in, then its schema and rules."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    return lambda config: validate_config(prepare_config(config))


@pytest.mark.parametrize("name", CLUSTER_FILES)
def test_a_cluster_file_is_valid_for_ray(name, validate):
    validate(read(name))


@pytest.mark.parametrize("name", CLUSTER_FILES)
def test_ray_refuses_our_key_at_the_top_level(name, validate):
    config = read(name)
    config["sweeper"] = config["metadata"]["sweeper"]
    with pytest.raises(Exception, match="'sweeper' was unexpected"):
        validate(config)


@pytest.mark.parametrize("name", CLUSTER_FILES)
def test_what_submit_reads_on_the_head_is_in_the_metadata(name):
    assert set(read(name)["metadata"]["sweeper"]) == set(Site._fields)


@pytest.mark.parametrize("name", CLUSTER_FILES)
def test_project_and_environment_are_where_the_metadata_says(name):
    config = read(name)
    site = config["metadata"]["sweeper"]
    project = set(config["file_mounts"]) - {TOKEN}
    assert all(remote.startswith(f"{site['project_dir']}/") for remote in project)
    setup = " ".join(config["setup_commands"])
    assert f"python3 -m venv {site['environment']}" in setup
    assert f"--editable {site['project_dir']}" in setup
    home = f"/home/{config['auth']['ssh_user']}"
    project_dir = site["project_dir"].replace("~", home)
    assert site["tracking_uri"] == f"sqlite:///{project_dir}/results/mlflow.db"


@pytest.mark.parametrize("name", CLUSTER_FILES)
def test_every_mount_exists_and_together_they_are_an_installable_project(name):
    mounted = {PROJECT / local for local in read(name)["file_mounts"].values() if local != TOKEN}
    assert all(path.exists() for path in mounted)
    assert mounted >= {PROJECT / f for f in ("pyproject.toml", "constraints.txt", "README.md")}
    assert mounted >= {PROJECT / "sweeper", PROJECT / "trials"}


@pytest.mark.parametrize("name", CLUSTER_FILES)
def test_the_cluster_gets_the_pinned_torch(name):
    (pinned,) = re.findall(r"^torch==\S+$", (PROJECT / "constraints.txt").read_text(), re.M)
    assert f"pip install --quiet {pinned}" in read(name)["setup_commands"]


@pytest.mark.parametrize("name", CLUSTER_FILES)
def test_the_environment_comes_first_on_the_path_however_often_setup_runs(name, tmp_path):
    (command,) = [c for c in read(name)["setup_commands"] if "PATH=" in c]
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    for _ in range(2):
        subprocess.run(["bash", "-c", command], env=env, check=True)
    show = ["bash", "-c", "source ~/.bashrc; echo $PATH"]
    path = subprocess.run(show, env=env, check=True, capture_output=True, text=True).stdout
    assert path.split(":")[0] == f"{tmp_path}/sweeper-env/bin"
    assert path.count("sweeper-env/bin") == 1


def test_both_clusters_carry_the_same_project():
    cloud, onprem = map(read, CLUSTER_FILES)
    for key in SHARED_KEYS:
        assert cloud[key] == onprem[key], key
    assert cloud["setup_commands"][2:] == onprem["setup_commands"]


@pytest.mark.parametrize("name", CLUSTER_FILES)
def test_every_node_gets_the_token_and_demands_it(name):
    config = read(name)
    assert config["file_mounts"][TOKEN] == TOKEN
    for role in ("head", "worker"):
        (start,) = [c for c in config[f"{role}_start_ray_commands"] if "ray start" in c]
        assert "RAY_AUTH_MODE=token ray start" in start


def test_the_dashboard_is_not_open_to_the_network():
    for name in CLUSTER_FILES:
        (start,) = [c for c in read(name)["head_start_ray_commands"] if "ray start" in c]
        assert "--dashboard-host=127.0.0.1" in start


def test_the_mlflow_folder_holds_no_python_and_does_not_shadow_the_package():
    assert not [p for p in (PROJECT / "mlflow").rglob("*") if p.suffix in (".py", ".pyc")]
    where = "import importlib.util as u; print(u.find_spec('mlflow').origin)"
    found = subprocess.run(
        [sys.executable, "-c", where], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert "site-packages" in found.stdout


def test_the_deployment_takes_every_secret_from_the_environment():
    compose = (PROJECT / "mlflow" / "compose.yaml").read_text()
    example = (PROJECT / "mlflow" / "env.example").read_text()
    asked = set(re.findall(r"\$\{(\w+)", compose))
    assert asked == set(re.findall(r"^(\w+)=", example, re.M))
    required = set(re.findall(r"\$\{(\w+):\?", compose))
    assert required == set(re.findall(r"^(\w+)=$", example, re.M))


def test_the_deployment_serves_with_authentication_and_without_pickle():
    server = yaml.safe_load((PROJECT / "mlflow" / "compose.yaml").read_text())["services"]["server"]
    assert "--app-name=basic-auth" in server["command"]
    assert server["environment"]["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
    auth = configparser.ConfigParser()
    auth.read(PROJECT / "mlflow" / "basic_auth.ini")
    assert "admin_password" not in auth["mlflow"]
