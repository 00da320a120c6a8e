"""Key objects: the images that show what was found, the largest extent of each finding first of all.

A Key Object Selection "Of Interest" (PS3.3 A.35.4, TID 2010), by which a viewer opens on the finding. Behind
the images it names the other objects of the same analysis.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from pydicom import Dataset

from dicomnode.report.concepts import OF_INTEREST
from dicomnode.report.heading.identity import FOR_A_LOOK, Imprint, mark_of
from dicomnode.report.selections.document import Selection, build_selection
from dicomnode.report.sr.key_frames import KeyFrames, key_frames
from dicomnode.report.uids import ResultUids
from dicomnode.report.volume_regions import on_slice
from dicomnode.report.words.sentences import largest_slice, of_region, of_segment
from dicomnode.report.words.wording import percent
from dicomnode.values import FindingKind, Region, Source

MOST_FINDINGS: Final = 30
"""More key images are none."""


@dataclass(frozen=True, slots=True)
class _Key:
    """A finding, the slice that shows it best, and how sure and how large it is; more comes first."""

    sentence: str
    k: int
    score: float
    voxels: int


def build_key_objects(
    imprint: Imprint, uids: ResultUids, series_number: int, made: Sequence[Dataset]
) -> tuple[Dataset, ...]:
    """Write the selection; () where nothing was found that has a place. made: other objects of the Findings.

    `made` carry their identity already. At most `MOST_FINDINGS` findings have an image; the description says
    how many have not.
    """
    keys = sorted(_keys(imprint), key=lambda one: (one.score, one.voxels), reverse=True)
    if not keys:
        return ()
    shown = keys[:MOST_FINDINGS]
    images, frames = _images(imprint, shown)
    selection = Selection(
        title=OF_INTEREST,
        objects=(*images, *made),
        series_number=series_number,
        series_instance_uid=uids.series,
        sop_instance_uid=uids.instance,
        description=_description(imprint, shown, len(keys) - len(shown), made),
        frames=frames,
    )
    return (build_selection(selection, imprint.salt),)


def _keys(imprint: Imprint) -> Iterator[_Key]:
    findings, heading = imprint.findings, imprint.heading
    if findings.sources[0].grid is None:
        return
    for segment in findings.segments:
        if segment.kind is FindingKind.LESION:
            sentence = of_segment(segment, findings, heading)
            yield _Key(sentence, largest_slice(segment), _sure(segment.score), segment.mask.count)
    for region in findings.regions:
        if (k := _slice_of(region, findings.sources[0])) is not None:
            yield _Key(of_region(region, findings, heading), k, _sure(region.score), 0)
    present = {one.label for one in findings.classifications if one.present}
    for of in key_frames(findings):
        if of.best.label in present:
            yield _Key(_of_scores(of), of.best.k, of.best.score, 0)


def _slice_of(region: Region, source: Source) -> int | None:
    """The slice or frame that shows a region best; None of what lies beyond the images."""
    assert source.grid is not None
    if source.plane is None:
        found = on_slice(region, source.grid)
        return None if found is None else found.k
    frame = round(float(np.mean([point[2] for point in region.points_lps_mm])))  # z counts frames
    return min(max(frame, 0), len(source.frames) - 1)


def _sure(score: float | None) -> float:
    return -1.0 if score is None else score


def _of_scores(of: KeyFrames) -> str:
    best = of.best
    return f"{best.type.meaning}: the highest score of {len(of.scores)} slices, {percent(best.score)}."


def _images(imprint: Imprint, keys: Sequence[_Key]) -> tuple[list[Dataset], dict[str, list[int]]]:
    """The images of some findings, each once, and the frames of those that have several."""
    frames = imprint.findings.sources[0].frames
    stubs = {str(stub.SOPInstanceUID): stub for stub in imprint.heading.stubs[0]}
    images: dict[str, Dataset] = {}
    numbers: dict[str, list[int]] = {}
    for key in keys:
        frame = frames[key.k]
        images[frame.sop_instance_uid] = stubs[frame.sop_instance_uid]
        if frame.frame_number is not None:
            own = numbers.setdefault(frame.sop_instance_uid, [])
            if frame.frame_number not in own:
                own.append(frame.frame_number)
    return list(images.values()), numbers


def _description(imprint: Imprint, keys: Sequence[_Key], more: int, made: Sequence[Dataset]) -> str:
    """Key Object Description (113012): what each image shows, and what else is named."""
    told = [FOR_A_LOOK] if imprint.for_a_look else []
    told += [key.sentence for key in keys]
    if more:
        told.append(f"{more} more findings have no key image here.")
    named = [str(one.get("SeriesDescription") or one.Modality) for one in made]
    if named:
        told.append(f"With them: {', '.join(dict.fromkeys(named))}.")
    return "\n".join((*told, mark_of(imprint.findings)))
