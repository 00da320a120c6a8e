"""What lies beside the pixels goes, and the pixels stay."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    HEVCMP51,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from dicomnode.phantom import SeriesForm
from tests.unit.learn.deidentify.patients import exported, write_ct, write_picture, written

SECRET = b"Hay, J."  # shorter than what is looked for in pixels


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def with_frames(path, change) -> np.ndarray:
    dataset = pydicom.dcmread(path)
    before = dataset.pixel_array
    frames = [change(frame) for frame in generate_frames(dataset.PixelData, number_of_frames=1)]
    dataset.PixelData = encapsulate(frames)
    dataset.save_as(path)
    assert SECRET in path.read_bytes()
    return before


def after_start(*segments: bytes):
    return lambda frame: frame[:2] + b"".join(segments) + frame[2:]


def jpeg_2000_comment(frame: bytes) -> bytes:
    at = 4 + int.from_bytes(frame[4:6], "big")
    return frame[:at] + segment(0x64, b"\0\1" + SECRET) + frame[at:]


def tile_comment(frame: bytes) -> bytes:
    comment = segment(0x64, b"\0\1" + SECRET)
    at = frame.index(b"\xff\x90")
    length = int.from_bytes(frame[at + 6 : at + 10], "big") + len(comment)
    return frame[: at + 6] + length.to_bytes(4, "big") + frame[at + 10 : at + 12] + comment + frame[at + 12 :]


@pytest.mark.parametrize(
    ("syntax", "change"),
    [
        (JPEGLSLossless, after_start(segment(0xFE, SECRET))),
        (
            JPEGLSLossless,
            after_start(segment(0xE1, b"Exif\0\0" + SECRET), segment(0xE8, b"SPIFF\0" + SECRET)),
        ),
        (JPEGLSLossless, lambda frame: frame.rstrip(b"\0") + SECRET),
        (JPEG2000Lossless, jpeg_2000_comment),
        (JPEG2000Lossless, tile_comment),
        (JPEG2000Lossless, lambda frame: b"\0\0\0\x0cjP  " + SECRET + frame),
        (JPEG2000Lossless, lambda frame: frame.rstrip(b"\0") + SECRET),
    ],
)
def test_comments_and_boxes_of_compressed_frames_go_and_pixels_stay(tmp_path, syntax, change):
    paths = write_ct(tmp_path / "data", form=SeriesForm(transfer_syntax_uid=syntax), size=64)
    for path in paths[1:]:
        path.unlink()
    before = with_frames(paths[0], change)
    assert exported(tmp_path / "data", tmp_path / "out").refused == ()
    (after,) = written(tmp_path / "out")
    assert SECRET not in after.PixelData
    assert (after.pixel_array == before).all()


def test_comments_of_lossy_jpeg_go_between_scans_too_and_pixels_stay(tmp_path):
    image = pytest.importorskip("PIL.Image")
    buffer = io.BytesIO()
    pixels = (np.arange(64, dtype=np.uint8) * 3).reshape(8, 8)
    image.fromarray(pixels).save(buffer, "JPEG", quality=80, comment=SECRET)

    def compress(dataset):
        dataset.BurnedInAnnotation = "NO"
        dataset.PixelData = encapsulate([buffer.getvalue() + SECRET])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit

    path = write_picture(tmp_path / "data", compress)
    before = pydicom.dcmread(path).pixel_array
    exported(tmp_path / "data", tmp_path / "out")
    (after,) = written(tmp_path / "out")
    assert SECRET not in after.PixelData
    assert (after.pixel_array == before).all()


def test_bytes_after_the_last_pixel_go(tmp_path):
    paths = write_ct(tmp_path / "data")
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.PixelData += SECRET + b"\0"
        dataset.save_as(path)
    exported(tmp_path / "data", tmp_path / "out")
    assert {len(dataset.PixelData) for dataset in written(tmp_path / "out")} == {128}


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_frames_without_comments_stay_byte_by_byte(tmp_path, syntax):
    paths = write_ct(tmp_path / "data", form=SeriesForm(transfer_syntax_uid=syntax), size=64)
    exported(tmp_path / "data", tmp_path / "out")
    before = sorted(pydicom.dcmread(path).PixelData.rstrip(b"\0") for path in paths)
    assert sorted(dataset.PixelData.rstrip(b"\0") for dataset in written(tmp_path / "out")) == before


def test_a_frame_that_is_no_codestream_of_its_kind_is_refused(tmp_path):
    paths = write_ct(tmp_path / "data", form=SeriesForm(transfer_syntax_uid=JPEGLSLossless))
    with_frames(paths[0], lambda frame: b"\x1f" + SECRET + frame)
    assert [one.code for one in exported(tmp_path / "data", tmp_path / "out").refused] == ["DN-7245"]


def test_a_video_is_refused_since_its_stream_has_titles_and_dates_of_its_own(tmp_path):
    def film(dataset):
        dataset.BurnedInAnnotation = "NO"
        dataset.PixelData = encapsulate([b"\0\0\1\x09"])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = HEVCMP51

    write_picture(tmp_path / "data", film)
    result = exported(tmp_path / "data", tmp_path / "out")
    assert [one.code for one in result.refused] == ["DN-7242"]
    assert "HEVC" in result.refused[0].text
