"""What a network is fed with, on the device: its channels cut out, padded, and given window by window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dicomnode.analyse.crop import padded_shape, seen_by_network
from dicomnode.analyse.device_path.held import Held
from dicomnode.analyse.device_path.layout import DeviceLayout
from dicomnode.analyse.device_path.moves import Corner, mapped_along
from dicomnode.analyse.device_path.study import DeviceStudy
from dicomnode.analyse.grids import AxisMap, Box, Float32, cropped
from dicomnode.analyse.interpret import Index
from dicomnode.analyse.networks import crop_of, feeds_of, images_of, row_of
from dicomnode.analyse.preparations.on_device import taking
from dicomnode.analyse.steps import Chain
from dicomnode.analyse.tensors import Layout
from dicomnode.device import Buffer
from dicomnode.device.kernels import Kernels
from dicomnode.engine import Crop, Session, StepSpec, Window
from dicomnode.values import Grid


@dataclass(frozen=True, slots=True, eq=False)
class Tall:
    """The channels of one input: float32 (channels · k, j, i), one channel's planes after the other's."""

    voxels: Buffer
    channels: int

    @property
    def shape(self) -> Corner:
        """Of one channel."""
        rows, j, i = self.voxels.shape
        return rows // self.channels, j, i

    def windows(self, kernels: Kernels, corners: Sequence[Corner], size: Corner) -> Buffer:
        """Copy windows of `size` at `corners`: (n, channels, k, j, i)."""
        depth = self.shape[0]
        starts = [(channel * depth + k, j, i) for k, j, i in corners for channel in range(self.channels)]
        cut = kernels.gather(self.voxels, np.array(starts, np.int32), size)
        return kernels.reshaped(cut, (len(corners), self.channels, *size))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeviceMeal:
    """What a network is fed with over a box: see `analyse.networks.Meal`, of which it is the other form."""

    talls: Mapping[str, Tall]
    layouts: Mapping[str, DeviceLayout]
    rows: Mapping[str, Float32]
    grid: Grid
    inside: Index

    @property
    def layout(self) -> DeviceLayout | None:
        """The order that outputs on a grid have: that of the first input with channels."""
        return next(iter(self.layouts.values()), None)

    @property
    def nbytes(self) -> int:
        """Of its channels."""
        return sum(tall.voxels.nbytes for tall in self.talls.values())


def gather(
    chain: Chain, step: StepSpec, session: Session, box: Box, study: DeviceStudy, held: Held
) -> DeviceMeal | None:
    """Cut the channels out and take the rows; None where an earlier step had nothing to make one of."""
    feeds = feeds_of(step, session, chain.package.manifest.input[0].name)
    crop = step.crop or Crop(of="", pad=step.window.pad_value)
    talls: dict[str, Tall] = {}
    layouts: dict[str, DeviceLayout] = {}
    rows: dict[str, Float32] = {}
    for name, feed in feeds.items():
        some = [row for row in (row_of(chain, source) for source in feed.of) if row is not None]
        if some:
            if len(some) < len(feed.of):
                return None
            rows[name] = np.concatenate(some)
            continue
        sources = [name for source in feed.of for name in chain.channels(source) or [source]]
        by_source = [
            _patches(chain, source, (box, crop_of(chain, source, crop), step.window), study, held)
            for source in sources
        ]
        if not all(by_source):
            return None
        patches = [patch for of_source in by_source for patch in of_source]
        together = patches[0] if len(patches) == 1 else held.keep(study.kernels.join(patches))
        talls[name] = Tall(together, len(patches))
        layouts[name] = DeviceLayout(Layout(feed.axes))
    k, j, i = (part.stop - part.start for part in box)
    sizes = padded_shape(box, crop, step.window)
    k0, j0, i0 = (slice(part.start, part.start + size) for part, size in zip(box, sizes, strict=True))
    grid = cropped(chain.grid, (k0, j0, i0))
    return DeviceMeal(talls=talls, layouts=layouts, rows=rows, grid=grid, inside=(k, j, i))


def _patches(
    chain: Chain, source: str, where: tuple[Box, Crop, Window], study: DeviceStudy, held: Held
) -> list[Buffer]:
    """Return the channels that a source gives, (k, j, i) each; what lies on the host goes up."""
    box, crop, window = where
    if source not in study.images:
        cut = [seen_by_network(image, box, crop, window) for image in images_of(chain, source)]
        if cut:
            study.done_here(f"{source} as a channel", "an earlier step found it on the host")
        return [held.keep(study.kernels.upload(np.asarray(patch.voxels, np.float32))) for patch in cut]
    kernels, voxels = study.kernels, study.images[source].voxels
    sizes = padded_shape(box, crop, window)
    inner = tuple(part.stop - part.start for part in box)
    part = voxels
    if inner != voxels.shape:
        k, j, i = ((one.start, one.stop) for one in box)
        part = held.keep(kernels.crop(voxels, (k, j, i)))
    if sizes == inner:
        return [part]
    padded = held.keep(kernels.gather(part, np.zeros((1, 3), np.int32), sizes, outside=crop.pad))
    if part is not voxels:
        part.close()
    return [kernels.reshaped(padded, sizes)]


def padded(
    kernels: Kernels, held: Held, talls: Mapping[str, Tall], size: Corner, window: Window
) -> tuple[Mapping[str, Tall], Corner]:
    """Pad each input to the size of a window, the greater half at the end; say how much lies before it.

    As `analyse.window` does by the rules of other frameworks.
    """
    shape = next(iter(talls.values())).shape
    missing = [max(one - length, 0) for one, length in zip(size, shape, strict=True)]
    low = (missing[0] // 2, missing[1] // 2, missing[2] // 2)
    if not any(missing):
        return talls, low
    margins = [(before, more - before) for before, more in zip(low, missing, strict=True)]
    return {name: _wider(kernels, held, tall, margins, window) for name, tall in talls.items()}, low


def _wider(
    kernels: Kernels, held: Held, tall: Tall, margins: Sequence[tuple[int, int]], window: Window
) -> Tall:
    wide = tuple(sum(margin) + length for margin, length in zip(margins, tall.shape, strict=True))
    size = (wide[0], wide[1], wide[2])
    if window.pad == "constant":
        parts = []
        for channel in range(tall.channels):
            one = kernels.reshaped(tall.voxels, (tall.channels, *tall.shape))
            start = np.array([[-before for before, _ in margins]], np.int32)
            patch = kernels.gather(kernels.part(one, channel), start, size, outside=window.pad_value)
            parts.append(held.keep(kernels.reshaped(patch, size)))
        return Tall(parts[0] if len(parts) == 1 else held.keep(kernels.join(parts)), tall.channels)
    here = kernels.reshaped(tall.voxels, (tall.channels, *tall.shape))
    for axis, (length, margin) in enumerate(zip(tall.shape, margins, strict=True)):
        taken: AxisMap = taking(np.pad(np.arange(length), margin, mode=window.pad), length)
        if not taken.is_identity:
            here = held.keep(mapped_along(kernels, here, axis, taken))
    return Tall(kernels.reshaped(here, (tall.channels * size[0], size[1], size[2])), tall.channels)
