"""The geometry guard of maps and derived images finds planes and numbers that are not what was made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread

from dicomnode.faults import GEOMETRY_GUARD
from dicomnode.report import draw_mismatch
from dicomnode.report.fields import planes, stored
from dicomnode.report.guard.images import check_images
from dicomnode.report.guard.maps import check_maps
from dicomnode.report.heading.identity import to_bytes
from dicomnode.report.mismatch.error import MismatchError
from dicomnode.values import Findings
from tests.unit.report.fields.fields import GRIDS, SOURCES, images_of, maps_of, with_image, with_map
from tests.unit.report.sources import PLANES, Series
from tests.unit.report.test_multi_frame import ORDERS, on_frames

Change = Callable[[list[Dataset]], object]


def of_image(found: Findings) -> list[bytes]:
    return [to_bytes(one) for one in images_of(found)]


def of_map(found: Findings) -> list[bytes]:
    return [to_bytes(one) for one in maps_of(found)]


def changed(contents: Sequence[bytes], change: Change) -> list[bytes]:
    read = [dcmread(BytesIO(one)) for one in contents]
    change(read)
    written = []
    for one in read:
        buffer = BytesIO()
        one.save_as(buffer, enforce_file_format=True)
        written.append(buffer.getvalue())
    return written


def every(change: Callable[[Dataset], object]) -> Change:
    return lambda read: [change(one) for one in read]


def setting(**values: object) -> Change:
    def change(read: Dataset) -> None:
        for keyword, value in values.items():
            setattr(read, keyword, value)

    return every(change)


# ── Derived images ──


def _pixels(change: Callable[[np.ndarray], np.ndarray]) -> Change:
    def of_one(read: Dataset) -> None:
        pixels = np.frombuffer(read.PixelData, dtype="<i2").reshape(read.Rows, read.Columns)
        read.PixelData = change(pixels).astype("<i2").tobytes()

    return every(of_one)


def _one_slice_up(read: list[Dataset]) -> None:
    for one in read:
        one.ImagePositionPatient[2] = float(one.ImagePositionPatient[2]) + 2.5


def _upside_down(read: list[Dataset]) -> None:
    """The pixels of the first plane on the last, and so on: what a flipped axis k does."""
    pixels = [one.PixelData for one in read]
    for one, of_other in zip(read, reversed(pixels), strict=True):
        one.PixelData = of_other


def _turned(read: Dataset) -> None:
    read.ImageOrientationPatient = [-1, 0, 0, *read.ImageOrientationPatient[3:]]


def _spacing(read: Dataset) -> None:
    read.PixelSpacing = list(read.PixelSpacing)[::-1]


def _one_voxel(read: list[Dataset]) -> None:
    pixels = np.frombuffer(read[4].PixelData, dtype="<i2").copy()
    pixels[77] += 2
    read[4].PixelData = pixels.tobytes()


def _last_two_exchanged(read: list[Dataset]) -> None:
    read[-1], read[-2] = read[-2], read[-1]


def _last_missing(read: list[Dataset]) -> None:
    del read[-1]


def _names_the_next(read: list[Dataset]) -> None:
    for one, other in zip(read, [*read[1:], read[0]], strict=True):
        uid = other.SourceImageSequence[0].ReferencedSOPInstanceUID
        one.SourceImageSequence[0].ReferencedSOPInstanceUID = f"{uid}"


def _names_none(read: Dataset) -> None:
    del read.SourceImageSequence


def _twice(read: list[Dataset]) -> None:
    read[3].SOPInstanceUID = read[3].file_meta.MediaStorageSOPInstanceUID = read[2].SOPInstanceUID


IMAGE_LIES: dict[str, tuple[Change, str]] = {
    "mirrored from left to right": (_pixels(lambda plane: plane[:, ::-1]), "instead of"),
    "mirrored from top to bottom": (_pixels(lambda plane: plane[::-1]), "instead of"),
    "upside down": (_upside_down, "instead of"),
    "mirrored by its orientation": (every(_turned), "voxels"),
    "one slice up": (_one_slice_up, "place of plane 0"),
    "spacing of rows and columns exchanged": (every(_spacing), "voxels"),
    "one voxel too bright": (_one_voxel, "instead of"),
    "twice the slope": (setting(RescaleSlope="2"), "steps of 2"),
    "a negative slope": (setting(RescaleSlope="-1"), "steps of -1"),
    "another intercept": (setting(RescaleIntercept="1000"), "instead of"),
    "no rescale": (every(lambda read: read.__delitem__("RescaleSlope")), "rescale of"),
    "another unit": (setting(RescaleType="US"), "unit of"),
    "the last two exchanged": (_last_two_exchanged, "Instance Number"),
    "the last one missing": (_last_missing, "number of planes"),
    "the image of the next slice": (_names_the_next, "other images"),
    "no image of the source": (every(_names_none), "names no image"),
    "one UID for two": (_twice, "number of series and images"),
    "rows and columns exchanged": (setting(Rows=28, Columns=20), "rows and columns"),
    "another side": (setting(Laterality="R"), "side is R"),
    "another patient": (setting(PatientID="PAT-8"), "another patient"),
    "another study": (setting(StudyInstanceUID="1.2.3"), "study"),
    "another class": (setting(SOPClassUID="1.2.840.10008.5.1.4.1.1.4"), "SOP Class"),
    "another frame of reference": (setting(FrameOfReferenceUID="1.2.3"), "frame of reference"),
    "no pixels": (every(lambda read: read.__delitem__("PixelData")), "cannot be read"),
}


@pytest.fixture(scope="module")
def with_one() -> tuple[Findings, list[bytes]]:
    found = with_image()
    return found, of_image(found)


@pytest.mark.parametrize("lie", IMAGE_LIES)
def test_each_lie_of_derived_images_is_found(lie: str, with_one: tuple[Findings, list[bytes]]) -> None:
    (found, contents), (change, words) = with_one, IMAGE_LIES[lie]
    lying = changed(contents, change)
    with pytest.raises(MismatchError, match=words) as caught:
        check_images(lying, found, found.images[0])
    assert caught.value.fault is GEOMETRY_GUARD
    assert caught.value.contents == tuple(lying)


@pytest.mark.parametrize("onto", GRIDS)
@pytest.mark.parametrize("plane", PLANES)
def test_true_images_pass_in_every_plane_and_on_every_grid(plane: str, onto: str) -> None:
    found = with_image("CT", plane, onto)
    check_images(of_image(found), found, found.images[0])


@pytest.mark.parametrize("kind", SOURCES)
def test_images_of_every_class_pass_and_with_another_scale_do_not(kind: str) -> None:
    found = with_image(kind)
    contents = of_image(found)
    check_images(contents, found, found.images[0])

    def scaled(read: Dataset) -> None:
        mappings = read.get("RealWorldValueMappingSequence") or ()
        slope = mappings[0].RealWorldValueSlope if mappings else 1.0
        text = f"{1.1 * float(slope):.8g}"
        for mapping in mappings:
            mapping.RealWorldValueSlope = float(text)
        if "RescaleSlope" in read:
            read.RescaleSlope = text

    with pytest.raises(MismatchError, match=r"instead of|steps of"):
        check_images(changed(contents, every(scaled)), found, found.images[0])


def test_a_mapping_that_is_not_the_rescale_is_found() -> None:
    found = with_image("PT")

    def mapped(read: Dataset) -> None:
        read.RealWorldValueMappingSequence[0].RealWorldValueSlope *= 2

    with pytest.raises(MismatchError, match="not the same"):
        check_images(changed(of_image(found), every(mapped)), found, found.images[0])


def test_a_unit_that_was_not_made_is_found() -> None:
    found = with_image("PT")

    def renamed(read: Dataset) -> None:
        read.RealWorldValueMappingSequence[0].MeasurementUnitsCodeSequence[0].CodeValue = "Bq/ml"

    with pytest.raises(MismatchError, match="unit of 'clean'"):
        check_images(changed(of_image(found), every(renamed)), found, found.images[0])


@pytest.mark.parametrize("numbers", ORDERS.values(), ids=list(ORDERS))
def test_images_of_frames_in_any_order_pass(numbers: tuple[int, ...]) -> None:
    found = replace(on_frames(numbers), segments=(), images=with_image().images)
    check_images(of_image(found), found, found.images[0])


def test_values_beyond_what_can_be_stored_pass_in_hounsfield_units_alone() -> None:
    found = with_image()
    (image,) = found.images
    values = image.values.copy()
    values[3, 4, 5] = 80_000.0
    found = replace(found, images=(replace(image, values=values),))
    check_images(of_image(found), found, found.images[0])


def test_images_of_the_patient_that_a_message_told_pass(with_one: tuple[Findings, list[bytes]]) -> None:
    found, contents = with_one
    told = changed(contents, setting(PatientID="AFTER"))
    check_images(told, found, found.images[0], patient_id="AFTER")
    with pytest.raises(MismatchError, match="another patient"):
        check_images(contents, found, found.images[0], patient_id="AFTER")


def _shifted(real: Callable) -> Callable:
    def build(imprint, grid):  # type: ignore[no-untyped-def]
        found = real(imprint, grid)
        return replace(found, positions=(*found.positions[1:], found.positions[0]))

    return build


def test_images_and_maps_of_a_writer_that_is_one_slice_off_do_not_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from dicomnode.report.fields import derived_images, parametric_maps

    for module in (derived_images, parametric_maps):
        monkeypatch.setattr(module, "planes_of", _shifted(planes.planes_of))
    made, mapped = with_image(), with_map(Series())
    with pytest.raises(MismatchError, match="place of plane 0"):
        check_images(of_image(made), made, made.images[0])
    with pytest.raises(MismatchError, match="place of plane 0"):
        check_maps(of_map(mapped), mapped)


def test_images_of_a_writer_that_rounds_too_coarsely_do_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "_LEAST_STEPS", 0)
    found = with_image("MR", RescaleSlope="100")
    with pytest.raises(MismatchError, match="steps of"):
        check_images(of_image(found), found, found.images[0])


# ── Maps ──


def _floats(change: Callable[[np.ndarray], np.ndarray]) -> Change:
    def of_one(read: Dataset) -> None:
        values = np.frombuffer(read.FloatPixelData, dtype="<f4")
        values = values.reshape(read.NumberOfFrames, read.Rows, read.Columns)
        read.FloatPixelData = change(values).astype("<f4").tobytes()

    return every(of_one)


def _shared(change: Callable[[Dataset], object]) -> Change:
    return every(lambda read: change(read.SharedFunctionalGroupsSequence[0]))


def _rescale(shared: Dataset) -> None:
    shared.PixelValueTransformationSequence[0].RescaleSlope = "2"


def _mapping(**values: object) -> Change:
    def change(shared: Dataset) -> None:
        for keyword, value in values.items():
            setattr(shared.RealWorldValueMappingSequence[0], keyword, value)

    return _shared(change)


def _both_scales(shared: Dataset) -> None:
    shared.PixelValueTransformationSequence[0].RescaleSlope = "2"
    shared.RealWorldValueMappingSequence[0].RealWorldValueSlope = 2.0


def _unit(shared: Dataset) -> None:
    shared.RealWorldValueMappingSequence[0].MeasurementUnitsCodeSequence[0].CodeValue = "%"


def _quantity(shared: Dataset) -> None:
    mapping = shared.RealWorldValueMappingSequence[0]
    mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0].CodeValue = "111012"


def _side(shared: Dataset) -> None:
    shared.FrameAnatomySequence[0].FrameLaterality = "L"


def _swap_spacing(shared: Dataset) -> None:
    shared.PixelMeasuresSequence[0].PixelSpacing = list(shared.PixelMeasuresSequence[0].PixelSpacing)[::-1]


def _swap_axes(shared: Dataset) -> None:
    cosines = list(shared.PlaneOrientationSequence[0].ImageOrientationPatient)
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = [*cosines[3:], *cosines[:3]]


def _frames(change: Callable[[list[Dataset]], list[Dataset]]) -> Change:
    def of_one(read: Dataset) -> None:
        read.PerFrameFunctionalGroupsSequence = change(list(read.PerFrameFunctionalGroupsSequence))

    return every(of_one)


def _up(frames: list[Dataset]) -> list[Dataset]:
    for frame in frames:
        position = frame.PlanePositionSequence[0].ImagePositionPatient
        position[2] = float(position[2]) + 2.5
    return frames


def _next_image(frames: list[Dataset]) -> list[Dataset]:
    images = [one.DerivationImageSequence[0].SourceImageSequence[0] for one in frames]
    images[4].ReferencedSOPInstanceUID = images[5].ReferencedSOPInstanceUID
    return frames


MAP_LIES: dict[str, tuple[Change, str]] = {
    "mirrored from left to right": (_floats(lambda values: values[:, :, ::-1]), "instead of"),
    "mirrored from top to bottom": (_floats(lambda values: values[:, ::-1]), "instead of"),
    "upside down": (_floats(lambda values: values[::-1]), "instead of"),
    "one slice on": (_floats(lambda values: np.roll(values, 1, axis=0)), "instead of"),
    "rounded": (_floats(lambda values: np.round(values, 2)), "instead of"),
    "no number": (_floats(lambda values: np.where(values == values.max(), np.nan, values)), "has nan"),
    "all frames one slice up": (_frames(_up), "place of plane 0"),
    "frames in the other order": (_frames(lambda frames: frames[::-1]), "place of plane 0"),
    "one frame less": (_frames(lambda frames: frames[:-1]), "cannot be read"),
    "a number of frames that is not": (setting(NumberOfFrames=11), "number of frames"),
    "the image of the next slice": (_frames(_next_image), "other images"),
    "spacing of rows and columns exchanged": (_shared(_swap_spacing), "voxels"),
    "rows and columns exchanged": (_shared(_swap_axes), "voxels"),
    "a rescale of its own": (_shared(_rescale), "Pixel Value Transformation"),
    "a mapping of its own": (_mapping(RealWorldValueSlope=2.0), "Pixel Value Transformation"),
    "twice as much": (_shared(_both_scales), "instead of"),
    "another range": (_mapping(DoubleFloatRealWorldValueLastValueMapped=2.0), "range of"),
    "another unit": (_shared(_unit), "unit of"),
    "another quantity": (_shared(_quantity), "quantity of"),
    "another side": (_shared(_side), "side is L"),
    "of another map": (setting(InstanceNumber=2), "of map 2"),
    "another patient": (setting(PatientID="PAT-8"), "another patient"),
    "another study": (setting(StudyInstanceUID="1.2.3"), "study"),
    "another class": (setting(SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4"), "SOP Class"),
    "another frame of reference": (setting(FrameOfReferenceUID="1.2.3"), "frame of reference"),
}


@pytest.fixture(scope="module")
def with_a_map() -> tuple[Findings, list[bytes]]:
    found = with_map(Series())
    return found, of_map(found)


@pytest.mark.parametrize("lie", MAP_LIES)
def test_each_lie_of_a_map_is_found(lie: str, with_a_map: tuple[Findings, list[bytes]]) -> None:
    (found, contents), (change, words) = with_a_map, MAP_LIES[lie]
    lying = changed(contents, change)
    with pytest.raises(MismatchError, match=words) as caught:
        check_maps(lying, found)
    assert caught.value.fault is GEOMETRY_GUARD
    assert caught.value.contents == tuple(lying)


@pytest.mark.parametrize("onto", GRIDS)
@pytest.mark.parametrize("plane", PLANES)
def test_true_maps_pass_in_every_plane_and_on_every_grid(plane: str, onto: str) -> None:
    found = with_map(Series(plane=plane), onto)
    check_maps(of_map(found), found)


@pytest.mark.parametrize("numbers", ORDERS.values(), ids=list(ORDERS))
def test_maps_of_frames_in_any_order_pass(numbers: tuple[int, ...]) -> None:
    found = replace(on_frames(numbers), segments=(), maps=with_map(Series()).maps)
    check_maps(of_map(found), found)


def test_a_map_of_one_number_passes() -> None:
    found = with_map(Series())
    (one,) = found.maps
    found = replace(found, maps=(replace(one, values=np.zeros_like(one.values)),))
    check_maps(of_map(found), found)


def test_two_maps_that_are_exchanged_are_found() -> None:
    found = with_map(Series())
    (one,) = found.maps
    other = replace(one, label="other", values=one.values[:, ::-1].copy())
    found = replace(found, maps=(one, other))
    contents = of_map(found)
    check_maps(contents, found)
    with pytest.raises(MismatchError, match="the last one was 2"):
        check_maps(contents[::-1], found)
    with pytest.raises(MismatchError, match="instead of"):
        check_maps(contents, replace(found, maps=(other, one)))


# ── The pictures of both ──


def _panels(png: bytes) -> np.ndarray:
    """The pixels of the panels, below the title and what the guard said, grey."""
    return np.asarray(Image.open(BytesIO(png)).convert("L"), dtype=int)[90:]


def _drawn(check: Callable[[], object], found: Findings) -> tuple[np.ndarray, np.ndarray]:
    with pytest.raises(MismatchError) as caught:
        check()
    pictures = draw_mismatch(caught.value.contents, found, caught.value.difference)
    assert pictures is not None
    there, back = map(_panels, pictures)
    return there, back


@pytest.mark.parametrize("kind", ["map", "image"])
def test_what_is_mirrored_is_drawn_mirrored(
    kind: str, with_one: tuple[Findings, list[bytes]], with_a_map: tuple[Findings, list[bytes]]
) -> None:
    """The panels are 300 wide, 8 apart, 14 from the edge: each is compared with the other, mirrored."""
    if kind == "map":
        (found, contents), (change, _) = with_a_map, MAP_LIES["mirrored from left to right"]
        there, back = _drawn(lambda: check_maps(changed(contents, change), found), found)
    else:
        (found, contents), (change, _) = with_one, IMAGE_LIES["mirrored from left to right"]
        there, back = _drawn(lambda: check_images(changed(contents, change), found, found.images[0]), found)
    for left in (14, 322, 630):
        one, other = there[:200, left : left + 300], back[:200, left : left + 300]
        assert np.ptp(one) > 50
        assert np.abs(one - other).mean() > 10
        assert np.abs(one - other[:, ::-1]).mean() < 3


def test_planes_that_lie_beside_the_volume_are_dark(with_one: tuple[Findings, list[bytes]]) -> None:
    found, contents = with_one

    def away(read: Dataset) -> None:
        read.ImagePositionPatient[2] = float(read.ImagePositionPatient[2]) + 500.0

    lying = changed(contents, every(away))
    there, back = _drawn(lambda: check_images(lying, found, found.images[0]), found)
    assert np.ptp(there[:200, 14:314]) > 50
    assert np.ptp(back[:200, 14:314]) == 0


@pytest.mark.parametrize("damage", [b"", b"\0" * 200])
def test_of_what_cannot_be_read_whole_the_rest_is_drawn(
    damage: bytes, with_one: tuple[Findings, list[bytes]]
) -> None:
    found, contents = with_one
    there, back = _drawn(lambda: check_images([damage, *contents[1:]], found, found.images[0]), found)
    assert (there[-500:] != back[-500:]).any()
