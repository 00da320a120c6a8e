"""What is tolerated where a volume is made is tolerated where its report is written, which lies right on it.

Otherwise the analysis would be lost at its end.
"""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread

from dicomnode.assemble import load_volume, read_studies
from dicomnode.faults import SOURCES_DISAGREE, NodeError
from dicomnode.report import ReportProfile, make_objects
from dicomnode.report.heading.headers import read_heading
from dicomnode.values.geometry import ALIKE_COSINES, ALIKE_SPACING
from tests.unit.assemble.series import PLANES, Series, affine_of, write_all
from tests.unit.report.real import source_of
from tests.unit.report.sources import SALT, findings, lung_segments

SPACING_MM = 0.703125


def datasets(shape_kji=(6, 40, 512), edit=lambda ds, k: None):
    """An axial CT of so many slices; edit changes each data set, k ascending."""
    affine = affine_of(*PLANES["axial"], spacing_kji=(2.5, SPACING_MM, SPACING_MM))
    stored = (np.arange(np.prod(shape_kji)) % 1009).astype(np.int16).reshape(shape_kji)
    made = Series(affine=affine, stored=stored).datasets()
    for k, ds in enumerate(made):
        edit(ds, k)
    return made


def volume_of(made, folder):
    """The only volume of a series."""
    for path in folder.glob("*"):
        path.unlink()
    write_all(made, folder)
    ((one,),) = (study.series for study in read_studies([folder]).studies)
    (stack,) = one.stacks
    assert stack.facts.refusal is None, stack.facts.refusal
    return load_volume(stack)


def found_on(volume):
    return findings(None, sources=(source_of(volume),), segments=lung_segments(volume.grid))


def spacing_at(slices, text):
    def edit(ds, k):
        if k in slices:
            ds.PixelSpacing = [text, text]

    return edit


def turned(by_k):
    """Rows and columns of these slices are turned within the plane by so much."""

    def edit(ds, k):
        by = by_k.get(k, 0.0)
        ds.ImageOrientationPatient = [1, by, 0, -by, 1, 0]
        ds.InstanceNumber = 1 if k == 3 else k + 2  # that all others are compared with

    return edit


def three_decimals(ds, k):
    """Rows and columns that are not quite perpendicular: half a pixel at the last row."""
    ds.ImageOrientationPatient = [0.9994, 0.0350, 0, -0.0341, 0.9994, 0]


TOLERATED = {
    "all alike": ((6, 40, 512), lambda ds, k: None, None),
    "the last spacing with three digits": ((6, 40, 512), spacing_at({5}, "0.703"), "spacing"),
    "the first spacing with three digits": ((6, 40, 512), spacing_at({0}, "0.703"), "spacing"),
    "the first spacing as far off as may be": ((6, 40, 512), spacing_at({0}, "0.7038"), "spacing"),
    "spacings of most with three digits": ((6, 40, 512), spacing_at({0, 1, 2, 4}, "0.703"), "spacing"),
    "turned this way and that": ((6, 40, 512), turned({0: 9e-5, 1: -9e-5}), None),
    "axes that are not perpendicular": ((6, 512, 40), three_decimals, "orientation"),
}


@pytest.mark.parametrize(("shape_kji", "edit", "told"), TOLERATED.values(), ids=list(TOLERATED))
def test_what_makes_a_volume_has_a_segmentation_and_a_report_that_lie_on_it(tmp_path, shape_kji, edit, told):
    volume = volume_of(datasets(shape_kji, edit), tmp_path)
    assert [repair.kind for repair in volume.repairs] == ([told] if told else [])
    made = {one.kind: one for one in make_objects(found_on(volume), ReportProfile(), SALT)}
    assert sorted(made) == ["SEG", "SR"]
    seg = dcmread(BytesIO(made["SEG"].content))
    shared = seg.SharedFunctionalGroupsSequence[0]
    row_mm, column_mm = (float(one) for one in shared.PixelMeasuresSequence[0].PixelSpacing)
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float)
    for group in seg.PerFrameFunctionalGroupsSequence:
        uid = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        k = [frame.sop_instance_uid for frame in volume.frames].index(uid)
        origin = np.array(group.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        for j, i in ((0, 0), (0, shape_kji[2] - 1), (shape_kji[1] - 1, 0)):
            placed = origin + cosines[:3] * column_mm * i + cosines[3:] * row_mm * j
            assert np.linalg.norm(placed - volume.grid.to_lps_mm((k, j, i))) < 0.01


def test_the_source_s_own_numbers_are_written_where_they_are_those_of_the_grid(tmp_path):
    volume = volume_of(datasets(edit=spacing_at({0}, "0.703")), tmp_path)
    stub = read_heading(found_on(volume)).stubs[0][0]
    assert [one.original_string for one in stub.PixelSpacing] == ["0.703125", "0.703125"]


parts = st.floats(-0.99, 0.99)


@given(st.lists(st.tuples(parts, parts, parts, parts), min_size=5, max_size=5))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_slices_that_are_all_like_one_make_a_volume_and_a_report(tmp_path, off):
    def edit(ds, k):
        if k:
            row, column, turn, tip = off[k - 1]
            ds.PixelSpacing = [f"{SPACING_MM * (1 + part * ALIKE_SPACING):.9f}" for part in (row, column)]
            cosines = (1, turn * ALIKE_COSINES, tip * ALIKE_COSINES, -turn * ALIKE_COSINES, 1, 0)
            ds.ImageOrientationPatient = [f"{one:.8f}" for one in cosines]

    volume = volume_of(datasets((6, 20, 28), edit), tmp_path)
    assert len(volume.frames) == len(read_heading(found_on(volume)).stubs[0]) == 6


def test_a_grid_that_is_not_that_of_the_headers_is_not_written_in_their_place(tmp_path):
    found = found_on(volume_of(datasets(), tmp_path))
    (source,) = found.sources
    for stretched in (np.diag([1.001, 1, 1, 1]), np.diag([1, 1.001, 1, 1])):
        grid = replace(source.grid, affine_lps=source.grid.affine_lps @ stretched)
        with pytest.raises(NodeError) as caught:
            read_heading(replace(found, sources=(replace(source, grid=grid),)))
        assert caught.value.fault is SOURCES_DISAGREE
        assert caught.value.values["keyword"] == "PixelSpacing"
    turn = np.eye(4)
    turn[:2, :2] = [[1, -0.001], [0.001, 1]]
    grid = replace(source.grid, affine_lps=turn @ source.grid.affine_lps)
    with pytest.raises(NodeError) as caught:
        read_heading(replace(found, sources=(replace(source, grid=grid),)))
    assert caught.value.values["keyword"] == "ImageOrientationPatient"
