"""One study on a device: its volumes go up once, and what the host needs of them comes down once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

import numpy as np
import structlog

from dicomnode.analyse.device_path.held import Held
from dicomnode.analyse.device_path.ladder import Ladder
from dicomnode.analyse.preparations import PREPARATIONS
from dicomnode.analyse.preparations.on_device import DeviceImage, prepare_on_device, split
from dicomnode.analyse.resample import STAGE, Prepared
from dicomnode.analyse.stages import Watch
from dicomnode.device.kernels import Kernels
from dicomnode.engine import Preparation
from dicomnode.values import Grid, Progress, Volume

V = TypeVar("V")

_TAKEN: Final = ("int16", "uint16", "float32")


class Lazily(Mapping[str, V]):
    """What is made when somebody asks for it, once; its names are known before."""

    def __init__(self, names: Sequence[str], make: Callable[[str], V]) -> None:
        self._names, self._make = tuple(names), make
        self._made: dict[str, V] = {}

    def __getitem__(self, name: str) -> V:
        if name not in self._names:
            raise KeyError(name)
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names  # without making it

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class DeviceStudy(Held):
    """The prepared volumes of one analysis on a device (see `analyse.ready.Images`), and what was done where.

    Everything on the device ends with its `with`. images: by name of the [[input]], float32 (k, j, i). Nobody
    watches: who wants to see the stages has them prepared on the host.
    """

    watch: Watch | None = None

    def __init__(self, kernels: Kernels, ladder: Ladder) -> None:
        super().__init__()
        self.kernels = kernels
        self.ladder = ladder
        self.images: dict[str, DeviceImage] = {}
        self._there: list[str] = []
        self._here: list[str] = []
        self._log = structlog.get_logger("dicomnode.analyse")

    def prepare(self, name: str, volume: Volume, entries: Sequence[Preparation], progress: Progress) -> Grid:
        """Bring a volume up and prepare it there; what no device does, and all before it, is done here first.

        Raises NodeError: PREPARATION_FAILED, and what the device raises.
        """
        here, there = split(entries)
        image = Prepared(volume.voxels, volume.grid)
        for entry in here:
            image = PREPARATIONS[entry.name].run(image, entry.declared, progress)
        last = here[-1].name if here else ""
        if here:
            self.done_here(f"prepare up to {last}", "no device does that")
        if there:
            self.done_there(f"prepare from {there[0].name}" if here else "prepare")
        progress(STAGE, 0, 1)
        self._bring(name, image, there)
        progress(STAGE, 1, 1)
        return self.images[name].grid

    def bring(self, name: str, image: Prepared, why: str) -> None:
        """Bring up what was prepared here."""
        self.done_here(f"prepare {name}", why)
        self._bring(name, image, ())

    def _bring(self, name: str, image: Prepared, entries: Sequence[Preparation]) -> None:
        voxels = np.ascontiguousarray(image.voxels)
        if voxels.dtype.name not in _TAKEN:
            voxels = voxels.astype(np.float32)
        given = Prepared(voxels, image.grid)
        ready = self.ladder.without_steps(
            "preparing", lambda: prepare_on_device(self.kernels, given, entries), 2 * 4 * voxels.size
        )
        self.images[name] = DeviceImage(self.keep(ready.voxels), ready.grid)

    @property
    def mapping(self) -> Mapping[str, Prepared]:
        """The images on the host: each comes down when it is asked for, once."""
        return Lazily(list(self.images), self._down)

    def _down(self, name: str) -> Prepared:
        image = self.images[name]
        self._log.debug("device.came_down", what=name, bytes=image.voxels.nbytes)
        return Prepared(image.voxels.host(), image.grid)

    def done_there(self, what: str) -> None:
        """Note what the device did."""
        self._there.append(what)

    def done_here(self, what: str, why: str) -> None:
        """Note what was done on the host, and why."""
        self._here.append(f"{what} ({why})")

    @property
    def told(self) -> dict[str, str]:
        """What a result must tell of where it was computed."""
        told = {}
        if self._there:
            told["on the device"] = ", ".join(dict.fromkeys(self._there))
        if self._here:
            told["on the host"] = ", ".join(dict.fromkeys(self._here))
        return told
