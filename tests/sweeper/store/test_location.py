from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.errors import UserError
from sweeper.store.location import locate_store


def test_the_default_is_a_folder_here(tmp_path: Path) -> None:
    store = locate_store()
    assert store.root == tmp_path / "results"
    assert store.tracking_uri == f"sqlite:///{tmp_path}/results/mlflow.db"


def test_the_option_wins_over_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert locate_store().tracking_uri == "http://127.0.0.1:5000"
    monkeypatch.setenv("SWEEPER_STORE", str(tmp_path / "team"))
    assert locate_store().root == tmp_path / "team"
    assert locate_store(str(tmp_path / "mine")).root == tmp_path / "mine"


def test_a_server_decides_where_artifacts_go() -> None:
    assert locate_store("http://127.0.0.1:5000").artifact_root == ""
    assert locate_store("postgresql://u@127.0.0.1/db").artifact_root.endswith("/results/artifacts")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("htp://127.0.0.1", "--store: unknown store scheme 'htp'; did you mean 'http'?"),
        ("{file}", "--store: '{file}' is a file; a store is a folder or a URI"),
    ],
)
def test_a_store_that_cannot_be_is_refused(tmp_path: Path, given: str, message: str) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(UserError) as refused:
        locate_store(given.format(file=file))
    assert str(refused.value) == message.format(file=file)
