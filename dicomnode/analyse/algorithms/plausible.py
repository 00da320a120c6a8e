"""Are these lungs, and are they all of the lungs? What classical code gets wrong shows in a few numbers.

Region growing misses a collapsed or consolidated lobe, and takes bowel for lung; nearly all such failures
show in volume, ratio and density (van Rikxoort, RSNA 2007, SSA15-06). The limits are a table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from dicomnode.analyse.algorithms.airless import Airless


@dataclass(frozen=True, slots=True, kw_only=True)
class LungFacts:
    """What is measured of a lung mask before anybody believes in it. Volumes in ml, densities in HU.

    share: largest part of the body's cross-section that they take in a slice, 0 … 1. height_mm: of both
    together. cut_at_top, cut_at_bottom: sides that go on beyond the last and first slice. dense_ml: largest
    dense piece, thicker than a vessel. extra_air_ml: largest air-filled space among the lungs that belongs
    neither to them nor to the airways. airways_ml: 0 if there are none; branches: the most in one slice.
    by_plane: right and left were cut apart, not told apart. side_unsure: nobody knows which of both the only
    lung is. goes_on: the side on which most of the body lies beyond the images, or "". open_sides: where the
    edge of the images lies in a lung. airless: what is missing where lung should be.
    """

    right_ml: float
    left_ml: float
    mean_hu: float
    median_hu: float
    share: float
    height_mm: float
    cut_at_top: tuple[str, ...] = ()
    cut_at_bottom: tuple[str, ...] = ()
    dense_ml: float = 0.0
    extra_air_ml: float = 0.0
    airways_ml: float = 0.0
    branches: int = 0
    by_plane: bool = False
    side_unsure: bool = False
    goes_on: str = ""
    open_sides: tuple[str, ...] = ()
    airless: Airless = field(default_factory=Airless)

    @property
    def total_ml(self) -> float:
        """Both lungs."""
        return self.right_ml + self.left_ml

    @property
    def ratio(self) -> float:
        """Left over right; 0 when one is missing."""
        return self.left_ml / self.right_ml if self.left_ml and self.right_ml else 0.0

    @property
    def is_slab(self) -> bool:
        """Whether lungs go on beyond both the first and the last slice."""
        return bool(self.cut_at_top and self.cut_at_bottom)

    @property
    def whole(self) -> bool:
        """Whether no lung is cut by the first or last slice, or lies beyond a side of the images."""
        return not (self.cut_at_top or self.cut_at_bottom or self.goes_on)


@dataclass(frozen=True, slots=True)
class Check:
    """A limit: when it is broken, and the sentence that says so."""

    name: str
    broken: Callable[[LungFacts], bool]
    text: Callable[[LungFacts], str]


_LEAST_ML: Final = 150.0  # a slab of 20 mm through the middle of the chest holds 300 ml
_LEAST_WHOLE_ML: Final = 800.0  # of lungs that are seen whole; below it, it is bowel gas
_GAS_HU: Final = -965.0  # median: air without tissue in it
_LEAST_SHARE: Final = 0.12
_USUAL_ML: Final = (1500.0, 9000.0)
_USUAL_RATIO: Final = (0.55, 1.8)
_USUAL_HU: Final = (-950.0, -650.0)
_RATIO_FROM_MM: Final = 150.0  # a slab through the dome of the liver has more left lung by right
_DENSE_ML: Final = 2.0
_EXTRA_AIR_ML: Final = 50.0
_WALL_ML: Final = 15.0  # without fluid or collapse up to 3 were measured
_UNEVEN_ML: Final = 80.0  # up to 59 without collapse, 102 and more with that of an upper lobe
_WITHIN_ML: Final = 10.0  # without consolidation there was none
_AIRWAYS_ML: Final = (10.0, 150.0)


def _cut(facts: LungFacts) -> str:
    ends = {"top": facts.cut_at_top, "bottom": facts.cut_at_bottom}
    if facts.cut_at_top == facts.cut_at_bottom:
        ends = {"top and the bottom": facts.cut_at_top}
    parts = [f"the {_both(sides)} at the {end}" for end, sides in ends.items() if sides]
    return (
        f"The images do not cover the lungs, they cut off {' and '.join(parts)}: volumes are those of the "
        "part that is seen, and what lies outside was not looked at."
    )


def _only(facts: LungFacts) -> str:
    return "right" if facts.right_ml else "left"


def _beyond(facts: LungFacts) -> str:
    """Say of one lung that the other one lies beyond the images."""
    is_there = facts.goes_on not in ("", _only(facts))
    return f": on the {facts.goes_on} the body goes on beyond the images" if is_there else ""


def too_narrow(open_sides: tuple[str, ...]) -> str:
    """Say that lung reaches the edge of the images; "" where it does not."""
    if not open_sides:
        return ""
    return f"lungs reach the edge of the images {_on(open_sides)}, the field of view is too narrow"


def _narrow(facts: LungFacts) -> str:
    why = too_narrow(facts.open_sides)
    return f", and {why}" if why else ""


def _on(sides: tuple[str, ...]) -> str:
    return f"on {' and '.join(f'the {side}' for side in sides)}"


def _both(sides: tuple[str, ...]) -> str:
    return f"{' and '.join(sides)} lung{'s' if len(sides) > 1 else ''}"


# The first that is broken: there are no lungs to be analysed
REFUSALS: Final = (
    Check(
        "little air",
        lambda f: f.total_ml < _LEAST_ML,
        lambda f: f"only {f.total_ml:.0f} ml of lung-like air{_narrow(f)}",
    ),
    Check(
        "small",
        lambda f: f.total_ml < _LEAST_WHOLE_ML and (f.whole or (bool(f.open_sides) and not f.is_slab)),
        lambda f: (
            f"the air-filled spaces {'' if f.open_sides else 'are seen whole and '}hold only "
            f"{f.total_ml:.0f} ml{_narrow(f)}"
        ),
    ),
    Check(
        "gas",
        lambda f: f.median_hu < _GAS_HU,
        lambda f: f"the air-filled spaces hold no lung tissue (median {f.median_hu:.0f} HU)",
    ),
    Check(
        "share",
        lambda f: f.share < _LEAST_SHARE,
        lambda f: f"the air-filled spaces take at most {100 * f.share:.0f} % of the body's cross-section",
    ),
)

# Each that is broken: the lungs may be wrong, and the reader is told why
REASONS: Final = (
    Check(
        "one lung",
        lambda f: not (f.right_ml and f.left_ml),
        lambda f: f"Only the {_only(f)} lung was found{_beyond(f)}.",
    ),
    Check(
        "side",
        lambda f: f.side_unsure,
        lambda f: (
            f"The lung that was found lies where both could lie: it may be the "
            f"{'left' if f.right_ml else 'right'} one."
        ),
    ),
    Check(
        "by plane",
        lambda f: f.by_plane,
        lambda _: "The lungs touch over a wide area; right and left are divided by a plane.",
    ),
    Check(
        "volume",
        lambda f: f.total_ml > _USUAL_ML[1] or (f.whole and f.total_ml < _USUAL_ML[0]),
        lambda f: (
            f"The lungs hold {f.total_ml:.0f} ml, usual are {_USUAL_ML[0]:.0f} to {_USUAL_ML[1]:.0f} ml: "
            "their outline may be wrong."
        ),
    ),
    Check(
        "ratio",
        lambda f: (
            f.ratio > 0
            and f.height_mm >= _RATIO_FROM_MM
            and not _USUAL_RATIO[0] <= f.ratio <= _USUAL_RATIO[1]
        ),
        lambda f: (
            f"Right lung {f.right_ml:.0f} ml, left lung {f.left_ml:.0f} ml: the smaller one may be "
            "collapsed, consolidated or cut off in part, and its outline wrong."
        ),
    ),
    Check(
        "density",
        lambda f: not _USUAL_HU[0] <= f.mean_hu <= _USUAL_HU[1],
        lambda f: (
            f"The lungs have a mean of {f.mean_hu:.0f} HU, usual are {_USUAL_HU[0]:.0f} to "
            f"{_USUAL_HU[1]:.0f} HU: their outline may be wrong."
        ),
    ),
    Check(
        "cut",
        lambda f: bool(f.cut_at_top or f.cut_at_bottom),
        _cut,
    ),
    Check(
        "cut at a side",
        lambda f: bool(f.open_sides),
        lambda f: (
            f"The lungs reach the edge of the images {_on(f.open_sides)}: part of them is missing from the "
            "outline, and volumes are those of what was outlined."
        ),
    ),
    Check(
        "dense",
        lambda f: f.dense_ml > _DENSE_ML,
        lambda f: (
            f"A dense region of about {f.dense_ml:.0f} ml lies within the outline of a lung: mass, "
            "consolidation or effusion."
        ),
    ),
    Check(
        "wall",
        lambda f: max(f.airless.wall_right_ml, f.airless.wall_left_ml) > _WALL_ML,
        lambda f: (
            f"The lungs do not reach the ribs ({f.airless.wall_right_ml:.0f} ml lie between on the right, "
            f"{f.airless.wall_left_ml:.0f} ml on the left): fluid, thick pleura, or lung without air, which "
            "the outline leaves out."
        ),
    ),
    Check(
        "uneven",
        lambda f: (
            not f.cut_at_top and f.height_mm >= _RATIO_FROM_MM and abs(f.airless.uneven_ml) > _UNEVEN_ML
        ),
        lambda f: (
            f"The upper mediastinum is {abs(f.airless.uneven_ml):.0f} ml larger on the "
            f"{'right' if f.airless.uneven_ml > 0 else 'left'}: a collapsed lobe that the outline leaves "
            "out, or a mass."
        ),
    ),
    Check(
        "within",
        lambda f: f.airless.within_ml > _WITHIN_ML,
        lambda f: (
            f"{f.airless.within_ml:.0f} ml of dense tissue lie among a lung and outside its outline: "
            "consolidation or a mass."
        ),
    ),
    Check(
        "extra air",
        lambda f: f.extra_air_ml > _EXTRA_AIR_ML,
        lambda f: (
            f"{f.extra_air_ml:.0f} ml of air lie beside the lungs (stomach or bowel, oesophagus, hernia "
            "or pneumothorax)."
        ),
    ),
    Check(
        "airways missing",
        lambda f: not f.cut_at_top and f.height_mm >= _RATIO_FROM_MM and f.airways_ml == 0,
        lambda _: "The trachea was not found: airways may be counted as lung.",
    ),
    Check(
        "airways",
        lambda f: (
            f.airways_ml > 0
            and f.height_mm >= _RATIO_FROM_MM
            and (not _AIRWAYS_ML[0] <= f.airways_ml <= _AIRWAYS_ML[1] or f.branches < 2)
        ),
        lambda f: (
            f"The airways were followed over {f.airways_ml:.0f} ml and {f.branches} branch(es) only: "
            "part of them may be counted as lung."
        ),
    ),
)


def refused(facts: LungFacts) -> str | None:
    """Say why these are no lungs, or None."""
    return next((check.text(facts) for check in REFUSALS if check.broken(facts)), None)


def reasons(facts: LungFacts) -> tuple[str, ...]:
    """Say each reason to doubt the outline or the completeness of the lungs; none means it is plausible."""
    return tuple(check.text(facts) for check in REASONS if check.broken(facts))
