"""Algorithms that look for lesions, as a step: what they find comes onto the images as lesions."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import pytest

from dicomnode.analyse import algorithm_step, checks, each
from dicomnode.analyse.algorithms import Blob, LesionAlgorithm, RowAlgorithm
from dicomnode.analyse.lesion_step import mask_onto
from dicomnode.analyse.radiomics import row_of_region
from dicomnode.analyse.resample import Prepared, resample
from dicomnode.engine import load_package
from dicomnode.faults import MANIFEST_WRONG, NodeError
from dicomnode.values import Grid, Mask, Outcome, RegionKind, RemarkKind
from dicomnode.values.codes import HOUNSFIELD, NO_UNIT
from tests.unit.analyse import lesion_engines as made
from tests.unit.analyse.conftest import affine_of
from tests.unit.analyse.forms import CT, LESION, TISSUE, run, step

LOOKS = '[[step]]\nname = "net"\nalgorithm = "spots"\ninterpret = "lesions"\nparameters = { above = 30 }\n'


def _run(image: Prepared, within, parameters, progress) -> tuple[Blob, ...]:
    """Give the drawn spots of which the middle is brighter than a parameter and lies within."""
    progress("spots", 1, 1)
    found = []
    for (k, j, i), value in sorted(made.SPOTS, key=lambda one: -one[1]):
        centre = (float(k), float(j), float(i))
        if value > parameters["above"] and within[k, j, i]:
            cube = np.ones((5, 5, 5), dtype=bool)
            found.append(
                Blob(
                    centre_kji=centre,
                    diameter_mm=6.0,
                    response=value,
                    start_kji=(k - 2, j - 2, i - 2),
                    mask=cube,
                )
            )
    return tuple(found)


SPOTS = LesionAlgorithm(
    name="spots", version=3, unit=HOUNSFIELD, parameters=MappingProxyType({"above": 10.0}), run=_run
)


@pytest.fixture(autouse=True)
def spots(monkeypatch) -> None:
    for module in (algorithm_step, checks):
        monkeypatch.setattr(module, "LESION_ALGORITHMS", {"spots": SPOTS})


def test_what_an_algorithm_finds_are_lesions_without_a_score_the_surest_first(tmp_path, make_volume):
    findings = run(made.spots_engine(tmp_path / "e", LOOKS + made.SEGMENT), make_volume(made.voxels()))
    assert [one.label for one in findings.segments] == ["spot-1", "spot-2"]
    assert [one.score for one in findings.segments] == [None, None]
    assert [one.algorithm for one in findings.segments] == ["spots 3", "spots 3"]
    assert np.array_equal(findings.segments[0].mask.to_array(), made.voxels() == 80.0)


def test_a_forest_on_their_rows_selects_them_as_it_does_those_of_a_network(tmp_path, make_volume):
    body = LOOKS.replace("30", "10") + made.ROWS + made.TYPE + made.SEGMENT + made.SELECTED + made.TEXTURE
    findings = run(made.spots_engine(tmp_path / "e", body), make_volume(made.voxels()))
    assert [one.score for one in findings.segments] == pytest.approx([made.bright(80.0), made.bright(50.0)])
    assert [one.features[0].values[0] for one in findings.segments] == [80.0, 50.0]


def test_it_looks_where_the_step_before_found_something(tmp_path, make_volume):
    lungs = step(keys='name = "half"\ninterpret = "sigmoid"') + (
        f'[[output]]\nsegment = "half"\nstep = "half"\nkind = "anatomy"\ncategory = {TISSUE}\n'
        f'type = {LESION}\ntracking = "Half"\n'
    )
    body = lungs + LOOKS.replace('"lesions"', '"lesions"\ncrop = "half"') + made.SEGMENT
    package = made.spots_engine(tmp_path / "e", body)
    # the network's logit "heat" is above 0 where a mean is above 20: around the two brighter spots only
    text = (
        (package.folder / "engine.toml")
        .read_text()
        .replace('interpret = "sigmoid"', 'interpret = "sigmoid"\noutput = "heat"')
    )
    (package.folder / "engine.toml").write_text(text)
    found = run(load_package(package.folder), make_volume(made.voxels()))
    assert [one.label for one in found.segments] == ["half", "spot-1", "spot-2"]
    nothing = run(load_package(package.folder), make_volume(np.zeros(made.SHAPE)))
    assert nothing.outcome == Outcome.NOT_ANALYSED, "it has not looked anywhere, which is not: none is there"


def test_on_images_of_another_grid_steps_measure_the_very_voxels_that_were_found(tmp_path, make_volume):
    finer = np.repeat(np.repeat(made.voxels(), 2, axis=1), 2, axis=2)  # 0.5 mm in the plane
    inputs = CT + "prepare = [ { resample_mm = [1.0, 1.0, 1.0] } ]\n"
    body = LOOKS + made.ROWS + made.SEGMENT + made.TEXTURE
    volume = make_volume(finer, spacing=(1.0, 0.5, 0.5))
    findings = run(made.spots_engine(tmp_path / "e", body, inputs), volume)
    assert [one.mask.count for one in findings.segments] == [5 * 10 * 10] * 2
    first = findings.segments[0]
    prepared = resample(Prepared(finer, volume.grid), (1.0, 1.0, 1.0))
    expected = row_of_region(prepared, made.voxels() == 80.0, names=first.features[0].names)
    assert first.features[0].values == pytest.approx(expected.astype(np.float32), rel=1e-5)


def test_what_is_too_small_for_the_slices_is_a_point(tmp_path, make_volume, monkeypatch):
    tiny = Blob(
        centre_kji=(5.0, 6.0, 7.0),
        diameter_mm=1.0,
        response=1.0,
        start_kji=(5, 6, 7),
        mask=np.ones((1, 1, 1), dtype=bool),
    )
    only = LesionAlgorithm(
        name="spots", version=3, unit=HOUNSFIELD, parameters=SPOTS.parameters, run=lambda *_: (tiny,)
    )
    monkeypatch.setattr(algorithm_step, "LESION_ALGORITHMS", {"spots": only})
    inputs = CT + "prepare = [ { resample_mm = [1.0, 1.0, 1.0] } ]\n"
    thick = make_volume(made.voxels()[::4], spacing=(4.0, 1.0, 1.0))
    (point,) = run(made.spots_engine(tmp_path / "e", LOOKS + made.SEGMENT, inputs), thick).regions
    assert point.kind is RegionKind.POINT
    assert point.score is None


def test_images_in_another_unit_are_not_analysed(tmp_path, make_volume):
    volume = make_volume(made.voxels(), unit=NO_UNIT)
    findings = run(made.spots_engine(tmp_path / "e", LOOKS + made.SEGMENT), volume)
    assert findings.outcome == Outcome.NOT_ANALYSED
    assert any(
        "not in [hnsf'U]" in one.text for one in findings.remarks if one.kind is RemarkKind.NOT_ANALYSED
    )


@pytest.mark.parametrize(
    ("was", "becomes", "said"),
    [
        ('interpret = "lesions"', "", 'gives lesions: interpret = "lesions"'),
        ("above = 30", "over = 30", "parameters are above, not over"),
        ('interpret = "lesions"', 'interpret = "features"', 'gives lesions: interpret = "lesions"'),
        ('"spots"', '"spotz"', "algorithm is one of"),
    ],
)
def test_what_such_a_step_cannot_be_is_refused_when_the_engine_is_loaded(
    tmp_path, make_volume, was, becomes, said
):
    body = LOOKS.replace(was, becomes)
    body += made.SEGMENT if "features" not in becomes else made.TEXTURE.replace("rows", "net")
    with pytest.raises(NodeError) as caught:
        run(made.spots_engine(tmp_path / "e", body), make_volume(made.voxels()))
    assert caught.value.fault is MANIFEST_WRONG
    assert said in str(caught.value)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 0.7, 0.7), (0.5, 0.5, 0.5)])
def test_a_ball_keeps_its_volume_on_another_grid(spacing):
    grid = Grid((40, 40, 40), affine_of((1.25, 1.25, 1.25)), "1.2.3")
    k, j, i = np.ogrid[:40, :40, :40]
    ball = (k - 20) ** 2 + (j - 20) ** 2 + (i - 20) ** 2 <= 4.0**2
    shape = tuple(int(50 / one) for one in spacing)
    other = Grid((shape[0], shape[1], shape[2]), affine_of(spacing), "1.2.3")
    found = mask_onto(Mask.from_array(ball), grid, other)
    assert found.count * other.voxel_mm3 == pytest.approx(ball.sum() * grid.voxel_mm3, rel=0.1)


def test_an_algorithm_that_looks_around_a_lesion_sees_as_far_as_it_says(tmp_path, make_volume, monkeypatch):
    def seen(image, mask, parameters, names):
        del parameters, names
        return np.array([image.voxels.size, mask.sum()], dtype=np.float64)

    looks = RowAlgorithm(
        name="radiomics",
        version=1,
        parameters=MappingProxyType({}),
        names=("n", "own"),
        run=seen,
        around_mm=3.0,
    )
    for module in (algorithm_step, each, checks):
        monkeypatch.setattr(module, "ROW_ALGORITHMS", {"radiomics": looks})
    rows = made.ROWS.partition("[step.features]")[0]
    findings = run(
        made.spots_engine(tmp_path / "e", LOOKS + rows + made.SEGMENT + made.TEXTURE),
        make_volume(made.voxels()),
    )
    seen_of_each = [one.features[0].values.tolist() for one in findings.segments]
    assert seen_of_each == [[11.0**3, 125.0], [10.0 * 11.0**2, 125.0]], "the second lies near the first slice"
