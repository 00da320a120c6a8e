"""What an engine found, in a few sentences: the first thing that a report and a picture say.

They follow what stands in the Findings, kind by kind. Nothing is said of what an engine never looks for: that
no lesion is marked is a statement of engines that look for lesions, and stands beside the organs they found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from dicomnode.faults import RANGE_NOT_SEEN, UNDECIDED
from dicomnode.report.sr.key_frames import key_frames
from dicomnode.report.words.changes import change_summary
from dicomnode.report.words.wording import (
    inside,
    joined,
    number_text,
    percent,
    place_text,
    score_text,
    sentence,
    size_text,
)
from dicomnode.values import (
    Classification,
    DerivedImage,
    FeatureVector,
    FindingKind,
    Findings,
    FrameScore,
    Measurement,
    Outcome,
    Remark,
    RemarkKind,
    ScalarMap,
    Segment,
)

_MOST_ORGANS: Final = 6  # named one by one; a table of the others stands in the report and in the legend
_MOST_CLASSES: Final = 3  # of those that a class was chosen from
_NO_STATEMENT: Final = "This is not a statement that nothing is there."

_NO_STATEMENT_BEYOND: Final = "There is no statement on that part."

ImageNumbers = Mapping[str, int]
"""Instance Number (0020,0013) by SOP Instance UID: what people call "image 12"."""


def conclusion(findings: Findings, numbers: ImageNumbers) -> list[str]:
    """Sentences on how the analysis ended and on each kind of finding; at least one.

    numbers: of the source images, empty where they are not known.
    """
    placed = "; ".join(_placed(findings))
    told = [sentence(placed)] if placed else []
    told += change_summary(findings)
    told += [_classification(one) for one in findings.classifications]
    told += [_measurement(one) for one in findings.measurements]
    told += list(_frame_scores(findings, numbers))
    told += [_map(one, findings) for one in findings.maps]
    told += [_image(one) for one in findings.images]
    told += [_features(one) for one in findings.features]
    return [*_ending(findings, told), *_not_seen(findings)]


def _ending(findings: Findings, told: list[str]) -> list[str]:
    """Put what people must not miss around what is told: that it broke, or was not looked at (in part)."""
    if findings.outcome is Outcome.FAILED:
        return [f"The analysis failed. {_NO_STATEMENT}", *told]
    if findings.outcome is Outcome.NOT_ANALYSED:
        first, *rest = told or ["The study was not analysed."]
        return [f"{first} {_NO_STATEMENT}", *rest]
    if told:
        return told
    return ["No lesion marked." if findings.outcome is Outcome.NO_FINDINGS else "The analysis was done."]


def _not_seen(findings: Findings) -> Iterator[str]:
    """What of the series was not looked at: what is not marked may be there."""
    for remark in findings.remarks:
        if remark.code == RANGE_NOT_SEEN.code:
            yield f"{remark.text} {_NO_STATEMENT_BEYOND}"


# ── What has a place in the patient ───────────────────────────────────────────────────────────────
def _placed(findings: Findings) -> Iterator[str]:
    """Parts of one sentence: what was segmented, what was marked, and what was not, though looked for."""
    organs = [one for one in findings.segments if one.kind is not FindingKind.LESION]
    if organs:
        yield _segmented(organs, findings)
    lesions = [one for one in findings.segments if one.kind is FindingKind.LESION]
    for meaning in dict.fromkeys(one.type.meaning for one in lesions):
        sizes = [size_text(one, findings) for one in lesions if one.type.meaning == meaning]
        yield f"{meaning.lower()}: {len(sizes)} marked ({', '.join(sizes)})"
    places = [one.type.meaning for one in findings.regions]
    for meaning in dict.fromkeys(places):
        yield f"{meaning.lower()}: {places.count(meaning)} marked without outline"
    # Several outputs of an engine may look for the same in one place
    yield from dict.fromkeys(_missing(findings, told=bool(lesions or places)))


def _segmented(organs: Sequence[Segment], findings: Findings) -> str:
    names = [f"{_name(one)} ({size_text(one, findings)})" for one in organs]
    more = len(names) - _MOST_ORGANS
    if more > 1:
        names = [*names[:_MOST_ORGANS], f"{more} more structures"]
    return f"{joined(names)} segmented"


def _missing(findings: Findings, *, told: bool) -> Iterator[str]:
    """What was looked for and is not marked, or should have been looked for and was not."""
    for remark in findings.remarks:
        if remark.type is None or remark.kind not in {RemarkKind.NO_FINDING, RemarkKind.NOT_ANALYSED}:
            continue
        told = True
        said = _said_of(remark, remark.type.meaning.lower())
        yield f"{said} ({remark.site.meaning.lower()})" if remark.site else said
    if not told and not findings.classifications and findings.segments:
        if findings.outcome is Outcome.NO_FINDINGS:
            yield "no lesion marked"
        elif findings.outcome is Outcome.NOT_ANALYSED:
            yield "lesions not looked for"


def _said_of(remark: Remark, meaning: str) -> str:
    if remark.kind is RemarkKind.NO_FINDING:
        return f"no {meaning} marked"
    return f"{meaning} not {'determined' if remark.code == UNDECIDED.code else 'looked for'}"


def _name(segment: Segment) -> str:
    """An organ with its side: "right lung"."""
    side = f"{segment.laterality.meaning} " if segment.laterality else ""
    return f"{side}{segment.type.meaning}".lower()


# ── What has none ─────────────────────────────────────────────────────────────────────────────────
def _classification(one: Classification) -> str:
    answer = "present" if one.present else "absent"
    score = score_text(one.probability, calibrated=one.calibrated)
    text = f"{one.type.meaning}: {answer}, {score}, threshold {percent(one.threshold)}"
    others = sorted(
        (other for other in one.probabilities if other.label != one.label),
        key=lambda other: -other.probability,
    )
    if len(others) > 1:
        named = [f"{other.label} {percent(other.probability)}" for other in others[:_MOST_CLASSES]]
        text += f"; of {len(one.probabilities)} classes the next are {', '.join(named)}"
    return sentence(text)


def _measurement(one: Measurement) -> str:
    derived = f" ({one.derivation.meaning.lower()})" if one.derivation else ""
    text = f"{one.concept.meaning}{derived}: {number_text(one.value, one.unit)}"
    if one.interval is not None and one.interval_percent is not None:
        low, high = (number_text(end, one.unit) for end in one.interval)
        text += f"; {one.interval_percent:g} % of such cases lie between {low} and {high}"
    return sentence(text)


def _frame_scores(findings: Findings, numbers: ImageNumbers) -> Iterator[str]:
    images = "slices" if findings.sources[0].plane is None else "frames"
    for of in key_frames(findings):
        best, count = of.best, len(of.reached)
        text = f"{best.type.meaning}: of {len(of.scores)} {images} the highest score is {percent(best.score)}"
        text += f", {_where(best, numbers)}"
        if of.threshold is not None:
            text += f"; {count} reach {percent(of.threshold)}"
        if count > len(of.shown):
            text += f", of which the report points to the {len(of.shown)} highest"
        yield sentence(text)


def _where(one: FrameScore, numbers: ImageNumbers) -> str:
    if one.frame.frame_number is not None:
        return f"on frame {one.frame.frame_number}"
    number = numbers.get(one.frame.sop_instance_uid)
    return f"on slice {one.k + 1} of the volume" if number is None else f"on image {number}"


def _map(one: ScalarMap, findings: Findings) -> str:
    highest = np.unravel_index(int(np.argmax(one.values)), one.values.shape)
    x, y, z = (float(value) for value in one.grid.to_lps_mm([float(n) for n in highest]))
    low, high = (number_text(float(end), one.unit) for end in (one.values.min(), one.values.max()))
    what = f"Map of {inside(one.type.meaning)} ({one.label})"
    return sentence(f"{what}: {low} to {high}, highest at {place_text((x, y, z), findings)}")


def _image(one: DerivedImage) -> str:
    shape = " × ".join(str(n) for n in reversed(one.grid.shape_kji))
    return sentence(f"Image made: {inside(one.description)}, {shape} voxels")


def _features(one: FeatureVector) -> str:
    return sentence(f"Features {one.label}: {len(one.names)} numbers")
