"""UIDs: their syntax, and how those of results are derived: doing the work twice gives the same objects."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from dicomnode import __version__

# Who wrote a file or opened an association (PS3.7 D.3.3.2): drawn once as a UUID (PS3.5 B.2), never changed
IMPLEMENTATION_CLASS_UID: Final = "2.25.190231079917448842286886662721333868900"
IMPLEMENTATION_VERSION_NAME: Final = f"DICOMNODE_{__version__}"[:16]  # SH: at most 16 characters

# PS3.5 9.1: components without leading zeros, at most 64 characters in all.
_UID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")
_UID_MAX = 64


def is_valid_uid(text: str) -> bool:
    """Tell whether `text` is a UID as PS3.5 section 9.1 defines it."""
    return len(text) <= _UID_MAX and _UID.fullmatch(text) is not None


def derive_uid(salt: bytes, *parts: str) -> str:
    """Derive a UID below 2.25 (PS3.5 B.2) from the installation's salt and what the object is made from.

    The same salt and parts always give the same UID; other parts, another one. The parts are hashed
    with their lengths, so that ("ab", "c") and ("a", "bc") differ.
    """
    digest = hashlib.sha256()
    for part in (salt, *(text.encode() for text in parts)):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return f"2.25.{int.from_bytes(digest.digest()[:16], 'big')}"
