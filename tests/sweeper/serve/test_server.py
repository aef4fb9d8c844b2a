from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from sweeper.errors import UserError
from sweeper.serve.server import serve

SERVE = (
    "import sys; from sweeper.serve.server import serve; sys.exit(serve(*sys.argv[1:3], port={}))"
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def status(address: str, host: str) -> int:
    request = urllib.request.Request(address, headers={"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.fixture
def served(store_dir: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that serves an empty store, and its address."""
    port = free_port()
    store_uri, artifact_root = f"sqlite:///{store_dir}/mlflow.db", str(store_dir / "artifacts")
    command = [sys.executable, "-c", SERVE.format(port), store_uri, artifact_root]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if line.startswith("MLflow: "):
            break
    assert f"MLflow: http://127.0.0.1:{port}" in said, said
    yield process, f"http://127.0.0.1:{port}"
    process.kill()
    process.communicate()


@pytest.mark.system
def test_the_ui_answers_on_its_own_names_only_and_a_signal_leaves_nothing_behind(served):
    process, address = served
    host = address.removeprefix("http://")
    family = psutil.Process(process.pid).children(recursive=True)
    assert status(address, host) == 200
    assert status(address, host.replace("127.0.0.1", "localhost")) == 200
    assert status(address, "elsewhere.example") == 403
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert family
    assert not [child for child in family if child.is_running()]


@pytest.mark.parametrize(
    ("store_uri", "message"),
    [
        (
            "sqlite:////no/such/mlflow.db",
            "--store: no results at /no/such/mlflow.db; `sweeper run`",
        ),
        ("http://127.0.0.1:5000", "is a server already"),
        ("sqlit:///x.db", "unknown store scheme 'sqlit'; did you mean 'sqlite'?"),
    ],
)
def test_a_store_that_cannot_be_served_is_named(store_uri, message):
    with pytest.raises(UserError) as caught:
        serve(store_uri, "artifacts")
    assert message in str(caught.value)


def test_a_port_in_use_is_named(tmp_path):
    (tmp_path / "mlflow.db").touch()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"cannot listen on 127.0.0.1:{port}: .*in use; name"):
            serve("sqlite:///mlflow.db", "artifacts", port=port)


@pytest.mark.system
def test_a_server_that_does_not_start_is_reported(tmp_path):
    (tmp_path / "mlflow.db").write_text("no database" * 100)
    with pytest.raises(UserError, match="ended with code 1 before it answered; its own message"):
        serve("sqlite:///mlflow.db", "artifacts", port=free_port())
