"""What lies beyond the stack that an engine took is said, in the Findings and in the conclusion."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from onnx import TensorProto

from dicomnode.analyse import Analyst
from dicomnode.assemble import Stack, read_studies
from dicomnode.assemble.facts import facts_of
from dicomnode.assemble.stacks import plan_series
from dicomnode.faults import RANGE_NOT_SEEN
from dicomnode.report.words.conclusion import conclusion
from dicomnode.serve.analysing.analysis import Beside, analyse_stack
from dicomnode.serve.analysing.occasion import Occasion
from dicomnode.serve.analysing.unseen import unseen_remarks
from dicomnode.values import Outcome, RemarkKind, no_progress
from tests.unit.analyse.forms import LESION, ONE, engine, node, onnx_bytes, step
from tests.unit.assemble.series import Series, write_all
from tests.unit.assemble.test_placing import at, record
from tests.unit.report.kinds import ABSENT
from tests.unit.report.sources import findings


def stacks_of(headers) -> list[Stack]:
    return [
        Stack(
            facts=facts_of(plan, number),
            headers=plan.headers,
            placement=plan.placement,
            repairs=plan.repairs,
        )
        for number, plan in enumerate(plan_series(headers, lambda one, other: False).stacks)
    ]


def scan(number, start, step, count, **tags):
    return [
        replace(one, sop_instance_uid=f"1.{number}.{n}", tags={"AcquisitionNumber": number, **tags})
        for n, one in enumerate(at(*(start + step * n for n in range(count))))
    ]


TWO_BLOCKS = scan(1, 0, 1, 145) + scan(2, 200, 1, 100)


def test_the_block_that_was_not_taken_is_named_with_its_range():
    taken, other = stacks_of(TWO_BLOCKS)
    (remark,) = unseen_remarks(taken, [taken, other])
    assert remark.kind is RemarkKind.QUALITY
    assert remark.code == RANGE_NOT_SEEN.code
    assert "145.0 mm were looked at, from 0.0 to 144.0 mm" in remark.text
    assert "99.0 mm from 200.0 to 299.0 mm (100 slices), block 2 of 2." in remark.text
    (remark,) = unseen_remarks(other, [taken])
    assert "144.0 mm from 0.0 to 144.0 mm (145 slices), block 1 of 2." in remark.text


def test_a_block_that_was_refused_was_not_looked_at_either():
    behind = [one for one in scan(2, 200, 2, 100) if one.position_lps_mm[2] != 250]
    taken, refused = stacks_of(scan(1, 0, 1, 145) + behind)
    assert refused.facts.refusal is not None
    (remark,) = unseen_remarks(taken, [refused])
    assert "(99 slices), block 2 of 2, refused, DN-3005." in remark.text


def test_a_phase_behind_the_one_that_was_taken_was_not_looked_at():
    taken, other = stacks_of(scan(1, 0, 2, 40, KVP=80.0) + scan(1, 80, 2, 30, KVP=120.0))
    (remark,) = unseen_remarks(taken, [other])
    assert "58.0 mm from 80.0 to 138.0 mm (30 slices), phase KVP 120, 2 of 2." in remark.text


def test_a_phase_that_reaches_further_was_looked_at_in_part():
    taken, other = stacks_of(scan(1, 20, 2, 40, EchoTime=1.0) + scan(2, 0, 2, 30, EchoTime=2.0))
    (remark,) = unseen_remarks(taken, [other])
    assert "18.0 mm from 0.0 to 18.0 mm (10 slices)" in remark.text


@pytest.mark.parametrize("shift", [0, 1], ids=["same places", "half a distance off"])
def test_a_phase_of_the_same_part_of_the_patient_is_no_range_that_was_not_looked_at(shift):
    taken, other = stacks_of(scan(1, 0, 2, 40, EchoTime=1.0) + scan(2, shift, 2, 40, EchoTime=2.0))
    assert unseen_remarks(taken, [other]) == ()


def test_other_series_scouts_and_images_without_a_place_are_no_range():
    (taken,) = stacks_of(scan(1, 0, 2, 40))
    scout = [record((0, n, 200), row=(1, 0, 0), column=(0, 0, -1), number=n) for n in range(3)]
    other = [replace(one, series_instance_uid="1.99") for one in scan(2, 200, 2, 40)]
    lost = [replace(one, position_lps_mm=None) for one in scan(3, 200, 2, 40)]
    elsewhere = [replace(one, frame_of_reference_uid="1.77") for one in scan(4, 200, 2, 40)]
    for some in (scout, other, lost, elsewhere):
        assert unseen_remarks(taken, stacks_of(some)) == ()


def test_one_slice_apart_is_named_by_its_place():
    taken, single = stacks_of([*scan(1, 0, 2, 40), *(replace(one, rows=33) for one in scan(2, 80, 2, 1))])
    (remark,) = unseen_remarks(taken, [single])
    assert "1 slice at 80.0 mm, refused, DN-3007." in remark.text


def test_a_conclusion_of_nothing_marked_says_what_was_not_looked_at():
    taken, other = stacks_of(TWO_BLOCKS)
    (remark,) = unseen_remarks(taken, [other])
    found = replace(
        findings(remarks=(ABSENT, remark)),
        outcome=Outcome.NO_FINDINGS,
        segments=findings().segments[:2],
    )
    first, second = conclusion(found, {})
    assert first.endswith("no nodule marked (lung).")
    assert second.endswith("block 2 of 2. There is no statement on that part.")


def test_an_engine_that_takes_one_of_two_blocks_says_so_in_its_findings(tmp_path):
    network = onnx_bytes(
        [node("Identity", ["x"], ["y"])],
        [("x", [1, 1, "k", "j", "i"])],
        [("y", [1, 1, "k", "j", "i"], TensorProto.FLOAT)],
    )
    body = step(keys='interpret = "map"')
    body += f'[[output]]\nmap = "heat"\nstep = "net"\ntype = {LESION}\nunit = {ONE}\n'
    package = engine(tmp_path / "engine", body, {"net.onnx": network})
    images = Series(stored=np.zeros((14, 9, 7), dtype=np.int16)).datasets()
    for image in images[8:]:
        x, y, z = image.ImagePositionPatient
        image.ImagePositionPatient = [x, y, float(z) + 201.0]
    write_all(images, tmp_path / "images")
    (study,) = read_studies([tmp_path / "images"]).studies
    taken, other = study.series[0].stacks
    analyst = Analyst(package, threads=1, node_version="9.9")
    occasion = Occasion(study_version=1, made_at=datetime(2026, 1, 2, tzinfo=UTC), salt=b"s" * 32)
    try:
        found, _ = analyse_stack(analyst, taken, occasion, no_progress, beside=Beside(others=[other]))
    finally:
        analyst.close()
    (remark,) = [one for one in found.remarks if one.code == RANGE_NOT_SEEN.code]
    assert "(6 slices), block 2 of 2." in remark.text
    assert conclusion(found, {})[-1].startswith(remark.text)
