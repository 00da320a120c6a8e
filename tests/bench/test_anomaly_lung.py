"""What the bench of anomaly-lung computes itself."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from dicomnode.evaluate.intervals import Resampling, bootstrap_interval
from dicomnode.values import Grid, ScalarMap
from dicomnode.values.codes import NO_UNIT
from tests.bench import anomaly_lung
from tests.bench.anomaly_lung import area, by_chance, page, places_of, rank_of


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch):
    """The limits of intervals are not looked at here: a hundred draws are as good as thousands."""
    few = partial(bootstrap_interval, resampling=Resampling(resamples=100))
    monkeypatch.setattr(anomaly_lung, "bootstrap_interval", few)


def unusual(*places: tuple[tuple[int, int, int], float]) -> ScalarMap:
    values = np.full((30, 30, 30), 0.3, np.float32)
    for (k, j, i), value in places:
        values[k - 1 : k + 2, j - 1 : j + 2, i - 1 : i + 2] = value
    grid = Grid((30, 30, 30), np.diag([4.0, 4.0, 4.0, 1.0]), "1.2.3")
    return ScalarMap(label="map", type=NO_UNIT, unit=NO_UNIT, values=values, grid=grid, algorithm="x 1")


def row(seed: int, score: float, *, normal: bool = False, diseases=(), nodules=()) -> dict:
    return {
        "seed": seed,
        "score": score,
        "normal": normal,
        "called": score > 1.0,
        "diseases": list(diseases),
        "nodules": list(nodules),
        "lung_ml": 4000.0,
    }


def test_places_are_the_highest_of_the_map_each_once_and_apart() -> None:
    found = places_of(unusual(((8, 9, 10), 4.0), ((20, 20, 20), 6.0), ((20, 22, 20), 5.0)), most=5)
    (first, high), (second, lower) = found[:2]
    assert np.linalg.norm(np.subtract(first, (80.0, 80.0, 80.0))) <= 8.0
    assert np.linalg.norm(np.subtract(second, (40.0, 36.0, 32.0))) <= 4.0
    assert high > lower
    for number, (one, _) in enumerate(found):
        assert all(np.linalg.norm(np.subtract(one, other)) >= 12.0 for other, _ in found[:number])


def test_a_lesion_has_the_rank_of_the_first_place_on_it() -> None:
    places = [((0.0, 0.0, 0.0), 5.0), ((50.0, 0.0, 0.0), 4.0), ((52.0, 0.0, 0.0), 3.0)]
    assert rank_of((51.0, 0.0, 0.0), 4.0, places) == 2
    assert rank_of((0.0, 9.0, 0.0), 20.0, places) == 1
    assert rank_of((0.0, 9.0, 0.0), 4.0, places) is None


def test_places_by_chance_hit_a_lesion_by_its_part_of_the_lungs() -> None:
    one = row(1, 0.0)
    part = 4.0 / 3.0 * np.pi * 10.0**3 / 1000.0 / 4000.0
    assert by_chance(one, {"diameter_mm": 20.0}, 1) == pytest.approx(part)
    assert by_chance(one, {"diameter_mm": 20.0}, 10) == pytest.approx(10.0 * part, rel=0.01)


def test_scans_are_told_apart_where_every_sick_one_scores_higher() -> None:
    normal = [row(n, 0.1 * n, normal=True) for n in range(8)]
    strange = [row(n, 2.0 + n, diseases=["emphysema"]) for n in range(8)]
    assert area(normal, strange).figure.value == 1.0
    assert area(normal, [row(1, 0.35)]).figure.value == pytest.approx(0.5)


def test_the_page_counts_what_was_called_found_and_not_analysed() -> None:
    nodules = [{"diameter_mm": 5.0, "rank": None}, {"diameter_mm": 9.0, "rank": 3}]
    rows = [row(n, 0.5, normal=True) for n in range(4)] + [row(4, 0.0, normal=True)]
    rows += [row(n, 2.0, diseases=["emphysema"], nodules=nodules) for n in range(4)]
    rows.append(row(9, 3.0) | {"score": None})
    text = "\n".join(page(rows))
    assert "1 of 10 scans were not analysed" in text
    assert "Called unusual: 0 of 5 without disease, 4 of 4 with." in text
    assert "| emphysema, beside what else they have | 4 | 1.00" in text
    assert "| all | 8 | 0 | 4 | 4 | 4 |" in text
    assert "| below 6 mm | 4 | 0 | 0 | 0 | 0 |" in text
