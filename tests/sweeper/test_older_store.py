"""A store that an older version wrote is read, reused, checked and reported."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from sweeper.cli import cli
from sweeper.records import TrialState
from sweeper.store.fsck.check import check
from sweeper.store.journal import read_journal, replay
from sweeper.store.location import Store, locate_store
from sweeper.store.tracking import Results

# Made by commit d5d94e3 in /srv/old: `sweeper run bowls.yaml --in-process`, then `wider.yaml`,
# which reuses the trial x=0.3. Its reports come without plotly.js.
ARCHIVE = Path(__file__).parent.parent / "data" / "store_d5d94e3.tar.gz"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """The older store and its sweep files, in the current directory."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    return locate_store(str(tmp_path / "results"))


def output(*command: str) -> str:
    done = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_its_trials_are_read_value_by_value(store: Store) -> None:
    results = Results(store)
    rows = results.rows()
    assert [row.sweep for row in rows].count("bowls") == 4
    assert {row.state for row in rows} == {TrialState.COMPLETE}
    first = rows[0]
    assert first.key == "7a629b57341445a0e1eecb1cc51608bf"
    assert (first.params["x"], first.params["null"], first.varied) == (0.1, "none", ("x", "null"))
    assert first.metrics["loss_validation"] == 0.041257302210933926
    assert first.facts == {"bowl": "round"}
    assert first.provenance["commit"].startswith("d5d94e3")
    assert results.fetch_artifact(first.run_id, "trace.csv").read_text().startswith("step")
    [reused] = (row for row in rows if row.reused_from)
    assert reused.reused_from in {row.run_id for row in rows if row.sweep == "bowls"}
    history = replay(read_journal(store.sweep_dir("bowls") / "journal.log"))
    assert history.outcomes[first.key] == first.outcome
    assert history.unshipped == ()


@pytest.mark.parametrize(("sweep", "n_trials"), [("bowls", 4), ("wider", 2)])
def test_every_trial_is_reused(store: Store, sweep: str, n_trials: int) -> None:
    before = {row.run_id: row.metrics for row in Results(store).rows([sweep])}
    printed = output("run", f"{sweep}.yaml", "--in-process")
    assert f"{n_trials} trials: 0 run now, {n_trials} reused, 0 failed" in printed
    assert {row.run_id: row.metrics for row in Results(store).rows([sweep])} == before


def test_fsck_finds_nothing_before_a_new_run_and_after_one(store: Store) -> None:
    assert [(c.n_trials, c.disagreements) for c in check(store)] == [(4, []), (2, [])]
    output("run", "bowls.yaml", "--in-process")
    assert [c.disagreements for c in check(store)] == [[], []]


def test_it_is_reported(store: Store) -> None:
    output("report", "bowls", "wider", "-o", "page.html")
    page = Path("page.html").read_text()
    assert "Where is the bowl deepest?" in page
    assert "0.001257" in page
