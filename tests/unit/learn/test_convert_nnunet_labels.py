"""What the names of labels are taken for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomnode.engine.adding.labelling import PRIVATE_SCHEME, meaning_of
from dicomnode.engine.manifest.tree import CodeSpec
from dicomnode.settings.keys import NAME


@pytest.mark.parametrize(
    ("name", "code", "side"),
    [
        ("liver", "10200004", None),
        ("Liver ", "10200004", None),
        ("left kidney", "64033007", "left"),
        ("kidney_right", "64033007", "right"),
        ("lung_upper_lobe_left", "44714003", None),
        ("Right Lung Lower Lobe", "266005", None),
        ("left atrium", "82471001", None),
        ("gall bladder", "28231008", None),
        ("oesophagus", "32849002", None),
        ("clavicle_left", "51299004", "left"),
        ("sternum", "56873002", None),
        ("kidneys", "64033007", None),
        ("left ventricle", "87878005", None),
        ("ventricle_right", "53085002", None),
    ],
)
def test_an_organ_has_its_code_and_its_side(name, code, side):
    meaning = meaning_of(name)
    assert (meaning.type["scheme"], meaning.type["code"], meaning.laterality) == ("SCT", code, side)
    assert meaning.kind == "anatomy"


@pytest.mark.parametrize(
    ("name", "code", "site"),
    [
        ("tumor", "108369006", None),
        ("liver tumour", "108369006", "10200004"),
        ("kidney_cyst", "367643001", "64033007"),
        ("Edema", "79654002", None),
        ("colon cancer primaries", "108369006", None),
        ("Tumors", "108369006", None),
        ("liver_tumours", "108369006", "10200004"),
        ("lung_nodules", "27925004", "39607008"),
        ("lesions", "52988006", None),
        ("cysts", "367643001", None),
        ("metastases", "108369006", None),
        ("haemorrhage", "50960005", None),
        ("brain bleed", "50960005", "12738006"),
        ("carcinoma", "108369006", None),
        ("pneumothorax", "36118008", None),
    ],
)
def test_a_finding_is_a_lesion_with_the_organ_that_it_lies_in(name, code, site):
    meaning = meaning_of(name)
    assert (meaning.kind, meaning.type["code"]) == ("lesion", code)
    assert (meaning.site["code"] if meaning.site else None) == site


@pytest.mark.parametrize("name", ["infarct", "rib fractures", "calcifications", "pleural effusion", "polyp"])
def test_a_finding_without_a_code_is_a_lesion_all_the_same(name):
    meaning = meaning_of(name)
    assert (meaning.kind, meaning.known) == ("lesion", False)
    assert meaning.type["scheme"] == PRIVATE_SCHEME
    assert meaning.category["code"] == "49755003"


def test_what_is_not_known_gets_a_code_that_says_so_and_is_its_own():
    one, two = meaning_of("autochthon_left"), meaning_of("autochthon_right")
    assert one.type["scheme"] == two.type["scheme"] == PRIVATE_SCHEME
    assert one.type["code"] != two.type["code"]
    assert not one.known
    assert meaning_of("AUTOCHTHON left").type["code"] == one.type["code"]


@given(name=st.text(max_size=200))
def test_any_name_gives_what_an_engine_toml_may_say(name):
    meaning = meaning_of(name)
    assert NAME.holds(meaning.stem)
    for table in (meaning.category, meaning.type, meaning.site or meaning.type):
        spec = CodeSpec(**table)
        assert 0 < len(spec.code) <= 16
        assert 0 < len(spec.meaning) <= 64
        assert spec.meaning.strip()
