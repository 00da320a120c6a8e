"""Chest CTs of patients of nobody: other figures, diseases, and nodules that are as hard as real ones.

`chest` gives a scan with its truth. `bare_chest` gives the same patient before the scanner and without
nodules, to plant into. A seed is a patient; its anatomy is the same at every size and spacing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dicomnode.phantom.anatomy import Size
from dicomnode.phantom.body import Body
from dicomnode.phantom.change import Change, Disease
from dicomnode.phantom.figure import APEX_MM, FLOOR_MM
from dicomnode.phantom.header import SALT
from dicomnode.phantom.lattice import Float32
from dicomnode.phantom.lumps import draw_plan
from dicomnode.phantom.nodules import PlantedNodule
from dicomnode.phantom.patient import Patient
from dicomnode.phantom.places import HIDDEN, PLACES, Place, Seated, Seats, Wish
from dicomnode.phantom.protocol import Protocol, draw_protocol, into_slices, take
from dicomnode.phantom.streams import stream
from dicomnode.values import Grid, Mask, PointLps, derive_uid

CHEST_VERSION: Final = "1"
"""Goes up when a voxel of a chest changes: what was measured on the suite is of one version."""

_COLUMNS: Final[dict[Size, int]] = {"full": 384, "small": 200}
_PLANE_MM: Final[dict[Size, float]] = {"full": 1.25, "small": 2.0}  # about, of what a slice is made of
_PLACED: Final = (0.50, 0.30, 0.15, 0.05)  # how often a nodule lies in each of PLACES


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What of a patient is not left to the seed; None: it is.

    nodules: () for none. enhanced: whether contrast medium was given.
    """

    diseases: tuple[Disease, ...] | None = None
    nodules: tuple[Wish, ...] | None = None
    protocol: Protocol | None = None
    enhanced: bool | None = None


@dataclass(frozen=True)
class Distractor:
    """What may be taken for a nodule, or hides one. ignore: no reader could tell it from a nodule."""

    kind: str
    centre_lps_mm: PointLps
    radius_mm: float
    ignore: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class BareChest:
    """A patient before the scanner, without nodules.

    hu: float32 (k, j, i), noise-free. lungs: uint8, 0, 1 right, 2 left; consolidated and collapsed lung is
    lung, fluid and what belongs to the pleura are not, nor are airways from the segmental bronchi up.
    """

    seed: int
    hu: Float32
    grid: Grid
    lungs: NDArray[np.uint8]
    distractors: tuple[Distractor, ...]
    diseases: tuple[Disease, ...]
    enhanced: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class ChestScan:
    """A scan of a patient and its truth.

    voxels: (k, j, i) int16 HU. lung_right, lung_left: as `BareChest.lungs`, voxels most of which is
    lung. nodules: all that are there (one that was wished for where there is no place for it is not); volume
    and diameter are those of what was painted, in planes as fine as the phantom has, so that thick slices do
    not round them; mask: voxels most of which is nodule.
    """

    seed: int
    size: Size
    voxels: NDArray[np.int16]
    grid: Grid
    lung_right: Mask
    lung_left: Mask
    nodules: tuple[PlantedNodule, ...]
    distractors: tuple[Distractor, ...]
    diseases: tuple[Disease, ...]
    protocol: Protocol
    enhanced: bool


_ANY: Final = World()


def chest(seed: int, size: Size = "full", *, world: World = _ANY) -> ChestScan:
    """Scan the patient of `seed`, 384 columns ("full") or 200 ("small", with slices of at least 2 mm).

    The same arguments give the same voxels. What `world` says changes nothing else of the patient.
    """
    protocol = world.protocol or draw_protocol(stream(seed, "protocol"))
    increment = protocol.increment_mm if size == "full" else max(protocol.increment_mm, 2.0)
    if increment > protocol.thickness_mm:
        protocol = _as_thick(protocol, increment)
    per_slice = max(1, round(increment / _PLANE_MM[size]))
    body = Body.of(seed, world.diseases, enhanced=world.enhanced)
    fine = _scan_grid(body.patient, protocol, (_COLUMNS[size], increment / per_slice, per_slice), seed)
    ground, change = body.painted(fine)
    wishes = _drawn_wishes(stream(seed, "wishes")) if world.nodules is None else world.nodules
    seats = Seats(ground)
    drawn = (seats.seat(wish, n, stream(seed, f"nodule {n}")) for n, wish in enumerate(wishes))
    seated = [one for one in drawn if one is not None]
    voxels = take(ground.hu, fine.spacing_kji_mm, per_slice, protocol, seed)
    grid = _slices_grid(fine, per_slice)
    right, left = (_lung(ground.lungs == number, per_slice) for number in (1, 2))
    nodules = tuple(_truth(one, n, (fine, grid, per_slice)) for n, one in enumerate(seated, start=1))
    return ChestScan(
        seed=seed,
        size=size,
        voxels=voxels,
        grid=grid,
        lung_right=right,
        lung_left=left,
        nodules=nodules,
        distractors=_distractors(change, body.patient),
        diseases=body.diseases,
        protocol=protocol,
        enhanced=body.patient.enhanced,
    )


def bare_chest(
    seed: int, *, spacing_mm: float = 1.25, margin_mm: float = 25.0, world: World = _ANY
) -> BareChest:
    """Give the patient of `seed` noise-free and without nodules, on a grid of `spacing_mm` in all axes.

    The grid holds the lungs and about `margin_mm` around them, so that acquisition can be simulated after
    nodules were planted.
    """
    body = Body.of(seed, world.diseases, enhanced=world.enhanced)
    ground, change = body.painted(_iso_grid(body, spacing_mm, margin_mm))
    return BareChest(
        seed=seed,
        hu=ground.hu,
        grid=ground.grid,
        lungs=ground.lungs,
        distractors=_distractors(change, body.patient),
        diseases=body.diseases,
        enhanced=body.patient.enhanced,
    )


def _scan_grid(patient: Patient, protocol: Protocol, form: tuple[int, float, int], seed: int) -> Grid:
    """The planes of a scan. form: columns, mm from plane to plane, planes per slice."""
    columns, plane_mm, per_slice = form
    rng = stream(seed, "field of view")
    figure = patient.figure
    whole = 2.0 * float(figure.body_half_width_mm(np.array([70.0], dtype=np.float32)).max()) + float(
        rng.uniform(16.0, 40.0)
    )
    lungs = 2.0 * 134.0 * figure.width + float(rng.uniform(24.0, 50.0))
    pixel = (lungs if protocol.lung_field else whole) / columns
    top = (APEX_MM + float(rng.uniform(10.0, 26.0))) * patient.stretch
    low = (FLOOR_MM - float(rng.uniform(8.0, 40.0))) * patient.stretch
    planes = int((top - low) / (plane_mm * per_slice)) * per_slice
    affine = np.diag((pixel, pixel, plane_mm, 1.0))
    across = -pixel * (columns - 1) / 2
    affine[:3, 3] = (across, across + (2.0 if protocol.lung_field else 8.0), top - plane_mm * (planes - 1))
    uid = derive_uid(SALT, CHEST_VERSION, "chest", str(seed), str(columns), repr(protocol))
    return Grid((planes, columns, columns), affine, uid)


def _slices_grid(fine: Grid, per_slice: int) -> Grid:
    affine = fine.affine_lps.copy()
    affine[:3, 3] += affine[:3, 2] * (per_slice - 1) / 2
    affine[:3, 2] *= per_slice
    k, j, i = fine.shape_kji
    return Grid((k // per_slice, j, i), affine, fine.frame_of_reference_uid)


def _iso_grid(body: Body, spacing_mm: float, margin_mm: float) -> Grid:
    low = body.extent_mm[:, 0] - margin_mm
    sizes = body.extent_mm[:, 1] - low + margin_mm
    counts = np.ceil(sizes / spacing_mm).astype(int) + 1
    affine = np.diag((spacing_mm, spacing_mm, spacing_mm, 1.0))
    affine[:3, 3] = low[::-1]
    uid = derive_uid(SALT, CHEST_VERSION, "bare chest", str(body.seed), repr(spacing_mm))
    k, j, i = counts.tolist()
    return Grid((k, j, i), affine, uid)


def _as_thick(protocol: Protocol, increment_mm: float) -> Protocol:
    return Protocol(
        thickness_mm=increment_mm,
        increment_mm=increment_mm,
        kernel=protocol.kernel,
        noise_hu=protocol.noise_hu,
        lung_field=protocol.lung_field,
    )


def _drawn_wishes(rng: np.random.Generator) -> tuple[Wish, ...]:
    """None to eight nodules, log-uniform from 3 to 25 mm."""
    wishes = []
    for _ in range(int(rng.integers(0, 9))):
        plan = draw_plan(rng, float(np.exp(rng.uniform(np.log(3.0), np.log(25.0)))))
        place: Place = PLACES[int(rng.choice(len(PLACES), p=_PLACED))]
        wishes.append(Wish(diameter_mm=plan.diameter_mm, kind=plan.kind, place=place, margin=plan.margin))
    return tuple(wishes)


def _lung(inside: NDArray[np.bool_], per_slice: int) -> Mask:
    return Mask.from_array(into_slices(inside, 0, per_slice)[1])


def _truth(seated: Seated, number: int, grids: tuple[Grid, Grid, int]) -> PlantedNodule:
    fine, grid, per_slice = grids
    planted = seated.lump
    starts = np.array([part.start for part in planted.at])
    middle = np.argwhere(planted.inside).mean(axis=0) + starts
    x, y, z = fine.to_lps_mm(middle).tolist()
    first, inside = into_slices(planted.inside, int(starts[0]), per_slice)
    return PlantedNodule(
        label=f"nodule-{number}",
        centre_lps_mm=(x, y, z),
        diameter_mm=seated.diameter_mm,
        volume_mm3=int(planted.inside.sum()) * fine.voxel_mm3,
        kind=seated.wish.kind,
        side="right" if x < 2.0 else "left",
        mask=Mask.from_crop(inside, grid.shape_kji, (first, int(starts[1]), int(starts[2]))),
        ignore=planted.kept < HIDDEN or seated.diameter_mm < 3.0,
        place=seated.wish.place,
        margin=seated.wish.margin,
    )


def _distractors(change: Change, patient: Patient) -> tuple[Distractor, ...]:
    return tuple(
        Distractor(
            m.kind, (m.centre_mm[2], m.centre_mm[1], m.centre_mm[0] * patient.stretch), m.radius_mm, m.ignore
        )
        for m in change.marks
    )
