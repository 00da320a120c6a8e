"""Augmentation of inputs that are more than one image: frames alike, numbers not at all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.grids import Float32
from dicomnode.learn.train.augment import Augmenter
from dicomnode.learn.train.cines import is_cine
from dicomnode.learn.train.plan import Plan
from dicomnode.learn.train.recipe import Augmentation


def augmenter_of(how: Augmentation, flips: Sequence[str], plan: Plan) -> Augmenter:
    """Return what changes inputs as this plan prepares them."""
    if is_cine(plan) or plan.numbers:
        return PartAugmenter(how, flips, plan)
    return Augmenter(how, flips, flat=plan.shape.is_flat, pad_value=plan.pad_value)


class PartAugmenter(Augmenter):
    """Changes the images alone, and of a cine all frames in the same way within their plane.

    A turn across time would show later what was first; a number that is made brighter is another number.
    """

    def __init__(self, how: Augmentation, flips: Sequence[str], plan: Plan) -> None:
        self._channels, self._in_time = plan.channels, is_cine(plan)
        flat = self._in_time or plan.shape.is_flat
        super().__init__(how, flips, flat=flat, pad_value=plan.pad_value)

    def __call__(
        self, inputs: Float32, label: NDArray[np.uint8] | None, key: Sequence[int]
    ) -> tuple[Float32, NDArray[np.uint8] | None]:
        """Return the inputs changed; there is no map in such a task."""
        images, numbers = inputs[: self._channels], inputs[self._channels :]
        shape = images.shape
        if self._in_time:
            images = images.reshape(-1, 1, *shape[2:])  # frames become channels of one picture
        changed, _ = super().__call__(images, None, key)
        return np.concatenate([changed.reshape(shape), numbers]), label
