"""A network's step: its inputs gathered, the network run over the box, its outputs read by each head."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.clock import GATHER, INFER, INTERPRET
from dicomnode.analyse.crop import crop_around, seen_by_network
from dicomnode.analyse.grids import Box, Float32
from dicomnode.analyse.interpret import (
    INTERPRETATIONS,
    Index,
    Outputs,
    Pass,
    Reading,
    Region,
    UnreadableError,
)
from dicomnode.analyse.onto import onto
from dicomnode.analyse.resample import Prepared
from dicomnode.analyse.steps import UNSEEN, Chain, Piece, Result
from dicomnode.analyse.tensors import Layout
from dicomnode.analyse.tiling import starts_along
from dicomnode.analyse.window import STAGE, OutputShapeError, infer_windows, with_neighbours
from dicomnode.engine import Crop, Feed, Head, OutputSpec, Session, StepSpec
from dicomnode.engine.runtimes import best_batch_of
from dicomnode.faults import NETWORK_FAILED, NodeError
from dicomnode.values import Grid

Array = NDArray[Any]

_NUMBERS: Final = "fiub"  # kinds of dtype; networks of classical heads give texts too


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Meal:
    """What a network is fed with over a box.

    channels: by name of its input, float32 (channels, k, j, i), all on `grid`, of which `inside` voxels are
    no padding. layouts: of these inputs. rows: of the others, float32 (n,).
    """

    channels: Mapping[str, Float32]
    layouts: Mapping[str, Layout]
    rows: Mapping[str, Float32]
    grid: Grid
    inside: Index

    @property
    def layout(self) -> Layout | None:
        """The order that outputs on a grid have: that of the first input with channels."""
        return next(iter(self.layouts.values()), None)


def run_network(chain: Chain, step: StepSpec, session: Session) -> Result:
    """Gather the inputs, run the network over the box, and read its outputs.

    Raises NodeError(NETWORK_FAILED) when the network fails or its outputs are not what engine.toml says.
    """
    label = f"{step.name} {chain.package.manifest.version}"
    box, within = box_of_step(chain, step)
    if box is None:
        return Result(label=label, unseen=UNSEEN)
    try:
        meal = _gather(chain, step, session, box)
        if meal is None:
            return Result(label=label, unseen=UNSEEN)
        chain.part(GATHER)
        maps, passes = _infer(chain, step, session, meal)
        for name, values in maps.items():
            if not _finite(values):
                raise no_number(chain, step, name)
        chain.part(INFER)
        results = {
            head.name: result_of(label, read_head(chain, step, head, meal, (maps, passes, within)))
            for head in step.heads
        }
        chain.part(INTERPRET)
    except (OutputShapeError, UnreadableError) as error:
        engine = f"{chain.package.manifest.name} ({step.network})"
        raise NodeError(NETWORK_FAILED, engine=engine, error=error) from error
    return together(label, step, results)


def feeds_of(step: StepSpec, session: Session, first: str) -> Mapping[str, Feed]:
    """Return what each input of the network is made of; raises UnreadableError where that is not said.

    first: name of the first [[input]], which a network's only input is made of unless engine.toml says more.
    """
    names = [spec.name for spec in session.inputs]
    if not step.inputs and len(names) == 1:
        return {names[0]: Feed(of=(first,))}
    if set(step.inputs) != set(names):
        raise UnreadableError(
            f"the network has the inputs {sorted(names)}, [step.inputs] {sorted(step.inputs)}"
        )
    return step.inputs


def box_of_step(chain: Chain, step: StepSpec) -> tuple[Box | None, Region | None]:
    """Return the box that the network sees, and what it is cropped to."""
    if step.crop is None:
        k, j, i = chain.grid.shape_kji
        return (slice(0, k), slice(0, j), slice(0, i)), None
    region = chain.results[step.crop.of].region
    if region is None:
        return None, None
    return crop_around(chain.grid, region.mask, region.grid, step.crop), region


# ── what goes in ──


def _gather(chain: Chain, step: StepSpec, session: Session, box: Box) -> Meal | None:
    """Cut the channels out and take the rows; None where an earlier step had nothing to make one of."""
    feeds = feeds_of(step, session, chain.package.manifest.input[0].name)
    crop = step.crop or Crop(of="", pad=step.window.pad_value)
    channels: dict[str, Float32] = {}
    layouts: dict[str, Layout] = {}
    rows: dict[str, Float32] = {}
    grid = chain.grid
    for name, feed in feeds.items():
        some = [row for row in (row_of(chain, source) for source in feed.of) if row is not None]
        if some:
            if len(some) < len(feed.of):
                return None
            rows[name] = np.concatenate(some)
            continue
        by_source = [images_of(chain, source) for source in feed.of]
        if not all(by_source):
            return None
        patches = [
            seen_by_network(image, box, crop_of(chain, source, crop), step.window)
            for source, images in zip(feed.of, by_source, strict=True)
            for image in images
        ]
        voxels = [np.asarray(patch.voxels, np.float32) for patch in patches]
        stacked = np.stack(voxels) if len(voxels) > 1 else voxels[0][np.newaxis]
        channels[name] = with_neighbours(stacked, 2 * feed.neighbours + 1) if feed.neighbours else stacked
        layouts[name] = Layout(feed.axes)
        grid = patches[0].grid
    k, j, i = (part.stop - part.start for part in box)
    return Meal(channels=channels, layouts=layouts, rows=rows, grid=grid, inside=(k, j, i))


def row_of(chain: Chain, source: str) -> Float32 | None:
    """Return the numbers that a source gives; None if it gives images, or had nothing to make some of."""
    if source in chain.images:
        return None
    return chain.rows[source] if source in chain.rows else chain.earlier(source).reading.row


def images_of(chain: Chain, source: str) -> list[Prepared]:
    """Return the channels that a source gives, on the grid of the first input."""
    if source in chain.images:
        return [chain.images[name] for name in chain.channels(source)]
    grid = chain.grid
    result = chain.earlier(source)
    if result.reading.field is not None:
        field = result.reading.field
        return [_on_grid(Prepared(values, field.grid), grid, chain) for values in field.values]
    if result.region is not None:
        mask = Prepared(result.region.mask.astype(np.float32), result.region.grid)
        return [_on_grid(mask, grid, chain)]
    return []


def crop_of(chain: Chain, source: str, crop: Crop) -> Crop:
    """Return a crop for what a source gives: where a box is padded, no earlier step found anything (0).

    Images, also those that an earlier step made, are in the unit of `pad`.
    """
    if chain.channels(source):
        return crop
    name, _, head = source.partition("/")
    is_image = chain.package.manifest.step_named(name).head_named(head).interpret == "image"
    return crop if is_image else replace(crop, pad=0.0)


def _on_grid(image: Prepared, grid: Grid, chain: Chain) -> Prepared:
    if image.grid.same_as(grid):
        return image
    return Prepared(onto(image, grid, 0.0, chain.progress)[0], grid)


# ── the network ──


def _infer(
    chain: Chain, step: StepSpec, session: Session, meal: Meal
) -> tuple[dict[str, Float32], tuple[Pass, ...]]:
    """Run the network over the box; return what lies on a grid, and all outputs of each run where needed."""
    if step.window.once or not meal.channels:
        chain.progress(STAGE, 0, 1)
        once = _once(session, meal)
        chain.progress(STAGE, 1, 1)
        return once
    if any(head.interpret == "boxes" for head in step.heads):
        return {}, _window_by_window(chain, step, session, meal)

    def infer(tensors: Mapping[str, Float32]) -> dict[str, Array]:
        found = _run(session, meal, tensors)
        one = next(iter(tensors.values()))
        return _turned(meal, found, len(one), one.shape[2])

    multiple = step.crop.multiple if step.crop else 1
    window = replace(step.window, batch=windows_at_a_time(step, session, meal.layouts.values()))
    maps = infer_windows(infer, meal.channels, window, multiple=multiple, progress=chain.progress)
    return maps, ()


def windows_at_a_time(step: StepSpec, session: Session, layouts: Iterable[Layout]) -> int:
    """Return how many windows go through at a time: as engine.toml says, else as the session runs best.

    layouts: of the inputs with channels. The result does not depend on it.
    """
    if step.window.batch is not None:
        return step.window.batch
    depth = step.window.size_kji[0] if step.window.size_kji else 1
    apart = any(layout.slices_apart for layout in layouts)  # then each slice is an item for itself
    return max(best_batch_of(session) // (depth if apart else 1), 1)


def no_number(chain: Chain, step: StepSpec, output: str) -> NodeError:
    """Return what is raised where an output on a grid holds what is not a number: it means nothing."""
    error = f"its output {output} holds what is not a number (NaN), or is infinite"
    return NodeError(NETWORK_FAILED, engine=f"{chain.package.manifest.name} ({step.network})", error=error)


def _finite(values: Float32) -> bool:
    """Tell whether all are numbers: a sum of float32 in float64 is finite then, and takes no memory."""
    with np.errstate(invalid="ignore"):  # inf - inf is what it is asked for
        return bool(np.isfinite(values.sum(dtype=np.float64)))


def _once(session: Session, meal: Meal) -> tuple[dict[str, Float32], tuple[Pass, ...]]:
    found = _run(session, meal, {name: values[np.newaxis] for name, values in meal.channels.items()})
    shape = meal.grid.shape_kji
    maps = _turned(meal, found, 1, shape[0]) if meal.channels else {}
    maps = {name: np.asarray(values[0], np.float32) for name, values in maps.items() if len(values) == 1}
    return maps, (Pass(found, (0, 0, 0), shape),)


def _window_by_window(chain: Chain, step: StepSpec, session: Session, meal: Meal) -> tuple[Pass, ...]:
    """Run the network on each window and keep its lists."""
    size = step.window.size_kji or meal.grid.shape_kji
    multiple = step.crop.multiple if step.crop else 1
    axes = zip(meal.grid.shape_kji, size, strict=True)
    starts = [starts_along(length, one, step.window, multiple) for length, one in axes]
    corners = list(product(*starts))
    passes = []
    for done, (k, j, i) in enumerate(corners):
        chain.progress(STAGE, done, len(corners))
        part = (slice(None), slice(k, k + size[0]), slice(j, j + size[1]), slice(i, i + size[2]))
        given = {name: values[part][np.newaxis] for name, values in meal.channels.items()}
        passes.append(Pass(_run(session, meal, given), (k, j, i), size))
    chain.progress(STAGE, len(corners), len(corners))
    return tuple(passes)


def _run(session: Session, meal: Meal, channels: Mapping[str, Float32]) -> dict[str, Array]:
    """Run the network on channels (n, c, k, j, i) and the rows; texts among the outputs are left out."""
    tensors: dict[str, Array] = {}
    try:
        for name, values in channels.items():
            tensors[name] = meal.layouts[name].to_network(values)
    except ValueError as error:
        raise UnreadableError(str(error)) from error
    batch = max((len(tensor) for tensor in tensors.values()), default=1)
    for name, row in meal.rows.items():
        tensors[name] = np.repeat(row[np.newaxis], batch, axis=0)
    typed = {spec.name: tensors[spec.name].astype(spec.dtype, copy=False) for spec in session.inputs}
    found = _in_batches(session, typed, batch)
    return {name: values for name, values in found.items() if values.dtype.kind in _NUMBERS}


def _in_batches(session: Session, tensors: Mapping[str, Array], batch: int) -> dict[str, Array]:
    """Run a network whose batch is fixed as often as it takes; each input has `batch` rows."""
    fixed = next((spec.shape[0] for spec in session.inputs if spec.shape and spec.shape[0]), None)
    if fixed is None or batch == fixed or batch % fixed:
        return session.run(tensors)
    runs = [
        session.run({name: values[start : start + fixed] for name, values in tensors.items()})
        for start in range(0, batch, fixed)
    ]
    return {name: np.concatenate([one[name] for one in runs]) for name in runs[0]}


def _turned(meal: Meal, found: Mapping[str, Array], batch: int, depth: int) -> dict[str, Array]:
    """Return the outputs that lie on a grid, as (n, channels, k, j, i)."""
    if meal.layout is None:
        return {}
    turned = {name: meal.layout.from_network(values, batch, depth) for name, values in found.items()}
    return {name: values for name, values in turned.items() if values is not None}


# ── what comes out ──


def read_head(
    chain: Chain,
    step: StepSpec,
    head: Head,
    meal: Meal,
    found: tuple[Mapping[str, Float32], tuple[Pass, ...], Region | None],
) -> Reading:
    """Read the outputs of a head; found: maps, passes, and what the box was cropped to."""
    maps, passes, within = found
    manifest = chain.package.manifest
    wanted = manifest.of_head(step.name, head.name if step.head else "")
    outputs = Outputs(
        maps=maps,
        grid=meal.grid,
        source=chain.source,
        within=within,
        wanted=len(wanted),
        channels=tuple(manifest.channel_of(output) for output in wanted),
        largest=tuple(output.largest for output in wanted),
        passes=passes,
        inside=meal.inside,
        seen=meal.channels,
        unreported=chain.unreported,
        scored_later=any(output.score is not None for output in wanted),
    )
    reading = INTERPRETATIONS[head.interpret or ""](outputs, head)
    for output in wanted:
        _check_channels(output, manifest.channel_of(output), reading)
    return reading


def _check_channels(output: OutputSpec, channel: int, reading: Reading) -> None:
    """Raise UnreadableError where an [[output]] names a channel that the network does not have."""
    numbers = {
        "classification": reading.probabilities,
        "measurement": reading.values,
        "map": reading.field.values if reading.field else None,
        "image": reading.field.values if reading.field else None,
    }.get(output.what)
    largest = max(channel, *(output.interval_channels or ()), 0)
    if numbers is not None and largest >= len(numbers):
        raise UnreadableError(
            f"[[output]] {output.label} is made of channel {largest}, the network has {len(numbers)}"
        )


def result_of(label: str, reading: Reading) -> Result:
    """Make what a head found a result of the step of that label."""
    return Result(
        label=label,
        pieces=tuple(Piece(mask=one.mask, kind=one.kind, score=one.score) for one in reading.shapes),
        points=reading.points,
        remarks=reading.remarks,
        none_found=reading.none_found,
        region=reading.region,
        reading=reading,
    )


def together(label: str, step: StepSpec, results: Mapping[str, Result]) -> Result:
    """Return the result of the only head, or that of the first with all of them inside."""
    first = next(iter(results.values()))
    if not step.head:
        return first
    return Result(
        label=label,
        remarks=tuple(remark for one in results.values() for remark in one.remarks),
        region=next((one.region for one in results.values() if one.region is not None), None),
        reading=first.reading,
        heads=results,
    )
