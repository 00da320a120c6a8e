"""A study of everything that a hospital sends together: each series is taken, or has its reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

from dicomnode.assemble import decode_here, read_studies
from dicomnode.engine import Requirement
from dicomnode.phantom import SeriesForm, thorax, write_series
from dicomnode.serve.deciding.dispatch import decide
from dicomnode.values import Grid
from tests.unit.serve.test_plan import package

CHEST = package("small")
HEAD_MR = Grid((20, 32, 28), np.diag([6.0, 7.0, 5.0, 1.0]), "1.2.826.7")


def changed(paths, folder, mark, **values):
    """Copies of images with other values, in the study of the first one."""
    for n, path in enumerate(paths):
        dataset = dcmread(path)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid(
            entropy_srcs=[mark, str(n)]
        )
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
        dataset.save_as(folder / f"{mark}-{n}.dcm")


@pytest.fixture
def files(tmp_path):
    body = thorax(7, "small", nodules=False)
    return write_series(body.voxels, body.grid, tmp_path, seed=7)


def verdicts_of(folder, engine=CHEST):
    (study,) = read_studies([folder]).studies
    dispatch = decide(study, [engine], decode_here)
    descriptions = {
        (series.series_instance_uid, stack.facts.stack): stack.facts.tags.get("SeriesDescription", "")
        for series in study.series
        for stack in series.stacks
    }
    return dispatch, {descriptions[one.series_instance_uid, one.stack]: one for one in dispatch.verdicts}


def test_of_a_study_of_everything_the_chest_is_taken_and_each_other_series_has_its_reason(files, tmp_path):
    first = dcmread(files[0])
    study = {"StudyInstanceUID": first.StudyInstanceUID, "PatientID": first.PatientID}
    for path in files:
        dataset = dcmread(path)
        dataset.SeriesDescription = "chest"
        dataset.save_as(path)
    series = {name: generate_uid(entropy_srcs=[name]) for name in ("thick", "scout", "capture", "pet")}
    changed(files[::3], tmp_path, "thick", SeriesInstanceUID=series["thick"], SeriesDescription="thick")
    localizer = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "SeriesDescription": "scout"}
    changed(files[:1], tmp_path, "scout", SeriesInstanceUID=series["scout"], **localizer)
    capture = {"SOPClassUID": SecondaryCaptureImageStorage, "SeriesDescription": "capture"}
    changed(files[:2], tmp_path, "capture", SeriesInstanceUID=series["capture"], **capture)
    other = tmp_path / "mr"
    other.mkdir()
    brain = np.random.default_rng(2).integers(0, 900, HEAD_MR.shape_kji)
    for path in write_series(brain, HEAD_MR, other, seed=8, form=SeriesForm(modality="MR")):
        dataset = dcmread(path)
        for keyword, value in study.items():
            setattr(dataset, keyword, value)
        dataset.SeriesDescription = "brain"
        dataset.save_as(path)
    (other / "report.dcm").write_bytes(b"no image at all")

    dispatch, said = verdicts_of(tmp_path)
    (choice,) = dispatch.choices
    assert choice.stack.facts.tags["SeriesDescription"] == "chest"
    assert said["chest"].score == 1.0
    assert (said["thick"].rule, said["thick"].found) == ("spacing between slices at most 5 mm", "7.5 mm")
    assert (said["brain"].rule, said["brain"].found) == ("Modality is CT", "MR")
    assert "scout" not in said  # set aside: no engine is asked
    assert not any(one.chosen for name, one in said.items() if name != "chest")


def test_of_two_phases_in_one_series_the_engine_gets_the_one_that_it_asks_for(files, tmp_path):
    uid = dcmread(files[0]).SeriesInstanceUID
    agent = {
        "ContrastBolusAgent": "IOMERON",
        "ContrastBolusStartTime": "101500",
        "SeriesDescription": "liver",
    }
    for path in files:
        dataset = dcmread(path)
        pixels = dataset.pixel_array
        for mark, number, at in (("a", 1, "101532"), ("b", 2, "101610")):
            dataset.PixelData = (pixels + number).astype(pixels.dtype).tobytes()
            dataset.AcquisitionNumber, dataset.AcquisitionTime = number, at
            for keyword, value in agent.items():
                setattr(dataset, keyword, value)
            name = f"{mark}-{path.stem}"
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid(
                entropy_srcs=[name]
            )
            dataset.save_as(tmp_path / f"{name}.dcm")
        path.unlink()
    for wanted, found in (("arterial", "101532"), ("venous", "101610")):
        spec = CHEST.manifest.input[0]
        rule = Requirement(fact="contrast", equals=wanted)
        spec = replace(spec, require=(*spec.require, rule))
        engine = replace(CHEST, manifest=replace(CHEST.manifest, input=(spec,)))
        (study,) = read_studies([tmp_path]).studies
        dispatch = decide(study, [engine], decode_here)
        (choice,) = dispatch.choices
        assert choice.stack.facts.series_instance_uid == uid
        assert choice.stack.headers[0].tags["AcquisitionTime"] == found
        (other,) = [one for one in dispatch.verdicts if not one.chosen]
        assert other.rule == f"contrast phase is {wanted}"
