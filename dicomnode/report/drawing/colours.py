"""The colours that segments are shown in, in pictures and in the Segmentation: told apart by eye."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from dicomnode.values import FindingKind, Segment
from dicomnode.values.colours import Rgb, next_colour

_NUMBERED: Final = re.compile(r"-\d+$")


def coloured(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """The same segments, each in the colour that it is shown in.

    The engine's own colour stays where it differs from those before it; else the first of a fixed set that
    does is taken. Lesions that are numbered ("nodule-1", "nodule-2") are of one sort and share its colour.
    Of more sorts than colours can tell apart, the later ones begin the set again: neighbours still differ.
    """
    of_sort: dict[str, Rgb] = {}
    for segment in segments:
        sort = _sort(segment)
        if sort not in of_sort:
            of_sort[sort] = next_colour(list(of_sort.values()), segment.colour_rgb)
    return tuple(replace(one, colour_rgb=of_sort[_sort(one)]) for one in segments)


def _sort(segment: Segment) -> str:
    return _NUMBERED.sub("", segment.label) if segment.kind is FindingKind.LESION else segment.label
