"""Pictures and cines: which instances are, what is known of them, and their pixels as they are meant."""

from __future__ import annotations

import struct
import tracemalloc

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    BreastTomosynthesisImageStorage,
    JPEG2000Lossless,
    MultiFrameSingleBitSecondaryCaptureImageStorage,
    RLELossless,
    VLWholeSlideMicroscopyImageStorage,
)

from dicomnode.assemble import DecoderLimits, DecoderPool, load_picture, load_volume, read_studies
from dicomnode.assemble.picture_classes import PICTURE_CLASSES
from dicomnode.assemble.picture_values import read_values
from dicomnode.faults import NodeError
from tests.fixtures.pictures import (
    breast,
    capture,
    cine,
    computed_radiograph,
    four_views,
    mammogram,
    photograph,
    picture,
    radiograph,
    written,
)


def stacks_of(folder, *datasets):
    """The stacks of the one series that instances make."""
    ((series,),) = (study.series for study in read_studies([written(folder, *datasets)]).studies)
    return series.stacks


def loaded(folder, ds, **how):
    (stack,) = stacks_of(folder, ds)
    return load_picture(stack, **how)


def facts_of(folder, ds):
    (stack,) = stacks_of(folder, ds)
    return dict(stack.facts.facts)


# ── which they are ──


def test_every_class_of_pictures_is_a_storage_class_of_dicom():
    assert all(UID(one).type == "SOP Class" for one in PICTURE_CLASSES)
    assert BreastTomosynthesisImageStorage not in PICTURE_CLASSES
    assert VLWholeSlideMicroscopyImageStorage not in PICTURE_CLASSES


@pytest.mark.parametrize("sop_class", sorted(PICTURE_CLASSES), ids=lambda uid: UID(uid).name)
def test_an_instance_of_such_a_class_is_a_picture(tmp_path, sop_class):
    (stack,) = stacks_of(tmp_path, computed_radiograph(SOPClassUID=sop_class))
    assert (stack.kind, stack.facts.refusal, stack.placement) == ("picture", None, None)


def test_each_view_is_a_stack_of_its_own_in_the_order_of_the_instance_numbers(tmp_path):
    stacks = stacks_of(tmp_path, *reversed(four_views()))
    assert [stack.facts.stack for stack in stacks] == [0, 1, 2, 3]
    told = [(one.facts.facts["view"], one.facts.facts["laterality"]) for one in stacks]
    assert told == [("CC", "L"), ("CC", "R"), ("MLO", "L"), ("MLO", "R")]


def test_several_frames_are_a_cine(tmp_path):
    facts = facts_of(tmp_path, cine())
    assert (facts["kind"], facts["frames"]) == ("cine", 12)
    assert facts["frames_per_s"] == pytest.approx(25.0)


def test_a_capture_says_that_it_is_one(tmp_path):
    assert facts_of(tmp_path / "a", capture())["capture"] is True
    assert facts_of(tmp_path / "b", photograph())["capture"] is False


@pytest.mark.parametrize(
    ("ds", "code"),
    [
        (capture(ImageType=["DERIVED", "SECONDARY", "DOSE_INFO"]), "DN-3013"),
        (capture(SOPClassUID=MultiFrameSingleBitSecondaryCaptureImageStorage), "DN-3012"),
    ],
    ids=["dose page", "single bits"],
)
def test_pages_and_bit_planes_are_set_aside(tmp_path, ds, code):
    reading = read_studies([written(tmp_path, ds)])
    assert [one.code for one in reading.set_aside] == [code]


def test_a_copy_is_set_aside_and_another_picture_of_its_uid_refused(tmp_path):
    first = computed_radiograph()
    folder = written(tmp_path / "copy", first)
    first.save_as(folder / "again.dcm", enforce_file_format=True)
    reading = read_studies([folder])
    assert [one.code for one in reading.set_aside] == ["DN-3014"]
    other = computed_radiograph()
    other.PixelData = bytes(len(other.PixelData))
    other.save_as(folder / "again.dcm", enforce_file_format=True)
    ((series,),) = (study.series for study in read_studies([folder]).studies)
    assert series.stacks[0].facts.refusal.code == "DN-3020"


def test_a_volume_and_a_picture_cannot_be_mistaken_for_each_other(tmp_path):
    (stack,) = stacks_of(tmp_path, computed_radiograph())
    with pytest.raises(ValueError, match="refused stack has no volume"):
        load_volume(stack)


@pytest.mark.parametrize(
    ("tags", "code", "words"),
    [
        ({"PhotometricInterpretation": "HSV"}, "DN-3075", "PhotometricInterpretation is HSV"),
        ({"SamplesPerPixel": 3}, "DN-3075", "SamplesPerPixel is 3, with MONOCHROME2"),
        ({"Rows": None}, "DN-3003", "Rows"),
        ({"Rows": 8000, "NumberOfFrames": 20_000}, "DN-3010", "end after"),
    ],
)
def test_what_cannot_become_pixels_is_refused_with_its_attribute(tmp_path, tags, code, words):
    (stack,) = stacks_of(tmp_path, computed_radiograph(**tags))
    assert stack.facts.refusal.code == code
    assert words in stack.facts.refusal.text


def test_a_cine_that_is_too_large_for_memory_is_refused(tmp_path):
    ds = computed_radiograph(Rows=4000, Columns=4000, NumberOfFrames=100)
    ds.file_meta.TransferSyntaxUID = RLELossless
    ds.PixelData = encapsulate([b"\0\0"])
    ds["PixelData"].is_undefined_length = True
    (stack,) = stacks_of(tmp_path, ds)
    assert stack.facts.refusal.code == "DN-3076"
    assert "6.4 GB" in stack.facts.refusal.text


# ── what is known of them ──


def region(delta=0.05, **tags):
    one = Dataset()
    one.RegionSpatialFormat, one.RegionDataType = 1, 1
    one.PhysicalUnitsXDirection = one.PhysicalUnitsYDirection = 3
    one.PhysicalDeltaX, one.PhysicalDeltaY = 2 * delta, delta
    for keyword, value in tags.items():
        setattr(one, keyword, value)
    return one


SPACINGS = {
    "calibrated": ({"PixelSpacing": [0.5, 0.4], "ImagerPixelSpacing": [0.6, 0.5]}, (0.5, 0.4), ""),
    "nothing said": ({}, None, ""),
    "0.000 is no spacing": ({"PixelSpacing": [0, 0]}, None, ""),
    "0.000 beside the detector's": (
        {"PixelSpacing": [0, 0], "ImagerPixelSpacing": [0.2, 0.1]},
        (0.2, 0.1),
        "those of the detector",
    ),
    "magnified": (
        {"ImagerPixelSpacing": [0.1, 0.2], "EstimatedRadiographicMagnificationFactor": 1.25},
        (0.08, 0.16),
        "magnification 1.25",
    ),
    "copied from the detector": (
        {
            "PixelSpacing": [0.1, 0.2],
            "ImagerPixelSpacing": [0.1, 0.2],
            "EstimatedRadiographicMagnificationFactor": 2.0,
        },
        (0.05, 0.1),
        "magnification 2",
    ),
    "ultrasound": ({"SequenceOfUltrasoundRegions": [region()]}, (0.5, 1.0), ""),
    "ultrasound with a curve": (
        {"SequenceOfUltrasoundRegions": [region(), region(RegionSpatialFormat=3)]},
        (0.5, 1.0),
        "1 of 2 ultrasound region(s) show no tissue",
    ),
    "two sizes": (
        {"SequenceOfUltrasoundRegions": [region(), region(0.02)]},
        None,
        "pixels of different sizes",
    ),
    "in seconds": ({"SequenceOfUltrasoundRegions": [region(PhysicalUnitsXDirection=4)]}, None, "1 of 1"),
}


@pytest.mark.parametrize("case", list(SPACINGS))
def test_the_size_of_a_pixel_in_the_patient(tmp_path, case):
    tags, spacing, words = SPACINGS[case]
    found = loaded(tmp_path, computed_radiograph(**tags))
    assert found.plane.spacing_ji_mm == (None if spacing is None else pytest.approx(spacing))
    assert words in " ".join(repair.text for repair in found.repairs)
    assert bool(words) == bool(found.repairs)


TIMES = {
    "frame time": ({}, (0, 40, 80)),
    "vector": (
        {"FrameIncrementPointer": 0x00181065, "FrameTimeVector": [0, 30, 50], "FrameTime": None},
        (0, 30, 80),
    ),
    "vector with a first increment": (
        {"FrameIncrementPointer": 0x00181065, "FrameTimeVector": [7, 30, 50]},
        (0, 30, 80),
    ),
    "vector of another length": (
        {"FrameIncrementPointer": 0x00181065, "FrameTimeVector": [0, 30], "FrameTime": None},
        (),
    ),
    "vector that is not pointed at": ({"FrameTimeVector": [0, 30, 50]}, (0, 40, 80)),
    "cine rate": ({"FrameIncrementPointer": None, "FrameTime": None, "CineRate": 20}, (0, 50, 100)),
    "for display only": (
        {"FrameIncrementPointer": None, "FrameTime": None, "RecommendedDisplayFrameRate": 20},
        (),
    ),
}


@pytest.mark.parametrize("case", list(TIMES))
def test_the_times_of_the_frames(tmp_path, case):
    tags, times = TIMES[case]
    assert loaded(tmp_path, cine(3, **tags)).plane.frame_times_ms == pytest.approx(times)


def test_a_view_is_told_by_its_code_before_its_letters(tmp_path):
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = (
        "399368009",
        "SCT",
        "medio-lateral oblique",
    )
    assert loaded(tmp_path, mammogram("CC", "L", ViewCodeSequence=[code])).plane.view == "MLO"


def test_laterality_of_the_series_counts_where_the_image_says_none(tmp_path):
    ds = computed_radiograph(Laterality="R")
    assert loaded(tmp_path, ds).plane.laterality == "R"


def test_the_intent_and_the_spacing_are_facts(tmp_path):
    facts = facts_of(tmp_path, mammogram("CC", "L"))
    assert facts["intent"] == "for presentation"
    assert facts["spacing_j_mm"] == pytest.approx(0.08)
    assert facts["colour"] is False


# ── their pixels ──


def test_grey_pixels_are_what_is_stored(tmp_path):
    found = loaded(tmp_path, computed_radiograph())
    assert found.frames.shape == (1, 8, 10, 1)
    assert found.frames.dtype == np.uint16
    assert np.array_equal(found.frames.ravel(), np.arange(80))
    assert [one.frame_number for one in found.sources] == [None]
    assert len(found.headers.encoded) == 1


def test_dark_is_more_is_turned_over_within_the_bits_stored(tmp_path):
    found = loaded(tmp_path, radiograph())
    assert found.frames.dtype == np.uint16
    assert set(np.unique(found.frames)) == {100, 3900}
    assert (found.frames[0, 5:10, 20:28, 0] == 3900).all()
    assert [repair.kind for repair in found.repairs] == ["polarity"]


def test_rescale_and_polarity_go_together(tmp_path):
    found = loaded(tmp_path, radiograph(RescaleSlope=2, RescaleIntercept=-10))
    assert found.frames.dtype == np.float32
    # stored 0 to 4095 become -10 to 8180, and turned over: 8170 - value
    assert set(np.unique(found.frames)) == {8170.0 - (2 * 3995 - 10), 8170.0 - (2 * 195 - 10)}


def test_a_slope_without_an_intercept_is_applied_with_0_and_told(tmp_path):
    found = loaded(tmp_path, computed_radiograph(RescaleSlope=2))
    assert np.array_equal(found.frames.ravel(), 2.0 * np.arange(80))
    assert [repair.text for repair in found.repairs] == [
        "Rescale Intercept (0028,1052) is missing, and was read as 0."
    ]


def test_grey_values_that_lie_too_high_are_shifted_and_that_is_told(tmp_path):
    ds = computed_radiograph(BitsStored=12, HighBit=15)
    ds.PixelData = (16 * np.arange(80)).astype("<u2").tobytes()
    found = loaded(tmp_path, ds)
    assert np.array_equal(found.frames.ravel(), np.arange(80))
    assert [repair.kind for repair in found.repairs] == ["bits"]


def test_colours_that_lie_too_high_are_refused_by_high_bit(tmp_path):
    with pytest.raises(NodeError, match=r"DN-3010.*\(0028,0102\) HighBit"):
        loaded(tmp_path, photograph(BitsStored=6, HighBit=7))


def test_a_modality_lut_is_applied(tmp_path):
    table = Dataset()
    table.LUTDescriptor, table.ModalityLUTType = [80, 0, 16], "OD"
    table.LUTData = [1000 + 3 * n for n in range(80)]
    table["LUTData"].VR = "US"
    table["LUTDescriptor"].VR = "US"
    found = loaded(tmp_path, computed_radiograph(ModalityLUTSequence=[table]))
    assert np.array_equal(found.frames.ravel(), 1000 + 3 * np.arange(80))


def table_of(entries: int, first: int) -> Dataset:
    """A modality LUT that doubles; its first value is that of `first`."""
    table = Dataset()
    table.add_new("LUTDescriptor", "SS", [entries, first, 16])
    table.ModalityLUTType = "US"
    table.add_new("LUTData", "US", [2 * n for n in range(entries)])
    return table


def signed_of_12_bits(*tables: Dataset) -> Dataset:
    """A ramp of -2048 to 2047 without the bits above Bits Stored, but for its last pixel, which has them."""
    stored = (np.arange(-2048, 2048) & 0x0FFF).astype("<u2")
    stored[-1] = 0xF800
    ds = computed_radiograph(BitsStored=12, HighBit=11, PixelRepresentation=1)
    ds.Rows, ds.Columns, ds.PixelData = 64, 64, stored.tobytes()
    if tables:
        ds.ModalityLUTSequence = list(tables)
    return ds


def test_a_modality_lut_of_all_stored_values_says_that_the_bits_above_them_are_unused(tmp_path):
    found = loaded(tmp_path, signed_of_12_bits(table_of(4096, -2048)))
    ramp = 2 * np.arange(4096)
    ramp[-1] = 0
    assert np.array_equal(found.frames.ravel(), ramp)
    assert [repair.kind for repair in found.repairs] == ["bits"]


@pytest.mark.parametrize("tables", [[], [table_of(4096, -1024)], [table_of(2048, -2048)]])
def test_without_one_nothing_tells_whether_bits_above_are_unused_or_bits_stored_wrong(tmp_path, tables):
    with pytest.raises(NodeError, match=r"DN-3011.*\(0028,0101\) BitsStored"):
        loaded(tmp_path, signed_of_12_bits(*tables))


def test_a_window_is_applied_only_where_it_is_asked_for(tmp_path):
    ds = computed_radiograph(WindowCenter=40, WindowWidth=21, VOILUTFunction="LINEAR")
    assert loaded(tmp_path, ds).frames.max() == 79
    shown = loaded(tmp_path, ds, display=True).frames.ravel()
    # PS3.3 C.11.2.1.2.1: ((x - (c - 0.5)) / (w - 1) + 0.5), clipped
    assert shown == pytest.approx(np.clip((np.arange(80) - 39.5) / 20 + 0.5, 0, 1), abs=1e-6)


def test_what_is_shown_without_a_window_spans_the_bits_stored_and_brighter_is_more(tmp_path):
    shown = loaded(tmp_path, radiograph(), display=True).frames
    assert sorted(np.unique(shown)) == pytest.approx([100 / 4095, 3900 / 4095])


def test_padding_becomes_the_darkest_value_also_where_dark_is_more(tmp_path):
    ds = radiograph(PixelPaddingValue=195)
    ds["PixelPaddingValue"].VR = "US"
    found = loaded(tmp_path, ds)
    assert set(np.unique(found.frames)) == {100}
    assert "3.7 % of the pixels are Pixel Padding Value" in found.repairs[-1].text


def insert(path, at: int, sequence: int, value: bytes) -> None:
    """Put a sequence of undefined length, Explicit VR Little Endian, in front of an element of a file."""
    content = path.read_bytes()
    place = content.index(struct.pack("<HH", at >> 16, at & 0xFFFF))
    head = struct.pack("<HH2s2xL", sequence >> 16, sequence & 0xFFFF, b"SQ", 0xFFFFFFFF)
    end = b"\xfe\xff\xdd\xe0\0\0\0\0"
    path.write_bytes(content[:place] + head + value + end + content[place:])


EMPTY_ITEM = b"\xfe\xff\x00\xe0\0\0\0\0"


def test_a_sequence_that_says_nothing_of_the_values_is_not_taken_apart(tmp_path):
    folder = written(tmp_path, computed_radiograph())
    (path,) = folder.glob("*.dcm")
    insert(path, 0x7FE00010, 0x54000100, EMPTY_ITEM * 100_000)
    ((series,),) = (study.series for study in read_studies([folder]).studies)
    header = series.stacks[0].headers[0]
    tracemalloc.start()
    try:
        read_values(header, display=True)
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (EMPTY_ITEM * 2000, "more than 1000 items"),
        (EMPTY_ITEM[:4] + struct.pack("<L", 2**24) + bytes(2**24), "bytes"),
    ],
    ids=["items", "bytes"],
)
def test_a_table_of_more_items_or_bytes_than_any_is_refused_and_never_left_out(tmp_path, value, words):
    folder = written(tmp_path, computed_radiograph())
    (path,) = folder.glob("*.dcm")
    insert(path, 0x7FE00010, 0x00283000, value)
    ((series,),) = (study.series for study in read_studies([folder]).studies)
    with pytest.raises(NodeError, match=words) as caught:
        load_picture(series.stacks[0])
    assert caught.value.fault.code == "DN-3077"


def test_a_table_that_cannot_be_read_is_the_images_fault(tmp_path):
    ds = computed_radiograph(WindowCenter=40, WindowWidth=0)
    with pytest.raises(NodeError) as caught:
        loaded(tmp_path, ds, display=True)
    assert caught.value.fault.code == "DN-3077"


@pytest.mark.parametrize("syntax", [None, RLELossless, JPEG2000Lossless], ids=["native", "RLE", "J2K"])
@pytest.mark.parametrize("pooled", [False, True], ids=["here", "in a decoder process"])
def test_colours_are_red_green_and_blue(tmp_path, syntax, pooled):
    ds = photograph()
    expected = np.frombuffer(ds.PixelData, np.uint8).reshape(1, 40, 48, 3)
    if syntax is not None:
        ds.compress(syntax, generate_instance_uid=False)
    if pooled:
        with DecoderPool(DecoderLimits(processes=1)) as pool:
            found = loaded(tmp_path, ds, decode=pool)
    else:
        found = loaded(tmp_path, ds)
    assert found.is_colour
    assert np.array_equal(found.frames, expected)


@pytest.mark.parametrize("pooled", [False, True], ids=["here", "in a decoder process"])
def test_every_frame_of_a_cine_is_its_own_and_says_where_it_came_from(tmp_path, pooled):
    with DecoderPool(DecoderLimits(processes=1)) as pool:
        found = loaded(tmp_path, cine(), **({"decode": pool} if pooled else {}))
    assert found.frames.shape == (12, 20, 24, 1)
    assert [int(frame.max()) for frame in found.frames] == [10 * t + 5 for t in range(12)]
    assert [one.frame_number for one in found.sources] == list(range(1, 13))


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_gives_bytes_whatever_the_width_of_its_entries(tmp_path, bits):
    index = (np.arange(80) % 4).astype(np.uint8).reshape(8, 10)
    ds = picture("1.2.840.10008.5.1.4.1.1.6.1", "US", index, PhotometricInterpretation="PALETTE COLOR")
    colours = {"Red": [0, 255, 10, 7], "Green": [0, 20, 255, 8], "Blue": [1, 2, 3, 255]}
    for name, entries in colours.items():
        values = np.array(entries, np.uint8 if bits == 8 else np.uint16) << (bits - 8)
        setattr(ds, f"{name}PaletteColorLookupTableDescriptor", [4, 0, bits])
        ds[f"{name}PaletteColorLookupTableDescriptor"].VR = "US"
        setattr(ds, f"{name}PaletteColorLookupTableData", values.tobytes())
    found = loaded(tmp_path, ds)
    assert found.frames.dtype == np.uint8
    expected = np.stack([np.array(entries)[index] for entries in colours.values()], axis=-1)
    assert np.array_equal(found.frames[0], expected)


def test_a_frame_that_cannot_be_decoded_is_said_with_its_syntax(tmp_path):
    ds = photograph()
    ds.compress(JPEG2000Lossless, generate_instance_uid=False)
    ds.PixelData = encapsulate([b"\1" * 8])
    (stack,) = stacks_of(tmp_path, ds)
    with pytest.raises(NodeError) as caught:
        load_picture(stack)
    assert caught.value.fault.code == "DN-3010"


def test_the_phantom_has_its_chest_wall_where_its_header_says():
    assert breast("A")[20, 0] == breast("P")[20, -1] == 1000


@pytest.mark.parametrize("frames", [1, 3])
def test_native_colours_that_two_pixels_share_are_as_long_as_they_have_to_be(tmp_path, frames):
    """YBR_FULL_422 (PS3.3 C.7.6.3.1.2): Y, Y, CB, CR of two pixels."""
    ds = photograph() if frames == 1 else cine(frames)
    ds.SamplesPerPixel, ds.PlanarConfiguration, ds.PhotometricInterpretation = 3, 0, "YBR_FULL_422"
    content = b"\x80\x90\x80\x80" * (ds.Rows * ds.Columns // 2) * frames
    ds.PixelData = content
    found = loaded(tmp_path / "whole", ds)
    assert found.frames.shape == (frames, ds.Rows, ds.Columns, 3)
    assert found.frames[0, 0, :2].tolist() == [[128] * 3, [144] * 3]
    ds.PixelData = content[:-2]
    (stack,) = stacks_of(tmp_path / "cut", ds)
    assert stack.facts.refusal.code == "DN-3010"
