"""Every transfer syntax of the real samples: lossless ones are equal, others are refused by their name."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from dicomnode.assemble.decode import read_frame
from dicomnode.assemble.decoders import gdcm as decoder_gdcm
from dicomnode.assemble.decoders.colour import read_colour_frame
from dicomnode.assemble.decoders.file import UndecodableError
from dicomnode.assemble.facts import _is_lossy
from dicomnode.assemble.headers import read_headers
from dicomnode.assemble.record import Header
from dicomnode.store.foreign import quiet
from tests.unit.assemble.series import header_of
from tests.unit.assemble.test_decoder_file import HEADER_NAMES

pytestmark = pytest.mark.real_data

ONE_CT = "codecs-one-ct-all-syntaxes"
REFERENCE = "1.2.840.10008.1.2.1"
# What becomes of each syntax: equal pixels, pixels that differ (lossy), or why there are none
OUTCOMES = {
    "1.2.840.10008.1.2": "equal",
    "1.2.840.10008.1.2.1": "equal",
    "1.2.840.10008.1.2.1.99": "equal",
    "1.2.840.10008.1.2.2": "equal",
    "1.2.840.10008.1.2.4.50": "lossy",  # of 8 bits: another range
    "1.2.840.10008.1.2.4.51": "refused",
    "1.2.840.10008.1.2.4.53": "refused",
    "1.2.840.10008.1.2.4.55": "refused",
    "1.2.840.10008.1.2.4.57": "equal",
    "1.2.840.10008.1.2.4.70": "equal",
    "1.2.840.10008.1.2.4.80": "equal",
    "1.2.840.10008.1.2.4.81": "lossy",
    "1.2.840.10008.1.2.4.90": "equal",
    "1.2.840.10008.1.2.4.91": "lossy",
    "1.2.840.10008.1.2.5": "equal",
}


def alike(one, other):
    """Correlation: lossy images are not equal, and show the same."""
    return np.corrcoef(one.ravel(), other.ravel())[0, 1]


def file_of(folder, uid):
    (found,) = [path for path in folder.glob("CTImage.dcm_*") if path.stem.rpartition("_")[2] == uid]
    return found


@pytest.mark.parametrize(("uid", "outcome"), OUTCOMES.items(), ids=lambda one: one)
def test_one_ct_in_each_syntax(real_data, uid, outcome):
    folder = real_data(ONE_CT)
    with quiet():
        reference = read_frame(header_of(file_of(folder, REFERENCE))).stored
        header = header_of(file_of(folder, uid))
        assert header.transfer_syntax_uid == uid
        try:
            stored = read_frame(header).stored
        except UndecodableError:
            assert outcome == "refused"
            return
    if outcome == "equal":
        assert np.array_equal(stored, reference)
    else:
        assert outcome == "lossy"
        assert _is_lossy(header)
        assert not np.array_equal(stored, reference)
        assert alike(stored, reference) > 0.9


WG04_CT = ("J2KR", "JLSL", "JPLL", "RLE")


def test_the_lossless_forms_of_the_wg04_ct_are_equal_and_the_lossy_ones_are_near(real_data):
    folder = real_data("codecs-wg04")
    with quiet():
        lossless = [read_frame(header_of(folder / f"CT1_{form}")).stored for form in WG04_CT]
        lossy = [read_frame(header_of(folder / f"CT1_{form}")).stored for form in ("J2KI", "JLSN")]
    assert all(np.array_equal(one, lossless[0]) for one in lossless[1:])
    assert all(alike(one, lossless[0]) > 0.9 for one in lossy)
    assert not any(np.array_equal(one, lossless[0]) for one in lossy)


def test_images_of_many_fragments_are_equal_in_both_syntaxes(real_data):
    """The same slices in JPEG lossless and JPEG 2000, each a bitstream in fragments of 3000 bytes."""
    with quiet():
        decoded = [
            (header_of(path).transfer_syntax_uid, read_frame(header_of(path)))
            for path in sorted(real_data("codecs-multi-fragment").rglob("*"))
            if path.is_file()
        ]
    assert {UID(uid).name[:9] for uid, _ in decoded} == {"JPEG Loss", "JPEG 2000"}
    assert all(not frame.is_constant for _, frame in decoded)


FOUR = ("compressed_rle", "compressed_jpeg", "compressed_jpegls", "compressed_j2k")


def test_one_mr_series_is_the_same_volume_in_four_syntaxes(real_data):
    root = real_data("traps-geometry-noise/mr-one-series-four-syntaxes")
    found = []
    with quiet():
        for name in FOUR:
            headers = [header_of(path) for path in (root / name).iterdir() if path.is_file()]
            found.append({one.sop_instance_uid: read_frame(one).stored for one in headers})
    for other in found[1:]:
        assert set(other) == set(found[0])
        assert all(np.array_equal(other[uid], found[0][uid]) for uid in other)


EMRI = (
    "emri_small_big_endian",
    "emri_small_RLE",
    "emri_small_jpeg_ls_lossless",
    "emri_small_jpeg_2k_lossless",
)


def frames_of(path):
    """Stored values of all ten frames of an enhanced MR, each asked for by itself."""
    from dataclasses import replace

    with quiet():
        read = read_headers(path)
        assert isinstance(read, tuple), read
        one = read[0]
        assert all(getattr(one, name) is not None for name in HEADER_NAMES if name != "frame_number")
        return [read_frame(replace(one, frame_number=number)).stored for number in range(1, 11)]


@pytest.mark.parametrize("name", EMRI)
def test_the_frames_of_an_enhanced_mr_are_equal_in_each_syntax(real_data, name):
    folder = real_data("odd-pydicom-data")
    native = frames_of(folder / "emri_small.dcm")
    assert all(
        np.array_equal(one, two) for one, two in zip(frames_of(folder / f"{name}.dcm"), native, strict=True)
    )
    assert any(not np.array_equal(native[0], other) for other in native[1:])


def test_high_throughput_jpeg_2000_is_read_and_its_lossy_form_is_near(real_data):
    folder = real_data("odd-pydicom-data")
    found = []
    for name in ("HTJ2KLossless", "HTJ2K"):
        ds = dcmread(folder / f"{name}_08_RGB.dcm", stop_before_pixels=True)
        header = Header(
            path=folder / f"{name}_08_RGB.dcm",
            sop_instance_uid=ds.SOPInstanceUID,
            sop_class_uid=ds.SOPClassUID,
            study_instance_uid="1.2.3",  # the sample has none
            series_instance_uid="1.2.4",
            transfer_syntax_uid=str(ds.file_meta.TransferSyntaxUID),
            rows=ds.Rows,
            columns=ds.Columns,
        )
        with quiet():
            found.append(read_colour_frame(header))
    assert [one.shape for one in found] == [(480, 640, 3)] * 2
    assert alike(*found) > 0.9


def test_a_syntax_without_a_decoder_is_refused_by_its_name(real_data, tmp_path):
    path = file_of(real_data(ONE_CT), "1.2.840.10008.1.2.4.55")
    with quiet(), pytest.raises(UndecodableError, match="there is no decoder for it here"):
        read_frame(header_of(path))


@pytest.mark.parametrize("name", ["JPGLosslessP14SV1_1s_1f_8b.dcm", "bad_sequence.dcm"])
def test_gdcm_called_directly_gives_what_its_binding_gives(real_data, name):
    ds = dcmread(real_data("odd-pydicom-data") / name)
    decoder = get_decoder(ds.file_meta.TransferSyntaxUID)
    assert decoder_gdcm.NAME in decoder.available_plugins
    direct, bound = (
        decoder.as_array(ds, index=0, raw=True, decoding_plugin=plugin)[0]
        for plugin in (decoder_gdcm.NAME, "gdcm")
    )
    assert np.array_equal(direct, bound)
