"""What the rules of engine.toml mean: whether a series holds them. No I/O, no arrays; `wording` says them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dicomnode.engine.manifest.tree import Preference, Requirement, Scalar
from dicomnode.engine.wording import UNKNOWN_TAKEN, comparison, shown
from dicomnode.values import Fact, SeriesFacts


@dataclass(frozen=True, slots=True)
class Check:
    """What came of one rule: whether it holds, the value found as text, and whether that is only for now."""

    holds: bool
    found: str
    provisional: bool = False


def value_of(rule: Requirement | Preference, facts: SeriesFacts) -> Fact:
    """Return what the rule looks at; an empty value of an attribute counts as none (PS3.5 7.4.5)."""
    value = facts.tags.get(rule.tag) if rule.tag else facts.facts.get(rule.fact or "")
    return None if value in ("", ()) else value


def check(rule: Requirement, facts: SeriesFacts) -> Check:
    """Tell whether a series holds a rule.

    Of several values one that holds is enough. A value that is absent fails every comparison but
    `absent`, and `contains`: what a series covers may be unknown until pixels are looked at, so it is
    taken for now and said so.
    """
    value = value_of(rule, facts)
    name = comparison(rule)
    if name == "absent":
        return Check(value is None, shown(rule, value))
    if value is None:
        if name == "contains":
            return Check(holds=True, found=UNKNOWN_TAKEN, provisional=True)
        return Check(holds=False, found=shown(rule, None))
    values = value if isinstance(value, tuple) else (value,)
    return Check(any(_holds(rule, name, one) for one in values), shown(rule, value))


def _holds(rule: Requirement, name: str, value: Scalar) -> bool:
    match name:
        case "present":
            return True
        case "equals" | "contains":
            return same(getattr(rule, name), value)
        case "one_of":
            return any(same(one, value) for one in rule.one_of or ())
        case "matches":
            return re.search(rule.matches or "", str(value)) is not None
        case _:
            return _within(rule, number_of(value))


def _within(rule: Requirement, number: float | None) -> bool:
    if number is None:
        return False
    if rule.at_least is not None:
        return number >= rule.at_least - _slack(rule.at_least)
    return rule.at_most is not None and number <= rule.at_most + _slack(rule.at_most)


def _slack(limit: float) -> float:
    """Positions are decimal text, and differences of them are a little off: 5.0000000003 is at most 5."""
    return 1e-6 * max(1.0, abs(limit))


def same(wanted: Scalar, value: Scalar) -> bool:
    """Compare as the file means it: true is not 1, and 1 is 1.0."""
    if isinstance(wanted, bool) or isinstance(value, bool):
        return wanted is value
    if isinstance(wanted, str) or isinstance(value, str):
        return str(wanted) == str(value)
    return wanted == value


def number_of(value: Fact) -> float | None:
    """Return a value as a number, also from text (DS, IS); None if it is none."""
    if value is None or isinstance(value, bool | tuple):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None
