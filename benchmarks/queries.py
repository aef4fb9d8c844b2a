"""Time and memory of questions to a store, as whole commands, at growing numbers of trials.

Trials have 80 metrics and 16 params. The peer is `mlflow.search_runs` to pandas, which reads the
store for any question; it runs at the smallest size, and both sides must give the same answer.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import NamedTuple

from benchmarks.measure import Column, Table
from sweeper.records import Outcome, TrialSpec, TrialState
from sweeper.store.location import locate_store
from sweeper.store.tracking import Tracking

N_METRICS, N_PARAMS = 80, 16
_COPIED = ("runs", "latest_metrics", "metrics", "params", "tags")
_COLUMNS = [
    Column("question", 22),
    Column("trials", 8),
    Column("seconds", 8),
    Column("growth", 7),
    Column("GB", 6),
    Column("peer s", 8),
    Column("peer / ours", 12),
]
FIVE = (
    "select field_0, field_1, avg(metric_00) as mean, min(metric_01) as least, count(*) as n"
    " from trials where metric_02 > 0.9 group by all order by all limit 100"
)
_PEAK = """
import atexit, pathlib, sys
status, noted = pathlib.Path("/proc/self/status"), pathlib.Path(sys.argv.pop())
atexit.register(lambda: status.exists() and noted.write_text(status.read_text()))
"""
_SWEEPER = "from sweeper.cli import main; main()"
_PEER = """
import json, logging, sys
logging.disable()
import mlflow
mlflow.set_tracking_uri(sys.argv[1])
runs = mlflow.search_runs(
    search_all_experiments=True, filter_string="tags.role = 'trial'", max_results=10_000_000
)
runs = runs[runs["metrics.metric_02"] > 0.9]
groups = runs.groupby(["params.field_0", "params.field_1"])
found = groups.agg(
    mean=("metrics.metric_00", "mean"), least=("metrics.metric_01", "min"), n=("run_id", "size")
)
print(json.dumps(found.reset_index(names=["field_0", "field_1"]).to_dict("records")))
"""


class Cost(NamedTuple):
    """What a command took, and what it printed; its peak of memory is NaN where Linux is not."""

    seconds: float
    gigabytes: float
    output: bytes


def make_store(folder: Path, n_trials: int) -> str:
    """A store with so many trials, copies of four with other keys and values; returns a run id."""
    tracking = Tracking(locate_store(str(folder)))
    parent = tracking.open_submission("bench", "", {})
    first = ""
    for number, (size, null) in enumerate(product(("1x", "2x"), ("none", "gaussian"))):
        fields = {f"field_{i}": i / 8 for i in range(2, N_PARAMS)}
        spec = TrialSpec(
            key=f"{number:016x}",
            kind="bench",
            kind_version=1,
            config={"field_0": size, "field_1": null, **fields},
            input_digests={"source": "0" * 64},
            varied=("field_0", "field_1"),
        )
        outcome = Outcome(
            key=spec.key,
            state=TrialState.COMPLETE,
            metrics={f"metric_{i:02d}": 1 + i / 64 for i in range(N_METRICS)},
            provenance={"packages": "numpy==2.0.0 " * 100},  # records are kilobytes long
            started_ms=1000 + number,
            ended_ms=2000 + number,
        )
        first = tracking.finish_trial("bench", parent, spec, outcome, None)
    with closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        _multiply(database, n_trials)
    return first


def _multiply(database: sqlite3.Connection, n_trials: int) -> None:
    database.execute("PRAGMA synchronous = off")
    wanted = "SELECT run_uuid FROM tags WHERE key = 'role' AND value = 'trial'"
    models = [run_id for (run_id,) in database.execute(wanted).fetchall()]
    rng = random.Random(0)
    for table in _COPIED:
        cursor = database.execute(f"SELECT * FROM {table} LIMIT 0")
        names = [column[0] for column in cursor.description]
        rows = {
            model: [
                dict(zip(names, row, strict=True))
                for row in database.execute(f"SELECT * FROM {table} WHERE run_uuid = ?", [model])
            ]
            for model in models
        }
        rng.seed(0)
        marks = ", ".join("?" * len(names))
        for _ in range(len(models), n_trials):
            model, new = rng.choice(models), uuid.UUID(int=rng.getrandbits(128)).hex
            shift = rng.uniform(0.5, 1.5)
            copies = [_copy(row, new, shift) for row in rows[model]]
            values = [tuple(copy.values()) for copy in copies]
            database.executemany(f"INSERT INTO {table} VALUES ({marks})", values)


def _copy(row: dict[str, object], run_id: str, shift: float) -> dict[str, object]:
    copy = row | {"run_uuid": run_id}
    if isinstance(value := row.get("value"), float):
        copy["value"] = value * shift
    elif row.get("key") == "trial_key":
        copy["value"] = run_id
    return copy


def run(code: str, *arguments: str) -> Cost:
    """Run Python code as a command; exits with its message if it fails."""
    with tempfile.NamedTemporaryFile("r", prefix="sweeper-bench-") as noted:
        command = [sys.executable, "-c", _PEAK + code, *arguments, noted.name]
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, check=False)
        seconds = time.perf_counter() - started
        peak = re.search(r"VmHWM:\s+(\d+) kB", noted.read())
    if done.returncode:
        sys.exit(done.stderr.decode() or f"{' '.join(arguments)} ended with {done.returncode}")
    return Cost(seconds, int(peak[1]) / 1e6 if peak else math.nan, done.stdout)


def demand_equal(ours: bytes, peers: bytes) -> None:
    """Exit if two answers, lists of groups as JSON, differ."""
    sides = [
        sorted(json.loads(text), key=lambda group: (group["field_0"], group["field_1"]))
        for text in (ours, peers)
    ]
    if len(sides[0]) != len(sides[1]):
        sys.exit(f"{len(sides[0])} groups, the peer has {len(sides[1])}")
    for own, theirs in zip(*sides, strict=True):
        for name, value in theirs.items():
            is_equal = math.isclose(own[name], value) if name == "mean" else own[name] == value
            if not is_equal:
                sys.exit(f"{name} differs: ours is {own[name]}, the peer's {value}")


def measure(folder: Path, sizes: list[int]) -> None:
    """Ask every question at each size, and the peer at the smallest; print the table."""
    table, before = Table(_COLUMNS), dict[str, float]()
    peer: Cost | None = None
    for n_trials in sorted(sizes):
        store = folder / str(n_trials)
        trial = make_store(store, n_trials)
        questions = {
            "show TRIAL": ["show", trial],
            "five columns": ["query", FIVE, "--format", "json"],
            "all columns to parquet": ["query", "select * from trials", "--format", "parquet"],
            "ls": ["ls"],
            "verdict": ["verdict"],
        }
        is_first, peer = peer is None, peer or run(_PEER, f"sqlite:///{store / 'mlflow.db'}")
        for name, words in questions.items():
            cost = run(_SWEEPER, *words, "--store", str(store))
            if is_first and name == "five columns":
                demand_equal(cost.output, peer.output)
            table.row(
                [
                    name,
                    f"{n_trials:,}",
                    f"{cost.seconds:.2f}",
                    f"{cost.seconds / before[name]:.1f}x" if name in before else "",
                    f"{cost.gigabytes:.2f}",
                    f"{peer.seconds:.1f}" if is_first else "",
                    f"{peer.seconds / cost.seconds:.1f}" if is_first else "",
                ]
            )
            before[name] = cost.seconds


def main() -> None:
    """Measure with the options of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[2_000, 20_000], metavar="N")
    parser.add_argument("--quick", action="store_true", help="100 and 200 trials, in seconds")
    chosen = parser.parse_args()
    sizes = [100, 200] if chosen.quick else chosen.trials
    print(f"trials of {N_METRICS} metrics and {N_PARAMS} params, SQLite; the peer is search_runs")
    with tempfile.TemporaryDirectory(prefix="sweeper-bench-") as folder:
        measure(Path(folder), sizes)


if __name__ == "__main__":
    main()
