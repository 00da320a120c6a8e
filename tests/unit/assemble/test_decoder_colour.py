"""Colours: planes, YBR and palettes become red, green, blue; grey stays what is stored."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from dicomnode.assemble.decoders.colour import read_colour_frame
from dicomnode.assemble.decoders.file import UndecodableError
from dicomnode.store.foreign import quiet
from tests.unit.assemble.series import Series
from tests.unit.assemble.test_decoder_file import STORED, dataset_of, headers_of

RGB = np.random.default_rng(8).integers(0, 256, (2, 65, 34, 3)).astype(np.uint8)


def coloured(pixels=RGB, syntax=ExplicitVRLittleEndian, photometric="RGB", planar=0):
    (ds,) = Series(syntax=syntax, stored=STORED[:1]).datasets()
    ds.Rows, ds.Columns = RGB.shape[1:3]
    ds.NumberOfFrames = len(RGB)
    ds.SamplesPerPixel = 3
    ds.PhotometricInterpretation = photometric
    ds.PlanarConfiguration = planar
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 8, 8, 7, 0
    ds.PixelData = (np.moveaxis(pixels, 3, 1) if planar else pixels).tobytes()
    ds["PixelData"].VR = "OB"
    return ds


def frames_of(ds, folder):
    with quiet():
        return [read_colour_frame(header) for header in headers_of(ds, folder)]


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_native_colours_by_pixel_and_by_plane(tmp_path, syntax, planar):
    for found, expected in zip(frames_of(coloured(syntax=syntax, planar=planar), tmp_path), RGB, strict=True):
        assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    "syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless], ids=lambda uid: uid.name[:12]
)
def test_compressed_colours_are_the_colours(tmp_path, syntax):
    ds = coloured()
    ds.compress(syntax, generate_instance_uid=False)
    for found, expected in zip(frames_of(ds, tmp_path), RGB, strict=True):
        assert np.array_equal(found, expected)


def test_ybr_becomes_rgb(tmp_path):
    """PS3.3 C.7.6.3.1.2: without chrominance a colour is grey; red has Y 76, CB 85, CR 255."""
    ybr = np.full_like(RGB, 128)
    ybr[..., 0] = 90
    ybr[:, :10] = (76, 85, 255)
    (first, _) = frames_of(coloured(ybr, photometric="YBR_FULL"), tmp_path)
    assert (first[20, 20] == 90).all()
    assert np.abs(first[0, 0].astype(int) - (254, 0, 0)).max() <= 1


def test_a_palette_is_applied(tmp_path):
    indices = (np.arange(2 * 65 * 34) % 8).reshape(2, 65, 34).astype(np.uint8)
    ds = dataset_of(ExplicitVRLittleEndian, indices)
    ds.PhotometricInterpretation = "PALETTE COLOR"
    tables = {"Red": range(0, 80, 10), "Green": range(8), "Blue": range(200, 208)}
    for name, values in tables.items():
        setattr(ds, f"{name}PaletteColorLookupTableDescriptor", [8, 0, 8])
        setattr(ds, f"{name}PaletteColorLookupTableData", bytes(values))
    for found, index in zip(frames_of(ds, tmp_path), indices, strict=True):
        assert np.array_equal(found[..., 0], index * 10)
        assert np.array_equal(found[..., 1], index)
        assert np.array_equal(found[..., 2], index + 200)


def test_grey_stays_what_is_stored(tmp_path):
    for found, expected in zip(frames_of(dataset_of(ExplicitVRLittleEndian), tmp_path), STORED, strict=True):
        assert found.shape == (*expected.shape, 1)
        assert np.array_equal(found[..., 0], expected)


def test_colours_of_another_kind_are_refused(tmp_path):
    with pytest.raises(UndecodableError, match=r"raised ValueError|its colours are"):
        frames_of(coloured(photometric="CMYK"), tmp_path)


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["US1", "VL1"])
def test_real_colours_are_equal_in_rle_and_jpeg_2000(real_data, name):
    from dicomnode.assemble.headers import read_headers

    found = {}
    folder = real_data("codecs-wg04")
    for path in sorted(folder.rglob(f"*{name}*")):
        with quiet():
            (header,) = read_headers(path)
            found[header.transfer_syntax_uid] = read_colour_frame(header)
    reference = found[RLELossless]
    assert reference.shape[2] == 3
    assert np.array_equal(found[JPEG2000Lossless], reference)
    lossy = found["1.2.840.10008.1.2.4.91"]
    assert np.abs(lossy.astype(int) - reference).mean() < 20
