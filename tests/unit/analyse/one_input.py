"""Windows over one box, for a network with one input."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.window import infer_windows
from dicomnode.engine import Window
from dicomnode.values import Progress, no_progress

Float32 = NDArray[np.float32]


def infer_one(
    infer: Callable[[Float32], Mapping[str, NDArray[np.generic]]],
    box: Float32,
    window: Window,
    multiple: int = 1,
    progress: Progress = no_progress,
) -> dict[str, Float32]:
    """Run `infer` over `box`, (k, j, i) or (c, k, j, i)."""
    boxes = {"": box if box.ndim == 4 else box[np.newaxis]}
    return infer_windows(lambda tensors: infer(tensors[""]), boxes, window, multiple, progress)
