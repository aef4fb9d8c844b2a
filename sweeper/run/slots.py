"""How many trials fit at once."""

from __future__ import annotations

from collections.abc import Mapping

from sweeper.declare.search import Resources
from trials import machine


def slots_in(capacity: Mapping[str, float], cpu: float, gpu: float) -> int:
    """Trials that fit on a node with that many `CPU` and `GPU`; a trial never spans nodes."""
    n_slots = capacity.get("CPU", 0) / cpu
    if gpu:
        n_slots = min(n_slots, capacity.get("GPU", 0) / gpu)
    return int(n_slots + 1e-9)  # 1 / 0.1 trials are ten


def slots_here(resources: Resources) -> int:
    """Trials that fit on this machine, as far as this process may use it; at least one."""
    capacity = {"CPU": machine.n_cpus(), "GPU": machine.n_gpus()}
    return max(1, slots_in(capacity, resources.cpu, resources.gpu))
