"""Which guarantees the file system of a path gives: is it shared, do file locks work."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

_MOUNTS = Path("/proc/self/mounts")
# Other machines may see the same files, but not shared memory and not every lock.
_NETWORK = (
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "coda", "9p", "virtiofs", "vboxsf"),
    *("lustre", "beegfs", "gpfs", "ceph", "glusterfs", "orangefs", "pvfs2", "panfs", "wekafs"),
    *("fuse.sshfs", "fuse.ceph", "fuse.glusterfs", "fuse.juicefs", "fuse.rclone", "fuse.s3fs"),
    *("fuse.gcsfuse", "ocfs2"),
)


def network_file_system(path: Path) -> str:
    """The type of the network file system of `path` ("nfs4"), "" for a local one.

    The answer is "" on systems that do not list their mounts in /proc.
    """
    path = path.resolve()
    best, kind = -1, ""
    try:
        lines = _MOUNTS.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    for fields in (line.split() for line in lines):
        point = Path(_unescaped(fields[1])) if len(fields) > 2 else None
        if point is not None and path.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), fields[2]
    return kind if kind in _NETWORK else ""


def flock(descriptor: int) -> bool:
    """Lock a file. False on a file system without locks.

    Raises:
        BlockingIOError: another process holds the lock.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


def locks_exclude(path: Path) -> bool:
    """Whether the lock that this process holds on `path` excludes others on this machine.

    Some network file systems grant every lock. The answer is also false where locks belong to a
    process, not to a descriptor.
    """
    descriptor = os.open(path, os.O_RDWR)
    try:
        flock(descriptor)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def locks_exclude_all(path: Path) -> bool:
    """Whether the lock that this process holds on `path` excludes others on every machine."""
    return not network_file_system(path.parent) and locks_exclude(path)


def _unescaped(text: str) -> str:
    """Undo the kernel's escapes in a mount point: \\040 is a space."""
    parts = text.split("\\")
    return parts[0] + "".join(
        chr(int(part[:3], 8)) + part[3:] if part[:3].isdigit() else f"\\{part}"
        for part in parts[1:]
    )
