"""The engine that ships."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.sr._concepts_dict import concepts

from dicomnode.engine import CodeSpec, check_engine, find_engine, open_session
from dicomnode.engine.gate import seeded_input


@pytest.fixture(scope="module")
def package():
    return find_engine("lung-ct")


def test_it_passes_its_gate_here_with_stored_numbers_for_each_output(package):
    report = check_engine(package, 1)
    assert [check for check in report.checks if not check.passed] == []
    expected = package.step("nodules").gate.expect
    session = open_session(package, "nodules", 1)
    assert {one.output for one in expected} == {spec.name for spec in session.outputs}
    session.close()


def test_it_finds_the_ball_of_its_gate(package):
    """12 mm across: the hottest cell lies within 2 mm of its centre and says 10 to 14 mm."""
    step = package.step("nodules")
    sample = seeded_input(step.gate)
    session = open_session(package, "nodules", 1)
    outputs = session.run({"hu": sample})
    session.close()
    heat = outputs["heat"][0, 0]
    cell = np.unravel_index(int(heat.argmax()), heat.shape)
    centre = np.array([0.4, 0.45, 0.6]) * sample.shape[2:]
    stride = step.centre_heat.stride
    off_mm = 1.25 * np.linalg.norm(np.array(cell) * stride + (stride - 1) / 2 - centre)
    assert off_mm < 2.0
    assert 10.0 < float(np.exp(outputs["logd"][0, 0][cell])) < 14.0
    inside = outputs["mask"][0, 0] > step.centre_heat.mask_logit
    assert inside[tuple(np.round(centre).astype(int))]


@pytest.mark.parametrize("threads", [1, 2])
def test_one_and_two_threads_pass_the_same_gate(package, threads):
    open_session(package, "nodules", threads).close()


def test_every_code_of_it_is_one_of_the_standard(package):
    """Compared with pydicom's own table of the concepts of PS3.16."""
    codes = [
        code
        for output in package.manifest.output[:3]  # types have codes of RadElement, and of the node's own
        for code in (output.category, output.type, output.site)
        if isinstance(code, CodeSpec)
    ]
    assert len(codes) == 7
    for code in codes:
        known = {
            meaning
            for entries in concepts[code.scheme].values()
            for value, (meaning, _) in entries.items()
            if value == code.code
        }
        assert code.meaning in known, code


def test_it_says_what_it_gives(package):
    outputs = package.manifest.output[:3]
    assert [(one.segment, one.laterality, one.kind) for one in outputs] == [
        ("lung", "right", "anatomy"),
        ("lung", "left", "anatomy"),
        ("nodule", None, "lesion"),
    ]
    assert [one.laterality_code and one.laterality_code.meaning for one in outputs] == ["Right", "Left", None]
    assert outputs[2].tracking.format(number=3) == "Nodule candidate 3"
    types = package.manifest.output[3:]
    assert [one.classification for one in types] == [
        "solid",
        "part-solid",
        "ground-glass",
        "calcified",
        "cavity",
    ]
    assert {one.attribute.meaning for one in types} == {"Composition"}
    known = {one.type.code for one in types if one.type.scheme == "RADELEMENT"}
    assert known == {
        "RDE1301.0",
        "RDE1301.1",
    }  # what could be read at its source; the others are the node's own


def test_its_card_names_the_weights_the_use_and_the_licences(package):
    card = (package.folder / "card.md").read_text(encoding="utf-8")
    assert package.step("nodules").sha256 in card
    assert package.manifest.use in card
    assert f"lung-ct {package.manifest.version}" in card
    for source in ("LIDC-IDRI", "NLST", "ACRIN-NSCLC-FDG-PET", "CC BY"):
        assert source in card


def test_its_folder_holds_nothing_that_is_not_named(package):
    assert sorted(path.name for path in package.folder.iterdir()) == [
        "card.md",
        "curves.csv",
        "engine.toml",
        "lung-masks.onnx",
        "nodules.onnx",
        "notes.md",
        "types.onnx",
    ]
