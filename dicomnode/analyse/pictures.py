"""Pictures and cines as the chain takes them: a channel each on the grid of the pixels, turned as was asked.

The grid is that of the picture's own plane, in mm where its spacing is known and in pixels else; k counts
frames. Flips and turns give a grid that says so: what is found is put back on the source pixels by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.grids import Float32
from dicomnode.analyse.ready import HostImages, Images, Ready, rows_of_tags
from dicomnode.analyse.resample import Prepared
from dicomnode.analyse.stages import Stage, Watch
from dicomnode.analyse.together import prepare_together
from dicomnode.engine import InputSpec, Manifest
from dicomnode.faults import CINE_UNTIMED, PICTURE_UNORIENTED, PICTURES_DIFFER
from dicomnode.values import Grid, Picture, PicturePlane, Progress, Refusal, Volume
from dicomnode.values.codes import NO_UNIT

# Luminance, as PS3.3 C.7.6.3.1.2 has Y of YBR_FULL (ITU-R BT.601)
_LUMINANCE: Final = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_OPPOSITE: Final = {"L": "R", "R": "L", "A": "P", "P": "A", "H": "F", "F": "H"}
_PREPARED: Final = "it is a picture"
_ROUNDING: Final = 1e-6  # of a frame: 80 ms are twice 40 ms


@dataclass(frozen=True, slots=True, eq=False)
class _Turned:
    """Frames of a picture on their way: (t, j, i, c) on a grid."""

    frames: NDArray[np.generic]
    grid: Grid


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """What an analysis is given: volumes, those of pictures as `as_volume` makes them, and the pictures."""

    volumes: Mapping[str, Volume]
    pictures: Mapping[str, Picture]

    @classmethod
    def of(cls, manifest: Manifest, given: Mapping[str, Volume | Picture]) -> Given | Refusal:
        """Tell pictures from volumes, and take cines at the rate that is wanted; see `evenly_timed`."""
        found = {name: one for name, one in given.items() if isinstance(one, Picture)}
        pictures = evenly_timed(manifest, found) if found else {}
        if isinstance(pictures, Refusal):
            return pictures
        volumes = {name: one for name, one in given.items() if isinstance(one, Volume)}
        return cls(volumes | {name: as_volume(one) for name, one in pictures.items()}, pictures)

    def plane_of(self, manifest: Manifest) -> PicturePlane | None:
        """Return the plane of the first input; None of a volume."""
        picture = self.pictures.get(manifest.input[0].name)
        return None if picture is None else picture.plane


def as_volume(picture: Picture) -> Volume:
    """Return a picture as the parts of the chain see it that measure and describe: its luminance.

    Its frame of reference is empty: mm (or pixels) on the plane of the picture, not of the patient.
    """
    grey = _grey(picture.frames)[..., 0]
    return Volume(
        voxels=grey.astype(np.int16) if grey.dtype == np.uint8 else grey.astype(np.float32),
        affine_lps=picture.grid.affine_lps,
        unit=NO_UNIT,
        frame_of_reference_uid="",
        study_instance_uid=picture.study_instance_uid,
        series_instance_uid=picture.series_instance_uid,
        frames=picture.sources,
        headers=picture.headers,
        repairs=picture.repairs,
    )


def evenly_timed(manifest: Manifest, pictures: Mapping[str, Picture]) -> dict[str, Picture] | Refusal:
    """Take the frames of each cine at the rate that the engine wants; a refusal where times are not known.

    Of each moment it is the frame nearest in time, of two equally near the earlier one. The frames that were
    taken are named by the `sources` of what is returned.
    """
    timed = dict(pictures)
    for spec in manifest.volumes:
        rate = spec.how.frames_per_s
        if rate is None:
            continue
        picture = pictures[spec.name]
        times_ms = np.array(picture.plane.frame_times_ms)
        if len(times_ms) < 2 or not times_ms[-1] > 0:
            return CINE_UNTIMED.refusal(engine=manifest.name, rate=f"{rate:g}", name=spec.name)
        step_ms = 1000.0 / rate
        wanted_ms = np.arange(int(times_ms[-1] / step_ms + _ROUNDING) + 1) * step_ms
        taken = [int(np.abs(times_ms - wanted).argmin()) for wanted in wanted_ms]
        timed[spec.name] = replace(
            picture,
            frames=picture.frames[taken],
            sources=tuple(picture.sources[n] for n in taken),
            plane=replace(picture.plane, frame_times_ms=tuple(wanted_ms.tolist())),
        )
    return timed


def make_pictures_ready(
    manifest: Manifest,
    pictures: Mapping[str, Picture],
    progress: Progress,
    images: Images | None = None,
) -> Ready | Refusal:
    """Prepare all pictures; a refusal where one cannot be turned, or they differ in size.

    pictures: by name of each [[input]] that is one, as `evenly_timed` gives them. Channels are prepared
    together, as `prepare_together` does: values each for itself. Raises NodeError(PREPARATION_FAILED),
    KeyError when one is not given.
    """
    first = manifest.volumes[0]
    rows = rows_of_tags(manifest, pictures[first.name].headers)
    if isinstance(rows, Refusal):
        return rows
    images = HostImages() if images is None else images
    grid: Grid | None = None
    for spec in manifest.volumes:
        channels = _channels(manifest, spec, pictures[spec.name], progress, images.watch)
        if isinstance(channels, Refusal):
            return channels
        own = next(iter(channels.values())).grid
        grid = grid or own
        if own.shape_kji != grid.shape_kji:
            return PICTURES_DIFFER.refusal(
                engine=manifest.name, name=spec.name, found=_sizes(own), first=_sizes(grid)
            )
        for name, image in channels.items():
            # A further view lies nowhere in the first one; results go back on that one alone
            images.bring(name, Prepared(image.voxels, grid), _PREPARED)
    assert grid is not None  # there is an input
    return Ready(images=images.mapping, grid=grid, rows=rows.rows, remarks=rows.remarks)


def _sizes(grid: Grid) -> str:
    return " × ".join(str(n) for n in grid.shape_kji)


def channel_names(spec: InputSpec) -> tuple[str, ...]:
    """Return the names that the channels of an input have among the images of a chain, in their order."""
    if spec.channels == 1:
        return (spec.name,)
    return spec.name, f"{spec.name}/green", f"{spec.name}/blue"


def _channels(
    manifest: Manifest, spec: InputSpec, picture: Picture, progress: Progress, watch: Watch | None
) -> dict[str, Prepared] | Refusal:
    turned = _turned(manifest, spec, picture)
    if isinstance(turned, Refusal):
        return turned
    frames = turned.frames if spec.how.colour == "rgb" else _grey(turned.frames)
    frames = np.broadcast_to(frames, (*frames.shape[:3], spec.channels))
    names = channel_names(spec)
    given = {name: Prepared(frames[..., n], turned.grid) for n, name in enumerate(names)}
    if (spec.how.rows_toward, spec.how.columns_toward) != (None, None):
        _show(watch, given, "turned")
    ready = prepare_together(given, dict.fromkeys(names, spec.prepare), progress, watch)
    normalised = {name: _normalised(spec, n, ready[name]) for n, name in enumerate(names)}
    told = {"mean": spec.how.mean, "sd": spec.how.sd}
    said = [f"{name} {', '.join(f'{one:g}' for one in some)}" for name, some in told.items() if some]
    if said:
        _show(watch, normalised, "; ".join(said), keeps_values=False)
    return normalised


def _show(
    watch: Watch | None, images: Mapping[str, Prepared], done: str, *, keeps_values: bool = True
) -> None:
    if watch is None:
        return
    for name, image in images.items():
        watch(Stage(name=name, done=done, image=image, keeps_values=keeps_values))


def _normalised(spec: InputSpec, number: int, image: Prepared) -> Prepared:
    mean, sd = spec.how.mean, spec.how.sd
    if mean is None and sd is None:
        return image
    taken = np.float32(mean[number] if mean else 0.0)
    divisor = np.float32(sd[number] if sd else 1.0)
    voxels: Float32 = (np.asarray(image.voxels, dtype=np.float32) - taken) / divisor
    return Prepared(voxels, image.grid)


def _grey(frames: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return (t, j, i, 1): the luminance of colours, float32, or grey as it is."""
    if frames.shape[3] == 1:
        return frames
    return np.asarray(frames.astype(np.float32) @ _LUMINANCE)[..., np.newaxis]


def _turned(manifest: Manifest, spec: InputSpec, picture: Picture) -> _Turned | Refusal:
    """Flip and turn a picture so that its rows and columns run as the engine wants them."""
    given = _Turned(picture.frames, picture.grid)
    wanted = (spec.how.rows_toward, spec.how.columns_toward)
    if wanted == (None, None):
        return given
    toward = picture.plane.toward
    swap = _swapped(wanted, toward) if toward is not None else None
    if toward is None or swap is None:
        words = [
            f"{what} towards {letter}"
            for what, letter in zip(("rows", "columns"), wanted, strict=True)
            if letter
        ]
        return PICTURE_UNORIENTED.refusal(
            engine=manifest.name,
            wanted=" and ".join(words),
            name=spec.name,
            found="missing" if toward is None else "\\".join(toward),
        )
    lies = (toward[1], toward[0]) if swap else toward
    flips = [letter is not None and lies[n][0] != letter for n, letter in enumerate(wanted)]
    return _moved(given, swap=swap, flip_i=flips[0], flip_j=flips[1])


def _swapped(wanted: Sequence[str | None], toward: Sequence[str]) -> bool | None:
    """Tell whether rows and columns change places; None where neither way gives what is wanted.

    toward: of the picture; of an oblique direction ("PL") the first letter counts (PS3.3 C.7.6.1.1.1).
    """
    for swap in (False, True):
        lies = toward[::-1] if swap else toward
        if all(
            letter is None or lies[n][0] in (letter, _OPPOSITE[letter]) for n, letter in enumerate(wanted)
        ):
            return swap
    return None


def _moved(given: _Turned, *, swap: bool, flip_i: bool, flip_j: bool) -> _Turned:
    """Swap the axes of the pixels, then flip them; the grid says where each pixel comes from."""
    frames, affine = given.frames, given.grid.affine_lps.copy()
    if swap:
        frames = frames.swapaxes(1, 2)
        affine[:, [0, 1]] = affine[:, [1, 0]]
    for axis, column, flip in ((2, 0, flip_i), (1, 1, flip_j)):
        if flip:
            frames = np.flip(frames, axis)
            affine[:3, 3] += affine[:3, column] * (frames.shape[axis] - 1)
            affine[:3, column] *= -1.0
    t, j, i = frames.shape[:3]
    return _Turned(frames, Grid((t, j, i), affine, given.grid.frame_of_reference_uid))
