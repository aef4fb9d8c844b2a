"""A Ray that starts, and one line where it does not."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import ray

from sweeper.errors import UserError
from sweeper.run.tune_runner import service
from sweeper.run.tune_runner.growth import most_trials, slots_when_grown
from sweeper.run.tune_runner.patience import WORKER_TIMEOUT_S, Patience

OWN_RAY = """
import json, os, ray
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
from sweeper.run.tune_runner.service import own_ray
with own_ray() as folder:
    told = {
        "folder": str(folder),
        "logs": (folder / "session_latest" / "logs").is_dir(),
        "cpus": ray.cluster_resources()["CPU"],
        "mode": os.environ["RAY_AUTH_MODE"],
        "environment": dict(ray.get_runtime_context().runtime_env),
    }
told["left"] = [name for name in os.environ if name.startswith("RAY_AUTH")]
print(json.dumps(told))
"""


@pytest.mark.system
def test_a_ray_of_our_own_uses_what_is_granted_and_leaves_nothing(tmp_path: Path) -> None:
    home, long = tmp_path / "home", tmp_path / ("long" * 20)
    home.mkdir()
    long.mkdir()
    (tmp_path / "own.py").write_text(OWN_RAY)
    # A shell by the name of uv that runs the script `run` looks to Ray like `uv run`.
    (tmp_path / "uv").symlink_to(shutil.which("sh") or "/bin/sh")
    (tmp_path / "run").write_text(f"'{sys.executable}' own.py; exit $?\n")
    (tmp_path / "pyproject.toml").write_text("[project]\nname='mine'\n")
    done = subprocess.run(
        ["./uv", "run"],
        cwd=tmp_path,
        env=_environment(HOME=str(home), TMPDIR=str(long)),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["cpus"] == 1
    assert told["environment"] == {}  # workers run in the driver's own environment
    assert told["mode"] == "token"
    assert told["left"] == []
    assert not (home / ".ray").exists()
    folder = Path(told["folder"])
    assert folder.parent == Path("/tmp")
    assert told["logs"]
    assert not folder.exists()
    assert not list(long.iterdir())


def _environment(**more: str) -> dict[str, str]:
    without = ("RAY_", "TMPDIR")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(without)}
    path = os.pathsep.join(filter(None, [str(Path.cwd()), os.environ.get("PYTHONPATH", "")]))
    return kept | {"PYTHONPATH": os.environ.get("PYTHONPATH", path)} | more


def test_the_names_that_ray_keeps_to_itself_are_there() -> None:
    for module, names in {
        "ray._private.services": ["canonicalize_bootstrap_address"],
        "ray._private.ray_constants": ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"],
        "ray._raylet": ["AuthenticationTokenLoader.instance", "Config.initialize", "GcsClient"],
        "ray.air.execution._internal.actor_manager": ["RayActorManager._actor_task_failed"],
        "ray.tune.execution.tune_controller": ["RayActorManager", "_get_max_pending_trials"],
    }.items():
        for name in names:
            found: Any = importlib.import_module(module)
            for part in name.split("."):
                found = getattr(found, part)


# ---- where it does not start -------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("ray://127.0.0.1:10001", "a driver runs on a node of its cluster.*sweeper submit"),
        ("http://127.0.0.1:8265", "a driver runs on a node of its cluster"),
        ("nonsense", "Invalid address format: nonsense"),
        ("127.0.0.1:1", "no Ray answers: .*refused"),
        ("no.such.host.invalid:6379", "no Ray answers: "),
    ],
)
def test_an_address_without_a_ray_is_one_line(address: str, message: str) -> None:
    with (
        pytest.raises(UserError, match=f"^RAY_ADDRESS={address}: {message}"),
        service.joined_cluster(address),
    ):
        pass


def test_an_address_of_no_cluster_means_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("", "local"):
        monkeypatch.setenv("RAY_ADDRESS", address)
        assert service.cluster_address() is None


def _answer(**more: Any) -> dict[str, Any]:
    python = ".".join(map(str, sys.version_info[:3]))
    return {"mode": "token", "has_token": True, "ray": ray.__version__, "python": python} | more


@pytest.mark.parametrize(
    ("asked", "answer", "message"),
    [
        ("", _answer(mode=None), "refused the token; copy ~/.ray/auth_token from its head"),
        ("", _answer(mode=None, has_token=False), "wants a token, and there is none"),
        ("disabled", _answer(), "wants a token, and RAY_AUTH_MODE is 'disabled'"),
        ("token", _answer(mode="disabled"), "takes no token, and RAY_AUTH_MODE is 'token'"),
        ("", _answer(ray="2.9.0"), "has Ray 2.9.0 on Python .*, this driver Ray 2"),
        ("", _answer(python="3.99.0"), "on Python 3.99.0, this driver"),
    ],
)
def test_a_cluster_that_cannot_be_worked_with_is_one_line(
    monkeypatch: pytest.MonkeyPatch, asked: str, answer: dict[str, Any], message: str
) -> None:
    monkeypatch.setattr(service, "_ask", lambda address, where: answer)
    monkeypatch.setenv("RAY_AUTH_MODE", asked)
    with pytest.raises(UserError, match=f"^here: the Ray cluster at h:1 .*{message}"):
        service._mode_of("h:1", "here")


def test_a_ray_that_never_answers_ends_after_a_stated_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "START_TIMEOUT_S", 0.2)
    monkeypatch.setattr(ray, "init", lambda **options: time.sleep(60))
    monkeypatch.setattr(ray, "shutdown", lambda **options: None)  # other tests' Ray stays
    monkeypatch.setattr(service, "_read_again", lambda: None)
    with (
        pytest.raises(UserError, match=r"Ray does not start .*: no answer within 0.2 s"),
        service.own_ray(),
    ):
        pass


def test_no_folder_for_sockets_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_SHORT", ())
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / ("long" * 20)))
    monkeypatch.setenv("TMPDIR", "/missing")
    with (
        pytest.raises(UserError, match=r"TMPDIR: no folder for Ray.*too long.*/missing \(No such"),
        service._ray_folder(),
    ):
        pass


def test_what_ray_said_last_is_found_in_its_logs(tmp_path: Path) -> None:
    logs = tmp_path / "session_latest" / "logs"
    logs.mkdir(parents=True)
    assert service.last_words(tmp_path) == ""
    (logs / "raylet.err").write_text(
        "[2026-11-30 20:48:01,968 E 1842 1842] (raylet) worker_pool.cc:660: a worker is dead\n"
    )
    assert service.last_words(tmp_path) == "raylet.err: a worker is dead"
    (logs / "worker-1.err").write_text("Traceback\nModuleNotFoundError: No module named 'ray'\n")
    assert service.last_words(tmp_path).endswith("No module named 'ray'")


# ---- workers that do not come ------------------------------------------------------------


class Watch:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_on_one_machine_patience_ends_and_on_a_cluster_it_speaks() -> None:
    said: list[Any] = []
    watch = Watch()
    local = Patience(on_end=lambda: said.append("end"), clock=watch)
    cluster = Patience(on_wait=said.append, clock=watch)
    for seconds in range(0, 181, 10):
        watch.now = float(seconds)
        for patience in (local, cluster):
            patience.check(n_waiting=1, n_running=seconds <= 30)
        if seconds == 30 + WORKER_TIMEOUT_S:
            assert said == [1]
    assert said == [1, "end", 2, "end", "end"]


@pytest.mark.system
@pytest.mark.parametrize("worker", ["false", "sleep 1000 #"])
def test_workers_that_cannot_start_end_a_sweep_in_one_line(tmp_path: Path, worker: str) -> None:
    program = (
        "from sweeper.run.tune_runner import patience, runner\n"
        "patience.WORKER_TIMEOUT_S = runner.WORKER_TIMEOUT_S = 10.0\n"
        "from sweeper.cli import main\nmain(['run', 'bowls.yaml'])\n"
    )
    (tmp_path / "bowls.yaml").write_text("kind: bowl\n")
    (tmp_path / "hook.py").write_text(
        f"def hook(environment):\n    return {{'py_executable': {worker!r}}}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=_environment(
            PYTHONPATH=f"{tmp_path}{os.pathsep}{_environment()['PYTHONPATH']}",
            RAY_RUNTIME_ENV_HOOK="hook.hook",
            RAY_worker_register_timeout_seconds="3",
        ),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "no Ray worker started within 10 s; " in line
    assert "have not registered within the timeout" in line


# ---- what waits on a cluster -------------------------------------------------------------


def _cluster_file(path: Path, **types: dict[str, Any]) -> Path:
    head = {"resources": {"CPU": 8}, "max_workers": 9}
    config = {
        "max_workers": 4,
        "head_node_type": "head",
        "available_node_types": {"head": head, **types},
    }
    path.write_text(json.dumps(config))
    return path


def test_a_cluster_grows_to_as_many_workers_as_its_file_allows(tmp_path: Path) -> None:
    file = tmp_path / "cluster.json"
    assert slots_when_grown(1, 0, file) is None
    small = {"resources": {"CPU": 2}, "max_workers": 3}
    large = {"resources": {"CPU": 8, "GPU": 1}, "max_workers": 2}
    _cluster_file(file, small=small, large=large)
    assert slots_when_grown(1, 0, file) == 2 * 8 + 2 * 2  # four nodes, the largest first
    assert slots_when_grown(1, 0.25, file) == 8
    assert slots_when_grown(16, 0, file) == 0
    _cluster_file(file, owned={"resources": {}, "max_workers": 2})
    assert slots_when_grown(1, 0, file) is None


def test_where_growth_is_unknown_a_search_that_adapts_gets_one_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert most_trials(2, 1, 0, adapts=True) == 3
    assert most_trials(2, 1, 0, adapts=False) == 34
    monkeypatch.setenv("SWEEPER_MAX_PENDING", "5")
    assert most_trials(2, 1, 0, adapts=True) == 7
    _cluster_file(tmp_path / "ray_bootstrap_config.yaml", w={"resources": {"CPU": 3}})
    assert most_trials(2, 1, 0, adapts=True) == 12


# ---- a cluster with a token --------------------------------------------------------------

TOKEN = "0123456789abcdef" * 4


@pytest.fixture(scope="module")
def token_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A head that was started where a token lies, as after any `ray.init()`."""
    home = tmp_path_factory.mktemp("head")
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text(TOKEN)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with ExitStack() as stack:
        folder = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True)
        )
        command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block"]
        command += [f"--port={port}", "--num-cpus=1", "--include-dashboard=false"]
        command += [f"--temp-dir={folder}", "--object-store-memory=100000000"]
        head = subprocess.Popen(
            command,
            env=_environment(HOME=str(home)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        stack.callback(head.wait)
        stack.callback(head.terminate)
        assert head.stdout is not None
        assert any("Ray runtime started" in line for line in head.stdout)
        yield f"127.0.0.1:{port}"


@pytest.mark.system
def test_a_cluster_says_itself_whether_it_wants_the_token(
    token_cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UserError, match="wants a token, and there is none"):
        service._mode_of(token_cluster, "here")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "f" * 64)
    with pytest.raises(UserError, match="refused the token"):
        service._mode_of(token_cluster, "here")
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    assert service._mode_of(token_cluster, "here") == "token"


@pytest.mark.system
def test_a_sweep_runs_on_a_cluster_with_a_token(token_cluster: str, tmp_path: Path) -> None:
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text(TOKEN)
    (tmp_path / "bowls.yaml").write_text("kind: bowl\n")
    done = subprocess.run(
        [sys.executable, "-m", "sweeper.cli", "run", "bowls.yaml"],
        cwd=tmp_path,
        env=_environment(HOME=str(tmp_path), RAY_ADDRESS=token_cluster),
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "1 run now" in done.stderr
