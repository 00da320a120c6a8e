"""What [[rule]] tables may name: engines, destinations and AE titles that there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from dicomnode.settings.keys import AE_TITLE
from dicomnode.settings.problem import Problem
from dicomnode.settings.reader import nearest
from dicomnode.settings.schema import RuleSettings, Settings


def check_rules(settings: Settings) -> Iterator[Problem]:
    """Find names that nothing has, and rules that can never have an effect."""
    yield from _titles("receive.also_called", settings.receive.also_called)
    yield from _names(settings.rule)
    for number, rule in enumerate(settings.rule, start=1):
        where = f"rule[{number}]"
        for name in ("calling", "called"):
            yield from _titles(f"{where}.{name}", getattr(rule, name))
        yield from _engines(where, rule, settings)
        destinations = [entry.name for entry in settings.destination]
        yield from _unknown(f"{where}.destinations", rule.destinations, destinations, "destination")
        yield from _unreached(where, rule, settings)


def _titles(key: str, titles: Sequence[str]) -> Iterator[Problem]:
    for number, title in enumerate(titles, start=1):
        if not AE_TITLE.holds(title):
            yield Problem(key=f"{key}[{number}]", value=title, expected=AE_TITLE.expected)


def _names(rules: Sequence[RuleSettings]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for number, rule in enumerate(rules, start=1):
        if rule.name in first:
            expected = f"another name than [[rule]] number {first[rule.name]} has"
            yield Problem(key=f"rule[{number}].name", value=rule.name, expected=expected)
        if rule.name:
            first.setdefault(rule.name, number)
        conditions = rule.calling or rule.called or rule.station or rule.modality
        if not conditions and number < len(rules):
            hint = "The first rule that fits decides: put the one without conditions last."
            expected = (
                "conditions: calling, called, station or modality; it fits all studies, and hides the next"
            )
            yield Problem(key=f"rule[{number}]", value=None, expected=expected, hint=hint)


def _engines(where: str, rule: RuleSettings, settings: Settings) -> Iterator[Problem]:
    engines = [entry.name for entry in settings.engine]
    yield from _unknown(f"{where}.engines", rule.engines, engines, "engine")
    yield from _unknown(f"{where}.never", rule.never, engines, "engine")
    for name in sorted({*rule.engines} & {*rule.never}):
        yield Problem(key=f"{where}.never", value=name, expected="another engine than in `engines`")
    off = {entry.name for entry in settings.engine if entry.mode == "off"}
    for name in sorted({*rule.engines} & off):
        hint = 'An engine that is off is not loaded. Give it mode = "shadow" there, and its mode here.'
        expected = "an engine that is not off in [[engine]]"
        yield Problem(key=f"{where}.engines", value=name, expected=expected, hint=hint)


def _unknown(key: str, names: Sequence[str], known: Sequence[str], section: str) -> Iterator[Problem]:
    for number, name in enumerate(names, start=1):
        if name not in known:
            hint = nearest(name, list(known)) or f"There are: {', '.join(known) or 'none'}."
            expected = f"the name of a [[{section}]]"
            yield Problem(key=f"{key}[{number}]", value=name, expected=expected, hint=hint)


def _unreached(where: str, rule: RuleSettings, settings: Settings) -> Iterator[Problem]:
    """Find conditions that no association can meet."""
    senders = [entry.ae_title.strip() for entry in settings.sender]
    if settings.receive.unknown_senders == "deny":
        yield from _nobody(f"{where}.calling", rule.calling, senders, "a [[sender]]")
    own = [settings.node.ae_title.strip(), *(title.strip() for title in settings.receive.also_called)]
    whose = "this node: [node] ae_title or [receive] also_called"
    yield from _nobody(f"{where}.called", rule.called, own, whose)


def _nobody(key: str, patterns: Sequence[str], titles: Sequence[str], whose: str) -> Iterator[Problem]:
    for number, pattern in enumerate(patterns, start=1):
        if not any(fnmatchcase(title, pattern.strip()) for title in titles):
            hint = nearest(pattern, list(titles)) or f"There are: {', '.join(titles) or 'none'}."
            expected = f"the AE title of {whose}"
            yield Problem(key=f"{key}[{number}]", value=pattern, expected=expected, hint=hint)
