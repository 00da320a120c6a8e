"""Labels that reports say, and pictures that are learned from."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from dicomnode.evaluate.data import read_labelled
from dicomnode.learn import ClassifyJob, RegressJob, read_recipe, train_engine
from dicomnode.learn.train.told import said_of
from dicomnode.values import Annotation, AnnotationKind, Code, Measurement
from tests.fixtures.pictures import photograph, written
from tests.fixtures.vision import torchvision_models

from .conftest import torch
from .small_data import write_study

FINDING = Code("99901", "99TEST", "Fatty liver")
YES, NO = Code("373066001", "SCT", "Yes"), Code("373067005", "SCT", "No")
YEARS = Code("a", "UCUM", "year")


def report(uid: str, answer: Code, age: float, *, verified: bool = False, hour: int = 8) -> Annotation:
    return Annotation(
        kind=AnnotationKind.SR,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.33",
        sop_instance_uid=uid,
        series_instance_uid="2.25.9",
        study_instance_uid="2.25.8",
        verified=verified,
        made_at=datetime(2026, 1, 1, hour),  # noqa: DTZ001  as DICOM has it
        answers=((FINDING, answer),),
        measurements=(Measurement(name="age", concept=Code("30525-0", "LN", "Age"), value=age, unit=YEARS),),
    )


@pytest.fixture
def studies(tmp_path: Path):
    for seed in range(4):
        write_study(tmp_path, seed, outlines=())
    data = read_labelled([tmp_path])
    said = [
        replace(study, annotations=(report(f"2.25.{n}", YES if n % 2 else NO, 40.0 + n),))
        for n, study in enumerate(data.studies)
    ]
    return replace(data, studies=tuple(said))


def test_answers_of_reports_are_classes(studies) -> None:
    job = ClassifyJob.of(read_recipe(None, "classify", {"network": "gru"}), studies, "fatty liver")
    assert job.labels == ("No", "Yes")
    assert job.titles == ("no fatty liver", "fatty liver")
    assert [job.value_of(case) for case in job.cases] == [0.0, 1.0, 0.0, 1.0]


def test_measurements_of_reports_are_numbers(studies) -> None:
    job = RegressJob.of(read_recipe(None, "regress", {"network": "gru"}), studies, "age", YEARS)
    assert [job.value_of(case) for case in job.cases] == [40.0, 41.0, 42.0, 43.0]


def test_a_verified_report_counts_before_a_later_one(studies) -> None:
    early = report("2.25.70", YES, 1.0, verified=True, hour=7)
    late = report("2.25.71", NO, 2.0, hour=9)
    study = replace(studies.studies[0], annotations=(late, early))
    assert said_of(study, "Fatty liver") == "Yes"
    assert said_of(replace(study, annotations=(late,)), "Fatty liver") == "No"
    assert said_of(study, "something else") is None


@pytest.mark.parametrize("network", ["small_resnet", pytest.param("vgg16", marks=pytest.mark.long)])
def test_pictures_in_colour_are_learned_from(tmp_path: Path, order_in, network: str) -> None:
    init = None
    if network == "vgg16":
        vgg = torchvision_models().vgg
        init = tmp_path / "vgg16_bn.pth"
        features = vgg.make_layers(vgg.cfgs["D"], batch_norm=True)
        torch.save({f"features.{name}": one for name, one in features.state_dict().items()}, init)
    rows = []
    for n in range(8):
        pixels = np.full((40, 30, 3), 90, np.uint8)
        pixels[10:30, 5:25, n % 2] = 200 + n
        image = photograph()
        image.PixelData, image.Rows, image.Columns = pixels.tobytes(), 40, 30
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            setattr(image, keyword, f"2.25.{1000 + n}{len(keyword)}")
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        image.PatientID = f"P{n}"
        written(tmp_path / "data" / f"study-{n}", image)
        rows.append([image.StudyInstanceUID, ["green", "red"][n % 2 == 0]])
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["StudyInstanceUID", "hue"], *rows])
    data = read_labelled([tmp_path / "data"], tmp_path / "labels.csv")
    small = {"network": network, "patch_kji": [1, 32, 32], "epochs": 2, "steps": 4, "batch": 4}
    job = ClassifyJob.of(read_recipe(None, "classify", small), data, "hue")
    trained = train_engine(job, data, order_in("hue", init=init))
    assert init is None or trained.begun.fresh == ("head.weight", "head.bias")
    spec = trained.package.manifest.input[0]
    assert (spec.kind, spec.how.colour) == ("picture", "rgb")
    assert trained.plan.channels == 3
    assert trained.gate.passed
    assert f'network = "{network}"' in (trained.package.folder / "recipe.toml").read_text()
    assert trained.figures
    assert not trained.missed
