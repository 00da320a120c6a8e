"""What is wrong with one key of a settings file, in words that say what to type instead."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

_SECRET: Final = re.compile(
    r"passw|passphrase|pwd|secret|token|bearer|auth|(?:pass|key)(?![a-z])", re.IGNORECASE
)
_PATHS: Final = frozenset({"certificate_key"})  # keys that are named like a secret, and say where one stands
_USER_OF_URL: Final = re.compile(r"//[^@\s]*@")
_QUERY_OF_URL: Final = re.compile(r"(//[^\s?#]*[?#])\S+")
_NOT_SHOWN: Final = "…"
_UNKNOWN: Final = "a key "  # begins what is expected where a key is none of the schema
_KINDS: Final = {str: "a text", bool: "true or false", int: "a number", float: "a number", dict: "a table"}


@dataclass(frozen=True, slots=True)
class Kind:
    """What stands there, where only the kind of value may be shown: "a list"."""

    words: str

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong.

    key: the path of the key, as `receive.port` or `destination[2].host` (entries of [[destination]] are
    counted from 1); "file" when the file as a whole is meant. value: what stands there, None when nothing
    does. expected: what would be right. hint: what to do, may be empty. file and line are filled in where
    they are known. Problems are shown and logged: a value that may be a secret, or hold one, is left out;
    of a key that is unknown, which may be anything, only the kind of value is kept.
    """

    key: str
    value: Any
    expected: str
    hint: str = ""
    file: str = ""
    line: int | None = None

    def __post_init__(self) -> None:
        value = discreet(self.key, self.value)
        if self.expected.startswith(_UNKNOWN) and value not in (None, _NOT_SHOWN):
            value = _kind(value)
        object.__setattr__(self, "value", value)

    @property
    def place(self) -> str:
        """Where it is, as compilers write it: `dicomnode.toml:12`."""
        return f"{self.file}:{self.line}" if self.line is not None else self.file

    @property
    def found(self) -> str:
        """The value as the file would write it, or "nothing"."""
        return "nothing" if self.value is None else toml_text(self.value)

    def __str__(self) -> str:
        place = f"{self.place}: " if self.place else ""
        subject = f"{self.key}: " if self.key else ""
        hint = f" {self.hint}" if self.hint else ""
        return f"{place}{subject}expected {self.expected}, found {self.found}.{hint}"


def is_secret(key: str) -> bool:
    """Tell whether the value of a key, known or not, may be a secret by the key's name."""
    name = key.rpartition(".")[2]
    return name not in _PATHS and _SECRET.search(name) is not None


def discreet(key: str, value: Any) -> Any:
    """Return the value as it may be shown: without passwords, tokens, and the login and query of a URL.

    Where a secret stands (`file:…`, `credential:…`) is none.
    """
    if is_secret(key) and value not in (None, "") and not str(value).startswith(("file:/", "credential:")):
        return _NOT_SHOWN
    if isinstance(value, (list, tuple)):
        return [discreet(key, item) for item in value]
    if not isinstance(value, str):
        return value
    if key == "file" and _SECRET.search(value):  # one that is no TOML is shown by its wrong line
        name, equals, _ = value.partition("=")
        return f"{name}= {_NOT_SHOWN}" if equals else _NOT_SHOWN
    return _QUERY_OF_URL.sub(rf"\1{_NOT_SHOWN}", _USER_OF_URL.sub(f"//{_NOT_SHOWN}@", value))


def _kind(value: Any) -> Kind:
    if isinstance(value, Kind):
        return value
    if isinstance(value, (list, tuple)):
        return Kind("a list")
    return Kind(_KINDS.get(type(value), "a date or time"))


def toml_text(value: Any) -> str:
    """Write a value as TOML does; tables and long lists are cut short, since this is for messages."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(value, (list, tuple)):
        shown = ", ".join(toml_text(item) for item in value[:4])
        return f"[{shown}{', …' if len(value) > 4 else ''}]"
    if isinstance(value, dict):
        return "a table with " + (", ".join(list(value)[:4]) or "nothing in it")
    return str(value)
