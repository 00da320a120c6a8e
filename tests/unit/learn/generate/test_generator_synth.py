"""Drawn studies: valid, nobody's, the same for the same seed, and no copies of what was learned from."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    MRImageStorage,
    VLPhotographicImageStorage,
)

from dicomnode.assemble import load_picture, read_studies
from dicomnode.engine import load_package
from dicomnode.evaluate.data import read_labelled
from dicomnode.faults import (
    GENERATOR_COPIES,
    GENERATOR_FORM,
    GENERATOR_LABEL,
    GENERATOR_NO_ENGINE,
    GENERATOR_WRONG,
    SYNTH_NOT_EMPTY,
    SYNTH_WRONG,
    NodeError,
)
from dicomnode.learn.generate import generator_form
from dicomnode.learn.generate.generator_copies import Known
from dicomnode.learn.generate.generator_form import ImageForm, require_form, usual_attributes
from dicomnode.learn.generate.generator_package import read_generator, write_generator
from dicomnode.learn.generate.generator_synth import TRIES, DrawnSet, GeneratorPlan, draw_cases

from .generators import SIDE, TABLE, formed, generator, images, known

FORMS: dict[str, ImageForm] = {
    "film": formed(),
    "film of 16 bits": formed(low=-100.0, high=60000.0),
    "photograph": formed(
        sop_class_uid=VLPhotographicImageStorage, modality="XC", colour=True, high=255.0, attributes={}
    ),
    "CT": formed(
        kind="volume",
        sop_class_uid=CTImageStorage,
        modality="CT",
        low=-1000.0,
        high=400.0,
        thickness_mm=2.5,
        attributes={"BodyPartExamined": "ABDOMEN"},
    ),
    "MR": formed(kind="volume", sop_class_uid=MRImageStorage, modality="MR", high=900.0, thickness_mm=4.0),
    "MR beyond 16 bits": formed(
        kind="volume", sop_class_uid=MRImageStorage, modality="MR", high=60000.0, thickness_mm=4.0
    ),
    "MR of values below 1": formed(
        kind="volume", sop_class_uid=MRImageStorage, modality="MR", high=1.0, thickness_mm=4.0
    ),
    "film of values below 1": formed(high=1.0),
}


def new(noise: np.ndarray, label: int) -> np.ndarray:
    """Draws images that nobody has learned from, another one for other noise."""
    one = images(1, seed=int(abs(noise.ravel()[0]) * 1e6), channels=noise.shape[0])[0]
    return one + 0.01 * label


def drawn(tmp_path: Path, form: str = "film", **more) -> DrawnSet:
    made = generator(tmp_path / "films", FORMS[form], more.pop("labels", ()))
    plan = GeneratorPlan(generator=made, **{"cases": 3, "seed": 5, **more})
    return draw_cases(plan, tmp_path / "out", draws=new)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("form", FORMS)
def test_each_image_is_of_the_kind_that_was_learned_and_says_that_nobody_was_imaged(
    form: str, tmp_path: Path
) -> None:
    made = drawn(tmp_path, form)
    paths = sorted(made.folder.rglob("*.dcm"))
    assert len(paths) == 3
    for path in paths:
        image = dcmread(path)
        assert (image.SOPClassUID, image.Modality) == (FORMS[form].sop_class_uid, FORMS[form].modality)
        assert image.SyntheticData == image.QualityControlImage == image.QualityControlSubject == "YES"
        assert image.ImageType[0] == "DERIVED"
        assert image.PatientID.startswith("SYNTHETIC-FILMS-")
        assert str(image.PatientName).startswith("SYNTHETIC")
        mark = f"films 1.0.0 {made.plan.generator.digest[:8]}"
        assert mark in image.ManufacturerModelName
        assert mark in image.SoftwareVersions
        assert "Nobody was imaged" in image.ContributingEquipmentSequence[0].ContributionDescription
        for keyword in ("ImageComments", "PatientComments", "DerivationDescription"):
            assert mark in image[keyword].value
        assert image.pixel_array.shape[:2] == (SIDE, SIDE)
        assert np.ptp(image.pixel_array) > 100
    data = read_labelled([made.folder])
    assert len(data.studies) == len(data.patients) == 3
    assert all(study.synthetic for study in data.studies)


def test_pixels_say_in_the_unit_of_the_training_images_what_was_drawn(tmp_path: Path) -> None:
    made = drawn(tmp_path)
    (study,) = read_studies([made.cases[0].images]).studies
    picture = load_picture(study.series[0].stacks[0])
    expected = new(made.plan.noise(1, 0), 0)[0]
    assert picture.frames[0, :, :, 0] == pytest.approx(2000.0 + 2000.0 * np.clip(expected, -1, 1), abs=0.51)
    assert picture.plane.spacing_ji_mm == (5.0, 5.0)


@pytest.mark.parametrize("form", ["MR beyond 16 bits", "MR of values below 1", "film of values below 1"])
def test_values_that_cannot_be_stored_as_they_are_keep_their_order(form: str, tmp_path: Path) -> None:
    made = drawn(tmp_path, form)
    stored = dcmread(next(made.cases[0].images.rglob("*.dcm"))).pixel_array.astype(float)
    unit = (np.clip(new(made.plan.noise(1, 0), 0)[0], -1, 1) + 1) / 2
    most = 4095 if "film" in form else 32767
    assert stored == pytest.approx(unit * most, abs=0.51)


def test_the_same_seed_gives_the_same_bytes_more_cases_begin_with_them_and_others_differ(
    tmp_path: Path,
) -> None:
    for name in ("a", "b", "c", "d"):
        (tmp_path / name).mkdir()
    one = files(drawn(tmp_path / "a").folder)
    assert files(drawn(tmp_path / "b").folder) == one
    more = files(drawn(tmp_path / "c", cases=4).folder)
    images_of = {name: content for name, content in one.items() if name.endswith(".dcm")}
    assert images_of.items() <= more.items()
    other = files(drawn(tmp_path / "d", seed=6).folder)
    assert not set(images_of.values()) & set(other.values())


def test_labels_are_drawn_in_turn_or_as_asked_and_the_table_says_what_was_asked_for(tmp_path: Path) -> None:
    made = drawn(tmp_path, labels=("no", "yes"))
    assert made.labels is not None
    with made.labels.open(newline="") as stream:
        assert [row["finding"] for row in csv.DictReader(stream)] == ["no", "yes", "no"]
    data = read_labelled([made.folder], made.labels)
    assert sorted(study.row["finding"] for study in data.studies) == ["no", "no", "yes"]
    plan = GeneratorPlan(generator=made.plan.generator, cases=2, seed=1, label="yes")
    asked = draw_cases(plan, tmp_path / "yes", draws=new)
    assert [one.label for one in asked.cases] == ["yes", "yes"]


def test_a_generator_that_gives_its_training_images_back_is_caught(tmp_path: Path) -> None:
    copies = images()
    made = generator(tmp_path / "films")

    def copier(noise: np.ndarray, _label: int) -> np.ndarray:
        number = int(abs(noise.ravel()[0]) * 1000) % len(copies)
        return copies[number][:, :, ::-1] + 0.005

    plan = GeneratorPlan(generator=made, cases=2, seed=1)
    with pytest.raises(NodeError) as caught:
        draw_cases(plan, tmp_path / "out", draws=copier)
    assert caught.value.fault is GENERATOR_COPIES
    assert caught.value.values["tries"] == TRIES
    assert not list((tmp_path / "out").rglob("*.dcm"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_not_written(value: float, tmp_path: Path) -> None:
    plan = GeneratorPlan(generator=generator(tmp_path / "films"), cases=2, seed=1)
    with pytest.raises(NodeError) as caught:
        draw_cases(plan, tmp_path / "out", draws=lambda noise, _label: np.full_like(noise, value))
    assert caught.value.fault is GENERATOR_WRONG
    assert not (tmp_path / "out").exists()


def test_a_copy_among_others_is_drawn_again_and_told(tmp_path: Path) -> None:
    copy = images()[4]
    plan = GeneratorPlan(generator=generator(tmp_path / "films"), cases=3, seed=1)
    bad = plan.noise(2, 0)

    def sometimes(noise: np.ndarray, label: int) -> np.ndarray:
        return copy if np.array_equal(noise, bad) else new(noise, label)

    made = draw_cases(plan, tmp_path / "out", draws=sometimes)
    assert [one.redrawn for one in made.cases] == [0, 1, 0]
    told = json.loads(made.report.read_text())
    assert told["redrawn"] == 1
    names = set(plan.generator.known.names)
    for one in told["cases"]:
        assert one["nearest_training_image"] in names
        assert one["distance"] > told["too_near"]


def test_a_generator_is_read_back_and_a_damaged_one_refused(tmp_path: Path) -> None:
    made = generator(tmp_path / "films", FORMS["CT"], ("a", "b"))
    again = read_generator(tmp_path / "films")
    assert (again.form, again.network, again.digest) == (made.form, made.network, made.digest)
    assert np.array_equal(again.known.reduced, known().reduced)
    for name in ("weights.pt", "known.npz"):
        (tmp_path / "films" / name).write_bytes(b"other")
        with pytest.raises(NodeError) as caught:
            read_generator(tmp_path / "films")
        assert caught.value.fault is GENERATOR_WRONG
        assert name in str(caught.value) or "weights.pt" in str(caught.value)
    with pytest.raises(NodeError) as caught:
        read_generator(tmp_path)
    assert caught.value.fault is GENERATOR_WRONG
    (tmp_path / "films" / "generator.toml").write_text("schema = 1\n")
    with pytest.raises(NodeError) as caught:
        read_generator(tmp_path / "films")
    assert caught.value.fault is GENERATOR_WRONG


@pytest.mark.parametrize(
    ("line", "other"),
    [
        ("side = 16", "side = 10000000"),
        ("side = 16", 'side = "16"'),
        ("bits = 12", "bits = 99"),
        ("low = 0.0", "low = nan"),
        ("high = 4000.0", "high = -5.0"),
        ("spacing_mm = [5.0, 5.0]", "spacing_mm = [-1.0, 0.0]"),
        ("spacing_mm = [5.0, 5.0]", "spacing_mm = [5.0]"),
        ('modality = "CR"', 'modality = "a modality"'),
        ('sop_class_uid = "1.2.840.10008.5.1.4.1.1.1"', 'sop_class_uid = "1.2.840.10008.5.1.4.1.1.4"'),
        ('KVP = ""', 'KVP = "", OtherPatientIDs = "77"'),
        ('KVP = ""', 'KVP = "", ImageType = "ORIGINAL"'),
        ('KVP = ""', 'KVP = "117"'),
        ('BodyPartExamined = "CHEST"', "BodyPartExamined = 5"),
        ("labels = []", "labels = [1, 2]"),
        ("width = 8", "width = 100000"),
        ("draw_steps = 2", "draw_steps = 0"),
        ('name = "films"', 'name = "../../films"'),
        ('title = "Films"', 'title = "Films\\u0007"'),
        ("synthetic = 0", "synthetic = -1"),
        ("schema = 1", "schema = 2"),
    ],
)
def test_a_folder_of_others_is_drawn_with_only_where_all_that_it_says_can_be(
    line: str, other: str, tmp_path: Path
) -> None:
    generator(tmp_path / "films")
    file = tmp_path / "films" / "generator.toml"
    assert line in file.read_text()
    file.write_text(file.read_text().replace(line, other, 1))
    with pytest.raises(NodeError) as caught:
        read_generator(tmp_path / "films")
    assert caught.value.fault is GENERATOR_WRONG


@pytest.mark.parametrize("threshold", ["nan", "-1.0", "2.0"])
def test_a_generator_that_would_let_copies_pass_is_refused(threshold: str, tmp_path: Path) -> None:
    generator(tmp_path / "films")
    file = tmp_path / "films" / "generator.toml"
    file.write_text(re.sub("threshold = .*", f"threshold = {threshold}", file.read_text()))
    with pytest.raises(NodeError) as caught:
        read_generator(tmp_path / "films")
    assert "Generator.threshold" in str(caught.value)


@pytest.mark.parametrize("name", ["generator.toml", "weights.pt", "known.npz"])
def test_what_is_no_plain_file_is_not_waited_for(name: str, tmp_path: Path) -> None:
    generator(tmp_path / "films")
    file = tmp_path / "films" / name
    for make in (os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir):
        shutil.rmtree(file) if file.is_dir() else file.unlink()
        make(file)
        with pytest.raises(NodeError) as caught:
            read_generator(tmp_path / "films")
        assert caught.value.fault is GENERATOR_WRONG


@pytest.mark.parametrize(
    ("names", "shape"), [(("a",), (1, 8, 8)), ((), (0, 16, 16)), (("a", "b"), (1, 16, 16))]
)
def test_training_images_of_another_form_are_refused(
    names: tuple[str, ...], shape: tuple[int, ...], tmp_path: Path
) -> None:
    wrong = Known(names=names, reduced=np.zeros(shape, np.uint8))
    with pytest.raises(NodeError) as caught:
        write_generator(tmp_path / "films", TABLE, b"no weights", wrong, {})
    assert caught.value.fault is GENERATOR_WRONG
    assert list(tmp_path.iterdir()) == []


def test_a_generator_is_no_engine(tmp_path: Path) -> None:
    generator(tmp_path / "films")
    with pytest.raises(NodeError) as caught:
        load_package(tmp_path / "films")
    assert caught.value.fault is GENERATOR_NO_ENGINE


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"cases": 0}, SYNTH_WRONG),
        ({"seed": -1}, SYNTH_WRONG),
        ({"label": "maybe"}, GENERATOR_LABEL),
    ],
)
def test_what_cannot_be_drawn_is_refused(more: dict, fault, tmp_path: Path) -> None:
    with pytest.raises(NodeError) as caught:
        drawn(tmp_path, labels=("no", "yes"), **more)
    assert caught.value.fault is fault


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(NodeError) as caught:
        drawn(tmp_path)
    assert caught.value.fault is SYNTH_NOT_EMPTY


# ── what is taken of training images ──


def header(**values: object) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def test_only_what_says_how_an_image_is_read_is_taken_of_headers() -> None:
    code = header(CodeValue="39607008", CodingSchemeDesignator="SCT", CodeMeaning="Lung")
    private = header(CodeValue="MILLER", CodingSchemeDesignator="99SITE", CodeMeaning="Miller, Jane")
    some = [
        header(
            PatientName="Miller^Jane",
            PatientID="1234",
            InstitutionName="Clinic",
            AccessionNumber="77",
            StudyDescription="Miller chest",
            DeviceSerialNumber="S1",
            BodyPartExamined="CHEST",
            ViewPosition=view,
            KVP="117",
            PixelIntensityRelationshipSign=-1,
            PresentationLUTShape="INVERSE",
            AnatomicRegionSequence=[code],
            ViewCodeSequence=[private],
        )
        for view in ("PA", "PA", "AP")
    ]
    found = usual_attributes(some)
    assert found == {
        "BodyPartExamined": "CHEST",
        "ViewPosition": "PA",
        "PixelIntensityRelationshipSign": "-1",
        "AnatomicRegionSequence": [["39607008", "SCT", "Lung"]],
        "PresentationLUTShape": "IDENTITY",
        "KVP": "",
    }


def test_what_few_headers_say_is_not_said_of_all() -> None:
    some = [header(BodyPartExamined="CHEST"), header(), header()]
    assert usual_attributes(some) == {}


@pytest.mark.parametrize(
    ("kind", "sop_class", "modality"),
    [
        ("cine", "1.2.840.10008.5.1.4.1.1.3.1", "US"),
        ("volume", "1.2.840.10008.5.1.4.1.1.128", "PT"),
        ("picture", "1.2.840.10008.5.1.4.1.1.77.1.5.4", "OPT"),
    ],
)
def test_images_that_cannot_be_written_are_refused(kind: str, sop_class: str, modality: str) -> None:
    with pytest.raises(NodeError) as caught:
        require_form(kind, sop_class, modality)
    assert caught.value.fault is GENERATOR_FORM


def test_every_class_that_is_drawn_is_a_picture_of_the_node() -> None:
    from dicomnode.assemble.picture_classes import PICTURE_CLASSES

    assert generator_form.CLASSES <= PICTURE_CLASSES
    assert DigitalXRayImageStorageForPresentation in generator_form.CLASSES
