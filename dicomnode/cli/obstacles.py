"""What `serve` would stumble over on this machine, found without leaving anything behind."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Final

from dicomnode.cli.options import existing_parent, no_folder_because
from dicomnode.faults import NodeError

if TYPE_CHECKING:
    from pathlib import Path

    from dicomnode.settings import Problem, Settings

_LOCK: Final = "lock"  # in the store's folder; a running node holds it


def find_obstacles(settings: Settings) -> tuple[list[Problem], list[str]]:
    """Look at store and port; give the problems, and notes on what was not looked at."""
    problems = _store(settings.store.path)
    if node_runs(settings.store.path):
        return problems, ["The node runs, so its port was not tried."]
    return [*problems, *_port(settings.receive.address, settings.receive.port)], []


def node_runs(store: Path) -> bool:
    """Tell whether a node holds the lock of the store."""
    try:
        fd = os.open(store / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _store(path: Path) -> list[Problem]:
    from dicomnode.settings import Problem
    from dicomnode.store import require_local

    why_not = no_folder_because(path)
    if why_not is not None:
        hint = f"{why_not[:1].upper()}{why_not[1:]}."
        if existing_parent(path).is_dir():
            hint += " `dicomnode check` tells of the user that runs it: run it as the user of the service."
        expected = "a folder that the node can make and write to"
        return [Problem(key="store.path", value=str(path), expected=expected, hint=hint)]
    try:
        require_local(path)
    except NodeError as error:
        hint = f"{error} {error.remedy}"
        return [Problem(key="store.path", value=str(path), expected="a folder on a local disk", hint=hint)]
    return []


def _port(address: str, port: int) -> list[Problem]:
    from dicomnode.receive import open_listening
    from dicomnode.settings import Problem

    if port == 0:  # any free one
        return []
    try:
        open_listening(address, port).close()
    except NodeError as error:
        hint = f"{error} {error.remedy}"
        expected = "a port that can be listened on"
        return [Problem(key="receive.port", value=port, expected=expected, hint=hint)]
    return []
