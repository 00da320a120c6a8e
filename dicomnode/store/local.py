"""Whether a folder lies on a local disk: nothing written to a network file system is surely durable."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from dicomnode.faults import STORE_NOT_LOCAL, NodeError

_MOUNTS: Final = Path("/proc/self/mountinfo")
# By the names that the kernel gives them. FUSE: what lies behind is not known; fuseblk is a local disk.
_NETWORK: Final = frozenset(
    {
        "9p",
        "acfs",
        "afp",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "fuse",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "panfs",
        "pvfs2",
        "smb3",
        "smbfs",
        "virtiofs",
    }
)
_OCTAL: Final = re.compile(r"\\([0-7]{3})")


def require_local(path: Path, mounts: Path = _MOUNTS) -> None:
    """Raise NodeError(STORE_NOT_LOCAL) when `path` (or its nearest existing parent) lies on a network.

    Where the table of mounts cannot be read (not Linux), nothing is refused.
    """
    kind = filesystem(path, mounts)
    if kind is not None and (kind in _NETWORK or kind.startswith("fuse.")):
        raise NodeError(STORE_NOT_LOCAL, path=path, filesystem=kind)


def filesystem(path: Path, mounts: Path = _MOUNTS) -> str | None:
    """Name of the file system that holds `path`, as the kernel calls it; None when it cannot be told."""
    try:
        table = mounts.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return None
    real = Path(os.path.realpath(path))
    best: tuple[int, str] | None = None
    for line in table:
        # proc(5): id, parent, device, root, mount point, options, optional fields, "-", type, source …
        before, _, behind = line.partition(" - ")
        fields, kind = before.split(" "), behind.split(" ", 1)[0]
        if len(fields) < 5 or not kind:
            continue
        point = Path(_OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4]))
        depth = len(point.parts)
        # Of two mounts on one point the later one is seen
        if real.is_relative_to(point) and (best is None or depth >= best[0]):
            best = (depth, kind)
    return best and best[1]
