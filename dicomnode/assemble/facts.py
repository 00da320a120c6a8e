"""What matching sees of a stack: header facts, before any pixel is decoded."""

from __future__ import annotations

import re
from typing import Final

import numpy as np
from pydicom.uid import HTJ2K, JPEG2000, UID, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless

from dicomnode.assemble.contrast import contrast_of
from dicomnode.assemble.picture_classes import CAPTURES
from dicomnode.assemble.picture_kinds import picture_kind
from dicomnode.assemble.placing import axes
from dicomnode.assemble.record import Header
from dicomnode.assemble.stacks import StackPlan
from dicomnode.assemble.units import scaling_of
from dicomnode.values import FACT_TAGS, Fact, SeriesFacts

PLANE_TOLERANCE_DEGREES: Final = 20.0
"""A stack whose normal is nearer than this to a body axis has that plane's name: a head tilted to the
orbits is still axial."""

# Words of a header → body parts, by what makers, sites and PS3.16 Annex L (Body Part Examined) write.
# Each is looked for at the beginning of a word; a short one is a whole word: a hippocampus is no hip.
_BODY_WORDS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    (r"chest|thora|torax|t[oó]rax|lung|pulm|poumon", ("chest", "lung")),
    (r"whole ?body|wholebody|wbs|ganzk|corps entier", ("abdomen", "chest", "head", "lung", "neck", "pelvis")),
    (r"trunk|torso|cap\b|tap\b|neckchest|chestabd", ("abdomen", "chest", "lung")),
    (r"(?:skull|eyes?|orbits?|vertex).*(?:thigh|toe)", ("abdomen", "chest", "lung", "neck", "pelvis")),
    (r"abd\b|abdo|liver|leber|foie|hepat|pancrea|kidney|renal|spleen|urogr|bowel|colon", ("abdomen",)),
    (r"pelv|becken|bassin|prostat|bladder|uter|rectum", ("pelvis",)),
    (
        r"head|brain|skull|crani|cereb|neuro|kopf|sch[aä]del|t[eê]te|orbit|sinus|facial|iac\b",
        ("brain", "head"),
    ),
    (r"neck|hals|cou\b|larynx|thyroid|carot", ("neck",)),
    (r"heart|cardi|coronar|herz|coeur", ("chest", "heart")),
    (r"spine|[ctl]spine|[cl]s\b|lumb|vertebr|sacr", ("spine",)),
    (r"breast|mamm", ("breast", "chest")),
    (r"knees?\b|foot\b|feet\b|ankle|legs?\b|hips?\b|thigh|femur|tibia|lower ?ext|lext", ("leg",)),
    # not "arm": descriptions say "arms up"
    (r"hands?\b|handgelenk|wrist|elbow|shoulder|humer|finger|upper ?ext|uext", ("arm",)),
)
_PATTERNS: Final = tuple((re.compile(rf"\b(?:{stem})"), parts) for stem, parts in _BODY_WORDS)
_WORDS_FROM: Final = ("BodyPartExamined", "SeriesDescription", "StudyDescription", "ProtocolName")

# Transfer syntaxes that may only be lossy; of JPEG 2000 and HTJ2K the header does not tell, so they count.
_LOSSY: Final = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000, HTJ2K})


def facts_of(plan: StackPlan, number: int) -> SeriesFacts:
    """Return the facts of a stack; `number` is its index within the series.

    `extent_k_mm` is what the slices cover, from the outer face of the first to that of the last: number
    of slices × spacing. Of a refused stack only what needs no volume is given.
    """
    first = plan.headers[0]
    kind = picture_kind(first)
    facts: dict[str, Fact] = {
        "kind": kind or "volume",
        "instances": len(plan.headers),
        "lossy": any(_is_lossy(header) for header in plan.headers),
        "covers": covers(first),
    }
    if (contrast := contrast_of(first)) is not None:
        facts["contrast"] = contrast
    if first.rows is not None and first.columns is not None:
        facts |= {"rows": first.rows, "columns": first.columns}
    facts |= _of_volume(plan) if kind is None else _of_picture(first)
    return SeriesFacts(
        study_instance_uid=first.study_instance_uid,
        series_instance_uid=first.series_instance_uid,
        stack=number,
        frame_of_reference_uid=first.frame_of_reference_uid,
        tags={keyword: first.tags[keyword] for keyword in FACT_TAGS if keyword in first.tags},
        facts=facts,
        refusal=plan.refusal,
    )


def _of_volume(plan: StackPlan) -> dict[str, Fact]:
    """Return the facts that volumes have and pictures have not, and the spacing of pixels."""
    first = plan.headers[0]
    facts: dict[str, Fact] = {}
    if plan.refusal is None:
        facts["unit"] = scaling_of(plan.headers, of_several=plan.phase is not None).word
    if first.spacing_ji_mm is not None:
        facts |= {"spacing_j_mm": first.spacing_ji_mm[0], "spacing_i_mm": first.spacing_ji_mm[1]}
    directions = axes(first)
    if directions is not None:
        facts["plane"] = _plane(directions[2])
    if plan.placement is not None:
        grid = plan.placement.grid
        spacing = grid.slice_distance_mm
        facts |= {"spacing_k_mm": spacing, "extent_k_mm": spacing * len(plan.headers)}
        if grid.is_sheared:
            facts["tilt_degrees"] = grid.tilt_degrees
    if plan.phase is not None:
        facts["phase"] = plan.phase.text
    if plan.block is not None:
        facts["block"] = f"{plan.block[0]} of {plan.block[1]}"
    return facts


def _of_picture(header: Header) -> dict[str, Fact]:
    """Return the facts that pictures have and volumes have not."""
    facts: dict[str, Fact] = {
        "frames": header.frames,
        "colour": header.is_colour,
        "capture": header.sop_class_uid in CAPTURES,
    }
    if header.picture is None:
        return facts
    plane = header.picture.plane
    if plane.spacing_ji_mm is not None:
        facts |= {"spacing_j_mm": plane.spacing_ji_mm[0], "spacing_i_mm": plane.spacing_ji_mm[1]}
    if plane.frame_times_ms and plane.frame_times_ms[-1] > 0:
        facts["frames_per_s"] = 1000.0 * (len(plane.frame_times_ms) - 1) / plane.frame_times_ms[-1]
    told = {
        "view": plane.view,
        "laterality": plane.laterality,
        "intent": header.picture.intent.lower() or None,
    }
    return facts | {name: value for name, value in told.items() if value is not None}


def covers(header: Header) -> tuple[str, ...] | None:
    """Return the body parts that the words of a header name, sorted; None if they name none.

    None means "not known", not "nothing": Body Part Examined is empty or local in many series, and
    pixels have not been looked at. A word that is not understood says nothing either.
    """
    found: set[str] = set()
    for keyword in _WORDS_FROM:
        text = re.sub(r"[\W_]+", " ", str(header.tags.get(keyword) or "")).lower()
        for pattern, parts in _PATTERNS:
            if pattern.search(text):
                found.update(parts)
    return tuple(sorted(found)) or None


def _plane(normal: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> str:
    axis = int(np.abs(normal).argmax())
    if abs(normal[axis]) < np.cos(np.radians(PLANE_TOLERANCE_DEGREES)):
        return "oblique"
    return ("sagittal", "coronal", "axial")[axis]


def _is_lossy(header: Header) -> bool:
    """Tell whether pixels were ever compressed with loss (PS3.3 C.7.6.1.1.5), or are so now."""
    return (
        str(header.tags.get("LossyImageCompression") or "") == "01"
        or UID(header.transfer_syntax_uid) in _LOSSY
    )
