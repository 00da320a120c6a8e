"""Augmentation by MONAI's transforms: turned, flipped, scaled, noisy; the labels go along.

Each patch is drawn from (seed, epoch, number) alone. What comes from beyond a patch is IGNORED in the labels.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.grids import Float32
from dicomnode.faults import TRAIN_MISSING, NodeError
from dicomnode.learn.train.recipe import Augmentation
from dicomnode.learn.train.samples import IGNORED
from dicomnode.learn.train.sampling import generator

_AUGMENT: Final = 3  # what a generator is drawn for
_IMAGE, _LABEL = "image", "label"
_SIDES: Final = frozenset({"left", "right", "l", "r", "od", "os", "side", "laterality"})
_AXES: Final = {"k": 0, "j": 1, "i": 2}


class Augmenter:
    """Changes a patch: inputs float32 (c, k, j, i), and a map uint8 (n, k, j, i) with it or None.

    flips: axes that may be flipped. pad_value: of inputs, where a patch is turned over what it does not show.
    """

    def __init__(self, how: Augmentation, flips: Sequence[str], *, flat: bool, pad_value: float) -> None:
        self._flat = flat
        self._pad_value = pad_value
        self._steps = _transforms(how, flips, flat=flat)

    def __call__(
        self, inputs: Float32, label: NDArray[np.uint8] | None, key: Sequence[int]
    ) -> tuple[Float32, NDArray[np.uint8] | None]:
        """Return the patch changed. key: seed, epoch and number of the patch."""
        seed = int(generator(key[0], _AUGMENT, *key[1:]).integers(2**31))
        given = {_IMAGE: self._to_monai(inputs - np.float32(self._pad_value))}
        # Zeros come in from beyond: of images they are the value of padding, of labels they mean IGNORED
        marked = np.zeros((1, *inputs.shape[1:]), np.uint8) if label is None else label
        shifted = np.where(marked == IGNORED, 0, marked + 1).astype(np.float32)
        given[_LABEL] = self._to_monai(shifted)
        steps = self._steps.set_random_state(seed=seed)
        done = steps(given)
        image = self._from_monai(done[_IMAGE]) + np.float32(self._pad_value)
        if label is None:
            return image, None
        back = np.rint(self._from_monai(done[_LABEL])).astype(np.int16)
        return image, np.where(back == 0, IGNORED, back - 1).astype(np.uint8)

    def _to_monai(self, values: NDArray[Any]) -> Any:
        import torch  # noqa: PLC0415  heavy

        tensor = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
        return tensor[:, 0] if self._flat else tensor

    def _from_monai(self, tensor: Any) -> Float32:
        values = np.asarray(tensor.numpy() if hasattr(tensor, "numpy") else tensor, dtype=np.float32)
        return values[:, np.newaxis] if self._flat else values


def speaks_of_side(texts: Sequence[str]) -> bool:
    """Tell whether labels speak of a side, so that a picture that is turned round would belie them."""
    words = re.findall("[a-z]+", " ".join(texts).lower())  # whole ones: bright says nothing of a side
    return not _SIDES.isdisjoint(words)


def flips_of(how: Augmentation, *, sided: bool) -> tuple[str, ...]:
    """Return the axes that are flipped: those given, else i, where no label has a side."""
    if how.flip is not None:
        return how.flip
    return () if sided else ("i",)


def _transforms(how: Augmentation, flips: Sequence[str], *, flat: bool) -> Any:
    try:
        import monai.transforms  # noqa: PLC0415  heavy: only who trains pays for it
    except ImportError as error:
        raise NodeError(TRAIN_MISSING, what="dicomnode train", package="monai", error=error) from error
    transforms: Any = monai.transforms
    both = [_IMAGE, _LABEL]
    often = how.probability
    angle = math.radians(how.rotate_degrees)
    dims = 2 if flat else 3
    steps: list[Any] = []
    if how.rotate_degrees or how.scale_percent:
        scale = how.scale_percent / 100.0
        steps.append(
            transforms.RandAffined(
                keys=both,
                prob=often,
                rotate_range=angle if flat else (angle,) * dims,
                scale_range=(scale,) * dims,
                mode=("bilinear", "nearest"),
                padding_mode="zeros",
            )
        )
    for axis in flips:
        number = _AXES[axis] - (1 if flat else 0)
        if number >= 0:
            steps.append(transforms.RandFlipd(keys=both, prob=often, spatial_axis=number))
    if how.noise_sd:
        steps.append(transforms.RandGaussianNoised(keys=[_IMAGE], prob=often, std=how.noise_sd))
    if how.brightness:
        steps.append(transforms.RandShiftIntensityd(keys=[_IMAGE], prob=often, offsets=how.brightness))
    if how.contrast:
        steps.append(transforms.RandScaleIntensityd(keys=[_IMAGE], prob=often, factors=how.contrast))
    return transforms.Compose(steps)
