"""A sheet of what the network sees: patches as prepared, and as augmentation changes them, with labels."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.grids import Float32
from dicomnode.learn.train.augment import Augmenter
from dicomnode.learn.train.samples import Sample
from dicomnode.learn.train.sampling import Places, corner_of, cut
from dicomnode.learn.train.shapes import Shape

PREVIEW_STUDIES: Final = 6  # rows
_CHANGES: Final = 5  # of each
_SIDE: Final = 160  # pixels of a picture
_GAP: Final = 6
_COLOURS: Final = ((255, 160, 0), (80, 200, 255), (120, 230, 120), (240, 110, 200))
_WINDOW: Final = (-2.0, 2.5)  # of prepared values


def preview_png(
    samples: Sequence[Sample], shape: Shape, augment: Augmenter, pad_value: float, seed: int
) -> bytes:
    """Return a PNG: a row a study, the prepared patch first, then so many changes of it.

    The slice with the most labels is shown; outlines are those of the structures. No text of any study.
    """
    from PIL import Image  # noqa: PLC0415  for who asks for a picture

    rows = []
    for number, sample in enumerate(samples[:PREVIEW_STUDIES]):
        key = (seed, 0, number)
        places = Places.find(sample) if sample.is_map else None
        corner = corner_of(sample, places, shape.patch_kji, key)
        patch, target = cut(sample, corner, shape.patch_kji, pad_value)
        label = target if sample.is_map else None
        pictures = [_picture(patch, label)]
        changed = (augment(patch, label, (seed, change + 1, number)) for change in range(_CHANGES))
        pictures += [_picture(*one) for one in changed]
        rows.append(np.concatenate(pictures, axis=1))
    content = io.BytesIO()
    Image.fromarray(np.concatenate(rows, axis=0)).save(content, format="PNG")
    return content.getvalue()


def _picture(patch: Float32, label: NDArray[np.generic] | None) -> NDArray[np.uint8]:
    """Return one slice of a patch (c, k, j, i) as RGB, with the outlines of its labels, on a plain ground."""
    k = patch.shape[1] // 2
    if label is not None and (label == 1).any():
        k = int((label == 1).sum(axis=(0, 2, 3)).argmax())
    low, high = _WINDOW
    grey = np.clip((patch[:3, k] - low) / (high - low), 0.0, 1.0)
    planes = grey if len(grey) == 3 else np.repeat(grey[:1], 3, axis=0)
    rgb = np.moveaxis(np.rint(planes * 255.0).astype(np.uint8), 0, -1).copy()
    rgb, scale = _enlarged(rgb)
    if label is not None:
        for number, part in enumerate(label[:, k] == 1):
            large = np.repeat(np.repeat(part, scale, axis=0), scale, axis=1)
            rgb[_rim(large)] = _COLOURS[number % len(_COLOURS)]
    side_j, side_i = rgb.shape[:2]
    framed = np.full((side_j + _GAP, side_i + _GAP, 3), 40, dtype=np.uint8)
    framed[:side_j, :side_i] = rgb
    return framed


def _enlarged(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int]:
    scale = max(1, _SIDE // max(rgb.shape[:2]))
    return np.repeat(np.repeat(rgb, scale, axis=0), scale, axis=1), scale


def _rim(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    inner = np.zeros_like(mask)
    inner[1:-1, 1:-1] = mask[1:-1, 1:-1] & mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    return mask & ~inner
