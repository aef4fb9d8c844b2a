"""What a trial needs to be run again: code, environment, hardware."""

from __future__ import annotations

import functools
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import sweeper
from trials import machine

_PACKAGES = (
    "numpy",
    "scipy",
    "numba",
    "torch",
    "transformers",
    "scikit-learn",
    "mlflow",
    "ray",
    "optuna",
)


@functools.cache
def provenance() -> dict[str, str]:
    """Code version and dirty flag, package versions, and hardware of this process."""
    return {
        **_code(),
        "python": platform.python_version(),
        "packages": " ".join(f"{name}=={found}" for name in _PACKAGES if (found := _version(name))),
        "platform": platform.platform(),
        "cpu": _cpu(),
        "n_cpus": str(machine.n_cpus()),
        "gpu": _gpu(),
    }


def _code() -> dict[str, str]:
    folder = Path(sweeper.__file__).resolve().parent.parent
    found = {"sweeper": sweeper.__version__}
    if (folder / ".git").exists():
        commit = _output("git", "-C", str(folder), "rev-parse", "HEAD")
        # Without a lock on the index, which a killed driver would leave behind.
        changed = _output("git", "--no-optional-locks", "-C", str(folder), "status", "--porcelain")
        found |= {"commit": commit, "dirty": str(bool(changed)).lower()}
    return found


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _gpu() -> str:
    """Names of the visible GPUs, if this process has loaded torch anyway."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return ""
    return ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
