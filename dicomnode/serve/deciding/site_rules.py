"""What the site's [[rule]] tables say of a study: which engines, how soon, where to. Decisions without I/O.

The rules are asked in the order of dicomnode.toml; the first one that fits decides all, and those behind it
are not asked. So a study has one answer, and the file is read from top to bottom, as a list of cases.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Final

from dicomnode.assemble import StudyFiles
from dicomnode.settings import RuleSettings
from dicomnode.values import Instance

PRIORITIES: Final[Mapping[str, int]] = MappingProxyType({"stat": 10, "routine": 0, "low": -10})
ROUTINE: Final = PRIORITIES["routine"]

_CONDITIONS: Final = {
    "calling": "calling AE title",
    "called": "called AE title",
    "station": "Station Name",
    "modality": "Modality",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a study comes from: all values among its images. station None: it is not known yet."""

    calling: frozenset[str]
    called: frozenset[str]
    modality: frozenset[str]
    station: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class RuleAnswer:
    """Whether a rule fits, and the sentence that says why."""

    name: str
    fits: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteWish:
    """What holds for a study.

    rule: the one that decides, None for none. answers: of the rules that were asked.
    """

    rule: RuleSettings | None = None
    answers: tuple[RuleAnswer, ...] = ()

    @property
    def name(self) -> str:
        """Of the rule that decides; "" for none."""
        return next((answer.name for answer in self.answers if answer.fits), "")

    @property
    def priority(self) -> int:
        """The lane of its tasks."""
        return ROUTINE if self.rule is None else PRIORITIES[self.rule.priority]

    @property
    def destinations(self) -> tuple[str, ...]:
        """Names of the destinations that results go to; empty for all."""
        return () if self.rule is None else self.rule.destinations

    @property
    def mode(self) -> str:
        """How the engines run; "" for as [[engine]] says."""
        return "" if self.rule is None else self.rule.mode

    def allows(self, engine: str) -> bool:
        """Whether an engine may run."""
        rule = self.rule
        if rule is None:
            return True
        return (
            rule.mode != "off" and engine not in rule.never and (not rule.engines or engine in rule.engines)
        )


NO_WISH: Final = SiteWish()


def origin_of(instances: Sequence[Instance], study: StudyFiles | None) -> Origin:
    """Return where a study comes from: what the associations said, and what its headers say."""
    facts = [stack.facts for series in study.series for stack in series.stacks] if study else []
    stations = frozenset(str(one.tags["StationName"]) for one in facts if one.tags.get("StationName"))
    return Origin(
        calling=frozenset(one.sender.calling_ae for one in instances),
        called=frozenset(one.sender.called_ae for one in instances),
        modality=frozenset(series.modality for series in study.series) if study else frozenset(),
        station=stations,
    )


def early_origin(instances: Sequence[Instance], modalities: Iterable[str]) -> Origin:
    """Return what is known of it before its headers have been read: not its station."""
    known = origin_of(instances, None)
    return replace(known, modality=frozenset(modalities), station=None)


def wish_for(rules: Sequence[RuleSettings], origin: Origin) -> SiteWish:
    """Ask the rules about a study whose origin is known."""
    answers: list[RuleAnswer] = []
    for number, rule in enumerate(rules, start=1):
        name = rule.name or f"number {number}"
        unmet = _unmet(rule, origin)
        if unmet is None:
            text = f"Rule {name} fits: {_met(rule, origin)}. It decides{_effect(rule)}."
            return SiteWish(rule=rule, answers=(*answers, RuleAnswer(name, True, text)))
        answers.append(RuleAnswer(name, False, f"Rule {name} does not fit: {unmet}."))
    return SiteWish(answers=tuple(answers))


def lane_of(rules: Sequence[RuleSettings], origin: Origin) -> int:
    """Return the highest priority that a study may turn out to have, as its station is not known yet."""
    lanes: list[int] = []
    for rule in rules:
        if _unmet(rule, origin) is None:
            lanes.append(PRIORITIES[rule.priority])
            if not rule.station or origin.station is not None:
                break
    else:
        lanes.append(ROUTINE)
    return max(lanes)


def _unmet(rule: RuleSettings, origin: Origin) -> str | None:
    """Say which condition does not hold, and what was found; None if all do, or may."""
    for condition, words in _CONDITIONS.items():
        patterns: tuple[str, ...] = getattr(rule, condition)
        found: frozenset[str] | None = getattr(origin, condition)
        if patterns and found is not None and not _any_fits(found, patterns):
            return f"{words} is {_listed(found)}, wanted {_listed(patterns, sort=False)}"
    return None


def _met(rule: RuleSettings, origin: Origin) -> str:
    said = []
    for condition, words in _CONDITIONS.items():
        patterns: tuple[str, ...] = getattr(rule, condition)
        if patterns:
            found: Iterable[str] = getattr(origin, condition) or ()
            fitting = [value for value in found if _any_fits([value], patterns)]
            said.append(f"{words} is {_listed(fitting)}")
    return " and ".join(said) or "it has no conditions"


def _effect(rule: RuleSettings) -> str:
    said = []
    if rule.engines:
        said.append(f"only {_listed(rule.engines, sort=False)} may run")
    if rule.never:
        said.append(f"{_listed(rule.never, sort=False)} must not run")
    said.append(f"priority {rule.priority}")
    if rule.destinations:
        said.append(f"results go to {_listed(rule.destinations, sort=False)} only")
    if rule.mode:
        said.append(f"engines are {rule.mode}")
    return f": {'; '.join(said)}"


def _any_fits(values: Iterable[str], patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(value, pattern.strip()) for value in values for pattern in patterns)


def _listed(values: Iterable[str], *, sort: bool = True) -> str:
    return ", ".join(sorted(values) if sort else values) or "not given"
