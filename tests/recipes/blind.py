"""What somebody would reach who knows the training part by heart and never looks at an image.

An engine that is no better has learned nothing from images: chance of a recipe is this, not zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dicomnode.evaluate.data import Part, load_split, read_labelled
from dicomnode.learn import DetectJob, RegressJob, SegmentJob, read_recipe
from dicomnode.learn.train.cases import Case
from dicomnode.values import Code
from tests.recipes.heads import option, options

AREA = 0.5  # under a ROC curve


def blind_figures(
    task: str, engine: Path, data: Path, words: Sequence[str], alarms: float = 0.0
) -> dict[str, float]:
    """Return the blind figure for the name of each figure that counts; areas have `AREA`.

    words: of the command that trained. alarms: false ones a study of a detector.
    """
    if task in {"classify", "anomaly"}:
        return {}
    known = read_labelled([data], data / "labels.csv")
    recipe = read_recipe(engine / "recipe.toml", task, {})
    if task == "regress":
        job = RegressJob.of(
            recipe, known, option(words, "--column") or "", Code(option(words, "--unit") or "1", "UCUM", "x")
        )
        seen, tested = _parts(job.cases, data)
        middle = float(np.median([job.value_of(case) for case in seen]))
        error = float(np.mean([abs(job.value_of(case) - middle) for case in tested]))
        return {f"mean absolute error, {job.unit.value}": error}
    kind = DetectJob if task == "detect" else SegmentJob
    job = kind.of(recipe, known, options(words, "--structure"))
    seen, tested = _parts(job.cases, data)
    if task == "detect":
        return {"sensitivity by lesion": mark_anywhere(seen, tested, 1.0 + alarms)}
    return {
        f"Dice {one.name}": same_everywhere(seen, tested, number) for number, one in enumerate(job.structures)
    }


def _parts(cases: Sequence[Case], data: Path) -> tuple[list[Case], list[Case]]:
    split = load_split(data / "split.json")
    seen = [case for case in cases if split.parts[case.patient] is Part.TRAIN]
    return seen, [case for case in cases if split.parts[case.patient] is Part.TEST]


def same_everywhere(seen: Sequence[Case], tested: Sequence[Case], number: int) -> float:
    """Dice of the one outline, the same for all, that is best on the training part."""
    truths = [case.truths[number].to_array() for case in seen if number in case.truths]
    often = np.mean(truths, axis=0)
    there = [one for one in truths if one.any()]
    best = max(
        (often >= least for least in np.unique(np.quantile(often[often > 0], np.linspace(0, 1, 12)))),
        key=lambda mask: np.mean([_dice(mask, one) for one in there]),
    )
    left = [case.truths[number].to_array() for case in tested if number in case.truths]
    return float(np.mean([_dice(best, one) for one in left if one.any()]))


def _dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2.0 * float((one & other).sum()) / float(one.sum() + other.sum())


def mark_anywhere(seen: Sequence[Case], tested: Sequence[Case], marks: float) -> float:
    """Part of the lesions that so many marks a study hit, set anywhere that one lay in the training part."""
    ever = np.any([case.truths[0].to_array() for case in seen], axis=0)
    places = np.argwhere(ever)
    box = float(np.prod(np.ptp(places, axis=0) + 1))
    hit = [float(case.truths[0].to_array().sum()) / box for case in tested if not case.truths[0].is_empty]
    return float(np.mean(1.0 - (1.0 - np.array(hit)) ** marks))
