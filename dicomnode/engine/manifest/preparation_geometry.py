"""Entries of `prepare` that change the grid: on which voxels a network looks.

Every one keeps the axes of the grid parallel to what they were, and the affine of the result says where each
voxel lies, so that what is found goes back to the source by the grids alone.
"""

# ruff: noqa: RUF009  keys are declared by calls, as in dicomnode.settings.schema

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from dicomnode.settings.keys import NOT_NEGATIVE, POSITIVE, Rule, key, needed

Interpolation = Literal["linear", "nearest", "cubic"]

LONGEST_AXIS: Final = 4096  # voxels; a radiograph of 43 cm at 0.1 mm is one

COUNTS: Final = Rule(
    f"whole numbers from 1 to {LONGEST_AXIS}", lambda counts: all(1 <= n <= LONGEST_AXIS for n in counts)
)
_SPACINGS: Final = Rule(
    "numbers above 0, or 0 along axes that stay, at most two",
    lambda numbers: all(n >= 0 for n in numbers) and any(n > 0 for n in numbers),
)
_OPPOSITES: Final = ("LR", "AP", "IS")


def _is_orientation(code: str) -> bool:
    return len(code) == 3 and all(sum(letter in pair for letter in code) == 1 for pair in _OPPOSITES)


ORIENTATION: Final = Rule(
    'three letters, one of L and R, one of P and A, one of S and I, such as "LPS"', _is_orientation
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """Keys of one entry that cannot stand together: which key, what was expected, and what to do."""

    key: str
    expected: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """A table of keys that one entry of `prepare` takes."""

    def contradiction(self) -> Contradiction | None:
        """Return what cannot stand together, which no key alone can tell."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resample(Declaration):
    """A new spacing.

    `align`, for n voxels of `have` mm and a spacing of `want` mm: "faces" begins at the outer face of the
    first voxel and takes round(n · have / want) voxels of exactly `want`; "extent" keeps both outer faces
    and lets the spacing give (scikit-image, nnU-Net); "first_centre" keeps the first voxel's centre and
    takes round((n − 1) · have / want) + 1 voxels of exactly `want`; "corners" keeps the first and the last
    centre and lets the spacing give; "monai" is MONAI's Spacing: as first_centre with as many voxels, but of
    images that lie obliquely index n / 2 keeps its place, and a spacing within 0.001 mm stays.
    """

    spacing_kji_mm: tuple[float, float, float] = needed(
        "New spacing along k, j, i, in mm; 0 along an axis that stays as it is.", _SPACINGS
    )
    interpolation: Interpolation = key(
        "linear", "linear; nearest (of two equally near the later one); or cubic: a spline, kept in range."
    )
    align: Literal["faces", "extent", "first_centre", "corners", "monai"] = key(
        "faces", "What the old and the new grid share, see above."
    )
    blur: bool = key(True, "Whether axes that become coarser are blurred first; nearest never is.")
    thick_slices: Literal["same", "nearest"] = key(
        "same",
        "nearest: across the one axis whose spacing, old or new, is over 3 times the smallest, the nearest "
        "voxel is taken, and the planes are interpolated one by one (nnU-Net).",
    )

    def spacing_from(self, have_kji_mm: Sequence[float]) -> tuple[float, float, float]:
        """Return the new spacing of an image that has `have_kji_mm`: its own along axes that stay."""
        k, j, i = (want or have for want, have in zip(self.spacing_kji_mm, have_kji_mm, strict=True))
        return k, j, i


@dataclass(frozen=True, slots=True, kw_only=True)
class Resize(Declaration):
    """A fixed number of voxels, whatever the spacing becomes.

    `align`: "extent" keeps both outer faces (torch with align_corners false, scikit-image), "corners" keeps
    the first and the last centre (align_corners true).
    """

    shape_kji: tuple[int, int, int] = needed("Voxels along k, j, i.", COUNTS)
    interpolation: Literal["linear", "nearest", "cubic", "area"] = key(
        "linear",
        "As for resample; area: the mean of the voxels that a new one covers, in part or whole (torch).",
    )
    align: Literal["extent", "corners"] = key("extent", "What the old and the new grid share, see above.")
    blur: bool = key(True, "Whether axes that become coarser are blurred first; nearest and area never are.")

    def contradiction(self) -> Contradiction | None:
        """The mean over what a new voxel covers knows faces only."""
        if self.interpolation == "area" and self.align == "corners":
            return Contradiction(
                key="align", expected='"extent"', hint="area goes by what a voxel covers, between its faces."
            )
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Letterbox(Declaration):
    """Each slice in a box of its plane, scaled alike along j and i in mm, and padded on both sides."""

    shape_ji: tuple[int, int] = needed("Rows and columns.", COUNTS)
    interpolation: Interpolation = key("linear", "As for resample.")
    blur: bool = key(True, "Whether a slice that becomes coarser is blurred first; nearest never is.")
    value: float = key(0.0, "Value of what is padded.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CropForeground(Declaration):
    """The box around what is not background; a volume of background alone stays whole.

    Order: the box, then the margin, then the multiple, added on both sides alike.
    """

    above: float | None = key(None, "Voxels above it count; without it, all that are not 0.")
    margin_voxels: int = key(0, "Added on each side.", NOT_NEGATIVE)
    multiple: int = key(1, "Sides become a multiple of it.", POSITIVE)
    outside: Literal["stop", "pad"] = key(
        "stop", "stop: the box ends where the volume does; pad: it goes on beyond, with `value` (MONAI)."
    )
    value: float = key(0.0, "Value of what is padded.")

    def contradiction(self) -> Contradiction | None:
        """A box that stops at the volume's end need not be a multiple of anything."""
        if self.multiple > 1 and self.outside == "stop":
            return Contradiction(
                key="multiple",
                expected='1, or outside = "pad"',
                hint="The volume may end before the multiple.",
            )
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class CropCentre(Declaration):
    """The middle of the volume: from n voxels m, beginning at n // 2 − m // 2 (MONAI's CenterSpatialCrop)."""

    shape_kji: tuple[int, int, int] = needed(
        "Most voxels along k, j, i; an axis that is shorter stays.", COUNTS
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pad(Declaration):
    """More voxels, up to a shape or to a multiple; axes that are long enough stay.

    Of an odd number to be added on both sides, the one more comes at the end (MONAI, nnU-Net).
    """

    shape_kji: tuple[int, int, int] | None = key(None, "Least voxels along k, j, i.", COUNTS)
    multiple_kji: tuple[int, int, int] | None = key(None, "Sides become multiples of these.", COUNTS)
    mode: Literal["constant", "edge", "reflect"] = key(
        "constant", "constant: `value`; edge: the last voxel; reflect: mirrored at the last voxel."
    )
    value: float | None = key(None, "Value of what is padded, for constant; 0 unless given.")
    where: Literal["symmetric", "end"] = key("symmetric", "On both sides, or at the end of each axis.")

    def contradiction(self) -> Contradiction | None:
        """One size, and a value only where there is one."""
        if (self.shape_kji is None) == (self.multiple_kji is None):
            return Contradiction(
                key="shape_kji", expected="exactly one of shape_kji, multiple_kji", hint="Use two entries."
            )
        if self.value is not None and self.mode != "constant":
            return Contradiction(
                key="value", expected='no such key, or mode = "constant"', hint=f"{self.mode} takes no value."
            )
        return None
