"""A head behind the features that it was trained on: an engine that gives features becomes one that judges.

The steps, inputs and networks of the engine stay as they are, so that in service a head sees the very numbers
of its table; one step, its outputs and a card are added.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from dicomnode.engine import Draft, EnginePackage
from dicomnode.faults import DRAFT_WRONG, ENGINE_WITHOUT_FEATURES, FEATURES_DIFFER, NodeError
from dicomnode.learn.features.of_found import column_of, lesions_with_features
from dicomnode.learn.features.table import FeatureTable
from dicomnode.learn.heads.anomaly import AnomalyHead
from dicomnode.learn.heads.cases import Cases, means_yes
from dicomnode.learn.heads.exported import ExportedHead

FILE: Final = "head.onnx"
STEP: Final = "head"
USE: Final = "Research and engineering. Not for clinical use."
_ABNORMAL: Final = {"scheme": "SCT", "code": "263654008", "meaning": "Abnormal"}
_DIGITS: Final = 7  # of a float32, all that mean something


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the new engine is called, and what its classes mean.

    name: that of its folder. types: by class, a code { scheme, code, meaning }; a class without one has a
    code of its own, in the scheme 99DICOMNODE. column: the label that was learnt: what a class means that is
    called "1" or "yes". card: what was made of what, in sentences.
    """

    name: str
    version: str = "1.0.0"
    title: str = ""
    column: str = ""
    types: Mapping[str, Mapping[str, str]]
    card: str


def draft_with_head(
    package: EnginePackage, table: FeatureTable, cases: Cases, head: ExportedHead, wanted: Wanted
) -> Draft:
    """Put a head of classes behind the features of an engine.

    Of two classes the one that is looked for is given, of more each of them. Raises NodeError:
    ENGINE_WITHOUT_FEATURES, FEATURES_DIFFER, DRAFT_WRONG.
    """
    step = _step(package, table, head)
    step["interpret"] = "classes"
    step["classes"] = {"activation": "none", "names": list(cases.classes)}
    told = cases.classes if cases.positive is None else (cases.positive,)
    scored = _scored(package, wanted) if table.of_lesions and cases.positive is not None else None
    if scored is not None:
        score = {"of": STEP, "channel": cases.classes.index(cases.positive or "")}
        return _draft(package, step, [], head, wanted, {scored: score})
    outputs = [
        {
            "classification": label_of(_type(name, wanted)["meaning"]),
            "step": STEP,
            "channel": cases.classes.index(name),
            "type": _type(name, wanted),
        }
        for name in told
    ]
    return _draft(package, step, outputs, head, wanted)


def draft_with_detector(
    package: EnginePackage, table: FeatureTable, detector: AnomalyHead, head: ExportedHead, wanted: Wanted
) -> Draft:
    """Put a detector of what is not normal behind the features of an engine; raises as `draft_with_head`."""
    step = _step(package, table, head)
    step["interpret"] = "anomaly"
    step["anomaly"] = {
        "score": head.output,
        "normals": [float(f"{one:.{_DIGITS}g}") for one in detector.normals],
        "quantile": detector.quantile,
    }
    outputs = [{"classification": "abnormal", "step": STEP, "type": dict(_ABNORMAL)}]
    return _draft(package, step, outputs, head, wanted)


def features_step(
    package: EnginePackage, names: tuple[str, ...] | None = None, *, of_lesions: bool = False
) -> str:
    """Return what gives the features of an engine: a step, or "step/head".

    names: of a table that must be what it gives. of_lesions: of each lesion, and not of a study. Raises
    NodeError: ENGINE_WITHOUT_FEATURES where it gives none, or several rows of them; FEATURES_DIFFER.
    """
    manifest = package.manifest
    found = [
        (f"{step.name}/{head.name}" if step.head else step.name, head)
        for step in manifest.step
        for head in step.heads
        if head.interpret == "features" and (step.each is not None) is of_lesions
    ]
    if len(found) != 1:
        which = "" if not found else f" of one step: {', '.join(name for name, _ in found)} give some"
        raise NodeError(ENGINE_WITHOUT_FEATURES, engine=manifest.name, which=which)
    ((name, head),) = found
    given = head.features.names if head.features is not None else ()
    if names is not None and given and tuple(given) != names:
        difference = f"{len(names)} in the table, and {len(given)} or others in its [step.features]"
        raise NodeError(FEATURES_DIFFER, engine=manifest.name, difference=difference)
    return name


def label_of(name: str) -> str:
    """Return a class as a label of engine.toml: small letters, digits and dashes."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")
    return plain if plain and plain[0].isalpha() else f"class-{plain}".rstrip("-")


def _type(name: str, wanted: Wanted) -> dict[str, str]:
    """Return the code of a class: the one that was given, else one of our own."""
    if name in wanted.types:
        return dict(wanted.types[name])
    return _own_code(wanted.column.replace("_", " ") if means_yes(name) and wanted.column else name)


def _own_code(name: str) -> dict[str, str]:
    code = re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_")[:16] or "CLASS"
    return {"scheme": "99DICOMNODE", "code": code, "meaning": name[:64]}


def _step(package: EnginePackage, table: FeatureTable, head: ExportedHead) -> dict[str, Any]:
    of_found = table.of_lesions and lesions_with_features(package.manifest) is not None
    source = features_step(package, table.names, of_lesions=of_found)
    if table.engine_digest and table.engine_digest != package.digest:
        difference = (
            f"the table is of an engine {table.engine_digest[:12]}, this one is {package.digest[:12]}"
        )
        raise NodeError(FEATURES_DIFFER, engine=package.manifest.name, difference=difference)
    if table.of_lesions and not (of_found and table.engine_digest):
        difference = "its rows are lesions that this engine has not found: it sees others in service"
        raise NodeError(FEATURES_DIFFER, engine=package.manifest.name, difference=difference)
    if STEP in [step.name for step in package.manifest.step]:
        problem = f"it has a step {STEP} already"
        raise NodeError(DRAFT_WRONG, name=package.manifest.name, problems=problem)
    low, high = head.low, head.high
    each = package.manifest.step_named(source).each if of_found else None
    return {
        "name": STEP,
        **({"each": each} if each is not None else {}),
        "network": FILE,
        "inputs": {"row": {"of": source}},
        "window": "whole",
        "output": head.output,
        "gate": {"shape": [1, len(table.names)], "low": low, "high": high if high > low else low + 1.0},
    }


def _scored(package: EnginePackage, wanted: Wanted) -> str | None:
    """Return the label of the lesions of which the head tells whether they are some; None: it tells more."""
    of_lesions = lesions_with_features(package.manifest)
    label = of_lesions[0].label if of_lesions is not None else ""
    return label if of_lesions is not None and wanted.column == column_of(label) else None


def _with_score(output: Mapping[str, Any], scores: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    label = str(output.get("segment", output.get("region", "")))
    return {**output, "score": dict(scores[label])} if label in scores else dict(output)


def _draft(
    package: EnginePackage,
    step: dict[str, Any],
    outputs: list[dict[str, Any]],
    head: ExportedHead,
    wanted: Wanted,
    scores: Mapping[str, Mapping[str, Any]] | None = None,
) -> Draft:
    """Put the step and its outputs behind those of the engine. scores: of outputs of lesions, by label."""
    table = tomllib.loads((package.folder / "engine.toml").read_text(encoding="utf-8"))
    table.pop("schema", None)
    networks = {FILE: head.content}
    for one in package.manifest.networks:
        if one.data:
            problem = f"step {one.name} keeps tensors in files beside its network; write them into it"
            raise NodeError(DRAFT_WRONG, name=package.manifest.name, problems=problem)
        networks[one.network or ""] = (package.folder / (one.network or "")).read_bytes()
    if step["interpret"] == "anomaly":
        step.pop("output")
    return Draft(
        table=table
        | {
            "name": wanted.name,
            "version": wanted.version,
            "title": wanted.title or f"{table['title']}, with a head on its features",
            "use": table.get("use", USE),
            "step": [*table["step"], step],
            "output": [*(_with_score(one, scores or {}) for one in table["output"]), *outputs],
        },
        networks=networks,
        card=wanted.card,
    )
