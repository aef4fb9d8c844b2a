"""The one file that `ray submit` ships: runs one sweep on the head, in the project's environment.

    ray submit ray_cluster.yaml sweeper/submit.py -- pursuit
    ray submit ray_cluster.yaml sweeper/submit.py -- my.yaml

Ray copies this file to the head's home folder and runs it with the Python of the login shell, so
it needs the standard library only. Where the project, its environment and the tracking store are
stands in `metadata.sweeper` of the cluster file, which Ray leaves on the head.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, NoReturn

CLUSTER_FILE = Path("~/ray_bootstrap_config.yaml")
SUBMITTED = Path("~/.sweeper/submitted")

# Ray joins the arguments unquoted into a line for a login shell: these characters survive it.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_PATH = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_./-]*\.ya?ml")
_PACKED = re.compile(rf"b64(?::{_NAME.pattern}:[A-Za-z0-9_-]+)+")


class SubmitError(Exception):
    """Something the user can mend, in one line."""


class Site(NamedTuple):
    """Where things are on the head.

    Attributes:
        tracking_uri: the store that results land in.
        project_dir: the project's folder; sweep files and relative inputs are found from it.
        environment: the virtual environment that the project is installed in.
    """

    tracking_uri: str
    project_dir: Path
    environment: Path


def pack(sweeps: Sequence[tuple[str, str]]) -> str:
    """Sweep files as one argument that no shell touches: `b64:NAME:DATA[:NAME:DATA ...]`.

    The first is the one to run; the others are the files that it names.

    Raises:
        ValueError: a name is given twice, or has characters that a shell could touch.
    """
    parts = ["b64"]
    for name, text in sweeps:
        if not _NAME.fullmatch(name):
            raise ValueError(f"'{name}' is not a name of letters, digits, '_', '.' and '-'")
        if name in parts[1::2]:
            raise ValueError(f"two of the sweeps are named '{name}'")
        parts += [name, base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")]
    return ":".join(parts)


def unpack(argument: str) -> list[tuple[str, str]] | None:
    """Names and texts of packed sweeps; None if the argument holds none."""
    if _PACKED.fullmatch(argument) is None:
        return None
    parts = argument.split(":")[1:]
    return [
        (name, _decoded(name, data)) for name, data in zip(parts[::2], parts[1::2], strict=True)
    ]


def _decoded(name: str, data: str) -> str:
    try:
        return base64.urlsafe_b64decode(data + "=" * (-len(data) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise SubmitError(f"the packed sweep '{name}' arrived damaged") from None


def read_site(cluster_file: Path) -> Site:
    """`metadata.sweeper` of the cluster file as Ray wrote it on the head (JSON, despite its name).

    Raises:
        SubmitError: no such file, or a key is missing.
    """
    try:
        cluster = json.loads(cluster_file.expanduser().read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SubmitError(
            f"{cluster_file} is missing; this file runs on the head of a cluster: "
            "ray submit ray_cluster.yaml sweeper/submit.py -- SWEEP"
        ) from None
    given = (cluster.get("metadata") or {}).get("sweeper") or {}
    for field in Site._fields:
        if not given.get(field):
            raise SubmitError(
                f"{cluster_file}: metadata.sweeper.{field} is missing; "
                "add it to the cluster file and run `ray up` again"
            )
    return Site(
        tracking_uri=given["tracking_uri"],
        project_dir=Path(given["project_dir"]).expanduser(),
        environment=Path(given["environment"]).expanduser(),
    )


def find_sweep(arguments: list[str], site: Site) -> str:
    """What `sweeper run` is given: a ready-made name, or the path of a sweep file on the head.

    Raises:
        SubmitError: not exactly one sweep, or a sweep file that is not on the head.
    """
    if len(arguments) != 1:
        raise SubmitError(
            f"expected one sweep after `--`, got {len(arguments)} words: a name, or a path "
            "relative to the project folder; for --set and --trials use `sweeper submit`"
        )
    (argument,) = arguments
    if (packed := unpack(argument)) is not None:
        return str(_keep(packed))
    if _PATH.fullmatch(argument) and ".." not in Path(argument).parts:
        return _synced(argument, site.project_dir)
    if _NAME.fullmatch(argument):
        return argument
    raise SubmitError(
        f"'{argument[:100]}' is neither a name nor a .yaml path relative to the project folder"
    )


def _keep(sweeps: list[tuple[str, str]]) -> Path:
    """Write packed sweeps into one folder, whose name depends on their content alone.

    Returns the file of the first.
    """
    digest = hashlib.sha256(json.dumps(sweeps).encode()).hexdigest()[:12]
    folder = SUBMITTED.expanduser() / digest
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in sweeps:
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder / f"{sweeps[0][0]}.yaml"


def _synced(argument: str, project_dir: Path) -> str:
    path = project_dir / argument
    if not path.is_file():
        raise SubmitError(
            f"{argument} is not on the head; copy it with `ray rsync-up CLUSTER {argument} "
            f"{shlex.quote(str(path))}`, or use `sweeper submit {argument} --cluster CLUSTER`"
        )
    # An edit made on the laptop after the last copy is not in this file: say which one runs.
    copied = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    print(f"{argument}: the version of {copied:%Y-%m-%d %H:%M} UTC", file=sys.stderr)
    return argument


def main(arguments: list[str]) -> NoReturn:
    """Become `sweeper run SWEEP` in the project's environment; exits with 2 if that cannot be."""
    try:
        site = read_site(CLUSTER_FILE)
        sweep = find_sweep(arguments, site)
        command = site.environment / "bin" / "sweeper"
        if not os.access(command, os.X_OK):
            raise SubmitError(f"{command} is not on the head; its setup failed: run `ray up` again")
        os.chdir(site.project_dir)
    except (SubmitError, OSError, ValueError) as error:
        print(f"submit: {error}", file=sys.stderr)
        sys.exit(2)
    environment = os.environ | {"MLFLOW_TRACKING_URI": site.tracking_uri}
    environment.setdefault("RAY_ADDRESS", "auto")
    environment.pop("SWEEPER_STORE", None)  # it would win over the store of the cluster file
    os.execve(command, [str(command), "run", sweep], environment)


if __name__ == "__main__":
    main(sys.argv[1:])
