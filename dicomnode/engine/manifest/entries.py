"""Checks that many tables of engine.toml need: one of several keys, and nothing twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dicomnode.settings import Problem


def given(entry: object, names: Sequence[str]) -> list[str]:
    """Return those of the keys that the entry has: not None, and not empty."""
    return [
        name for name in names if getattr(entry, name) is not None and getattr(entry, name) not in ((), {})
    ]


def exactly_one(where: str, found: Sequence[str], names: Sequence[str]) -> Iterator[Problem]:
    """Find a problem unless exactly one of the keys is given."""
    if len(found) != 1:
        yield Problem(key=where, value=list(found) or None, expected=f"exactly one of {', '.join(names)}")


def no_such_keys(where: str, found: Sequence[str], hint: str) -> Iterator[Problem]:
    """Find a problem in each of the keys: `hint` says where it belongs, with its name as {name}."""
    for name in found:
        yield Problem(key=f"{where}.{name}", value=None, expected="no such key", hint=hint.format(name=name))


def repeated(where: str, names: Sequence[str]) -> Iterator[Problem]:
    """Find what is among the entries before."""
    for number, name in enumerate(names, start=1):
        if name in names[: number - 1]:
            yield Problem(
                key=f"{where}[{number}]", value=name, expected="another one than the entries before"
            )
