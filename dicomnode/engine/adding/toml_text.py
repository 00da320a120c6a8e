"""A table as the text of engine.toml, as a person would write it: entries a line, small tables in braces.

TOML 1.0. `tomllib` reads the same table back. Of what exists to write TOML nothing lays it out so that an
engine.toml can be read and mended by hand, which is what it is for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

_WIDTH: Final = 110
_ARRAYS_OF_TABLES: Final = frozenset({"input", "step", "output", "head"})  # with a header of their own
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def toml_text(table: Mapping[str, Any], title: str = "") -> str:
    """Write a table; `title` is a comment before it. None among the values is left out.

    Raises ValueError for a number that is not finite, TypeError for what TOML has no form for.
    """
    lines = [f"# {' '.join(title.split())}"] if title else []
    _table(table, (), lines)
    return "\n".join(lines).strip("\n") + "\n"


def _table(table: Mapping[str, Any], path: tuple[str, ...], lines: list[str]) -> None:
    """Write the entries of a table, then the tables in it that have a header of their own."""
    later = []
    for name, value in table.items():
        if value is None:
            continue
        if _has_header(name, value, path):
            later.append((name, value))
        else:
            lines.extend(_entry(name, value))
    for name, value in later:
        inner = (*path, name)
        header = ".".join(_key(part) for part in inner)
        if isinstance(value, Mapping):
            lines += ["", f"[{header}]"]
            _table(value, inner, lines)
            continue
        for one in value:
            lines += ["", f"[[{header}]]"]
            _table(one, inner, lines)


def _has_header(name: str, value: Any, path: tuple[str, ...]) -> bool:
    if isinstance(value, Mapping):
        return not path or len(f"{_key(name)} = {_inline(value)}") > _WIDTH
    if name not in _ARRAYS_OF_TABLES or not _is_list(value):
        return False
    return len(value) > 0 and all(isinstance(one, Mapping) for one in value)


def _entry(name: str, value: Any) -> list[str]:
    """Write a key with its value: on a line, or a list with an item a line."""
    text = f"{_key(name)} = {_inline(value)}"
    tables = _is_list(value) and any(isinstance(one, Mapping) for one in value)
    if not tables and (len(text) <= _WIDTH or not _is_list(value) or _is_plain(value)):
        return [text]
    if tables and len(value) == 1 and len(text) <= _WIDTH:
        return [text]
    return [f"{_key(name)} = [", *(f"  {_inline(one)}," for one in value), "]"]


def _is_plain(values: Sequence[Any]) -> bool:
    return all(isinstance(one, int | float) for one in values)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        parts = [f"{_key(name)} = {_inline(one)}" for name, one in value.items() if one is not None]
        return "{ " + ", ".join(parts) + " }" if parts else "{}"
    if _is_list(value):
        return "[" + ", ".join(_inline(one) for one in value) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"engine.toml has finite numbers, got {value!r}")
        return repr(value)
    raise TypeError(f"TOML has no form for {type(value).__name__}")


def _string(text: str) -> str:
    # Patterns are read more easily as they are
    if "\\" in text and "'" not in text and text.isprintable():
        return f"'{text}'"
    return _quoted(text)


def _quoted(text: str) -> str:
    return '"' + "".join(_character(one) for one in text) + '"'


def _character(one: str) -> str:
    if one in _ESCAPES:
        return _ESCAPES[one]
    if ord(one) < 0x20 or ord(one) == 0x7F:
        return f"\\u{ord(one):04X}"
    return one


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _quoted(name)
