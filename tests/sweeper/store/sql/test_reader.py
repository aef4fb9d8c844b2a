"""The direct reader gives what MLflow's own API gives, on stores with everything that occurs."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from sweeper.errors import UserError
from sweeper.records import Outcome, TrialRow, TrialSpec, TrialState
from sweeper.store.index import read_index
from sweeper.store.journal import Reported
from sweeper.store.location import Store, locate_store
from sweeper.store.results_table import query, query_database
from sweeper.store.run_format.record import record_tags
from sweeper.store.sql import SqlReader
from sweeper.store.sql.database import open_database
from sweeper.store.tracking import Tracking
from sweeper.store.tracking.api_reader import ApiReader
from tests.faults.chaos.postgres import Postgres, binaries
from tests.faults.chaos.tracking_server import TrackingServer

QUERIES = (
    "select n_atoms, avg(loss) as mean, count(*) as n from trials group by all order by all",
    "select count(*) from trials",
    "select * from trials order by run_id",
    "loss < 0.5 and n_atoms = '2x' order by loss limit 3",
    "select label, setting, kind_version, certified, started_at, duration_s from trials",
    "select t.* exclude (label) from trials t order by run_id",
    "select t from trials t order by t.run_id",
    "select trials from trials order by trials.run_id",
    'select "system/wall_s", "größe", input_source, error from trials order by run_id',
    "select m.sweep, loss from trials join members m using (key) order by m.sweep, loss, key",
    "select min(columns('loss|_x')) from trials",
    "with best as (select key, loss from trials) select * from best order by key",
    "select mixed, param_x, metric_x, param_label, large from trials order by run_id",
    "select 'loss' as word, /* x */ key from trials -- n_atoms\norder by key",
    "select count(*) * 2 as n, metric_x * loss as product from trials group by all order by all",
)


def random_store(tracking: Tracking, seed: int) -> None:
    """Trials of every state, values of every sort, deleted runs and sweeps, runs made by hand."""
    rng = np.random.default_rng(seed)
    client = tracking.results.client
    for sweep in ("one", "two", "gone"):
        parent = tracking.open_submission(sweep, "first", {})
        for number in range(6):
            spec = random_spec(f"{sweep}{number}", rng)
            started = int(rng.integers(1000, 9000))
            run_id = tracking.start_trial(sweep, parent, spec, started)
            if number == 0:
                continue  # still running
            if rng.random() < 0.5:
                reports = [progress(spec.key, step, started) for step in (1, 2)]
                tracking.report_progress(run_id, reports)
            tracking.finish_trial(sweep, parent, spec, random_outcome(spec, started, rng), None)
            if number == 5:
                client.delete_run(run_id)
    shared = random_spec("one1", np.random.default_rng(7))
    parent = tracking.open_submission("two", "second", {})
    outcome = random_outcome(shared, 5, rng)
    tracking.finish_trial("two", parent, shared, outcome, None, reused_from="elsewhere")
    by_hand = client.create_run(client.get_experiment_by_name("one").experiment_id)
    client.log_metric(by_hand.info.run_id, "loss", 0.0)
    client.log_metric(by_hand.info.run_id, "by_hand", 0.0)
    client.log_param(by_hand.info.run_id, "n_atoms", "by hand")
    made_in_the_past(client, by_hand.info.experiment_id, rng)
    client.delete_experiment(client.get_experiment_by_name("gone").experiment_id)


def made_in_the_past(client: MlflowClient, experiment: str, rng: np.random.Generator) -> None:
    """A trial whose record has the name that it had once, and one whose driver died early."""
    spec = random_spec("old", rng)
    tags = record_tags(spec, random_outcome(spec, 77, rng))
    old = {name.removeprefix("mlflow."): text for name, text in tags.items() if text}
    own = {"role": "trial", "kind": "bowl", "trial_key": "old", "state": "COMPLETE"}
    run = client.create_run(experiment, 70, own | old)
    client.log_metric(run.info.run_id, "loss", math.nan)
    client.log_metric(run.info.run_id, "lost", 1.0)
    client.create_run(experiment, 60, {"role": "trial", "trial_key": "undescribed", "kind": "bowl"})


def progress(key: str, step: int, at_ms: int) -> Reported:
    """A report with a metric that the outcome has, and one that it has not."""
    return Reported(key=key, step=step, metrics={"loss": 9.0, "lost": 1.0}, at_ms=at_ms)


def random_spec(key: str, rng: np.random.Generator) -> TrialSpec:
    config = {
        "seed": int(rng.integers(3)),
        "x": float(rng.random()),
        "n_atoms": str(rng.choice(["1x", "2x"])),
        "mixed": [1, "1x", 2.5][int(rng.integers(3))],
        "large": 2**63,
        "on": bool(rng.integers(2)),
        "nothing": None,
        "note": "ü, 'quoted' \\ \n" + "long " * int(rng.choice([1, 4000])),
        "label": "a name that the table has",
        "deep": {"part": int(rng.integers(3))},
    }
    digests = {"source": str(rng.choice(["abc", "def"]))}
    return TrialSpec(
        key=key,
        kind="bowl",
        kind_version=int(rng.integers(1, 3)),
        config=config,
        input_digests=digests,
        varied=("x", "n_atoms"),
        is_control=bool(rng.integers(2)),
    )


def random_outcome(spec: TrialSpec, started_ms: int, rng: np.random.Generator) -> Outcome:
    state = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAILED][int(rng.integers(3))]
    return Outcome(
        key=spec.key,
        state=state,
        metrics={
            "loss": float(rng.choice([0.1, 0.4, math.nan, math.inf, -math.inf, 1e300])),
            "system/wall_s": float(rng.random()),
            "größe": float(rng.random()),
            "x": 1.5,
        },
        facts={"said": 'x,"metrics":["loss"],"started_ms":5'},
        provenance={"python": "3.11"},
        error="went wrong" if state is TrialState.FAILED else "",
        uncertified="a wide gap" if rng.random() < 0.3 else "",
        started_ms=started_ms,
        ended_ms=started_ms + int(rng.integers(5000)),
    )


def demand_equal_answers(tracking: Tracking) -> None:
    """The same rows, and the same frames for every query."""
    reader, oracle = SqlReader(tracking.store), tracking.results.rows()
    demand_equal_rows(reader, oracle)
    for text in QUERIES:
        with open_database(tracking.store) as database:
            found = query_database(database, text)
        expected = query(oracle, text)
        assert list(found.columns) == list(expected.columns), text
        pd.testing.assert_frame_equal(found, expected, obj=text)
    fields = ("key", "state", "sweep", "kind", "run_id", "ended_ms")
    index = {tuple(getattr(g, name) for name in fields) for g in read_index(tracking.store)}
    assert index == {tuple(getattr(r, n) for n in fields) for r in oracle if r.key != "undescribed"}


def demand_equal_rows(reader: SqlReader | ApiReader, oracle: list[TrialRow]) -> None:
    """What every reader answers, in the order of the trials' start."""
    assert reader.sweep_names() == ["one", "two"]
    assert repr(reader.rows()) == repr(list(reader.stream())) == repr(oracle)  # NaN equals NaN
    assert repr(reader.rows(["two"])) == repr([r for r in oracle if r.sweep == "two"])
    keys = [oracle[0].key, "one1", "no such key"]
    assert repr(reader.rows(keys=keys)) == repr([r for r in oracle if r.key in keys])
    two = [r for r in oracle if r.key in keys and r.sweep == "two"]
    assert repr(reader.rows(["two"], keys)) == repr(two)
    backwards = [row.run_id for row in reversed(oracle)]
    assert repr(list(reader.of_runs([*backwards, "none"]))) == repr(oracle[::-1])
    for text in ("one", "one1", oracle[0].run_id[:6], "o_e", "%", "it's"):
        begin = [r for r in oracle if r.key.startswith(text) or r.run_id.startswith(text)]
        assert repr(reader.beginning_with(text)) == repr(begin)
    newest, n_all = reader.newest(3, ["one", "two"])
    assert {row.run_id for row in newest} <= {row.run_id for row in oracle}
    assert (len(newest), n_all) in ((3, len(oracle)), (3, None))
    assert repr(reader.newest(50)) == repr((oracle, len(oracle)))
    demand_equal_light_rows(reader, oracle)


def demand_equal_light_rows(reader: SqlReader | ApiReader, oracle: list[TrialRow]) -> None:
    """Rows with two metrics; an API gives whole rows."""
    wanted = ("loss", "x", "no such metric")
    light = reader.light_rows(wanted, kinds=["bowl"], sweeps=["one", "two"])
    assert [lightened(row, wanted) for row in light] == [lightened(row, wanted) for row in oracle]
    assert reader.light_rows(wanted, kinds=["other"]) == []


def lightened(row: TrialRow, metrics: Sequence[str]) -> str:
    """A row with these metrics only, without facts, artifacts and provenance but the inputs."""
    changes = {
        "metrics": {name: value for name, value in sorted(row.metrics.items()) if name in metrics},
        "provenance": {f"input.{name}": digest for name, digest in row.inputs.items()},
        "facts": {},
        "artifacts": (),
    }
    return repr(row.model_copy(update=changes).model_dump())


def test_an_api_gives_the_same_rows_from_filters(tracking: Tracking) -> None:
    random_store(tracking, 0)
    demand_equal_rows(ApiReader(tracking.store), tracking.results.rows())


@pytest.mark.system
def test_a_server_gives_the_same_rows(tmp_path: Path) -> None:
    server = TrackingServer(tmp_path)
    server.start()
    try:
        server.wait_until_up()
        tracking = Tracking(locate_store(f"http://127.0.0.1:{server.port}"))
        random_store(tracking, 1)
        demand_equal_rows(ApiReader(tracking.store), tracking.results.rows())
        behind = locate_store(server.database_uri)
        assert repr(SqlReader(behind).rows()) == repr(tracking.results.rows())
    finally:
        server.kill()


@pytest.mark.parametrize("seed", range(4))
def test_sqlite_read_directly_gives_what_mlflow_gives(tracking: Tracking, seed: int) -> None:
    random_store(tracking, seed)
    demand_equal_answers(tracking)


def test_an_unknown_column_is_told_with_the_nearest_of_all(tracking: Tracking) -> None:
    random_store(tracking, 0)
    with open_database(tracking.store) as database:
        with pytest.raises(UserError, match="unknown column 'n_atom'; did you mean 'n_atoms'"):
            query_database(database, "select n_atom from trials")
        with pytest.raises(UserError, match="unknown column 'by_hand'"):
            query_database(database, "select by_hand from trials")


def test_a_query_reads_no_metric_that_it_does_not_name(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    random_store(tracking, 0)
    asked: list[tuple[str, ...]] = []
    with open_database(tracking.store) as database:
        monkeypatch.setattr(
            database,
            "stream",
            lambda query, values=(): (
                asked.append(tuple(values)) if "latest_metrics" in query else None,
                type(database).stream(database, query, values),
            )[1],
        )
        query_database(database, "select avg(loss) from trials")
        query_database(database, "select count(*) from trials")
    assert asked == [("loss",)]


@pytest.fixture
def postgres() -> Iterator[Store]:
    if (folder := binaries()) is None:
        pytest.skip("no PostgreSQL: install the package postgresql (initdb and pg_ctl)")
    # pytest's own folders are closed to other users, and PostgreSQL does not run as root.
    with tempfile.TemporaryDirectory(prefix="reader-postgres-") as root:
        server = Postgres(Path(root), folder)
        yield locate_store(server.uri)
        server.stop()


@pytest.mark.system
def test_postgresql_read_directly_gives_what_mlflow_gives(postgres: Store) -> None:
    tracking = Tracking(postgres)
    random_store(tracking, 0)
    demand_equal_answers(tracking)
