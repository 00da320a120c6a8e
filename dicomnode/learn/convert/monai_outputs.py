"""What a bundle's network gives, as the tables of engine.toml: segments, classes, numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from dicomnode.engine.adding.labelling import meaning_of, segment_of
from dicomnode.faults import NO_FORM, NodeError
from dicomnode.learn.convert.monai_calls import Call, unanswered
from dicomnode.learn.convert.monai_read import Read, output_names, said_of
from dicomnode.learn.convert.monai_results import segments_step

Entry = dict[str, Any]

STEP: Final = "network"
_ROW_AXES: Final = 2
_BACKGROUND: Final = ("background", "bg", "none")
_AT_THE_EDGE: Final = (
    "CropForegroundd: where a class touches the edge of the box that was cut out, MONAI lets it reach one "
    "voxel beyond it (there all probabilities are 0), this engine half a voxel."
)


def step_and_outputs(read: Read, shape: Sequence[int], left_out: list[str]) -> tuple[Entry, list[Entry]]:
    """Return what the [[step]] says of its output of this shape, and the [[output]] tables.

    Raises NodeError: NO_FORM, QUESTIONS_OPEN.
    """
    if len(shape) == len(read.example) and tuple(shape[2:]) == read.example[2:]:
        step = _segments(read)
        if any("crop_foreground" in entry for entry in read.image.entries[0]) and "labels" in step:
            left_out.append(_AT_THE_EDGE)
        return step, _segment_outputs(read, step["interpret"], shape[1], left_out)
    if len([one for one in shape if one > 1]) <= 1 and shape[0] == 1 and len(shape) >= _ROW_AXES:
        if read.image.flat:
            reason = "it answers for each slice, and nobody has said what that means for a series"
            raise NodeError(NO_FORM, source=read.source, what=STEP, reason=reason)
        return _row(read, max(shape))
    reason = f"its output has the shape {tuple(shape)} for an input of {read.example}"
    raise NodeError(NO_FORM, source=read.source, what=STEP, reason=reason)


def _segments(read: Read) -> Entry:
    call = Call(read.source, "postprocessing", "postprocessing", {})
    resized = [entry["resize"] for entry in read.image.entries[0] if "resize" in entry]
    if resized and read.after.back is not None:
        linear = all(one.get("interpolation") == "linear" for one in resized)
        if not linear or read.after.back != "linear" or read.after.cut_first:
            Call(read.source, "preprocessing", "Resized", {}).refuse(
                "the way back that Invertd makes of it has no form here, unless both are trilinear and "
                "classes are made last"
            )
    regrids = any({"resample", "resize"} & set(entry) for entry in read.image.entries[0])
    return segments_step(read.after, call, regrids=regrids)


def _segment_outputs(read: Read, interpret: str, channels: int, left_out: list[str]) -> list[Entry]:
    names = output_names(read, channels)
    first = 1 if interpret == "labels" else 0
    outputs, unknown = [], []
    for channel in range(first, channels):
        said = said_of(read, channel)
        if said is None or (channel == 0 and names[channel].lower() in _BACKGROUND):
            continue
        meaning = meaning_of(names[channel])
        if not meaning.known and "type" not in said:
            unknown.append(names[channel])
        made = segment_of(meaning, names[channel], ["volume_ml"])
        made |= {"step": STEP, "channel": channel} | said
        largest = read.after.largest.get(channel if channels > 1 else 1, read.after.largest.get(None))
        if largest is not None:
            made.setdefault("largest", largest)
        outputs.append(made)
    if unknown:
        left_out.append(
            f"No code of SNOMED CT is known for {', '.join(unknown)}: they have codes of this node's own; "
            "give them better ones in engine.toml."
        )
    return _distinct(outputs)


def _distinct(outputs: list[Entry]) -> list[Entry]:
    """Labels are told apart: a second one of the same word gets the number of its channel."""
    seen: set[tuple[str, str]] = set()
    for one in outputs:
        label = (one["segment"], one.get("laterality", ""))
        if label in seen:
            one["segment"] = f"{one['segment']}-{one['channel']}"
        seen.add((one["segment"], one.get("laterality", "")))
    return outputs


def _row(read: Read, count: int) -> tuple[Entry, list[Entry]]:
    """A row of numbers: classes with their probabilities, or what the answers say."""
    interpret = read.answers.get("interpret", "classes" if read.after.activation else None)
    if read.window != "whole":
        Call(read.source, "inferer", "SlidingWindowInferer", {}).refuse(
            "a network with one answer sees the whole"
        )
    if interpret == "classes":
        names = output_names(read, count)
        activation = read.after.activation or "none"
        step = {"interpret": "classes", "classes": {"activation": activation, "names": names}}
        return step, _classes(read, names)
    if interpret == "features":
        return {"interpret": interpret}, [{"features": "features", "step": STEP}]
    if interpret == "regression":
        return {"interpret": interpret}, _numbers(read, count)
    question = "what the numbers of the network are: classes, regression or features"
    raise unanswered(read.source, {"interpret": question}, "interpret=classes")


def _classes(read: Read, names: Sequence[str]) -> list[Entry]:
    outputs = []
    for channel, name in enumerate(names):
        said = said_of(read, channel)
        if said is None:
            continue
        meaning = meaning_of(name)
        made: Entry = {
            "classification": meaning.stem,
            "step": STEP,
            "channel": channel,
            "type": dict(meaning.type),
        }
        if read.after.cut == "threshold":
            made["threshold"] = read.after.threshold
        outputs.append(made | said)
    labels = [one["classification"] for one in outputs]
    for one in outputs:
        if labels.count(one["classification"]) > 1:
            one["classification"] = f"{one['classification']}-{one['channel']}"
    return outputs


def _numbers(read: Read, count: int) -> list[Entry]:
    """Measurements: what each number is and its unit stand in no bundle."""
    outputs: list[Entry] = []
    missing: dict[str, str] = {}
    for channel in range(count):
        said = said_of(read, channel)
        if said is None:
            continue
        if not {"measurement", "type", "unit"} <= set(said):
            missing[f'outputs."{channel}"'] = f"what number {channel} is: measurement, type, unit"
        outputs.append({"step": STEP, "channel": channel} | said)
    if missing:
        code = '{ scheme = "…", code = "…", meaning = "…" }'
        example = f'outputs={{ "0" = {{ measurement = "…", type = {code}, unit = {code} }} }}'
        raise unanswered(read.source, missing, example)
    return outputs
