"""What is asked and proposed about a network's outputs: [[output]] tables with labels and codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dicomnode.engine.adding.answers import Answers, items, texts
from dicomnode.engine.adding.labelling import code_table, concept_of, segment_output, stem_of
from dicomnode.engine.adding.meaning import Meaning
from dicomnode.values.codes import NO_UNIT

SKIPPED: Final = "-"  # in a list of labels: a class that is not reported
_SKIP: Final = f'"{SKIPPED}" leaves one out'
_SEGMENTS: Final = ("labels", "sigmoid", "centre_heat")
_CLASSES: Final = ("classes", "sequence")
# Interpretation → how its channels are called until somebody says, and the question
_NO_CLASSES: Final = {
    "image": ("image", "what does it give?"),
    "map": ("map", "what does it give?"),
    "regression": ("value", "what does it measure? {count} in all, from channel 0"),
}
_MEASURES: Final = {"CT": ["volume_ml", "mean_hu"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Labels:
    """What is asked about labels. first: channel of the first one. open: there may be any number of them."""

    question: str
    proposal: list[str]
    first: int = 0
    open: bool = False

    def check(self, value: Any) -> list[Any]:
        """Take a label for each channel; ValueError with what is expected."""
        found = items(value)
        count = len(self.proposal)
        if len(found) != count and not self.open:
            each = f"{count} labels, one for each channel in their order; {_SKIP}"
            raise ValueError(each if count > 1 else "one label")
        for one in found:
            name = one.get("name") if isinstance(one, Mapping) else one
            if not isinstance(name, str) or not name.strip():
                raise ValueError('names, or tables such as { name = "liver" }')
        if all(one == SKIPPED for one in found):
            raise ValueError(f"at least one label that is reported; {_SKIP}")
        return found


def propose_outputs(meaning: Meaning, answers: Answers, modality: str, step: str) -> list[dict[str, Any]]:
    """Return the [[output]] tables: those that are given, or one for each label."""
    given = answers.raw("outputs")
    measure = answers.raw("measure", texts) or _MEASURES.get(modality, ["volume_ml"])
    if given is not None:
        return [{"step": step, **one} for one in given]
    asked = _labels(meaning)
    sure = meaning.interpret == "features"
    found = answers.get("labels", asked.question, asked.proposal, asked.check, sure=sure)
    made = []
    for number, label in enumerate(found):
        if label == SKIPPED:
            continue
        table = dict(label) if isinstance(label, Mapping) else {}
        name = str(table.pop("name")) if table else str(label)
        own = _output(meaning.interpret, name, list(measure))
        ordered = {"step": step, "channel": _channel(meaning, number + asked.first, len(found))}
        made.append({**_first(own), **ordered, **_rest(own), **table})
    return made


def unreported(meaning: Meaning, outputs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say in sentences which classes of the network no [[output]] speaks of."""
    if meaning.interpret not in {*_SEGMENTS, *_CLASSES, "boxes", "regression", "map"}:
        return []
    first = 1 if meaning.interpret == "labels" else 0
    told = {one.get("channel", number) for number, one in enumerate(outputs, start=first)}
    if "classes" in meaning.parameters:
        numbers = ", ".join(map(str, sorted(told, key=str)))
        return [f"Boxes whose class has another number than {numbers} are not reported."]
    missing = [str(channel) for channel in range(first, meaning.channels) if channel not in told]
    if not missing or (meaning.interpret in _CLASSES and meaning.channels == 2 and missing == ["0"]):
        return []  # of two classes one says all
    said = "class" if len(missing) == 1 else "classes"
    verb = "is" if len(missing) == 1 else "are"
    return [f"Its {said} {', '.join(missing)} {verb} not reported, as the answers say."]


def _labels(meaning: Meaning) -> _Labels:
    """Return what is asked about labels, by what the interpretation gives."""
    word, count = meaning.interpret, meaning.channels
    if word == "labels":
        names = [f"class-{n}" for n in range(1, count)]
        classes = "is its class, channel 1" if count == 2 else f"are its {count - 1} classes, from channel 1"
        question = f"what {classes} (0 is background)? {_SKIP}"
        return _Labels(question=question, proposal=names, first=1)
    if word == "boxes" and "classes" in meaning.parameters:
        question = f"what does it find? A label for each number of a class, from 0; {_SKIP}"
        return _Labels(question=question, proposal=["finding"], open=True)
    if word in {"centre_heat", "boxes"} and count == 1:
        return _Labels(question="what does it find?", proposal=["finding"])
    if word == "features":
        return _Labels(question="what are its features called?", proposal=["features"])
    if word in _NO_CLASSES:
        stem, question = _NO_CLASSES[word]
        names = [stem] if count == 1 else [f"{stem}-{n}" for n in range(count)]
        return _Labels(question=f"{question.format(count=count)} {_SKIP}", proposal=names)
    names = ["class-1"] if count == 1 else [f"class-{n}" for n in range(count)]
    if word in _CLASSES and count == 2:
        names[0] = SKIPPED
    classes = "is its class" if count == 1 else f"are its {count} classes, from channel 0"
    return _Labels(question=f"what {classes}? {_SKIP}", proposal=names)


def _output(interpret: str, name: str, measure: list[str]) -> dict[str, Any]:
    """Return the [[output]] of a label, by what the interpretation gives."""
    concept = code_table(concept_of(name))
    stem = stem_of(name)
    if interpret in _SEGMENTS:
        made = segment_output(name, measure)
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
