"""Secrets are not written into dicomnode.toml: it names them, and systemd hands them over in a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

PREFIX: Final = "credential:"


def read_credential(text: str) -> bytes:
    """Return the secret that a value `credential:NAME` names, as it stands in its file.

    systemd gives the folder in the environment (systemd.exec, LoadCredential=). Raises OSError when there
    is no such folder or no such secret, ValueError when `text` names none.
    """
    name = text.removeprefix(PREFIX)
    if name == text or not name or "/" in name or name in (".", ".."):
        raise ValueError(f"{text!r} is not of the form {PREFIX}NAME")
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder is None:
        raise FileNotFoundError(
            "systemd gave no credentials to this process (CREDENTIALS_DIRECTORY is not set)"
        )
    return (Path(folder) / name).read_bytes()
