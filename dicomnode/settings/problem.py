"""What is wrong with one key of a settings file, in words that say what to type instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong.

    key: the path of the key, as `receive.port` or `destination[2].host` (entries of [[destination]] are
    counted from 1); "file" when the file as a whole is meant. value: what stands there, None when nothing
    does. expected: what would be right. hint: what to do, may be empty. file and line are filled in where
    they are known.
    """

    key: str
    value: Any
    expected: str
    hint: str = ""
    file: str = ""
    line: int | None = None

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
