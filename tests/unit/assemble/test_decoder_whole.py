"""Half a JPEG stream is never an image, also where the other half is said to have been its end."""

from __future__ import annotations

import os
import subprocess

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, JPEGLossless, JPEGLosslessSV1

from dicomnode.assemble import DecoderLimits, DecoderPool, load_volume, read_studies
from dicomnode.assemble.decode import read_frame
from dicomnode.assemble.decoders.colour import read_colour_frame
from dicomnode.assemble.decoders.file import ImplausibleError, UndecodableError
from dicomnode.assemble.decoders.whole import _listening
from dicomnode.faults import NodeError
from dicomnode.store.foreign import quiet
from tests.unit.assemble.jpeg import baseline, lossless
from tests.unit.assemble.series import Series, header_of, write_all

EOI = b"\xff\xd9"
RNG = np.random.default_rng(11)
GREY = RNG.integers(0, 4096, (5, 64, 48)).astype(np.uint16)
SHADES = (np.linspace(40, 200, 64 * 48).reshape(64, 48) + RNG.integers(-20, 20, (64, 48))).astype(np.uint8)
COLOURS = np.stack([SHADES, SHADES // 2, 255 - SHADES // 2], axis=2)

STREAMS = {
    "lossless": (JPEGLosslessSV1, lossless(GREY[0], 12)),
    "lossless, any predictor": (JPEGLossless, lossless(GREY[0], 12)),
    "lossless colours": (JPEGLosslessSV1, lossless(COLOURS, 8)),
    "baseline": (JPEGBaseline8Bit, baseline(SHADES)),
    "baseline with restarts": (JPEGBaseline8Bit, baseline(SHADES, restart_marker_blocks=7)),
    "baseline colours": (JPEGBaseline8Bit, baseline(COLOURS, subsampling=0)),
    "baseline of shared colours": (JPEGBaseline8Bit, baseline(COLOURS, subsampling=2)),
    "baseline, progressive": (JPEGBaseline8Bit, baseline(SHADES, progressive=True)),
    "baseline colours, progressive": (JPEGBaseline8Bit, baseline(COLOURS, progressive=True)),
}


def dataset_of(syntax: str, stream: bytes, *, bits: int, colours: bool):
    ds = Series(stored=GREY[:1]).datasets()[0]
    ds.file_meta.TransferSyntaxUID = syntax
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation = bits, bits - 1, 0
    ds.BitsAllocated = 8 if bits == 8 else 16
    if colours:
        ds.SamplesPerPixel, ds.PlanarConfiguration = 3, 0
        ds.PhotometricInterpretation = "YBR_FULL_422" if syntax == JPEGBaseline8Bit else "RGB"
    ds.PixelData = encapsulate([stream])
    ds["PixelData"].is_undefined_length = True
    return ds


def decoded(folder, case: str, stream: bytes) -> np.ndarray:
    syntax, _ = STREAMS[case]
    colours = "colours" in case
    bits = 8 if colours or syntax == JPEGBaseline8Bit else 12
    path = write_all([dataset_of(syntax, stream, bits=bits, colours=colours)], folder)[0]
    with quiet():
        header = header_of(path)
        return read_colour_frame(header) if colours else read_frame(header).stored


# Of baseline streams no less than one block of 8 or 16 pixels is missed
PARTS = [(case, part) for case in STREAMS for part in (0.3, 0.9, 0.9 if "baseline" in case else 0.999)]


@pytest.mark.parametrize(("case", "part"), sorted(set(PARTS)))
def test_a_stream_that_is_cut_and_closed_again_is_refused(tmp_path, case, part):
    _, stream = STREAMS[case]
    scan = stream.rindex(b"\xff\xda") + 20
    cut = stream[: scan + int((len(stream) - 2 - scan) * part)].rstrip(b"\xff") + EOI
    expected = r"end before its image does|raised OSError|lacks scans of a progressive image"
    with pytest.raises((UndecodableError, ImplausibleError), match=expected):
        decoded(tmp_path, case, cut)


@pytest.mark.parametrize("more", [b"", b"\0\0\0\0", b"\xff\xff\xff"], ids=["plain", "zeros", "fill bytes"])
@pytest.mark.parametrize("case", list(STREAMS))
def test_a_whole_stream_is_an_image_also_with_bytes_too_many_at_its_end(tmp_path, case, more):
    _, stream = STREAMS[case]
    found = decoded(tmp_path, case, stream[:-2] + more + EOI)
    expected = {"baseline": SHADES, "lossless": GREY[0]}[case.split(",")[0].split(" ")[0]]
    expected = COLOURS if "colours" in case else expected
    error = np.abs(found.astype(int) - expected)
    assert error.max() == 0 if case.startswith("lossless") else np.median(error) <= 6


@pytest.mark.parametrize("case", ["baseline, progressive", "baseline colours, progressive"])
def test_a_progressive_stream_is_refused_wherever_it_is_cut(tmp_path, case):
    """Its last bytes may be zeros of the last coefficients, which nothing tells from none at all."""
    _, stream = STREAMS[case]
    first = stream.index(b"\xff\xda") + 20
    for number, end in enumerate(np.linspace(first, len(stream) - 40, 40).astype(int)):
        cut = stream[:end].rstrip(b"\xff") + EOI
        (tmp_path / str(number)).mkdir()
        with pytest.raises((UndecodableError, ImplausibleError)):
            decoded(tmp_path / str(number), case, cut)


@pytest.mark.parametrize("number", range(6))
def test_a_stream_that_is_cut_between_two_restarts_is_refused(tmp_path, number):
    _, stream = STREAMS["baseline with restarts"]
    cut = stream[: stream.index(bytes([0xFF, 0xD0 + number]))] + EOI
    with pytest.raises(UndecodableError, match="end before its image does"):
        decoded(tmp_path, "baseline with restarts", cut)


@pytest.mark.parametrize("case", ["baseline", "baseline with restarts", "baseline colours"])
def test_an_image_that_ends_in_middle_grey_is_one(tmp_path, case):
    pixels = (COLOURS if "colours" in case else SHADES).copy()
    pixels[32:] = 128
    options = {"restart_marker_blocks": 7} if "restarts" in case else {}
    found = decoded(tmp_path, case, baseline(pixels, **options))
    assert np.all(found[-1, -1] == 128)


def test_half_a_slice_is_refused_by_a_decoder_process_too(tmp_path):
    datasets = Series(
        stored=GREY, tags={"PixelRepresentation": 0, "BitsStored": 12, "HighBit": 11}
    ).datasets()
    for k, ds in enumerate(datasets):
        stream = lossless(GREY[k], 12)
        ds.file_meta.TransferSyntaxUID = JPEGLosslessSV1
        ds.PixelData = encapsulate([stream if k != 2 else stream[: len(stream) // 2] + EOI])
        ds["PixelData"].is_undefined_length = True
    write_all(datasets, tmp_path)
    ((series,),) = (study.series for study in read_studies([tmp_path]).studies)
    with DecoderPool(DecoderLimits(processes=1)) as pool, pytest.raises(NodeError) as caught:
        load_volume(series.stacks[0], decode=pool)
    assert caught.value.fault.code == "DN-3010"
    assert "1 of 5 instances" in str(caught.value)


@pytest.mark.parametrize(
    ("said", "is_broken", "passed_on"),
    [
        (b"Corrupt JPEG data: premature end of data segment\n", True, b""),
        (b"Corrupt JPEG data: 3 extraneous bytes before marker 0xd9\n", False, b""),
        (b"Corrupt JPEG data: 3 extraneous bytes before marker 0xd0\n", True, b""),
        (b"another thread\nCorrupt JPEG data: bad Huffman code\n", True, b"another thread\n"),
        (b"", False, b""),
    ],
)
def test_what_libjpeg_says_is_heard_and_what_others_say_is_passed_on(capfd, said, is_broken, passed_on):
    with _listening() as heard:
        os.write(2, said)
    assert heard.is_broken == is_broken
    assert capfd.readouterr().err.encode() == passed_on


def test_what_a_process_says_that_was_started_meanwhile_is_not_laid_at_the_next_frame():
    with _listening():
        other = subprocess.Popen(["sh", "-c", "read _; echo 'Corrupt JPEG data' >&2"], stdin=subprocess.PIPE)
    other.communicate(b"\n", timeout=30)
    with _listening() as heard:
        pass
    assert not heard.is_broken
