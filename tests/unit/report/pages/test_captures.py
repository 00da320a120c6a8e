"""Pages for the screens of a PACS: what they are, what they show, and what they never say."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from dicomnode.report.pages import SourcePixels
from dicomnode.report.pages.layout import MOST_LESIONS, MOST_LISTS, _side_by_side
from dicomnode.values import (
    Classification,
    FindingKind,
    Findings,
    Mask,
    Outcome,
    Picture,
    PicturePlane,
    Region,
    RegionKind,
    Remark,
    RemarkKind,
    Segment,
    SourceFrame,
    SourceHeaders,
)
from tests.fixtures.pictures import cine, four_views, mammogram, photograph, radiograph
from tests.unit.report.kinds import KINDS
from tests.unit.report.pages.conftest import Written
from tests.unit.report.pages.paged import (
    captures,
    of_volume,
    on_pictures,
    page_pixels,
    read,
    read_pictures,
    volume_of,
)
from tests.unit.report.sources import (
    ABNORMAL,
    NODULE,
    PLANES,
    Series,
    findings,
    not_analysed,
    nothing_found,
    provenance,
)
from tests.unit.report.test_multi_frame import on_frames

PINK = (255, 0, 255)


def _lesion(label: str, voxels: tuple[slice, slice, slice], series: Series, **more: object) -> Segment:
    mask = np.zeros(series.shape_kji, dtype=bool)
    mask[voxels] = True
    grid = series.source().grid
    assert grid is not None
    x, y, z = (float(one) for one in grid.to_lps_mm(np.argwhere(mask)).mean(axis=0))
    return replace(
        findings().segments[2],
        label=label,
        mask=Mask.from_array(mask),
        centre_lps_mm=(x, y, z),
        long_axis_lps_mm=None,
        **more,
    )


def _region(label: str, kind: RegionKind, *points: tuple[float, float, float]) -> Region:
    return Region(
        label=label,
        kind=kind,
        points_lps_mm=points,
        type=NODULE,
        tracking_uid=f"1.2.{len(label)}",
        tracking_id=label,
        algorithm="net",
        score=0.5,
    )


# ── What they are ─────────────────────────────────────────────────────────────────────────────────
def test_pages_are_instances_of_one_series_in_colours_that_any_viewer_shows() -> None:
    pages = [read(one) for one in captures(findings(), of_volume())]
    assert [one.InstanceNumber for one in pages] == [1, 2, 3]
    assert len({one.SeriesInstanceUID for one in pages}) == 1
    assert len({one.SOPInstanceUID for one in pages}) == 3
    for page in pages:
        assert (page.SOPClassUID.name, page.Modality) == ("Secondary Capture Image Storage", "OT")
        assert (page.PhotometricInterpretation, page.BitsAllocated) == ("RGB", 8)
        assert (page.Rows, page.Columns) == (1024, 1280)
        assert not page.file_meta.TransferSyntaxUID.is_compressed
        assert (page.ConversionType, page.BurnedInAnnotation) == ("WSD", "NO")
        assert (page.PatientOrientation, page.BodyPartExamined) == ("", "CHEST")
        assert "FrameOfReferenceUID" not in page


def test_the_same_findings_give_the_same_bytes() -> None:
    assert captures(findings(), of_volume()) == captures(findings(), of_volume())


def test_nothing_of_patient_and_study_is_burnt_in() -> None:
    other = Series(
        extra={
            "PatientName": "Else^Someone",
            "PatientID": "9",
            "AccessionNumber": "1",
            "StudyDate": "20240101",
            "StudyDescription": "Other",
            "InstitutionName": "Elsewhere",
            "PatientBirthDate": "19700101",
        }
    )
    pages = [captures(findings(one), of_volume(one)) for one in (Series(), other)]
    for one, same in zip(*pages, strict=True):
        assert np.array_equal(page_pixels(one), page_pixels(same))


def test_each_page_refers_to_the_image_with_most_of_what_it_shows() -> None:
    found = findings()
    summary, lesion, montage = (read(one) for one in captures(found, of_volume()))
    k = int(np.argmax(found.segments[2].mask.to_array().sum(axis=(1, 2))))
    for page in (summary, lesion):
        (item,) = page.SourceImageSequence
        assert item.ReferencedSOPInstanceUID == found.sources[0].frames[k].sop_instance_uid
        assert item.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    named = {item.ReferencedSOPInstanceUID for item in montage.SourceImageSequence}
    assert named == {found.sources[0].frames[one].sop_instance_uid for one in (k, k + 1)}
    assert {item.PurposeOfReferenceCodeSequence[0].CodeValue for item in montage.SourceImageSequence} == {
        "121329"
    }


def test_a_frame_of_an_object_is_named_by_its_number() -> None:
    numbers = (5, 2, 9, 12, 1, 7, 3, 11, 4, 10, 6, 8)
    found = on_frames(numbers)
    source = found.sources[0]
    volume = replace(volume_of(Series()), frames=source.frames, headers=source.headers)
    page = read(captures(found, SourcePixels((volume,)))[1])
    (item,) = page.SourceImageSequence
    k = int(np.argmax(found.segments[2].mask.to_array().sum(axis=(1, 2))))
    assert item.ReferencedFrameNumber == numbers[k]


def test_pages_of_lossy_images_say_so() -> None:
    lossy = {
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": "12.5",
        "LossyImageCompressionMethod": "ISO_10918_1",
    }
    series = Series(extra=lossy)
    page = read(captures(findings(series), of_volume(series))[0])
    assert (page.LossyImageCompression, page.LossyImageCompressionRatio) == ("01", 12.5)


def test_pixels_of_another_series_or_phase_are_refused() -> None:
    with pytest.raises(ValueError, match="pixels"):
        captures(findings(), of_volume(Series(plane="sagittal")))
    volume = volume_of(Series())
    others = tuple(replace(frame, frame_number=k + 1) for k, frame in enumerate(volume.frames))
    with pytest.raises(ValueError, match="pixels"):
        captures(findings(), SourcePixels((replace(volume, frames=others),)))
    with pytest.raises(ValueError, match="volumes"):
        captures(findings(), SourcePixels(()))


# ── What stands on them ───────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_findings_has_a_summary_with_and_without_pixels(kind: str, written: Written) -> None:
    found, said = KINDS[kind]
    with_pixels = of_volume() if found.sources[0].grid is not None else None
    for pixels in (with_pixels, None):
        first, *_ = captures(found, pixels)
        assert read(first).BurnedInAnnotation == "NO"
        told = " ".join(written.texts()).replace("mm³", "mm3")
        assert said[0].split(";")[0] in told
        assert found.provenance.use in told
        written.all.clear()


@pytest.mark.parametrize("kind", KINDS)
def test_no_text_lies_on_another_or_beyond_the_page_and_all_can_be_read_at_half_the_size(
    kind: str, written: Written
) -> None:
    found, _ = KINDS[kind]
    captures(found, of_volume() if found.sources[0].grid is not None else None)
    _check(written)


def _check(written: Written) -> None:
    pages: dict[int, list[tuple[str, tuple[float, float, float, float]]]] = {}
    for page, text, box, size in written.on_pages():
        assert size >= 17, text
        assert (box[0] >= 0, box[1] >= 0, box[2] <= 1280, box[3] <= 1024) == (True,) * 4, text
        pages.setdefault(page, []).append((text, box))
    assert pages
    for texts in pages.values():
        for (one, a), (other, b) in combinations(texts, 2):
            apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
            assert apart, (one, other)


def test_long_texts_and_many_findings_stay_apart_and_what_is_left_out_is_said(written: Written) -> None:
    series = Series(shape_kji=(12, 40, 40))
    lesions = tuple(
        _lesion(f"nodule-{n}", (slice(2, 5), slice(n, n + 4), slice(n, n + 4)), series, score=0.9 - n / 100)
        for n in range(12)
    )
    organs = tuple(
        replace(one, label=f"organ {n} with a name that is longer than any column", kind=FindingKind.ANATOMY)
        for n, one in enumerate(lesions * 10)
    )
    text = "A remark that is longer than any line of a page and has to go on below it, more than once. " * 3
    found = findings(
        series,
        segments=(*organs, *lesions),
        remarks=(Remark(kind=RemarkKind.LIMIT, text=text),) * 20,
        provenance=provenance(title="T" * 200, use="Only for what it was made for. " * 9),
    )
    pages = captures(found, of_volume(series))
    assert len(pages) == 1 + MOST_LESIONS + 1 + MOST_LISTS
    _check(written)
    told = " ".join(written.texts())
    assert f"Pages of their own: the first {MOST_LESIONS} of 12 lesions." in told
    assert "are not on any page." in told
    assert "AI result, not for diagnosis without review. Only for what it was made for." in told


def test_lesions_have_a_page_each_the_surest_first(written: Written) -> None:
    series = Series(shape_kji=(12, 40, 40))
    weak = _lesion("weak", (slice(2, 4), slice(5, 9), slice(5, 9)), series, score=0.2)
    strong = _lesion("strong", (slice(8, 10), slice(25, 33), slice(25, 33)), series, score=0.9)
    larger = _lesion("larger", (slice(2, 6), slice(15, 25), slice(15, 25)), series, score=0.2)
    assert len(captures(findings(series, segments=(weak, strong, larger)), of_volume(series))) == 5
    named = [text for _, text, _, size in written.on_pages() if size == 24]
    assert named == [
        "strong",
        "Nodule, right lung",
        "larger",
        "Nodule, right lung",
        "weak",
        "Nodule, right lung",
    ]


def test_objects_for_a_look_say_so_on_every_page(written: Written) -> None:
    pages = captures(findings(), of_volume(), for_a_look=True)
    told = [text for _, text, _, _ in written.on_pages()]
    assert sum("Made for a look" in text for text in told) == len(pages)
    assert read(pages[0]).SeriesDescription.startswith("Not for clinical use")


# ── How the patient lies ──────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("plane", PLANES)
def test_what_lies_on_a_side_is_drawn_on_that_side(plane: str) -> None:
    """The contour on the first panel of a lesion's page: the patient's left on the right, anterior above."""
    series = Series(plane=plane, shape_kji=(24, 30, 34), spacing_kji_mm=(2.0, 1.8, 1.6))
    grid = series.source().grid
    assert grid is not None
    middle = grid.to_lps_mm((np.array(grid.shape_kji) - 1) / 2)
    lesion = _lesion("n", (slice(3, 7), slice(4, 9), slice(22, 28)), series, colour_rgb=PINK)
    page = page_pixels(captures(findings(series, segments=(lesion,)), of_volume(series))[1]).astype(int)
    panel = page[180:530, 24:429]
    rows, columns = np.nonzero(np.abs(panel - np.array(PINK)).sum(axis=-1) < 80)
    assert rows.size > 20
    x, y, _ = np.array(lesion.centre_lps_mm) - middle
    shown = np.nonzero(panel.max(axis=-1).max(axis=1) > 40)[0]
    upright = shown.min() + (shown.max() - shown.min()) / 2
    if plane != "oblique" or abs(x) > 10:
        assert np.sign(columns.mean() - 405 / 2) == np.sign(x)
    if plane in {"axial", "reversed", "feet-first", "sagittal"}:
        assert np.sign(rows.mean() - upright) == np.sign(y)


def test_every_view_is_lettered_and_has_a_scale(written: Written) -> None:
    captures(findings(), of_volume())
    lettered = written.on_panels()
    assert {"R", "L", "A", "P", "H", "F"} <= set(lettered)
    # three views of the summary, six of the lesion, two tiles: each with four letters and a scale
    assert sum(text in {"R", "L", "A", "P", "H", "F"} for text in lettered) == 4 * (3 + 6 + 2)
    assert sum(text.endswith(" mm") for text in lettered) == 3 + 6 + 2


def test_slices_are_called_by_the_numbers_that_viewers_show(written: Written) -> None:
    series = Series(plane="reversed")  # instances numbered from the head down
    captures(findings(series), of_volume(series))
    assert "axial, image 6" in written.on_panels()
    assert "image 6" in [text for _, text, _, _ in written.on_pages()]


def test_findings_without_outline_have_pages_too() -> None:
    found, _ = KINDS["points and boxes"]
    assert len(captures(found, of_volume())) == 4


def test_scores_of_slices_choose_the_key_images(written: Written) -> None:
    found, _ = KINDS["a sequence of slices"]
    _, montage = (read(one) for one in captures(found, of_volume()))
    assert len(montage.SourceImageSequence) == 12
    assert "pneumonia 90.0 %" in written.on_panels()


# ── Pictures ──────────────────────────────────────────────────────────────────────────────────────
def _opacity(shape: tuple[int, int, int]) -> Segment:
    mask = np.zeros(shape, dtype=bool)
    mask[0, 5:10, 20:28] = True
    return replace(
        findings().segments[2],
        label="opacity-1",
        category=ABNORMAL,
        mask=Mask.from_array(mask),
        centre_lps_mm=(9.4, 3.5, 0.0),
        long_axis_lps_mm=None,
        measurements=(),
    )


def test_a_radiograph_is_a_page_of_its_own_that_says_how_the_patient_lies(
    tmp_path: Path, written: Written
) -> None:
    pictures = read_pictures(tmp_path, radiograph(BurnedInAnnotation="NO", RecognizableVisualFeatures="NO"))
    found = on_pictures(pictures, outcome=Outcome.FINDINGS, segments=(_opacity((1, 30, 36)),))
    summary, page = (read(one) for one in captures(found, SourcePixels(pictures)))
    assert (summary.PatientOrientation, list(page.PatientOrientation)) == ("", ["L", "F"])
    assert (page.BurnedInAnnotation, page.RecognizableVisualFeatures) == ("NO", "NO")
    lettered = written.on_panels()
    assert {"R", "L", "H", "F", "PA", "opacity-1"} <= set(lettered)
    assert any(text.endswith(" mm") for text in lettered)
    _check(written)


def test_the_outline_on_a_picture_is_around_what_was_found(tmp_path: Path) -> None:
    pictures = read_pictures(tmp_path, radiograph())
    segment = replace(_opacity((1, 30, 36)), colour_rgb=PINK)
    found = on_pictures(pictures, outcome=Outcome.FINDINGS, segments=(segment,))
    page = page_pixels(captures(found, SourcePixels(pictures))[1]).astype(int)
    # of the picture alone: above it stand a square of the same colour, and its name
    outline = np.abs(page - np.array(PINK)).sum(axis=-1) < 80
    outline[:180] = False
    bright = (page.min(axis=-1) > 200) & (np.arange(1024)[:, None] > 180)
    # its name, in the same colour, has no such lines
    rows, columns = (np.flatnonzero(outline.sum(axis=axis) > 100) for axis in (1, 0))
    inside = bright[rows.min() + 8 : rows.max() - 8, columns.min() + 8 : columns.max() - 8]
    assert inside.size > 10_000
    assert inside.mean() > 0.95
    beyond = bright[rows.max() + 8 : rows.max() + 60, columns.min() : columns.max()]
    assert beyond.mean() < 0.05


def test_boxes_and_points_are_drawn_on_the_picture_that_they_lie_on(tmp_path: Path, written: Written) -> None:
    pictures = read_pictures(tmp_path, *four_views())
    column_mm = pictures[0].plane.spacing_ji_mm
    assert column_mm is not None
    step = column_mm[1]
    box = _region("mass-1", RegionKind.BOX, (6 * step, 10 * step, 0.0), (10 * step, 13 * step, 0.0))
    point = _region("mass-22", RegionKind.POINT, (3 * step, 30 * step, 0.0))
    found = on_pictures(pictures, outcome=Outcome.FINDINGS, regions=(box, point))
    summary, page = (read(one) for one in captures(found, SourcePixels(pictures)))
    assert len(summary.SourceImageSequence) == 4
    assert len(page.SourceImageSequence) == 1
    lettered = written.on_panels()
    assert {"L CC", "R CC", "L MLO", "R MLO"} <= set(lettered)
    assert lettered.count("mass-1") == 2  # on the summary and on the page of its picture, on no other view
    # R or L alone at the edge of a mammogram would be taken for its side
    assert set(lettered) & {"L", "R", "A", "P", "H", "F"} == {"A", "P", "H", "F"}


def test_of_a_slanted_view_of_one_side_the_other_letters_stay(tmp_path: Path, written: Written) -> None:
    pictures = read_pictures(tmp_path, mammogram("MLO", "R", PatientOrientation=["P", "FL"]))
    captures(on_pictures(pictures, outcome=Outcome.NO_FINDINGS), SourcePixels(pictures))
    assert set(written.on_panels()) >= {"A", "P", "H", "F", "R MLO"}
    assert not set(written.on_panels()) & {"L", "R", "FL", "HR"}


def test_wide_pictures_stand_two_by_two_and_tall_ones_in_a_row() -> None:
    def picture(rows: int, columns: int) -> Picture:
        return Picture(
            frames=np.zeros((1, rows, columns, 1), dtype=np.uint8),
            plane=PicturePlane(spacing_ji_mm=(0.5, 0.5)),
            study_instance_uid="1.2",
            series_instance_uid="1.2.3",
            sources=(SourceFrame("1.2.3.4"),),
            headers=SourceHeaders((b"",)),
        )

    assert _side_by_side(4, 580, picture(420, 560))[0] == 2
    assert _side_by_side(4, 580, picture(900, 500))[0] == 4
    assert _side_by_side(1, 580, picture(420, 560))[0] == 1


@pytest.mark.parametrize(("said", "expected"), [("YES", "YES"), ("NO", "NO"), (None, None)])
def test_what_a_picture_says_of_its_burnt_in_text_holds_for_pages_that_show_it(
    said: str | None, expected: str | None, tmp_path: Path
) -> None:
    more = {} if said is None else {"BurnedInAnnotation": said}
    pictures = read_pictures(tmp_path, photograph(**more))
    found = on_pictures(pictures, outcome=Outcome.NO_FINDINGS)
    (page,) = captures(found, SourcePixels(pictures))
    assert read(page).get("BurnedInAnnotation") == expected
    (text,) = captures(found, None)
    assert read(text).BurnedInAnnotation == "NO"


def test_a_clip_shows_its_frames_with_the_highest_scores(tmp_path: Path, written: Written) -> None:
    pictures = read_pictures(tmp_path, cine())
    kind, _ = KINDS["a class"]
    effusion: Classification = kind.classifications[0]
    scores = tuple(
        replace(KINDS["a sequence of slices"][0].frame_scores[0], label="e", frame=frame, k=k, score=k / 20)
        for k, frame in enumerate(pictures[0].sources)
    )
    found = on_pictures(pictures, outcome=Outcome.FINDINGS, classifications=(effusion,), frame_scores=scores)
    (page,) = (read(one) for one in captures(found, SourcePixels(pictures)))
    assert [item.ReferencedFrameNumber for item in page.SourceImageSequence] == [9, 10, 11, 12]
    assert "frame 12, e 55.0 %" in written.on_panels()


# ── What is not there ─────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "found",
    [nothing_found(), not_analysed(), not_analysed(outcome=Outcome.FAILED)],
    ids=["nothing", "not-analysed", "failed"],
)
def test_a_summary_tells_nothing_found_from_not_looked_for(found: Findings, written: Written) -> None:
    (page,) = captures(found, None)
    told = " ".join(written.texts())
    assert ("This is not a statement that nothing is there." in told) == (
        found.outcome is not Outcome.NO_FINDINGS
    )
    assert "SourceImageSequence" not in read(page)


def test_without_the_part_of_the_body_its_side_is_unknown() -> None:
    def edit(ds: Dataset, k: int) -> None:
        del ds.BodyPartExamined

    series = Series(edit=edit)
    page = read(captures(findings(series), of_volume(series))[0])
    assert ("BodyPartExamined" in page, page.Laterality) == (False, "")
