"""The tracking server and UI on a store, as a process of its own that ends with us."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

from sweeper.errors import UserError, nearest

_DATABASES = ("sqlite", "postgresql", "mysql")
_LOOPBACK = ("127.0.0.1", "localhost")
_POLL_S = 0.2
_STOP_S = 10


def serve(
    store_uri: str,
    artifact_root: str,
    *,
    host: str = "127.0.0.1",
    port: int = 5000,
    allowed_hosts: Sequence[str] = (),
) -> int:
    """Run MLflow's tracking server and UI on a store until SIGINT or SIGTERM.

    Args:
        store_uri: the database, such as sqlite:////path/mlflow.db or postgresql://user@host/db.
        artifact_root: where the server keeps artifacts that clients send it.
        host: the address to listen on; on 127.0.0.1 only this machine reaches it.
        port: the port to listen on.
        allowed_hosts: further names under which clients may reach the server, such as
            sweeps.lab.org; others get 403 (against DNS rebinding).

    Returns:
        0 after a signal, otherwise the exit code of a server that ended by itself.

    Raises:
        UserError: no such database, port in use, or the server did not start.
    """
    _check_store(store_uri)
    _check_port(host, port)
    address = f"http://{_LOOPBACK[0] if host == '0.0.0.0' else host}:{port}"
    command = _command(artifact_root, host, port, allowed_hosts)
    with _signals_raise_stop():
        # A session of its own: the server's workers are in its group, and Ctrl-C reaches them
        # through us, once.
        process = subprocess.Popen(command, env=_environment(store_uri), start_new_session=True)
        try:
            _wait_until_up(process, address)
            print(f"MLflow: {address} (Ctrl-C ends it)", file=sys.stderr, flush=True)
            return process.wait()
        except _StopServing:
            return 0
        finally:
            _stop_group(process)


class _StopServing(Exception):
    """SIGINT or SIGTERM arrived."""


def _check_store(store_uri: str) -> None:
    scheme = urlsplit(store_uri).scheme.partition("+")[0]
    if scheme in ("http", "https"):
        raise UserError(f"'{store_uri}' is a server already; open it in a browser", where="--store")
    if scheme not in _DATABASES:
        raise UserError(
            f"unknown store scheme '{scheme}'", where="--store", hint=nearest(scheme, _DATABASES)
        )
    if scheme == "sqlite":
        path = Path(store_uri.partition(":///")[2])
        if not path.is_file():
            raise UserError(f"no results at {path}", where="--store", hint="`sweeper run` first")


def _check_port(host: str, port: int) -> None:
    try:
        family, *_, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except (OSError, OverflowError) as error:
        raise UserError(
            f"cannot listen on {host}:{port}: {error}", hint="name another with --port"
        ) from None


def _command(artifact_root: str, host: str, port: int, allowed_hosts: Sequence[str]) -> list[str]:
    names = dict.fromkeys([*_LOOPBACK, host, socket.gethostname(), *allowed_hosts])
    allowed = [with_port for name in names for with_port in (name, f"{name}:{port}")]
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--host", host, "--port", str(port), "--workers", "1"),
        *("--artifacts-destination", artifact_root),
        *("--allowed-hosts", ",".join(allowed)),
        *("--uvicorn-opts", "--log-level warning"),
    ]


def _environment(store_uri: str) -> dict[str, str]:
    return os.environ | {
        # Not an argument: a database's password would stand in the list of processes.
        "MLFLOW_BACKEND_STORE_URI": store_uri,
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        # Its job queue starts three more processes, for features that sweeps do not use.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def _wait_until_up(process: subprocess.Popen[bytes], address: str) -> None:
    while process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=1):
                return
        except (urllib.error.URLError, OSError):
            try:
                process.wait(_POLL_S)
            except subprocess.TimeoutExpired:
                continue
    raise UserError(
        f"the tracking server ended with code {process.returncode} before it answered",
        hint="its own message is above",
    )


@contextmanager
def _signals_raise_stop() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        for other in before:
            signal.signal(other, signal.SIG_IGN)  # a second Ctrl-C must not interrupt the clean-up
        raise _StopServing

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop_group(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(_STOP_S)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
