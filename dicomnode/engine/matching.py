"""Which series of a study an engine takes: a pure decision over facts, with the reason for each stack."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from dicomnode.engine.manifest.tree import InputSpec, Manifest, Preference
from dicomnode.engine.rules import check, comparison, number_of, same, subject, text_of, value_of, words
from dicomnode.faults import FAULTS, Severity
from dicomnode.values import SeriesFacts, Verdict


def match(manifest: Manifest, facts: Sequence[SeriesFacts]) -> list[Verdict]:
    """Say of each stack whether the engine takes it, or the first rule that failed and the value found.

    Of the stacks that hold all rules the one with the highest score is chosen, exactly one. The score is
    the mean of the preferences by weight, each 0 to 1: `smaller` and `larger` are the ratio to the best of
    these stacks, `equals` and `matches` are 0 or 1, a value that is absent is 0. Without preferences all
    score 1. Equal scores: the stack with more instances, then the lower Series Instance UID.
    A refused stack gives the text of its refusal, once the rules that hold without a volume do.
    The verdicts are sorted by Series Instance UID and stack, whatever the order of `facts`. They are about
    the first input; a stack that goes with the chosen one as a further input says so.
    """
    spec = manifest.input[0]
    ranked = _rank(spec, _able(spec, facts))
    verdicts = [
        _verdict(manifest, one, ranked)
        for one in sorted(facts, key=lambda one: (one.series_instance_uid, one.stack))
    ]
    further = match_further(manifest, facts, ranked[0][1]) if ranked else {}
    taken = {
        (one.series_instance_uid, one.stack): name
        for name, one in further.items()
        if isinstance(one, SeriesFacts)
    }
    return [_with_it(one, taken.get((one.series_instance_uid, one.stack))) for one in verdicts]


def match_further(
    manifest: Manifest, facts: Sequence[SeriesFacts], first: SeriesFacts
) -> dict[str, SeriesFacts | str]:
    """Choose a stack for each further volume of an engine, beside `first`; the best as in `match`.

    One of the Frame of Reference of `first` comes before any other, which could not be laid over it. No stack
    is taken twice. Where none holds all rules: the rule that failed of the one that held most.
    """
    free = [one for one in facts if one is not first]
    chosen: dict[str, SeriesFacts | str] = {}
    for spec in manifest.volumes[1:]:
        able = _able(spec, free)
        ranked = _rank(spec, [one for one in able if _same_space(one, first)] or able)
        if not ranked:
            chosen[spec.name] = _nearest_miss(spec, free)
            continue
        best = ranked[0][1]
        chosen[spec.name] = best
        free = [one for one in free if one is not best]
    return chosen


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
    for rule in spec.require:
        # The numbers of a refused stack may be wrong or missing: that may be why it was refused.
        if facts.refusal is not None and rule.tag is None and comparison(rule) != "contains":
            continue
        result = check(rule, facts)
        if not result.holds:
            return words(rule), result.found
    return None


def _rank(spec: InputSpec, able: Sequence[SeriesFacts]) -> list[tuple[float, SeriesFacts]]:
    """Sort the stacks that hold all rules, best first, each with its score."""
    scored = [(_score(spec, one, able), one) for one in able]

    def order(pair: tuple[float, SeriesFacts]) -> tuple[float, float, str, int]:
        score, one = pair
        return (-round(score, 9), -_instances(one), one.series_instance_uid, one.stack)

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


def _verdict(manifest: Manifest, facts: SeriesFacts, ranked: Sequence[tuple[float, SeriesFacts]]) -> Verdict:
    spec = manifest.input[0]
    failure = _first_failure(spec, facts)
    score: float | None = None
    chosen = False
    if failure is not None:
        rule, found = failure
    elif facts.refusal is not None:
        rule, found = facts.refusal.text, facts.refusal.code
    else:
        best_score, best = ranked[0]
        chosen = facts is best
        score = next(one_score for one_score, one in ranked if one is facts)
        rule, found = _why(spec, facts, chosen=chosen, score=score, best=best_score, able=len(ranked))
    return Verdict(
        engine=manifest.name,
        version=manifest.version,
        series_instance_uid=facts.series_instance_uid,
        stack=facts.stack,
        chosen=chosen,
        score=score,
        rule=rule,
        found=found,
    )


def _why(
    spec: InputSpec, facts: SeriesFacts, *, chosen: bool, score: float, best: float, able: int
) -> tuple[str, str]:
    """Return the rule in words and what was found, for a stack that holds all rules."""
    if not chosen:
        return "another stack is preferred", f"score {score:.3f}, the chosen one has {best:.3f}"
    rule = f"the best of {able} stacks that hold all rules" if able > 1 else "holds all rules"
    seen = [f"{subject(one)} {text_of(value_of(one, facts))}" for one in spec.prefer]
    results = [(one, check(one, facts)) for one in spec.require]
    seen += [f"{subject(one)} {result.found}" for one, result in results if result.provisional]
    return rule, "; ".join(seen)
