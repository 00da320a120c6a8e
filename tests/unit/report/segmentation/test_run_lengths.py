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

from dicomnode.report.segmentation.run_lengths import encode_frame

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


def test_an_empty_row_of_512_takes_four_runs_and_a_frame_an_even_number_of_bytes() -> None:
    assert len(encode_frame(np.zeros((512, 512), dtype=np.uint8))) == 64 + 512 * 4 * 2
    assert len(encode_frame(np.zeros((1, 1), dtype=np.uint16))) == 64 + 2 * 2
