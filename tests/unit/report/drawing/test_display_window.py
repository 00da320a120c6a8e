"""A picture is shown in the window that a radiologist sets for what it is about."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dicomnode.report.drawing.display_window import BONE, BRAIN, LUNG, SOFT_TISSUE, DisplayWindow, window_for
from dicomnode.values import Classification, Code, FindingKind, Segment
from dicomnode.values.codes import NO_UNIT, SUV_BODY_WEIGHT
from tests.unit.report.drawing.test_pictures import _volume
from tests.unit.report.kinds import ABSENT, KINDS, PNEUMONIA
from tests.unit.report.sources import NODULE, Series, findings

VOLUME = _volume(Series())
ORGAN, LESION = findings().segments[0], findings().segments[2]


def _code(meaning: str) -> Code:
    return Code(meaning[:16], "99TEST", meaning)


def _organ(meaning: str) -> Segment:
    return replace(ORGAN, label=meaning, type=_code(meaning))


@pytest.mark.parametrize(
    ("meaning", "window"),
    [
        ("Lung", LUNG),
        ("Upper lobe of lung", LUNG),
        ("Pulmonary emphysema", LUNG),
        ("Pneumothorax", LUNG),
        ("Trachea", LUNG),
        ("Brain", BRAIN),
        ("Cerebral hemorrhage", BRAIN),
        ("Skull", BONE),
        ("Vertebra", BONE),
        ("Liver", SOFT_TISSUE),
        ("Pulmonary artery", SOFT_TISSUE),
        ("Pulmonary embolism", SOFT_TISSUE),
        ("Kidney", SOFT_TISSUE),
    ],
)
def test_an_organ_of_ct_is_shown_in_its_window(meaning: str, window: DisplayWindow) -> None:
    assert window_for(VOLUME, findings(segments=(_organ(meaning),), remarks=()), None) == window


def test_a_lesion_decides_by_its_site_whatever_lies_beside_it() -> None:
    liver = replace(LESION, site=_code("Liver"))
    found = findings(segments=(_organ("Lung"), liver))
    assert window_for(VOLUME, found, liver) == SOFT_TISSUE
    assert window_for(VOLUME, found, LESION) == LUNG


def test_a_lesion_without_a_site_lies_in_the_organ_that_is_named() -> None:
    lesion = replace(LESION, site=None)
    assert window_for(VOLUME, findings(segments=(_organ("Lung"), lesion)), lesion) == LUNG
    assert window_for(VOLUME, findings(segments=(lesion,)), lesion) == SOFT_TISSUE


def test_several_organs_together_are_shown_as_soft_tissue() -> None:
    found = findings(segments=tuple(map(_organ, ("Lung", "Heart", "Vertebra"))))
    assert window_for(VOLUME, found, None) == SOFT_TISSUE


def test_tissue_counts_as_an_organ() -> None:
    bone = replace(_organ("Bone"), kind=FindingKind.TISSUE)
    assert window_for(VOLUME, findings(segments=(bone,)), None) == BONE


def test_without_a_place_the_class_or_what_was_looked_for_decides() -> None:
    bleeding = Classification(label="b", type=_code("Intracranial bleeding"), probability=0.9, threshold=0.5)
    nothing = KINDS["done, and nothing to tell"][0]
    assert window_for(VOLUME, nothing, None) == SOFT_TISSUE
    assert window_for(VOLUME, replace(nothing, classifications=(bleeding,)), None) == BRAIN
    assert window_for(VOLUME, replace(nothing, remarks=(ABSENT,)), None) == LUNG
    pneumonia = replace(bleeding, type=PNEUMONIA)
    assert window_for(VOLUME, replace(nothing, classifications=(pneumonia,)), None) == LUNG
    assert window_for(VOLUME, replace(nothing, remarks=(replace(ABSENT, site=None),)), None) == SOFT_TISSUE
    assert NODULE.meaning == "Nodule"  # which names no organ


def test_voxels_without_hounsfield_units_are_shown_from_their_1st_to_their_99th_percentile() -> None:
    values = np.linspace(0, 500, VOLUME.voxels.size, dtype=np.float32).reshape(VOLUME.voxels.shape)
    shown = window_for(replace(VOLUME, voxels=values, unit=NO_UNIT), findings(), LESION)
    assert shown.low == pytest.approx(5, abs=6)
    assert shown.high == pytest.approx(497.5, abs=6)
    flat = replace(VOLUME, voxels=np.zeros_like(values), unit=NO_UNIT)
    assert window_for(flat, findings(), None).low < window_for(flat, findings(), None).high


def test_a_window_says_its_width_and_level() -> None:
    assert str(LUNG) == "lung window, width 1500, level -600"
    assert str(DisplayWindow(name="own", low=0.0, high=0.5)) == "own, width 0.5, level 0.25"


def test_activity_is_shown_from_nothing_and_in_its_unit() -> None:
    values = np.linspace(1.5, 8.0, VOLUME.voxels.size, dtype=np.float32).reshape(VOLUME.voxels.shape)
    shown = window_for(replace(VOLUME, voxels=values, unit=SUV_BODY_WEIGHT), findings(), LESION)
    assert shown.low == 0.0
    assert shown.high == pytest.approx(8.0, abs=0.1)
    assert str(replace(shown, high=7.5)) == "window by percentiles, 0 to 7.5 SUVbw"
