"""A component of a bundle's configuration, `{"_target_": …}`, read by its name and never imported."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from dicomnode.faults import CODE_NOT_RUN, NO_FORM, QUESTIONS_OPEN, SOURCE_INCOMPLETE, NodeError
from dicomnode.learn.convert.monai_config import Code

_HIDDEN: Final = frozenset({"_target_", "_desc_", "_requires_", "_disabled_", "_mode_"})
_SPACE: Final = 3
_ALIASES: Final = ("Dict", "D")  # LoadImageDict, LoadImageD and LoadImaged are one


@dataclass(slots=True)
class Call:
    """A component and its arguments; what nobody has taken in the end is an argument that nobody knows.

    source: the bundle, for messages. where: id in the configuration.
    """

    source: str
    where: str
    name: str
    arguments: Mapping[str, Any]
    _taken: set[str] = field(default_factory=set)

    def take(self, key: str, default: Any = None) -> Any:
        """Return an argument; NodeError(CODE_NOT_RUN) where it is Python."""
        self._taken.add(key)
        return plain(self.arguments.get(key, default), self.source)

    def ignore(self, *keys: str) -> None:
        """Pass over arguments that change no result."""
        self._taken.update(keys)

    def only(self, key: str, *allowed: Any) -> Any:
        """Return an argument that must be one of these; the first one is its default."""
        value = self.take(key, allowed[0])
        if not any(
            value is one or (value == one and isinstance(value, bool) == isinstance(one, bool))
            for one in allowed
        ):
            self.refuse(f"{key} is {value!r}")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """Return an argument that is a finite number."""
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.refuse(f"{key} is {value!r}, not a number")
        return float(value)

    def whole(self, key: str, default: int | None = None) -> int:
        """Return an argument that is a whole number."""
        value = self.number(key, default)
        if value != int(value):
            self.refuse(f"{key} is {value:g}, not a whole number")
        return int(value)

    def along_axes(self, key: str) -> list[float]:
        """Return a number for each of the three axes; a single one holds for all, the last for those left."""
        value = self.take(key)
        items = value if isinstance(value, list) else [value]
        numbers = [
            float(one) for one in items[:_SPACE] if isinstance(one, int | float) and not isinstance(one, bool)
        ]
        if not numbers or len(numbers) != len(items[:_SPACE]) or not all(map(math.isfinite, numbers)):
            self.refuse(f"{key} is {value!r}, not a number for each axis")
        return [*numbers, *[numbers[-1]] * (_SPACE - len(numbers))]

    def one_for_all(self, key: str, default: Any) -> Any:
        """Return an argument that is one value, or a list of the same value for each axis."""
        value = self.take(key, default)
        if isinstance(value, list):
            if not value or any(one != value[0] for one in value):
                self.refuse(f"{key} is {value!r}: it differs along the axes")
            return value[0]
        return value

    def done(self) -> None:
        """Refuse arguments that nobody has asked for: an unknown one may decide the result."""
        left = sorted(set(self.arguments) - self._taken)
        if left:
            self.refuse(f"its argument {left[0]} is not known here")

    def refuse(self, reason: str) -> NoReturn:
        """Raise NodeError(NO_FORM) with the name of the component."""
        raise NodeError(NO_FORM, source=self.source, what=self.name, reason=reason)


def unanswered(source: str, questions: Mapping[str, str], example: str) -> NodeError:
    """Make the failure of a bundle that does not say all; questions: by the name of their answer."""
    missing = "".join(f"\n  {key}: {text}" for key, text in questions.items())
    return NodeError(QUESTIONS_OPEN, path=source, missing=missing, example=f"--set '{example}'")


def plain(value: Any, source: str) -> Any:
    """Return a value without Python in it; NodeError(CODE_NOT_RUN) names the first that has some."""
    if isinstance(value, Code):
        text = value.text if len(value.text) <= 80 else f"{value.text[:77]}…"
        raise NodeError(CODE_NOT_RUN, source=source, where=value.where, code=text)
    for one in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        plain(one, source)
    return value


def call_of(value: Any, where: str, source: str) -> Call:
    """Read a component; NodeError where it is none, or where a flag on it is Python.

    The name is the last part of a target in `monai`, with the "d" of transforms on dictionaries; a target
    that lies elsewhere keeps its whole name, which nothing here knows.
    """
    plain(value if isinstance(value, Code) else None, source)
    if not isinstance(value, Mapping) or not isinstance(value.get("_target_"), str):
        problem = f"{where} is no component: it has no _target_"
        raise NodeError(SOURCE_INCOMPLETE, path=source, kind="MONAI bundle", problem=problem)
    arguments = {key: one for key, one in value.items() if key not in _HIDDEN}
    call = Call(source, where, _name(value["_target_"]), arguments)
    if plain(value.get("_mode_", "default"), source) != "default":
        call.refuse("its _mode_ makes a function of it")
    return call


def _name(target: str) -> str:
    package, _, last = target.rpartition(".")
    if package and package.partition(".")[0] != "monai":
        return target
    for alias in _ALIASES:
        if last.endswith(alias) and last.removesuffix(alias)[-1:].islower():
            return f"{last.removesuffix(alias)}d"
    return last


def transforms_of(value: Any, where: str, source: str) -> Iterator[Call]:
    """Yield the transforms of a Compose, nested ones in their place, without those that are disabled."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        for n, one in enumerate(value):
            yield from transforms_of(one, f"{where}::{n}", source)
        return
    if isinstance(value, Mapping) and plain(value.get("_disabled_", False), source) in (True, "true"):
        return
    call = call_of(value, where, source)
    if call.name != "Compose":
        yield call
        return
    inner = call.arguments.get("transforms", [])
    plain(inner if isinstance(inner, Code) else None, source)
    call.ignore("transforms", "map_items", "unpack_items", "log_stats", "overrides")
    call.only("lazy", False, None)  # lazily, several interpolations become one, and the result another
    call.done()
    yield from transforms_of(inner or [], f"{where}::transforms", source)
