"""How the grey values of the images are shown: the first half of a presentation state (PS3.4 N.2.1).

In Hounsfield units by the window that a radiologist sets for what was found; of any other kind of image by
its own window or table, as its reader opens it without us; where it has none, by that of its pixels, if they
are at hand (`pixel_window`).

A presentation state knows one rescale for all its images (PS3.3 C.11.1). Where theirs differ (PET), it has
none, and each window is given in stored values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from pydicom import Dataset

from dicomnode.report.drawing.display_window import DisplayWindow, window_in_hounsfield
from dicomnode.report.heading.identity import Imprint
from dicomnode.report.outlines.placed import PlacedSlices
from dicomnode.report.outlines.source_greys import Rescale, SourceGreys, Window
from dicomnode.values import FindingKind, Findings, Region, Segment

if TYPE_CHECKING:
    from highdicom import ModalityLUTTransformation
    from highdicom.pr import SoftcopyVOILUTTransformation

_REFERENCES: Final = "ReferencedImageSequence"
_DIGITS: Final = 9  # of a number: with sign, point and exponent no more than the 16 characters of a DS


def modality_transformation(greys: SourceGreys) -> ModalityLUTTransformation | None:
    """Return the rescale of all images, None where they have none or differ."""
    from highdicom import ModalityLUTTransformation  # noqa: PLC0415  heavy

    common = _common(greys)
    if common is None:
        return None
    return ModalityLUTTransformation(
        rescale_intercept=_short(common.intercept),
        rescale_slope=_short(common.slope),
        rescale_type=common.type,
    )


def windows(
    imprint: Imprint, greys: SourceGreys, slices: PlacedSlices
) -> list[SoftcopyVOILUTTransformation] | None:
    """Return the windows of all images: one where they agree, else one for each sort of images."""
    from highdicom.pr import SoftcopyVOILUTTransformation  # noqa: PLC0415  heavy

    shown = window_by_words(imprint, greys)
    common = _common(greys)
    sorts: dict[Window, list[int]] = {}
    for k, (rescale, own) in enumerate(zip(greys.rescales, greys.windows, strict=True)):
        window = (own or greys.of_pixels) if shown is None else _of_display(shown)
        if window is not None and common is None and greys.modality_table is None:
            window = _in_stored_values(window, rescale)
        if window is not None:
            sorts.setdefault(window, []).append(k)
    items = []
    for window, on in sorts.items():
        item = SoftcopyVOILUTTransformation(
            window_center=_short(window.centre),
            window_width=_short(window.width),
            voi_lut_function=window.function,
        )
        if window.words:
            # The library's own argument takes a word letter by letter
            item.WindowCenterWidthExplanation = [window.words]
        if len(on) < len(greys.windows):
            setattr(item, _REFERENCES, _references(slices, on))
        items.append(item)
    return items or None


def add_tables(result: Dataset, greys: SourceGreys) -> None:
    """Put in the tables of a source that has them, where there is no rescale and no window."""
    if greys.modality_table is not None and "RescaleSlope" not in result:
        result.ModalityLUTSequence = [greys.modality_table]
    if greys.display_table is not None and "SoftcopyVOILUTSequence" not in result:
        item = Dataset()
        item.VOILUTSequence = [greys.display_table]
        result.SoftcopyVOILUTSequence = [item]


def target_of(findings: Findings) -> Segment | Region | None:
    """Return the finding that a picture is about: the surest lesion, else the surest region."""
    lesions = [one for one in findings.segments if one.kind is FindingKind.LESION]
    if lesions:
        return max(lesions, key=lambda one: (one.score or 0.0, one.mask.count))
    return max(findings.regions, key=lambda one: one.score or 0.0, default=None)


def window_by_words(imprint: Imprint, greys: SourceGreys) -> DisplayWindow | None:
    """Return the window for what was found, None of images that are not in Hounsfield units."""
    if imprint.heading.modality != "CT" or not all(one and one.type == "HU" for one in greys.rescales):
        return None
    return window_in_hounsfield(imprint.findings, target_of(imprint.findings))


def _common(greys: SourceGreys) -> Rescale | None:
    return greys.rescales[0] if len(set(greys.rescales)) == 1 else None


def _of_display(window: DisplayWindow) -> Window:
    return Window(centre=(window.low + window.high) / 2, width=window.high - window.low, words=window.name)


def _in_stored_values(window: Window, rescale: Rescale | None) -> Window | None:
    """Return a window of rescaled values in stored ones; None where no window of the kind says the same."""
    if rescale is None or rescale == Rescale():
        return window
    if rescale.slope <= 0:
        return None
    centre, width = window.centre, window.width
    if window.function == "LINEAR":  # from c - 0.5 - (w - 1) / 2 on, for w - 1: PS3.3 C.11.2.1.2.1
        return replace(
            window,
            centre=(centre - 0.5 - rescale.intercept) / rescale.slope + 0.5,
            width=(width - 1) / rescale.slope + 1,
        )
    return replace(window, centre=(centre - rescale.intercept) / rescale.slope, width=width / rescale.slope)


def _references(slices: PlacedSlices, on: Sequence[int]) -> list[Dataset]:
    """Name some slices, each instance once with all its frames."""
    items: dict[str, Dataset] = {}
    for k in on:
        item = slices.reference(k)
        first = items.setdefault(str(item.ReferencedSOPInstanceUID), item)
        if first is not item:
            numbers = first.ReferencedFrameNumber
            before = [numbers] if isinstance(numbers, int) else list(numbers)
            first.ReferencedFrameNumber = [*before, item.ReferencedFrameNumber]
    return list(items.values())


def _short(number: float) -> float:
    return float(f"{number:.{_DIGITS}g}")
