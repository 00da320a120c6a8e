"""Half a JPEG stream is never an image, also where the other half is said to have been its end; nor is one
and a half.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
import threading
from itertools import pairwise

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import JPEGBaseline8Bit, JPEGLossless, JPEGLosslessSV1

from dicomnode.assemble import DecoderLimits, DecoderPool, load_volume, read_studies
from dicomnode.assemble.decode import read_frame
from dicomnode.assemble.decoders.colour import read_colour_frame
from dicomnode.assemble.decoders.file import ImplausibleError, UndecodableError
from dicomnode.assemble.decoders.whole import Heard, decode_whole, listening
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


def say(text: bytes) -> None:
    """Write to the standard error of C, as libjpeg does."""
    libc = ctypes.CDLL(None)
    libc.fputs(text, ctypes.c_void_p.in_dll(libc, "stderr"))


def decoded(folder, case: str, stream: bytes) -> np.ndarray:
    syntax, _ = STREAMS[case]
    colours = "colours" in case
    bits = 8 if colours or syntax == JPEGBaseline8Bit else 12
    path = write_all([dataset_of(syntax, stream, bits=bits, colours=colours)], folder)[0]
    with quiet():
        header = header_of(path)
        return read_colour_frame(header) if colours else read_frame(header).stored


@pytest.mark.parametrize(("case", "part"), [(case, part) for case in STREAMS for part in (0.3, 0.9)])
def test_a_stream_that_is_cut_and_closed_again_is_refused(tmp_path, case, part):
    _, stream = STREAMS[case]
    scan = stream.rindex(b"\xff\xda") + 20
    cut = stream[: scan + int((len(stream) - 2 - scan) * part)].rstrip(b"\xff") + EOI
    expected = r"end before its image does|raised OSError|lacks scans of a progressive image"
    with pytest.raises((UndecodableError, ImplausibleError), match=expected):
        decoded(tmp_path, case, cut)


@pytest.mark.parametrize("lacking", [1, 2, 3, 7])
@pytest.mark.parametrize("case", list(STREAMS))
def test_a_stream_that_lacks_less_than_its_last_block_is_refused(tmp_path, case, lacking):
    _, stream = STREAMS[case]
    with pytest.raises((UndecodableError, ImplausibleError), match="end before its image does"):
        decoded(tmp_path, case, stream[: -2 - lacking].rstrip(b"\xff") + EOI)


# What stands behind the last block is all that tells: its pixels, tables and restarts make it hard to see
ENDS = {
    "of pixels that are not whole blocks": (SHADES[:61, :43], {}),
    "of shared colours that are not whole blocks": (COLOURS[:57, :41], {"subsampling": 2}),
    "with tables of its own": (SHADES, {"optimize": True}),
    "with a restart at the very end": (SHADES, {"restart_marker_blocks": 6}),
    "of one block": (SHADES[:8, :8], {}),
    "in black": (np.where(np.arange(64)[:, None] < 50, SHADES, 0).astype(np.uint8), {}),
    "in middle grey": (np.where(np.arange(64)[:, None] < 32, SHADES, 128).astype(np.uint8), {}),
    "in middle grey with a restart": (
        np.where(np.arange(64)[:, None] < 32, SHADES, 128).astype(np.uint8),
        {"restart_marker_blocks": 6, "optimize": True},
    ),
    "in grey of colours": (np.full((64, 48, 3), 128, dtype=np.uint8), {"subsampling": 2}),
}


def decoder_of(pixels: np.ndarray):
    def decode(content: bytes, plugin: str):
        colours = pixels.ndim == 3
        return get_decoder(JPEGBaseline8Bit).as_array(
            content,
            index=0,
            raw=True,
            decoding_plugin=plugin,
            rows=pixels.shape[0],
            columns=pixels.shape[1],
            samples_per_pixel=3 if colours else 1,
            photometric_interpretation="YBR_FULL_422" if colours else "MONOCHROME2",
            planar_configuration=0,
            bits_allocated=8,
            bits_stored=8,
            pixel_representation=0,
            number_of_frames=1,
            pixel_keyword="PixelData",
        )

    return decode


@pytest.mark.parametrize("case", list(ENDS))
def test_how_an_image_ends_does_not_hide_whether_it_does(case):
    pixels, options = ENDS[case]
    stream, decode = baseline(pixels, **options), decoder_of(pixels)
    found, _ = decode_whole(decode, stream, syntax=JPEGBaseline8Bit, plugin="pillow")
    assert found.shape == pixels.shape
    for lacking in range(1, 6):
        cut = stream[: -2 - lacking].rstrip(b"\xff") + EOI
        with pytest.raises(UndecodableError, match="end before its image does"):
            decode_whole(decode, cut, syntax=JPEGBaseline8Bit, plugin="pillow")


# T.81 B.1.1.2: fill bytes; F.1.2.3: ones, here a byte of them more than need be, and a zero stuffed after FF
PADDING = {
    "none": b"",
    "a zero": b"\0",
    "a word of zeros": b"\0\0\0\0",
    "fill bytes": b"\xff\xff\xff",
    "a zero and a fill byte": b"\0\xff",
    "ones": b"\x7f",
    "ones that are stuffed": b"\xff\0",
}


FLAT = np.full((64, 48), 200, dtype=np.uint8)
PADDED = ENDS | {"of one grey": (FLAT, {"optimize": True})}  # with codes of 1 bit: zeros are blocks


@pytest.mark.parametrize("more", PADDING.values(), ids=PADDING)
@pytest.mark.parametrize("case", list(PADDED))
def test_padding_before_and_after_the_end_is_no_damage_however_the_image_ends(case, more):
    pixels, options = PADDED[case]
    stream, decode = baseline(pixels, **options), decoder_of(pixels)
    expected, _ = decode_whole(decode, stream, syntax=JPEGBaseline8Bit, plugin="pillow")
    for after in (b"", b"\0", b"\xff\xda and other words"):
        padded = stream[:-2] + more + EOI + after
        found, _ = decode_whole(decode, padded, syntax=JPEGBaseline8Bit, plugin="pillow")
        assert np.array_equal(found, expected)


BLACK_BELOW = np.where(np.arange(64)[:, None] < 40, SHADES, 0).astype(np.uint8)
COLOURS_OVER_BLACK = np.where(np.arange(64)[:, None, None] < 40, COLOURS, 0).astype(np.uint8)
LENGTHENED = {
    "lossless": STREAMS["lossless"][1],
    "lossless colours": STREAMS["lossless colours"][1],
    "baseline": STREAMS["baseline"][1],
    "baseline, black below": baseline(BLACK_BELOW),  # what is left over are blocks of 6 bits: bytes in all
    "baseline, black below, tables of its own": baseline(BLACK_BELOW, optimize=True),
    "baseline with restarts": STREAMS["baseline with restarts"][1],
    "baseline colours": STREAMS["baseline colours"][1],
    "baseline of shared colours": STREAMS["baseline of shared colours"][1],
    "baseline of shared colours, black below": baseline(COLOURS_OVER_BLACK, subsampling=2),
}


@pytest.mark.parametrize("part", [0.2, 0.35, 0.5])
@pytest.mark.parametrize("case", list(LENGTHENED))
def test_a_stream_with_a_part_of_its_data_twice_is_refused(tmp_path, case, part):
    """All that follows has moved: no pixel of it is where it was."""
    stream = LENGTHENED[case]
    scan = stream.rindex(b"\xff\xda") + 20
    at = scan + int((len(stream) - 2 - scan) * part)
    twice = stream[:at] + stream[at - 100 : at] + stream[at:]
    with pytest.raises(UndecodableError, match=r"go on after its image|end before its image does"):
        decoded(tmp_path, case.split(",")[0], twice)


@pytest.mark.parametrize("case", ["lossless", "baseline with restarts", "baseline, progressive"])
def test_a_few_bytes_too_many_that_are_no_padding_are_refused(tmp_path, case):
    _, stream = STREAMS[case]
    with pytest.raises(UndecodableError, match="go on after its image"):
        decoded(tmp_path, case, stream[:-2] + b"\x12\x34\x56\x78\x9a" + EOI)


@pytest.mark.parametrize("more", PADDING.values(), ids=PADDING)
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


ROWS_OF_ONE = {"restart_marker_rows": 1, "optimize": True}
INTERVALS = {
    "baseline with restarts": baseline(SHADES, restart_marker_blocks=7),
    "baseline, a restart a row": baseline(SHADES, **ROWS_OF_ONE),
    "baseline colours, a restart a row": baseline(COLOURS, subsampling=0, **ROWS_OF_ONE),
    "baseline of shared colours": baseline(COLOURS, subsampling=2, restart_marker_blocks=2),
}


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("case", list(INTERVALS))
def test_a_stream_that_lacks_data_between_two_restarts_is_refused(tmp_path, case, kept):
    """After a restart libjpeg goes on as if nothing had been lost, so that the end tells nothing."""
    stream = INTERVALS[case]
    case = "baseline colours" if "colours" in case else "baseline"
    assert decoded(tmp_path, case, stream).shape[:2] == SHADES.shape
    restarts = [found.start() for found in re.finditer(rb"\xff[\xd0-\xd7]", stream)]
    for begin, end in pairwise(restarts):
        upto = begin + 2 + int((end - begin - 2) * kept)
        cut = stream[:upto].rstrip(b"\xff") + stream[end:]
        with pytest.raises(UndecodableError, match="end before its image does"):
            decoded(tmp_path, case, cut)


def test_an_interval_that_is_lost_with_its_mark_is_refused(tmp_path):
    stream = INTERVALS["baseline with restarts"]
    restarts = [found.start() for found in re.finditer(rb"\xff[\xd0-\xd7]", stream)]
    for begin, end in pairwise(restarts):
        with pytest.raises(UndecodableError, match="end before its image does"):
            decoded(tmp_path, "baseline", stream[:begin] + stream[end:])


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
    ("said", "is_broken", "bytes_left", "passed_on"),
    [
        (b"Corrupt JPEG data: premature end of data segment\n", True, 0, b""),
        (b"Corrupt JPEG data: 3 extraneous bytes before marker 0xd9\n", False, 3, b""),
        (b"Corrupt JPEG data: 3 extraneous bytes before marker 0xd0\n", True, 0, b""),
        (b"another thread\nCorrupt JPEG data: bad Huffman code\n", True, 0, b"another thread\n"),
        (b"", False, 0, b""),
    ],
)
def test_what_libjpeg_says_is_heard_and_what_others_say_is_passed_on(
    capfd, said, is_broken, bytes_left, passed_on
):
    heard = Heard()
    with listening(heard):
        say(said)
    assert (heard.is_broken, heard.bytes_left) == (is_broken, bytes_left)
    assert capfd.readouterr().err.encode() == passed_on


def test_what_was_said_before_is_not_laid_at_the_next_frame():
    heard, next_one = Heard(), Heard()
    with listening(heard):
        say(b"Corrupt JPEG data: bad Huffman code, and more of it\n")
    with listening(next_one):
        say(b"nothing\n")
    assert (heard.is_broken, next_one.is_broken) == (True, False)


def test_stderr_stays_that_of_the_process_for_its_other_threads_and_programs(capfd):
    """Also more of it than a pipe holds, and of a program that outlives the listening."""
    much = "x" * 200_000 + "\n"

    def another_thread() -> None:
        os.write(2, much.encode())
        sys.stderr.write("Python\n")
        sys.stderr.flush()

    heard = Heard()
    with listening(heard):
        thread = threading.Thread(target=another_thread)
        thread.start()
        thread.join()
        program = subprocess.Popen(
            ["sh", "-c", "read _; echo 'Corrupt JPEG data' >&2"], stdin=subprocess.PIPE
        )
    program.communicate(b"\n", timeout=30)
    assert not heard.is_broken
    assert capfd.readouterr().err == much + "Python\nCorrupt JPEG data\n"


def test_two_threads_hear_their_own_streams_only(tmp_path):
    _, stream = STREAMS["lossless"]
    cut = stream[: len(stream) // 2] + EOI
    found: dict[str, list[bool]] = {"whole": [], "cut": []}

    def decode_often(name: str, content: bytes) -> None:
        folder = tmp_path / name
        folder.mkdir()
        for _ in range(20):
            try:
                decoded(folder, "lossless", content)
                found[name].append(True)
            except UndecodableError:
                found[name].append(False)

    threads = [threading.Thread(target=decode_often, args=one) for one in (("whole", stream), ("cut", cut))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {"whole": [True] * 20, "cut": [False] * 20}
