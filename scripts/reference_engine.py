"""docs/reference/engine.md, from the declarations of `dicomnode.engine.manifest.tree`."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from dicomnode.engine.manifest.preparation import Preparation
from dicomnode.engine.manifest.tree import Manifest

_PLAIN = {str: "text", bool: "true, false", int: "whole number", float: "number", Preparation: "step"}

_OPENING = (
    "Every key of an engine package's `engine.toml`; `dicomnode engine check` tries a package. "
    "[A form for each task](../how-to/engine-forms.md) shows them at work; what `prepare` can hold stands in "
    "[Preparations](preparations.md)."
)


def engine_page() -> str:
    """Every key of engine.toml, table by table in the order of the file."""
    lines = ["# engine.toml", "", _OPENING, ""]
    for title, table in _tables(Manifest, "", {}).items():
        lines += [f"## {title or 'Before all tables'}", ""] + ([_about(table), ""] if title else [])
        lines += ["| key | value | default | meaning |", "| --- | --- | --- | --- |"]
        hints = get_type_hints(table)
        for key in fields(table):
            cells = (f"`{key.name}`", _words(hints[key.name]), _default(key), key.metadata.get("doc", ""))
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines)


def _about(table: Any) -> str:
    """Give the documentation of a table without the header that it begins with."""
    text = " ".join(inspect.getdoc(table).split())
    header, colon, rest = text.partition("]: ")
    rest = rest if colon and header.startswith("[") else text
    return rest[:1].upper() + rest[1:]


def _tables(table: Any, name: str, found: dict[str, Any]) -> dict[str, Any]:
    """Collect the tables of a file by their headers, each where it is first met."""
    if table in found.values() or table is Preparation:
        return found
    found[name] = table
    hints = get_type_hints(table)
    for key in fields(table):
        inner = name.strip("[]") + ("." if name else "") + key.name
        for kind, several in _dataclasses_in(hints[key.name]):
            _tables(kind, f"[[{inner}]]" if several else f"[{inner}]", found)
    return found


def _dataclasses_in(hint: Any, several: bool = False) -> Iterator[tuple[Any, bool]]:
    if is_dataclass(hint):
        yield hint, several
    for inner in get_args(hint):
        yield from _dataclasses_in(inner, several or get_origin(hint) is tuple)


def _words(hint: Any) -> str:
    """Say what a key holds, for people."""
    origin, kinds = get_origin(hint), get_args(hint)
    if origin is Literal:
        return ", ".join(f"`{_toml(kind)}`" for kind in kinds)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_words(kind) for kind in kinds if kind is not type(None)))
    if origin is tuple:
        return f"list of {_words(kinds[0])}" if kinds[-1] is ... else f"{len(kinds)} × {_words(kinds[0])}"
    if origin is Mapping:
        return f"table of {_words(kinds[1])}"
    return _PLAIN.get(hint, "table")


def _default(key: Field[Any]) -> str:
    if key.default_factory is not MISSING:
        return "–"
    if key.default is MISSING:
        return "needed"
    return "–" if key.default is None or key.default in ((), "") else f"`{_toml(key.default)}`"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return str(value) if isinstance(value, int | float) else f'"{value}"'
