"""Results as a Python program reads them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from safetensors.numpy import save

import sweeper
from sweeper.api.trial import Figure, _mapped_tensors
from sweeper.store.tracking.api_reader import ApiReader


def test_trials_are_a_typed_table(store: sweeper.Store) -> None:
    trials = store.trials()
    assert len(trials) == 4
    assert str(trials["x"].dtype) == "float64"
    assert {"run_id", "sweep", "state", "loss_validation", "null"} <= set(trials.columns)


def test_trials_can_be_filtered_and_their_columns_chosen(store: sweeper.Store) -> None:
    found = store.trials("x > 0.5 order by loss_held_out", columns=["null", "loss_held_out"])
    assert list(found.columns) == ["null", "loss_held_out"]
    assert list(found["null"]) == ["none", "flat"]
    assert len(store.trials(columns=["x"])) == 4


def test_a_table_comes_as_arrow(store: sweeper.Store) -> None:
    table = store.query("select x from trials order by x", format="arrow")
    assert isinstance(table, pa.Table)
    assert table["x"].to_pylist() == [0.0, 0.0, 1.0, 1.0]


def test_polars_is_asked_for_only_where_it_is_installed(
    store: sweeper.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(sweeper.UserError, match="polars is not installed; pip install polars"):
        store.trials(format="polars")


def test_a_table_comes_as_polars(store: sweeper.Store) -> None:
    polars = pytest.importorskip("polars")
    assert isinstance(store.trials(format="polars"), polars.DataFrame)


def test_sweeps_are_listed_with_their_numbers_of_trials(store: sweeper.Store) -> None:
    [found] = store.sweeps().to_dict("records")
    assert (found["sweep"], found["kind"], found["n_trials"]) == ("bowls", "bowl", 4)
    assert (found["n_complete"], found["n_failed"]) == (4, 0)


@pytest.mark.parametrize(
    ("ask", "line"),
    [
        (lambda s: s.trials("y < 1"), "query: unknown column 'y'"),
        (lambda s: s.trials(columns=["lose_held_out"]), "did you mean 'loss_held_out'?"),
        (lambda s: s.trials("select 1"), "where: a condition is expected; use query"),
        (lambda s: s.trials(columns="x"), "columns: 'x' is text; give a list of names"),
        (lambda s: s.trials(format="csv"), "format: unknown format 'csv'"),
        (lambda s: s.query("drop table trials"), "query: "),
        (lambda s: s.trial("bowls:y=1"), "bowls: unknown field 'y'"),
        (lambda s: s.trial("bowls:x=1"), "2 trials match 'bowls:x=1'; they differ in null"),
        (lambda s: s.trial("bowl:x=1"), "the store holds no sweep 'bowl'; did you mean 'bowls'?"),
    ],
)
def test_a_mistake_is_one_line(store: sweeper.Store, ask: Any, line: str) -> None:
    with pytest.raises(sweeper.UserError) as refused:
        ask(store)
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_folder_without_a_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(sweeper.UserError, match="there is no store yet"):
        sweeper.open_store(tmp_path / "nothing")


def test_a_trial_has_its_config_and_metrics(store: sweeper.Store) -> None:
    trial = store.trial("bowls:x=1 null=none")
    assert trial.config["x"] == 1.0
    assert trial.config["n_steps"] == 2
    assert trial.metrics["distance"] == 1.0
    assert (trial.sweep, trial.kind, trial.state, trial.certified) == (
        "bowls",
        "bowl",
        "COMPLETE",
        True,
    )
    with pytest.raises(TypeError):
        trial.metrics["distance"] = 2.0  # type: ignore[index]


def test_the_history_of_a_metric_is_a_series_by_step(store: sweeper.Store) -> None:
    trial = store.trial("bowls:x=1 null=none")
    history = trial.history("loss_validation")
    assert isinstance(history, pd.Series)
    assert list(history.index[:2]) == [1, 2]
    assert history.iloc[0] == pytest.approx(trial.metrics["loss_validation"] + 1)
    assert history.iloc[-1] == trial.metrics["loss_validation"]
    with pytest.raises(sweeper.UserError, match="reported no metric 'los'"):
        trial.history("los")


def test_the_history_is_the_same_through_mlflow(store: sweeper.Store) -> None:
    trial = store.trial("bowls:x=1 null=none")
    through_mlflow = sweeper.Trial(trial.row, ApiReader(store._place), store._fetch)
    pd.testing.assert_series_equal(
        through_mlflow.history("loss_validation"), trial.history("loss_validation")
    )
    assert through_mlflow.config == trial.config


def test_arrays_are_mapped_and_tables_read(store: sweeper.Store) -> None:
    trial = store.trial("bowls:x=1 null=none")
    point = trial.arrays("point")["x"]
    assert isinstance(point, np.memmap)
    assert point.tolist() == [1.0]
    with pytest.raises(ValueError, match="read-only"):
        point[0] = 2.0
    assert trial.table("trace")["token"].tolist() == ["<b>", "a,b"]
    assert "point.safetensors" in trial.artifacts


def test_tensors_of_every_type_and_shape_are_read(tmp_path: Path) -> None:
    given = {
        "empty": np.empty((0, 3), np.float32),
        "number": np.array(2.5),
        "halves": np.ones((2, 3), np.float16),
        "flags": np.array([True, False]),
        "ids": np.arange(5, dtype=np.int32),
    }
    (tmp_path / "a.safetensors").write_bytes(save(given))
    read = _mapped_tensors(tmp_path / "a.safetensors")
    assert read.keys() == given.keys()
    for name, array in given.items():
        assert (read[name].dtype, read[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(read[name], array)


def test_an_array_that_was_changed_is_refused(swept: Path, tmp_path: Path) -> None:
    shutil.copytree(swept, tmp_path / "copy")
    for path in (tmp_path / "copy").rglob("point.safetensors"):
        path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    trial = sweeper.open_store(tmp_path / "copy").trial("bowls:x=1 null=none")
    with pytest.raises(sweeper.UserError, match="the file was changed or cut short"):
        trial.arrays("point")


def test_an_artifact_that_does_not_exist_gets_a_hint(store: sweeper.Store) -> None:
    trial = store.trial("bowls:x=1 null=none")
    with pytest.raises(sweeper.UserError, match=r"did you mean 'point\.safetensors'"):
        trial.arrays("pont")


def test_a_figure_shows_itself_in_a_notebook(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"picture")
    figure = Figure(tmp_path / "a.png")
    assert figure._repr_png_() == b"picture"
    assert figure.save(tmp_path / "b.png").read_bytes() == b"picture"


def test_store_and_trial_show_themselves_in_a_notebook(store: sweeper.Store) -> None:
    assert "<td>bowls</td>" in store._repr_html_()
    shown = store.trial("bowls:x=1 null=none")._repr_html_()
    assert "<td>loss_held_out</td>" in shown
    assert "<Trial" not in shown  # not markup
    assert "point.safetensors" in shown


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = ("torch", "ray", "mlflow", "pandas", "numpy", "pydantic", "rich", "yaml", "duckdb")
    heavy += ("importlib.metadata",)
    program = (
        "import sys, sweeper\n"
        "names = dir(sweeper)\n"
        f"print(sorted(set({heavy!r}) & set(sys.modules)), 'open_store' in names)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[] True"


def test_a_name_that_the_package_lacks_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'sweeper' has no attribute 'opens'"):
        sweeper.opens  # noqa: B018


def test_every_public_name_exists() -> None:
    for name in sweeper.__all__:
        assert getattr(sweeper, name) is not None
