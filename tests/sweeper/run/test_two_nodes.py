"""Trials on another node than the driver's: their artifacts travel through Ray."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sweeper.store.tracking import Tracking

PROGRAM = """
import json, os, subprocess, sys, time
from pathlib import Path
import ray
from ray.cluster_utils import Cluster
from ray.util import placement_group_table

worker = {"resources": {"CPU": 1}, "max_workers": 3}
grown = {"max_workers": 9, "head_node_type": "head", "available_node_types": {"worker": worker}}
Path("~/ray_bootstrap_config.yaml").expanduser().write_text(json.dumps(grown))
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
os.environ["RAY_ADDRESS"] = cluster.address
sweep = subprocess.Popen([sys.executable, "-m", "sweeper.cli", "run", "bowls.yaml"])
ray.init(cluster.address, log_to_driver=False)

def waiting():
    return sum(group["state"] == "PENDING" for group in placement_group_table().values())

try:
    # What waits while there is no CPU is what an autoscaler would make nodes for.
    for _ in range(300):
        if waiting() >= 3 or sweep.poll() is not None:
            break
        time.sleep(0.2)
    time.sleep(1)
    Path("waiting").write_text(str(waiting()))
    cluster.add_node(num_cpus=1)
    code = sweep.wait()
finally:
    sweep.kill()
    ray.shutdown()
    cluster.shutdown()
sys.exit(code)
"""


@pytest.mark.system
def test_an_empty_cluster_hears_of_all_it_could_run_and_its_artifacts_arrive_whole(
    tmp_path: Path,
    store_dir: Path,
    write_sweep: Callable[..., Path],
    tracking: Tracking,
) -> None:
    write_sweep("kind: bowl\nspace: {x: [0.0, 0.5, 1.0, 1.5]}\n")
    # Without what a Ray of this process has left in the environment: its token is not in this home.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    # The head, where the driver is, has no CPU: every trial runs on the second node.
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        env={**environment, "HOME": str(tmp_path), "RAY_TMPDIR": "/tmp"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "waiting").read_text() == "3"  # the file's workers; four trials are to run
    rows = tracking.results.rows()
    assert len(rows) == 4
    for row in rows:
        assert {artifact.path for artifact in row.artifacts} == {"point.safetensors", "trace.csv"}
        for artifact in row.artifacts:
            assert tracking.results.fetch_artifact(row.run_id, artifact.path).stat().st_size
