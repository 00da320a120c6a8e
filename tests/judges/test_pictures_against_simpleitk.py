"""SimpleITK (GDCM within) and DCMTK decode the same pictures to the same pixels."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
from PIL import Image

from dicomnode.assemble import load_picture, read_studies
from dicomnode.assemble.decode import decode_frame
from dicomnode.assemble.decoders.file import open_image
from dicomnode.store.foreign import quiet
from tests.judges import tools
from tests.unit.assemble.series import header_of

sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is not installed (pip install SimpleITK)")

pytestmark = [pytest.mark.judge, pytest.mark.real_data]

# How far a value may lie from the judge's. Where YBR is converted, or a JPEG 2000 decoder rounds its last
# step, two right decoders differ by one.
EXACT = [
    "codecs-wg04/US1_RLE",
    "codecs-wg04/US1_J2KR",
    "codecs-wg04/VL1_RLE",
    "codecs-wg04/VL1_J2KR",
    "odd-pydicom-data/JPGLosslessP14SV1_1s_1f_8b.dcm",
]
NEARLY = ["codecs-wg04/US1_J2KI", "codecs-wg04/VL1_J2KI", "codecs-wg04/VL4_J2KI"]


def ours(path):
    (stack,) = (s for study in read_studies([path]).studies for series in study.series for s in series.stacks)
    return load_picture(stack)


@pytest.mark.parametrize("name", [*EXACT, *NEARLY])
def test_pixels_are_those_that_simpleitk_reads(real_data, name):
    path = real_data(name)
    found = ours(path).frames[0]
    judged = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[0].reshape(found.shape)
    apart = np.abs(found.astype(int) - judged.astype(int))
    assert apart.max() <= (0 if name in EXACT else 1)


def test_a_radiograph_where_dark_is_more_is_turned_over_as_simpleitk_does(real_data):
    path = real_data("codecs-wg04/RG1_J2KI")
    found = ours(path).frames[0, ..., 0]
    judged = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[0]
    assert np.abs(judged.astype(int) - found.astype(int)).max() <= 1
    with quiet(), open_image(header_of(path)) as image:
        stored = decode_frame(image, header_of(path)).stored
    assert np.array_equal(2**15 - 1 - stored.astype(int), found)


def test_a_palette_is_the_colours_that_dcmtk_shows(real_data, tmp_path):
    path = real_data("odd-pydicom-data/OBXXXX1A.dcm")
    shown = tmp_path / "shown.png"
    subprocess.run([tools.find("dcmj2pnm"), "+on", str(path), str(shown)], check=True, timeout=60)
    assert np.array_equal(ours(path).frames[0], np.asarray(Image.open(shown).convert("RGB")))


@pytest.mark.parametrize("name", ["odd-pydicom-data/OBXXXX1A.dcm", "odd-pydicom-data/gdcm-US-ALOKA-16.dcm"])
def test_palettes_are_the_colours_that_simpleitk_reads(real_data, name):
    path = real_data(name)
    judged = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    if judged.dtype == np.uint16:  # the entries as they stand, of which the upper byte is the colour
        judged = judged >> 8
    assert np.array_equal(ours(path).frames, judged)


def test_the_captures_of_an_mr_are_the_colours_that_simpleitk_reads(real_data):
    folder = real_data("traps-geometry-noise/mr-rgb-secondary-capture")
    ((series,),) = (study.series for study in read_studies([folder]).studies)
    assert [stack.kind for stack in series.stacks] == ["picture"] * 4
    for stack in series.stacks:
        judged = sitk.GetArrayFromImage(sitk.ReadImage(str(stack.files[0])))[0]
        assert np.array_equal(load_picture(stack).frames[0], judged)
