"""Learning to draw images like those of a data set: pictures as they are, or slices of volumes.

Nothing is turned, flipped or made brighter while it trains: what is done to images, the generator would draw.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pydicom
from numpy.typing import NDArray
from torch import nn

from dicomnode.evaluate.data import LabelledData
from dicomnode.faults import GENERATOR_FORM, NOTHING_TO_LEARN, PREPARATION_FAILED, NodeError
from dicomnode.learn.generate.generator_form import (
    MOST_SIDE,
    SLICES,
    ImageForm,
    require_form,
    usual_attributes,
)
from dicomnode.learn.generate.generator_package import Network
from dicomnode.learn.train.cases import Case
from dicomnode.learn.train.generator_lesson import SCORE, NoiseLesson, evenly, images_of
from dicomnode.learn.train.generator_network import diffusion, schedule
from dicomnode.learn.train.loop import Lesson
from dicomnode.learn.train.plan import INPUT, ORIENTATION, Plan, rules_of
from dicomnode.learn.train.recipe import Recipe
from dicomnode.learn.train.samples import Sample, fed
from dicomnode.learn.train.shapes import shape_of
from dicomnode.learn.train.whole import cases_with
from dicomnode.store.foreign import quiet
from dicomnode.values import Picture, Progress, Refusal

STAGE: Final = "looking at images"
MOST_SLICES: Final = 32
"""Slices of a volume that are learned from, evenly taken."""

_ANY: Final = "(any)"  # no table has a column of this name: its names are plain words
_LARGEST_SIDE: Final = 64  # rows and columns, unless they are given
_PERCENTILES: Final = (0.1, 99.9)  # of the values of the training part: −1 and 1
_COLOURS: Final = (0.0, 255.0)
_VALUES: Final = 20_000  # of an image that are looked at, evenly taken
_MOST_LABELS: Final = 50

Float32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GeneratorJob:
    """A `Learning`: draws images. column: of the labels that say what is drawn, "" for any."""

    recipe: Recipe
    cases: Sequence[Case]
    column: str
    labels: tuple[str, ...]
    left_out: Sequence[Refusal] = ()
    score_name: str = SCORE
    output_names: Sequence[str] = ("velocity",)

    @classmethod
    def of(cls, recipe: Recipe, data: LabelledData, column: str | None = None) -> GeneratorJob:
        """Find images, of each study those that an engine would take. column: of labels to draw by.

        Raises NodeError: LABELS_UNFIT, NOTHING_TO_LEARN, GENERATOR_FORM.
        """
        known = data if column is not None else _all_alike(data)
        found = cases_with(known, column or _ANY, recipe)
        labels = sorted({case.labels[column] for case in found.cases}) if column is not None else []
        if len(labels) > _MOST_LABELS:
            reason = f"{column} has {len(labels)} labels, and each is a kind of image to draw"
            advice = f"Take a column of at most {_MOST_LABELS} labels."
            raise NodeError(NOTHING_TO_LEARN, task=recipe.task, reason=reason, advice=advice)
        require_form(found.cases[0].stack.kind, *_class_of(found.cases))
        return cls(
            recipe=recipe,
            cases=found.cases,
            column=column or "",
            labels=tuple(labels),
            left_out=found.left_out,
        )

    @property
    def how(self) -> Network:
        """How the network is built."""
        recipe = self.recipe
        return Network(
            width=recipe.width,
            levels=recipe.levels,
            noise_steps=recipe.noise_steps,
            draw_steps=recipe.draw_steps,
            column=self.column,
            labels=self.labels,
        )

    @property
    def flips(self) -> Sequence[str]:
        """None: a mirrored chest would be learned as one."""
        return ()

    def stratum_of(self, case: Case) -> str:
        """Return its label."""
        return case.labels[self.column or _ANY]

    def number_of(self, case: Case) -> int:
        """Return the number of its label, 0 without labels."""
        return self.labels.index(case.labels[self.column]) if self.labels else 0

    def plan(self, training: Sequence[Case], progress: Progress) -> Plan:
        """Decide size and values from the training part."""
        is_picture = training[0].stack.kind == "picture"
        colour = is_picture and any(bool(case.stack.facts.facts.get("colour")) for case in training)
        low, high = _COLOURS if colour else _limits(training, progress)
        side = self._side(training)
        require, prefer = rules_of(training)
        prepare: list[dict[str, Any]] = [{"clip": [low, high]}]
        prepare += [] if is_picture else [{"orient": ORIENTATION}]
        prepare.append({"letterbox": {"shape_ji": [side, side], "value": low}})
        prepare.append({"scale_range": {"a_min": low, "a_max": high, "b_min": -1.0, "b_max": 1.0}})
        table: dict[str, Any] = {
            "name": INPUT,
            "kind": "picture" if is_picture else "volume",
            "require": require,
            "prefer": [] if is_picture else prefer,
            "prepare": prepare,
        }
        if is_picture:
            table["picture"] = {"colour": "rgb" if colour else "grey"}
        return Plan(
            input=table,
            shape=shape_of((1, side, side), (1.0, 1.0, 1.0), self.recipe.levels),
            spacing_kji_mm=(1.0, 1.0, 1.0),
            pad_value=-1.0,
            in_hu=False,
            channels=3 if colour else 1,
        )

    def _side(self, training: Sequence[Case]) -> int:
        """Return rows and columns: a multiple of what the levels halve. Raises NodeError(GENERATOR_FORM)."""
        given = self.recipe.patch_kji
        longest = max(max(one.rows or 0, one.columns or 0) for case in training for one in case.stack.headers)
        side = max(given[1:]) if given is not None else min(longest, _LARGEST_SIDE)
        least = 1 << (self.recipe.levels - 1)
        side = max(-(-side // least) * least, 2 * least)
        if side > MOST_SIDE:
            reason = f"{MOST_SIDE} are the most"
            raise NodeError(GENERATOR_FORM, what=f"{side} pixels a side", reason=reason)
        return side

    def sample(self, case: Case, plan: Plan) -> Sample | Refusal:
        """Prepare the images of a case: (c, k, j, i), each slice one; the number of the label goes along."""
        ready = fed(plan.manifest("training"), case.load())
        if isinstance(ready, Refusal):
            return ready
        count = ready.inputs.shape[1]
        if plan.input["kind"] == "picture" and count > 1:
            raise NodeError(PREPARATION_FAILED, reason=f"it has {count} frames, and one is drawn")
        return Sample(
            name="",
            patient=case.patient,
            inputs=ready.inputs[:, slices_of(count)],
            target=np.array([self.number_of(case)], dtype=np.float32),
            spacing_kji_mm=ready.grid.spacing_kji_mm,
        )

    def content(self, case: Case) -> Sequence[bytes | str]:
        """Return the label, and how many slices there are at most."""
        return ["generator", self.column, str(self.number_of(case)), str(MOST_SLICES)]

    def network(self, plan: Plan) -> nn.Module:
        """Build it."""
        return diffusion(self.how, plan.channels, self.recipe.kept_part)

    def lesson(self, training: Sequence[Sample], validation: Sequence[Sample], plan: Plan) -> Lesson:
        """Return what is learned."""
        del plan
        return NoiseLesson(
            recipe=self.recipe,
            steps_back=schedule(self.how),
            training=images_of(training),
            validation=evenly(images_of(validation)),
            balanced=len(self.labels) > 1 and self.recipe.sampling == "balanced",
        )

    def form(self, plan: Plan, training: Sequence[Case], samples: Sequence[Sample]) -> ImageForm:
        """Say what kind of image is drawn, by the training part."""
        is_picture = plan.input["kind"] == "picture"
        sop_class_uid, modality = _class_of(training)
        low, high = plan.input["prepare"][0]["clip"]
        known = all(_knows_spacing(case) for case in training)
        k, j, i = (float(one) for one in np.median([one.spacing_kji_mm for one in samples], axis=0))
        with quiet():
            headers = [pydicom.dcmread(case.stack.files[0], stop_before_pixels=True) for case in training]
        return ImageForm(
            kind="picture" if is_picture else "volume",
            sop_class_uid=sop_class_uid if is_picture else SLICES[modality],
            modality=modality,
            colour=plan.channels == 3,
            side=plan.shape.patch_kji[1],
            low=low,
            high=high,
            bits=8 if all(header.get("BitsStored") == 8 for header in headers) else 12,
            spacing_mm=(round(j, 4), round(i, 4)) if known else None,
            thickness_mm=None if is_picture else round(k, 4),
            attributes=usual_attributes(headers),
        )


def name_of(case: Case, k: int, count: int) -> str:
    """Return how a training image is called: a hash that tells it to who has the data, and to nobody else.

    The first 12 hex digits of the SHA-256 of the SOP Instance UID of the first file of its series; of a
    volume with the number of the slice, from the feet, of those that were learned from.
    """
    uid = case.stack.headers[0].sop_instance_uid
    name = hashlib.sha256(uid.encode()).hexdigest()[:12]
    return f"{name}/{k + 1}" if count > 1 else name


def slices_of(count: int) -> NDArray[np.intp]:
    """Return which of so many slices are learned from: evenly taken."""
    return np.unique(np.linspace(0, count - 1, min(count, MOST_SLICES)).round().astype(np.intp))


def _class_of(cases: Sequence[Case]) -> tuple[str, str]:
    """Return the SOP Class that most have, and their modality, which is one."""
    counts = Counter(case.stack.headers[0].sop_class_uid for case in cases)
    usual = min(counts, key=lambda one: (-counts[one], one))
    return usual, str(cases[0].stack.facts.tags.get("Modality", ""))


def _all_alike(data: LabelledData) -> LabelledData:
    """Give each study the same label, so that all are taken."""
    studies = tuple(replace(study, row={**study.row, _ANY: "any"}) for study in data.studies)
    return replace(data, studies=studies, columns=(*data.columns, _ANY))


def _limits(training: Sequence[Case], progress: Progress) -> tuple[float, float]:
    """Return the values that become −1 and 1; what cannot be decoded is told when it is prepared."""
    values = list(_seen(training, progress))
    if not values:
        reason = "no image of the training part can be decoded"
        advice = "See why with `dicomnode try`."
        raise NodeError(NOTHING_TO_LEARN, task="generator", reason=reason, advice=advice)
    low, high = (round(float(one), 3) for one in np.percentile(np.concatenate(values), _PERCENTILES))
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _seen(training: Sequence[Case], progress: Progress) -> Iterator[Float32]:
    for done, case in enumerate(training):
        progress(STAGE, done, len(training))
        try:
            images = case.load()
        except NodeError:
            continue
        values = images.frames if isinstance(images, Picture) else images.voxels
        yield np.asarray(values.ravel()[:: max(1, values.size // _VALUES)], dtype=np.float32)
    progress(STAGE, len(training), len(training))


def _knows_spacing(case: Case) -> bool:
    picture = case.stack.headers[0].picture
    return case.stack.kind == "volume" or (picture is not None and picture.plane.spacing_ji_mm is not None)
