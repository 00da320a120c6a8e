"""Values that nothing can have end in a refusal or are left aside, never in an exception of Python's."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.dataelem import DataElement

from dicomnode.assemble import load_picture, load_volume, read_studies
from dicomnode.assemble.attributes import positive_of
from dicomnode.faults import NodeError
from tests.fixtures import pictures
from tests.unit.assemble.multi_frame import item
from tests.unit.assemble.series import Series, write_all
from tests.unit.assemble.test_units import pet


def only_stack(folder, datasets):
    write_all(datasets, folder)
    ((series,),) = (study.series for study in read_studies([folder]).studies)
    (stack,) = series.stacks
    return stack


IMPOSSIBLE = {
    "a frame that lasts for ages": {"ActualFrameDuration": "99999999999"},
    "a half life longer than the world is old": {"half_life": 1e20},
    "a half life of next to nothing": {"half_life": 1e-300, "DecayCorrection": "NONE"},
    "the last day that a date can be": {"AcquisitionDate": "99991231", "SeriesDate": "99991231"},
    "the first day that a date can be": {"AcquisitionDate": "00010101", "SeriesDate": "00010101"},
}


@pytest.mark.parametrize("case", list(IMPOSSIBLE))
def test_a_pet_with_impossible_times_is_a_volume_without_suv(tmp_path, case):
    tags = dict(IMPOSSIBLE[case])
    half_life = tags.pop("half_life", None)
    datasets = pet().datasets()
    for ds in datasets:
        for keyword, value in tags.items():
            setattr(ds, keyword, value)
        if half_life is not None:
            ds.RadiopharmaceuticalInformationSequence[0].RadionuclideHalfLife = f"{half_life:g}"
    volume = load_volume(only_stack(tmp_path, datasets))
    assert np.isfinite(volume.voxels).all()


@pytest.mark.parametrize(
    ("value", "read"), [("1e-10", None), ("0", None), ("-1", None), ("1e12", None), ("6586.2", 6586.2)]
)
def test_positive_numbers_are_those_that_a_time_or_a_dose_can_be(value, read):
    assert positive_of(item(RadionuclideHalfLife=value), "RadionuclideHalfLife") == read


@pytest.mark.parametrize("frames", [-5, -1])
def test_an_image_with_fewer_frames_than_none_is_refused(tmp_path, frames):
    stack = only_stack(tmp_path / "picture", [pictures.radiograph(NumberOfFrames=frames)])
    assert stack.facts.refusal.code == "DN-3010"
    assert f"NumberOfFrames is {frames}" in stack.facts.refusal.text
    stack = only_stack(tmp_path / "volume", Series(tags={"NumberOfFrames": frames}).datasets())
    assert stack.facts.refusal.code == "DN-3010"


def test_a_picture_whose_intercept_is_a_sequence_is_refused_not_read_as_0(tmp_path):
    ds = pictures.radiograph(RescaleSlope=2)
    ds[0x00281052] = DataElement(0x00281052, "SQ", [Dataset()])
    stack = only_stack(tmp_path, [ds])
    with pytest.raises(NodeError) as caught:
        load_picture(stack)
    assert caught.value.fault.code == "DN-3077"


@pytest.mark.parametrize("kind", ["SQ", "text"])
def test_a_ct_whose_intercept_is_no_number_is_refused_not_read_as_0(tmp_path, kind):
    datasets = Series().datasets()
    for ds in datasets:
        if kind == "SQ":
            ds[0x00281052] = DataElement(0x00281052, "SQ", [Dataset()])
        else:
            ds[0x00281052] = DataElement(0x00281052, "LO", "some")
    assert only_stack(tmp_path, datasets).facts.refusal is not None
