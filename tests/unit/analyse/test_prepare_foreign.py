"""Networks that nobody of the project made: their rules as `prepare` lists give the volumes known of them.

A wrong rule does not fail, it gives a plausible wrong mask; only a known volume tells.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from dicomnode.analyse.outline import onto_source
from dicomnode.analyse.prepare import prepare
from dicomnode.analyse.resample import Prepared
from dicomnode.engine.manifest.preparation import Preparation, check_preparation
from dicomnode.settings.reader import read_leniently
from dicomnode.values import Code, SourceFrame, SourceHeaders, Volume

# brainchop: 256³ of 1 mm, axes L-I-A from the first to the last, so A-I-L for i, j, k
CONFORMED = [
    {"orient": "AIL"},
    {"resample_mm": [1.0, 1.0, 1.0]},
    {"pad": {"shape_kji": [256, 256, 256]}},
    {"crop_centre": {"shape_kji": [256, 256, 256]}},
]
MIN_MAX = [{"scale_minmax": {}}]
QUANTILES = [{"percentile": {"lower": 5.0, "upper": 95.0}}]
INNER = [{"crop_centre": {"shape_kji": [192, 192, 192]}}]

# deepbet: axes R-A-S from the first to the last, nearest to 128³
DEEPBET = [
    {"orient": "SAR"},
    {"resize": {"shape_kji": [128, 128, 128], "interpolation": "nearest"}},
    {"percentile": {"lower": 0.5, "upper": 99.5, "clip": True}},
    {"z_score": {}},
    {"rescale": {"slope": 0.226, "intercept": 0.449}},
]


def entries(tables) -> list[Preparation]:
    """Read as engine.toml is read."""
    read = []
    for table in tables:
        entry, problems = read_leniently(Preparation, table, "prepare")
        assert entry is not None
        assert not [*problems, *check_preparation("prepare", entry)]
        read.append(entry)
    return read


def nifti(path: Path) -> Volume:
    """A volume from a NIfTI-1 file: little endian, uint8, with the matrix of its sform, which is in RAS."""
    content = gzip.decompress(path.read_bytes())
    assert np.frombuffer(content, "<i4", 1, 0)[0] == 348
    assert np.frombuffer(content, "<i2", 1, 70)[0] == 2  # uint8
    assert np.frombuffer(content, "<i2", 1, 254)[0] > 0  # there is a sform
    shape = [int(n) for n in np.frombuffer(content, "<i2", 8, 40)[1:4]]
    offset = int(np.frombuffer(content, "<f4", 1, 108)[0])
    voxels = np.frombuffer(content, np.uint8, int(np.prod(shape)), offset).reshape(shape[::-1])
    affine = np.eye(4)
    affine[:3] = np.diag([-1.0, -1.0, 1.0]) @ np.frombuffer(content, "<f4", 12, 280).reshape(3, 4)
    return Volume(
        voxels=voxels.astype(np.int16),
        affine_lps=affine,
        unit=Code("1", "UCUM", "no units"),
        frame_of_reference_uid="1.2.3",
        study_instance_uid="1.2.3.1",
        series_instance_uid="1.2.3.2",
        frames=tuple(SourceFrame(f"1.2.3.2.{k + 1}") for k in range(shape[2])),
        headers=SourceHeaders(()),
    )


def answer(path: Path, image: Prepared) -> np.ndarray:
    """Run a network on the whole image and return its classes (channels, k, j, i)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: image.voxels[np.newaxis, np.newaxis]})[0]
    return np.asarray(found)[0]


def volume_ml(mask: np.ndarray, image: Prepared) -> float:
    return float(mask.sum()) * image.grid.voxel_mm3 / 1000.0


@pytest.mark.real_data
@pytest.mark.slow
def test_deepbet_finds_the_brain_of_its_known_volume(real_data):
    head = nifti(real_data("models/brainchop-meshnet/t1_crop.nii.gz"))
    image = prepare(head, entries(DEEPBET))
    assert image.voxels.shape == (128, 128, 128)
    brain = answer(real_data("models/deepbet-unet/bbox_model.onnx"), image)[1] > 0.5
    assert volume_ml(brain, image) == pytest.approx(1554.0, rel=0.01)
    back = onto_source(brain, image.grid, head.grid)
    assert back.count * head.grid.voxel_mm3 / 1000.0 == pytest.approx(1554.0, rel=0.02)


@pytest.mark.real_data
@pytest.mark.slow
def test_brainchop_finds_grey_and_white_matter_of_their_known_volume(real_data):
    folder = real_data("models/brainchop-meshnet")
    head = nifti(folder / "t1_crop.nii.gz")
    image = prepare(head, entries([*CONFORMED, *MIN_MAX, *INNER]))
    # The file is on the grid that the networks were trained on: nothing is interpolated
    voxels = head.voxels.transpose(2, 1, 0)[32:224, 32:224, 32:224].astype(np.float64)
    assert np.abs(image.voxels - voxels / 255.0).max() < 1e-6
    classes = answer(folder / "model5_gw_ae.onnx", image).argmax(axis=0)
    assert volume_ml(classes > 0, image) == pytest.approx(1283.0, rel=0.01)
    back = onto_source(classes > 0, image.grid, head.grid)
    assert back.count == (classes > 0).sum()


@pytest.mark.real_data
def test_brainchops_quantile_rule_is_what_it_says(real_data):
    head = nifti(real_data("models/brainchop-meshnet/t1_crop.nii.gz"))
    image = prepare(head, entries([*CONFORMED, *QUANTILES]))
    low, high = np.quantile(head.voxels.astype(np.float64), [0.05, 0.95])
    expected = (head.voxels.transpose(2, 1, 0) - low) / (high - low)
    assert np.abs(image.voxels - expected).max() < 1e-5


@pytest.mark.real_data
@pytest.mark.slow
def test_any_orientation_of_the_file_gives_the_same_brain(real_data):
    """The same head, its axes turned and flipped as another scanner might: to the voxel the same answer."""
    head = nifti(real_data("models/brainchop-meshnet/t1_crop.nii.gz"))
    grid = head.affine_lps.copy()
    grid[:3, 3] += grid[:3, 0] * (head.voxels.shape[2] - 1)
    grid[:3, 0] *= -1.0
    turned = Volume(
        voxels=np.ascontiguousarray(head.voxels[:, :, ::-1].transpose(1, 2, 0)),
        affine_lps=grid[:, [2, 0, 1, 3]],
        unit=head.unit,
        frame_of_reference_uid=head.frame_of_reference_uid,
        study_instance_uid=head.study_instance_uid,
        series_instance_uid=head.series_instance_uid,
        frames=head.frames,
        headers=head.headers,
    )
    one, two = prepare(head, entries(DEEPBET)), prepare(turned, entries(DEEPBET))
    assert one.grid.same_as(two.grid)
    assert np.array_equal(one.voxels, two.voxels)
