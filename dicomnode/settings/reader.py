"""From a TOML table to a frozen dataclass: every problem at once, none hidden behind another.

The dataclass is the schema (`key()` and `needed()` in `dicomnode.settings.keys`); its fields are the keys.
Text, numbers, true and false, `Path`, `Literal`, enumerations, X | None, lists as tuples, free tables as
mappings, tables as nested dataclasses and arrays of tables as tuples of them are understood. It reads no
file: settings and engine manifests use it alike.
"""

from __future__ import annotations

import difflib
import math
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from dicomnode.settings.keys import Rule
from dicomnode.settings.problem import Problem, is_secret, toml_text

_T = TypeVar("_T")


class _Wrong(Enum):
    """What a reading gives that found a problem; the problem itself is in the list."""

    VALUE = 0


_WRONG: Final = _Wrong.VALUE
_hints: Final = cache(get_type_hints)  # reading them takes longer than reading a table

_SCALAR_WORDS: Final[Mapping[Any, str]] = {
    str: "text in quotes",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    Path: "a path in quotes",
}


def read_table(
    cls: type[_T], table: Mapping[str, Any], where: str, *, base: Path | None = None
) -> tuple[_T | None, list[Problem]]:
    """Read a TOML table as `cls`, a frozen dataclass; None when anything is wrong, with all problems.

    where: the path of the table, which begins each problem's key ("" for the whole file). base: the folder
    that relative paths in the table start from; None leaves them as they are.
    """
    instance, problems = read_leniently(cls, table, where, base=base)
    return (None if problems else instance), problems


def read_leniently(
    cls: type[_T], table: Mapping[str, Any], where: str, *, base: Path | None = None
) -> tuple[_T | None, list[Problem]]:
    """As `read_table`, but with the defaults in place of what is wrong, so that more can be checked.

    None only when a key without a default is missing or wrong.
    """
    reading = _Reading(base)
    return reading.table(cls, table, where), reading.problems


@dataclass(slots=True)
class _Reading:
    """One pass over a table and what it found."""

    base: Path | None
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, key: str, value: Any, expected: str, hint: str = "") -> _Wrong:
        self.problems.append(Problem(key=key, value=value, expected=expected, hint=hint))
        return _WRONG

    def table(self, cls: type[_T], table: Mapping[str, Any], where: str) -> _T | None:
        """Read all keys of a table; those that are wrong take their default."""
        hints = _hints(cast("Any", cls))
        known = {entry.name: entry for entry in fields(cast("Any", cls))}
        values: dict[str, Any] = {}
        complete = True
        for name, entry in known.items():
            value: Any = _WRONG
            if name in table:
                value = self.field(entry, hints[name], table[name], _join(where, name))
            elif _has_default(entry):
                continue
            else:
                self.wrong(_join(where, name), None, _expected(entry, hints[name]), _doc(entry))
            if value is not _WRONG:
                values[name] = value
            elif not _has_default(entry):
                complete = False
        for name in table:
            if name not in known:
                self.unknown(name, table[name], where, list(known))
        return cls(**values) if complete else None

    def field(self, entry: Field[Any], hint: Any, raw: Any, key: str) -> Any:
        """Read one value and try its rule."""
        value = self.value(hint, raw, key)
        rule: Rule | None = entry.metadata.get("rule")
        if value is _WRONG or value is None or rule is None or rule.holds(value):
            return value
        return self.wrong(key, raw, rule.expected)

    def unknown(self, name: str, value: Any, where: str, known: list[str]) -> None:
        hint = nearest(name, known) or f"Keys here: {', '.join(known)}."
        place = f"in [{where}]" if where else "of this file"
        self.wrong(_join(where, name), value, f"a key {place}", hint)

    def value(self, hint: Any, raw: Any, key: str) -> Any:
        """Read one value of the type that the schema says."""
        origin = get_origin(hint)
        if origin in _READERS:
            return _READERS[origin](self, hint, raw, key)
        if is_dataclass(hint) and isinstance(hint, type):
            return self.nested(hint, raw, key)
        if isinstance(hint, type) and issubclass(hint, Enum):
            return self.enumeration(hint, raw, key)
        return self.scalar(hint, raw, key)

    def union(self, hint: Any, raw: Any, key: str) -> Any:
        choices = [choice for choice in get_args(hint) if choice is not type(None)]
        if raw == "" and Path in choices and len(choices) < len(get_args(hint)):
            return None  # TOML has no null: an empty path is "none"
        if len(choices) == 1:
            return self.value(choices[0], raw, key)
        for choice in choices:
            trial = _Reading(self.base)
            value = trial.value(choice, raw, key)
            # a whole number stays one where both int and float would do
            if value is not _WRONG and (
                choice is not float or not isinstance(raw, int) or int not in choices
            ):
                return value
        return self.wrong(key, raw, _words(hint))

    def literal(self, hint: Any, raw: Any, key: str) -> Any:
        choices = get_args(hint)
        for choice in choices:
            if raw == choice and type(raw) is type(choice):
                return choice
        return self.wrong(key, raw, _words(hint), nearest(raw, [str(choice) for choice in choices]))

    def enumeration(self, hint: type[Enum], raw: Any, key: str) -> Any:
        values = [member.value for member in hint]
        if raw in values:
            return hint(raw)
        return self.wrong(key, raw, _words(hint), nearest(raw, [str(value) for value in values]))

    def sequence(self, hint: Any, raw: Any, key: str) -> Any:
        kinds = get_args(hint)
        endless = len(kinds) == 2 and kinds[1] is Ellipsis
        if not isinstance(raw, list):
            return self.wrong(key, raw, _words(hint), _list_hint(kinds[0], raw, key))
        if not endless and len(raw) != len(kinds):
            return self.wrong(key, raw, _words(hint))
        values = [
            self.value(kinds[0] if endless else kinds[n], item, f"{key}[{n + 1}]")
            for n, item in enumerate(raw)
        ]
        # One that is wrong makes the list unknown: what is counted in it later would be counted wrongly
        return _WRONG if _WRONG in values else tuple(values)

    def mapping(self, hint: Any, raw: Any, key: str) -> Any:
        if not isinstance(raw, dict):
            return self.wrong(key, raw, _words(hint))
        kind = get_args(hint)[1]
        values = {name: self.value(kind, item, _join(key, name)) for name, item in raw.items()}
        return _WRONG if _WRONG in values.values() else values

    def nested(self, hint: type[Any], raw: Any, key: str) -> Any:
        if not isinstance(raw, dict):
            single = f"Write [{key}] with single brackets: there is one." if isinstance(raw, list) else ""
            return self.wrong(key, raw, "a table", single)
        instance = self.table(hint, raw, key)
        return _WRONG if instance is None else instance

    def scalar(self, hint: Any, raw: Any, key: str) -> Any:
        if hint is Any:
            return raw
        if hint is Path and isinstance(raw, str) and raw:
            return self.path(raw, key)
        # bool is an int in Python, not in TOML
        right = isinstance(raw, hint) and (hint is bool or not isinstance(raw, bool))
        if hint is float and isinstance(raw, int) and not isinstance(raw, bool):
            return float(raw)
        if right and (hint is not float or math.isfinite(raw)):
            return raw
        return self.wrong(key, raw, _words(hint), _quotes_hint(hint, raw, key))

    def path(self, raw: str, key: str) -> Any:
        try:
            path = Path(raw).expanduser()
        except RuntimeError:
            return self.wrong(key, raw, "a path", "There is no such user.")
        return path if self.base is None else self.base / path


_READERS: Final[Mapping[Any, Callable[[_Reading, Any, Any, str], Any]]] = {
    Union: _Reading.union,
    types.UnionType: _Reading.union,
    Literal: _Reading.literal,
    tuple: _Reading.sequence,
    Mapping: _Reading.mapping,
    dict: _Reading.mapping,
}


def nearest(name: Any, known: list[str]) -> str:
    """Say which of the known words was meant, as a sentence; empty when none is near."""
    found = difflib.get_close_matches(str(name), known, n=1, cutoff=0.6)
    return f'Did you mean "{found[0]}"?' if found else ""


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _has_default(entry: Field[Any]) -> bool:
    return entry.default is not MISSING or entry.default_factory is not MISSING


def _doc(entry: Field[Any]) -> str:
    return str(entry.metadata.get("doc", ""))


def _expected(entry: Field[Any], hint: Any) -> str:
    rule: Rule | None = entry.metadata.get("rule")
    return _words(hint) if rule is None else rule.expected


def _words(hint: Any) -> str:
    """Say what a type of the schema accepts."""
    origin, kinds = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_words(kind) for kind in kinds if kind is not type(None))
    if origin is Literal:
        return _one_of([toml_text(choice) for choice in kinds])
    if origin is tuple and kinds[-1] is not Ellipsis:
        return f"a list of {len(kinds)} values, each {_words(kinds[0])}"
    if origin is tuple:
        return f"a list, each {_words(kinds[0])}"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _one_of([toml_text(member.value) for member in hint])
    return _SCALAR_WORDS.get(hint, "a table")


def _one_of(choices: list[str]) -> str:
    return choices[0] if len(choices) == 1 else f"one of {', '.join(choices)}"


def _list_hint(kind: Any, raw: Any, key: str) -> str:
    if is_dataclass(kind):
        return f"Write [[{key}]] with double brackets: there can be several." if isinstance(raw, dict) else ""
    return "" if isinstance(raw, dict) else f"Write {_last(key)} = [{toml_text(raw)}]."


def _quotes_hint(hint: Any, raw: Any, key: str) -> str:
    if hint in (str, Path) and isinstance(raw, (int, float)) and not is_secret(key):
        return f'Write {_last(key)} = "{toml_text(raw)}".'
    if hint in (int, float, bool) and isinstance(raw, str) and _is_such(hint, raw):
        return f"Write {_last(key)} = {raw.strip()}, without quotes."
    return ""


def _is_such(hint: Any, text: str) -> bool:
    if hint is bool:
        return text in ("true", "false")
    try:
        hint(text)
    except ValueError:
        return False
    return True


def _last(key: str) -> str:
    return key.rpartition(".")[2]
