"""How far a cluster can grow."""

from __future__ import annotations

import json
import os
from pathlib import Path

from sweeper.run.slots import slots_in

# What `ray up` leaves on the head: the cluster file, as JSON.
CLUSTER_FILE = Path("~/ray_bootstrap_config.yaml")
_DEFAULT_PENDING = 32


def most_trials(n_slots: int, cpu: float, gpu: float, *, adapts: bool) -> int:
    """Trials that Tune may hold at once, running and waiting, on a cluster that has `n_slots`.

    What waits makes a cluster grow. Where the cluster file is known, as many as fit on all nodes
    that it allows. Elsewhere SWEEPER_MAX_PENDING trials wait: by default 32, and 1 where the search
    adapts, since it would have to ask without having heard.
    """
    n_grown = slots_when_grown(cpu, gpu)
    if n_grown is not None:
        return max(n_slots, n_grown)
    n_pending = os.environ.get("SWEEPER_MAX_PENDING", "")
    return n_slots + (int(n_pending) if n_pending.isdigit() else 1 if adapts else _DEFAULT_PENDING)


def slots_when_grown(cpu: float, gpu: float, file: Path = CLUSTER_FILE) -> int | None:
    """Trials that fit on a cluster's workers when there are as many as may be; None if unknown."""
    try:
        cluster = json.loads(file.expanduser().read_text(encoding="utf-8"))
        types = dict(cluster["available_node_types"])
        n_left = int(cluster["max_workers"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    types.pop(cluster.get("head_node_type"), None)
    if not types or not all(node.get("resources") for node in types.values()):
        return None  # machines that are owned: Ray learns what they hold when they join
    n_grown = 0
    sizes = [(slots_in(node["resources"], cpu, gpu), node) for node in types.values()]
    for n_slots, node in sorted(sizes, key=lambda size: -size[0]):
        n_nodes = min(n_left, node.get("max_workers", n_left))
        n_grown += n_slots * n_nodes
        n_left -= n_nodes
    return n_grown
