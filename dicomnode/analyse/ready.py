"""The inputs of an engine, made ready: volumes on the grid of the first one, tags as numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np

from dicomnode.analyse.grids import Float32
from dicomnode.analyse.laying import lay
from dicomnode.analyse.onto import onto
from dicomnode.analyse.prepare import prepare, prepare_image
from dicomnode.analyse.register import Registration
from dicomnode.analyse.resample import Prepared
from dicomnode.analyse.stages import Stage, Watch, observer
from dicomnode.analyse.tag_numbers import NoNumberError, numbers_of
from dicomnode.analyse.together import prepare_together
from dicomnode.engine import InputSpec, Manifest, Preparation
from dicomnode.faults import ATTRIBUTE_MISSING
from dicomnode.values import Grid, Progress, Refusal, Remark, RemarkKind, SourceHeaders, Volume

_WELL_COVERED: Final = 0.999
_ONTO_FIRST: Final = "it is put onto the grid of the first input"
_TOGETHER: Final = "it is a channel of one image of several series"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ready:
    """What the networks of one analysis are fed from.

    images: by name of the [[input]], float32 (k, j, i), all on one grid: `grid`. rows: float32 (n,), of tags.
    told: how further volumes were registered, for the provenance; registered: the same for who computes.
    """

    images: Mapping[str, Prepared]
    grid: Grid
    rows: Mapping[str, Float32]
    remarks: tuple[Remark, ...] = ()
    told: Mapping[str, str] = field(default_factory=dict)
    registered: Mapping[str, Registration] = field(default_factory=dict)


class Images(Protocol):
    """Where images are prepared and kept: here, or on a device."""

    @property
    def watch(self) -> Watch | None:
        """Who is shown each stage of what is prepared here; None: nobody."""

    def prepare(self, name: str, volume: Volume, entries: Sequence[Preparation], progress: Progress) -> Grid:
        """Prepare the first input; return its grid. Raises NodeError(PREPARATION_FAILED)."""

    def bring(self, name: str, image: Prepared, why: str) -> None:
        """Keep what was prepared on the host, where several volumes meet; `why` it was."""

    @property
    def mapping(self) -> Mapping[str, Prepared]:
        """All of them by name, on the host."""


class HostImages:
    """`Images` on the host."""

    def __init__(self, watch: Watch | None = None) -> None:
        self.mapping: dict[str, Prepared] = {}
        self.watch = watch

    def prepare(self, name: str, volume: Volume, entries: Sequence[Preparation], progress: Progress) -> Grid:
        """Prepare it with the CPU."""
        image = self.mapping[name] = prepare(volume, entries, progress, observer(self.watch, name))
        return image.grid

    def bring(self, name: str, image: Prepared, why: str) -> None:
        """Keep it."""
        del why  # where else should it have been prepared
        self.mapping[name] = image


def make_ready(
    manifest: Manifest, volumes: Mapping[str, Volume], progress: Progress, images: Images | None = None
) -> Ready | Refusal:
    """Prepare all inputs; a refusal where they do not go together or an attribute has no number.

    images: where they are prepared, here if it is not said. Raises NodeError(PREPARATION_FAILED) as `prepare`
    does, KeyError when a volume is not given.
    """
    first, *further = manifest.volumes
    own = volumes[first.name]
    laid = lay(manifest, volumes, progress)
    if isinstance(laid, Refusal):
        return laid
    rows = rows_of_tags(manifest, own.headers)
    if isinstance(rows, Refusal):
        return rows
    remarks: list[Remark] = [*laid.remarks, *rows.remarks]
    images = HostImages() if images is None else images
    beside = [spec for spec in further if spec.beside_first]
    if beside:
        grid, said = _together([first, *beside], own, laid.images, progress, images)
        remarks += said
    else:
        grid = images.prepare(first.name, own, first.prepare, progress)
    for spec in further:
        if not (spec.beside_first or spec.is_compared):
            image, said = _further(spec, laid.images[spec.name], grid, progress)
            _show_laid(images, spec, first, image)
            ready = prepare_image(image, spec.prepare, progress, observer(images.watch, spec.name))
            images.bring(spec.name, ready, _ONTO_FIRST)
            remarks += said
    return Ready(
        images=images.mapping,
        grid=grid,
        rows=rows.rows,
        remarks=tuple(remarks),
        told=laid.told,
        registered=laid.registered,
    )


@dataclass(frozen=True, slots=True, eq=False)
class TagRows:
    """Numbers of attributes, by name of the [[input]], and what must be said of them."""

    rows: Mapping[str, Float32]
    remarks: tuple[Remark, ...]


def rows_of_tags(manifest: Manifest, headers: SourceHeaders) -> TagRows | Refusal:
    """Make the numbers of all inputs of kind "tags"; a refusal where an attribute has none."""
    rows: dict[str, Float32] = {}
    remarks: list[Remark] = []
    for spec in manifest.input:
        if spec.kind == "tags":
            try:
                rows[spec.name], said = numbers_of(spec, headers)
            except NoNumberError as error:
                engine = manifest.name
                return ATTRIBUTE_MISSING.refusal(engine=engine, keyword=error.keyword, problem=error.problem)
            remarks += said
    return TagRows(rows, tuple(remarks))


def _together(
    specs: Sequence[InputSpec],
    first: Volume,
    laid: Mapping[str, Prepared | None],
    progress: Progress,
    images: Images,
) -> tuple[Grid, list[Remark]]:
    """Put further volumes beside the first one, on the grid of its series, and prepare them together."""
    channels = {specs[0].name: Prepared(first.voxels, first.grid)}
    remarks: list[Remark] = []
    for spec in specs[1:]:
        image = laid[spec.name]
        if image is None or not image.grid.same_as(first.grid):
            image, said = _further(spec, image, first.grid, progress)
            remarks += said
            _show_laid(images, spec, specs[0], image)
        channels[spec.name] = image
    ready = prepare_together(channels, {spec.name: spec.prepare for spec in specs}, progress, images.watch)
    for name, image in ready.items():
        images.bring(name, image, _TOGETHER)
    return ready[specs[0].name].grid, remarks


def _show_laid(images: Images, spec: InputSpec, first: InputSpec, image: Prepared) -> None:
    if images.watch is not None:
        images.watch(Stage(name=spec.name, done=f"onto the grid of {first.name}", image=image))


def _further(
    spec: InputSpec, image: Prepared | None, grid: Grid, progress: Progress
) -> tuple[Prepared, list[Remark]]:
    """Put a further volume onto a grid of the first one, and say how much of that it covers.

    One that there is not is `outside` everywhere.
    """
    if image is None:
        return Prepared(np.full(grid.shape_kji, spec.outside, dtype=np.float32), grid), []
    voxels, inside = onto(image, grid, spec.outside, progress)
    covered = float(inside.mean())
    if covered >= _WELL_COVERED:
        return Prepared(voxels, grid), []
    text = f"The series for input {spec.name} covers {100.0 * covered:.1f} % of what was analysed."
    return Prepared(voxels, grid), [Remark(kind=RemarkKind.QUALITY, text=text)]
