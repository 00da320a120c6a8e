"""The configuration language of MONAI bundles, read as data: references and arithmetic, and never Python.

MONAI runs what stands after "$" as Python and imports what `_target_` names, so that a configuration is a
program. Here "@" references are followed and "$" expressions are computed where they are literals, operators
and references; everything else stays `Code`, a text that nobody runs and that is refused where it matters.
Source: monai.bundle.{config_parser,reference_resolver,config_item} (1.6).
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

_REFERENCE: Final = re.compile(r"@(?:::)*\w*(?:::\w+)*")
_RELATIVE: Final = re.compile(r"^(?:::)+")
_MOST_VALUES: Final = 100_000  # of everything that a configuration resolves to
_DEEPEST: Final = 64
_LONGEST: Final = 10_000  # of a list or text that an expression makes
_LONGEST_EXPRESSION: Final = 2_000  # characters
_LARGEST: Final = 10.0**15

_OPERATORS: Final[Mapping[type[ast.operator], Callable[[Any, Any], Any]]] = MappingProxyType(
    {
        ast.Add: operator.add,
        ast.Sub: operator.sub,
        ast.Mult: operator.mul,
        ast.Div: operator.truediv,
        ast.FloorDiv: operator.floordiv,
        ast.Mod: operator.mod,
    }
)
_COMPARISONS: Final[Mapping[type[ast.cmpop], Callable[[Any, Any], bool]]] = MappingProxyType(
    {
        ast.Eq: operator.eq,
        ast.NotEq: operator.ne,
        ast.Lt: operator.lt,
        ast.LtE: operator.le,
        ast.Gt: operator.gt,
        ast.GtE: operator.ge,
    }
)


@dataclass(frozen=True, slots=True)
class Code:
    """Something that only Python could compute: its text, and where it stands."""

    text: str
    where: str


class ConfigError(ValueError):
    """The configuration leads nowhere, or round in a circle; the text says where."""


class _NotPlainError(ValueError):
    """An expression is more than literals, operators and references."""


class Config:
    """A configuration and what is said in its place (`instead`: by id, values of the answers)."""

    def __init__(self, table: Mapping[str, Any], instead: Mapping[str, Any] | None = None) -> None:
        self._table = table
        self._instead = {_normal(key): value for key, value in (instead or {}).items()}
        self._left = _MOST_VALUES

    def __contains__(self, key: str) -> bool:
        return _normal(key) in self._instead or key in self._table

    def value(self, key: str) -> Any:
        """Return what an id means: plain values, lists and tables, `Code` where Python would be needed.

        Raises ConfigError for an id that is not there, for circles, and for more values than any bundle has.
        """
        return self._of(_normal(key), ())

    def _of(self, key: str, within: tuple[str, ...]) -> Any:
        if key in self._instead:
            return self._instead[key]
        if key in within:
            raise ConfigError(f"{' → '.join((*within, key))} is a circle")
        return self._resolved(self._raw(key, within), key, (*within, key))

    def _raw(self, key: str, within: tuple[str, ...]) -> Any:
        found: Any = self._table
        for part in key.split("::") if key else ():
            if isinstance(found, str) and found.startswith(("@", "%")):
                found = self._resolved(found, key, (*within, key))
            if isinstance(found, Mapping) and part in found:
                found = found[part]
            elif isinstance(found, list) and part.isdecimal() and int(part) < len(found):
                found = found[int(part)]
            else:
                raise ConfigError(f"@{key} names what the configuration does not have")
        return found

    def _resolved(self, raw: Any, key: str, within: tuple[str, ...]) -> Any:
        self._left -= 1
        if self._left < 0 or len(within) > _DEEPEST:
            raise ConfigError("its references make more of it than a configuration can be")
        if key in self._instead:
            return self._instead[key]
        if isinstance(raw, Mapping):
            return {
                str(name): self._resolved(one, f"{key}::{name}", (*within, f"{key}::{name}"))
                for name, one in raw.items()
            }
        if isinstance(raw, list):
            return [self._resolved(one, f"{key}::{n}", (*within, f"{key}::{n}")) for n, one in enumerate(raw)]
        return self._text(raw, key, within) if isinstance(raw, str) else raw

    def _text(self, raw: str, key: str, within: tuple[str, ...]) -> Any:
        text = raw.replace("#", "::") if raw[:1] in {"@", "%", "$"} else raw
        if raw.startswith("@") and _REFERENCE.fullmatch(text):
            return self._of(_absolute(text[1:], key), within)
        if raw.startswith("%"):
            # A macro copies what stands at another place; one that names a file would read it
            if re.search(r"\.(json|ya?ml)", text, re.IGNORECASE):
                return Code(raw, key)
            return self._of(_absolute(text[1:], key), within)
        if not raw.startswith("$"):
            return raw
        try:
            return self._computed(text[1:], key, within)
        except _NotPlainError:
            return Code(raw, key)

    def _computed(self, text: str, key: str, within: tuple[str, ...]) -> Any:
        references: dict[str, str] = {}

        def named(found: re.Match[str]) -> str:
            name = f"_reference_{len(references)}"
            references[name] = _absolute(found[0][1:], key)
            return name

        if len(text) > _LONGEST_EXPRESSION:
            raise _NotPlainError
        try:
            tree = ast.parse(_REFERENCE.sub(named, text).strip(), mode="eval")
            return _evaluated(tree.body, lambda name: self._referred(references, name, within))
        except (SyntaxError, RecursionError, MemoryError) as error:
            raise _NotPlainError from error

    def _referred(self, references: Mapping[str, str], name: str, within: tuple[str, ...]) -> Any:
        if name not in references:
            raise _NotPlainError
        found = self._of(references[name], within)
        if isinstance(found, Code):
            raise _NotPlainError
        return found


def _normal(key: str) -> str:
    return key.replace("#", "::")


def _absolute(reference: str, key: str) -> str:
    """Turn a relative id ("::a": beside it, "::::a": one level up) into one from the top."""
    found = _RELATIVE.match(reference)
    if found is None:
        return reference
    levels = len(found[0]) // 2
    parts = key.split("::")
    if levels > len(parts):
        raise ConfigError(f"@{reference} in {key} leads out of the configuration")
    return "::".join([*parts[:-levels], reference[len(found[0]) :]])


def _evaluated(node: ast.expr, named: Callable[[str], Any]) -> Any:  # noqa: PLR0911  a case a form
    """Compute an expression of literals, operators and references; _NotPlainError for any other."""
    match node:
        case ast.Constant(value=None | bool() | int() | float() | str()):
            return node.value
        case ast.Name(id=name):
            return named(name)
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_evaluated(item, named) for item in items]
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=inner):
            value = _number(_evaluated(inner, named))
            return -value if isinstance(node.op, ast.USub) else value
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            return not _evaluated(inner, named)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _combined(_OPERATORS[type(op)], _evaluated(left, named), _evaluated(right, named))
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISONS:
            return _compared(_COMPARISONS[type(op)], _evaluated(left, named), _evaluated(right, named))
        case ast.IfExp(test=test, body=body, orelse=other):
            return _evaluated(body if _evaluated(test, named) else other, named)
        case ast.Subscript(value=inner, slice=index):
            return _item(_evaluated(inner, named), _evaluated(index, named))
    raise _NotPlainError


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _NotPlainError
    return value


def _combined(how: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    """Numbers by any operator; lists and texts only put together, and a list repeated."""
    both = (left, right)
    if how is operator.add and (
        all(isinstance(one, list) for one in both) or all(isinstance(one, str) for one in both)
    ):
        found = left + right
    elif how is operator.mul and isinstance(left, list) and isinstance(right, int):
        found = left * min(max(right, 0), _LONGEST) if len(left) * right <= _LONGEST else None
    else:
        try:
            found = how(_number(left), _number(right))
        except (ArithmeticError, TypeError) as error:
            raise _NotPlainError from error
        if not abs(found) <= _LARGEST:
            raise _NotPlainError
    if found is None or (isinstance(found, list | str) and len(found) > _LONGEST):
        raise _NotPlainError
    return found


def _compared(how: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    try:
        return bool(how(left, right))
    except TypeError as error:
        raise _NotPlainError from error


def _item(whole: Any, index: Any) -> Any:
    try:
        if isinstance(whole, list | str | dict) and isinstance(index, int | str):
            return whole[index]  # type: ignore[index]
    except (IndexError, KeyError, TypeError) as error:
        raise _NotPlainError from error
    raise _NotPlainError
