"""A scikit-learn model becomes ONNX in a limited child, and a draft: classes, numbers or anomaly of a row.

A pickle runs code when it is read, so .pkl and .joblib are refused with what to do; a skops file is data.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from dicomnode.engine.adding.answers import Answers, items, matching, name, text
from dicomnode.engine.adding.draft import Draft
from dicomnode.engine.adding.labelling import meaning_of, stem_of
from dicomnode.faults import BUNDLE_UNSAFE, PICKLE_REFUSED, SOURCE_INCOMPLETE, NodeError
from dicomnode.learn.convert.child import command_of, converted

COMMAND: Final = command_of("dicomnode.learn.convert.sklearn_child")
_KIND: Final = "skops file"
_OUTPUTS: Final[Mapping[str, str]] = {
    "classes": "probabilities",
    "regression": "variable",
    "anomaly": "abnormality",
}
_LARGEST_BYTES: Final = 2**31
_FILE: Final = "model.onnx"
_STEP: Final = "model"
_ROW: Final = "numbers"
_USE: Final = "Research and engineering. Not for clinical use."
_MODALITY: Final = matching(r"[A-Z]{2,16}", "a value of Modality (0008,0060), such as CT or MR")
_VERSION: Final = matching(r"[0-9]+(\.[0-9]+){1,3}", "a version such as 1.0.0")
_LEAST_QUANTILES: Final = 2


def convert_sklearn(path: Path, answers: Mapping[str, Any] | Answers | None = None) -> Draft:
    """Make a draft of an engine from a model of scikit-learn in a skops file.

    Classifiers with probabilities, regressors and outlier detectors, alone or at the end of a pipeline. What
    the numbers of its row are is asked (`tags`); of a regressor also what it tells (`outputs`), of an outlier
    detector how normal cases score (`normals`). Raises NodeError: PICKLE_REFUSED, BUNDLE_UNSAFE,
    SOURCE_INCOMPLETE, NOT_CONVERTIBLE, EXPORT_DIFFERS, TRAIN_MISSING, CONVERSION_DIED, QUESTIONS_OPEN,
    ANSWER_WRONG.
    """
    said = answers if isinstance(answers, Answers) else Answers(given=dict(answers or {}))
    told, content = converted(str(path), {}, _content(path), COMMAND)
    stem = stem_of(path.stem)
    table = {
        "name": said.get("name", "what is the engine called?", stem, name, sure=True),
        "version": said.get("version", "which version is it?", "1.0.0", _VERSION, sure=True),
        "title": said.get("title", "what is it, for people?", stem, text, sure=True),
        "use": said.get("use", "what may it be used for?", _USE, text, sure=True),
        "input": _inputs(told["features"], said),
        "step": [_step(told, said)],
        "output": _outputs(told, said),
    }
    said.finish(path)
    return Draft(table=table, networks={_FILE: content}, card=_card(table, told, path))


def _content(path: Path) -> bytes:
    """Read a skops file; whatever has no schema in an archive may be a pickle."""
    try:
        if not zipfile.is_zipfile(path):
            path.stat()
            raise NodeError(PICKLE_REFUSED, path=path)
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
        if "schema.json" not in {one.filename for one in members}:
            raise NodeError(PICKLE_REFUSED, path=path)
        if max(path.stat().st_size, sum(one.file_size for one in members)) > _LARGEST_BYTES:
            reason = f"it unpacks to more than {_LARGEST_BYTES} bytes"
            raise NodeError(BUNDLE_UNSAFE, path=path, reason=reason)
        return path.read_bytes()
    except (OSError, zipfile.BadZipFile) as error:
        problem = getattr(error, "strerror", None) or str(error)
        raise NodeError(SOURCE_INCOMPLETE, path=path, kind=_KIND, problem=problem) from error


def _inputs(features: Sequence[str], said: Answers) -> list[dict[str, Any]]:
    modality = said.get("modality", "which modality are the series of?", "CT", _MODALITY)
    question = (
        f"which {len(features)} attributes of the series are its numbers ({', '.join(features)}), in this "
        'order? Such as ["PatientAge"], or tables as [[input.tags]] has them'
    )

    def check(value: Any) -> list[Any]:
        found = items(value)
        if len(found) != len(features):
            raise ValueError(f"{len(features)} attributes")
        return found

    tags = said.get("tags", question, None, check) or []
    rules = said.raw("require") or [{"tag": "Modality", "equals": modality}]
    return [
        {"name": "series", "kind": "volume", "require": rules},
        {
            "name": _ROW,
            "kind": "tags",
            "tags": [one if isinstance(one, Mapping) else {"tag": one} for one in tags],
        },
    ]


def _step(told: Mapping[str, Any], said: Answers) -> dict[str, Any]:
    kind = told["kind"]
    step: dict[str, Any] = {
        "name": _STEP,
        "network": _FILE,
        "inputs": {"row": {"of": _ROW}},
        "window": "whole",
        "interpret": kind,
        "gate": {"shape": [1, len(told["features"])], "low": told["low"], "high": told["high"]},
    }
    if kind == "classes":
        step["classes"] = {"activation": "none", "names": told["classes"]}
    if kind == "anomaly":
        question = (
            "what are the scores of normal cases (minus decision_function), at evenly spaced quantiles from "
            "the smallest to the largest?"
        )
        normals = said.get("normals", question, None, _rising)
        quantile = said.get("quantile", "which part of them is normal?", 0.95, _part, sure=True)
        step["anomaly"] = {"score": _OUTPUTS[kind], "normals": normals or [], "quantile": quantile}
    return step


def _outputs(told: Mapping[str, Any], said: Answers) -> list[dict[str, Any]]:
    kind, given = told["kind"], said.raw("outputs")
    if isinstance(given, list):
        return [{"step": _STEP, **one} for one in given]
    if kind == "classes":
        return [_classification(label, channel) for channel, label in enumerate(told["classes"])]
    if kind == "anomaly":
        return [_classification("abnormal", 0)]
    question = (
        f"what are its {told['outputs']} numbers? A list of tables with measurement (a label), type and "
        "unit, as [[output]] has them"
    )
    said.get("outputs", question, None, items)
    return []


def _classification(label: str, channel: int) -> dict[str, Any]:
    meaning = meaning_of(label if not label.isdigit() else f"class {label}")
    return {
        "classification": meaning.stem,
        "step": _STEP,
        "channel": channel,
        "type": dict(meaning.type),
    }


def _rising(value: Any) -> list[float]:
    found = [float(one) for one in items(value)]
    if len(found) < _LEAST_QUANTILES or found != sorted(found) or found[0] == found[-1]:
        raise ValueError("at least two numbers that rise")
    return found


def _part(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise ValueError("a number between 0 and 1")
    return float(value)


def _card(table: Mapping[str, Any], told: Mapping[str, Any], path: Path) -> str:
    lines = [
        f"# {table['title']}",
        "",
        f"Made from {path.name}, a model of scikit-learn: {told['estimator']}.",
        "",
        f"- Numbers that it takes: {', '.join(told['features'])}",
        f"- Largest difference between scikit-learn and its ONNX on a seeded table: {told['apart']:.1e}",
    ]
    if told["classes"]:
        lines.append(f"- Classes: {', '.join(told['classes'])}")
    return "\n".join(lines) + "\n"
