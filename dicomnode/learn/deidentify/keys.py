"""The secret of an export: who has it finds the same UIDs, pseudonyms and shifts again; nobody else does."""

from __future__ import annotations

import base64
import hmac
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Final

from dicomnode.faults import EXPORT_KEY, NodeError

_BYTES: Final = 32
_PSEUDONYM_BYTES: Final = 10  # 16 letters: two patients of a million share one with a chance of 1 in 10^12
_LEAST_SHIFT, _MOST_SHIFT = 30, 3650  # days into the past


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportKey:
    """32 secret bytes, and what is derived from them by HMAC-SHA256 (RFC 2104)."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != _BYTES:
            raise ValueError(f"a key has {_BYTES} bytes, not {len(self.secret)}")

    def uid(self, uid: str) -> str:
        """The UID below 2.25 (PS3.5 B.2) that stands for another one, everywhere."""
        return f"2.25.{int.from_bytes(self._digest('uid', uid)[:16], 'big')}"

    def pseudonym(self, patient: str) -> str:
        """Name and ID of a patient: P and 16 letters and digits. patient: whatever tells patients apart."""
        code = base64.b32encode(self._digest("patient", patient)[:_PSEUDONYM_BYTES]).decode()
        return f"P{code}"

    def shift_days(self, patient: str) -> int:
        """By how many days all dates of a patient move; always into the past, 30 to 3650 days."""
        drawn = int.from_bytes(self._digest("shift", patient)[:8], "big")
        return -(_LEAST_SHIFT + drawn % (_MOST_SHIFT - _LEAST_SHIFT + 1))

    def word(self, text: str) -> str:
        """Eight hex digits that stand for a text that may not be shown."""
        return self._digest("word", text)[:4].hex()

    def _digest(self, what: str, text: str) -> bytes:
        message = what.encode() + b"\0" + text.encode("utf-8", "surrogateescape")
        return hmac.new(self.secret, message, sha256).digest()


def read_key(path: Path) -> ExportKey:
    """Read the key of a file; where there is none, draw one and write it, for its owner alone.

    Raises NodeError(EXPORT_KEY).
    """
    try:
        _write_new(path)
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(4 * _BYTES)
    except OSError as error:
        raise NodeError(EXPORT_KEY, path=path, error=error.strerror or error) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise NodeError(EXPORT_KEY, path=path, error="others than its owner may read it (chmod 600)")
    try:
        return ExportKey(secret=bytes.fromhex(text.decode("ascii")))
    except ValueError as error:
        problem = f"it does not hold {2 * _BYTES} hexadecimal digits"
        raise NodeError(EXPORT_KEY, path=path, error=problem) from error


def _write_new(path: Path) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(fd, "wb") as file:
        file.write(os.urandom(_BYTES).hex().encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def require_private_place(path: Path, folders: Sequence[Path]) -> None:
    """Raise NodeError(EXPORT_KEY) where a key lies within what is given away, or beside what is read."""
    for folder in folders:
        if path.resolve().is_relative_to(folder.resolve()):
            raise NodeError(EXPORT_KEY, path=path, error=f"it would lie in {folder}, with what it protects")


def shifted_date(text: str, days: int) -> str | None:
    """Return a DA, or the date of a DT, moved by days; None where it is none or leaves the calendar."""
    if len(text) != 8 or not (text.isascii() and text.isdigit()):  # YYYYMMDD
        return None
    try:
        moved = date(int(text[:4]), int(text[4:6]), int(text[6:])) + timedelta(days=days)
    except (ValueError, OverflowError):
        return None
    return f"{moved.year:04d}{moved.month:02d}{moved.day:02d}"
