"""Secrets are not written into dicomnode.toml: it names the file, or what systemd hands over in a folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

PREFIX: Final = "credential:"
FILE: Final = "file:"

_LONGEST: Final = 64 * 1024  # bytes; a bearer token may have some thousands


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


def read_secret(place: str) -> str:
    """Return the secret at `place`, `credential:NAME` or `file:/PATH`, without the ends of line behind it.

    Raises OSError, and ValueError when it is empty, no text of one line, or in a file that others may read;
    neither says anything of what stands in it.
    """
    path = place.removeprefix(FILE)
    content = read_credential(place) if path == place else read_protected(Path(path))
    try:
        text = content.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        # Not from that error: it holds all that was read
        raise ValueError("it is no UTF-8 text") from None
    if not text:
        raise ValueError("it is empty")
    if not text.isprintable():
        raise ValueError("it has more than one line, or control characters")
    return text


def read_protected(path: Path) -> bytes:
    """Read a file of this user or of root that no other user may read, and nobody else write.

    Its group may read it: a file of root is given to a service in that way. What is checked is what is read.
    Raises OSError, and ValueError where that is not so.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # of a pipe it would wait
    try:
        _require_protected(os.fstat(descriptor))
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def _require_protected(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is no regular file")
    if found.st_uid not in (0, os.geteuid()):
        raise ValueError(f"it belongs to user {found.st_uid}, not to root or user {os.geteuid()}")
    if found.st_mode & (stat.S_IRWXO | stat.S_IWGRP):
        mode = f"{stat.S_IMODE(found.st_mode):04o}"
        raise ValueError(f"its mode is {mode}, which lets others read or change it; 0600 or 0640 is right")
    if found.st_size > _LONGEST:
        raise ValueError(f"it has {found.st_size} bytes, more than {_LONGEST}")
