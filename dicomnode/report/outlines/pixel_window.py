"""A window of the pixels, for grey images that bring none and whose values have no scale of their own.

A presentation state without a window shows all that the stored bits can hold (PS3.4 N.2.2): an MR whose
values end at 900 of 65,535 is one flat grey. So their window is that of our pages, in the values that the
presentation state shows: those after the rescale of the image.

The pixels at hand are values in a unit. Where the unit is not what the rescale gives (PET that became SUV by
weight and dose, a Real World Value Mapping), or where no pixels are at hand any more, nothing is known of the
values that are shown: then the presentation state says nothing, and the viewer decides.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from dicomnode.report.drawing.display_window import DisplayWindow, window_between, window_for
from dicomnode.report.fields.derived_images import PET_UNITS
from dicomnode.report.heading.identity import Imprint
from dicomnode.report.outlines.grey_scale import target_of, window_by_words
from dicomnode.report.outlines.source_greys import SourceGreys, Window
from dicomnode.report.pages.pixels import SourcePixels
from dicomnode.values import Findings, Picture, Volume
from dicomnode.values.codes import HOUNSFIELD, NO_UNIT

_DISPLAYED: Final = (0.0, 1.0)
"""From where to where the values of a picture reach that are as its own window shows them."""


def lacks_window(imprint: Imprint, greys: SourceGreys) -> bool:
    """Tell whether some image of the first source would be shown without any window."""
    by_words = window_by_words(imprint, greys)
    return by_words is None and greys.display_table is None and None in greys.windows


def with_window_of(greys: SourceGreys, pixels: SourcePixels, findings: Findings) -> SourceGreys:
    """Give the images that have no window that of their pixels, where one can be known.

    Raises ValueError for pixels of something else.
    """
    pixels.check(findings)
    first = pixels.volumes[0]
    shown = _of_picture(first, greys) if isinstance(first, Picture) else _of_volume(first, greys, findings)
    if shown is None or not shown.low < shown.high:
        return greys
    return replace(greys, of_pixels=Window.between(shown))


def _of_volume(volume: Volume, greys: SourceGreys, findings: Findings) -> DisplayWindow | None:
    """Return the window of voxels, where they are values after rescale."""
    as_it_is = volume.unit == NO_UNIT or (volume.unit == HOUNSFIELD and None not in greys.rescales)
    by_its_units = not greys.is_mapped and PET_UNITS.get(volume.unit) == greys.units
    if greys.modality_table is not None or not (as_it_is or by_its_units):
        return None
    return window_for(volume, findings, target_of(findings))


def _of_picture(picture: Picture, greys: SourceGreys) -> DisplayWindow | None:
    """Return the window of pixels: back from what a display shows, where that is what they are."""
    low, high = greys.reach
    if picture.is_colour or not low < high:
        return None
    shown = window_between(picture.frames[..., 0])
    ends = np.array([shown.low, shown.high])
    is_displayed = picture.frames.dtype == np.float32 and _within(picture, _DISPLAYED)
    if is_displayed:
        ends = low + ends * (high - low)
    if greys.dark_is_more:  # pictures are turned over, so that brighter is more
        ends = (low + high) - ends[::-1]
    return replace(shown, low=float(ends[0]), high=float(ends[1]))


def _within(picture: Picture, ends: tuple[float, float]) -> bool:
    return bool(ends[0] <= picture.frames.min() and picture.frames.max() <= ends[1])
