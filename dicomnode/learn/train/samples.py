"""What a network is fed with while it trains: prepared by the service's own code, truth on the same grid."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.grids import Float32
from dicomnode.analyse.onto import onto
from dicomnode.analyse.pictures import Given, channel_names, make_pictures_ready
from dicomnode.analyse.ready import make_ready
from dicomnode.analyse.resample import Prepared
from dicomnode.analyse.sheared import straightened, upright_of
from dicomnode.assemble import Stack
from dicomnode.engine import Manifest
from dicomnode.faults import RUN_NOT_WRITTEN, NodeError
from dicomnode.values import Grid, Mask, Picture, Refusal, Volume, no_progress

UInt8 = NDArray[np.uint8]

IGNORED: Final = 255
"""Of a target: nobody has said what this voxel is, so that it teaches nothing."""

_HALF: Final = 0.5
_FORM: Final = "2"  # of what is kept in a cache; goes up when it changes
_INPUTS, _TARGET, _FACTS = "inputs.npy", "target.npy", "facts.json"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """One study, or one picture of it, as a network takes it.

    name: a digest of its content, no identity. patient: key of the patient, by which parts are drawn.
    inputs: float32 (c, k, j, i), prepared. target: of maps uint8 (n, k, j, i), 0, 1 or IGNORED for each of n
    structures; of whole studies float32 (1,): the label as a number. spacing_kji_mm: of the grid. answers: to
    questions on the whole study beside a map; NaN: nobody has said. Both arrays may be read from disk as they
    are needed; they are read-only.
    """

    name: str
    patient: str
    inputs: Float32
    target: NDArray[Any]
    spacing_kji_mm: tuple[float, float, float]
    answers: tuple[float, ...] = ()

    @property
    def shape_kji(self) -> tuple[int, int, int]:
        """Voxels along k, j, i."""
        k, j, i = self.inputs.shape[1:]
        return k, j, i

    @property
    def is_map(self) -> bool:
        """Whether the truth is one of voxels."""
        return self.target.ndim == 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fed:
    """What a network sees of a study: inputs float32 (c, k, j, i) on `grid`; source: grid of the images."""

    inputs: Float32
    grid: Grid
    source: Grid


def fed(
    manifest: Manifest, images: Volume | Picture, beside: Mapping[str, Volume | Picture] | None = None
) -> Fed | Refusal:
    """Prepare the images of the inputs of an engine, by the code that prepares them in service.

    images: of the first input; beside: of further ones, whose channels follow. Numbers of attributes lie
    behind these, each as an image of one value.

    Raises NodeError(PREPARATION_FAILED); a refusal where a picture cannot be turned or timed as is wanted.
    """
    spec = manifest.input[0]
    given = Given.of(manifest, {spec.name: images, **(beside or {})})
    if isinstance(given, Refusal):
        return given
    if given.pictures:
        ready = make_pictures_ready(manifest, given.pictures, no_progress)
    else:
        ready = make_ready(manifest, straightened(given.volumes), no_progress)
    if isinstance(ready, Refusal):
        return ready
    channels = [
        np.asarray(ready.images[name].voxels, dtype=np.float32)
        for one in manifest.volumes
        for name in channel_names(one)
    ]
    numbers = [number for row in ready.rows.values() for number in row]
    channels += [np.full(ready.grid.shape_kji, number, dtype=np.float32) for number in numbers]
    return Fed(inputs=np.stack(channels), grid=ready.grid, source=given.volumes[spec.name].grid)


def target_on(grid: Grid, source: Grid, truths: Mapping[int, Mask | None], count: int) -> UInt8:
    """Carry masks of the source's grid onto the grid that was prepared.

    truths: by number of the structure; None, and a number that is missing: nobody has said. A voxel belongs
    to a structure where at least half of it does, by the same interpolation as images; where the source does
    not reach it is IGNORED. Returns uint8 (count, k, j, i).
    """
    target = np.full((count, *grid.shape_kji), IGNORED, dtype=np.uint8)
    upright = upright_of(source) if source.is_sheared else None
    for number, mask in truths.items():
        if mask is None:
            continue
        whole = mask if upright is None else upright.mask(mask)
        own = source if upright is None else upright.grid
        values, reaches = onto(Prepared(whole.to_array().astype(np.float32), own), grid, 0.0, no_progress)
        target[number] = np.where(reaches, values >= _HALF, IGNORED)
    return target


# ── the cache ──


def digest_of(parts: Sequence[bytes | str]) -> str:
    """SHA-256 of what a sample is made from: images, masks, preparations."""
    digest = hashlib.sha256(_FORM.encode())
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()


def digests_of(stack: Stack) -> list[bytes | str]:
    """Digests of the files of a stack, and which one of its series it is."""
    parts: list[bytes | str] = [f"{stack.facts.series_instance_uid} {stack.facts.stack}"]
    for path in stack.files:
        with suppress(OSError):  # decoding says what is wrong with it
            parts.append(hashlib.sha256(path.read_bytes()).digest())
    return parts


def cached(folder: Path, digest: str, patient: str, make: Callable[[], Sample]) -> Sample:
    """Return the sample of that digest, made once and then read from `folder`.

    What is half written never counts: a sample appears whole, or not. Raises NodeError(RUN_NOT_WRITTEN).
    """
    place = folder / digest
    found = _read(place, digest, patient)
    if found is not None:
        return found
    made = make()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(prefix=f".{digest[:12]}.", dir=folder))
        try:
            np.save(staged / _INPUTS, np.ascontiguousarray(made.inputs, dtype=np.float32))
            np.save(staged / _TARGET, np.ascontiguousarray(made.target))
            answers = [None if math.isnan(one) else one for one in made.answers]
            facts = {"spacing_kji_mm": list(made.spacing_kji_mm), "answers": answers}
            (staged / _FACTS).write_text(json.dumps(facts), encoding="utf-8")
            if place.exists():  # of another form, or damaged
                shutil.rmtree(place)
            os.replace(staged, place)  # noqa: PTH105  a folder, at once
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    except OSError as error:
        raise NodeError(RUN_NOT_WRITTEN, path=folder, error=error.strerror or str(error)) from error
    again = _read(place, digest, patient)
    return made if again is None else again


def _read(place: Path, digest: str, patient: str) -> Sample | None:
    try:
        inputs = np.load(place / _INPUTS, mmap_mode="r", allow_pickle=False)
        target = np.load(place / _TARGET, mmap_mode="r", allow_pickle=False)
        facts = json.loads((place / _FACTS).read_text(encoding="utf-8"))
        k, j, i = facts["spacing_kji_mm"]
        answers = tuple(math.nan if one is None else float(one) for one in facts.get("answers", ()))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # there is none, or it is damaged: it is made anew
    return Sample(
        name=digest,
        patient=patient,
        inputs=inputs,
        target=target,
        spacing_kji_mm=(k, j, i),
        answers=answers,
    )
