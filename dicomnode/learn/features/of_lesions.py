"""Features of lesions that people, or other programs, have outlined: a row a segment of a SEG or RTSTRUCT."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from dicomnode.analyse.algorithms.radiomics import RADIOMICS
from dicomnode.analyse.radiomics import (
    BIN_WIDTH,
    NAMES,
    VERSION,
    TooLittleError,
    around_lesion,
    at_spacing,
    row_of_region,
    units_of,
)
from dicomnode.analyse.resample import Prepared
from dicomnode.assemble import Stack, load_volume
from dicomnode.evaluate.data import LabelledStudy
from dicomnode.faults import SHAPES_NEED_IMAGING, NodeError
from dicomnode.learn.features.gathered import Gathered, MadeOf, MadeRow, RowLeftOut, gathered
from dicomnode.learn.features.table import RowKey
from dicomnode.values import (
    AnnotatedSegment,
    Annotation,
    Float64,
    Progress,
    Volume,
    no_progress,
)

_STAGE = "features"


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionPlan:
    """Which segments, and how they are measured.

    of: words or code values that a segment's type or label is one of, () for all segments. spacing_mm: both
    are resampled to voxels of equal sides, so that texture means the same in thin and thick slices; None: as
    they are. bin_width: of grey levels, in the unit of the images. names: features that are wanted.
    """

    of: tuple[str, ...] = ()
    spacing_mm: float | None = 1.0
    bin_width: float = BIN_WIDTH
    names: tuple[str, ...] = NAMES

    def wants(self, segment: AnnotatedSegment) -> bool:
        """Whether a segment is meant."""
        known = {segment.label.casefold()}
        if segment.type is not None:
            known |= {segment.type.meaning.casefold(), segment.type.value.casefold()}
        return not self.of or any(word.casefold() in known for word in self.of)


def rows_of_lesions(
    studies: Sequence[LabelledStudy], plan: LesionPlan, progress: Progress = no_progress
) -> Gathered:
    """Measure the segments of all studies; the labels of a row are those of its study and of its report.

    Lesions are named by their tracking UID, else by object and number: a label is what a person typed. Raises
    NodeError(SHAPES_NEED_IMAGING).
    """
    if RADIOMICS.needs(plan.names) is not None and find_spec("skimage") is None:
        raise NodeError(SHAPES_NEED_IMAGING)
    rows: list[MadeRow] = []
    left_out: list[RowLeftOut] = []
    units: tuple[str, ...] | None = None
    for number, study in enumerate(studies):
        progress(_STAGE, number, len(studies))
        for one, unit in _of_study(study, plan):
            if isinstance(one, RowLeftOut):
                left_out.append(one)
                continue
            found = units_of(plan.names, unit)
            if units is not None and found != units:
                reason = f"its images are in {unit}, those before in another unit"
                left_out.append(_left(one.key, reason))
                continue
            units = found
            rows.append(one)
    progress(_STAGE, len(studies), len(studies))
    source = f"radiomics {VERSION} of outlined segments, bin_width {plan.bin_width:g}, " + (
        "voxels as they are" if plan.spacing_mm is None else f"voxels of {plan.spacing_mm:g} mm"
    )
    made_of = MadeOf(names=plan.names, units=units or units_of(plan.names, "1"), source=source)
    return gathered(rows, left_out, made_of)


def _of_study(study: LabelledStudy, plan: LesionPlan) -> Iterator[tuple[MadeRow | RowLeftOut, str]]:
    """Give each segment of a study as a row or a reason, and the unit of its images."""
    volumes: dict[tuple[str, int], Volume | str] = {}
    for annotation in study.annotations:
        for segment in annotation.segments:
            if segment.mask.is_empty or not plan.wants(segment):
                continue  # an empty segment says that there is nothing: no lesion is left out
            key = _key(study, annotation, segment)
            volume = _volume(study, annotation, volumes)
            if isinstance(volume, str):
                yield _left(key, volume), ""
                continue
            try:
                values = _measured(volume, annotation, segment, plan)
            except TooLittleError as error:
                yield _left(key, f"it has no features: {error}"), ""
                continue
            labels = dict(study.row) | _told(study.annotations, annotation, segment)
            yield MadeRow(key=key, values=values, labels=labels), _unit(study, volume)


def _unit(study: LabelledStudy, volume: Volume) -> str:
    """The unit of the images in the words of matching ("HU"), as in tables of engines."""
    uid = volume.series_instance_uid
    found = [one.facts.facts.get("unit") for one in study.stacks if one.facts.series_instance_uid == uid]
    return str(found[0]) if found and found[0] else volume.unit.value


def _key(study: LabelledStudy, annotation: Annotation, segment: AnnotatedSegment) -> RowKey:
    return RowKey(
        patient=study.patient,
        study_instance_uid=study.study.study_instance_uid,
        lesion=segment.tracking_uid or f"{annotation.sop_instance_uid}:{segment.number}",
    )


def _left(key: RowKey, reason: str) -> RowLeftOut:
    return RowLeftOut(study_instance_uid=key.study_instance_uid, lesion=key.lesion, reason=reason)


def _volume(
    study: LabelledStudy, annotation: Annotation, volumes: dict[tuple[str, int], Volume | str]
) -> Volume | str:
    """Return the images that an object speaks of, or why there are none; each stack is decoded once."""
    if annotation.grid is None:
        return "its object lies on no images"
    reasons = "the images that it lies on are not there"
    for stack in _stacks_of(study.stacks, annotation):
        key = (stack.facts.series_instance_uid, stack.facts.stack)
        if key not in volumes:
            volumes[key] = _loaded(stack)
        found = volumes[key]
        if isinstance(found, str):
            reasons = found
        elif found.frame_of_reference_uid == annotation.grid.frame_of_reference_uid:
            return found
    return reasons


def _stacks_of(stacks: Iterable[Stack], annotation: Annotation) -> list[Stack]:
    """Stacks of the series that an object names; those with the most images that it names come first."""
    named = set(annotation.references)

    def shared(stack: Stack) -> int:
        return len(named & {header.sop_instance_uid for header in stack.headers})

    of_series = [one for one in stacks if one.facts.series_instance_uid == annotation.of_series]
    return sorted(of_series, key=lambda stack: -shared(stack))


def _loaded(stack: Stack) -> Volume | str:
    if stack.kind != "volume":
        return "its images are no volume"
    try:
        return load_volume(stack)
    except NodeError as error:
        return f"{error.fault.code}: its images cannot be read"


def _measured(volume: Volume, annotation: Annotation, segment: AnnotatedSegment, plan: LesionPlan) -> Float64:
    """Measure a segment on voxels of equal sides. Raises TooLittleError."""
    if annotation.grid is None:
        raise TooLittleError("its object lies on no images")
    images = Prepared(volume.voxels, volume.grid)
    image, inside = around_lesion(images, segment.mask, annotation.grid)
    if plan.spacing_mm is not None:
        image, inside = at_spacing(image, inside, plan.spacing_mm)
    return row_of_region(image, inside, plan.bin_width, plan.names)


def _told(annotations: Iterable[Annotation], of: Annotation, segment: AnnotatedSegment) -> dict[str, str]:
    """What reports answer about a segment, by the meaning of the question: coded words, nothing typed."""
    named = (of.sop_instance_uid, segment.number)
    told = {"finding": segment.type.meaning} if segment.type is not None else {}
    for annotation in annotations:
        for region in annotation.regions:
            same = region.tracking_uid is not None and region.tracking_uid == segment.tracking_uid
            if same or region.segment == named:
                told |= {concept.meaning: value.meaning for concept, value in region.answers}
    return told
