"""What became of lesions: in numbers, and never more than both studies show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dicomnode.analyse.compare import Between, changes_of, doubling_days, made_differently
from dicomnode.analyse.concepts import CONCEPTS, OF_CHANGES
from dicomnode.analyse.grids import covers
from dicomnode.analyse.pairing import Lesion
from dicomnode.analyse.register import Registration
from dicomnode.values import Change, ChangeKind, Grid, SourceHeaders, Volume
from tests.unit.analyse.test_pairing import NODULE, lesion
from tests.unit.analyse.test_register import volume
from tests.unit.report.sources import Series, header_bytes

NOW = volume(np.zeros((20, 40, 40)), np.diag([2.0, 2.0, 4.0, 1.0]), "1.2.3.9")
SHIFT_MM = (30.0, -20.0, 8.0)


def between(days: int | None = 365, then: Volume = NOW) -> Between:
    """The earlier volume lies shifted over the current one."""
    moved = np.eye(4)
    moved[:3, 3] = SHIFT_MM
    registration = Registration(kind="rigid", moved_lps=moved, error_mm=0.0, overlap=1.0, information=1.0)
    return Between(now=NOW, then=then, registration=registration, days=days)


@pytest.mark.parametrize(
    ("earlier_mm3", "now_mm3", "days", "doubling"),
    [
        (100.0, 200.0, 365.0, 365.0),  # by its name
        (100.0, 800.0, 90.0, 30.0),  # three doublings
        (200.0, 450.0, 30.0, 25.64),  # ln 2 / (0.811 / 30)
        (1000.0, 1250.0, 90.0, 279.6),  # the least growth that is called one, in three months
        (1000.0, 2000.376, 100.0, 99.97),  # a ball whose diameter grew by 26 %: 1.26 ** 3
        (523.6, 696.9, 100.0, 242.4),  # of 10 mm to 11 mm
    ],
)
def test_the_doubling_time_is_that_of_exponential_growth(
    earlier_mm3: float, now_mm3: float, days: float, doubling: float
) -> None:
    assert doubling_days(earlier_mm3, now_mm3, days) == pytest.approx(doubling, rel=5e-4)


@pytest.mark.parametrize(
    "given", [(100.0, 100.0, 30.0), (100.0, 90.0, 30.0), (0.0, 1.0, 1.0), (1.0, 2.0, 0.0)]
)
def test_what_did_not_grow_has_no_doubling_time(given: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="no doubling time"):
        doubling_days(*given)


def only(now: list[Lesion], then: list[Lesion], what: Between | None = None) -> Change:
    (change,) = changes_of(now, then, what or between())
    return change


@pytest.mark.parametrize(
    ("now_mm3", "days", "percent", "doubling"),
    [
        (1270.0, 310, 27.0, 899.0),
        (1250.0, 90, 25.0, 279.6),
        (1249.0, 90, 24.9, None),  # may be the same, measured again
        (760.0, 90, -24.0, None),
        (500.0, 90, -50.0, None),  # it shrank
        (2000.0, None, 100.0, None),  # nobody knows in what time
    ],
)
def test_a_pair_has_its_change_and_only_sure_growth_a_doubling_time(
    now_mm3: float, days: int | None, percent: float, doubling: float | None
) -> None:
    change = only([lesion(40.0, 40.0, 40.0, now_mm3)], [lesion(41.0, 40.0, 40.0, 1000.0)], between(days))
    assert change.kind is ChangeKind.MEASURED
    assert (change.earlier_volume_mm3, change.days) == (1000.0, days)
    assert change.percent == pytest.approx(percent, abs=1e-9)
    assert change.doubling_days == (None if doubling is None else pytest.approx(doubling, rel=5e-4))


@pytest.mark.parametrize(
    ("x_mm", "kind"),
    [(60.0, ChangeKind.NEW), (29.1, ChangeKind.NEW), (28.0, ChangeKind.NOT_IMAGED_THEN)],
)
def test_new_is_only_what_the_earlier_study_would_show(x_mm: float, kind: ChangeKind) -> None:
    """Its first column lies at 30 mm here, 2 mm wide."""
    change = only([lesion(x_mm, 20.0, 20.0)], [])
    assert (change.kind, change.label) == (kind, f"at {x_mm:g}")
    assert change.percent is change.earlier_volume_mm3 is None


@pytest.mark.parametrize(
    ("x_mm", "kind"), [(78.9, ChangeKind.NOT_FOUND_NOW), (79.5, ChangeKind.NOT_IMAGED_NOW)]
)
def test_gone_is_only_what_this_study_would_show(x_mm: float, kind: ChangeKind) -> None:
    change = only([], [lesion(x_mm, 20.0, 20.0, 700.0)])
    assert (change.kind, change.label, change.earlier_volume_mm3) == (kind, None, 700.0)
    assert change.centre_lps_mm == (x_mm, 20.0, 20.0)


@pytest.mark.parametrize("sizes", [(None, 500.0), (500.0, None), (None, None)])
def test_without_an_outline_there_is_no_change_and_nothing_is_new_or_gone(
    sizes: tuple[float | None, float | None],
) -> None:
    change = only([lesion(40.0, mm3=sizes[0])], [lesion(41.0, mm3=sizes[1])])
    assert (change.kind, change.percent) == (ChangeKind.FOUND_IN_BOTH, None)


def test_those_found_now_come_first_in_their_order() -> None:
    now = [lesion(70.0, 20.0, 20.0), lesion(40.0, 20.0, 20.0)]
    then = [lesion(5.0), lesion(40.0, 20.0, 20.0)]
    changes = changes_of(now, then, between())
    assert [one.label for one in changes] == ["at 70", "at 40", None]
    kinds = [ChangeKind.NEW, ChangeKind.MEASURED, ChangeKind.NOT_FOUND_NOW]
    assert [one.kind for one in changes] == kinds


def test_a_tilted_grid_covers_what_its_slices_do() -> None:
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    affine[1, 2] = 5.0  # each slice lies 5 mm further back
    grid = Grid((10, 10, 10), affine, "1.2")
    assert covers(grid, (4.0, 22.0, 8.0))
    assert not covers(grid, (4.0, 5.0, 8.0))
    assert covers(grid, (4.0, 2.0, 0.0))


def made(spacing_k_mm: float, kernel: str | None) -> Volume:
    extra = {} if kernel is None else {"ConvolutionKernel": kernel}
    header = header_bytes(Series(extra=extra).datasets()[0])
    plain = volume(np.zeros((4, 5, 6)), np.diag([1.0, 1.0, spacing_k_mm, 1.0]), "1.2.3.9")
    return replace(plain, headers=SourceHeaders((header,)))


@pytest.mark.parametrize(
    ("now", "then", "says"),
    [
        ((1.0, "B30f"), (1.5, "B30f"), None),
        ((1.0, "B30f"), (1.6, "B30f"), "slices every 1 mm, then every 1.6 mm"),
        ((5.0, "B30f"), (1.0, "B30f"), "slices every 5 mm, then every 1 mm"),
        ((1.0, "B30f"), (1.0, "B70f"), "kernel B30f, then B70f"),
        ((1.0, "B30f"), (1.0, None), None),
        ((1.0, None), (3.0, "B30f"), "slices every 1 mm, then every 3 mm"),
        ((1.0, "B30f"), (2.0, "B70f"), "slices every 1 mm, then every 2 mm; kernel B30f, then B70f"),
    ],
)
def test_images_that_were_made_otherwise_are_remarked(
    now: tuple[float, str | None], then: tuple[float, str | None], says: str | None
) -> None:
    said = [one.text for one in made_differently(made(*now), made(*then))]
    assert len(said) == (says is not None)
    assert all(f"({says})" in one for one in said)


@pytest.mark.parametrize("days", [0, -3])
def test_a_study_that_was_not_before_has_no_days(days: int) -> None:
    with pytest.raises(ValueError, match="days"):
        between(days)


def test_what_a_comparison_measures_is_nothing_that_an_engine_asks_for() -> None:
    assert not set(OF_CHANGES) & set(CONCEPTS)
    assert NODULE not in {one.code for one in OF_CHANGES.values()}
    assert len({one.code for one in OF_CHANGES.values()} | {one.code for one in CONCEPTS.values()}) == 11
