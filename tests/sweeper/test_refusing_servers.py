"""Servers that refuse: wrong passwords, users who may only read, results deleted by someone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from chaos.postgres import Postgres, binaries
from chaos.tracking_server import TrackingServer

pytestmark = pytest.mark.system

SWEEP = 'kind: bowl\nspace: {x: [0.0, 1.0], "null": [none, flat]}\n'
ADMIN = ("admin", "adminsecretpw")


class Shell:
    """Commands of one user, each in a process of its own."""

    def __init__(self, folder: Path, uri: str, user: str = "", password: str = "") -> None:
        folder.mkdir(exist_ok=True)
        (folder / "bowls.yaml").write_text(SWEEP)
        self._folder = folder
        self._environment = os.environ | {"MLFLOW_TRACKING_URI": uri}
        if user:
            self._environment |= {
                "MLFLOW_TRACKING_USERNAME": user,
                "MLFLOW_TRACKING_PASSWORD": password,
            }

    def __call__(self, *words: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "sweeper.cli", *words],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "secretpw" not in done.stdout + done.stderr
        return done.returncode, done.stdout, done.stderr

    def refused(self, *words: str) -> str:
        """The one line with which a command ends."""
        code, out, err = self(*words)
        assert (code, out) == (2, ""), err
        assert err.count("\n") == 1, err
        return err


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, make_store: Callable[[Path], Path]
) -> Iterator[TrackingServer]:
    """A server with basic authentication, where everyone may read and nobody else write."""
    pytest.importorskip("flask_wtf", reason="MLflow's basic authentication needs Flask-WTF")
    folder = make_store(tmp_path_factory.mktemp("auth") / "store")
    users = folder / "users.db"
    (folder / "auth.ini").write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{users}\n"
        f"admin_username = {ADMIN[0]}\nadmin_password = {ADMIN[1]}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    patch = pytest.MonkeyPatch()
    patch.setenv("MLFLOW_AUTH_CONFIG_PATH", str(folder / "auth.ini"))
    patch.setenv("MLFLOW_AUTH_ADMIN_PASSWORD", ADMIN[1])
    patch.setenv("MLFLOW_FLASK_SERVER_SECRET_KEY", "a key of this test")
    patch.setenv("MLFLOW_SERVER_ALLOWED_HOSTS", "*")
    server = TrackingServer(folder, app="basic-auth")
    server.start()
    patch.undo()
    try:
        server.wait_until_up()
        for name in ("ada", "bob"):
            create_user(server, name)
        yield server
    finally:
        server.kill()


def create_user(server: TrackingServer, name: str) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/api/2.0/mlflow/users/create",
        data=json.dumps({"username": name, "password": f"{name}-secretpw-1"}).encode(),
        headers={
            "Content-Type": "application/json",
            "Authorization": "Basic " + b64encode(":".join(ADMIN).encode()).decode(),
        },
    )
    urllib.request.urlopen(request, timeout=30).close()


def test_a_server_tells_wrong_credentials_from_none_and_reading_from_writing(
    server: TrackingServer, tmp_path: Path
) -> None:
    uri = f"http://127.0.0.1:{server.port}"
    ada = Shell(tmp_path / "ada", uri, "ada", "ada-secretpw-1")
    code, _, err = ada("run", "bowls.yaml", "--in-process")
    assert code == 0, err

    wrong = Shell(tmp_path / "wrong", uri, "ada", "other-secretpw")
    for words in (["ls"], ["run", "bowls.yaml", "--in-process"]):
        assert "the store refused the credentials of 'ada'" in wrong.refused(*words)
    in_uri = Shell(tmp_path / "uri", f"http://ada:other-secretpw@127.0.0.1:{server.port}")
    assert "ada:***@127.0.0.1" in in_uri.refused("ls")
    nobody = Shell(tmp_path / "nobody", uri)
    assert "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in nobody.refused("ls")

    bob = Shell(tmp_path / "bob", uri, "bob", "bob-secretpw-1")
    assert "'bob' has no permission for this" in bob.refused(
        "run", "bowls.yaml", "--in-process", "--force"
    )
    assert not (tmp_path / "bob" / "results").exists()
    code, out, err = bob("verdict")
    assert code == 0
    assert out
    assert "note: the verdict is not recorded in the store" in err
    code, out, _ = bob("ls", "--json")
    assert len(json.loads(out)) == 4

    # Her own password in the URI works, and is shown nowhere: Shell looks.
    own = Shell(tmp_path / "own", f"http://ada:ada-secretpw-1@127.0.0.1:{server.port}")
    code, out, err = own("run", "bowls.yaml", "--in-process")
    assert code == 0, err
    assert "open UI: http://ada:***@127.0.0.1" in out


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    if (folder := binaries()) is None:
        pytest.skip("no PostgreSQL: install the package postgresql (initdb and pg_ctl)")
    with tempfile.TemporaryDirectory(prefix="refusing-postgres-") as root:
        server = Postgres(Path(root), folder)
        yield server
        server.stop()


def test_postgresql_tells_wrong_passwords_and_who_may_only_read(
    postgres: Postgres, tmp_path: Path
) -> None:
    owner = Shell(tmp_path / "owner", postgres.uri)
    code, _, err = owner("run", "bowls.yaml", "--in-process")
    assert code == 0, err
    with psycopg.connect(postgres.uri, autocommit=True) as admin:
        admin.execute("CREATE ROLE reader LOGIN PASSWORD 'readersecretpw'")
        admin.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    reader = Shell(tmp_path / "reader", postgres.uri.replace("sweeper@", "reader:readersecretpw@"))
    said = reader.refused("run", "bowls.yaml", "--in-process", "--force")
    assert "'reader' may not write here: permission denied for table experiments" in said
    assert not (tmp_path / "reader" / "results").exists()
    code, out, _ = reader("ls", "--json")
    assert (code, len(json.loads(out))) == (0, 4)
    code, out, err = reader("verdict")
    assert (code, bool(out)) == (0, True)
    assert "note: the verdict is not recorded in the store" in err

    nobody = Shell(tmp_path / "nobody", postgres.uri.replace("sweeper@", "ada:secretpw@"))
    assert "the store refused the credentials of 'ada'" in nobody.refused("ls")
    missing = Shell(tmp_path / "missing", postgres.uri.replace("/postgres", "/elsewhere"))
    assert 'database "elsewhere" does not exist' in missing.refused("ls")


def test_a_password_reaches_no_file_no_record_and_no_process_list(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory(prefix="ray-") as ray_folder:  # short: Ray puts sockets there
        monkeypatch.setenv("RAY_TMPDIR", ray_folder)
        uri = postgres.uri.replace("sweeper@", "sweeper:secretpw@")
        owner = Shell(tmp_path / "leaks", uri)
        commands: set[bytes] = set()
        watcher = threading.Thread(target=note_commands, args=(commands, done := threading.Event()))
        watcher.start()
        code, _, err = owner("run", "bowls.yaml", "--force")
        done.set()
        watcher.join()
        assert code == 0, err
        assert any(b"ray" in command for command in commands)
        assert not [command for command in commands if b"secretpw" in command]
        files = [*Path(ray_folder).rglob("*"), *(tmp_path / "leaks").rglob("*")]
        files = [path for path in files if path.is_file()]
        assert [path for path in files if path.name.startswith("experiment_state")]
        assert not [path for path in files if b"secretpw" in path.read_bytes()]
    with psycopg.connect(postgres.uri) as database:
        for table in ("tags", "params", "experiment_tags"):
            query = f"SELECT count(*) FROM {table} WHERE value LIKE '%secretpw%'"
            assert database.execute(query).fetchone() == (0,)  # type: ignore[arg-type]


def note_commands(seen: set[bytes], done: threading.Event) -> None:
    """Note the command line of every process until `done`."""
    while not done.wait(0.2):
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):  # it has ended
                seen.add(path.read_bytes())
