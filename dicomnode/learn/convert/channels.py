"""Networks that see several series of a patient at once: how the series of each channel is recognised.

nnU-Net and MONAI know channels by their names alone ("T1", "T1c", "FLAIR"), and images that lie on one grid.
Here each channel is an [[input]], the second and further ones with `beside_first`, and needs rules that tell
its series from the others. What is proposed goes by the names that people give sequences; a site with other
names says its own rules in the answer `channels`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dicomnode.engine.adding.answers import shown
from dicomnode.engine.adding.labelling import stem_of
from dicomnode.faults import ANSWER_WRONG, QUESTIONS_OPEN, NodeError

Entry = dict[str, Any]

_AIR_HU: Final = -1024.0  # of a CT that reaches less far than the first series
_T1: Final = r"(?i)t1(?!\d)|mp.?rage|spgr|bravo"
_FLAIR: Final = r"flair|dark.?fluid|tirm"
_CONTRAST: Final = {"tag": "ContrastBolusAgent", "present": True}
_NATIVE: Final = {"tag": "ContrastBolusAgent", "absent": True}


@dataclass(frozen=True, slots=True)
class _Sequence:
    """What a channel's name means. names: expression that the whole name is, in lower case."""

    names: str
    modality: str
    rules: tuple[Mapping[str, Any], ...] = ()


def _described(pattern: str) -> Mapping[str, Any]:
    return {"tag": "SeriesDescription", "matches": pattern}


# The first that fits counts. A T1 FLAIR is a T1: its inversion darkens water in T1-weighted images too
_SEQUENCES: Final = (
    _Sequence("ct", "CT"),
    _Sequence("pet|pt|suv|fdg.*|pet.*", "PT"),
    _Sequence(
        r"t1\W*(w\W*)?(c|ce|gd|gad.*|post.*|contrast.*|\+c?|km|c\+)|(ce|gd)\W*t1w?",
        "MR",
        (_described(_T1), _CONTRAST),
    ),
    _Sequence(r"t1w?|t1\W*(w\W*)?(n|native|pre.*)", "MR", (_described(_T1), _NATIVE)),
    _Sequence(rf"(t2\W*)?(w\W*)?({_FLAIR})|t2f|fl", "MR", (_described(rf"(?i)^(?!.*t1).*({_FLAIR})"),)),
    _Sequence(r"t2|t2w|t2\W?tse", "MR", (_described(rf"(?i)^(?!.*({_FLAIR}|t2\*|t2.?star|t2.?map)).*t2"),)),
    _Sequence("adc.*", "MR", (_described(r"(?i)adc|apparent"),)),
    _Sequence(
        r"dwi|hbv|b\W?\d{3,4}|high\W?b.*",
        "MR",
        (_described(r"(?i)^(?!.*(adc|apparent|exp)).*(dwi|diff|trac|b.?\d{3,4})"),),
    ),
    _Sequence("pdw?", "MR", (_described(r"(?i)(^|[^a-z])pd|proton"),)),
    _Sequence("swi", "MR", (_described("(?i)swi|suscept"),)),
)
_NO_NAME: Final = re.compile(r"\W*((channel|image|img|input|modality|mri?|noname)\W*)?\d*\W*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelInput:
    """One channel as an [[input]]: its name, its rules, and what it has where its series does not reach."""

    name: str
    require: tuple[Entry, ...]
    prefer: tuple[Entry, ...] = ()
    outside: float = 0.0
    proposed: bool = True

    def table(self, prepare: Sequence[Entry], *, first: bool) -> Entry:
        """Return the [[input]]; `prepare`: all that is done to it, also what changes the grid of all."""
        made: Entry = {"name": self.name, "kind": "volume", "require": [dict(one) for one in self.require]}
        if self.prefer:
            made["prefer"] = [dict(one) for one in self.prefer]
        if not first:
            made |= {"beside_first": True, **({"outside": self.outside} if self.outside else {})}
        return made | {"prepare": list(prepare)}


def channel_inputs(
    names: Sequence[str],
    said: Mapping[str, Any] | None,
    *,
    source: str,
    modality: str | None = None,
    require: Sequence[Entry] | None = None,
) -> tuple[ChannelInput, ...]:
    """Return the inputs of several channels.

    said: answer `channels`, for the number ("0") or the name of a channel its `require`, `prefer`, `outside`.
    modality: of all of them; require: rules of all of them in place of the one on the modality. Raises
    NodeError: ANSWER_WRONG, QUESTIONS_OPEN for channels whose names tell no series, or two the same one.
    """
    given = _given(names, said or {})
    inputs: list[ChannelInput] = []
    unknown: dict[int, str] = {}
    for number, name in enumerate(names):
        table = given.get(number, {})
        proposal = _proposed(name, modality, require)
        if "require" not in table and proposal is None:
            unknown[number] = name
        rules = table.get("require") or proposal or ()
        is_ct = any(rule.get("tag") == "Modality" and rule.get("equals") == "CT" for rule in rules)
        one = ChannelInput(
            name=_unique(stem_of(name), [one.name for one in inputs]),
            require=tuple(dict(rule) for rule in rules),
            prefer=tuple(dict(rule) for rule in table.get("prefer", ())),
            outside=float(table.get("outside", _AIR_HU if is_ct else 0.0)),
            proposed="require" not in table,
        )
        same = next((n for n, other in enumerate(inputs) if other.require == one.require), None)
        if same is not None and number not in unknown:
            unknown[number] = f"{name}, told from {names[same]}"
        inputs.append(one)
    if unknown:
        raise _unanswered(source, unknown)
    return tuple(inputs)


def proposal_note(inputs: Sequence[ChannelInput]) -> str | None:
    """Return the sentence for the card that tells which rules are proposals; None where a person said all."""
    guessed = [one.name for one in inputs if one.proposed]
    if not guessed:
        return None
    return (
        f"The rules for the series of {', '.join(guessed)} were proposed from the names of the channels: "
        "compare them with how your scanners name and describe these series."
    )


def _proposed(name: str, modality: str | None, require: Sequence[Entry] | None) -> list[Entry] | None:
    """Return the rules that a name proposes; None where it is no more than a number."""
    plain = " ".join(name.strip().lower().replace("_", " ").split())
    found = next((one for one in _SEQUENCES if re.fullmatch(one.names, plain)), None)
    if found is None:
        if _NO_NAME.fullmatch(name):
            return None
        own: tuple[Mapping[str, Any], ...] = (_described(f"(?i){re.escape(name.strip())}"),)
    else:
        own = found.rules
    kind = (found.modality if found is not None else None) or modality
    if require is not None:
        common = [dict(one) for one in require]
    elif kind is not None:
        common = [{"tag": "Modality", "equals": kind}]
    else:
        common = [{"tag": "Modality", "one_of": ["CT", "MR", "PT"]}]
    return [*common, *(dict(one) for one in own)]


def _given(names: Sequence[str], said: Mapping[str, Any]) -> dict[int, Mapping[str, Any]]:
    """Return what was said of each channel, by its number."""
    found: dict[int, Mapping[str, Any]] = {}
    for key, table in said.items():
        places = [n for n, name in enumerate(names) if key in (str(n), name, stem_of(name))]
        listed = ", ".join(f"{n} ({name})" for n, name in enumerate(names))
        if len(places) != 1:
            raise _wrong(f"channels.{key}", key, f"the number or the name of one channel: {listed}")
        right = isinstance(table, Mapping) and set(table) <= {"require", "prefer", "outside"} and table
        if not right:
            raise _wrong(f"channels.{key}", shown(table), "a table with require, prefer or outside")
        for name in ("require", "prefer"):
            rules = table.get(name, [])
            if not isinstance(rules, list) or not all(isinstance(rule, Mapping) for rule in rules):
                raise _wrong(f"channels.{key}.{name}", shown(rules), "a list of rules, as in engine.toml")
        outside = table.get("outside", 0.0)
        if isinstance(outside, bool) or not isinstance(outside, int | float):
            raise _wrong(f"channels.{key}.outside", shown(outside), "a number")
        found[places[0]] = table
    return found


def _unique(stem: str, taken: Sequence[str]) -> str:
    return (
        stem
        if stem not in taken
        else next(name for n in range(2, len(taken) + 3) if (name := f"{stem}-{n}") not in taken)
    )


def _wrong(key: str, value: str, expected: str) -> NodeError:
    return NodeError(ANSWER_WRONG, key=key, value=value[:80], expected=expected)


def _unanswered(source: str, unknown: Mapping[int, str]) -> NodeError:
    missing = "".join(
        f"\n  channels.{n}: how the series of channel {n} ({name}) is known" for n, name in unknown.items()
    )
    rule = '{ tag = "SeriesDescription", matches = "(?i)…" }'
    rules = ", ".join(f'"{n}" = {{ require = [{rule}] }}' for n in unknown)
    return NodeError(QUESTIONS_OPEN, path=source, missing=missing, example=f"--set 'channels={{ {rules} }}'")
