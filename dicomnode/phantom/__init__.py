"""Studies with known truth as valid DICOM: the demonstration, the self-test and the fixtures of all tests.

Names are loaded when first used: they need numpy, scipy and pydicom.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.phantom.acquire import Scanner
    from dicomnode.phantom.anatomy import Thorax, thorax
    from dicomnode.phantom.change import DISEASES, Disease
    from dicomnode.phantom.demo import DEMO_SEED, DemoStudy, demo_study
    from dicomnode.phantom.enhanced import write_enhanced
    from dicomnode.phantom.header import PHANTOM_VERSION, SeriesForm, series_uid, study_uid
    from dicomnode.phantom.lumps import KINDS, Lump, LumpPlan, PlantedLump, draw_lump, draw_plan, plant_lump
    from dicomnode.phantom.nodules import PlantedNodule
    from dicomnode.phantom.patients import (
        CHEST_VERSION,
        BareChest,
        ChestScan,
        Distractor,
        World,
        bare_chest,
        chest,
    )
    from dicomnode.phantom.places import HIDDEN, Wish
    from dicomnode.phantom.protocol import Protocol, draw_protocol
    from dicomnode.phantom.series import write_series
    from dicomnode.phantom.suite import (
        RESERVED_SEEDS,
        STRATA_MM,
        SuiteCase,
        refuse_reserved,
        stratum,
        suite_cases,
    )
    from dicomnode.phantom.truth import Truth, load_truth, save_truth

_HOMES = {
    "acquire": ("Scanner",),
    "anatomy": ("Thorax", "thorax"),
    "change": ("DISEASES", "Disease"),
    "demo": ("DEMO_SEED", "DemoStudy", "demo_study"),
    "enhanced": ("write_enhanced",),
    "header": ("PHANTOM_VERSION", "SeriesForm", "series_uid", "study_uid"),
    "lumps": ("KINDS", "Lump", "LumpPlan", "PlantedLump", "draw_lump", "draw_plan", "plant_lump"),
    "nodules": ("PlantedNodule",),
    "patients": ("CHEST_VERSION", "BareChest", "ChestScan", "Distractor", "World", "bare_chest", "chest"),
    "places": ("HIDDEN", "Wish"),
    "protocol": ("Protocol", "draw_protocol"),
    "series": ("write_series",),
    "suite": ("RESERVED_SEEDS", "STRATA_MM", "SuiteCase", "refuse_reserved", "stratum", "suite_cases"),
    "truth": ("Truth", "load_truth", "save_truth"),
}

__all__ = [
    "CHEST_VERSION",
    "DEMO_SEED",
    "DISEASES",
    "HIDDEN",
    "KINDS",
    "PHANTOM_VERSION",
    "RESERVED_SEEDS",
    "STRATA_MM",
    "BareChest",
    "ChestScan",
    "DemoStudy",
    "Disease",
    "Distractor",
    "Lump",
    "LumpPlan",
    "PlantedLump",
    "PlantedNodule",
    "Protocol",
    "Scanner",
    "SeriesForm",
    "SuiteCase",
    "Thorax",
    "Truth",
    "Wish",
    "World",
    "bare_chest",
    "chest",
    "demo_study",
    "draw_lump",
    "draw_plan",
    "draw_protocol",
    "load_truth",
    "plant_lump",
    "refuse_reserved",
    "save_truth",
    "series_uid",
    "stratum",
    "study_uid",
    "suite_cases",
    "thorax",
    "write_enhanced",
    "write_series",
]

__getattr__ = lazy_face(__name__, _HOMES)
