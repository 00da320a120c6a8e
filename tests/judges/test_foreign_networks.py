"""Trained networks that nobody here made, from `dicomnode engine add` to the SEG and the SR.

The judges are their makers: for this head the volumes are known that the networks give elsewhere. A wrong
orientation or a wrong rule for the intensities gives a plausible wrong mask, and another volume.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from dicomnode.cli import main
from tests.fixtures.head_mr import write_head
from tests.judges import tools

pytestmark = [pytest.mark.judge, pytest.mark.real_data]

ANSWERS = Path(__file__).parent.parent / "fixtures" / "answers"
HEAD = "models/brainchop-meshnet/t1_crop.nii.gz"


@pytest.fixture(scope="module")
def head(real_data, tmp_path_factory) -> Path:
    """The head as an MR series, in the grid that its file has."""
    return write_head(real_data(HEAD), tmp_path_factory.mktemp("head"))


@pytest.fixture
def run(capsys) -> Callable[..., dict]:
    """Run `dicomnode … --json` in this process; give the document of a command that succeeds."""

    def call(*arguments: object) -> dict:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments), "--json"])
        told = capsys.readouterr().out
        assert ended.value.code == 0, told
        return json.loads(told)

    return call


@dataclass(frozen=True)
class Made:
    """What became of the head: the document of `try`, and the objects."""

    document: dict
    seg: Path
    sr: Path

    @property
    def volumes_ml(self) -> dict[str, float]:
        """As the findings say."""
        return {one["label"]: one["volume_ml"] for one in self.document["findings"]}


@pytest.fixture
def made(run, real_data, head, tmp_path) -> Callable[[str, str], Made]:
    """Add a network with a file of answers, pass its gate, and try the head on it."""

    def make(network: str, answers: str) -> Made:
        said = ("--answers", ANSWERS / answers, "--into", tmp_path)
        folder = Path(run("engine", "add", real_data(network), *said)["folder"])
        assert run("engine", "check", folder.name, "--path", folder)["passed"]
        document = run("try", head, "--engine-path", folder, "--out", tmp_path / "out")
        paths = {one["kind"]: Path(one["path"]) for one in document["objects"]}
        return Made(document, paths["SEG"], paths["SR"])

    return make


def voxels_of(seg: Dataset) -> dict[str, np.ndarray]:
    """Read a SEG with pydicom alone: bool (k, j, i) of each segment, k by the file's positions."""
    frames = seg.PerFrameFunctionalGroupsSequence
    positions = [
        np.array(one.PlanePositionSequence[0].ImagePositionPatient, dtype=np.float64) for one in frames
    ]
    labels = {one.SegmentNumber: one.SegmentLabel for one in seg.SegmentSequence}
    along = np.cross(*np.reshape(orientation_of(seg), (2, 3)))
    levels = sorted({round(float(along @ at), 3) for at in positions})
    found = {label: np.zeros((len(levels), seg.Rows, seg.Columns), dtype=bool) for label in labels.values()}
    for frame, at, pixels in zip(frames, positions, seg.pixel_array, strict=True):
        # What all frames share, as the only segment of a SEG, stands in the shared groups
        groups = frame if "SegmentIdentificationSequence" in frame else seg.SharedFunctionalGroupsSequence[0]
        number = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        found[labels[number]][levels.index(round(float(along @ at), 3))] = pixels > 0
    return found


def orientation_of(seg: Dataset) -> np.ndarray:
    shared = seg.SharedFunctionalGroupsSequence[0]
    return np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=np.float64)


def volumes_of(seg: Dataset) -> dict[str, float]:
    """Volumes in ml of the segments of a SEG, counted with pydicom."""
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    voxel_mm3 = float(np.prod(measures.PixelSpacing)) * float(measures.SpacingBetweenSlices)
    return {label: float(voxels.sum()) * voxel_mm3 / 1000.0 for label, voxels in voxels_of(seg).items()}


def reported_ml(sr: Dataset) -> list[float]:
    """All volumes in ml that the report has, in its order."""
    found = []

    def walk(items) -> None:
        for item in items:
            values = item.get("MeasuredValueSequence", [])
            found.extend(
                float(one.NumericValue)
                for one in values
                if one.MeasurementUnitsCodeSequence[0].CodeValue == "ml"
            )
            walk(item.get("ContentSequence", []))

    walk(sr.ContentSequence)
    return found


def check(made: Made, expected_ml: float) -> dict[str, float]:
    """Compare findings, SEG and SR with each other and with the known volume; dciodvfy takes both."""
    seg, sr = dcmread(made.seg), dcmread(made.sr)
    counted = volumes_of(seg)
    assert sum(counted.values()) == pytest.approx(expected_ml, rel=0.01)
    assert made.volumes_ml == {label: pytest.approx(ml, rel=1e-4) for label, ml in counted.items()}
    assert reported_ml(sr) == [pytest.approx(ml, rel=1e-3) for ml in made.volumes_ml.values()]
    assert [tools.dciodvfy(path) for path in (made.seg, made.sr)] == [[], []]
    return counted


def means_of(head: Path, seg: Path) -> dict[str, float]:
    """Mean of the head's pixels in each segment, the two laid upon each other by their positions."""
    images = [dcmread(path) for path in head.iterdir()]
    along = np.cross(*np.reshape(np.array(images[0].ImageOrientationPatient, dtype=np.float64), (2, 3)))
    found = dcmread(seg)
    at = {
        round(float(along @ np.array(one.ImagePositionPatient, dtype=np.float64)), 3): one for one in images
    }
    levels = sorted(
        {
            round(float(along @ np.array(one.PlanePositionSequence[0].ImagePositionPatient, dtype=float)), 3)
            for one in found.PerFrameFunctionalGroupsSequence
        }
    )
    pixels = np.stack([at[level].pixel_array for level in levels])
    return {label: float(pixels[voxels].mean()) for label, voxels in voxels_of(found).items()}


@pytest.mark.long
def test_the_brain_of_deepbet_has_its_known_volume(made):
    result = made("models/deepbet-unet/bbox_model.onnx", "deepbet.toml")
    assert set(check(result, 1554.0)) == {"brain"}


def test_white_and_grey_matter_of_brainchop_have_their_known_volume(made, head):
    result = made("models/brainchop-meshnet/model5_gw_ae.onnx", "brainchop-minmax.toml")
    assert set(check(result, 1283.0)) == {"white-matter", "grey-matter"}
    mean = means_of(head, result.seg)
    assert mean["white-matter"] > mean["grey-matter"] + 15.0  # of 255: in T1 white matter is the brighter


@pytest.mark.long
@pytest.mark.slow
def test_white_and_grey_matter_of_the_larger_brainchop_have_their_known_volume(made, head):
    result = made("models/brainchop-meshnet/model20chan3cls.onnx", "brainchop-quantiles.toml")
    assert set(check(result, 1304.0)) == {"white-matter", "grey-matter"}
    mean = means_of(head, result.seg)
    assert mean["white-matter"] > mean["grey-matter"] + 15.0


def test_a_network_with_eighteen_classes_is_proposed_as_such_and_passes_its_gate(run, real_data, tmp_path):
    network = real_data("models/brainchop-meshnet/model30chan18cls.onnx")
    added = run("engine", "add", network, "--into", tmp_path, "--yes", "--set", "modality=MR")
    folder = Path(added["folder"])
    assert run("engine", "check", folder.name, "--path", folder)["passed"]
    table = tomllib.loads((folder / "engine.toml").read_text(encoding="utf-8"))
    assert table["step"][0]["interpret"] == "labels"
    assert [one["channel"] for one in table["output"]] == list(range(1, 18))
