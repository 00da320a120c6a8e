"""What is asked and proposed about a network's outputs: [[output]] tables with labels and codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dicomnode.engine.adding.answers import Answers, items
from dicomnode.engine.adding.labelling import code_table, concept_of, segment_output, stem_of
from dicomnode.engine.adding.meaning import Meaning
from dicomnode.values.codes import NO_UNIT

SKIPPED: Final = "-"  # in a list of labels: a class that is not reported
_SEGMENTS: Final = ("labels", "sigmoid", "centre_heat")
_CLASSES: Final = ("classes", "sequence")
_MEASURES: Final = {"CT": ["volume_ml", "mean_hu"]}
_MOST_NAMED: Final = 200


def propose_outputs(meaning: Meaning, answers: Answers, modality: str, step: str) -> list[dict[str, Any]]:
    """Return the [[output]] tables: those that are given, or one for each label."""
    given = answers.raw("outputs")
    if given is not None:
        return [{"step": step, **one} for one in given] if isinstance(given, list) else given
    labels, proposal, first = _labels(meaning)
    found = answers.get(
        "labels", labels, proposal, _check(len(proposal)), sure=meaning.interpret == "features"
    )
    measure = answers.raw("measure") or _MEASURES.get(modality, ["volume_ml"])
    made = []
    for number, label in enumerate(found):
        if label == SKIPPED:
            continue
        table = dict(label) if isinstance(label, Mapping) else {}
        name = str(table.pop("name", SKIPPED)) if table else str(label)
        own = _output(meaning.interpret, name, number, list(measure))
        ordered = {"step": step, "channel": _channel(meaning, number + first, len(found))}
        made.append({**_first(own), **ordered, **_rest(own), **table})
    return made


def _labels(meaning: Meaning) -> tuple[str, list[str], int]:
    """Return the question, what is proposed, and the number of the first channel that has a label."""
    word, count = meaning.interpret, meaning.channels
    skip = f'; "{SKIPPED}" leaves one out'
    if word == "labels":
        names = [f"class-{n}" for n in range(1, count)]
        return f"what are its {count - 1} classes, from channel 1 (0 is background)?{skip}", names, 1
    if word in {"centre_heat", "boxes"}:
        return "what does it find?", ["finding"], 0
    if word == "features":
        return "what are its features called?", ["features"], 0
    if word in {"image", "map"}:
        names = [word] if count == 1 else [f"{word}-{n}" for n in range(count)]
        return f"what does it give?{skip}", names, 0
    if word == "regression":
        names = ["value"] if count == 1 else [f"value-{n}" for n in range(count)]
        return f"what are its {count} numbers, from channel 0?{skip}", names[:_MOST_NAMED], 0
    names = ["class-1"] if count == 1 else [f"class-{n}" for n in range(count)]
    if word in _CLASSES and count == 2:
        names[0] = SKIPPED
    return f"what are its {count} classes, from channel 0?{skip}", names, 0


def _check(count: int) -> Any:
    def check(value: Any) -> list[Any]:
        found = items(value)
        if len(found) > max(count, 1):
            raise ValueError(f"at most {count} labels")
        for one in found:
            if not isinstance(one, str) and not (isinstance(one, Mapping) and "name" in one):
                raise ValueError('names, or tables such as { name = "liver" }')
        return found

    return check


def _output(interpret: str, name: str, number: int, measure: list[str]) -> dict[str, Any]:
    """Return the [[output]] of a label, by what the interpretation gives."""
    concept = code_table(concept_of(name))
    stem = stem_of(name)
    if interpret in _SEGMENTS:
        made = segment_output(name, number, measure)
        if interpret == "centre_heat":
            made |= {"kind": "lesion", "tracking": f"{made['tracking'].removesuffix(' {number}')} {{number}}"}
        return made
    if interpret == "boxes":
        return {
            "region": stem,
            "type": concept,
            "tracking": f"{stem.replace('-', ' ').capitalize()} {{number}}",
        }
    if interpret in _CLASSES:
        return {"classification": stem, "type": concept}
    if interpret == "regression":
        return {"measurement": stem, "type": concept, "unit": code_table(NO_UNIT)}
    if interpret == "map":
        return {"map": stem, "type": concept, "unit": code_table(NO_UNIT)}
    return {interpret: stem}


def _channel(meaning: Meaning, channel: int, count: int) -> int | None:
    """Return the channel where it must be said: not that of a head with one output, nor of none."""
    if meaning.interpret in {"centre_heat", "image", "features"} or (count == 1 and channel == 0):
        return None
    return channel


def _first(table: Mapping[str, Any]) -> dict[str, Any]:
    key = next(iter(table))
    return {key: table[key]}


def _rest(table: Mapping[str, Any]) -> dict[str, Any]:
    return dict(list(table.items())[1:])
