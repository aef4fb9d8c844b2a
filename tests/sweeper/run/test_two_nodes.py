"""Trials on another node than the driver's: their artifacts travel through Ray."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from sweeper.store.tracking import Tracking

PROGRAM = """
from ray.cluster_utils import Cluster
from sweeper.cli import main
import os, sys
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
cluster.add_node(num_cpus=1)
os.environ["RAY_ADDRESS"] = cluster.address
try:
    main(["run", "bowls.yaml"])
finally:
    cluster.shutdown()
"""


def test_artifacts_of_a_trial_on_another_node_arrive_whole(
    tmp_path: Path,
    store_dir: Path,
    write_sweep: Callable[..., Path],
    tracking: Tracking,
) -> None:
    write_sweep("kind: bowl\nspace: {x: [0.0, 1.0]}\n")
    # The head, where the driver is, has no CPU: every trial runs on the second node.
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env={**os.environ, "RAY_TMPDIR": "/tmp"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = tracking.rows()
    assert len(rows) == 2
    for row in rows:
        assert {artifact.path for artifact in row.artifacts} == {"point.safetensors", "trace.csv"}
        for artifact in row.artifacts:
            assert tracking.fetch_artifact(row.run_id, artifact.path).stat().st_size
