"""From a network that was looked at to a draft: what engine.toml must say, proposed from the graph.

What the graph tells is taken; what only the people who trained the network know is asked (see `Answers`): the
modality, the orientation, the spacing, the rule for the intensities, and what the classes are.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from dicomnode.engine.adding.answers import (
    Answers,
    items,
    matching,
    name,
    one_of,
    shown,
    table,
    text,
    texts,
)
from dicomnode.engine.adding.draft import Draft
from dicomnode.engine.adding.labelling import PRIVATE_SCHEME, stem_of
from dicomnode.engine.adding.looking import Entry, Looked, look
from dicomnode.engine.adding.meaning import Meaning, meanings
from dicomnode.engine.adding.propose_outputs import propose_outputs, unreported
from dicomnode.engine.adding.propose_prepare import propose_frame, range_after
from dicomnode.engine.adding.trial import Limits

USE: Final = "Research and engineering. Not for clinical use."
_AXES: Final = r"nckji|ncijk|nkjic|nijkc|nkji|nijk|ncji|ncij|njic|nijc|nji|nij|ntcji|ntcij|nctji|nctij|nf"
_MODALITY: Final = matching(r"[A-Z]{2,16}", "a value of Modality (0008,0060), such as CT or MR")
_MOST_REPEATED: Final = 3
_LEAST_MEASURED_VOXELS: Final = 2**15  # on a smaller box the libraries' own memory is most of it
_STEP_TABLES: Final = (
    "centre_heat",
    "sigmoid",
    "map",
    "boxes",
    "classes",
    "sequence",
    "anomaly",
    "features",
    "image",
)


def draft_from_onnx(path: Path, answers: Answers, limits: Limits) -> Draft:
    """Look at an ONNX file and make a draft of it.

    Raises NodeError: NETWORK_UNFIT, TRIAL_FAILED, ANSWER_WRONG, QUESTIONS_OPEN.
    """
    given = answers.given.get("axes")
    looked = look(path, limits, given if isinstance(given, str) else None)
    image = looked.image
    if image is not None:
        check = matching(_AXES, "axes of engine.toml, such as nckji or ncji")
        question = f"what are the axes of its input {image.port}? (n batch, c channels, t time, k, j, i)"
        axes = answers.get("axes", question, image.axes, check, sure=image.sure)
        if axes != image.axes:
            looked = look(path, limits, axes)
    return propose(looked, answers)


def propose(looked: Looked, answers: Answers) -> Draft:
    """Make a draft of a network that was looked at; raises NodeError(ANSWER_WRONG, QUESTIONS_OPEN)."""
    meaning = _meaning(looked, answers)
    stem = stem_of(looked.file.stem)
    engine = answers.get("name", "what is the engine called?", stem, name, sure=True)
    title = stem.replace("-", " ").capitalize()
    version = matching(r"[0-9]+(\.[0-9]+){1,3}", "a version such as 1.0.0")
    made: dict[str, Any] = {
        "name": engine,
        "version": answers.get("version", "which version is it?", "1.0.0", version, sure=True),
        "title": answers.get("title", "what is it, for people?", title, text, sure=True),
        "use": answers.get("use", "what may it be used for?", USE, text, sure=True),
    }
    modality = answers.get("modality", "which modality was it trained on?", "CT", _MODALITY)
    network = f"{stem_of(looked.file.stem)}.onnx"
    step, prepare, further = _step(looked, meaning, answers, modality)
    made["input"] = [*_series(answers, modality, prepare, further), *_tags(looked, answers)]
    step = {"network": network, **step}
    made["step"] = [step]
    made["output"] = propose_outputs(meaning, answers, modality, network.removesuffix(".onnx"))
    answers.finish(looked.file.name)
    left_out = tuple(_left_out(looked, meaning, made))
    return Draft(
        table=made,
        networks={network: looked.content},
        card=_card(looked, made, answers),
        left_out=left_out,
    )


def _meaning(looked: Looked, answers: Answers) -> Meaning:
    """Choose how the outputs are read."""
    ways = list(meanings(looked))
    wanted = answers.given.get("output")
    of_output = [one for one in ways if wanted in (None, one.output)]
    ways = of_output or ways
    words = list(dict.fromkeys(one.interpret for one in ways))
    first = ways[0]
    said = ", ".join(f"{one.name} {list(one.shape)}" for one in looked.outputs)
    question = f"what do its outputs ({said}) mean? One of {', '.join(words)}"
    word = answers.get(
        "interpret", question, first.interpret, one_of(*words), sure=first.sure or len(words) == 1
    )
    chosen = next(one for one in ways if one.interpret == word)
    names = [one.output for one in ways if one.interpret == word and one.output]
    if names:
        question = f"which output is read? One of {', '.join(names)}"
        answers.get("output", question, chosen.output, one_of(*names), sure=True)
    elif wanted is not None:
        answers.get(
            "output", "which output is read?", "", one_of(*(one.name for one in looked.outputs)), sure=True
        )
    said_of_it = (answers.raw(word, table) if word in _STEP_TABLES else None) or {}
    return replace(chosen, parameters={**chosen.parameters, **said_of_it})


# ── what goes in ──


def _series(
    answers: Answers, modality: str, prepare: list[Any], further: Mapping[str, list[Any]]
) -> list[dict[str, Any]]:
    """Return the [[input]] tables of the series: the first is prepared, further ones lie on its grid."""
    require = answers.raw("require") or _require(answers, modality)
    prefer = answers.raw("prefer")
    made = []
    for number, (series, values) in enumerate(further.items()):
        rules = list(require)
        if len(further) > 1:
            rules.append({"tag": "SeriesDescription", "matches": f"(?i){re.escape(series)}"})
        one = {"name": series, "kind": "volume", "require": rules, "prefer": prefer if number == 0 else None}
        made.append(one | {"prepare": prepare if number == 0 else values})
    return made


def _require(answers: Answers, modality: str) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = [
        {"tag": "Modality", "equals": modality},
        {"fact": "lossy", "equals": False},
    ]
    part = answers.raw("covers", text)
    if part:
        rules.insert(1, {"fact": "covers", "contains": part})
    return rules


def _tags(looked: Looked, answers: Answers) -> list[dict[str, Any]]:
    rows = [one for one in looked.entries if one.is_row]
    if not rows:
        return []
    count = rows[0].fixed.get("f", 1)
    question = (
        f"which {count} attributes of the series are the numbers that it takes, in their order? "
        'Such as ["PatientAge"], or tables as [[input.tags]] has them'
    )

    def check(value: Any) -> list[Any]:
        found = items(value)
        if len(found) != count:
            raise ValueError(f"{count} attributes")
        return found

    found = answers.get("tags", question, None, check) or []
    tags = [one if isinstance(one, Mapping) else {"tag": one} for one in found]
    return [{"name": "numbers", "kind": "tags", "tags": tags}]


def _sources(image: Entry, answers: Answers, modality: str) -> list[str]:
    """Return the names of the series that the channels are, one for each; one name again is a copy."""
    own = stem_of(modality)
    if image.channels == 1:
        return [own]
    flat = "k" not in image.axes
    proposal: Any = "repeat" if flat and image.channels <= _MOST_REPEATED else None
    question = (
        f"what are its {image.channels} channels? Names of series, in their order; "
        '"repeat": the same series again'
        + ('; "neighbours": the slices below and above' if flat and image.channels % 2 else "")
    )

    def check(value: Any) -> Any:
        if value in (["repeat", "neighbours"] if flat and image.channels % 2 else ["repeat"]):
            return value
        found = [name(one) for one in items(value)]
        if len(found) != image.channels:
            raise ValueError(f"{image.channels} names, or a word that the question has")
        return found

    answer = answers.get("channels", question, proposal, check)
    if answer == "neighbours":
        return [own]
    return list(answer) if isinstance(answer, list) else [own] * image.channels


# ── the step ──


def _step(
    looked: Looked, meaning: Meaning, answers: Answers, modality: str
) -> tuple[dict[str, Any], list[Any], dict[str, list[Any]]]:
    """Return the [[step]], how the first series is prepared, and how each by its name."""
    image = looked.image
    sources = _sources(image, answers, modality) if image is not None else [stem_of(modality)]
    frame = propose_frame(looked, meaning, answers, modality)
    step: dict[str, Any] = {
        "inputs": answers.raw("inputs", table) or _feeds(looked, sources),
        "window": frame.window,
        "interpret": meaning.interpret,
        "output": meaning.output or None,
        "precisions": answers.raw("precisions", texts) or ["fp32"],
        "memory_bytes_per_voxel": _memory(looked),
    }
    if meaning.parameters:
        step[meaning.interpret] = dict(meaning.parameters)
    low, high = range_after(frame.prepare, modality)
    shapes = {port: list(shape) for port, shape in looked.tried.shapes.items()}
    shape = {"shape": next(iter(shapes.values()))} if len(shapes) == 1 else {"shapes": shapes}
    step["gate"] = {**shape, "low": low, "high": high, "seed": 1}
    further = dict.fromkeys(sources, frame.values)
    return step, frame.prepare, further


def _feeds(looked: Looked, sources: list[str]) -> dict[str, Any] | None:
    """Return [step.inputs]; None where the only input is the first series as one channel."""
    feeds: dict[str, Any] = {}
    for entry in looked.entries:
        if entry.is_row:
            feeds[entry.port.name] = {"of": "numbers"}
            continue
        feed: dict[str, Any] = {"of": sources if len(sources) > 1 else sources[0], "axes": entry.axes}
        if len(sources) == 1 and entry.channels > 1:
            feed["neighbours"] = entry.channels // 2
        feeds[entry.port.name] = feed
    only = list(feeds.values())
    if only == [{"of": sources[0], "axes": "nckji"}]:
        return None
    return feeds


def _memory(looked: Looked) -> float | None:
    """Memory of a voxel, measured on the box that it was tried with; None where that box was too small."""
    voxels = 1
    for axis in looked.image.space if looked.image is not None else "":
        voxels *= looked.sides[axis]
    if voxels < _LEAST_MEASURED_VOXELS or looked.tried.memory_bytes <= 0:
        return None
    return float(f"{looked.tried.memory_bytes / voxels:.2g}")


# ── what is said of it ──


def _left_out(looked: Looked, meaning: Meaning, made: Mapping[str, Any]) -> list[str]:
    named = {meaning.output, *map(str, meaning.parameters.values())}
    unread = [one.name for one in looked.outputs if len(looked.outputs) > 1 and one.name not in named]
    sentences = [f"Its output {one} is not read." for one in unread]
    sentences += unreported(meaning, made["output"])
    local = [str(one["type"].get("meaning")) for one in made["output"] if _is_local(one)]
    if local:
        sentences.append(
            f"{', '.join(local)}: the codes are of the private scheme {PRIVATE_SCHEME}. Put codes of SNOMED "
            "CT into engine.toml before results leave the house."
        )
    return sentences


def _is_local(output: Mapping[str, Any]) -> bool:
    concept = output.get("type")
    return isinstance(concept, Mapping) and concept.get("scheme") == PRIVATE_SCHEME


def _card(looked: Looked, made: Mapping[str, Any], answers: Answers) -> str:
    graph = looked.graph
    opsets = ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in graph.opsets.items())
    operators = ", ".join(f"{count} {kind}" for kind, count in graph.operators.items())
    said = [f"- `{key}`: `{shown(value)}`" for key, value in answers.taken.items() if value is not None]
    lines = [
        f"# {made['title']}",
        "",
        str(made["use"]),
        "",
        "## What it was made from",
        "",
        f"`dicomnode engine add {looked.file.name}`: an ONNX file with the SHA-256",
        f"`{hashlib.sha256(looked.content).hexdigest()}`.",
        "",
        f"- Exporter: {graph.producer or 'it does not say'}; {graph.parameters} parameters",
        f"- Operator sets: {opsets}",
        f"- Operators: {operators}",
        f"- Inputs: {'; '.join(str(port) for port in graph.inputs)}",
        f"- Outputs: {'; '.join(f'{one.name} {list(one.shape)}' for one in looked.outputs)} at its trial",
        "",
        "## What was answered",
        "",
        *said,
        "",
        "## What nobody has said yet",
        "",
        "- What it was trained on, by whom, and under which licence it may be used.",
        "- How good it is, on data of this house. A wrong rule for the intensities or a wrong orientation",
        "  does not fail: it gives a plausible wrong result. Compare with a case whose result is known.",
    ]
    return "\n".join(lines) + "\n"
