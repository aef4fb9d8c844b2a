"""Every command on stores that are away, read-only, or no stores: one line, and no password."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path

import pytest

from sweeper.cli import main
from sweeper.store.tracking import reach

SWEEP = 'kind: bowl\nspace: {x: [0.0, 1.0], "null": [none, flat]}\n'
LOOKING = {
    "ls": ["ls"],
    "ls --json": ["ls", "--json"],
    "show": ["show", "bowls:x=0 null=none"],
    "query": ["query", "x = 0"],
    "diff": ["diff", "bowls:x=0 null=none", "bowls:x=1 null=none"],
    "report": ["report", "-o", "elsewhere.html"],
    "verdict": ["verdict"],
    "fsck": ["fsck"],
    "rerun": ["rerun", "bowls:x=0 null=none"],
    "plan": ["plan", "bowls.yaml"],
}
COMMANDS = {
    **LOOKING,
    "study report": ["study", "report", "-o", "elsewhere.html"],
    "fsck --repair": ["fsck", "--repair"],
    "run": ["run", "bowls.yaml", "--in-process"],
    "serve": ["serve", "--port", "59999"],
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "bowls.yaml").write_text(SWEEP)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def sweeper(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """`sweeper(*words)` runs a command in this process; its code, stdout and stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err

    return run


Run = Callable[..., tuple[int, str, str]]


def demand_one_line(code: int, out: str, err: str) -> None:
    assert (code, out) == (2, ""), err
    assert err.startswith("sweeper: ")
    assert err.count("\n") == 1, err
    assert "secretpw" not in err


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "store",
    [
        "postgresql+psycopg://u:secretpw@127.0.0.1:1/x",
        "postgresql+psycopg2://u:secretpw@127.0.0.1:1/x",
        "http://u:secretpw@127.0.0.1:1",
    ],
)
def test_a_store_that_is_away_is_one_line_without_its_password(
    here: Path, sweeper: Run, store: str, command: str
) -> None:
    if command == "serve" and store.startswith("http"):
        pytest.skip("a server is not served")
    code, out, err = sweeper(*COMMANDS[command], "--store", store)
    demand_one_line(code, out, err)
    assert "does not answer" in err or "is not installed; pip install" in err
    assert sorted(path.name for path in here.iterdir() if path.name != "caches") == ["bowls.yaml"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("store", "rule"),
    [
        ("sqlite:///", "names no file"),
        ("sqlite://", "names no file"),
        ("sqlite:///.", "is a folder"),
        ("postgresql:///", "names no database"),
        ("http://", "names no host"),
        ("bowls.yaml/below", "bowls.yaml' is a file; a store is a folder"),
        ("bowls.yaml", "is a file; a store is a folder"),
        ("x" * 5000, "File name too long"),
    ],
)
def test_what_can_be_no_store_is_told_before_anything_is_written(
    here: Path, sweeper: Run, store: str, rule: str, command: str
) -> None:
    code, out, err = sweeper(*COMMANDS[command], "--store", store)
    demand_one_line(code, out, err)
    assert rule in err
    assert sorted(path.name for path in here.iterdir() if path.name != "caches") == ["bowls.yaml"]


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of somebody who takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(20)
        yield int(listener.getsockname()[1])


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "http"])
def test_a_store_that_never_answers_is_given_up_in_seconds(
    here: Path, sweeper: Run, silent: int, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeper.store.sql.server.PATIENCE_S", 2)  # libpq takes no less
    began = time.monotonic()
    code, out, err = sweeper("ls", "--store", f"{scheme}://u:secretpw@127.0.0.1:{silent}/x")
    demand_one_line(code, out, err)
    assert "does not answer" in err
    assert time.monotonic() - began < 30  # MLflow's client tries for a minute or two


def test_a_store_is_asked_for_a_sign_of_life_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from sweeper.store.location import Store

    asked: list[Store] = []
    monkeypatch.setattr("sweeper.store.tracking.availability._reach_server", asked.append)
    for _ in range(2):
        reach(Store(Path(), "http://127.0.0.1:1/once", ""))
    assert len(asked) == 1


# ---- outputs that cannot be written ---------------------------------------------------------


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, make_store: Callable[[Path], Path]) -> Path:
    """A folder in which the sweep `bowls` has run; nobody may change it."""
    folder = tmp_path_factory.mktemp("swept")
    make_store(folder / "results")
    (folder / "bowls.yaml").write_text(SWEEP)
    with chdir(folder), pytest.raises(SystemExit) as ended:
        main(["run", "bowls.yaml", "--in-process"])
    assert not ended.value.code
    return folder


@pytest.mark.parametrize("output", ["missing/folder/r.html", "bowls.yaml/r.html", "x" * 5000])
def test_a_page_that_cannot_be_written_is_one_line(swept: Path, sweeper: Run, output: str) -> None:
    os.chdir(swept)
    for words in (["report"], ["study", "report"], ["query", "x = 0"]):
        demand_one_line(*sweeper(*words, "-o", output))


def test_a_traceback_can_be_asked_for(
    swept: Path, sweeper: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.chdir(swept)
    monkeypatch.setenv("SWEEPER_TRACEBACK", "1")
    code, _, err = sweeper("report", "-o", "missing/r.html")
    assert code == 2
    assert "Traceback" in err
    assert err.splitlines()[-1] == "sweeper: missing/r.html: No such file or directory"


def test_a_bug_keeps_its_traceback_without_passwords(
    swept: Path, sweeper: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> None:
        raise RuntimeError("postgresql://u:secretpw@h/x")

    os.chdir(swept)
    monkeypatch.setattr("sweeper.cli.looking.trials_table", broken)
    code, _, err = sweeper("ls")
    assert code == 1
    assert "RuntimeError: postgresql://u:***@h/x" in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_under_the_output_is_one_line(swept: Path) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "sweeper.cli", "ls"]
        done = subprocess.run(
            command, cwd=swept, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr == "sweeper: cannot write the output: No space left on device\n"


# ---- a store that may only be read ----------------------------------------------------------

# Several commands in one process: loading the libraries costs more than the commands.
EACH = """
import io, json, os, sys
from contextlib import redirect_stderr, redirect_stdout
from sweeper.cli import main
done = {}
for name, words in json.loads(sys.argv[1]).items():
    out, err = io.TextIOWrapper(io.BytesIO(), write_through=True), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main(words)
        except SystemExit as ended:
            code = ended.code
    done[name] = [code, out.buffer.getvalue().decode(), err.getvalue()]
print(json.dumps(done))
"""


def without_roots_rights() -> None:
    """In a child that runs as root: may not write what permissions forbid."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            if libc.prctl(24, capability, 0, 0, 0):  # PR_CAPBSET_DROP
                raise OSError(ctypes.get_errno(), "prctl")


@pytest.mark.skipif(sys.platform != "linux", reason="drops capabilities of Linux")
def test_a_read_only_store_can_be_read(swept: Path, tmp_path: Path) -> None:
    (tmp_path / "bowls.yaml").write_text(SWEEP)
    whole, killed = (tmp_path / name / "re sults #1%" for name in ("whole", "killed"))
    for store in (whole, killed):
        shutil.copytree(swept / "results", store)
    leave_a_log(killed / "mlflow.db")
    asked = LOOKING | {name: COMMANDS[name] for name in ("run", "fsck --repair")}
    words = {name: [*command, "--store", str(whole)] for name, command in asked.items()}
    words |= {f"killed {name}": [*LOOKING[name], "--store", str(killed)] for name in ("ls", "plan")}
    for path in (*whole.parent.rglob("*"), *killed.parent.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    ran = subprocess.run(
        [sys.executable, "-c", EACH, json.dumps(words)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=without_roots_rights,
    )
    for path in (*whole.parent.rglob("*"), *killed.parent.rglob("*")):
        path.chmod(0o755)
    assert ran.returncode == 0, ran.stderr
    done = json.loads(ran.stdout)
    for name in ("run", "fsck --repair"):
        code, out, err = done.pop(name)
        demand_one_line(code, out, err)
        assert "read-only" in err or "readonly" in err
    for name, (code, _, err) in done.items():
        assert code == 0, f"{name}: {err}"
    assert json.loads(done["ls --json"][1])[0]["state"] == "COMPLETE"
    assert "4 exist, 0 to run" in done["plan"][1]
    assert "4 exist, 0 to run" in done["killed plan"][1]
    assert done["verdict"][1]
    assert "note: the verdict is not recorded in the store" in done["verdict"][2]


def leave_a_log(database: Path) -> None:
    program = (
        "import os, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1])\n"
        "c.execute(\"UPDATE experiments SET last_update_time = 5 WHERE name = 'bowls'\")\n"
        "c.commit()\n"
        "os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(database)], check=True)
    assert database.with_name("mlflow.db-wal").stat().st_size
