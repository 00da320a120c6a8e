"""The key of this installation, and the signature under each plan's record."""

from __future__ import annotations

import hmac
import os
from pathlib import Path
from typing import Final

from dicomnode.engine.plans.private import UntrustedFileError, read_private
from dicomnode.faults import PLAN_SECRET_WRONG, NodeError
from dicomnode.settings import read_credential
from dicomnode.store import Disk, write_whole

SECRET_FILE: Final = "key"  # noqa: S105  the name of a file
_SECRET_BYTES: Final = 32
_LONGEST: Final = 4096


def sign(secret: bytes, message: bytes) -> str:
    """HMAC-SHA256 as 64 hex digits."""
    return hmac.digest(secret, message, "sha256").hex()


def signed(secret: bytes, message: bytes, signature: object) -> bool:
    """Whether the signature was made with this secret; takes the same time for every wrong one."""
    return isinstance(signature, str) and hmac.compare_digest(
        sign(secret, message).encode(), signature.encode("utf-8", "replace")
    )


def read_secret(disk: Disk, folder: Path, credential: str = "") -> bytes:
    """Read the key: a credential where one is named, else the file of this installation, made once.

    The caller holds the lock of the folder. Raises NodeError(PLAN_SECRET_WRONG).
    """
    path = folder / SECRET_FILE
    if credential:
        try:
            secret = read_credential(credential)
        except (OSError, ValueError) as error:
            raise NodeError(PLAN_SECRET_WRONG, path=path, reason=f"{credential}: {error}") from error
    else:
        if not os.path.lexists(path):
            write_whole(disk, path, os.urandom(_SECRET_BYTES))
        try:
            secret = read_private(path, _LONGEST)
        except (OSError, UntrustedFileError) as error:
            raise NodeError(PLAN_SECRET_WRONG, path=path, reason=f"{path}: {error}") from error
    if len(secret) < _SECRET_BYTES:
        reason = f"it has {len(secret)} bytes, at least {_SECRET_BYTES} are needed"
        raise NodeError(PLAN_SECRET_WRONG, path=path, reason=reason)
    return secret
