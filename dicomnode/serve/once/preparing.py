"""What `prepare` makes of the images of a study, step by step, as rows of a sheet (`dicomnode try`).

The images are decoded and prepared once more, for the sheet alone, by the code that prepares them in service.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.pictures import Given, channel_names, make_pictures_ready
from dicomnode.analyse.ready import HostImages, make_ready
from dicomnode.analyse.sheared import straightened
from dicomnode.analyse.stages import Stage
from dicomnode.assemble import DecodeSlices, Stack
from dicomnode.engine import InputSpec, Manifest
from dicomnode.faults import NodeError
from dicomnode.report.drawing.display_window import window_about
from dicomnode.report.drawing.patient_views import stored_view
from dicomnode.report.drawing.scene import scene_of
from dicomnode.report.pages.picture_views import turned_view
from dicomnode.report.pages.stages import StagePicture, StageRow
from dicomnode.report.pages.words import key_slice, lesions_of
from dicomnode.report.words.wording import plain_number
from dicomnode.serve.analysing.analysis import further_stacks, load_input
from dicomnode.serve.deciding.dispatch import Choice
from dicomnode.serve.once.trial import FolderWalk, StudyWalk
from dicomnode.values import Findings, Float64, Grid, Picture, Progress, Refusal, Volume
from dicomnode.values.codes import NO_UNIT, unit_word

_WINDOW = tuple[float, float]
_BYTE: Final = 255.0
_PERCENTILES: Final = (0.5, 99.5)
_SAMPLED_KJI: Final = (32, 256, 256)  # voxels are enough for percentiles
_DIGITS: Final = 4  # behind the point: what is less nobody sees


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Slice:
    """A slice of a stage, and what is told of the whole. plane: (j, i), as the array has it.

    low, high: the least and the largest value. window: the values to show, where they have no scale.
    """

    done: str
    plane: NDArray[np.generic]
    grid: Grid
    low: float
    high: float
    window: _WINDOW
    keeps_values: bool


def prepared_rows(
    walked: FolderWalk, decode: DecodeSlices, progress: Progress, most: int
) -> Iterator[StageRow]:
    """Give a row for each input of each analysis of a walk, at most so many.

    What cannot be decoded or prepared is a row that says why. Raises NodeError about the disk. Progress:
    "drawing prepare".
    """
    given = 0
    wanted = [
        (n, study, choice) for n, study in enumerate(walked.studies, 1) for choice in study.dispatch.choices
    ]
    for done, (number, study, choice) in enumerate(wanted):
        progress("drawing prepare", done, len(wanted))
        mark = f", study {number} of {len(walked.studies)}" if len(walked.studies) > 1 else ""
        for row in _rows(study, choice, mark, decode):
            if given == most:
                return
            given += 1
            yield row
    progress("drawing prepare", len(wanted), len(wanted))


def _rows(study: StudyWalk, choice: Choice, mark: str, decode: DecodeSlices) -> list[StageRow]:
    manifest = choice.package.manifest
    engine = f"{manifest.name} {manifest.version}{mark}"
    findings = _findings(study, choice)
    images = _images(study, choice, decode)
    if isinstance(images, Refusal):
        return [StageRow(heading=engine, problem=images.text)]
    given = Given.of(manifest, images)
    if isinstance(given, Refusal):
        return [StageRow(heading=engine, problem=given.text)]
    images |= given.pictures  # of a cine the frames that are taken
    place = _Place.of(images[manifest.input[0].name], findings)
    seen = _Seen(place)
    problem = _prepare(manifest, given, seen)
    return [
        _row(f"{engine}, input {spec.name}", images[spec.name], seen.of(spec), place, problem)
        for spec in manifest.volumes
        if spec.name in images
    ]


def _findings(study: StudyWalk, choice: Choice) -> Findings:
    """What was found on the stack: results stand in the order of the choices."""
    number = next(n for n, one in enumerate(study.dispatch.choices) if one is choice)
    return study.results[number].findings


def _images(study: StudyWalk, choice: Choice, decode: DecodeSlices) -> dict[str, Volume | Picture] | Refusal:
    """Decode all inputs; a refusal where one is missing or cannot be decoded."""
    manifest, stack = choice.package.manifest, choice.stack
    if stack.facts.refusal is not None:
        return stack.facts.refusal
    others = [one for series in study.study.series for one in series.stacks]
    further = further_stacks(manifest, stack, others)
    if isinstance(further, Refusal):
        return further
    stacks: Mapping[str, Stack] = {manifest.input[0].name: stack, **further}
    specs = {spec.name: spec for spec in manifest.input}
    try:
        return {name: load_input(specs[name], one, _silent, decode) for name, one in stacks.items()}
    except NodeError as error:
        return error.refusal


def _silent(stage: str, done: int, total: int) -> None:
    """Say nothing: the analysis has told how far decoding is."""
    del stage, done, total


def _prepare(manifest: Manifest, given: Given, seen: _Seen) -> str:
    """Prepare as the analysis does; give why it ended before all was done, "" where it did not."""
    watching = HostImages(seen)
    try:
        if given.pictures:
            ready = make_pictures_ready(manifest, given.pictures, _silent, watching)
        else:
            upright = straightened(given.volumes)
            for name, volume in upright.items():
                if volume is not given.volumes[name]:
                    seen.straightened(name, volume)
            ready = make_ready(manifest, upright, _silent, watching)
    except NodeError as error:
        return error.refusal.text
    return ready.text if isinstance(ready, Refusal) else ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Place:
    """Where slices are cut: through the first finding, else the middle. point: in the space of `first`.

    window: of `first`, by what was found on it; None of a picture.
    """

    first: Volume | Picture
    point: Float64
    window: _WINDOW | None

    @classmethod
    def of(cls, first: Volume | Picture, findings: Findings) -> _Place:
        if isinstance(first, Volume):
            scene = scene_of(first, findings, None)
            k, j, i = (n // 2 for n in first.voxels.shape)
            index = (k, j, i) if scene.target is None else scene.centre_kji
            window = (scene.window.low, scene.window.high)
            return cls(first=first, point=first.grid.to_lps_mm(index), window=window)
        t, j, i, _ = first.frames.shape
        lesions = lesions_of(findings)
        frame = min(key_slice(lesions[0], findings), t - 1) if lesions else t // 2
        index = (frame, j // 2, i // 2)
        return cls(first=first, point=first.grid.to_lps_mm(index), window=None)

    def window_of(self, volume: Volume) -> _WINDOW:
        """The window in which people look at a volume."""
        if volume is self.first and self.window is not None:
            return self.window
        shown = window_about(volume)
        return shown.low, shown.high

    def slice_of(self, grid: Grid) -> int:
        """The slice of a grid that lies nearest to the place."""
        k = round(float(grid.to_index_kji(self.point)[0]))
        return min(max(k, 0), grid.shape_kji[0] - 1)


class _Seen:
    """Keeps a slice of each stage: the volumes themselves are let go."""

    def __init__(self, place: _Place) -> None:
        self._place = place
        self._slices: dict[str, list[_Slice]] = defaultdict(list)

    def __call__(self, stage: Stage) -> None:
        """Take a stage, as a `Watch`."""
        self._keep(stage.name, stage.done, stage.image.voxels, stage.image.grid, stage.keeps_values)

    def straightened(self, name: str, volume: Volume) -> None:
        """Take a volume whose slices leaned."""
        self._keep(name, "straightened", volume.voxels, volume.grid, keeps_values=True)

    def _keep(
        self, name: str, done: str, voxels: NDArray[np.generic], grid: Grid, keeps_values: bool
    ) -> None:
        self._slices[name].append(
            _Slice(
                done=done,
                plane=np.array(voxels[self._place.slice_of(grid)], dtype=np.float32),
                grid=grid,
                low=float(voxels.min()),
                high=float(voxels.max()),
                window=_window_of(voxels),
                keeps_values=keeps_values,
            )
        )

    def of(self, spec: InputSpec) -> list[_Slice]:
        """The stages of an input; of one in colour with its channels put together, (j, i, 3)."""
        names = channel_names(spec) if spec.is_picture else (spec.name,)
        return [_together(some) for some in zip(*(self._slices[name] for name in names), strict=False)]


def _together(channels: Sequence[_Slice]) -> _Slice:
    first = channels[0]
    if len(channels) == 1:
        return first
    return _Slice(
        done=first.done,
        plane=np.stack([one.plane for one in channels], axis=-1),
        grid=first.grid,
        low=min(one.low for one in channels),
        high=max(one.high for one in channels),
        window=(min(one.window[0] for one in channels), max(one.window[1] for one in channels)),
        keeps_values=first.keeps_values,
    )


def _row(
    heading: str, images: Volume | Picture, stages: Sequence[_Slice], place: _Place, problem: str
) -> StageRow:
    first = _source(images, place)
    window = first.window
    unit = f" {unit_word(images.unit)}" if isinstance(images, Volume) and images.unit != NO_UNIT else ""
    pictures = [_picture(first, images, window, unit)]
    for number, one in enumerate(stages, start=1):
        if not one.keeps_values:
            window, unit = one.window, ""
        pictures.append(_picture(one, images, window, unit, f"{number}  "))
    what = "slice" if isinstance(images, Volume) else "frame"
    return StageRow(
        heading=f"{heading}: {what} {place.slice_of(images.grid) + 1} of {images.grid.shape_kji[0]}",
        pictures=tuple(pictures),
        problem=problem,
    )


def _source(images: Volume | Picture, place: _Place) -> _Slice:
    """The slice as it came, in the window that it has for people."""
    k = place.slice_of(images.grid)
    if isinstance(images, Volume):
        voxels: NDArray[np.generic] = images.voxels
        window = place.window_of(images)
        plane: NDArray[np.generic] = voxels[k]
    else:
        voxels, plane = images.frames, images.frames[k]
        plane = plane[..., 0] if plane.shape[-1] == 1 else plane
        window = (0.0, _BYTE) if voxels.dtype == np.uint8 else _window_of(voxels[..., 0])
    return _Slice(
        done="as it came",
        plane=plane,
        grid=images.grid,
        low=float(voxels.min()),
        high=float(voxels.max()),
        window=window,
        keeps_values=True,
    )


def _window_of(voxels: NDArray[np.generic]) -> _WINDOW:
    """What of the values (k, j, i) is shown, where they have no scale of their own: nearly all of them.

    Networks see background and padding, too.
    """
    k, j, i = (max(1, n // most) for n, most in zip(voxels.shape, _SAMPLED_KJI, strict=True))
    some = voxels[::k, ::j, ::i].astype(np.float32)
    low, high = (float(one) for one in np.percentile(some, _PERCENTILES))
    return (low, high) if low < high else (float(voxels.min()), float(voxels.max()))


def _said(value: float) -> str:
    return plain_number(round(value, _DIGITS))


def _picture(
    one: _Slice, images: Volume | Picture, window: _WINDOW, unit: str, number: str = ""
) -> StagePicture:
    """Put a slice down with its numbers. unit: of its values, a space before it. number: of the stage."""
    lengths: tuple[float, ...]
    if isinstance(images, Picture):
        view, has_mm = turned_view(images, one.grid), images.plane.spacing_ji_mm is not None
        what, axes, lengths = "pixels", "frames", one.grid.spacing_kji_mm[1:]
    else:
        view, has_mm = stored_view(one.grid), True
        what, axes, lengths = "voxels", "slices", one.grid.spacing_kji_mm
    size = " × ".join(f"{mm:.3g}" for mm in lengths)
    return StagePicture(
        title=f"{number}{one.done}",
        plane=one.plane,
        window=window,
        view=view,
        has_mm=has_mm,
        lines=(
            f"values {_said(one.low)} to {_said(one.high)}{unit}",
            f"{what} of {size} mm" if has_mm else f"{what} of {size} of the source",
            f"{' × '.join(str(n) for n in one.grid.shape_kji)} {axes}, rows, columns",
            f"black {_said(window[0])}, white {_said(window[1])}",
        ),
    )
