"""An engine made of an nnU-Net result gives what nnU-Net's own predictor gives, on the same volume."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from dicomnode.analyse import Analysis, Analyst
from dicomnode.engine.adding.drafting import write_draft
from dicomnode.values import Code, SourceFrame, SourceHeaders, Volume
from tests.fixtures.frameworks import needed

torch = needed("torch")
needed("nnunetv2")

from tests.fixtures.nnunet.make import Case, make_result, phantom  # noqa: E402  nnU-Net is there

HU = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
LEAST_DICE = 0.999
# Against the same predictor that adds its windows up in single precision, as the node does
LEAST_DICE_SINGLE = 0.9998

BRAIN = {"background": 0, "whole tumor": [1, 2], "tumor core": [2]}
CASES = {
    # Thick slices in the images and the network: planes are resampled one by one. Two folds, all mirrorings.
    "thick": Case("Liver", folds=2, seed=1),
    # Thinner slices than the network's, which are thick: linear across them would be another answer
    "thin_onto_thick": Case("Thin", image_mm=(2.0, 1.0, 1.0), image_shape=(31, 57, 61), seed=2),
    # Isotropic, no patch fits: regions, residual, masked z-score, axes transposed, two mirrorings
    "regions": Case(
        "BrainTumour",
        spacing=(1.5, 1.5, 1.5),
        patch=(32, 32, 32),
        strides=((1, 1, 1), (2, 2, 2), (2, 2, 2)),
        image_mm=(1.2, 1.2, 1.2),
        image_shape=(29, 47, 51),
        transpose=(1, 0, 2),
        scheme="ZScoreNormalization",
        masked=True,
        channel="T1",
        labels=BRAIN,
        regions_class_order=(1, 2),
        residual=True,
        mirror=(0, 2),
        seed=3,
        steps=120,
    ),
    # Slices as they are, whatever their distance; no mirroring
    "slices": Case(
        "Slices",
        configuration="2d",
        spacing=(1.3, 1.3),
        patch=(32, 32),
        strides=((1, 1), (2, 2), (2, 2)),
        image_shape=(13, 83, 87),
        mirror=None,
        seed=4,
        steps=120,
    ),
    "slices_mirrored": Case(
        "Mirrored",
        configuration="2d",
        spacing=(1.3, 1.1),
        patch=(40, 32),
        strides=((1, 1), (2, 2), (2, 2)),
        image_mm=(1.5, 1.0, 1.0),
        scheme="RescaleTo01Normalization",
        channel="MR",
        mirror=(0, 1),
        seed=5,
        steps=120,
    ),
    # Two series, of which neither shows all: one box around both, each normalised where any of them is not 0
    "two_channels": Case(
        "TwoSeries",
        spacing=(2.0, 1.2, 1.2),
        patch=(16, 32, 32),
        strides=((1, 1, 1), (1, 2, 2), (2, 2, 2)),
        image_mm=(2.5, 1.0, 1.0),
        image_shape=(19, 49, 53),
        scheme="ZScoreNormalization",
        masked=True,
        channel="T1ce",
        second="FLAIR",
        mirror=(1,),
        seed=6,
        steps=120,
    ),
    # Two series of two modalities, each with a rule of its own, slice by slice
    "two_channels_by_slice": Case(
        "PetCt",
        configuration="2d",
        spacing=(1.3, 1.3),
        patch=(32, 32),
        strides=((1, 1), (2, 2), (2, 2)),
        image_shape=(13, 63, 67),
        second="PET",
        mirror=None,
        seed=7,
        steps=120,
    ),
}


def volume_of(image: np.ndarray, spacing_kji_mm: tuple[float, float, float]) -> Volume:
    """A volume whose i, j, k run to the left, the back and the head."""
    affine = np.diag([spacing_kji_mm[2], spacing_kji_mm[1], spacing_kji_mm[0], 1.0])
    affine[:3, 3] = (-30.0, -20.0, 12.0)
    return Volume(
        voxels=image.astype(np.int16),
        affine_lps=affine,
        unit=HU,
        frame_of_reference_uid="1.2.3",
        study_instance_uid="1.2.3.1",
        series_instance_uid="1.2.3.2",
        frames=tuple(SourceFrame(f"1.2.3.2.{k + 1}") for k in range(len(image))),
        headers=SourceHeaders(()),
    )


def turned(volume: Volume) -> Volume:
    """The same patient in a series of other axes: i to the head, j to the right, k to the back."""
    affine = volume.affine_lps.copy()
    last = volume.voxels.shape[2] - 1
    affine[:3, 3] += affine[:3, 0] * last
    affine[:3, 0] *= -1.0
    voxels = np.ascontiguousarray(volume.voxels[:, :, ::-1].transpose(1, 2, 0))
    return Volume(
        voxels=voxels,
        affine_lps=affine[:, [2, 0, 1, 3]],
        unit=volume.unit,
        frame_of_reference_uid=volume.frame_of_reference_uid,
        study_instance_uid=volume.study_instance_uid,
        series_instance_uid=volume.series_instance_uid,
        frames=tuple(SourceFrame(f"1.2.3.2.{k + 1}") for k in range(len(voxels))),
        headers=volume.headers,
    )


def turned_mask(mask: np.ndarray) -> np.ndarray:
    return mask[:, :, ::-1].transpose(1, 2, 0)


def predicted(folder: Path, case: Case, image: np.ndarray) -> np.ndarray:
    """Return the labels (z, y, x) that nnU-Net's own predictor gives."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own, on torch
        predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
        predictor.initialize_from_trained_model_folder(str(folder), None)
        properties = {"spacing": list(case.image_mm)}
        return np.asarray(predictor.predict_single_npy_array(image.copy(), properties))


def found(folder: Path, volumes: list[Volume]) -> dict[str, np.ndarray]:
    """Return the masks (k, j, i) that the engine gives, by label of the segment."""
    from dicomnode.engine import load_package

    analyst = Analyst(load_package(folder), threads=2, node_version="9.9")
    try:
        analyst.warm()
        names = [one.name for one in analyst.package.manifest.input]
        given = dict(zip(names, volumes, strict=True))
        when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        analysis = Analysis(volumes=given, salt=b"s" * 32, study_version=1, made_at=when)
        segments = analyst.analyse(analysis).segments
        return {segment.label: segment.mask.to_array() for segment in segments}
    finally:
        analyst.close()


def dice(one: np.ndarray, two: np.ndarray) -> float:
    both = one.sum() + two.sum()
    return 2.0 * float((one & two).sum()) / float(both)


@dataclass(frozen=True)
class Pair:
    """One case on one volume: what nnU-Net says and the engine, which is in `engine`."""

    case: Case
    volumes: list[Volume]
    theirs: np.ndarray
    theirs_single: np.ndarray
    engine: Path
    order: tuple[int, ...]


@pytest.fixture(scope="module", params=sorted(CASES))
def pair(request, tmp_path_factory) -> Pair:
    from dicomnode.learn import convert_nnunet

    case = CASES[request.param]
    folder = make_result(tmp_path_factory.mktemp("result"), case)
    image, _ = phantom(case, seed=99)
    engine = tmp_path_factory.mktemp("engines") / request.param
    write_draft(convert_nnunet(folder, {"name": request.param}), engine)
    theirs = predicted(folder, case, image)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "half", torch.float32)
        single = predicted(folder, case, image)
    order = case.regions_class_order or tuple(range(1, case.classes))
    volumes = [volume_of(one, case.image_mm) for one in image]
    return Pair(case, volumes, theirs, single, engine, order)


def test_the_engine_gives_the_labels_of_nnu_nets_predictor(pair, record_property):
    least = min(int((pair.theirs == label).sum()) for label in pair.order)
    assert least > 50  # the network has learned something
    ours = list(found(pair.engine, pair.volumes).values())
    assert len(ours) == len(pair.order)
    for label, mask in zip(pair.order, ours, strict=True):
        score, single = dice(mask, pair.theirs == label), dice(mask, pair.theirs_single == label)
        record_property(f"dice of label {label}", score)
        record_property(f"dice of label {label}, single precision", single)
        assert score >= LEAST_DICE
        assert single >= LEAST_DICE_SINGLE


def test_a_series_with_other_axes_gives_the_same(pair):
    upright, other = (
        found(pair.engine, pair.volumes),
        found(pair.engine, [turned(one) for one in pair.volumes]),
    )
    assert upright.keys() == other.keys()
    for label, mask in upright.items():
        assert np.array_equal(turned_mask(mask), other[label])
