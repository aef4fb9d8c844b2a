"""A Ray to run on: one of this process alone, or the cluster at RAY_ADDRESS.

What Ray raises on the way becomes one line; so does its silence, after a minute.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import platform
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import ray
from ray._private import ray_constants
from ray._private.services import canonicalize_bootstrap_address
from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

from sweeper.errors import UserError, one_line
from sweeper.run.driver.interrupts import undisturbed
from sweeper.store.scratch import scratch_folder
from trials import machine

START_TIMEOUT_S = 60.0
_CONNECT_TIMEOUT_S = 5.0
_PROBE_TIMEOUT_S = 60.0
# Artifacts of trials on this machine never pass through Ray's object store.
_OBJECT_STORE_BYTES = 256 << 20
_OBJECT_STORE_LEAST_BYTES = 80 << 20  # Ray refuses less than 75 MiB
# Below Ray's folder its sockets are at /session_<date>_<time>_<pid>/sockets/plasma_store, and the
# path of a socket has at most 107 bytes (Linux).
_LONGEST_FOLDER = 107 - len("/session_2000-01-01_00-00-00_000000_4194304/sockets/plasma_store.1")


def cluster_address() -> str | None:
    """RAY_ADDRESS, unless it says that there is no cluster."""
    address = os.environ.get("RAY_ADDRESS", "").strip()
    return None if address in ("", "local") else address


@contextmanager
def own_ray() -> Iterator[Path]:
    """A Ray that only this process and its workers can talk to; yields its folder."""
    with ExitStack() as stack:
        # A token of the user's own, if there is one in the environment, lets other tools in.
        token = os.environ.get("RAY_AUTH_TOKEN") or secrets.token_hex(32)
        stack.enter_context(_authentication(os.environ.get("RAY_AUTH_MODE", "token"), token))
        folder = stack.enter_context(_ray_folder())
        store_bytes = min(_OBJECT_STORE_BYTES, machine.memory_bytes() // 10)
        try:
            _init(
                address="local",
                num_cpus=machine.n_cpus(),
                object_store_memory=max(_OBJECT_STORE_LEAST_BYTES, store_bytes),
                include_dashboard=False,
                _temp_dir=str(folder),
            )
        except Exception as error:
            said = last_words(folder)
            raise UserError(
                f"Ray does not start on this machine: {_reason(error)}", hint=said
            ) from error
        stack.callback(ray.shutdown, wait_for_processes=True)
        yield folder


@contextmanager
def joined_cluster(address: str) -> Iterator[None]:
    """The cluster at `address`, which this machine is a node of."""
    where = f"RAY_ADDRESS={address}"
    if "://" in address:
        raise UserError(
            "a driver runs on a node of its cluster, which 'host:port' or 'auto' names",
            where=where,
            hint="from outside use `sweeper submit SWEEP --cluster FILE`",
        )
    try:
        found = canonicalize_bootstrap_address(address)
    except Exception as error:
        raise UserError(_reason(error), where=where) from error
    with ExitStack() as stack:
        stack.enter_context(_authentication(_mode_of(found, where)))
        try:
            _init(address=found)
        except Exception as error:
            raise UserError(_reason(error), where=where) from error
        stack.callback(ray.shutdown)
        yield


def _init(**options: Any) -> None:
    # Ray read this when it was imported, which the program around us may have done before us.
    ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV = os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] == "1"
    with undisturbed(), _deadline(START_TIMEOUT_S):
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
        except BaseException:
            with suppress(Exception):
                ray.shutdown()
            raise


@contextmanager
def _deadline(timeout_s: float) -> Iterator[None]:
    """TimeoutError in the main thread if the block takes longer; elsewhere Ray's own timeouts."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(number: int, frame: FrameType | None) -> NoReturn:
        raise TimeoutError(f"no answer within {timeout_s:g} s")

    earlier = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)


# ---- authentication ----------------------------------------------------------------------


@contextmanager
def _authentication(mode: str, token: str = "") -> Iterator[None]:
    """Ray's authentication within the block; afterwards the environment is as it was.

    A Ray of our own gets a token by the environment: Ray would write one to the home folder, and
    every `ray start` that finds it there demands it from then on.
    """
    settings = {"RAY_AUTH_MODE": mode} | ({"RAY_AUTH_TOKEN": token} if token else {})
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    _read_again()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        _read_again()


def _read_again() -> None:
    """Ray reads mode and token once in a process."""
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


def _mode_of(address: str, where: str) -> str:
    """Whether the cluster wants a token; only the cluster itself knows.

    Raises:
        UserError: it does not answer, or could not be worked with.
    """
    cluster, asked = _ask(address, where), os.environ.get("RAY_AUTH_MODE", "")
    at = f"the Ray cluster at {address}"
    if cluster["mode"] is None:
        token = "refused the token" if cluster["has_token"] else "wants a token, and there is none"
        hint = "copy ~/.ray/auth_token from its head, or set RAY_AUTH_TOKEN_PATH"
        if where.endswith("=auto"):  # which takes any Ray on this machine, of whatever program
            hint += "; if this is not the cluster you mean, set RAY_ADDRESS=host:port"
        raise UserError(f"{at} {token}", where=where, hint=hint)
    if asked and asked.lower() != cluster["mode"]:
        takes = "wants a token" if cluster["mode"] == "token" else "takes no token"
        raise UserError(f"{at} {takes}, and RAY_AUTH_MODE is '{asked}'", where=where)
    theirs = f"Ray {cluster['ray']} on Python {cluster['python']}"
    if theirs != (ours := f"Ray {ray.__version__} on Python {platform.python_version()}"):
        hint = "both install from constraints.txt, on the same Python"
        raise UserError(f"{at} has {theirs}, this driver {ours}", where=where, hint=hint)
    return str(cluster["mode"])


def _ask(address: str, where: str) -> dict[str, Any]:
    """What the program `probe` finds out; see there."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_TIMEOUT_S).close()
    except (OSError, ValueError) as error:
        raise UserError(f"no Ray answers: {error}", where=where) from error
    # -P: modules next to the program must not hide others.
    command = [sys.executable, "-P", str(Path(__file__).with_name("probe.py")), address]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PROBE_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        what = f"what listens there does not answer as Ray within {_PROBE_TIMEOUT_S:g} s"
        raise UserError(what, where=where) from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise UserError(f"no Ray answers: {one_line(said[-1], 300)}", where=where)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


# ---- folders and logs --------------------------------------------------------------------


@contextmanager
def _ray_folder() -> Iterator[Path]:
    """A folder for Ray's sockets and logs; removed afterwards, unless it is below RAY_TMPDIR.

    It is where RAY_TMPDIR or TMPDIR say, unless that is missing or its path too long for sockets.
    """
    asked, tried = os.environ.get("RAY_TMPDIR"), []
    with ExitStack() as stack:
        for name in filter(None, (asked, os.environ.get("TMPDIR"), *_SHORT)):
            base = Path(name).absolute()
            try:
                if len(os.fsencode(base / "sweeper-ray-12345678")) > _LONGEST_FOLDER:
                    raise OSError(errno.ENAMETOOLONG, "path too long")
                if name == asked:
                    folder = Path(tempfile.mkdtemp(prefix="sweeper-ray-", dir=base))
                else:
                    folder = stack.enter_context(scratch_folder("ray", base))
            except OSError as error:
                tried.append(f"{base} ({error.strerror})")
                continue
            yield folder
            return
    raise UserError(f"no folder for Ray's sockets: {', '.join(tried)}", where="TMPDIR")


_SHORT = ("/tmp", "/var/tmp", "/dev/shm")


def last_words(folder: Path) -> str:
    """The last complaint in the logs of Ray's latest session below `folder`; "" if none."""
    logs = folder / "session_latest" / "logs"
    for pattern in ("worker-*.err", "runtime_env_setup-*.log", "*.err", "raylet.out"):
        for path in sorted(logs.glob(pattern)):
            lines = path.read_text(errors="replace").splitlines()
            if complaints := [line for line in lines if _COMPLAINT.search(line)]:
                return f"{path.name}: {one_line(_PREFIX.sub('', complaints[-1]), 300)}"
    return ""


_PREFIX = re.compile(r"^\[[^]]+\] (\(\w+\) )?(\S+:\d+: )?")  # date, process, place in Ray's source
_COMPLAINT = re.compile(
    r"^\S+ \S+ [EF] |\bERROR\b|^\w*(Error|Exception|Exit)\b|^[Ee]rror\b|: error"
)


def _reason(error: BaseException) -> str:
    """The first cause of what Ray raised, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return one_line(f"{error}" or type(error).__name__, 300)
