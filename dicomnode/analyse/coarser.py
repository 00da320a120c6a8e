"""The images of a chain in another spacing: for a network that sees a whole chest in few voxels."""

from __future__ import annotations

from dataclasses import replace

from dicomnode.analyse.resample import resample
from dicomnode.analyse.steps import Chain
from dicomnode.engine import StepSpec


def in_spacing_of(chain: Chain, step: StepSpec) -> Chain:
    """Return the chain as a step with `resample_mm` sees it: inputs are resampled from as they were prepared.

    What earlier steps found is shared, and so is what this step will have found.
    """
    if step.resample_mm is None:
        return chain
    spacing = step.resample_mm
    images = {name: resample(image, spacing, chain.progress) for name, image in chain.images.items()}
    return replace(chain, images=images, grid=next(iter(images.values())).grid)
