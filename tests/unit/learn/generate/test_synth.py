"""Generated studies: nobody's, valid, the same for the same seed, and true."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from scipy import ndimage

from dicomnode.assemble import load_picture, load_volume, read_studies
from dicomnode.evaluate.data import read_labelled
from dicomnode.faults import NodeError
from dicomnode.learn.generate import KINDS, SynthPlan, SynthSet, chests, planned_cases, synth_cases
from dicomnode.phantom import PlantedNodule, Thorax
from dicomnode.values import AnnotationKind, Grid, Mask

QUICK = [kind for kind in KINDS if kind != "thorax"]
FEW = 4


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, SynthSet]:
    """A few cases of every quick kind."""
    root = tmp_path_factory.mktemp("synth")
    return {kind: synth_cases(SynthPlan(kind=kind, cases=FEW, seed=3), root / kind) for kind in QUICK}


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(made: SynthSet) -> list[dict[str, str]]:
    with made.labels.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def segments(made: SynthSet, number: int) -> dict[str, np.ndarray]:
    """Masks by label, unpacked by pydicom: code that did not write them."""
    case = made.cases[number]
    seg = dcmread(next(path for path in case.truth if path.name == "segments.dcm"))
    images = [dcmread(path) for path in case.images.iterdir()]
    first = min(int(one.SeriesNumber) for one in images)
    heights = sorted(height(one) for one in images if int(one.SeriesNumber) == first)
    frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    found = {
        str(one.SegmentLabel): np.zeros((len(heights), seg.Rows, seg.Columns), dtype=bool)
        for one in seg.SegmentSequence
    }
    labels = {int(one.SegmentNumber): str(one.SegmentLabel) for one in seg.SegmentSequence}
    for frame, group in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        number = int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        place = group.get("PlanePositionSequence")
        found[labels[number]][heights.index(height(place[0] if place else Dataset()))] = frame
    return found


def height(placed: Dataset) -> float:
    """Of a slice along the body; a picture has none."""
    return float(placed.ImagePositionPatient[2]) if "ImagePositionPatient" in placed else 0.0


def pixels(made: SynthSet, number: int) -> np.ndarray:
    """Of the picture of a case, float (j, i) or (j, i, c)."""
    return dcmread(next(iter(made.cases[number].images.iterdir()))).pixel_array.astype(float)


@pytest.mark.parametrize("kind", QUICK)
def test_the_same_plan_gives_the_same_bytes_and_another_seed_others(
    kind: str, sets: dict[str, SynthSet], tmp_path: Path
) -> None:
    again = synth_cases(SynthPlan(kind=kind, cases=FEW, seed=3), tmp_path / "again")
    assert files(again.folder) == files(sets[kind].folder)
    other = synth_cases(SynthPlan(kind=kind, cases=1, seed=4), tmp_path / "other")
    assert other.cases[0].study_instance_uid != again.cases[0].study_instance_uid
    images = [next(iter(sorted(one.cases[0].images.iterdir()))) for one in (again, other)]
    assert dcmread(images[0]).PixelData != dcmread(images[1]).PixelData


def test_more_cases_begin_with_the_same_ones(sets: dict[str, SynthSet], tmp_path: Path) -> None:
    one = synth_cases(SynthPlan(kind="volumes", cases=1, seed=3), tmp_path / "one")
    whole = sets["volumes"].folder / "case-0001"
    assert files(one.folder / "case-0001") == files(whole)


def test_patients_have_one_to_three_studies_and_half_of_the_studies_something_to_find() -> None:
    cases = planned_cases(SynthPlan(kind="volumes", cases=60, seed=1))
    visits = defaultdict(list)
    for case in cases:
        visits[case.patient].append(case.visit)
    assert {len(one) for one in visits.values()} == {1, 2, 3}
    assert all(one == list(range(1, len(one) + 1)) for one in visits.values())
    assert sum(case.sick for case in cases) == 30
    assert sum(case.sick for case in cases[::2]) not in {0, 30}  # not by their number


@pytest.mark.parametrize("kind", QUICK)
def test_every_object_says_everywhere_that_nobody_was_imaged(kind: str, sets: dict[str, SynthSet]) -> None:
    made = sets[kind]
    paths = sorted(made.folder.rglob("*.dcm"))
    assert len(paths) >= 2 * FEW
    for path in paths:
        header = dcmread(path, stop_before_pixels=True)
        assert header.SyntheticData == "YES"
        assert str(header.PatientName).startswith("SYNTHETIC")
        assert header.PatientID.startswith("SYNTHETIC-")
        assert header.PatientIdentityRemoved == header.QualityControlSubject == "YES"
        assert header.StudyDescription.startswith("SYNTHETIC")
        assert header.SeriesDescription.startswith("SYNTHETIC")
        assert "Nobody was imaged" in header.ContributingEquipmentSequence[0].ContributionDescription
        if header.Modality != "SR":
            assert header.ImageType[0] == "DERIVED"
        if header.Modality not in {"SR", "SEG"}:
            assert "Nobody was imaged" in header.ImageComments
            assert header.QualityControlImage == "YES"


@pytest.mark.parametrize("kind", QUICK)
def test_the_node_reads_each_study_and_patients_keep_their_id(kind: str, sets: dict[str, SynthSet]) -> None:
    made = sets[kind]
    reading = read_studies([case.images for case in made.cases])
    assert not reading.set_aside
    assert {study.study_instance_uid for study in reading.studies} == {
        row["StudyInstanceUID"] for row in rows(made)
    }
    for study in reading.studies:
        for series in study.series:
            (stack,) = series.stacks
            assert stack.facts.refusal is None
            pixels = load_volume(stack).voxels if stack.kind == "volume" else load_picture(stack).frames
            assert np.ptp(pixels) > 0
    by_patient = defaultdict(set)
    for one in made.cases:
        image = dcmread(next(iter(one.images.iterdir())), stop_before_pixels=True)
        by_patient[image.PatientID].add(one.case.patient)
    assert all(len(people) == 1 for people in by_patient.values())
    assert len(by_patient) == len({one.case.patient for one in made.cases})


@pytest.mark.parametrize("kind", ["volumes", "contrasts"])
def test_segments_are_what_the_table_says(kind: str, sets: dict[str, SynthSet]) -> None:
    made = sets[kind]
    for number, (row, one) in enumerate(zip(rows(made), made.cases, strict=True)):
        masks = segments(made, number)
        lesions = [mask for label, mask in masks.items() if label.startswith("lesion")]
        assert any(mask.any() for mask in lesions) == one.case.sick == (row["lesion"] == "1")
        if not one.case.sick:
            assert list(masks)[-1] == "lesion"
            assert not masks["lesion"].any()  # named, and empty: known not to be there
        if kind == "volumes":
            voxel_ml = 0.125  # 5 mm
            assert float(row["lesion_volume_ml"]) == pytest.approx(
                sum(m.sum() for m in lesions) * voxel_ml, abs=1e-3
            )
            assert float(row["liver_volume_ml"]) == pytest.approx(masks["liver"].sum() * voxel_ml, abs=1e-3)
            assert all((mask <= masks["liver"]).all() for mask in lesions)
        else:
            part = 100.0 * masks["ventricles"].sum() / masks["brain"].sum()
            assert float(row["ventricle_percent"]) == pytest.approx(part, abs=1e-3)


def test_lesions_lie_where_the_segment_says(sets: dict[str, SynthSet]) -> None:
    made = sets["volumes"]
    number = next(n for n, one in enumerate(made.cases) if one.case.sick)
    (study,) = read_studies([made.cases[number].images]).studies
    volume = load_volume(study.series[0].stacks[0])
    masks = segments(made, number)
    lesion = np.any([m for label, m in masks.items() if label.startswith("lesion")], axis=0)
    rest = masks["liver"] & ~lesion
    noise = float(volume.voxels[rest].std())
    assert volume.voxels[rest].mean() - volume.voxels[lesion].mean() > 3 * noise


def test_a_lesion_of_a_head_shows_only_where_both_contrasts_are_looked_at(sets: dict[str, SynthSet]) -> None:
    made = sets["contrasts"]
    number = next(n for n, one in enumerate(made.cases) if one.case.sick)
    (study,) = read_studies([made.cases[number].images]).studies
    series = study.series
    volumes = [load_volume(one.stacks[0]) for one in series]
    first, second = sorted(volumes, key=lambda one: float(one.voxels.mean()), reverse=True)
    assert first.frame_of_reference_uid == second.frame_of_reference_uid
    assert first.grid.same_as(second.grid)
    masks = segments(made, number)
    lesion, brain = masks["lesion-1"], masks["brain"] & ~masks["ventricles"] & ~masks["lesion-1"]
    assert abs(first.voxels[lesion].mean() - np.median(first.voxels[brain])) < 25
    assert second.voxels[lesion].mean() - np.median(second.voxels[brain]) > 60


def regions_of(path: Path) -> list[np.ndarray]:
    """Corners (column, row) of the regions of a report."""
    containers = [one for one in dcmread(path).ContentSequence if one.ValueType == "CONTAINER"]
    groups = [group for one in containers for group in one.get("ContentSequence", ())]
    items = [item for group in groups for item in group.get("ContentSequence", ())]
    return [np.reshape(one.GraphicData, (-1, 2)).astype(int) for one in items if one.ValueType == "SCOORD"]


def test_an_opacity_fills_its_box_on_the_side_that_the_table_names(
    sets: dict[str, SynthSet], tmp_path: Path
) -> None:
    made = sets["discs"]
    plan = SynthPlan(kind="discs", cases=FEW, seed=3, contrast_to_noise=1e-6)
    unseen = synth_cases(plan, tmp_path / "unseen")
    for row, one, other in zip(rows(made), made.cases, unseen.cases, strict=True):
        images = [dcmread(next(iter(each.images.iterdir()))).pixel_array.astype(int) for each in (one, other)]
        added = images[0] - images[1] > 100
        assert added.any() == one.case.sick == (row["opacity"] == "1")
        regions = regions_of(one.truth[-1])
        assert len(regions) == int(one.case.sick)
        for corners in regions:
            (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
            j, i = np.nonzero(added)
            assert (
                abs(np.array([i.min(), j.min(), i.max() + 1, j.max() + 1]) - [left, top, right, bottom]).max()
                <= 1
            )
            assert row["side"] == ("right" if (left + right) / 2 < images[0].shape[1] / 2 else "left")


@pytest.mark.parametrize(
    ("kind", "label", "brighter"),
    [("mammograms", "mass", True), ("ultrasound", "nodule", False), ("photos", "lesion", False)],
)
def test_what_a_picture_outlines_differs_from_what_is_around_it(
    kind: str, label: str, brighter: bool, sets: dict[str, SynthSet]
) -> None:
    made = sets[kind]
    for number, one in enumerate(made.cases):
        lesion = next(mask[0] for name, mask in segments(made, number).items() if name.startswith(label))
        assert lesion.any() == (one.case.sick or kind == "photos")
        if not lesion.any():
            continue
        values = pixels(made, number).reshape(*lesion.shape, -1).mean(axis=-1)
        around = ndimage.binary_dilation(lesion, iterations=4) & ~ndimage.binary_dilation(lesion)
        apart = values[lesion].mean() - values[around].mean()
        assert apart > 50 if brighter else apart < -25


def test_the_disc_of_an_eye_lies_towards_the_nose_and_spots_grow_with_the_grade(tmp_path: Path) -> None:
    made = synth_cases(SynthPlan(kind="fundus", cases=16, seed=1), tmp_path / "eyes")
    spots: dict[int, list[int]] = defaultdict(list)
    eyes = set()
    for number, row in enumerate(rows(made)):
        header = dcmread(next(iter(made.cases[number].images.iterdir())), stop_before_pixels=True)
        masks = segments(made, number)
        middle = np.argwhere(masks["optic disc"][0])[:, 1].mean()
        assert header.ImageLaterality == row["eye"]
        assert (middle > header.Columns / 2) == (row["eye"] == "R")
        eyes.add(row["eye"])
        assert (row["grade"] != "0") == (row["retinopathy"] == "1") == made.cases[number].case.sick
        assert row["referable"] == str(int(int(row["grade"]) >= 2))
        spots[int(row["grade"])].append(int((masks["dark spots"] | masks["bright spots"]).sum()))
        values = pixels(made, number)[..., 1]  # green shows vessels and blood best
        ground = ~np.any([mask[0] for mask in masks.values()], axis=0) & (values > 20)
        assert values[masks["vessels"][0]].mean() < values[ground].mean() - 15
    assert eyes == {"L", "R"}
    means = [np.mean(spots[grade]) for grade in sorted(spots)]
    assert len(means) >= 4
    assert means == sorted(means)
    assert means[0] == 0


def test_a_mammogram_says_its_side_and_view_and_its_chest_wall_lies_there(tmp_path: Path) -> None:
    made = synth_cases(SynthPlan(kind="mammograms", cases=12, seed=1), tmp_path / "breasts")
    seen = set()
    for number, row in enumerate(rows(made)):
        (study,) = read_studies([made.cases[number].images]).studies
        picture = load_picture(study.series[0].stacks[0])
        assert (picture.plane.laterality, picture.plane.view) == (row["breast"], row["view"])
        breast = segments(made, number)["breast"][0]
        wall = breast[:, 0 if row["breast"] == "L" else -1].sum()
        assert wall > breast[:, -1 if row["breast"] == "L" else 0].sum()
        seen.add((row["breast"], row["view"]))
    assert len(seen) == 4


def test_the_report_of_a_picture_names_the_frame_of_each_segment_that_is_there(
    sets: dict[str, SynthSet],
) -> None:
    made = sets["fundus"]
    for number, one in enumerate(made.cases):
        seg, report = (dcmread(path) for path in one.truth)
        containers = [each for each in report.ContentSequence if each.ValueType == "CONTAINER"]
        items = [
            item
            for each in containers
            for group in each.ContentSequence
            for item in group.get("ContentSequence", ())
        ]
        named = [each.ReferencedSOPSequence[0] for each in items if each.ValueType == "IMAGE"]
        frames = [int(each.ReferencedFrameNumber) for each in named if "ReferencedFrameNumber" in each]
        assert frames == list(range(1, int(seg.NumberOfFrames) + 1))
        assert len(frames) == sum(mask.any() for mask in segments(made, number).values())


def test_the_motion_of_a_cine_tells_its_class_and_no_frame_of_it_does(tmp_path: Path) -> None:
    made = synth_cases(SynthPlan(kind="cine", cases=8, seed=2, contrast_to_noise=8.0), tmp_path / "cine")
    motion = {True: [], False: []}
    for row, one in zip(rows(made), made.cases, strict=True):
        frames = dcmread(next(iter(one.images.iterdir()))).pixel_array.astype(float)
        motion[row["reduced"] == "1"].append(frames.std(axis=0).mean())
        change = float(row["area_change_percent"])
        assert (change < 30.0) == one.case.sick
    assert max(motion[True]) < min(motion[False])


def test_contrast_to_noise_is_what_was_asked_for(tmp_path: Path) -> None:
    apart = []
    for contrast in (2.0, 8.0):
        plan = SynthPlan(kind="volumes", cases=2, seed=5, contrast_to_noise=contrast)
        made = synth_cases(plan, tmp_path / f"{contrast}")
        number = next(n for n, one in enumerate(made.cases) if one.case.sick)
        (study,) = read_studies([made.cases[number].images]).studies
        volume, masks = load_volume(study.series[0].stacks[0]), segments(made, number)
        largest = max((m for label, m in masks.items() if label.startswith("lesion")), key=lambda m: m.sum())
        rest = masks["liver"] & ~np.any([m for n, m in masks.items() if n.startswith("lesion")], axis=0)
        apart.append(float(np.median(volume.voxels[rest]) - np.median(volume.voxels[largest])) / 12.0)
    assert apart[0] == pytest.approx(2.0, abs=0.7)
    assert apart[1] == pytest.approx(8.0, abs=1.5)


def test_small_lesions_can_be_left_out(tmp_path: Path) -> None:
    plain = SynthPlan(kind="volumes", cases=6, seed=6)
    planned = SynthPlan(kind="volumes", cases=6, seed=6, without_below_mm=28.0)
    assert plain.lesions_mm[0] < 28.0
    made = synth_cases(planned, tmp_path / "large")
    largest = [float(row["largest_mm"]) for row in rows(made) if row["lesion"] == "1"]
    assert len(largest) == 3
    assert min(largest) > 24.0  # a voxel of 5 mm cuts a little off
    assert planned.uid("study", "1") != plain.uid("study", "1")


def test_a_teaching_set_has_no_truth_beside_its_images(tmp_path: Path) -> None:
    made = synth_cases(SynthPlan(kind="volumes", cases=2, seed=1), tmp_path / "teach", teaching=True)
    beside = [dcmread(path, stop_before_pixels=True) for path in (made.folder / "images").rglob("*.dcm")]
    assert {one.Modality for one in beside} == {"CT"}
    assert {path.suffix for path in (made.folder / "images").rglob("*") if path.is_file()} == {".dcm"}
    answers = made.folder / "answers"
    assert made.labels == answers / "labels.csv"
    assert len(list(answers.rglob("segments.dcm"))) == 2
    sheet = (answers / "answers.html").read_text(encoding="utf-8")
    assert "SYNTHETIC" in sheet
    for row in rows(made):
        assert row["StudyInstanceUID"] in sheet
        assert row["liver_volume_ml"] in sheet
    assert sheet.count("data:image/png;base64,") == 2


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"cases": 0}, "1 to 10000 cases"),
        ({"seed": -1}, "seed"),
        ({"kind": "horses"}, "thorax, volumes"),
        ({"size": "huge"}, "small or full"),
        ({"contrast_to_noise": 0.0}, "contrast-to-noise"),
        ({"contrast_to_noise": float("nan")}, "contrast-to-noise"),
        ({"without_below_mm": 90.0}, "14 to 44 mm"),
        ({"kind": "cine", "without_below_mm": 1.0}, "no lesion"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_the_reason(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(NodeError, match="DN-7180") as caught:
        SynthPlan(**({"kind": "volumes", "cases": 1, "seed": 1} | wrong))  # type: ignore[arg-type]
    assert said in caught.value.fault.text(**caught.value.values)


def test_nothing_is_mixed_with_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("mine")
    with pytest.raises(NodeError, match="DN-7181"):
        synth_cases(SynthPlan(kind="volumes", cases=1, seed=1), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("kind", QUICK)
def test_who_reads_labels_reads_what_was_drawn(kind: str, sets: dict[str, SynthSet]) -> None:
    made = sets[kind]
    data = read_labelled([made.folder], made.labels)
    assert not data.set_aside
    assert len(data.studies) == FEW
    assert len({study.patient for study in data.studies}) == len({one.case.patient for one in made.cases})
    cases = {one.study_instance_uid: (number, one.case) for number, one in enumerate(made.cases)}
    for study in data.studies:
        number, case = cases[study.study.study_instance_uid]
        assert study.synthetic
        (report,) = (one for one in study.annotations if one.kind is AnnotationKind.SR)
        present = {answer.meaning for _, answer in report.answers}
        assert present == {"Present" if case.sick else "Absent"}
        told = {f"{one.value:.3f}" for one in report.measurements}
        assert told <= set(study.row.values())
        for annotation in study.annotations:
            masks = segments(made, number) if annotation.segments else {}
            assert {one.label for one in annotation.segments} == set(masks)
            for one in annotation.segments:
                assert np.array_equal(one.mask.to_array(), masks[one.label])


@pytest.mark.long
def test_chests_of_a_patient_are_alike_and_small_nodules_can_be_left_out(tmp_path: Path) -> None:
    made = synth_cases(SynthPlan(kind="thorax", cases=2, seed=3), tmp_path / "all")
    patients = [one.case.patient for one in made.cases]
    number = next(n for n, one in enumerate(made.cases) if one.case.sick)
    row, masks = rows(made)[number], segments(made, number)
    assert int(row["nodules"]) == sum(label.startswith("nodule") for label in masks)
    lungs = masks["lung-right"] | masks["lung-left"]
    assert float(row["lungs_volume_ml"]) == pytest.approx(lungs.sum() * 2.5**3 / 1000.0, rel=1e-3)
    assert not segments(made, 1 - number)["nodule"].any()
    if patients[0] == patients[1]:
        assert rows(made)[0]["lungs_volume_ml"] == rows(made)[1]["lungs_volume_ml"]
    large = synth_cases(SynthPlan(kind="thorax", cases=2, seed=3, without_below_mm=14.0), tmp_path / "large")
    assert 0 < int(rows(large)[number]["nodules"]) < int(row["nodules"])


def test_a_disk_that_does_not_take_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(NodeError, match="DN-7182"):
        synth_cases(SynthPlan(kind="cine", cases=1, seed=1), tmp_path / "file" / "below")


def test_a_chest_is_planned_like_any_other_kind_and_drawn_by_the_phantom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    grid = Grid((4, 6, 8), np.diag([2.0, 2.0, 2.0, 1.0]), "1.2.3")
    lung = np.zeros(grid.shape_kji, dtype=bool)
    lung[1:3, 2:4, 1:3] = True

    def drawn(seed: int, size: str, **more: object) -> Thorax:
        asked.append((seed, size, more["scaled"]))
        ball = lung & (np.indices(lung.shape)[0] == 1)
        nodule = PlantedNodule(
            label="nodule-1",
            centre_lps_mm=(0.0, 0.0, 0.0),
            diameter_mm=10.0,
            volume_mm3=32.0,
            kind="solid",
            side="right",
            mask=Mask.from_array(ball),
        )
        planted = () if more.get("nodules") is False or more["scaled"]["nodule-1"] == 0.0 else (nodule,)  # type: ignore[index]
        voxels = np.where(lung, -850, 40).astype(np.int16)
        return Thorax(seed, "small", voxels, grid, Mask.from_array(lung), Mask.from_array(lung), planted)

    monkeypatch.setattr(chests, "thorax", drawn)
    made = synth_cases(SynthPlan(kind="thorax", cases=4, seed=3), tmp_path / "all")
    assert [row["nodule"] for row in rows(made)] == [str(int(one.case.sick)) for one in made.cases]
    seeds = {
        one.case.patient: {
            a[0] for a, c in zip(asked, made.cases, strict=True) if c.case.patient == one.case.patient
        }
        for one in made.cases
    }
    assert all(len(of_one) == 1 for of_one in seeds.values())
    asked.clear()
    large = synth_cases(SynthPlan(kind="thorax", cases=4, seed=3, without_below_mm=12.0), tmp_path / "large")
    assert {row["nodules"] for row in rows(large)} == {"0"}
    assert sum(one[2]["nodule-1"] == 0.0 for one in asked) == 2  # drawn once more without it
