"""Queries on the tables and arrays that trials left, as a kind writes and a user asks for them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sweeper.errors import UserError
from sweeper.records import Artifact, TrialRow
from sweeper.run.worker import execute
from sweeper.store.artifacts import manifest, verify
from sweeper.store.results_table import query
from sweeper.store.tables import relations
from sweeper.store.tables.files import read_table
from sweeper.store.tables.relations import TableSource
from tests.sweeper.store.test_results_table import row
from trials.api import TrialResult

PROJECT = Path(__file__).parents[4]


class Trials:
    """Trials with artifacts in a folder each; notes what is fetched."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rows: list[TrialRow] = []
        self.fetched: list[str] = []

    def add(self, name: str, result: TrialResult, **changes: Any) -> None:
        folder = self.root / f"run-{name}"
        folder.mkdir()
        execute._write(result, folder)
        self.rows.append(row(name, artifacts=manifest(folder), **changes))

    def ask(self, text: str) -> list[tuple[Any, ...]]:
        answer = query(self.rows, text, tables=TableSource(self._of, self._fetch))
        return [tuple(line) for line in answer.itertuples(index=False)]

    def _of(self, run_ids: Sequence[str]) -> list[TrialRow]:
        return [row for row in self.rows if row.run_id in run_ids]

    def _fetch(self, run_id: str, path: str) -> Path:
        [artifact] = [a for r in self._of([run_id]) for a in r.artifacts if a.path == path]
        self.fetched.append(f"{run_id}/{path}")
        return verify(self.root / run_id / path, artifact)


@pytest.fixture
def trials(tmp_path: Path) -> Trials:
    return Trials(tmp_path)


def result(**parts: Any) -> TrialResult:
    return TrialResult(metrics={}, **parts)


def dictionary(top_tokens: list[list[str]], errors: list[float]) -> TrialResult:
    """What a pursuit leaves: its atoms with their top tokens, and the error of each token."""
    top = [json.dumps([[token, 0.5] for token in tokens]) for tokens in top_tokens]
    tokens = {
        "token": np.array(["the", "königs", "{}"], dtype=object),
        "squared_error": np.array(errors),
        "variance": np.ones(3),
        "side": np.array([0, 2, 2]),
    }
    atoms = {"atom": list(range(len(top))), "n_tokens": [7] * len(top), "top_tokens": top}
    return result(tables={"atoms": atoms}, arrays={"tokens": tokens})


def documented(holding: str) -> str:
    """The query in the README that holds a text, without the quotes of the shell."""
    quoted = re.findall(r'sweeper query "((?:[^"\\]|\\.)*)"', (PROJECT / "README.md").read_text())
    [text] = [each for each in quoted if holding in each]
    return str(text.replace('\\"', '"'))


def test_the_atoms_of_a_sweep_whose_top_tokens_hold_a_word(trials: Trials) -> None:
    trials.add("a", dictionary([["king", "queen"], ["kings"]], [0, 0, 0]), sweep="pursuit")
    trials.add("b", dictionary([["king"]], [0, 0, 0]), sweep="others")
    text = documented("table('atoms'")
    assert trials.ask(text) == [("a", 0, '[["king", 0.5], ["queen", 0.5]]')]
    assert trials.fetched == ["run-a/atoms.csv"], "only what the condition names is fetched"


def test_tokens_that_every_dictionary_codes_badly(trials: Trials) -> None:
    trials.add("a", dictionary([], [0.1, 0.9, 0.95]), sweep="pursuit")
    trials.add("b", dictionary([], [0.2, 0.6, 0.7]), sweep="pursuit")
    trials.add("null", dictionary([], [0.9, 0.9, 0.1]), sweep="pursuit", is_control=True)
    assert trials.ask(documented("table('tokens'")) == [("{}", 0.7), ("königs", 0.6)]


def test_columns_get_the_type_that_fits_the_values_of_all_trials(trials: Trials) -> None:
    one = {
        "n": [1, 2],
        "size": [1, 2],
        "x": [1, float("nan")],
        "flag": [True, False],
        "t": ["", "1"],
    }
    other = {"n": [3], "size": ["4x"], "x": [0.5], "t": ["NA"], "more": [1]}
    trials.add("a", result(tables={"t": one}))
    trials.add("b", result(tables={"t": other}))
    names = ("n", "size", "x", "flag", "t", "more")
    types = ", ".join(f"typeof({name})" for name in names)
    assert trials.ask(f"select {types} from table('t') limit 1") == [
        ("BIGINT", "VARCHAR", "DOUBLE", "BOOLEAN", "VARCHAR", "BIGINT")
    ]
    counts = ", ".join(f"count({name})" for name in names)
    assert trials.ask(f"select {counts} from table('t')") == [(3, 3, 2, 2, 3, 1)]
    assert trials.ask("select t from table('t') order by t") == [("",), ("1",), ("NA",)]


def test_texts_come_back_as_they_were_from_tables_and_from_arrays(trials: Trials) -> None:
    texts = ["", "a,b", '"', "x\ny", "\ud55c", "007", "\x00", " "]
    trials.add("a", result(tables={"t": {"token": texts}}, arrays={}))
    trials.add("b", result(arrays={"t": {"token": np.array(texts, dtype=object)}}))
    for run in ("run-a", "run-b"):
        found = trials.ask(f"select token from table('t', run_id = '{run}')")
        assert [text for (text,) in found] == texts


def test_arrays_and_parquet_files_are_tables_if_they_are_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1, 2]}), tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").to_pydict() == {"x": [1, 2]}
    execute._write(result(arrays={"matrix": {"atoms": np.ones((2, 3))}}), tmp_path)
    execute._write(result(arrays={"uneven": {"a": np.ones(2), "b": np.ones(3)}}), tmp_path)
    for name in ("matrix", "uneven"):
        with pytest.raises(UserError, match=r"is no table: its arrays have several dimensions"):
            read_table(tmp_path / f"{name}.safetensors")
    (tmp_path / "rubbish.safetensors").write_bytes(b"\xff" * 100)
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "uneven.csv").write_bytes(b"a,b\n1,2\n3\n")
    (tmp_path / "latin.csv").write_bytes(b"a\n\xe4\n")
    for name in ("rubbish.safetensors", "empty.csv", "uneven.csv", "latin.csv"):
        with pytest.raises(UserError, match=f"{name}: is no table: "):
            read_table(tmp_path / name)


def test_a_damaged_table_is_never_read(trials: Trials) -> None:
    trials.add("a", result(tables={"t": {"x": [1]}}))
    (trials.root / "run-a" / "t.csv").write_text("x\n2\n")
    with pytest.raises(UserError, match=r"artifact 't.csv' has SHA-256 .* the file was changed"):
        trials.ask("select x from table('t')")


def test_a_pruned_table_has_no_rows_and_a_name_column_of_its_own_is_kept(trials: Trials) -> None:
    trials.add("a", result(tables={"t": {"run_id": ["mine"]}}))
    trials.add("b", result(tables={"t": {"run_id": ["theirs"]}}), pruned=("t.csv",))
    found = trials.ask("select run_id, table_run_id from table('t')")
    assert found == [("run-a", "mine")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("select * from table('ts')", "query: no table 'ts' of 2 trials; did you mean 't'?"),
        ("select * from table('t', sweep = 'x')", "no table 't' of no trial; its condition fits"),
        ("select * from table('t', nn > 1)", "unknown column 'nn'"),
        ("select * from table('t', 1); select 2", "only one SELECT"),
        ("select * from table('t', true); drop table trials", "only one SELECT"),
        ("select * from table('t', true; drop table trials)", "syntax error"),
        ("select * from table('t', 1 in (select 1 from read_csv('x.csv')))", "disabled"),
        ("select * from table('/etc/passwd')", "no table '/etc/passwd' of 2 trials"),
        ("select y from table('t')", "unknown column 'y'"),
    ],
)
def test_a_wrong_call_is_refused_in_one_line(trials: Trials, text: str, said: str) -> None:
    for name in ("a", "b"):
        trials.add(name, result(tables={"t": {"x": [1]}}))
    with pytest.raises(UserError) as caught:
        trials.ask(text)
    assert said in str(caught.value)


def test_more_than_fits_into_memory_is_refused_before_it_is_fetched(
    trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relations, "MOST_BYTES", 100)
    large = Artifact(path="t.csv", sha256="0" * 64, n_bytes=101)
    trials.rows.append(row("a", artifacts=(large,), sweep="pursuit"))
    with pytest.raises(UserError, match=r"say of which trials, as in table\('t', sweep = 'pursuit"):
        trials.ask("select * from table('t')")
    assert trials.fetched == []


def test_a_query_without_tables_to_read_says_so() -> None:
    with pytest.raises(UserError, match=r"table\('t'\) cannot be read here"):
        query([row("a")], "select * from table('t')")
