"""Isolation and shared fixtures: every home, cache and store of a test lies under `tmp_path`.

How the tests are laid out:

    sweeper/, trials/, study/    mirror the tree; each room has a conftest with its own fixtures
    trials/test_contract.py      one suite for every kind, built-in or installed
    sweeper/run/test_runners.py  one suite for both runners
    faults/                      real processes and signals; `faults/chaos` is what they are made of
    cluster/                     a one-machine Ray cluster over sshd
    plugin/                      an outside package of toy kinds, as small as a test needs them
    test_laws.py                 which way imports run
    test_docs.py, test_readme.py the documents name only what exists, and their examples run

The marker `system` (a server, an sshd, many processes) is deselected by default and run by
`make test-system`; `chaos` (a fault that takes long) by `make chaos`. Numbers are compared with
certificates and planted structure, never with stored digits.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a busy machine is no fault
settings.load_profile("untimed")

PLUGIN = Path(__file__).parent / "plugin"

# The toy kinds are an outside package: importable here and, by PYTHONPATH, in Ray's workers.
sys.path.insert(0, str(PLUGIN))
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(PLUGIN), *filter(None, [os.environ.get("PYTHONPATH")])]
)

# A shell starts jobs in the background with Ctrl-C ignored, and their children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

CACHES = ("XDG_CACHE_HOME", "SWEEPER_CACHE", "HF_HOME")
SERVICES = ("SWEEPER_STORE", "MLFLOW_TRACKING_URI", "RAY_ADDRESS", "HF_TOKEN", "HF_ENDPOINT")
SERVICES += ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


@pytest.fixture(scope="session", autouse=True)
def private_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One home a test run: Ray keeps a token there that this process then holds on to.

    What a module's tests share is made before `isolated` sees the first of them.
    """
    home = tmp_path_factory.mktemp("home")
    os.environ["HOME"] = str(home)
    for name in CACHES:
        os.environ[name] = str(home / "caches" / name.lower())
    for name in SERVICES:
        os.environ.pop(name, None)


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's caches, store or hub."""
    for name in CACHES:
        monkeypatch.setenv(name, str(tmp_path / "caches" / name.lower()))
    for name in SERVICES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty tracking database: its migrations cost seconds, so they are paid once."""
    from sweeper.store.location import locate_store
    from sweeper.store.tracking import Results

    root = tmp_path_factory.mktemp("template")
    Results(locate_store(str(root))).sweep_names()
    return root / "mlflow.db"


@pytest.fixture(scope="session")
def make_store(migrated_database: Path) -> Callable[[Path], Path]:
    """`make_store(folder)` makes a store folder there with a migrated database."""

    def make(folder: Path) -> Path:
        folder.mkdir()
        for suffix in ("", "-wal", "-shm"):
            source = Path(f"{migrated_database}{suffix}")
            if source.exists():
                shutil.copy(source, f"{folder / 'mlflow.db'}{suffix}")
        return folder

    return make


@pytest.fixture
def store_dir(tmp_path: Path, make_store: Callable[[Path], Path]) -> Path:
    """A fresh store folder with a migrated database."""
    return make_store(tmp_path / "results")


@pytest.fixture
def write_sweep(tmp_path: Path) -> Callable[..., Path]:
    """`write_sweep(text, name)` writes a sweep file and returns its path."""

    def write(text: str, name: str = "bowls") -> Path:
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        return path

    return write
