"""From what was read of a bundle to the tables of engine.toml, and the card."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dicomnode.engine.adding.draft import Draft
from dicomnode.engine.adding.labelling import Meaning, meaning_of
from dicomnode.faults import NO_FORM, NodeError
from dicomnode.learn.convert.monai_bundle import BundleTexts
from dicomnode.learn.convert.monai_calls import Call, unanswered
from dicomnode.learn.convert.monai_results import After, segments_step
from dicomnode.learn.convert.torch_network import MadeNetwork

Entry = dict[str, Any]

NETWORK_FILE: Final = "network.onnx"
STEP: Final = "network"
_INPUT: Final = "image"
_GIVEN: Final = "pred"
_USE: Final = "Research and engineering. Not for clinical use."
_MODALITIES: Final[Mapping[str, str]] = {"CT": "CT", "MR": "MR", "MRI": "MR", "PT": "PT", "PET": "PT"}
_RANGES: Final[Mapping[str, tuple[float, float]]] = {"CT": (-1000.0, 1000.0)}
_SPREAD: Final = 3.0  # standard deviations that a z-score is tried with
_EXAMPLE_SIDE: Final = 64  # of a network that takes any size; what it may be longer by are multiples of 16
_LARGEST_EXAMPLE: Final = 2**24  # numbers; the gate takes no more
_MAP_AXES: Final = 5  # n, c, k, j, i
_ROW_AXES: Final = 2
_BACKGROUND: Final = ("background", "bg", "none")
_AT_THE_EDGE: Final = (
    "CropForegroundd: where a class touches the edge of the box that was cut out, MONAI lets it reach one "
    "voxel beyond it (there all probabilities are 0), this engine half a voxel."
)
_VERSION: Final = re.compile(r"[0-9]+(\.[0-9]+){1,3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """All that a bundle's texts say of an engine. source: for messages. channels: that the network takes."""

    texts: BundleTexts
    source: str
    answers: Mapping[str, Any]
    entries: Sequence[Entry]
    window: Entry | str
    after: After
    channels: int

    @property
    def example(self) -> tuple[int, ...]:
        """Shape of an input of the network."""
        size = self.fixed_size or tuple(self._stated_size())
        return (1, self.channels, *size)

    @property
    def fixed_size(self) -> tuple[int, ...] | None:
        """Voxels along k, j, i that the network always sees; None where it depends on the images."""
        if isinstance(self.window, Mapping):
            return tuple(self.window["size_kji"])
        return prepared_size(self.entries)

    def _stated_size(self) -> list[int]:
        stated = _format(self.texts, "inputs").get("spatial_shape")
        sides = stated if isinstance(stated, list) and len(stated) == len("kji") else []
        return [
            one if isinstance(one, int) and not isinstance(one, bool) and one > 0 else _EXAMPLE_SIDE
            for one in (sides or [_EXAMPLE_SIDE] * 3)
        ]

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest number that the network is tried with, by how its input is scaled."""
        for entry in reversed(self.entries):
            if "z_score" in entry:
                return -_SPREAD, _SPREAD
            for name in ("scale_range", "scale_minmax", "percentile"):
                if name in entry:
                    return entry[name]["b_min"], entry[name]["b_max"]
        return _RANGES.get(self.modality or "", (0.0, 1.0))

    @property
    def modality(self) -> str | None:
        """Modality (0008,0060) of the series that it wants; None where nobody says it."""
        said = self.answers.get("modality", _format(self.texts, "inputs").get("modality"))
        return _MODALITIES.get(str(said).upper(), str(said).upper()) if said and str(said) != "n/a" else None


def prepared_size(entries: Sequence[Entry]) -> tuple[int, ...] | None:
    """Return the voxels along k, j, i that all images have after `prepare`; None where they differ."""
    size: list[int] | None = None
    least = [1, 1, 1]  # of every image, where its size is not known
    for entry in entries:
        if "resize" in entry:
            size = list(entry["resize"]["shape_kji"])
        elif "pad" in entry:
            shape, multiple = entry["pad"].get("shape_kji"), entry["pad"].get("multiple_kji")
            if size is not None:
                size = (
                    [max(a, b) for a, b in zip(size, shape, strict=True)]
                    if shape
                    else [-(-a // b) * b for a, b in zip(size, multiple, strict=True)]
                )
            least = [max(a, b) for a, b in zip(least, shape or multiple, strict=True)]
        elif "crop_centre" in entry:
            most = entry["crop_centre"]["shape_kji"]
            if size is not None:
                size = [min(a, b) for a, b in zip(size, most, strict=True)]
            elif all(a <= b for a, b in zip(most, least, strict=True)):
                size = list(most)
            least = [min(a, b) for a, b in zip(least, most, strict=True)]
        elif {"resample", "crop_foreground"} & set(entry):
            size, least = None, [1, 1, 1]
    return tuple(size) if size is not None else None


def draft_of(read: Read, network: MadeNetwork) -> Draft:
    """Put the draft together; raises NodeError(QUESTIONS_OPEN) with all that nobody has said."""
    answers, metadata = read.answers, read.texts.metadata
    left_out = [*read.after.left_out]
    step, outputs = _step_and_outputs(read, network, left_out)
    first: Entry = {"name": _INPUT, "kind": "volume", "require": _rules(read)}
    first["prepare"] = list(read.entries)
    if answers.get("prefer"):
        first["prefer"] = answers["prefer"]
    table: Entry = {
        "name": str(answers.get("name", _name(read.texts.name))),
        "version": str(answers.get("version", _version(metadata.get("version")))),
        "title": str(answers.get("title", metadata.get("name") or metadata.get("task") or read.texts.name)),
        # What its makers intended is told in the card; what stands in every result, a person says
        "use": str(answers.get("use", _USE)),
        "input": [first],
        "step": [step],
        "output": outputs,
    }
    return Draft(
        table=table,
        networks={NETWORK_FILE: network.content},
        card=_card(read, table),
        left_out=tuple(dict.fromkeys(left_out)),
    )


def _rules(read: Read) -> list[Entry]:
    if read.answers.get("require"):
        return [dict(rule) for rule in read.answers["require"]]
    if read.modality is None:
        raise unanswered(read.source, {"modality": "of the series that it takes (CT, MR …)"}, "modality=CT")
    return [{"tag": "Modality", "equals": read.modality}]


# ── what comes out ──


def _step_and_outputs(read: Read, network: MadeNetwork, left_out: list[str]) -> tuple[Entry, list[Entry]]:
    shape = next(iter(network.outputs.values()))
    low, high = read.range
    step: Entry = {
        "name": STEP,
        "network": NETWORK_FILE,
        "window": read.window,
        "gate": {"shape": list(read.example), "low": low, "high": high},
    }
    if len(network.outputs) > 1:
        step["output"] = _GIVEN
        left_out.append(
            f"The network gives {len(network.outputs)} outputs; the first one is read, as MONAI does."
        )
    if len(shape) == _MAP_AXES and shape[2:] == read.example[2:]:
        step |= _segments(read)
        if any("crop_foreground" in entry for entry in read.entries) and "labels" in step:
            left_out.append(_AT_THE_EDGE)
        return step, _segment_outputs(read, step["interpret"], shape[1], left_out)
    if len([one for one in shape if one > 1]) <= 1 and shape[0] == 1 and len(shape) >= _ROW_AXES:
        return _row(read, step, max(shape))
    reason = f"its output has the shape {shape} for an input of {read.example}"
    raise NodeError(NO_FORM, source=read.source, what=STEP, reason=reason)


def _segments(read: Read) -> Entry:
    call = Call(read.source, "postprocessing", "postprocessing", {})
    resized = [entry["resize"] for entry in read.entries if "resize" in entry]
    if resized and read.after.back is not None:
        linear = all(one.get("interpolation") == "linear" for one in resized)
        if not linear or read.after.back != "linear" or read.after.cut_first:
            Call(read.source, "preprocessing", "Resized", {}).refuse(
                "the way back that Invertd makes of it has no form here, unless both are trilinear and "
                "classes are made last"
            )
    regrids = any({"resample", "resize"} & set(entry) for entry in read.entries)
    return segments_step(read.after, call, regrids=regrids)


def _segment_outputs(read: Read, interpret: str, channels: int, left_out: list[str]) -> list[Entry]:
    names = _names(read, channels)
    first = 1 if interpret == "labels" else 0
    outputs, unknown = [], []
    for channel in range(first, channels):
        said = _said(read, channel)
        if said is None or (channel == 0 and names[channel].lower() in _BACKGROUND):
            continue
        meaning = meaning_of(names[channel])
        if not meaning.known and "type" not in said:
            unknown.append(names[channel])
        made = _segment(meaning, names[channel]) | {"step": STEP, "channel": channel} | said
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


def _segment(meaning: Meaning, name: str) -> Entry:
    made: Entry = {
        "segment": meaning.stem,
        "kind": meaning.kind,
        "category": dict(meaning.category),
        "type": dict(meaning.type),
        "tracking": f"{name} {{number}}" if meaning.kind == "lesion" else name,
        "measure": ["volume_ml"],
    }
    if meaning.laterality is not None:
        made["laterality"] = meaning.laterality
    return made


def _distinct(outputs: list[Entry]) -> list[Entry]:
    """Labels are told apart: a second one of the same word gets the number of its channel."""
    seen: set[tuple[str, str]] = set()
    for one in outputs:
        label = (one["segment"], one.get("laterality", ""))
        if label in seen:
            one["segment"] = f"{one['segment']}-{one['channel']}"
        seen.add((one["segment"], one.get("laterality", "")))
    return outputs


def _row(read: Read, step: Entry, count: int) -> tuple[Entry, list[Entry]]:
    """A row of numbers: classes with their probabilities, or what the answers say."""
    interpret = read.answers.get("interpret", "classes" if read.after.activation else None)
    if step["window"] != "whole":
        Call(read.source, "inferer", "SlidingWindowInferer", {}).refuse(
            "a network with one answer sees the whole"
        )
    if interpret == "classes":
        names = _names(read, count)
        activation = read.after.activation or "none"
        step |= {"interpret": "classes", "classes": {"activation": activation, "names": names}}
        return step, _classes(read, names)
    if interpret in ("regression", "features"):
        step["interpret"] = interpret
        if interpret == "features":
            return step, [{"features": "features", "step": STEP}]
        return step, _numbers(read, count)
    question = "what the numbers of the network are: classes, regression or features"
    raise unanswered(read.source, {"interpret": question}, "interpret=classes")


def _classes(read: Read, names: Sequence[str]) -> list[Entry]:
    outputs = []
    for channel, name in enumerate(names):
        said = _said(read, channel)
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
        said = _said(read, channel)
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


def _said(read: Read, channel: int) -> Entry | None:
    """Return what the answers say of a channel; None where they leave it out (false)."""
    outputs = read.answers.get("outputs", {})
    said = outputs.get(str(channel), outputs.get(channel, {})) if isinstance(outputs, Mapping) else {}
    return None if said is False else dict(said)


def _names(read: Read, count: int) -> list[str]:
    """Return the names of the channels as metadata.json has them."""
    named = _format(read.texts, "outputs").get("channel_def")
    table = named if isinstance(named, Mapping) else {}
    return [str(table.get(str(n)) or f"class {n}").strip() or f"class {n}" for n in range(count)]


def _format(texts: BundleTexts, which: str) -> Mapping[str, Any]:
    """Return the first entry of network_data_format's inputs or outputs; empty where there is none."""
    formats = texts.metadata.get("network_data_format")
    tables = formats.get(which) if isinstance(formats, Mapping) else None
    first = next(iter(tables.values()), None) if isinstance(tables, Mapping) and tables else None
    return first if isinstance(first, Mapping) else {}


# ── for people ──


def _name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.")[:64] or "monai-bundle"


def _version(said: Any) -> str:
    found = _VERSION.search(str(said))
    return found[0] if found else "1.0.0"


def _card(read: Read, table: Mapping[str, Any]) -> str:
    metadata = read.texts.metadata
    lines = [f"# {table['title']}", "", str(metadata.get("description", "")).strip(), ""]
    lines += [
        f"Made from the MONAI bundle {read.texts.name} {metadata.get('version', '')}.".replace(" .", ".")
    ]
    rows = {
        "Use": table["use"],
        "What its makers intended": metadata.get("intended_use"),
        "Authors": metadata.get("authors"),
        "Copyright": metadata.get("copyright"),
        "License": metadata.get("license"),
        "Trained on": metadata.get("data_source"),
        "Results of its makers": metadata.get("eval_metrics"),
        "MONAI": metadata.get("monai_version"),
        "References": metadata.get("references"),
    }
    said = [f"- {name}: {_text(value)}" for name, value in rows.items() if value]
    return "\n".join([*lines, "", *said]).replace("\n\n\n", "\n\n").rstrip() + "\n"


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {one}" for key, one in value.items())
    if isinstance(value, list):
        return "; ".join(str(one) for one in value)
    return " ".join(str(value).split())
