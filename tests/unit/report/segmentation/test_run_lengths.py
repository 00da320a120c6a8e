"""RLE Lossless frames of labels come back from decoders that we did not write."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.utils import pixel_array
from pydicom.uid import RLELossless

from dicomnode.report.segmentation.run_lengths import encode_bands, encode_frame

_SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 300))


def _decoded(labels: np.ndarray, plugin: str) -> np.ndarray:
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = RLELossless
    ds.Rows, ds.Columns = labels.shape
    ds.SamplesPerPixel, ds.PixelRepresentation, ds.PhotometricInterpretation = 1, 0, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 8 * labels.itemsize
    ds.HighBit = ds.BitsStored - 1
    ds.NumberOfFrames = 1
    ds.PixelData = encapsulate([encode_frame(labels)])
    return pixel_array(ds, raw=True, decoding_plugin=plugin)


# pydicom wonders where a frame happens to take as many bytes as without compression
@pytest.mark.filterwarnings("ignore:The number of bytes of compressed pixel data matches")
@pytest.mark.parametrize("plugin", ["pydicom", "pylibjpeg"])
@given(
    labels=st.sampled_from([np.uint8, np.uint16]).flatmap(
        lambda dtype: arrays(dtype, _SHAPES, elements=st.integers(0, 3) | st.just(np.iinfo(dtype).max))
    )
)
@example(labels=np.zeros((2, 129), dtype=np.uint8))
@example(labels=np.full((3, 257), 258, dtype=np.uint16))
def test_labels_come_back(labels: np.ndarray, plugin: str) -> None:
    assert np.array_equal(_decoded(labels, plugin), labels)


@st.composite
def _banded(draw: st.DrawFn) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """A frame, and bands that hold all of its labels."""
    rows, columns = draw(st.tuples(st.integers(1, 12), st.sampled_from([1, 2, 127, 128, 129, 255, 256, 300])))
    edges = sorted(draw(st.sets(st.integers(0, rows))))
    bands = list(zip(edges[0::2], edges[1::2], strict=False))
    labels = np.zeros((rows, columns), dtype=draw(st.sampled_from([np.uint8, np.uint16])))
    for start, stop in bands:
        labels[start:stop] = draw(arrays(labels.dtype, (stop - start, columns), elements=st.integers(0, 3)))
    return labels, bands


@given(_banded())
def test_rows_that_are_known_to_be_empty_are_encoded_as_if_they_were_looked_at(
    banded: tuple[np.ndarray, list[tuple[int, int]]],
) -> None:
    labels, bands = banded
    rows = [labels[start:stop] for start, stop in bands]
    of_bands = np.concatenate([labels[:0], *rows])
    assert encode_bands(of_bands, bands, len(labels)) == encode_frame(labels)


def test_an_empty_row_of_512_takes_four_runs_and_a_frame_an_even_number_of_bytes() -> None:
    assert len(encode_frame(np.zeros((512, 512), dtype=np.uint8))) == 64 + 512 * 4 * 2
    assert len(encode_frame(np.zeros((1, 1), dtype=np.uint16))) == 64 + 2 * 2
