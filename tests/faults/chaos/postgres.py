"""A private PostgreSQL server, made with initdb on 127.0.0.1."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from chaos.tracking_server import free_port


def binaries() -> Path | None:
    """The folder of initdb and pg_ctl; None where PostgreSQL is not installed."""
    found = [path for path in (shutil.which("initdb"), shutil.which("pg_ctl")) if path]
    if config := shutil.which("pg_config"):
        asked = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)
        found.append(f"{asked.stdout.strip()}/initdb")
    # Debian keeps them out of the path; the newest version.
    debian = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    found += [str(path) for path in sorted(debian, key=lambda p: float(p.parts[-3]), reverse=True)]
    folders = (Path(path).resolve().parent for path in found)
    return next((f for f in folders if all((f / n).exists() for n in ("initdb", "pg_ctl"))), None)


class Postgres:
    """A server in `folder`, which must be reachable for the user that it runs as.

    PostgreSQL refuses to run as root: then it runs as nobody.
    """

    def __init__(self, folder: Path, binaries: Path) -> None:
        self._binaries, self._data, self._port = binaries, folder / "data", free_port()
        self._log = folder / "log"
        self._as_user = ["runuser", "-u", "nobody", "--"] if os.geteuid() == 0 else []
        if self._as_user:
            shutil.chown(folder, "nobody")
        self._do(
            "initdb",
            "--no-sync",
            "-D",
            str(self._data),
            "-U",
            "sweeper",
            "-A",
            "trust",
            "-E",
            "UTF8",
        )
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
        self._options = ["-D", str(self._data), "-l", str(self._log), "-o", options, "-w"]
        self._do("pg_ctl", "start", *self._options)

    @property
    def uri(self) -> str:
        """The database that initdb makes."""
        return f"postgresql://sweeper@127.0.0.1:{self._port}/postgres"

    def restart(self) -> None:
        """End it as a crash does, connections and all, and start it again."""
        self._do("pg_ctl", "restart", "-m", "immediate", *self._options)

    def stop(self) -> None:
        self._do("pg_ctl", "stop", "-m", "immediate", "-D", str(self._data))

    def _do(self, program: str, *words: str) -> None:
        command = [*self._as_user, str(self._binaries / program), *words]
        # pg_ctl's server keeps its output open: nobody must wait for the end of it.
        done = subprocess.run(
            command,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode:
            said = self._log.read_text() if self._log.exists() else ""
            raise RuntimeError(f"{program} ended with {done.returncode}: {said[-1000:]}")
