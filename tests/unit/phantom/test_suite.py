"""The frozen suite is what it was when engines were measured on it, and nobody trains on it."""

from __future__ import annotations

import hashlib
import platform
from collections import Counter

import numpy as np
import pytest

from dicomnode.faults import NodeError
from dicomnode.phantom import (
    CHEST_VERSION,
    DISEASES,
    KINDS,
    RESERVED_SEEDS,
    refuse_reserved,
    stratum,
    suite_cases,
)
from dicomnode.phantom.lumps import LEAST_MM
from dicomnode.phantom.places import PLACES
from dicomnode.phantom.suite import _case

# SHA-256 of the voxels. Another digest is another suite: raise CHEST_VERSION, measure again.
DIGESTS = {
    140101: "85ec87e7b35e2f43a6eb83f23de351a2c9e31d9d8addfdb010fe5b5e3ddb433a",
    140102: "fdcf0b0eec9073d05a2b178140a78807453d0bf5b2cd2bce91a77a22b1fca82a",
    140103: "c51240c95d425477c5860e7e5180a6eb3ea6c3740cb2f80a34e2e6740fc40db1",
    140104: "c462510bfdc394e9d9986dc5a7bfa6971493db1afd2ff5b88ec277c578b1e039",
    140105: "4a83c30c828fd1b1c233bd4cec7e55f8812338d9f6a17c39faf0410805535314",
    140106: "460a79c9635ae2f83f03b8c35918ae20335606a49645b9f49f4a7370b6cd00e8",
    140107: "4b59d3b31362b6bddecf9a29c2f55b3878c536f39af38423ca32187848e2bb64",
    140108: "6f84593ba3bda8dfdfefaf37a6498668e3081f362c56cfeab66ecd78cce4cc30",
}
_SAME_ARITHMETIC = platform.machine() in ("x86_64", "AMD64")


def test_there_are_forty_full_and_eight_small_ones_of_seeds_of_their_own() -> None:
    full, small = suite_cases("full"), suite_cases("small")
    assert (len(full), len(small)) == (40, 8)
    seeds = [case.seed for case in full + small]
    assert len(set(seeds)) == 48
    assert all(seed in RESERVED_SEEDS for seed in seeds)
    assert {case.size for case in full} == {"full"}


@pytest.mark.parametrize(
    ("diameter", "name"),
    [
        (2.9, "< 3 mm"),
        (3.0, "3-4 mm"),
        (3.99, "3-4 mm"),
        (4.0, "4-6 mm"),
        (6.0, "6-8 mm"),
        (8.0, "8-15 mm"),
        (15.0, "> 15 mm"),
        (40.0, "> 15 mm"),
        (float("nan"), "< 3 mm"),
    ],
)
def test_strata_of_size_are_half_open(diameter: float, name: str) -> None:
    assert stratum(diameter) == name


def test_every_stratum_kind_and_place_has_enough_nodules_to_say_something() -> None:
    wishes = [wish for case in suite_cases("full") for wish in case.world.nodules or ()]
    sizes = Counter(stratum(wish.diameter_mm) for wish in wishes)
    assert sizes == {"3-4 mm": 46, "4-6 mm": 56, "6-8 mm": 48, "8-15 mm": 48, "> 15 mm": 28}
    kinds = Counter(wish.kind for wish in wishes)
    assert set(kinds) == set(KINDS)
    assert min(kinds.values()) >= 8
    places = Counter(wish.place for wish in wishes)
    assert set(places) == set(PLACES)
    assert places["pleura"] / len(wishes) == pytest.approx(0.30, abs=0.02)
    assert places["vessel"] / len(wishes) == pytest.approx(0.15, abs=0.02)
    assert all(wish.diameter_mm >= LEAST_MM[wish.kind] for wish in wishes)


def test_every_disease_and_protocol_is_there_and_some_patients_have_no_nodule() -> None:
    cases = suite_cases("full")
    had = Counter(disease for case in cases for disease in case.world.diseases or ())
    assert set(had) == set(DISEASES)
    assert min(had.values()) >= 4
    assert sum(not case.world.nodules for case in cases) == 4
    protocols = [case.world.protocol for case in cases if case.world.protocol is not None]
    assert {one.kernel for one in protocols} == {"soft", "standard", "sharp"}
    assert min(one.thickness_mm for one in protocols) == 1.0
    assert max(one.thickness_mm for one in protocols) == 5.0
    assert any(one.increment_mm < one.thickness_mm for one in protocols)
    assert {case.world.enhanced for case in cases} == {True, False}


@pytest.mark.parametrize("number", range(8))
def test_a_small_one_is_the_same_as_ever_and_has_all_its_nodules(number: int) -> None:
    case = suite_cases("small")[number]
    scan = case.scan()
    wishes = case.world.nodules or ()
    assert len(scan.nodules) == len(wishes)
    for nodule, wish in zip(scan.nodules, wishes, strict=True):
        assert nodule.diameter_mm == pytest.approx(
            wish.diameter_mm, rel=0.13 if wish.diameter_mm < 6 else 0.05
        )
        assert (nodule.kind, nodule.place) == (wish.kind, wish.place)
        assert not nodule.ignore
        assert nodule.mask.count > 0
        for other in scan.distractors:
            if other.ignore:
                away = np.linalg.norm(np.subtract(nodule.centre_lps_mm, other.centre_lps_mm))
                assert away > nodule.diameter_mm / 2
    if _SAME_ARITHMETIC:
        assert (CHEST_VERSION, hashlib.sha256(scan.voxels.tobytes()).hexdigest()) == ("1", DIGESTS[case.seed])


@pytest.mark.long
@pytest.mark.parametrize("number", range(0, 40, 8))
def test_a_full_one_has_all_its_nodules_in_their_strata(number: int) -> None:
    case = suite_cases("full")[number]
    scan = case.scan()
    planned = Counter(stratum(wish.diameter_mm) for wish in case.world.nodules or ())
    assert Counter(stratum(nodule.diameter_mm) for nodule in scan.nodules) == planned
    assert not any(nodule.ignore for nodule in scan.nodules)


def test_training_on_its_seeds_is_refused() -> None:
    refuse_reserved([0, 7, 139_999, 141_000])
    with pytest.raises(NodeError, match="Seed 140101 belongs to the frozen suite") as caught:
        refuse_reserved([5, 140_101])
    assert caught.value.fault.code == "DN-7330"


def test_a_word_that_the_table_must_not_have_is_named() -> None:
    row = {
        "size": "small",
        "seed": "140199",
        "thickness_mm": "2.0",
        "increment_mm": "2.0",
        "kernel": "soft",
        "noise_hu": "10",
        "field": "lungs",
        "enhanced": "no",
        "diseases": "scars; nodes",
        "nodules": "4.2 solid, free, smooth",
    }
    assert _case(row).world.diseases == ("scars", "nodes")
    for column, wrong in (("kernel", "b70"), ("diseases", "cold"), ("nodules", "4.2 jelly, free, smooth")):
        with pytest.raises(ValueError, match=wrong.split()[0] if column != "nodules" else "jelly"):
            _case(row | {column: wrong})
