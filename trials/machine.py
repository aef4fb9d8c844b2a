"""What this process may use of the machine: affinity, cgroups and CUDA_VISIBLE_DEVICES count.

A container, a batch system or `taskset` grants a part of a machine. `os.cpu_count()` and the
physical memory ignore that. `root` is where `/proc` and `/sys` are found.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path, PurePosixPath

_ROOT = Path("/")


def n_cpus(root: Path = _ROOT) -> int:
    """CPUs that this process may keep busy, at least one; a quota of 2.5 CPUs counts as two."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min([allowed or 1, *map(int, _cpu_quotas(root))]))


def memory_bytes(root: Path = _ROOT) -> int:
    """Memory that this process may use: the physical memory, or a lower limit of a cgroup."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [
        limit
        for folder in _cgroups("memory", root)
        for name in ("memory.max", "memory.limit_in_bytes")
        if (limit := _number(folder / name)) is not None
    ]
    return min([physical, *limits])


def n_gpus(root: Path = _ROOT) -> int:
    """GPUs that CUDA shows to this process. As CUDA does, stop at the first unknown one."""
    n_found = len(list((root / "dev").glob("nvidia[0-9]*")))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None or not n_found:
        return n_found

    def is_known(device: str) -> bool:
        return int(device) < n_found if device.isdigit() else device.startswith(("GPU-", "MIG-"))

    return len(list(takewhile(is_known, map(str.strip, visible.split(",")))))


def _cpu_quotas(root: Path) -> Iterator[float]:
    for folder in _cgroups("cpu", root):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        quota = quota or _text(folder / "cpu.cfs_quota_us")
        period = period or _text(folder / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit():  # else "max", -1, or no such file
            yield int(quota) / int(period)


def _cgroups(controller: str, root: Path) -> Iterator[Path]:
    """Folders of the cgroups that this process is in, version 2 and 1, up to the topmost one.

    Inside a container the path may be the host's: then only the topmost folder exists.
    """
    mounts = root / "sys" / "fs" / "cgroup"
    for line in _text(root / "proc" / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            tops = [mounts, mounts / "unified"]
        elif controller in controllers.split(","):
            tops = [mounts / controllers, mounts / controller]
        else:
            continue
        inside = PurePosixPath(path.lstrip("/"))
        for top in tops:
            yield from (top / part for part in (inside, *inside.parents))


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
