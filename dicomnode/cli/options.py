"""Options that several verbs share, and what they open."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dicomnode.faults import USAGE, NodeError

if TYPE_CHECKING:
    from dicomnode.journal import Journal
    from dicomnode.net import Peer
    from dicomnode.settings import Settings

DEFAULT_CONFIG = Path("/etc/dicomnode/dicomnode.toml")
_LONGEST_NAME = 64

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Configuration; default ./dicomnode.toml, else /etc/dicomnode/."),
]


def config_path(given: Path | None) -> Path:
    """The file that is meant: the one given, else the one here, else the system's."""
    if given is not None:
        return given
    here = Path("dicomnode.toml")
    return here if here.exists() else DEFAULT_CONFIG


def open_settings(given: Path | None) -> Settings:
    """Read the configuration. Raises NodeError(SETTINGS_NOT_FOUND or SETTINGS_WRONG)."""
    from dicomnode.settings import load_settings

    return load_settings(config_path(given))


def open_journal(settings: Settings) -> Journal:
    """Open the journal of the configured node; who looks makes none. Raises NodeError(JOURNAL_MISSING, …)."""
    from dicomnode.journal import Journal

    return Journal.open(settings.journal_url, existing=True)


def named(by: str) -> str:
    """Read the name of who does something that the audit tells of. Raises NodeError(USAGE)."""
    name = by.strip()
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise NodeError(USAGE, problem=f"--by wants a name of 1 to {_LONGEST_NAME} printable characters")
    return name


def parse_peer(text: str, name: str = "peer") -> Peer:
    """Read `AE@HOST:PORT`. Raises NodeError(USAGE)."""
    from dicomnode.net import Peer

    ae_title, at, address = text.partition("@")
    host, colon, port = address.rpartition(":")
    is_port = port.isascii() and port.isdigit() and 0 < int(port) < 65536
    if not (at and colon and ae_title and host and is_port):
        raise NodeError(
            USAGE, problem=f"{text!r} is not of the form AE@HOST:PORT, such as ORTHANC@10.1.2.3:4242"
        )
    return Peer(name=name, ae_title=checked_ae_title(ae_title), host=host.strip("[]"), port=int(port))


def checked_ae_title(text: str) -> str:
    """Give the AE title back. Raises NodeError(USAGE) for one that cannot be."""
    from dicomnode.net import is_ae_title

    if not is_ae_title(text):
        raise NodeError(
            USAGE,
            problem=f"{text!r} is no AE title: it has 1 to 16 printable ASCII characters without backslash",
        )
    return text


def existing_parent(path: Path) -> Path:
    """The path itself or, while it is not there, the nearest folder above that is."""
    path = path.absolute()
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    return path


def no_folder_because(path: Path) -> str | None:
    """Why files cannot be written into a folder that may have to be made first; None when they can."""
    there = existing_parent(path)
    if not there.is_dir():
        return f"{there} is not a folder"
    if not os.access(there, os.W_OK | os.X_OK):
        return f"this user may not write in {there}"
    return None


def threads() -> int:
    """Cores that this process may use."""
    from dicomnode.device import usable_cores

    return usable_cores()
