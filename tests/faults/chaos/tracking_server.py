"""A real MLflow server that can be killed and started again, and a proxy that gives bad answers."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class TrackingServer:
    """`mlflow server` on a SQLite file of its own, at a fixed port on 127.0.0.1."""

    def __init__(self, folder: Path, *, app: str = "") -> None:
        self._app = ["--app-name", app] if app else []
        self._folder, self.port = folder, free_port()
        self.database_uri = f"sqlite:///{folder / 'mlflow.db'}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it answers some seconds later."""
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--workers", "1"]
        command += ["--artifacts-destination", str(self._folder / "artifacts")]
        command += ["--uvicorn-opts", "--log-level warning", *self._app]
        environment = {
            "MLFLOW_BACKEND_STORE_URI": self.database_uri,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env=os.environ | environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_until_up(self, timeout_s: float = 90) -> None:
        deadline = time.monotonic() + timeout_s
        while True:
            with (
                suppress(OSError),
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=2),
            ):
                return
            if time.monotonic() > deadline:
                raise TimeoutError((self._folder / "server.log").read_text()[-2000:])
            with suppress(subprocess.TimeoutExpired):
                if self._process is not None and self._process.wait(0.1):
                    raise RuntimeError((self._folder / "server.log").read_text()[-2000:])

    def kill(self) -> None:
        """SIGKILL to it and its workers."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


Headers = Sequence[tuple[str, str]]
Fault = Callable[["Exchange"], None]
"""What the proxy does with one request."""


class Exchange(BaseHTTPRequestHandler):
    """One request on its way to the server."""

    protocol_version = "HTTP/1.1"
    server: FaultyProxy

    def _serve(self) -> None:
        self.server.n_requests += 1
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.fault(self)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _serve  # noqa: N815

    def ask_server(self) -> tuple[int, list[tuple[str, str]], bytes]:
        """Have the server execute the request; its answer."""
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream_port, timeout=120)
        skipped = ("host", "connection", "accept-encoding")
        headers = {k: v for k, v in self.headers.items() if k.lower() not in skipped}
        with suppress_broken(self):
            upstream.request(self.command, self.path, body=self.body, headers=headers)
            answer = upstream.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        return 502, [], b""

    def answer(self, status: int, headers: Headers = (), body: bytes = b"") -> None:
        skipped = ("content-length", "transfer-encoding", "connection", "date", "server")
        with suppress_broken(self):
            self.send_response(status)
            for name, value in headers:
                if name.lower() not in skipped:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    def hang_up(self) -> None:
        """End the connection without an answer."""
        self.close_connection = True
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def suppress_broken(exchange: Exchange) -> Iterator[None]:
    """Whoever has gone away will not be answered."""
    try:
        yield
    except (OSError, http.client.HTTPException):
        exchange.close_connection = True


class FaultyProxy(ThreadingHTTPServer):
    """Stands before the server and does with each request what `fault` says."""

    daemon_threads = True

    def __init__(self, upstream_port: int) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.upstream_port, self.n_requests = upstream_port, 0
        self.fault: Fault = pass_on
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def close(self) -> None:
        self.shutdown()
        self.server_close()


def pass_on(exchange: Exchange) -> None:
    exchange.answer(*exchange.ask_server())


def status(code: int) -> Fault:
    """An error instead of an answer; the server never hears of the request."""

    def refuse(exchange: Exchange) -> None:
        exchange.answer(code, [("Content-Type", "text/plain")], b"overloaded")

    return refuse


def late(seconds: float, over: threading.Event) -> Fault:
    """The request is executed, and its answer comes so much later, or once it is all over."""

    def delay(exchange: Exchange) -> None:
        answer = exchange.ask_server()
        over.wait(seconds)
        exchange.answer(*answer)

    return delay


def lost_answer(exchange: Exchange) -> None:
    """The request is executed, and its answer is lost."""
    exchange.ask_server()
    exchange.hang_up()
