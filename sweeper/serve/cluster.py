"""Sends a sweep to a cluster: by `ray submit` (ssh), or as a job through the cluster's dashboard.

Both ship sweeper/submit.py and one argument with the validated sweep and those that run before it,
so nothing depends on which sweep files are on the head. On this side no shell sees an argument.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from sweeper import submit as shipped
from sweeper.declare.canonical import sweep_text
from sweeper.declare.files import relative_files
from sweeper.declare.loading import load_sweep
from sweeper.declare.sweep import Sweep
from sweeper.declare.sweep_file import After
from sweeper.errors import UserError
from sweeper.store.scratch import scratch_folder

RAY = (str(Path(sysconfig.get_path("scripts")) / "ray"),)

# Where `ray dashboard ray_cluster.yaml` makes a cluster's dashboard appear.
_DASHBOARD = "http://127.0.0.1:8265"
_TOKEN = Path("~/.ray/auth_token")
# On the head the whole line is one argument of one process; Linux allows it 128 KiB.
_MAX_BYTES = 96 * 1024


def submit_sweep(
    sweep: str,
    cluster: str,
    *,
    overrides: Sequence[str] = (),
    trials: int | None = None,
    via: str = "submit",
    tmux: bool = False,
    ray: Sequence[str] = RAY,
) -> int:
    """Run a sweep on a cluster that is up, and stream its output.

    Args:
        sweep: a sweep file or the name of a ready-made sweep; validated here first.
        cluster: the cluster file; with `via="job"` it may be the address of a dashboard instead
            (else RAY_API_SERVER_ADDRESS, else where `ray dashboard` puts it).
        overrides: `field=value` each, as for `sweeper run`.
        trials: how many proposals to evaluate, as for `sweeper run`.
        via: "submit" for `ray submit` over ssh, "job" for `ray job submit` through the dashboard.
        tmux: leave the sweep running in tmux on the head and return at once (`ray submit` only).
        ray: the `ray` command.

    Returns:
        The exit code of Ray's command: 0, or 1 whatever the sweep's own code was.

    Raises:
        UserError: an invalid sweep, no such cluster, or a sweep too long for a command line.
    """
    declared = load_sweep(sweep, overrides=overrides, trials=trials)
    packed = _pack((declared, *declared.predecessors))
    for each in (*declared.predecessors, declared):
        for path, where in relative_files(each).items():
            note = f"'{path}' is not sent; the cluster reads it from the project folder of the head"
            print(f"{where}: {note}", file=sys.stderr)
    if via == "job":
        return _as_job(packed, _dashboard(cluster), ray)
    if not Path(cluster).is_file():
        raise UserError(
            f"no cluster file '{cluster}'",
            where="--cluster",
            hint="the project has ray_cluster.yaml and ray_cluster.onprem.yaml",
        )
    _refuse_other_file(Path(cluster))
    options = ["--tmux"] if tmux else []
    command = [*ray, "submit", *options, cluster, shipped.__file__, "--", packed]
    return subprocess.run(command).returncode


def _refuse_other_file(path: Path) -> None:
    """Raise UserError if `path` is no cluster file: Ray would answer with a traceback."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"not a cluster file: {error}", where=str(path)) from None
    if not isinstance(content, dict) or "cluster_name" not in content:
        raise UserError(
            "not a cluster file: it has no key 'cluster_name'",
            where=f"--cluster {path}",
            hint="the project has ray_cluster.yaml and ray_cluster.onprem.yaml",
        )


def _beside(sweep: Sweep) -> Sweep:
    """The sweep as it names its predecessor where both files lie in one folder."""
    if sweep.predecessor is None:
        return sweep
    # What `set` changes is in the predecessor's own text.
    return sweep.model_copy(update={"after": After(sweep=f"{sweep.predecessor.name}.yaml")})


def _as_job(packed: str, address: str, ray: Sequence[str]) -> int:
    with scratch_folder("job") as scratch:
        folder = scratch / "shipped"  # Ray uploads the folder: this one file
        folder.mkdir()
        script = Path(shutil.copy(shipped.__file__, folder)).name
        options = ["--address", address, "--working-dir", str(folder)]
        command = [*ray, "job", "submit", *options, "--", "python", script, packed]
        # With a token Ray sends it along; a dashboard that asks for none ignores it.
        mode = {"RAY_AUTH_MODE": "token"} if _TOKEN.expanduser().is_file() else {}
        return subprocess.run(command, env=mode | os.environ).returncode


def _dashboard(cluster: str) -> str:
    if "://" not in cluster:
        return os.environ.get("RAY_API_SERVER_ADDRESS") or _DASHBOARD
    parts = urlsplit(cluster)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(
            f"'{cluster}' is not the address of a dashboard",
            where="--cluster",
            hint=f"`ray dashboard ray_cluster.yaml` makes it {_DASHBOARD}",
        )
    return cluster


def _pack(sweeps: Sequence[Sweep]) -> str:
    """The first sweep with those that it runs after."""
    name = sweeps[0].name
    try:
        packed = shipped.pack([(each.name, sweep_text(_beside(each))) for each in sweeps])
    except ValueError as error:
        raise UserError(str(error), where="name of the sweep") from None
    if len(packed) > _MAX_BYTES:
        raise UserError(
            f"{'the sweep takes' if len(sweeps) == 1 else f'{len(sweeps)} sweeps take'} "
            f"{len(packed)} bytes as an argument; at most {_MAX_BYTES} fit",
            where=name,
            hint="copy the file with `ray rsync-up` and submit its path with `ray submit`",
        )
    return packed
