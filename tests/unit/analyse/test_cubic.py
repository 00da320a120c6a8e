"""What counts in voxels wants about cubic ones: an engine that gives it others is refused when loaded."""

from __future__ import annotations

import pytest

from dicomnode.analyse import Analyst
from dicomnode.faults import MANIFEST_WRONG, NodeError
from tests.unit.analyse.forms import CT, LESION, TISSUE, engine

BODY = f"""
[[step]]
algorithm = "blobs"
interpret = "lesions"
[[output]]
segment = "spot"
step = "blobs"
kind = "lesion"
category = {TISSUE}
type = {LESION}
tracking = "Spot {{number}}"
"""
ROWS = """
[[step]]
name = "rows"
algorithm = "blob_profile"
interpret = "features"
"""
FEATURES = '[[output]]\nfeatures = "row"\nstep = "rows"\n'
EVEN = "{ resample_mm = [1.25, 1.25, 1.25] }"
FLAT = "{ resample_mm = [5.0, 0.7, 0.7] }"
REFUSED = {
    "as it is stored": "",
    "slices far apart": FLAT,
    "one axis as it is stored": "{ resample = { spacing_kji_mm = [0, 1.0, 1.0] } }",
    "a fixed number of voxels": "{ resize = { shape_kji = [64, 64, 64] } }",
    "even at first": f"{EVEN}, {{ letterbox = {{ shape_ji = [64, 64] }} }}",
}
TAKEN = {
    "even": EVEN,
    "even at last": f"{FLAT}, {EVEN}",
    "about even": "{ resample = { spacing_kji_mm = [1.5, 1.25, 1.25] } }",
    "turned and cut later": f'{EVEN}, {{ orient = "LPS" }}, {{ crop_centre = {{ shape_kji = [9, 9, 9] }} }}',
}


def opened(folder, prepare: str, body: str = BODY) -> None:
    package = engine(folder, body, {}, f"{CT}prepare = [ {prepare} ]\n")
    Analyst(package, threads=1, node_version="9.9").close()


@pytest.mark.parametrize("prepare", REFUSED.values(), ids=REFUSED)
def test_blobs_on_voxels_that_are_not_cubic_are_refused(tmp_path, prepare):
    with pytest.raises(NodeError) as caught:
        opened(tmp_path / "e", prepare)
    assert caught.value.fault is MANIFEST_WRONG
    assert "step blobs: blobs counts in voxels, about cubic ones" in str(caught.value)
    assert "resample_mm" in str(caught.value)


@pytest.mark.parametrize("prepare", TAKEN.values(), ids=TAKEN)
def test_blobs_on_about_cubic_voxels_are_taken(tmp_path, prepare):
    opened(tmp_path / "e", prepare)


@pytest.mark.parametrize(("names", "taken"), [('["radius"]', True), ('["radius", "short_mean"]', False)])
def test_numbers_of_a_row_that_count_in_voxels_are_taken_from_cubic_ones_only(tmp_path, names, taken):
    rows = f"{ROWS}features = {{ names = {names} }}\n" + FEATURES
    opened(tmp_path / "even", EVEN, rows)
    if taken:
        opened(tmp_path / "flat", FLAT, rows)
        return
    with pytest.raises(NodeError, match="step rows: short_mean counts in voxels"):
        opened(tmp_path / "flat", FLAT, rows)


def test_all_numbers_that_count_in_voxels_are_named(tmp_path):
    with pytest.raises(NodeError, match=r"short_mean counts .* short_maximum counts"):
        opened(tmp_path / "e", FLAT, ROWS + FEATURES)
