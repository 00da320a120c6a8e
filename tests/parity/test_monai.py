"""MONAI's own inference and an engine made of the same bundle, on the same volume: the same result.

The bundles are made and trained here (tests/fixtures/monai); the volumes are oblique and their voxels have
three different lengths. MONAI reads a NIfTI file, the node a Volume; nothing else is shared.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dicomnode.analyse import Analysis, Analyst
from dicomnode.analyse.prepare import prepare
from dicomnode.engine.adding.drafting import write_draft
from dicomnode.learn import convert_monai
from dicomnode.values import Findings, Volume
from tests.fixtures.frameworks import needed
from tests.fixtures.monai.bundles import (
    Phantom,
    Source,
    inference,
    metadata,
    phantom,
    quiet,
    trained,
    write_bundle,
    write_nifti,
)

needed("torch")
needed("monai")

pytestmark = pytest.mark.slow

Transforms = Sequence[Mapping[str, Any]]


def on_image(name: str, **arguments: Any) -> dict[str, Any]:
    return {"_target_": name, "keys": "image", **arguments}


def on_pred(name: str, **arguments: Any) -> dict[str, Any]:
    return {"_target_": name, "keys": "pred", **arguments}


def back(*, nearest: bool) -> dict[str, Any]:
    return on_pred("Invertd", transform="@preprocessing", orig_keys="image", nearest_interp=nearest)


UNET = {
    "_target_": "UNet",
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 3,
    "channels": [8, 16, 32],
    "strides": [2, 2],
    "num_res_units": 1,
    "norm": "batch",
}
SEGRESNET = {"_target_": "SegResNet", "init_filters": 8, "in_channels": 1, "out_channels": 3}
SEGRESNET |= {"blocks_down": [1, 1], "blocks_up": [1], "dropout_prob": 0.1}
SOFTMAX, ARGMAX = on_pred("Activationsd", softmax=True), on_pred("AsDiscreted", argmax=True)


@dataclass(frozen=True)
class Case:
    """A bundle: how it prepares, runs and ends. labels: of the engine's segments, by class."""

    modality: str
    network: Mapping[str, Any]
    before: Transforms
    inferer: Mapping[str, Any]
    after: Transforms
    classes: Mapping[str, str]
    labels: Mapping[str, int]
    steps: int = 66


ORGANS = {"0": "background", "1": "liver", "2": "left kidney"}
BOTH = {"liver": 1, "kidney-left": 2}
CASES = {
    "CT, UNet, probabilities taken back": Case(
        "CT",
        UNET,
        [
            on_image("Orientationd", axcodes="RAS"),
            on_image("Spacingd", pixdim=[1.9, 2.1, 2.3], mode="bilinear"),
            on_image("ScaleIntensityRanged", a_min=-160, a_max=200, b_min=0.0, b_max=1.0, clip=True),
            on_image("CropForegroundd", source_key="image"),
        ],
        {
            "_target_": "SlidingWindowInferer",
            "roi_size": [32, 32, 32],
            "sw_batch_size": 2,
            "overlap": 0.5,
            "mode": "gaussian",
        },
        [SOFTMAX, back(nearest=False), ARGMAX],
        ORGANS,
        BOTH,
    ),
    "MR, SegResNet, classes taken back": Case(
        "MR",
        SEGRESNET,
        [
            on_image("Orientationd", axcodes="LAS"),
            on_image("Spacingd", pixdim=[2.247, 2.013, 2.657], mode="bilinear"),
            on_image("NormalizeIntensityd", nonzero=True, channel_wise=True),
        ],
        {
            "_target_": "SlidingWindowInferer",
            "roi_size": [48, 48, 64],
            "sw_batch_size": 1,
            "overlap": 0.25,
            "padding_mode": "replicate",
        },
        [
            on_pred("AsDiscreted", argmax=True),
            on_pred("KeepLargestConnectedComponentd", applied_labels=[1, 2]),
            back(nearest=True),
        ],
        ORGANS,
        BOTH,
    ),
    "MR, one channel, in one pass over any size": Case(
        "MR",
        {**UNET, "out_channels": 1, "norm": "instance"},
        [
            on_image("Orientationd", axcodes="RAS"),
            on_image("Spacingd", pixdim=[2.4, 2.4, 2.4], mode="bilinear"),
            on_image("ScaleIntensityRangePercentilesd", lower=1, upper=99, b_min=0, b_max=1, clip=True),
            on_image("DivisiblePadd", k=16),
        ],
        {"_target_": "SimpleInferer"},
        [on_pred("Activationsd", sigmoid=True), back(nearest=False), on_pred("AsDiscreted", threshold=0.6)],
        {"0": "liver"},
        {"liver": 1},
    ),
}


def made(case: Case, folder: Path) -> tuple[Source, Phantom, Path]:
    """Make the bundle of a case, and the volume that it is compared on."""
    subject = phantom(case.modality)
    folder.mkdir(parents=True)
    nifti = write_nifti(subject.volume, folder / "image.nii.gz")
    config = inference(case.network, case.before, case.after, case.inferer)
    source = Source(
        write_bundle(folder / "phantom-organs", config, metadata(case.modality, case.classes), {})
    )
    trained(source, subject, nifti, case.steps, int(case.network["out_channels"]))
    return source, subject, nifti


def analysed(bundle: Path, folder: Path, volume: Volume) -> tuple[Findings, Any]:
    """Make an engine of a bundle and run it."""
    package = write_draft(convert_monai(bundle), folder)
    analyst = Analyst(package, threads=2, node_version="9.9")
    try:
        when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        given = Analysis(volumes={"image": volume}, salt=b"s" * 32, study_version=1, made_at=when)
        return analyst.analyse(given), package
    finally:
        analyst.close()


def dice(found: Findings, theirs: np.ndarray, labels: Mapping[str, int]) -> dict[str, float]:
    """Compare each segment with MONAI's class, both on the grid of the images (k, j, i)."""
    masks = {segment.label: segment.mask.to_array() for segment in found.segments}
    assert set(masks) == set(labels)
    return {
        label: 2.0
        * float((masks[label] & (theirs == number)).sum())
        / float(masks[label].sum() + (theirs == number).sum())
        for label, number in labels.items()
    }


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """Bundles, each trained once in this process."""
    root, kept = tmp_path_factory.mktemp("bundles"), {}

    def get(name: str) -> tuple[Source, Phantom, Path]:
        if name not in kept:
            kept[name] = made(CASES[name], root / str(len(kept)))
        return kept[name]

    return get


@pytest.mark.parametrize("name", CASES)
def test_an_engine_gives_the_masks_that_monai_gives(name, workshop, tmp_path):
    case = CASES[name]
    source, subject, nifti = workshop(name)
    theirs = np.rint(source.result(nifti)[0]).transpose(2, 1, 0)
    for label, number in case.labels.items():
        assert (theirs == number).sum() > 500, f"{label}: the network has learned nothing"
    found, package = analysed(source.folder, tmp_path / "engine", subject.volume)
    mine = prepare(subject.volume, package.manifest.input[0].prepare)
    wanted = np.asarray(source.prepared(nifti))[0]
    assert mine.voxels.shape == wanted.shape
    assert np.abs(mine.voxels - wanted).max() < 1e-4
    agreed = dice(found, theirs, case.labels)
    assert min(agreed.values()) >= 0.999


def test_a_zip_file_with_torchscript_gives_the_same_masks(workshop, tmp_path):
    name = "CT, UNet, probabilities taken back"
    source, subject, nifti = workshop(name)
    copy = Path(shutil.copytree(source.folder, tmp_path / "copy" / "phantom-organs"))
    (copy / "models" / "model.ts").write_bytes(source.script())
    (copy / "models" / "model.pt").unlink()
    packed = shutil.make_archive(str(tmp_path / "bundle"), "zip", tmp_path / "copy", "phantom-organs")
    theirs = np.rint(source.result(nifti)[0]).transpose(2, 1, 0)
    found, package = analysed(Path(packed), tmp_path / "engine", subject.volume)
    assert package.manifest.name == "phantom-organs"
    assert min(dice(found, theirs, CASES[name].labels).values()) >= 0.999


def test_a_classifier_gives_the_probabilities_that_monai_gives(tmp_path):
    subject = phantom("CT")
    nifti = write_nifti(subject.volume, tmp_path / "image.nii.gz")
    network = {"_target_": "DenseNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 3}
    network |= {"init_features": 8, "growth_rate": 4, "block_config": [2, 2, 2]}
    before = [
        on_image("Orientationd", axcodes="RAS"),
        on_image("ScaleIntensityd"),
        on_image("Resized", spatial_size=[40, 36, 32]),
    ]
    config = inference(network, before, [SOFTMAX], {"_target_": "SimpleInferer"})
    names = {"0": "normal", "1": "nodule", "2": "effusion"}
    source = Source(write_bundle(tmp_path / "classes", config, metadata("CT", names), {}))
    seeded_weights(source)
    found, package = analysed(source.folder, tmp_path / "engine", subject.volume)
    wanted = source.result(nifti).ravel()
    assert np.ptp(wanted) > 0.05
    assert package.manifest.step[0].classes.names == tuple(names.values())
    got = [one.probability for one in found.classifications]
    assert np.abs(np.array(got) - wanted).max() <= 1e-4


def seeded_weights(source: Source) -> None:
    """Weights that tell classes apart: seeded, the last layer larger than it begins."""
    with quiet():
        import torch

        torch.manual_seed(5)
        network = source.parser().get_parsed_content("network_def")
        with torch.no_grad():
            for name, tensor in network.named_parameters():
                if name.startswith("class_layers") and tensor.ndim == 2:
                    tensor.mul_(40.0)
        torch.save(network.eval().state_dict(), source.folder / "models" / "model.pt")
