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
from dicomnode.analyse.ready import make_ready
from dicomnode.engine.adding.drafting import write_draft
from dicomnode.learn import convert_monai
from dicomnode.values import Findings, Volume, no_progress
from tests.fixtures.frameworks import needed
from tests.fixtures.monai.bundles import (
    Files,
    Source,
    inference,
    metadata,
    phantom,
    quiet,
    second,
    trained,
    write_bundle,
    write_nifti,
    write_picture,
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
    """A bundle: how it prepares, runs and ends. labels: of the engine's segments, by class.

    channels: names of the series that are its channels. keys: that they are loaded under, one or one each.
    """

    modality: str
    network: Mapping[str, Any]
    before: Transforms
    inferer: Mapping[str, Any]
    after: Transforms
    classes: Mapping[str, str]
    labels: Mapping[str, int]
    steps: int = 66
    channels: Sequence[str] = ("image",)
    keys: Sequence[str] = ("image",)


def on(keys: Sequence[str], target: str, **arguments: Any) -> dict[str, Any]:
    return {"_target_": target, "keys": list(keys), **arguments}


def slices(**arguments: Any) -> dict[str, Any]:
    return {"_target_": "SliceInferer", "sw_batch_size": 3, **arguments}


TWO = ("t1", "t2")
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
    "MR, a list of two files is one image": Case(
        "MR",
        {**UNET, "in_channels": 2},
        [
            on_image("Orientationd", axcodes="RAS"),
            on_image("Spacingd", pixdim=[2.2, 2.4, 2.6], mode="bilinear"),
            on_image("CropForegroundd", source_key="image"),
            on_image("NormalizeIntensityd", nonzero=True, channel_wise=True),
        ],
        {"_target_": "SlidingWindowInferer", "roi_size": [32, 32, 32], "overlap": 0.25, "mode": "gaussian"},
        [SOFTMAX, back(nearest=False), ARGMAX],
        ORGANS,
        BOTH,
        channels=("T1c", "FLAIR"),
    ),
    "MR, two keys that are stacked": Case(
        "MR",
        {**UNET, "in_channels": 2},
        [
            on(TWO, "Orientationd", axcodes="RAS"),
            on(TWO, "Spacingd", pixdim=[2.3, 2.2, 2.7], mode=["bilinear", "bilinear"]),
            on(["t1"], "ScaleIntensityRangePercentilesd", lower=1, upper=99, b_min=0, b_max=1, clip=True),
            on(["t2"], "NormalizeIntensityd", subtrahend=500, divisor=90),
            on(TWO, "ConcatItemsd", name="image"),
        ],
        {"_target_": "SlidingWindowInferer", "roi_size": [32, 32, 32], "overlap": 0.25},
        [SOFTMAX, {**back(nearest=False), "orig_keys": "t1"}, ARGMAX],
        ORGANS,
        BOTH,
        channels=("T1", "T2"),
        keys=TWO,
    ),
    "CT, slice by slice along the last axis": Case(
        "CT",
        {**UNET, "spatial_dims": 2},
        [
            on_image("Orientationd", axcodes="RAS"),
            on_image("Spacingd", pixdim=[1.9, 2.1, 2.9], mode="bilinear"),
            on_image("ScaleIntensityRanged", a_min=-160, a_max=200, b_min=0.0, b_max=1.0, clip=True),
        ],
        slices(roi_size=[32, 40], spatial_dim=2, overlap=0.5, mode="gaussian"),
        [SOFTMAX, back(nearest=False), ARGMAX],
        ORGANS,
        BOTH,
        steps=120,
    ),
    "MR, two series slice by slice along the first axis": Case(
        "MR",
        {**UNET, "spatial_dims": 2, "in_channels": 2},
        [
            on_image("Orientationd", axcodes="SPL"),
            on_image("Spacingd", pixdim=[2.657, 2.013, 2.247], mode="bilinear"),
            on_image("NormalizeIntensityd", nonzero=True, channel_wise=True),
        ],
        slices(roi_size=[40, 32]),
        [ARGMAX, back(nearest=True)],
        ORGANS,
        BOTH,
        steps=120,
        channels=("T1", "T2"),
    ),
}


@dataclass(frozen=True)
class Made:
    """The bundle of a case, and what it is compared on: the same volumes as files and as values."""

    source: Source
    volumes: Sequence[Volume]
    files: Files


def made(case: Case, folder: Path) -> Made:
    """Make the bundle of a case, and the volumes that it is compared on."""
    subject = phantom(case.modality)
    folder.mkdir(parents=True)
    volumes = [subject.volume, second(subject)][: len(case.channels)]
    paths = [write_nifti(one, folder / f"{n}.nii.gz") for n, one in enumerate(volumes)]
    several = dict(zip(case.keys, paths, strict=True)) if len(case.keys) > 1 else {"image": paths}
    files: Files = several if len(paths) > 1 else paths[0]
    config = inference(case.network, case.before, case.after, case.inferer, case.keys)
    about = metadata(case.modality, case.classes, case.channels)
    source = Source(write_bundle(folder / "phantom-organs", config, about, {}))
    trained(source, subject, files, case.steps, int(case.network["out_channels"]))
    return Made(source, volumes, files)


def analysed(
    bundle: Path, folder: Path, volumes: Sequence[Volume], answers: Mapping[str, Any] | None = None
) -> tuple[Findings, Any]:
    """Make an engine of a bundle and run it."""
    package = write_draft(convert_monai(bundle, answers), folder)
    analyst = Analyst(package, threads=2, node_version="9.9")
    try:
        when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        given = given_to(package, volumes)
        return analyst.analyse(
            Analysis(volumes=given, salt=b"s" * 32, study_version=1, made_at=when)
        ), package
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

    def get(name: str) -> Made:
        if name not in kept:
            kept[name] = made(CASES[name], root / str(len(kept)))
        return kept[name]

    return get


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_an_engine_gives_the_masks_that_monai_gives(name, workshop, tmp_path):
    case, ready = CASES[name], workshop(name)
    theirs = np.rint(ready.source.result(ready.files)[0]).transpose(2, 1, 0)
    for label, number in case.labels.items():
        assert (theirs == number).sum() > 500, f"{label}: the network has learned nothing"
    found, package = analysed(ready.source.folder, tmp_path / "engine", ready.volumes)
    mine = make_ready(package.manifest, given_to(package, ready.volumes), no_progress)
    wanted = np.asarray(ready.source.prepared(ready.files))
    turned = slices_first(case, wanted)
    for image, channel in zip(mine.images.values(), turned, strict=True):
        assert image.voxels.shape == channel.shape
        assert np.abs(image.voxels - channel).max() < 1e-4
    agreed = dice(found, theirs, case.labels)
    assert min(agreed.values()) >= 0.999


def given_to(package: Any, volumes: Sequence[Volume]) -> dict[str, Volume]:
    return dict(zip((one.name for one in package.manifest.input), volumes, strict=True))


def slices_first(case: Case, image: np.ndarray) -> np.ndarray:
    """Turn MONAI's image (c, …) so that the axis that a network goes along slice by slice is the first."""
    along = case.inferer.get("spatial_dim", 0) if case.inferer["_target_"] == "SliceInferer" else 0
    return np.moveaxis(image, along + 1, 1)


def test_a_zip_file_with_torchscript_gives_the_same_masks(workshop, tmp_path):
    name = "CT, UNet, probabilities taken back"
    ready = workshop(name)
    copy = Path(shutil.copytree(ready.source.folder, tmp_path / "copy" / "phantom-organs"))
    (copy / "models" / "model.ts").write_bytes(ready.source.script())
    (copy / "models" / "model.pt").unlink()
    packed = shutil.make_archive(str(tmp_path / "bundle"), "zip", tmp_path / "copy", "phantom-organs")
    theirs = np.rint(ready.source.result(ready.files)[0]).transpose(2, 1, 0)
    found, package = analysed(Path(packed), tmp_path / "engine", ready.volumes)
    assert package.manifest.name == "phantom-organs"
    assert min(dice(found, theirs, CASES[name].labels).values()) >= 0.999


@pytest.mark.long
def test_pictures_one_by_one_are_the_slices_of_a_series(workshop, tmp_path):
    """A bundle for pictures: each slice is a file of two dimensions there, and one of a series here."""
    ready = workshop("CT, slice by slice along the last axis")
    [volume], scaled = ready.volumes, CASES["CT, slice by slice along the last axis"].before[2]
    inferer = {"_target_": "SlidingWindowInferer", "roi_size": [32, 40], "overlap": 0.25}
    config = inference(
        {**UNET, "spatial_dims": 2},
        [scaled, on_image("DivisiblePadd", k=16)],
        [back(nearest=True), ARGMAX],
        inferer,
    )
    weights = {"model.pt": (ready.source.folder / "models" / "model.pt").read_bytes()}
    source = Source(write_bundle(tmp_path / "pictures", config, metadata("CT", ORGANS), weights))
    theirs = np.stack(
        [np.rint(source.result(write_picture(one, tmp_path / "one.nii.gz"))[0]).T for one in volume.voxels]
    )
    assert all((theirs == number).sum() > 500 for number in BOTH.values())
    found, _ = analysed(source.folder, tmp_path / "engine", [volume], {"orientation": "LPS"})
    assert min(dice(found, theirs, BOTH).values()) >= 0.999


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
    found, package = analysed(source.folder, tmp_path / "engine", [subject.volume])
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
