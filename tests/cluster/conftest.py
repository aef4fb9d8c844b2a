"""A Ray cluster of one machine, reached through an sshd of its own on 127.0.0.1.

Both have a home, keys, ports and temporary folders of their own. Everything that sshd starts
carries a mark in its environment, and only marked processes are ended.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml

PROJECT = Path(__file__).parents[2]
SCRIPTS = Path(sys.executable).parent
MARK = "SWEEPER_TEST_CLUSTER"


@dataclass(frozen=True)
class Cluster:
    """A cluster that is up.

    Attributes:
        file: its cluster file, derived from ray_cluster.yaml.
        home: the home folder on its head.
        tracking_uri: the store that the cluster file names.
        environment: variables of the machine that submits.
    """

    file: Path
    home: Path
    tracking_uri: str
    environment: dict[str, str]

    @property
    def project_dir(self) -> Path:
        """The project's folder on the head."""
        return self.home / "embedding-sweeper"

    def ray(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a `ray` command as typed in the project folder; stdout and stderr together."""
        return subprocess.run(
            [str(SCRIPTS / "ray"), *words],
            cwd=PROJECT,
            env=self.environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=240,
        )


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    missing = [tool for tool in ("ssh", "ssh-keygen", "rsync") if shutil.which(tool) is None]
    if sshd is None or missing:
        pytest.skip(
            f"no {', '.join([*missing, *([] if sshd else ['sshd'])])}: "
            "install the packages openssh-server and rsync"
        )
    root = tmp_path_factory.mktemp("cluster")
    with ExitStack() as stack:
        # Ray's sockets lie below its temporary folder, and their paths may have 107 characters.
        ray_dir = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp")))
        home = _folder(root / "head")
        mark = uuid.uuid4().hex
        stack.callback(_end_marked, mark)
        port = stack.enter_context(
            _sshd(sshd, root, {"HOME": str(home), "RAY_TMPDIR": str(ray_dir), MARK: mark})
        )
        cluster = _configure(root, home, ray_dir, port)
        up = cluster.ray("up", "-y", str(cluster.file))
        assert up.returncode == 0, up.stdout
        yield cluster


def _configure(root: Path, home: Path, ray_dir: Path, ssh_port: int) -> Cluster:
    """The project's cluster file, on this machine; only what must differ is replaced."""
    config = yaml.safe_load((PROJECT / "ray_cluster.yaml").read_text())
    for key in ("available_node_types", "head_node_type", "max_workers"):
        del config[key]
    tracking_uri = f"sqlite:///{home}/embedding-sweeper/results/mlflow.db"
    config["cluster_name"] = "sweeper-test"
    config["provider"] = {"type": "local", "head_ip": "127.0.0.1", "worker_ips": []}
    config["auth"] = {"ssh_user": getpass.getuser(), "ssh_private_key": str(root / "user_key")}
    config["metadata"]["sweeper"] |= {"tracking_uri": tracking_uri, "environment": sys.prefix}
    address = f"127.0.0.1:{_free_port()}"
    # `auto` would take whatever Ray it finds first, and other tests run theirs on this machine.
    exports = f"PATH={SCRIPTS}:$PATH RAY_ADDRESS={address}"
    config["setup_commands"] = [f"echo 'export {exports}' >> ~/.bashrc"]
    config["head_setup_commands"] = ["mkdir -p ~/embedding-sweeper/results"]
    config["worker_start_ray_commands"] = []
    config["head_start_ray_commands"] = [  # ours begin with `ray stop`: never in a test
        "env -u RAY_ADDRESS RAY_AUTH_MODE=token ray start --head"
        f" --port={address.partition(':')[2]} --node-ip-address=127.0.0.1"
        " --min-worker-port=0 --max-worker-port=0"
        " --include-dashboard=false --disable-usage-stats --num-cpus=1"
        f" --object-store-memory=100000000 --temp-dir={ray_dir}"
        " --autoscaling-config=~/ray_bootstrap_config.yaml"
    ]
    file = root / "ray_cluster.yaml"
    file.write_text(yaml.safe_dump(config))
    token = _folder(_folder(root / "laptop") / ".ray") / "auth_token"
    token.write_text(uuid.uuid4().hex)
    environment = os.environ | {
        "HOME": str(root / "laptop"),
        "PATH": f"{_ssh_to(ssh_port, root)}{os.pathsep}{os.environ['PATH']}",
        "TMPDIR": str(_folder(root / "tmp")),
        "RAY_TMPDIR": str(_folder(root / "state")),
        "RAY_UP_enable_autoscaler_v2": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    return Cluster(file, home, tracking_uri, environment)


def _ssh_to(port: int, root: Path) -> Path:
    """A folder with an `ssh` that goes to our port: Ray's `auth` has no field for one."""
    folder = _folder(root / "bin")
    ssh = folder / "ssh"
    ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -p {port} -o ControlPath=none "$@"\n')
    ssh.chmod(0o755)
    return folder


@contextmanager
def _sshd(sshd: str, root: Path, environment: dict[str, str]) -> Iterator[int]:
    """An sshd on 127.0.0.1 whose sessions get `environment`; yields its port."""
    for key in ("host_key", "user_key"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(root / key)], check=True
        )
    port = _free_port()
    (root / "sshd_config").write_text(
        f"Port {port}\n"
        "ListenAddress 127.0.0.1\n"
        f"HostKey {root / 'host_key'}\n"
        f"AuthorizedKeysFile {root / 'user_key.pub'}\n"
        "AuthenticationMethods publickey\n"
        "PermitRootLogin yes\n"
        "StrictModes no\n"
        "UsePAM no\n"
        "PidFile none\n"
        f"SetEnv {' '.join(f'{name}={value}' for name, value in environment.items())}\n"
    )
    with _privilege_separation_folder():
        command = [sshd, "-D", "-e", "-f", str(root / "sshd_config")]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            assert process.stderr is not None
            said = ""
            for line in process.stderr:
                said += line
                if "Server listening" in line:
                    break
            assert "Server listening" in said, said
            yield port
        finally:
            process.terminate()
            process.communicate()


@contextmanager
def _privilege_separation_folder() -> Iterator[None]:
    """As root, sshd wants this folder, which the service's start makes where there is one."""
    folder = Path("/run/sshd")
    ours = os.geteuid() == 0 and not folder.exists()
    if ours:
        folder.mkdir(mode=0o755)
    try:
        yield
    finally:
        if ours:
            folder.rmdir()


def _end_marked(mark: str) -> None:
    """Kill every process that carries the mark, and its descendants (Ray's workers hide theirs)."""
    for _ in range(5):  # what started between the look and the kill is met by the next look
        family = _family(mark)
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(family, timeout=5)


def _family(mark: str) -> set[psutil.Process]:
    family: set[psutil.Process] = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark:
                family |= {process, *process.children(recursive=True)}
    return family


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
