"""What a process may use of its machine, from affinity, cgroups and CUDA_VISIBLE_DEVICES."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trials import machine

MANY = str(10**18)


def tree(root: Path, files: dict[str, str]) -> Path:
    """A machine's `/proc`, `/sys` and `/dev`, as far as it matters."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


@pytest.fixture
def many_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)


V2 = {"proc/self/cgroup": "0::/slurm/job_7/step_0"}
V1 = {"proc/self/cgroup": "5:memory:/job_7\n4:cpu,cpuacct:/job_7\n1:name=systemd:/"}


@pytest.mark.parametrize(
    ("files", "n_cpus"),
    [
        ({}, 64),
        (V2 | {"sys/fs/cgroup/slurm/job_7/step_0/cpu.max": "max 100000"}, 64),
        (V2 | {"sys/fs/cgroup/slurm/job_7/step_0/cpu.max": "250000 100000"}, 2),
        (V2 | {"sys/fs/cgroup/slurm/job_7/cpu.max": "300000 100000"}, 3),  # of the whole job
        (V2 | {"sys/fs/cgroup/cpu.max": "50000 100000"}, 1),  # a container with half a CPU
        (V2 | {"sys/fs/cgroup/unified/slurm/cpu.max": "400000 100000"}, 4),  # mounted as hybrid
        (
            V1
            | {
                "sys/fs/cgroup/cpu,cpuacct/job_7/cpu.cfs_quota_us": "500000",
                "sys/fs/cgroup/cpu,cpuacct/job_7/cpu.cfs_period_us": "100000",
            },
            5,
        ),
        (
            V1
            | {
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            64,
        ),
    ],
)
@pytest.mark.usefixtures("many_cpus")
def test_a_quota_of_any_cgroup_above_counts(
    tmp_path: Path, files: dict[str, str], n_cpus: int
) -> None:
    assert machine.n_cpus(tree(tmp_path, files)) == n_cpus


def test_a_process_that_is_bound_to_one_core_has_one() -> None:
    program = (
        "import os; os.sched_setaffinity(0, [min(os.sched_getaffinity(0))]); "
        "from trials import machine; from trials.kernels._threads import thread_count; "
        "from sweeper.declare.search import Resources; from sweeper.run.slots import slots_here; "
        "print(machine.n_cpus(), thread_count(None), slots_here(Resources()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["1", "1", "1"], done.stderr


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        (V2 | {"sys/fs/cgroup/slurm/job_7/memory.max": "1073741824"}, 1 << 30),
        (V1 | {"sys/fs/cgroup/memory/job_7/memory.limit_in_bytes": "536870912"}, 1 << 29),
        (V2 | {"sys/fs/cgroup/slurm/job_7/memory.max": "max"}, None),
        (V1 | {"sys/fs/cgroup/memory/memory.limit_in_bytes": MANY}, None),
    ],
)
def test_the_lowest_limit_of_memory_counts(
    tmp_path: Path, files: dict[str, str], limit: int | None
) -> None:
    physical = machine.memory_bytes(tmp_path / "without cgroups")
    assert machine.memory_bytes(tree(tmp_path, files)) == (limit or physical)


@pytest.mark.parametrize(
    ("visible", "n_gpus"),
    [
        (None, 4),
        ("", 0),
        ("-1", 0),
        ("NoDevFiles", 0),
        ("2", 1),
        ("0, 1", 2),
        ("0,9,1", 1),  # CUDA stops at the first that it does not know
        ("GPU-8932f937-d72c,MIG-1b2c", 2),
    ],
)
def test_gpus_are_those_that_cuda_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, visible: str | None, n_gpus: int
) -> None:
    devices = [f"dev/nvidia{n}" for n in range(4)] + ["dev/nvidiactl", "dev/nvidia-uvm"]
    root = tree(tmp_path, dict.fromkeys(devices, ""))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert machine.n_gpus(root) == n_gpus
