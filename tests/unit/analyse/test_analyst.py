"""Whole engines on drawn volumes: what is found, what is said, and that doing it again changes nothing."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import numpy as np
import pytest
import structlog

from dicomnode.analyse import Analysis, Analyst
from dicomnode.analyse import analyst as analyst_module
from dicomnode.engine import (
    EnginePackage,
    RuntimeWish,
    Session,
    find_engine,
    load_package,
    open_session,
)
from dicomnode.engine.runtimes import REFERENCE
from dicomnode.faults import NETWORK_FAILED, RUNTIME_REFUSED, NodeError
from dicomnode.phantom import thorax
from dicomnode.values import Code, Findings, Outcome, RemarkKind, Volume, derive_uid
from dicomnode.values.codes import LEFT, RIGHT
from tests.unit.analyse import chest as drawn
from tests.unit.analyse.chest import Chest
from tests.unit.analyse.engines import LUNGS_FIRST, tissue_engine
from tests.unit.engine.spoiled_runtime import SpoiledRuntime

SALT = b"s" * 32
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def analyse(package: EnginePackage, volume: Volume, progress=None, version: int = 1) -> Findings:
    analyst = Analyst(package, threads=1, node_version="9.9")
    try:
        analysis = Analysis(volumes={"ct": volume}, salt=SALT, study_version=version, made_at=WHEN)
        return analyst.analyse(analysis, progress) if progress else analyst.analyse(analysis)
    finally:
        analyst.close()


def blocks() -> np.ndarray:
    """Air with a block of soft tissue and a block of bone in it."""
    hu = np.full((24, 40, 44), -1000, np.int16)
    hu[6:18, 8:30, 10:20] = 40
    hu[8:20, 12:28, 26:36] = 700
    return hu


def by_label(findings: Findings) -> dict:
    return {segment.label: segment for segment in findings.segments}


def value(segment, name: str) -> float:
    return next(one.value for one in segment.measurements if one.name == name)


@pytest.mark.parametrize("interpret", ["labels", "sigmoid"])
@pytest.mark.parametrize(
    "window",
    [
        '"whole"',
        "{ size_kji = [16, 16, 16] }",
        '{ size_kji = [8, 24, 16], overlap = 0.25, blend = "constant" }',
    ],
    ids=["whole", "gaussian", "constant"],
)
def test_a_network_with_windows_gives_exactly_what_its_weights_say(tmp_path, make_volume, interpret, window):
    hu = blocks()
    package = tissue_engine(tmp_path / "tissue", interpret=interpret, window=window)
    found = by_label(analyse(package, make_volume(hu, spacing=(2.0, 0.8, 0.8))))
    soft = hu > -100 if interpret == "sigmoid" else hu == 40
    assert np.array_equal(found["soft"].mask.to_array(), soft)
    assert np.array_equal(found["bone"].mask.to_array(), hu == 700)
    assert value(found["bone"], "volume_ml") == pytest.approx((hu == 700).sum() * 1.28 / 1000)


def test_findings_say_what_they_were_made_from(tmp_path, make_volume):
    package = tissue_engine(tmp_path / "tissue")
    volume = make_volume(blocks())
    found = analyse(package, volume)
    assert found.outcome == Outcome.FINDINGS
    assert found.made_at == WHEN
    assert found.study_version == 1
    (source,) = found.sources
    assert (source.name, source.study_instance_uid, source.series_instance_uid) == (
        "ct",
        "1.2.3.1",
        "1.2.3.2",
    )
    assert source.frames == volume.frames
    assert source.grid is not None
    assert source.grid.same_as(volume.grid)
    made = found.provenance
    assert (made.engine, made.version, made.use, made.node_version) == ("tissue", "1.0.0", "A test.", "9.9")
    assert made.engine_digest == package.digest
    assert made.runtime.startswith("onnxruntime ")
    assert made.precision == "fp32"


def test_tracking_uids_follow_from_study_version_series_engine_and_label(tmp_path, make_volume):
    package = tissue_engine(tmp_path / "tissue")
    volume = make_volume(blocks())
    first, again = (by_label(analyse(package, volume)) for _ in range(2))
    second = by_label(analyse(package, volume, version=2))
    slice_0 = f"{volume.frames[0].sop_instance_uid}:{volume.frames[0].frame_number}"
    expected = derive_uid(SALT, "1.2.3.1", "1", slice_0, package.digest, "tracking", "soft")
    assert first["soft"].tracking_uid == again["soft"].tracking_uid == expected
    uids = {segment.tracking_uid for found in (first, second) for segment in found.values()}
    assert len(uids) == 4
    assert first["soft"].tracking_id == "Soft tissue"


def test_a_coarser_grid_and_turned_axes_come_back_to_the_source(tmp_path, make_volume):
    """Prepared at 2 mm in LPS from a source whose columns run to the right and rows to the front."""
    hu = np.full((20, 60, 60), -1000, np.int16)
    hu[6:14, 10:35, 15:45] = 2200  # 600 HU, where bone begins, lies half way from air
    affine = np.diag([-1.0, -1.0, 2.5, 1.0])
    package = tissue_engine(
        tmp_path / "tissue", prepare='{ orient = "LPS" }, { resample_mm = [2.0, 2.0, 2.0] }'
    )
    found = by_label(analyse(package, make_volume(hu, affine=affine)))["bone"]
    truth = hu == 2200
    mask = found.mask.to_array()
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.93
    assert np.abs(np.array(found.centre_lps_mm) - [-29.5, -22.0, 23.75]).max() < 0.6


def test_lesions_that_are_not_there_are_said_not_to_be_there(tmp_path, make_volume):
    hu = np.where(blocks() == 40, -1000, blocks()).astype(np.int16)
    package = tissue_engine(tmp_path / "tissue", kind="lesion")
    found = analyse(package, make_volume(hu))
    assert found.outcome == Outcome.NO_FINDINGS
    assert list(by_label(found)) == ["bone"]
    (remark,) = [one for one in found.remarks if one.kind == RemarkKind.NO_FINDING]
    assert remark.text == "Soft tissue: none was found."
    assert remark.type == Code("87784001", "SCT", "Soft tissue")


def test_a_lesion_is_numbered_and_described(tmp_path, make_volume):
    found = analyse(tissue_engine(tmp_path / "tissue", kind="lesion"), make_volume(blocks()))
    assert found.outcome == Outcome.FINDINGS
    lesion = by_label(found)["soft-1"]
    assert lesion.tracking_id == "Soft 1"
    assert lesion.long_axis_lps_mm is not None
    length = np.linalg.norm(np.subtract(*lesion.long_axis_lps_mm))
    assert length == pytest.approx(value(lesion, "long_axis_mm"))
    assert any(remark.text == "Soft 1: solid core (40 HU)." for remark in found.remarks)


@pytest.mark.parametrize(("code", "said"), [("39607008", True), ("10200004", False)])
def test_only_what_lies_in_a_lung_is_called_solid_or_subsolid(tmp_path, make_volume, code, said):
    package = tissue_engine(tmp_path / "tissue", kind="lesion")
    path = package.folder / "engine.toml"
    site = f'site = {{ scheme = "SCT", code = "{code}", meaning = "Organ" }}\ntracking = "Soft {{number}}"'
    path.write_text(path.read_text().replace('tracking = "Soft {number}"', site))
    found = analyse(load_package(package.folder), make_volume(blocks()))
    assert by_label(found)["soft-1"].site.value == code
    assert any("core" in remark.text for remark in found.remarks) is said


def test_what_is_not_in_hounsfield_units_has_no_mean_in_them(tmp_path, make_volume):
    ones = Code("1", "UCUM", "no units")
    found = analyse(tissue_engine(tmp_path / "tissue", kind="lesion"), make_volume(blocks(), unit=ones))
    assert [one.name for one in by_label(found)["soft-1"].measurements] == ["volume_ml", "long_axis_mm"]
    said = [remark.text for remark in found.remarks if remark.kind == RemarkKind.LIMIT]
    assert said == ["Not measured, as the voxels are in 1 and not in Hounsfield units: mean_hu."]


def test_nothing_at_all_is_no_findings_with_a_remark_for_each_kind(tmp_path, make_volume):
    found = analyse(tissue_engine(tmp_path / "tissue"), make_volume(np.full((16, 16, 16), -1000, np.int16)))
    assert found.outcome == Outcome.NO_FINDINGS
    assert found.segments == ()
    assert [remark.kind for remark in found.remarks] == [RemarkKind.NO_FINDING] * 2


def test_a_crop_keeps_a_network_within_what_an_earlier_step_found(tmp_path, make_volume):
    hu = drawn.draw(Chest(balls=((64.0, 0.0, 20.0, 10.0, 40.0),), noise=0.0))
    package = tissue_engine(
        tmp_path / "tissue",
        first=LUNGS_FIRST,
        crop='crop = { of = "lungs", margin_mm = 0.0, multiple = 8, pad = -1000.0 }',
        window="{ size_kji = [32, 32, 32], overlap = 0.25 }",
    )
    found = by_label(analyse(package, make_volume(hu, affine=drawn.affine())))
    mask = found["soft"].mask.to_array()
    k, j, i = (np.flatnonzero(mask.any(axis=axes))[[0, -1]] for axes in ((1, 2), (0, 2), (0, 1)))
    heights = [drawn.affine()[2, 3] + 3.0 * n for n in k]
    assert heights[0] > -95
    assert heights[1] < 115  # the lungs reach from -86 to 106 mm
    inside = mask[k[0] + 2 : k[1] - 1, j[0] + 2 : j[1] - 1, i[0] + 2 : i[1] - 1]
    truth = ((hu > -100) & (hu < 600))[k[0] + 2 : k[1] - 1, j[0] + 2 : j[1] - 1, i[0] + 2 : i[1] - 1]
    assert np.array_equal(inside, truth)


def test_a_lesion_at_the_edge_of_the_images_is_said_to_be_cut_off(tmp_path, make_volume):
    package = tissue_engine(tmp_path / "tissue", kind="lesion")
    for first, said in ((0, True), (1, False)):
        hu = np.full((12, 24, 24), -1000, np.int16)
        hu[first:8, 6:12, 6:12] = 40
        (text,) = [one.text for one in analyse(package, make_volume(hu)).remarks if "Soft 1" in one.text]
        assert ("cut off by the edge of the images" in text) == said


def test_what_a_reader_must_know_first_is_remarked_first(tmp_path, make_volume):
    package = tissue_engine(tmp_path / "tissue", kind="lesion", first=LUNGS_FIRST, crop='crop = "lungs"')
    hu = drawn.draw()[40:70]
    hu[hu > 0] = -200.0  # neither soft tissue nor bone
    kinds = [one.kind for one in analyse(package, make_volume(hu, affine=drawn.affine())).remarks]
    assert RemarkKind.NO_FINDING in kinds
    assert RemarkKind.QUALITY in kinds
    assert kinds[-1] == RemarkKind.LIMIT
    order = [RemarkKind.NO_FINDING, RemarkKind.QUALITY, RemarkKind.LIMIT]
    assert kinds == sorted(kinds, key=order.index)


def test_an_engine_whose_first_step_finds_no_lungs_has_not_analysed(tmp_path, make_volume):
    package = tissue_engine(tmp_path / "tissue", first=LUNGS_FIRST, crop='crop = "lungs"')
    found = analyse(package, make_volume(np.zeros((16, 32, 32), np.int16), spacing=(5.0, 5.0, 5.0)))
    assert found.outcome == Outcome.NOT_ANALYSED
    assert found.segments == ()
    (remark,) = found.remarks
    assert remark.kind == RemarkKind.NOT_ANALYSED
    assert remark.code == "DN-4008"
    assert remark.text.startswith("No lungs were found: ")


def test_lungs_are_not_looked_for_in_other_than_hounsfield_units(tmp_path, make_volume):
    package = tissue_engine(tmp_path / "tissue", first=LUNGS_FIRST, crop='crop = "lungs"')
    found = analyse(
        package, make_volume(drawn.draw(), affine=drawn.affine(), unit=Code("1", "UCUM", "no units"))
    )
    assert found.outcome == Outcome.NOT_ANALYSED
    assert "the voxels are in 1, not in [hnsf'U]" in found.remarks[0].text


def test_progress_names_the_stages_in_their_order(tmp_path, make_volume):
    package = tissue_engine(
        tmp_path / "tissue",
        first=LUNGS_FIRST,
        crop='crop = "lungs"',
        prepare="{ resample_mm = [3.0, 3.0, 3.0] }",
    )
    seen: list[tuple[str, int, int]] = []
    analyse(
        package, make_volume(drawn.draw(), affine=drawn.affine()), progress=lambda *call: seen.append(call)
    )
    stages = list(dict.fromkeys(stage for stage, _, _ in seen))
    assert stages == ["preparing", "lungs", "inference window", "measuring"]
    for stage in stages:
        counts = [(done, total) for name, done, total in seen if name == stage]
        assert [done for done, _ in counts] == sorted(done for done, _ in counts)
        assert counts[-1][0] == counts[-1][1]


def test_a_network_with_too_few_channels_is_a_fault_of_the_engine(tmp_path, make_volume):
    package = tissue_engine(tmp_path / "tissue", channels=2)
    with pytest.raises(NodeError) as failure:
        analyse(package, make_volume(blocks()))
    assert failure.value.fault.code == "DN-4006"
    assert "engine.toml needs 3" in str(failure.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"first": LUNGS_FIRST.replace('"lungs"', '"hearts"')}, "algorithm is one of lungs"),
        (
            {"first": LUNGS_FIRST.replace("work_mm", "step_mm")},
            "parameters are work_mm, closing_mm, not step_mm",
        ),
        ({"first": LUNGS_FIRST.replace("3.0", "-3.0")}, "work_mm is a number above 0"),
        (
            {
                "first": LUNGS_FIRST,
                "crop": 'crop = { of = "lungs", multiple = 16 }',
                "window": "{ size_kji = [16, 24, 16] }",
            },
            "multiples of 16",
        ),
    ],
    ids=["algorithm", "parameter", "value", "window"],
)
def test_what_this_version_does_not_know_is_refused_when_the_engine_is_loaded(tmp_path, change, words):
    package = tissue_engine(tmp_path / "tissue", **change)
    with pytest.raises(NodeError) as failure:
        Analyst(package, threads=1, node_version="9.9")
    assert failure.value.fault.code == "DN-4002"
    assert words in str(failure.value)


def test_warming_up_runs_every_network_once(tmp_path, monkeypatch):
    analyst = Analyst(tissue_engine(tmp_path / "tissue"), threads=1, node_version="9.9")
    (session,) = analyst._sessions.values()
    shapes = []

    class Spy:
        inputs = session.inputs

        def run(self, inputs):
            shapes.extend(array.shape for array in inputs.values())
            return session.run(inputs)

        def close(self):
            session.close()

    spy: Session = Spy()  # type: ignore[assignment]
    monkeypatch.setitem(analyst._sessions, "tissue", spy)
    analyst.warm()
    assert shapes == [(1, 1, 32, 32, 32)]
    analyst.close()
    analyst.close()


class OnlyTheGate(SpoiledRuntime):
    """Runs the boxes of a gate, and no larger ones."""

    def __init__(self) -> None:
        super().__init__(self.refuse)

    def refuse(self, outputs):
        if any(max(array.shape) > 16 for array in outputs.values()):
            raise NodeError(NETWORK_FAILED, engine="tissue", error="this shape is in no profile")
        return outputs


def test_a_runtime_that_does_not_run_when_warmed_up_is_replaced_by_the_next_one(tmp_path, monkeypatch):
    runtime = OnlyTheGate()
    choose = partial(open_session, runtimes=(runtime, REFERENCE))
    monkeypatch.setattr(analyst_module, "open_session", choose)
    (tmp_path / "state").mkdir()
    package, wish = tissue_engine(tmp_path / "tissue"), RuntimeWish(state=tmp_path / "state")
    watched = []
    analyst = Analyst(
        package,
        threads=1,
        node_version="9.9",
        wish=wish,
        watch=lambda step, session: watched.append(session.runtime) or session,
    )
    with structlog.testing.capture_logs() as logged:
        analyst.warm()
    (session,) = analyst._sessions.values()
    assert watched == ["spoiled 1.0 CPU", session.runtime]
    assert session.runtime.startswith("onnxruntime")
    assert "this shape is in no profile" in session.provenance["why not spoiled"]
    assert [one["runtime"] for one in logged if one["event"] == "runtime.passed_over"] == ["spoiled"]
    assert runtime.open == 0
    analyst.close()
    named = Analyst(package, threads=1, node_version="9.9", wish=replace(wish, runtime="spoiled"))
    with pytest.raises(NodeError, match="this shape is in no profile") as caught:
        named.warm()
    assert caught.value.fault is RUNTIME_REFUSED
    named.close()
    assert runtime.open == 0


@pytest.fixture(scope="module")
def lung_ct() -> EnginePackage:
    return find_engine("lung-ct")


NODULE = (64.0, 20.0, 30.0, 7.0, 30.0)


@pytest.mark.slow
def test_the_shipped_engine_finds_a_drawn_nodule_and_both_lungs(lung_ct, make_volume):
    hu = drawn.draw(Chest(balls=(NODULE,))).astype(np.int16)
    found = analyse(lung_ct, make_volume(hu, affine=drawn.affine()))
    assert found.outcome == Outcome.FINDINGS
    labels = by_label(found)
    assert list(labels)[:3] == ["lung-right", "lung-left", "nodule-1"]
    assert labels["lung-right"].laterality == RIGHT
    assert labels["lung-left"].laterality == LEFT
    assert labels["lung-right"].centre_lps_mm[0] < 0 < labels["lung-left"].centre_lps_mm[0]
    nodule = labels["nodule-1"]
    assert np.linalg.norm(np.subtract(nodule.centre_lps_mm, NODULE[:3])) < 2.0
    assert nodule.laterality == LEFT
    assert nodule.score is not None
    assert nodule.score >= 0.5
    assert any(text.text.startswith("Nodule candidate 1: core (") for text in found.remarks)
    assert any("kernel is not known" in text.text for text in found.remarks)


@pytest.mark.slow
def test_the_shipped_engine_says_that_there_is_no_candidate_and_how_many_lie_below(lung_ct, make_volume):
    chest = thorax(1, nodules=False)
    found = analyse(lung_ct, make_volume(chest.voxels, affine=chest.grid.affine_lps))
    assert found.outcome == Outcome.NO_FINDINGS
    assert list(by_label(found)) == ["lung-right", "lung-left"]
    (remark,) = [one for one in found.remarks if one.kind == RemarkKind.NO_FINDING]
    assert remark.text.startswith("Nodule: none reaches the score of 0.3409; ")
    assert (remark.type, remark.site) == (Code("27925004", "SCT", "Nodule"), Code("39607008", "SCT", "Lung"))


@pytest.mark.slow
def test_the_shipped_engine_finds_the_same_in_a_chest_that_lies_otherwise_in_the_array(lung_ct, make_volume):
    """Sagittal slices from left to right: left stays left, and voxel for voxel it is the same nodule."""
    hu = drawn.draw(Chest(balls=(NODULE,))).astype(np.int16)
    affine = drawn.affine()
    sagittal = np.eye(4)  # k to the right, j to the feet, i to the back
    sagittal[:3, 2], sagittal[:3, 1], sagittal[:3, 0] = -affine[:3, 0], -affine[:3, 2], affine[:3, 1]
    sagittal[:3, 3] = affine[:3, 3] + affine[:3, 2] * (hu.shape[0] - 1) + affine[:3, 0] * (hu.shape[2] - 1)
    turned = np.ascontiguousarray(np.transpose(hu[::-1, :, ::-1], (2, 0, 1)))
    one = by_label(analyse(lung_ct, make_volume(hu, affine=affine)))
    other = by_label(analyse(lung_ct, make_volume(turned, affine=sagittal)))
    assert list(one) == list(other)
    for label, segment in one.items():
        mask = other[label].mask.to_array()
        assert np.array_equal(np.transpose(mask, (1, 2, 0))[::-1, :, ::-1], segment.mask.to_array())
        assert other[label].laterality == segment.laterality
        assert other[label].score == segment.score
        assert np.allclose(other[label].centre_lps_mm, segment.centre_lps_mm)


def test_importing_the_room_loads_neither_numpy_nor_a_runtime():
    code = (
        "import sys, dicomnode.analyse; "
        "sys.exit(any(name in sys.modules for name in ('numpy', 'scipy', 'onnxruntime')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
