"""Real studies: each ends in a volume, a refusal or set aside, and the traps in the right reason."""

from __future__ import annotations

import io
import logging
import warnings
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless

from dicomnode.assemble import load_picture, load_volume, read_studies, source_of
from dicomnode.assemble.decode import _DECODERS, read_frame
from dicomnode.assemble.headers import read_headers
from dicomnode.assemble.sources import encode_header
from dicomnode.faults import FAULTS, NodeError
from dicomnode.store.foreign import quiet
from dicomnode.values import SetAside
from dicomnode.values.codes import HOUNSFIELD, SUV_BODY_WEIGHT
from tests.unit.assemble.series import header_of

pytestmark = pytest.mark.real_data

TRAPS = "traps-geometry-noise"
SYNTAXES = f"{TRAPS}/mr-one-series-four-syntaxes"


def only(folder):
    """The one stack that a folder holds."""
    stacks = [s for study in read_studies([folder]).studies for series in study.series for s in series.stacks]
    assert len(stacks) == 1
    return stacks[0]


def with_frame_of_reference(folder: Path, target: Path) -> Path:
    """Copy a series whose de-identification took its Frame of Reference UID, with one."""
    target.mkdir(parents=True)
    for n, path in enumerate(sorted(folder.iterdir())):
        ds = dcmread(path)
        ds.FrameOfReferenceUID = "1.2.826.0.1.3680043.10.1.99"
        ds.save_as(target / f"{n}.dcm")
    return target


def outcome(stack) -> str:
    """What became of a stack: "volume", "picture", or the code of the failure."""
    try:
        if stack.kind != "volume":
            return "picture" if len(load_picture(stack).frames) == stack.headers[0].frames else "lost frames"
        return "volume" if len(load_volume(stack).voxels) == len(stack.headers) else "slices were lost"
    except NodeError as error:
        return error.fault.code


FOLDERS = [
    "brain-mr-ge-oblique",
    "charsets-fo-dicom",
    "chest-ct-lidc-0001",
    "chest-ct-lidc-0003",
    "chest-ct-nlst-101287/sr",
    "codecs-multi-fragment",
    "codecs-one-ct-all-syntaxes",
    "codecs-wg04",
    "head-ct-ge-tilt",
    "head-ct-philips-scout",
    "odd-pydicom-data",
    "pet-qin-headneck",
    "rtstruct-rt-utils",
    "seg-sr-pm-dcmqi",
    TRAPS,
]


@pytest.mark.parametrize("name", FOLDERS)
def test_every_file_ends_in_a_volume_a_refusal_or_set_aside_without_a_word_to_anybody(
    real_data, name, caplog, capfd
):
    folder = real_data(name)
    caplog.set_level(logging.WARNING)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        reading = read_studies([folder])
        used = 0
        for study in reading.studies:
            for series in study.series:
                for stack in series.stacks:
                    used += len(stack.files)
                    if stack.placement is None and stack.kind == "volume":
                        assert stack.facts.refusal.code in FAULTS
                        assert source_of(stack, "x").grid is None
                        continue
                    assert outcome(stack) in {"volume", "picture", "DN-3010", "DN-3011"}
    assert used + len(reading.set_aside) == sum(path.is_file() for path in folder.rglob("*"))
    assert heard == []
    assert caplog.text == ""
    assert capfd.readouterr() == ("", "")


CHESTS = {
    # folder: slices, spacing k, j mm, first z, lowest HU after padding, covers
    "chest-ct-nlst-101287/ct": (143, 2.0, 0.54, 928.0, -1454, ("chest", "lung")),
    "chest-ct-acrin-042/ct": (135, 3.27, 0.976562, None, -1024, None),
    "chest-ct-lidc-0001": (16, 2.5, 0.703125, -132.5, -1024, ("chest", "lung")),
    "chest-ct-lidc-0003": (11, 2.5, 0.820312, -204.0, -1032, ("chest", "lung")),
}


@pytest.mark.parametrize("name", list(CHESTS))
def test_the_chest_ct_series_are_volumes(real_data, name):
    slices, spacing_k, spacing_j, first_z, lowest, covers = CHESTS[name]
    stack = only(real_data(name))
    volume = load_volume(stack)
    assert volume.voxels.shape == (slices, 512, 512)
    assert volume.voxels.dtype == np.int16
    assert volume.unit == HOUNSFIELD
    assert volume.grid.spacing_kji_mm == pytest.approx((spacing_k, spacing_j, spacing_j))
    assert first_z is None or volume.affine_lps[2, 3] == first_z
    assert volume.voxels.min() == lowest
    assert [repair.kind for repair in volume.repairs] == ["padding"]
    assert stack.facts.facts["plane"] == "axial"
    assert "lung" in stack.facts.facts["covers"]
    assert covers is None or stack.facts.facts["covers"] == covers


def test_the_oblique_brain_is_accepted_with_its_jitter(real_data):
    volume = load_volume(only(real_data("brain-mr-ge-oblique")))
    assert volume.voxels.shape == (20, 256, 256)
    (repair,) = volume.repairs
    assert repair.kind == "jitter"
    assert "from 6.958 to 7.071 mm" in repair.text
    assert volume.grid.spacing_kji_mm[0] == pytest.approx(7.0005, abs=1e-4)


def test_the_pet_is_a_volume_of_suv_by_body_weight(real_data):
    stack = only(real_data("pet-qin-headneck/pet"))
    volume = load_volume(stack)
    assert volume.unit == SUV_BODY_WEIGHT
    assert stack.facts.facts["unit"] == "SUVbw"
    assert volume.voxels.shape == (299, 128, 128)
    first = dcmread(stack.headers[150].path)
    # injected at 11:39:00, the scan began at 13:02:44.678: 5024.678 s of a half life of 6586.2 s
    factor = 66.2 * 1000 / (381470000 * 2 ** (-5024.678 / 6586.2))
    expected = first.pixel_array * float(first.RescaleSlope) * factor
    assert np.allclose(volume.voxels[150], expected, rtol=1e-6, atol=1e-9)


def test_the_legacy_converted_ct_is_a_volume_with_a_frame_a_slice(real_data):
    stack = only(real_data("seg-sr-pm-dcmqi/24x38x3/multiframe"))
    volume = load_volume(stack)
    assert volume.voxels.shape == (3, 38, 24)
    assert len(volume.headers.encoded) == 1
    assert [frame.frame_number for frame in volume.frames] == [1, 2, 3]
    single = load_volume(only(real_data("seg-sr-pm-dcmqi/24x38x3/image")))
    assert np.array_equal(volume.voxels, single.voxels)
    assert np.allclose(volume.affine_lps, single.affine_lps)


def test_the_tilted_head_is_two_sheared_volumes_of_one_slice_distance_each(real_data):
    ((series,),) = (study.series for study in read_studies([real_data("head-ct-ge-tilt")]).studies)
    low, high = series.stacks
    assert [stack.facts.facts["block"] for stack in (low, high)] == ["1 of 2", "2 of 2"]
    assert [len(stack.headers) for stack in (low, high)] == [14, 14]
    for stack, spacing in ((low, 4.0019), (high, 6.9986)):
        assert stack.facts.facts["tilt_degrees"] == pytest.approx(18.5, abs=1e-3)
        assert stack.facts.facts["spacing_k_mm"] == pytest.approx(spacing, abs=1e-3)
        assert [repair.kind for repair in stack.repairs] == ["block", "tilt"]
        volume = load_volume(stack)
        for k, header in enumerate(stack.headers):
            assert volume.grid.to_lps_mm((k, 0, 0)) == pytest.approx(header.position_lps_mm, abs=1e-3)


REFUSED = {
    f"{TRAPS}/ct-missing-slice-ge": ("DN-3005", "10.000 mm after slice 2"),
    f"{TRAPS}/ct-one-position-siemens": ("DN-3008", "4 images lie at one position"),
    f"{TRAPS}/mr-ge-single-slice": ("DN-3007", "1 slice(s)"),
    f"{TRAPS}/mr-mosaic-siemens": ("DN-3012", "MOSAIC"),
    f"{TRAPS}/mr-enhanced-philips": (
        "DN-3003",
        "FrameOfReferenceUID is missing, empty or not valid in 8 of 8",
    ),
    "odd-pydicom-data/eCT_Supplemental.dcm": ("DN-3007", "2 slice(s)"),
    "odd-pydicom-data/emri_small.dcm": ("DN-3050", "(5200,9230) PerFrameFunctionalGroupsSequence"),
    "odd-pydicom-data/emri_small_big_endian.dcm": ("DN-3050", "10 frame(s)"),
    "odd-pydicom-data/emri_small_jpeg_2k_lossless_too_short.dcm": ("DN-3050", "10 frame(s)"),
    f"{TRAPS}/mr-hitachi-oblique": ("DN-3003", "FrameOfReferenceUID"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_the_traps_are_refused_with_their_reason(real_data, name):
    code, words = REFUSED[name]
    refusal = only(real_data(name)).facts.refusal
    assert refusal.code == code
    assert words in refusal.text


def test_the_phases_at_one_position_are_told_apart_by_their_acquisition_number(real_data):
    refusal = only(real_data(f"{TRAPS}/ct-one-position-siemens")).facts.refusal
    assert refusal.text.endswith("differ in AcquisitionNumber.")


def test_the_scout_and_the_dose_pages_are_set_aside(real_data):
    reading = read_studies([real_data("head-ct-philips-scout")])
    assert sorted(aside.code for aside in reading.set_aside) == ["DN-3013"] * 3
    assert all(series.stacks == () for study in reading.studies for series in study.series)


def test_four_transfer_syntaxes_of_one_series_decode_to_one_volume(real_data, tmp_path):
    volumes = {}
    for folder in sorted(real_data(SYNTAXES).iterdir()):
        copy = with_frame_of_reference(folder, tmp_path / folder.name)
        volumes[folder.name] = load_volume(only(copy))
    assert len(volumes) == 4
    first = volumes.pop("compressed_rle")
    assert first.voxels.shape == (4, 256, 256)
    for name, volume in volumes.items():
        assert np.array_equal(volume.voxels, first.voxels), name
        assert np.array_equal(volume.affine_lps, first.affine_lps), name


def test_the_four_syntaxes_together_are_duplicates_of_one_volume(real_data, tmp_path):
    for folder in sorted(real_data(SYNTAXES).iterdir()):
        with_frame_of_reference(folder, tmp_path / folder.name)
    reading = read_studies([tmp_path])
    ((series,),) = (study.series for study in reading.studies)
    (stack,) = series.stacks
    assert (series.instances, len(stack.headers)) == (16, 4)
    assert [aside.code for aside in reading.set_aside] == ["DN-3014"] * 12
    assert load_volume(stack).repairs[0].kind == "duplicate"


def test_double_oblique_slices_are_placed(real_data, tmp_path):
    stack = only(with_frame_of_reference(real_data(f"{TRAPS}/mr-hitachi-oblique"), tmp_path / "copy"))
    assert stack.facts.facts["plane"] == "oblique"
    assert load_volume(stack).grid.spacing_kji_mm == pytest.approx((4, 2.34375, 2.34375), abs=1e-4)


def test_names_of_every_character_set_are_carried_byte_for_byte(real_data):
    names = set()
    with quiet():
        for path in sorted(real_data("charsets-fo-dicom").iterdir()):
            read = read_headers(path)
            if isinstance(read, SetAside):
                continue
            (header,) = read
            dataset = dcmread(path)
            name = dataset.get_item("PatientName").value
            encoded = encode_header(dataset, header)
            assert name in encoded
            copy = dcmread(io.BytesIO(encoded))
            assert copy.PatientName == dcmread(path).PatientName
            assert copy.get("SpecificCharacterSet") == dataset.get("SpecificCharacterSet")
            names.add(name)
    assert len(names) > 10


_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
LOSSLESS = {
    _LITTLE_ENDIAN,
    *(f"1.2.840.10008.1.2.{last}" for last in ("1.99", "2", "5", "4.57", "4.70", "4.80", "4.90")),
}


def test_one_ct_in_every_lossless_syntax_decodes_to_the_same_pixels(real_data):
    frames = {}
    with quiet():
        for path in sorted(real_data("codecs-one-ct-all-syntaxes").iterdir()):
            header = header_of(path)
            if header.transfer_syntax_uid in LOSSLESS:
                frames[header.transfer_syntax_uid] = read_frame(header).stored
    assert set(frames) == LOSSLESS
    for uid, stored in frames.items():
        assert np.array_equal(stored, frames[_LITTLE_ENDIAN]), uid


@pytest.mark.parametrize(
    "name",
    ["codecs-multi-fragment", "codecs-wg04", f"{SYNTAXES}/compressed_j2k", f"{SYNTAXES}/compressed_jpegls"],
)
def test_all_decoders_of_a_lossless_syntax_agree(real_data, name):
    compared = 0
    with quiet():
        for path in sorted(real_data(name).iterdir()):
            header = header_of(path)
            plugins = _DECODERS.get(header.transfer_syntax_uid, ())
            if header.samples != 1 or header.transfer_syntax_uid not in {JPEG2000Lossless, JPEGLSLossless}:
                continue
            first, *others = (read_frame(header, other_than=plugin) for plugin in plugins)
            for other in others:
                assert other.plugin != first.plugin
                assert np.array_equal(first.stored, other.stored), path.name
                compared += 1
    assert compared > 0
