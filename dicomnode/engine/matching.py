"""Which series of a study an engine takes: a pure decision over facts, with the reason for each stack."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from dicomnode.engine.manifest.tree import InputSpec, Manifest, Preference, Requirement
from dicomnode.engine.rules import check, number_of, same, value_of
from dicomnode.engine.wording import FACTS, comparison, shown, subject, words
from dicomnode.faults import FAULTS, Severity
from dicomnode.values import SeriesFacts, Verdict

# Of a score: less is the arithmetic's, not the series'
_DIGITS: Final = 9

# Where the fact `covers` comes from, where it is not the header
COVERS_FROM: Final = "covers_from"
PIXELS: Final = "pixels"

_Ranked = Sequence[tuple[float, SeriesFacts]]


def match(manifest: Manifest, facts: Sequence[SeriesFacts]) -> list[Verdict]:
    """Say of each stack whether the engine takes it, or the first rule that failed and the value found.

    Of the stacks that hold all rules the one with the highest score is chosen; with series = "all" each of
    them. The score is the mean of the preferences by weight, each 0 to 1: `smaller` and `larger` are the
    ratio to the best of these stacks, `equals` and `matches` are 0 or 1, a value that is absent is 0. Without
    preferences all score 1. Of equal scores the stack with more instances is better; where these are equal,
    too, `ties` decides: the lower Series Instance UID, all, or none.
    A refused stack gives the text of its refusal, once the rules that hold without a volume do.
    The verdicts are sorted by Series Instance UID and stack, whatever the order of `facts`. They are about
    the first input; a stack that goes with a chosen one as a further input says so.
    """
    ranked = _rank(manifest.input[0], _able(manifest.input[0], facts))
    chosen = _chosen(manifest.input[0], ranked)
    ordered = sorted(facts, key=lambda one: (one.series_instance_uid, one.stack))
    verdicts = [_verdict(manifest, one, ranked, chosen) for one in ordered]
    beside = [match_further(manifest, facts, one) for one in chosen]
    taken = {
        (one.series_instance_uid, one.stack): name
        for further in beside
        for name, one in further.items()
        if isinstance(one, SeriesFacts)
    }
    return [_with_it(one, taken.get((one.series_instance_uid, one.stack))) for one in verdicts]


def match_tied(manifest: Manifest, facts: Sequence[SeriesFacts]) -> list[SeriesFacts]:
    """Return the stacks between which an engine does not choose: equally good, and ties = "none"."""
    spec = manifest.input[0]
    ranked = _rank(spec, _able(spec, facts))
    return _tied(ranked) if ranked and not _chosen(spec, ranked) else []


def hang_on_pixels(manifest: Manifest, facts: Sequence[SeriesFacts]) -> list[SeriesFacts]:
    """Return the stacks of which a volume can be made and that hold all rules but those on body parts.

    What the header says of the body part may be wrong or nothing: only a look at pixels settles them.
    """
    return [one for one in facts if any(_hangs_on_pixels(spec, one) for spec in manifest.volumes)]


def _hangs_on_pixels(spec: InputSpec, facts: SeriesFacts) -> bool:
    if facts.refusal is not None or not any(rule.fact == "covers" for rule in spec.require):
        return False
    return all(check(rule, facts).holds for rule in spec.require if rule.fact != "covers")


def _chosen(spec: InputSpec, ranked: _Ranked) -> list[SeriesFacts]:
    """Return the stacks that are taken, best first."""
    if spec.series == "all":
        return [one for _, one in ranked]
    tied = _tied(ranked)
    if spec.ties == "none" and len(tied) > 1:
        return []
    return tied if spec.ties == "all" else tied[:1]


def _tied(ranked: _Ranked) -> list[SeriesFacts]:
    """Return the best, and what is as good: of equal score and number of instances."""
    if not ranked:
        return []
    score, best = ranked[0]
    return [
        one
        for other, one in ranked
        if round(other, _DIGITS) == round(score, _DIGITS) and _instances(one) == _instances(best)
    ]


def match_further(
    manifest: Manifest, facts: Sequence[SeriesFacts], first: SeriesFacts
) -> dict[str, SeriesFacts | str]:
    """Choose a stack for each further volume of an engine, beside `first`; the best as in `match`.

    One of the Frame of Reference of `first` comes before any other, which could not be laid over it. No stack
    is taken twice. Where none holds all rules: the rule that failed of the one that held most.
    """
    free = [one for one in facts if one is not first]
    chosen: dict[str, SeriesFacts | str] = {}
    for spec in manifest.beside:
        able = _able(spec, free)
        ranked = _rank(spec, [one for one in able if _same_space(one, first)] or able)
        if not ranked:
            chosen[spec.name] = _nearest_miss(spec, free)
            continue
        best = ranked[0][1]
        chosen[spec.name] = best
        free = [one for one in free if one is not best]
    return chosen


def match_prior(spec: InputSpec, facts: Sequence[SeriesFacts]) -> SeriesFacts | str:
    """Choose the stack of an earlier study for an input; the best as in `match`, or the rule that failed."""
    ranked = _rank(spec, _able(spec, facts))
    return ranked[0][1] if ranked else _nearest_miss(spec, facts)


def may_be_prior(spec: InputSpec, one: SeriesFacts) -> float | None:
    """Return how well what an archive tells of a series fits an input; None where a rule fails.

    What it does not tell may still hold: it answers with the attributes that it likes to.
    """
    told = [rule for rule in spec.require if value_of(rule, one) is not None]
    return _score(spec, one, [one]) if all(check(rule, one).holds for rule in told) else None


def _same_space(one: SeriesFacts, first: SeriesFacts) -> bool:
    return (
        one.frame_of_reference_uid is not None and one.frame_of_reference_uid == first.frame_of_reference_uid
    )


def _able(spec: InputSpec, facts: Sequence[SeriesFacts]) -> list[SeriesFacts]:
    return [one for one in facts if one.refusal is None and _first_failure(spec, one) is None]


def _nearest_miss(spec: InputSpec, facts: Sequence[SeriesFacts]) -> str:
    """Say which rule failed of the stack that held most of them."""

    def held(one: SeriesFacts) -> int:
        return next(
            (n for n, rule in enumerate(spec.require) if not check(rule, one).holds), len(spec.require)
        )

    best = max(facts, key=held, default=None)
    if best is None:
        return "there is no other series"
    failure = _first_failure(spec, best)
    if failure is not None:
        return f"{failure[0]}, found {failure[1]}"
    return best.refusal.text.rstrip(".") if best.refusal is not None else "there is no other series"


def _with_it(verdict: Verdict, name: str | None) -> Verdict:
    if name is None:
        return verdict
    return replace(verdict, rule=f"goes with the chosen one as input {name}", found="holds all rules of it")


def wanted_but_refused(manifest: Manifest, facts: Sequence[SeriesFacts]) -> list[SeriesFacts]:
    """Return the stacks that the engine would look at, had `assemble` made a volume of them.

    They hold the rules on tags and on what they cover, and their refusal is more than information (a
    localizer is none). When no other stack is chosen, the study gets the answer "not analysed" for the
    first: they are sorted by number of instances, most first, then as verdicts are.
    """
    spec = manifest.input[0]
    wanted = [one for one in facts if _is_wanted(spec, one)]

    def order(one: SeriesFacts) -> tuple[float, str, int]:
        return (-_instances(one), one.series_instance_uid, one.stack)

    return sorted(wanted, key=order)


def may_want(manifest: Manifest, one: SeriesFacts) -> bool:
    """Tell from the attributes of a single instance whether its series may be an input of the engine.

    For work that is done ahead: the verdict itself needs all instances.
    """
    return any(
        all(check(rule, one).holds for rule in spec.require if rule.tag is not None)
        for spec in manifest.volumes
    )


def _is_wanted(spec: InputSpec, facts: SeriesFacts) -> bool:
    if facts.refusal is None or _first_failure(spec, facts) is not None:
        return False
    fault = FAULTS.get(facts.refusal.code)
    return fault is None or fault.severity is not Severity.INFO


def _first_failure(spec: InputSpec, facts: SeriesFacts) -> tuple[str, str] | None:
    """Return the first rule that does not hold, in words, and the value found."""
    kind = str(facts.facts.get("kind", "volume"))
    if kind != spec.kind:
        return f"{FACTS['kind'].name} is {spec.kind}", kind
    if facts.facts.get("capture") is True and not _asks_for_captures(spec):
        return "no captures of a screen, as no rule on SOPClassUID or capture asks for them", "a capture"
    for rule in spec.require:
        # The numbers of a refused stack may be wrong or missing: that may be why it was refused.
        if facts.refusal is not None and rule.tag is None and comparison(rule) != "contains":
            continue
        if not check(rule, facts).holds:
            return words(rule), _found(rule, facts)
    return None


def _asks_for_captures(spec: InputSpec) -> bool:
    """Tell whether an input says that a Secondary Capture will do: they show anything."""
    return any(rule.tag == "SOPClassUID" or rule.fact == "capture" for rule in spec.require)


def _rank(spec: InputSpec, able: Sequence[SeriesFacts]) -> _Ranked:
    """Sort the stacks that hold all rules, best first, each with its score."""
    scored = [(_score(spec, one, able), one) for one in able]

    def order(pair: tuple[float, SeriesFacts]) -> tuple[float, float, str, int]:
        score, one = pair
        return (-round(score, _DIGITS), -_instances(one), one.series_instance_uid, one.stack)

    return sorted(scored, key=order)


def _instances(facts: SeriesFacts) -> float:
    return number_of(facts.facts.get("instances")) or 0.0


def _score(spec: InputSpec, facts: SeriesFacts, able: Sequence[SeriesFacts]) -> float:
    total = sum(one.weight for one in spec.prefer)
    if total == 0:
        return 1.0
    return sum(one.weight * _worth(one, facts, able) for one in spec.prefer) / total


def _worth(preference: Preference, facts: SeriesFacts, able: Sequence[SeriesFacts]) -> float:
    """Return how well a stack meets one preference, 0 to 1."""
    value = value_of(preference, facts)
    if value is None:
        return 0.0
    values = value if isinstance(value, tuple) else (value,)
    if preference.matches is not None:
        pattern = preference.matches
        return float(any(re.search(pattern, str(one)) for one in values))
    if preference.equals is not None:
        wanted = preference.equals
        return float(any(same(wanted, one) for one in values))
    number = number_of(value)
    if number is None or number <= 0:
        return 0.0
    # The stack itself is among them, so there is at least one.
    others = [n for n in (number_of(value_of(preference, one)) for one in able) if n is not None and n > 0]
    return min(others) / number if preference.smaller else number / max(others)


def _verdict(
    manifest: Manifest, facts: SeriesFacts, ranked: _Ranked, chosen: Sequence[SeriesFacts]
) -> Verdict:
    spec = manifest.input[0]
    failure = _first_failure(spec, facts)
    score: float | None = None
    takes_it = any(one is facts for one in chosen)
    if failure is not None:
        rule, found = failure
    elif facts.refusal is not None:
        rule, found = facts.refusal.text, facts.refusal.code
    else:
        score = next(one_score for one_score, one in ranked if one is facts)
        rule, found = _why_taken(spec, facts, ranked) if takes_it else _why_not(score, ranked, chosen)
    return Verdict(
        engine=manifest.name,
        version=manifest.version,
        series_instance_uid=facts.series_instance_uid,
        stack=facts.stack,
        chosen=takes_it,
        score=score,
        rule=rule,
        found=found,
    )


def _why_not(score: float, ranked: _Ranked, chosen: Sequence[SeriesFacts]) -> tuple[str, str]:
    best = ranked[0][0]
    if not chosen:
        return "several series fit equally well, and the engine takes one only", f"score {score:.3f}"
    return "another series is preferred", f"score {score:.3f}, the chosen one has {best:.3f}"


def _why_taken(spec: InputSpec, facts: SeriesFacts, ranked: _Ranked) -> tuple[str, str]:
    """Return the rule in words and what was found, for a stack that is taken."""
    several = len(ranked) > 1
    if several and spec.series == "all":
        rule = f"one of {len(ranked)} series that hold all rules, each of which is taken"
    else:
        rule = f"the best of {len(ranked)} series that hold all rules" if several else "holds all rules"
    seen = [f"{subject(one)}: {shown(one, value_of(one, facts))}" for one in spec.prefer]
    for one in spec.require:
        result = check(one, facts)
        if result.provisional or _was_seen(one, facts):
            seen.append(f"{subject(one)}: {_found(one, facts)}")
    return rule, "; ".join(seen)


def _was_seen(rule: Requirement, facts: SeriesFacts) -> bool:
    return rule.fact == "covers" and facts.facts.get(COVERS_FROM) == PIXELS


def _found(rule: Requirement, facts: SeriesFacts) -> str:
    found = check(rule, facts).found
    return f"{found} (seen in the images)" if _was_seen(rule, facts) else found
