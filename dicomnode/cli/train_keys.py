"""Keys of a recipe as words of a command: KEY=VALUE."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import Any

from dicomnode.faults import USAGE, NodeError


def key_values(texts: Sequence[str]) -> dict[str, Any]:
    """Read KEY=VALUE as TOML does; what is none is text."""
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise NodeError(USAGE, problem=f"--set {text!r} is not of the form KEY=VALUE")
        try:
            found[name.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            found[name.strip()] = value.strip()
    return found
