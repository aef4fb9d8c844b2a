"""A sweep that runs after another: options for both, entries that stand for what trials left."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from sweeper.cli import cli
from sweeper.declare.canonical import sweep_text
from sweeper.declare.loading import load_sweep
from sweeper.declare.reader import parse_document
from sweeper.errors import UserError
from sweeper.records import TrialRow
from sweeper.run.lineage import with_runs_of
from sweeper.store.location import locate_store
from sweeper.store.tracking import Results, Tracking

Write = Callable[[str], str]


def test_an_option_for_a_field_of_the_first_sweep_goes_to_it(write: Write) -> None:
    Path("base.yaml").write_text("kind: pretrain\nspace: {tying: [tied, untied]}\n")
    text = (
        "kind: pursuit\nafter: base.yaml\nfixed: {n_atoms: 2x, l1_penalty: 0.3}\n"
        "space: {source: {runs: base}}\n"
    )
    sweep = load_sweep(write(text), overrides=["size=small", "n_atoms=4x", "after.set.seeds=2"])
    assert sweep.after is not None
    assert sweep.after.set == {"size": "small", "seeds": 2}
    assert sweep.fixed["n_atoms"] == "4x"
    assert parse_document(sweep_text(sweep), "s").values["space"] == {"source": {"runs": "base"}}


def test_an_option_goes_to_both_sweeps_of_one_kind(write: Write) -> None:
    sweep = load_sweep("frozen", overrides=["size=small", "learning_rate=0.001", "seeds=2"])
    assert sweep.after is not None
    assert sweep.after.set == {"size": "small", "learning_rate": 0.001}
    assert sweep.fixed["size"] == "small"
    first = sweep.predecessor
    assert first is not None
    assert (first.fixed["size"], first.fixed["learning_rate"]) == ("small", 0.001)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{runs: base, wher: {}}", "space.source.wher: unknown key 'wher'; did you mean 'where'?"),
        ("{runs: 3}", "space.source.runs: given 3"),
    ],
)
def test_a_mistake_in_an_entry_of_runs_gets_one_line(
    write: Write, entry: str, message: str
) -> None:
    text = f"kind: pursuit\nfixed: {{n_atoms: 2x, l1_penalty: 0.3}}\nspace: {{source: {entry}}}\n"
    with pytest.raises(UserError) as caught:
        load_sweep(write(text))
    assert message in str(caught.value)


BASE = """\
kind: pretrain
fixed:
  corpus_bytes: 150000
  validation_frac: 0.1
  held_out_frac: 0.1
  n_vocab: 300
  n_layers: 1
  n_heads: 2
  d_model: 16
  context: 16
  n_tokens: 2048
  batch_size: 8
  warm_up_steps: 4
  n_evaluations: 1
  evaluation_tokens: 500
  n_snapshots: 3
space: {tying: [untied, tied]}
"""
READER = """\
kind: pursuit
after: base.yaml
fixed: {n_atoms: 2x, l1_penalty: 0.3, max_passes: 2, frequencies: source, frequency_exponent: 0.5}
space: {source: {runs: base, where: {tying: untied}}}
"""


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, make_store: Callable[[Path], Path]) -> Path:
    """A folder in which `READER` has run, and before it `BASE`."""
    folder = tmp_path_factory.mktemp("swept")
    make_store(folder / "results")
    (folder / "base.yaml").write_text(BASE)
    with contextlib.chdir(folder):
        run(READER)
    return folder


@pytest.fixture
def in_swept(swept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests share what has run: whatever one of them declares, the others find it reused."""
    monkeypatch.chdir(swept)


def run(text: str, *options: str) -> list[TrialRow]:
    Path("reader.yaml").write_text(text)
    done = CliRunner().invoke(cli, ["run", "reader.yaml", "--in-process", *options])
    assert done.exit_code == 0, done.output
    return Results(locate_store(None)).rows(["reader"])


@pytest.mark.usefixtures("in_swept")
def test_a_sweep_runs_on_what_the_first_one_left_and_only_on_what_it_declares() -> None:
    rows = run(READER)
    made = Results(locate_store(None)).rows(["base"])
    [untied] = [row for row in made if row.params["tying"] == "untied"]
    steps = ("step-000000", "step-000001", "step-000016")
    sources = {row.params["source"] for row in rows}
    assert sources == {f"run:{untied.run_id}/{step}" for step in steps}
    assert {row.metrics["training_step"] for row in rows} == {0.0, 1.0, 16.0}
    assert {row.facts["frequencies"] for row in rows} == {"counts + 1 of the training text"}
    for row in rows:
        tags = Tracking(locate_store(None))._client.get_run(row.run_id).data.tags
        assert tags["sweeper.parents"] == untied.run_id
        assert f"/runs/{untied.run_id})" in tags["mlflow.note.content"]

    longer = run(READER, "--set", "n_tokens=4096")
    assert 32.0 in {row.metrics["training_step"] for row in longer}
    text = Results(locate_store(None)).last_submission("reader")[0]
    assert untied.run_id not in text, "a trial that the first sweep no longer declares"


@pytest.mark.usefixtures("in_swept")
def test_what_no_trial_left_is_named_in_one_line() -> None:
    Path("reader.yaml").write_text(READER)
    sweep = load_sweep("reader.yaml")
    for change, message in (
        ({"runs": "bse"}, "space.source: the store holds no sweep 'bse'; did you mean 'base'?"),
        ({"where": {"tyng": "tied"}}, "have no field 'tyng'; did you mean 'tying'?"),
        ({"artifact": "weights"}, "left an artifact weights"),
    ):
        entry = {**sweep.open_runs["space", "source"], **change}
        document = sweep.document.set(("space", "source"), entry, 1)
        changed = sweep.model_copy(update={"document": document})
        with pytest.raises(UserError) as caught:
            with_runs_of(changed, locate_store(None))
        assert message in str(caught.value)


@pytest.mark.usefixtures("in_swept")
def test_a_fixed_entry_stands_for_one_artifact() -> None:
    entry = "{runs: base, where: {tying: untied}, pick: last, tensor: output_embedding}"
    text = READER.replace("space: {source: {runs: base, where: {tying: untied}}}", "")
    fixed = text.replace("n_atoms: 2x,", f"source: {entry}, n_atoms: 2x,")
    rows = run(fixed)
    assert str(rows[-1].params["source"]).endswith("/step-000016#output_embedding")
    several = fixed.replace("pick: last, ", "")
    Path("reader.yaml").write_text(several)
    with pytest.raises(UserError, match="stands for 3 values; one is needed"):
        with_runs_of(load_sweep("reader.yaml"), locate_store(None))
    Path("reader.yaml").write_text(several.replace("tensor:", "join: true, tensor:"))
    three = r"( ?run:\w+/step-\d+#output_embedding){3}: a checkpoint of a run is named as in"
    with pytest.raises(UserError, match=three):  # this field takes one
        with_runs_of(load_sweep("reader.yaml"), locate_store(None))


def test_sweeps_that_wait_for_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(BASE + "after: reader.yaml\n")
    (tmp_path / "reader.yaml").write_text(READER)
    with pytest.raises(UserError) as caught:
        load_sweep("reader.yaml")
    assert str(caught.value) == (
        "base.yaml:18: after: a sweep cannot run before itself: "
        "reader.yaml -> base.yaml -> reader.yaml"
    )
