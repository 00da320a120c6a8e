"""Findings cannot be wrong in ways that would put a result on the wrong place, or say nothing at all."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import numpy as np
import pytest

import dicomnode.values
from dicomnode.values import (
    Code,
    FindingKind,
    Findings,
    Grid,
    Instance,
    Mask,
    Measurement,
    Outcome,
    Provenance,
    Region,
    RegionKind,
    Segment,
    Sender,
    SeriesFacts,
    Source,
    SourceFrame,
    SourceHeaders,
    Volume,
    no_progress,
)
from dicomnode.values.codes import HOUNSFIELD, LEFT, MILLIMETRE

NOW = datetime(2025, 1, 2, 10, 15, tzinfo=UTC)
LUNG = Code("39607008", "SCT", "Lung")


def _mask(shape: tuple[int, int, int] = (2, 3, 4)) -> Mask:
    return Mask.from_array(np.ones(shape))


def _segment(label: str = "lung-left", mask: Mask | None = None, score: float | None = None) -> Segment:
    return Segment(
        label=label,
        kind=FindingKind.ANATOMY,
        category=LUNG,
        type=LUNG,
        mask=mask or _mask(),
        centre_lps_mm=(0.0, 0.0, 0.0),
        tracking_uid="2.25.1",
        tracking_id=label,
        algorithm="lungs 1",
        score=score,
    )


def _source(grid: Grid | None) -> Source:
    return Source(
        name="ct",
        study_instance_uid="2.25.2",
        series_instance_uid="2.25.3",
        grid=grid,
        frames=(),
        headers=SourceHeaders(()),
    )


def _findings(**changes: object) -> Findings:
    provenance = Provenance(
        engine="lung-ct",
        version="1",
        title="Lungs",
        use="Research",
        engine_digest="0" * 64,
        runtime="none",
        precision="fp32",
        device="CPU",
        node_version="0",
    )
    values: dict[str, object] = {
        "outcome": Outcome.FINDINGS,
        "sources": (_source(Grid((2, 3, 4), np.eye(4), "2.25.4")),),
        "provenance": provenance,
        "made_at": NOW,
        "study_version": 1,
    }
    return Findings(**(values | changes))  # type: ignore[arg-type]


def test_findings_with_segments_on_their_grid_are_right() -> None:
    findings = _findings(segments=(_segment("a"), _segment("b")))
    assert [segment.label for segment in findings.segments] == ["a", "b"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"made_at": NOW.replace(tzinfo=None)}, "time zone"),
        ({"sources": ()}, "series"),
        ({"segments": (_segment("a"), _segment("a"))}, "two segments"),
        ({"segments": (_segment(mask=_mask((2, 3, 5))),)}, "source grid"),
        ({"segments": (_segment(),), "sources": (_source(None),)}, "source grid"),
    ],
    ids=["no time zone", "no source", "same label", "another grid", "no grid"],
)
def test_wrong_findings_are_refused(changes: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        _findings(**changes)


def test_what_was_not_analysed_needs_no_grid() -> None:
    findings = _findings(outcome=Outcome.NOT_ANALYSED, sources=(_source(None),))
    assert findings.segments == ()


def test_an_empty_segment_is_refused() -> None:
    with pytest.raises(ValueError, match="Remark"):
        _segment(mask=Mask.from_array(np.zeros((2, 3, 4))))


@pytest.mark.parametrize("score", [-0.01, 1.01, float("nan")])
def test_a_score_that_is_no_probability_is_refused(score: float) -> None:
    with pytest.raises(ValueError, match="0 to 1"):
        _segment(score=score)


@pytest.mark.parametrize("score", [None, 0.0, 0.5, 1.0])
def test_scores_from_nought_to_one_are_right(score: float | None) -> None:
    assert _segment(score=score).score == score


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_measurement_without_a_number_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        Measurement(name="long_axis_mm", concept=LUNG, value=value, unit=MILLIMETRE)


@pytest.mark.parametrize("value", [0.0, -1024.0, 1e308])
def test_any_finite_measurement_is_right(value: float) -> None:
    assert Measurement(name="mean_hu", concept=LUNG, value=value, unit=HOUNSFIELD).value == value


def test_findings_cannot_be_changed() -> None:
    for value in (_findings(), _segment(), _source(None)):
        field = dataclasses.fields(value)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, field, None)


def test_a_region_needs_no_voxels() -> None:
    region = Region(
        label="point",
        kind=RegionKind.POINT,
        points_lps_mm=((1.0, 2.0, 3.0),),
        type=LUNG,
        tracking_uid="2.25.1",
        tracking_id="point",
        algorithm="heat 1",
    )
    assert _findings(regions=(region,)).regions == (region,)


@pytest.mark.parametrize(
    "parts",
    [
        ("", "SCT", "Lung"),
        ("1", "", "Lung"),
        ("1", "SCT", ""),
        ("1" * 17, "SCT", "Lung"),
        ("1", "S" * 17, "Lung"),
        ("1", "SCT", "L" * 65),
    ],
    ids=["no value", "no scheme", "no meaning", "long value", "long scheme", "long meaning"],
)
def test_a_code_that_does_not_fit_its_vr_is_refused(parts: tuple[str, str, str]) -> None:
    with pytest.raises(ValueError, match="characters"):
        Code(*parts)


def test_codes_are_equal_by_value_and_scheme() -> None:
    same = Code("7771000", "SCT", "Links")
    assert same == LEFT
    assert hash(same) == hash(LEFT)
    assert Code("7771000", "DCM", "Left") != LEFT
    assert LEFT != "7771000"
    assert str(LEFT) == "(7771000, SCT, 'Left')"


def _volume(voxels: np.ndarray, frames: int = 2) -> Volume:
    return Volume(
        voxels=voxels,
        affine_lps=np.eye(4),
        unit=HOUNSFIELD,
        frame_of_reference_uid="2.25.5",
        study_instance_uid="2.25.2",
        series_instance_uid="2.25.3",
        frames=tuple(SourceFrame(f"2.25.{n}") for n in range(frames)),
        headers=SourceHeaders(()),
    )


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_a_volume_protects_its_voxels(dtype: type) -> None:
    volume = _volume(np.zeros((2, 3, 4), dtype=dtype))
    assert volume.grid.shape_kji == (2, 3, 4)
    assert volume.grid.frame_of_reference_uid == "2.25.5"
    with pytest.raises(ValueError, match="read-only"):
        volume.voxels[0, 0, 0] = 1


@pytest.mark.parametrize(
    ("voxels", "frames", "why"),
    [
        (np.zeros((2, 3, 4)), 2, "float32 or int16"),
        (np.zeros((2, 3, 4), dtype=np.uint16), 2, "float32 or int16"),
        (np.zeros((3, 4), dtype=np.int16), 3, "axes"),
        (np.zeros((2, 3, 4), dtype=np.int16), 3, "each of 2 slices"),
    ],
    ids=["float64", "uint16", "two axes", "frames"],
)
def test_what_is_no_volume_is_refused(voxels: np.ndarray, frames: int, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        _volume(voxels, frames)


def test_facts_of_a_series_are_a_copy_that_cannot_be_changed() -> None:
    tags: dict[str, str] = {"Modality": "CT"}
    facts = SeriesFacts(study_instance_uid="1.2", series_instance_uid="1.3", tags=tags)
    tags["Modality"] = "MR"
    assert facts.tags["Modality"] == "CT"
    with pytest.raises(TypeError):
        facts.tags["Modality"] = "MR"  # type: ignore[index]


def _instance(tmp_path, **changes: object) -> Instance:
    values: dict[str, object] = {
        "sop_instance_uid": "2.25.1",
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
        "study_instance_uid": "2.25.2",
        "series_instance_uid": "2.25.3",
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "path": tmp_path / "file",
        "size": 1,
        "digest": "0" * 16,
        "received_at": NOW,
        "sender": Sender(calling_ae="CT1", called_ae="DICOMNODE", address="127.0.0.1"),
    }
    return Instance(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"size": 0}, "size"), ({"received_at": NOW.replace(tzinfo=None)}, "time zone")],
    ids=["empty", "no time zone"],
)
def test_a_wrong_instance_is_refused(changes: dict[str, object], why: str, tmp_path) -> None:
    assert _instance(tmp_path).size == 1
    with pytest.raises(ValueError, match=why):
        _instance(tmp_path, **changes)


@pytest.mark.parametrize("name", dicomnode.values.__all__)
def test_every_name_of_the_face_is_there(name: str) -> None:
    assert getattr(dicomnode.values, name) is not None


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = dicomnode.values.nothing


def test_telling_nobody_of_progress_is_possible() -> None:
    assert no_progress("decoding", 1, 2) is None
