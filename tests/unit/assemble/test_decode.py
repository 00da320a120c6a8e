"""Decoding: equal for every lossless syntax, and no damage gets through."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.decoders import JPEGLSLosslessDecoder
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from dicomnode.assemble import decode, load_volume, read_studies
from dicomnode.assemble.codestream import contradiction
from dicomnode.assemble.decode import read_frame
from dicomnode.assemble.decoders import compare
from dicomnode.assemble.decoders.compare import PixelComparison
from dicomnode.assemble.decoders.file import ImplausibleError, UndecodableError, open_image
from dicomnode.assemble.decoders.pool import DecoderLimits, DecoderPool
from dicomnode.faults import NodeError
from dicomnode.store.foreign import quiet
from tests.unit.assemble.series import Series, header_of, phantom, write_all

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
COMPRESSED = (RLELossless, JPEGLSLossless, JPEG2000Lossless)
NOISE = np.random.default_rng(3).integers(-1024, 3071, (5, 64, 48)).astype(np.int16)


def compressed(series: Series, syntax: str):
    """Return the data sets of a series, compressed."""
    datasets = series.datasets()
    for ds in datasets:
        ds.compress(syntax, generate_instance_uid=False)
    return datasets


def frame_of(path):
    with quiet():
        return read_frame(header_of(path))


def stack_of(folder):
    ((series,),) = (study.series for study in read_studies([folder]).studies)
    (stack,) = series.stacks
    return stack


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda uid: uid.name[:20])
def test_native_pixels_are_read_in_every_byte_order(tmp_path, syntax):
    paths = Series(syntax=syntax, stored=NOISE).write(tmp_path)
    for k, path in enumerate(paths):
        frame = frame_of(path)
        assert np.array_equal(frame.stored, NOISE[k])
        assert frame.stored.dtype == np.int16
        assert frame.plugin == ""


@pytest.mark.parametrize("syntax", COMPRESSED, ids=lambda uid: uid.name[:20])
@pytest.mark.parametrize(("signed", "bits"), [(True, 16), (False, 16), (False, 12)])
def test_lossless_pixels_are_the_pixels(tmp_path, syntax, signed, bits):
    stored = NOISE if signed else (NOISE.astype(np.int32) + 1024).astype(np.uint16)
    series = Series(
        stored=stored,
        tags={"PixelRepresentation": int(signed), "BitsStored": bits, "HighBit": bits - 1},
    )
    for k, path in enumerate(write_all(compressed(series, syntax), tmp_path)):
        assert np.array_equal(frame_of(path).stored, stored[k])


@pytest.mark.parametrize("syntax", COMPRESSED, ids=lambda uid: uid.name[:20])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.99])
def test_a_codestream_that_is_cut_off_is_refused_never_half_an_image(tmp_path, syntax, part):
    datasets = compressed(Series(stored=NOISE), syntax)
    stream = next(generate_frames(datasets[2].PixelData, number_of_frames=1)).rstrip(b"\0")
    datasets[2].PixelData = encapsulate([stream[: int(len(stream) * part)]])
    paths = write_all(datasets, tmp_path)
    with pytest.raises(UndecodableError):
        frame_of(paths[2])
    with pytest.raises(NodeError) as caught:
        load_volume(stack_of(tmp_path))
    assert caught.value.fault.code == "DN-3010"
    assert "1 of 5 instances" in str(caught.value)


@pytest.mark.parametrize("syntax", COMPRESSED, ids=lambda uid: uid.name[:20])
def test_a_file_that_ends_within_its_pixels_is_refused(tmp_path, syntax):
    paths = write_all(compressed(Series(stored=NOISE), syntax), tmp_path)
    content = paths[1].read_bytes()
    paths[1].write_bytes(content[:-500])
    with pytest.raises(NodeError) as caught:
        load_volume(stack_of(tmp_path))
    assert caught.value.fault.code == "DN-3010"


def test_a_codestream_of_another_size_than_the_header_says_is_not_given_to_a_decoder(tmp_path):
    datasets = compressed(Series(stored=NOISE), JPEGLSLossless)
    for ds in datasets:
        ds.Rows, ds.Columns = 48, 64
    with pytest.raises(UndecodableError, match="64 rows of 48, the header says 48 of 64"):
        frame_of(write_all(datasets, tmp_path)[0])


def test_a_transfer_syntax_without_a_decoder_is_refused_by_its_name(tmp_path):
    datasets = compressed(Series(stored=NOISE), JPEGLSLossless)
    for ds in datasets:
        ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.55"
    write_all(datasets, tmp_path)
    with pytest.raises(NodeError, match=r"5 of 5 instances.*Process 10 and 12.*no decoder"):
        load_volume(stack_of(tmp_path))


@pytest.fixture
def plugins(monkeypatch):
    """Put broken decoders before or instead of the real ones."""
    names = ("zeros", "beyond", "fails")
    for name in names:
        JPEGLSLosslessDecoder.add_plugin(name, ("tests.unit.assemble.broken_decoders", name))

    def use(*order):
        monkeypatch.setitem(decode._DECODERS, JPEGLSLossless, order)

    yield use
    for name in names:
        JPEGLSLosslessDecoder.remove_plugin(name)


def unsigned_noise():
    stored = (NOISE.astype(np.int32) + 1024).astype(np.uint16)
    return Series(stored=stored, tags={"PixelRepresentation": 0, "BitsStored": 12, "HighBit": 11})


def test_a_decoder_that_gives_values_beyond_bits_stored_is_not_believed(tmp_path, plugins):
    plugins("beyond", "pyjpegls")
    series = unsigned_noise()
    paths = write_all(compressed(series, JPEGLSLossless), tmp_path)
    frame = frame_of(paths[0])
    assert frame.plugin == "pyjpegls"
    assert np.array_equal(frame.stored, series.stored[0])


def test_values_beyond_bits_stored_are_refused_when_no_decoder_says_better(tmp_path, plugins):
    plugins("beyond", "fails")
    paths = write_all(compressed(unsigned_noise(), JPEGLSLossless), tmp_path)
    with pytest.raises(ImplausibleError, match="from 4096 to 4096, 12 bits hold 0 to 4095"):
        frame_of(paths[0])
    with pytest.raises(NodeError) as caught:
        load_volume(stack_of(tmp_path))
    assert caught.value.fault.code == "DN-3011"


def test_slices_of_zeros_from_a_broken_decoder_are_decoded_by_another_and_told(tmp_path, plugins):
    plugins("zeros", "pyjpegls")
    series = Series(stored=np.random.default_rng(1).integers(-1000, 3000, (4, 256, 256)).astype(np.int16))
    write_all(compressed(series, JPEGLSLossless), tmp_path)
    volume = load_volume(stack_of(tmp_path))
    assert np.array_equal(volume.voxels, series.stored - 24)
    assert [repair.kind for repair in volume.repairs] == ["decoder"] * 4
    assert "Slice 2 decodes to one value with zeros; pyjpegls was used." in volume.repairs[2].text


def test_slices_of_zeros_are_refused_when_no_decoder_says_better(tmp_path, plugins):
    plugins("zeros")
    series = Series(stored=np.random.default_rng(1).integers(-1000, 3000, (4, 256, 256)).astype(np.int16))
    write_all(compressed(series, JPEGLSLossless), tmp_path)
    with pytest.raises(NodeError) as caught:
        load_volume(stack_of(tmp_path))
    assert caught.value.fault.code == "DN-3011"
    assert "all its pixels have one value" in str(caught.value)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, *COMPRESSED], ids=lambda uid: uid.name[:20])
@pytest.mark.parametrize(("k", "refused"), [(0, False), (2, True), (4, False)])
def test_one_value_is_an_empty_end_of_the_stack_or_a_lost_slice_within(tmp_path, syntax, k, refused):
    stored = NOISE.copy()
    stored[k] = -1000
    series = Series(stored=stored)
    write_all(series.datasets() if syntax == ExplicitVRLittleEndian else compressed(series, syntax), tmp_path)
    if not refused:
        assert np.array_equal(load_volume(stack_of(tmp_path)).voxels, stored - 24)
        return
    with pytest.raises(NodeError) as caught:
        load_volume(stack_of(tmp_path))
    assert caught.value.fault.code == "DN-3011"
    assert caught.value.values["sop_instance_uid"] == series.uid(k)


def test_pixels_are_compared_across_transfer_syntaxes(tmp_path):
    series = Series(stored=NOISE)
    native = [header_of(path) for path in series.write(tmp_path / "native")]
    jpeg_ls = [header_of(path) for path in write_all(compressed(series, JPEGLSLossless), tmp_path / "jls")]
    with PixelComparison() as same_pixels:
        assert same_pixels(native[0], native[0])
        assert same_pixels(native[0], jpeg_ls[0])
        assert not same_pixels(native[0], native[1])
        assert not same_pixels(native[0], jpeg_ls[1])
    jpeg_ls[0].path.write_bytes(jpeg_ls[0].path.read_bytes()[:-900])
    with PixelComparison() as same_pixels:
        assert not same_pixels(native[0], jpeg_ls[0])
        assert not same_pixels(jpeg_ls[0], jpeg_ls[0])


def test_images_of_two_transfer_syntaxes_are_compared_by_one_pool_of_decoders(tmp_path, monkeypatch):
    pools = []

    class Counted(compare.DecoderPool):
        def __init__(self, *given) -> None:
            super().__init__(*given)
            pools.append(self)

    monkeypatch.setattr(compare, "DecoderPool", Counted)
    series = Series(stored=NOISE)
    series.write(tmp_path / "native")
    write_all(compressed(series, JPEGLSLossless), tmp_path / "jls")
    (study,) = read_studies([tmp_path]).studies
    (stack,) = study.series[0].stacks
    assert [repair.kind for repair in stack.repairs] == ["duplicate"]
    assert len(stack.headers) == len(NOISE)
    assert len(pools) == 1
    assert pools[0].pids == ()


def test_each_image_is_read_once_however_often_it_is_compared(tmp_path, monkeypatch):
    read = []

    def counted(header):
        read.append(header.path)
        return open_image(header)

    monkeypatch.setattr(compare, "open_image", counted)
    headers = [header_of(path) for path in Series(stored=NOISE).write(tmp_path)]
    with PixelComparison() as same_pixels:
        assert [same_pixels(one, other) for one in headers for other in headers].count(True) == len(headers)
    assert sorted(read) == sorted(header.path for header in headers)


def test_a_file_that_was_changed_after_it_was_read_is_refused(tmp_path):
    series = Series()
    paths = series.write(tmp_path)
    stack = stack_of(tmp_path)
    write_all([series.with_(number=2).datasets()[3]], tmp_path / "other")[0].replace(paths[3])
    with pytest.raises(NodeError, match="changed after it was read"):
        load_volume(stack)


def test_a_file_that_is_gone_is_a_failure_of_the_machine_not_of_the_images(tmp_path):
    paths = Series().write(tmp_path)
    stack = stack_of(tmp_path)
    paths[3].unlink()
    with pytest.raises(NodeError) as caught:
        load_volume(stack)
    assert caught.value.fault.code == "DN-1030"


def jpeg(*segments):
    """A codestream of these (marker, parameters), then an end."""
    body = b"".join(
        bytes([0xFF, marker]) + (len(data) + 2).to_bytes(2, "big") + data for marker, data in segments
    )
    return b"\xff\xd8" + body + b"\x12\xff\x00\x34\xff\xd9"


def jpeg_2000(*sizes):
    """The beginning of a codestream: SOC, SIZ with these sizes, one component."""
    return b"\xff\x4f\xff\x51\0\x29\0\0" + struct.pack(">8LH", *sizes, 1)


FRAME = (0xC3, bytes([16, 0, 9, 0, 7, 1, 1, 0x11, 0]))
TABLE = (0xC4, bytes([0, 0, 1, *[0] * 14, 5]))
SCAN = (0xDA, bytes([1, 1, 0, 1, 0, 0]))

STREAMS = {
    "right": (jpeg(FRAME, TABLE, SCAN), None),
    "no end": (jpeg(FRAME, TABLE, SCAN)[:-2], "cut off"),
    "ends in a segment": (jpeg(FRAME, TABLE)[:20], "cut off"),
    "starts and ends": (b"\xff\xd8", "cut off"),
    "other rows": (jpeg((0xC3, bytes([16, 0, 8, 0, 7, 1])), TABLE, SCAN), "8 rows of 7, the header says 9"),
    "three components": (jpeg((0xC3, bytes([8, 0, 9, 0, 7, 3])), TABLE, SCAN), "3 components of 8 bits"),
    "60 bits": (jpeg((0xC3, bytes([60, 0, 9, 0, 7, 1])), TABLE, SCAN), "1 components of 60 bits"),
    "two frames": (jpeg(FRAME, FRAME, TABLE, SCAN), "two frames"),
    "no frame": (jpeg(TABLE, SCAN), "without a frame"),
    "no table": (jpeg(FRAME, SCAN), "lacks a Huffman table"),
    "overfull table": (jpeg(FRAME, (0xC4, bytes([0, 3, *[0] * 15, 1, 2, 3])), SCAN), "too many codes"),
    "short table": (jpeg(FRAME, (0xC4, bytes([0, 0, 3, *[0] * 14, 1])), SCAN), "table that is cut off"),
    "predictor 9": (jpeg(FRAME, TABLE, (0xDA, bytes([1, 1, 0, 9, 0, 0]))), "predictor 9"),
    "J2K of another size": (jpeg_2000(9000, 9000, 0, 0, 64, 64, 0, 0), "9000 rows of 9000"),
    "J2K without tiles": (jpeg_2000(7, 9, 0, 0, 0, 0, 0, 0), "tiles of 0"),
    "J2K cut off": (b"\xff\x4f\xff\x51\0\x29", "cut off"),
    "something else": (b"\0\0\0\x0cjP  ", None),
}


@pytest.mark.parametrize(("stream", "words"), STREAMS.values(), ids=list(STREAMS))
def test_a_codestream_that_contradicts_the_header_or_itself_is_found(stream, words):
    found = contradiction(stream, 9, 7)
    assert (found is None) == (words is None)
    assert words is None or words in found


def test_the_phantom_tells_every_axis_from_the_others():
    stored = phantom()
    assert not np.array_equal(stored, stored[::-1])
    assert len({stored[1, 0, 0], stored[0, 1, 0], stored[0, 0, 1], stored[0, 0, 0]}) == 4


def written(stored, folder, **tags):
    """Write native pixels with 12 of 16 bits stored, unless tags say otherwise."""
    signed = int(stored.dtype.kind == "i")
    bits = {"PixelRepresentation": signed, "BitsStored": 12, "HighBit": 11}
    return Series(stored=stored.astype("<u2").view("<i2"), tags=bits | tags)


def ramp(low, high, dtype):
    return np.linspace(low, high, 4 * 32 * 16).astype(dtype).reshape(4, 32, 16)


@pytest.mark.parametrize("compressed_as", [None, RLELossless])
@pytest.mark.parametrize(("low", "high"), [(-1024, 3071), (-3000, 2000)])
def test_signed_values_beyond_bits_stored_are_refused_where_others_are_sign_extended(
    tmp_path, low, high, compressed_as
):
    """3071 would become -1025: the bits above it are no unused ones."""
    series = written(ramp(low, high, np.int16), tmp_path)
    write_all(compressed(series, compressed_as) if compressed_as else series.datasets(), tmp_path)
    with pytest.raises(NodeError, match=r"DN-3011.*\(0028,0101\) BitsStored.*too small"):
        load_volume(stack_of(tmp_path))


def test_one_slice_whose_values_alone_would_wrap_is_seen_by_the_others(tmp_path):
    stored = np.full((4, 32, 16), -1000, dtype=np.int16)
    stored[:, 3:9, 3:9] = [[[40]], [[40]], [[90]], [[40]]]
    stored[2] = np.where(stored[2] < 0, 3000, 90)
    written(stored, tmp_path).write(tmp_path)
    assert frame_of(sorted(tmp_path.iterdir())[2]).cleared == 32 * 16 - 36
    with pytest.raises(NodeError, match=r"DN-3011.*BitsStored is too small"):
        load_volume(stack_of(tmp_path))


def test_what_was_done_to_bits_is_told_also_by_a_decoder_process(tmp_path):
    values = ramp(0, 4000, np.uint16)
    values[1, 3, 5] |= 0x8000
    written(values, tmp_path).write(tmp_path)
    with DecoderPool(DecoderLimits(processes=1)) as pool:
        volume = load_volume(stack_of(tmp_path), decode=pool)
    assert "set in 1 pixels" in volume.repairs[0].text


@pytest.mark.parametrize("compressed_as", [None, RLELossless])
def test_bits_above_bits_stored_are_taken_away_and_the_pixels_are_counted(tmp_path, compressed_as):
    values = ramp(0, 4000, np.uint16)
    overlaid = values.copy()
    overlaid[:, 3, 5] |= 0x8000  # an overlay in bit 15, as it was kept before 2004
    series = written(overlaid, tmp_path)
    write_all(compressed(series, compressed_as) if compressed_as else series.datasets(), tmp_path)
    volume = load_volume(stack_of(tmp_path))
    assert np.array_equal(volume.voxels, values.astype(np.int16) - 24)
    texts = [repair.text for repair in volume.repairs if repair.kind == "bits"]
    assert texts == ["Bits above Bits Stored (0028,0101) were set in 4 pixels, and were taken away."]


def test_signed_values_that_are_not_sign_extended_are_extended(tmp_path):
    values = ramp(-1024, 1500, np.int16)
    paths = written(values & 0xFFF, tmp_path).write(tmp_path)
    assert np.array_equal(frame_of(paths[0]).stored, values[0])
    assert frame_of(paths[0]).cleared == np.count_nonzero(values[0] < 0)


@pytest.mark.parametrize("dtype", [np.uint16, np.int16])
def test_values_that_lie_above_lower_bits_are_shifted_by_high_bit_and_that_is_told(tmp_path, dtype):
    values = ramp(0 if dtype == np.uint16 else -2000, 2047, dtype)
    written(values << 4, tmp_path, HighBit=15).write(tmp_path)
    volume = load_volume(stack_of(tmp_path))
    assert volume.voxels[2, 7, 3] == int(values[2, 7, 3]) - 24
    paths = sorted(tmp_path.iterdir())
    assert [np.array_equal(frame_of(path).stored, values[k]) for k, path in enumerate(paths)] == [True] * 4
    (told,) = (repair.text for repair in volume.repairs if repair.kind == "bits")
    assert "High Bit (0028,0102) says that the values lie 4 bits too high" in told


@pytest.mark.parametrize("high_bit", [15, 10, 16])
def test_a_high_bit_that_the_pixels_contradict_is_refused_by_its_tag(tmp_path, high_bit):
    paths = written(ramp(0, 4000, np.uint16), tmp_path, HighBit=high_bit).write(tmp_path)
    with pytest.raises(UndecodableError, match=rf"\(0028,0102\) HighBit is {high_bit}, with 12 bits stored"):
        frame_of(paths[0])
