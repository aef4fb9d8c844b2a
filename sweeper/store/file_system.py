"""What the file system of a path can be trusted with."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

_MOUNTS = Path("/proc/self/mounts")
# Other machines may see the same files, and neither shared memory nor every lock reaches them.
_NETWORK = (
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "coda", "9p", "virtiofs", "vboxsf"),
    *("lustre", "beegfs", "gpfs", "ceph", "glusterfs", "orangefs", "pvfs2", "panfs", "wekafs"),
    *("fuse.sshfs", "fuse.ceph", "fuse.glusterfs", "fuse.juicefs", "fuse.rclone", "fuse.s3fs"),
    *("fuse.gcsfuse", "ocfs2"),
)


def network_file_system(path: Path) -> str:
    """The type of the network file system that `path` lies on ("nfs4"), "" if it is on none.

    Where the system does not list its mounts the answer is "".
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
    """Lock a file; false on a file system without locks, BlockingIOError if another holds it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


def locks_exclude(path: Path) -> bool:
    """Whether the lock that this process holds on `path` keeps others of this machine out.

    Some network file systems grant every lock. Where locks belong to a process and not to a
    descriptor, the answer is false too.
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
    """Whether the lock that this process holds on `path` keeps others out on every machine."""
    return not network_file_system(path.parent) and locks_exclude(path)


def _unescaped(text: str) -> str:
    """A mount point as the kernel writes it: a space is \\040, and so on."""
    parts = text.split("\\")
    return parts[0] + "".join(
        chr(int(part[:3], 8)) + part[3:] if part[:3].isdigit() else f"\\{part}"
        for part in parts[1:]
    )
