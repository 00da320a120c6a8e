"""A network's step on the device: cut out, run and read there. What has no form on a device comes down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.clock import GATHER, INFER, INTERPRET
from dicomnode.analyse.crop import padded_shape
from dicomnode.analyse.device_path.feed import DeviceMeal, gather
from dicomnode.analyse.device_path.held import Held
from dicomnode.analyse.device_path.ladder import Rung, rungs
from dicomnode.analyse.device_path.layout import DeviceLayout
from dicomnode.analyse.device_path.run import Runner
from dicomnode.analyse.device_path.study import DeviceStudy, Lazily
from dicomnode.analyse.device_path.windows import Way, infer_windows_on_device
from dicomnode.analyse.grids import Box, Float32
from dicomnode.analyse.interpret import Pass, Reading, Region, UnreadableError
from dicomnode.analyse.interpret.contract import named
from dicomnode.analyse.interpret.on_device import DecidedOnDevice, Wanted, runs_on_device
from dicomnode.analyse.networks import (
    Meal,
    box_of_step,
    feeds_of,
    no_number,
    read_head,
    result_of,
    run_network,
    together,
    windows_at_a_time,
)
from dicomnode.analyse.steps import UNSEEN, Chain, Result
from dicomnode.analyse.tensors import Layout
from dicomnode.analyse.window import STAGE, OutputShapeError
from dicomnode.device import Buffer
from dicomnode.engine import Crop, Head, Session, StepSpec
from dicomnode.engine.memory import MemoryEstimate, estimate
from dicomnode.faults import NETWORK_FAILED, NodeError

_FLOAT: Final = "float32"
_FLOAT_BYTES: Final = 4
_OF_PLANES: Final = 3  # axes that an input or output with planes has at least


def run_network_on_device(chain: Chain, step: StepSpec, session: Session, study: DeviceStudy) -> Result:
    """Do what `run_network` does, on the device where it has a form there.

    Raises NodeError: NETWORK_FAILED also where an output on a grid holds what is not a number, DEVICE_FULL
    when no way of doing it fits the device's memory, and as the device does.
    """
    why = no_form(chain, step, session)
    if why:
        study.done_here(step.name, why)
        return run_network(chain, step, session)
    label = f"{step.name} {chain.package.manifest.version}"
    box, within = box_of_step(chain, step)
    if box is None:
        return Result(label=label, unseen=UNSEEN)
    running = _Running(chain, step, session, study, box, within)
    slabs = step.window.size_kji is not None
    try:
        found = study.ladder.down(
            f"running {step.name}", rungs(running.batch, slabs=slabs), running.attempt, running.wanted_bytes
        )
    except (OutputShapeError, UnreadableError) as error:
        engine = f"{chain.package.manifest.name} ({step.network})"
        raise NodeError(NETWORK_FAILED, engine=engine, error=error) from error
    if found is None:
        return Result(label=label, unseen=UNSEEN)
    return together(label, step, {name: result_of(label, reading) for name, reading in found.items()})


def no_form(chain: Chain, step: StepSpec, session: Session) -> str:
    """Say why a step has no form on a device; empty: it has one."""
    feeds = feeds_of(step, session, chain.package.manifest.input[0].name)
    for spec in session.inputs:
        feed = feeds[spec.name]
        if feed.neighbours:
            return "neighbouring slices are its channels"
        if len(spec.shape) >= _OF_PLANES and not DeviceLayout(Layout(feed.axes)).has_form:
            return f"its axes are {feed.axes}"
        if spec.dtype != _FLOAT:
            return f"it takes {spec.dtype}"
    windows = step.window.size_kji is not None
    if windows and any(head.interpret == "boxes" for head in step.heads):
        return "lists of boxes come window by window"
    for spec in session.outputs:
        if spec.dtype != _FLOAT and (windows or len(spec.shape) >= _OF_PLANES):
            return f"its output {spec.name} is {spec.dtype}"
    return ""


@dataclass(slots=True, eq=False)
class _Running:
    """One step of one study, tried in one way or another."""

    chain: Chain
    step: StepSpec
    session: Session
    study: DeviceStudy
    box: Box
    within: Region | None

    @property
    def batch(self) -> int:
        """How many windows go through at a time, as long as there is memory for them."""
        feeds = feeds_of(self.step, self.session, self.chain.package.manifest.input[0].name)
        layouts = [(DeviceLayout(Layout(feed.axes)), len(feed.of)) for feed in feeds.values()]
        if any(layout.one_at_a_time(channels) for layout, channels in layouts):
            return 1
        return windows_at_a_time(self.step, self.session, (one.layout for one, _ in layouts))

    def wanted_bytes(self, rung: Rung) -> int:
        """Estimate the memory that an attempt takes, beyond what is held already."""
        return self.estimated(rung).to_come

    def estimated(self, rung: Rung) -> MemoryEstimate:
        """Estimate the memory that an attempt takes."""
        crop = self.step.crop or Crop(of="")
        k, j, i = padded_shape(self.box, crop, self.step.window)
        size = self.step.window.size_kji or (k, j, i)
        feeds = feeds_of(self.step, self.session, self.chain.package.manifest.input[0].name)
        shapes = {
            spec.name: tuple(
                fixed or free
                for fixed, free in zip(
                    spec.shape, _filled(feeds[spec.name].axes, rung.batch, size, len(spec.shape)), strict=True
                )
            )
            for spec in self.session.inputs
        }
        depth = min(size[0], k) if rung.by_slabs else k
        channels = sum(len(feed.of) for feed in feeds.values())
        # While a map is read: a piece of it, cut out, half way and on the source grid
        reading = 3 * min(rung.piece_bytes, _FLOAT_BYTES * prod(self.chain.source.shape_kji))
        return estimate(
            self.session,
            shapes,
            sums_kji=(depth, j, i),
            volume_bytes=_FLOAT_BYTES * channels * k * j * i + reading,
        )

    def attempt(self, rung: Rung) -> Mapping[str, Reading] | None:
        """Do it; None where there was nothing to feed the network with."""
        with Held() as held:
            meal = gather(self.chain, self.step, self.session, self.box, self.study, held)
            if meal is None:
                return None
            self.chain.part(GATHER)
            runner = Runner(self.study.kernels, self.session, meal)
            heads = _Heads(self, meal, held, rung)
            if self.step.window.once or not meal.talls:
                self.chain.progress(STAGE, 0, 1)
                heads.once(runner)
                self.chain.progress(STAGE, 1, 1)
            else:
                multiple = self.step.crop.multiple if self.step.crop else 1
                way = Way(
                    batch=rung.batch,
                    by_slabs=rung.by_slabs,
                    multiple=multiple,
                    progress=self.chain.progress,
                )
                infer_windows_on_device(
                    self.study.kernels, runner.on_grid, meal.talls, self.step.window, way, heads.take
                )
            self.chain.part(INFER)
            readings = heads.read()
            self.chain.part(INTERPRET)
            return readings


class _Heads:
    """Reads the outputs of a network, head by head: as they come by slabs, or all of them in the end."""

    def __init__(self, running: _Running, meal: DeviceMeal, held: Held, rung: Rung) -> None:
        self._running, self._meal, self._held = running, meal, held
        self._kernels, self._study = running.study.kernels, running.study
        self._rung, self._by_slabs = rung, rung.by_slabs
        self._maps: dict[str, Buffer] = {}
        self._down: dict[str, list[Float32]] = {}
        self._raw: dict[str, Buffer] = {}
        self._decided: dict[str, DecidedOnDevice] = {}
        self._names: list[str] = []

    # ── outputs as they come ──

    def once(self, runner: Runner) -> None:
        """Run the network over the whole box."""
        found = runner.whole()
        self._raw = {name: self._held.keep(output) for name, output in found.items()}
        for name, output in runner.maps_of(self._raw, self._held).items():
            self.take(name, 0, output)

    def take(self, name: str, first: int, values: Buffer) -> None:
        """Take finished cells of an output: keep them, or read them and let go."""
        self._held.keep(values)
        self._refuse_what_is_no_number(name, values)
        if name not in self._names:
            self._names.append(name)
        if not self._by_slabs:
            self._maps[name] = values
            return
        channels, heads = values.shape[0], self._running.step.heads
        for head in heads:
            if name == (head.output or self._names[0]) and runs_on_device(head, channels):
                self._decision(head).take(first, values)
        if not all(runs_on_device(head, channels) for head in heads):
            self._down.setdefault(name, []).append(values.host())
        self._held.drop(values)

    def _refuse_what_is_no_number(self, name: str, values: Buffer) -> None:
        if not self._kernels.statistics(values).finite:
            raise no_number(self._running.chain, self._running.step, name)

    # ── what they mean ──

    def read(self) -> dict[str, Reading]:
        """Read all of them."""
        return {head.name: self._read(head) for head in self._running.step.heads}

    def _read(self, head: Head) -> Reading:
        if runs_on_device(head, None):
            name = named({one: one for one in self._names}, head.output, "map on the grid of its input")
            if self._by_slabs and head.name in self._decided:
                return self._finished(head)
            if not self._by_slabs and runs_on_device(head, self._maps[name].shape[0]):
                self._decision(head).take(0, self._maps[name])
                return self._finished(head)
        step = self._running.step
        self._study.done_there(f"{step.name}: network")
        self._study.done_here(f"{step.name}: {head.interpret}", "it has no form on a device")
        found = (self._host_maps(), self._passes(), self._running.within)
        return read_head(self._running.chain, step, head, self._host_meal(), found)

    def _finished(self, head: Head) -> Reading:
        step = self._running.step
        self._study.done_there(f"{step.name}: network, {head.interpret}")
        return self._decided[head.name].finish()

    def _decision(self, head: Head) -> DecidedOnDevice:
        if head.name not in self._decided:
            made = DecidedOnDevice(self._kernels, self._wanted(head), head, self._rung.piece_bytes)
            self._decided[head.name] = self._held.keep(made)
        return self._decided[head.name]

    def _wanted(self, head: Head) -> Wanted:
        running = self._running
        manifest = running.chain.package.manifest
        step = running.step
        wanted = manifest.of_head(step.name, head.name if step.head else "")
        return Wanted(
            grid=self._meal.grid,
            source=running.chain.source,
            count=len(wanted),
            channels=tuple(manifest.channel_of(output) for output in wanted),
            largest=tuple(output.largest for output in wanted),
            inside=self._meal.inside,
            region=region_is_asked_for(running.chain, step),
        )

    # ── what comes down for a head that has no form on a device, each when it is asked for ──

    def _host_maps(self) -> Mapping[str, Float32]:
        if self._by_slabs:
            return {name: np.concatenate(parts, axis=1) for name, parts in self._down.items()}
        return Lazily(list(self._maps), lambda name: self._maps[name].host())

    def _passes(self) -> tuple[Pass, ...]:
        if not (self._running.step.window.whole or not self._meal.talls):
            return ()
        raw: Mapping[str, NDArray[Any]] = Lazily(list(self._raw), lambda name: self._raw[name].host())
        return (Pass(raw, (0, 0, 0), self._meal.grid.shape_kji),)

    def _host_meal(self) -> Meal:
        talls = self._meal.talls
        channels: Mapping[str, Float32] = Lazily(
            list(talls),
            lambda name: talls[name].voxels.host().reshape(talls[name].channels, *talls[name].shape),
        )
        layouts = {name: one.layout for name, one in self._meal.layouts.items()}
        return Meal(
            channels=channels,
            layouts=layouts,
            rows=self._meal.rows,
            grid=self._meal.grid,
            inside=self._meal.inside,
        )


def region_is_asked_for(chain: Chain, step: StepSpec) -> bool:
    """Tell whether a later step is cropped to where this one found something, or is fed with it."""
    steps = chain.package.manifest.step
    sources = {source for other in steps for feed in other.inputs.values() for source in feed.of}
    cropped = {other.crop.of for other in steps if other.crop is not None}
    return step.name in cropped | {source.partition("/")[0] for source in sources}


def _filled(axes: str, batch: int, size: tuple[int, int, int], count: int) -> tuple[int, ...]:
    """Return lengths for the axes of an input whose own are not fixed; of a row of numbers, ones."""
    if count != len(axes):
        return (1,) * count
    free = {"n": batch, "c": 1, "t": size[0], "k": size[0], "j": size[1], "i": size[2]}
    return tuple(free[axis] for axis in axes)
