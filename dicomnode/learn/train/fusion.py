"""Several series and numbers of attributes as the input of one network: which, and how they are prepared.

Everything is said in engine.toml, and done by the code of the service: further series lie beside the first as
channels of one image, attributes become an [[input]] of kind "tags".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any, Final

import numpy as np

from dicomnode.analyse.header_texts import first_texts
from dicomnode.analyse.tag_numbers import NoNumberError, numbers_of
from dicomnode.assemble import Stack
from dicomnode.engine import InputSpec, Manifest, match, match_further
from dicomnode.engine.manifest.inputs import Requirement, TagNumber
from dicomnode.evaluate.data import LabelledData, LabelledStudy
from dicomnode.faults import ATTRIBUTE_UNFIT, CASE_LEFT_OUT, SERIES_MISSING, NodeError
from dicomnode.learn.train.cases import Case, Found
from dicomnode.learn.train.plan import Plan, Table, manifest_of
from dicomnode.learn.train.recipe import Recipe
from dicomnode.values import Refusal, SourceHeaders

NUMBERS: Final = "attributes"
"""Name of the [[input]] of attributes, and of the network's input that they go into."""

_MOST_WORDS: Final = 10  # different texts of an attribute that become numbers
_AGE: Final = "PatientAge"


def first_of(recipe: Recipe, kind: str) -> Manifest:
    """Return the manifest that chooses the first series of a recipe that names several, of such a kind."""
    first = recipe.series[0]
    return manifest_of([{"name": first.name, "kind": kind, "require": rules(first.require)}], "training")


def rules(require: Sequence[Requirement]) -> list[Table]:
    """Return rules as engine.toml has them."""
    return [{name: one for name, one in asdict(rule).items() if one is not None} for rule in require]


def with_series(found: Found, data: LabelledData, recipe: Recipe) -> Found:
    """Give each case the further series of the recipe, by the node's own choice, or leave it out."""
    if len(recipe.series) < 2:
        return found
    of_study = {study.study.study_instance_uid: study for study in data.studies}
    kept: list[Case] = []
    left_out = list(found.left_out)
    for case in found.cases:
        chosen = _beside(case, of_study[case.stack.headers[0].study_instance_uid], recipe)
        if isinstance(chosen, Refusal):
            left_out.append(case.left_out(chosen))
        else:
            kept.append(replace(case, beside=chosen))
    return Found(cases=tuple(kept), left_out=tuple(left_out))


def on_first_series(found: Found, recipe: Recipe) -> Found:
    """Keep the cases whose outlines lie on the first series of the recipe: results go there, too."""
    if not recipe.series:
        return found
    first = recipe.series[0]
    kept, left_out = [], list(found.left_out)
    for case in found.cases:
        [verdict] = match(first_of(recipe, case.stack.kind), [case.stack.facts])
        if verdict.chosen:
            kept.append(case)
        else:
            reason = f"its outlines are not drawn on a series that is {first.name} ({verdict.rule})"
            left_out.append(CASE_LEFT_OUT.refusal(case=case.files, reason=reason.rstrip(".")))
    return Found(cases=tuple(kept), left_out=tuple(left_out))


def _beside(case: Case, study: LabelledStudy, recipe: Recipe) -> Mapping[str, Stack] | Refusal:
    first, *further = recipe.series
    tables: list[Table] = [{"name": first.name, "kind": case.stack.kind, "require": rules(first.require)}]
    tables += [{"name": one.name, "kind": case.stack.kind, "require": rules(one.require)} for one in further]
    stacks = {(one.facts.series_instance_uid, one.facts.stack): one for one in study.stacks}
    facts = [one.facts for one in study.stacks]
    chosen: dict[str, Stack] = {}
    for name, one in match_further(manifest_of(tables, "training"), facts, case.stack.facts).items():
        if isinstance(one, str):
            return SERIES_MISSING.refusal(name=name, reason=one.rstrip("."))
        chosen[name] = stacks[one.series_instance_uid, one.stack]
    return chosen


def with_attributes(found: Found, recipe: Recipe) -> Found:
    """Let columns that are called as the recipe's attributes stand in for headers that lack them."""
    if not recipe.tags:
        return found
    cases = [
        replace(case, said={tag: case.labels[tag] for tag in recipe.tags if case.labels.get(tag)})
        for case in found.cases
    ]
    return Found(cases=tuple(cases), left_out=found.left_out)


def fused(plan: Plan, recipe: Recipe, training: Sequence[Case]) -> Plan:
    """Return the plan with further series and attributes; NodeError(ATTRIBUTE_UNFIT)."""
    first: Table = dict(plan.input)
    further: list[Table] = []
    if recipe.series:
        start, *rest = recipe.series
        first |= {"name": start.name, "require": [*plan.input["require"], *rules(start.require)]}
        further = [_further(first, one.name, rules(one.require), one.register) for one in rest]
    numbers: list[Table] = []
    if recipe.tags:
        headers = _headers(training)
        numbers = [entry for tag in recipe.tags for entry in _entries(tag, headers)]
        further.append({"name": NUMBERS, "kind": "tags", "tags": numbers})
    channels = plan.channels * max(len(recipe.series), 1)
    return replace(plan, input=first, further=tuple(further), channels=channels, numbers=len(numbers))


def _headers(training: Sequence[Case]) -> list[SourceHeaders]:
    found = []
    for case in training:
        with suppress(NodeError):  # what cannot be decoded is told when it is prepared
            found.append(case.load().headers)
    return found


def _further(first: Table, name: str, require: list[Table], register: str) -> Table:
    made: Table = {"name": name, "kind": first["kind"], "require": require, "prepare": first["prepare"]}
    if first["kind"] != "volume":
        return made | {"picture": first["picture"]}
    return made | {"beside_first": True, "register": register}


def _entries(tag: str, headers: Sequence[SourceHeaders]) -> list[Table]:
    """Return the entries of an attribute: a number standardised, or one for each of its texts but the first.

    Mean and spread are those of the cases that have it; who has none is left out when it is prepared.
    """
    values = [value for one in headers if (value := _number(tag, one)) is not None]
    texts = [text for one in headers if (text := first_texts(one, [tag])[tag])]
    if values and (tag == _AGE or len(values) == len(texts)):
        mean, sd = float(np.mean(values)), float(np.std(values))
        if not sd > 0:
            raise NodeError(ATTRIBUTE_UNFIT, keyword=tag, reason="it is the same in all cases")
        return [{"tag": tag, "mean": float(f"{mean:.6g}"), "sd": float(f"{sd:.6g}")}]
    words = sorted(set(texts))
    if not 2 <= len(words) <= _MOST_WORDS:
        what = "no case says it" if not words else f"it has {len(words)} different texts"
        raise NodeError(ATTRIBUTE_UNFIT, keyword=tag, reason=what)
    return [
        {"tag": tag, "values": {word: float(word == chosen) for word in words}} | _centred(texts, chosen)
        for chosen in words[1:]
    ]


def _centred(texts: Sequence[str], chosen: str) -> dict[str, Any]:
    part = np.mean([text == chosen for text in texts])
    return {"mean": float(f"{part:.6g}"), "sd": float(f"{np.sqrt(part * (1.0 - part)):.6g}")}


def _number(tag: str, headers: SourceHeaders) -> float | None:
    spec = InputSpec(name=NUMBERS, kind="tags", tags=(TagNumber(tag=tag),))
    try:
        return float(numbers_of(spec, headers)[0][0])
    except NoNumberError:
        return None
