"""In which phase of a contrast agent a stack was taken."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dicomnode.assemble.contrast import contrast_of
from tests.unit.assemble.series import Series, record_of
from tests.unit.assemble.test_placing import record


def taken(**tags):
    return contrast_of(replace(record((0, 0, 0)), tags=tags))


@pytest.mark.parametrize(
    ("description", "phase"),
    [
        ("Thorax nativ 1.0 B70f", "none"),
        ("CHEST W/O CONTRAST", "none"),
        ("Abdomen ohne KM", "none"),
        ("Sans injection", "none"),
        ("NON-CONTRAST HEAD", "none"),
        ("LIVER ARTERIAL 2.0", "arterial"),
        ("late arterial", "arterial"),
        ("Leber art 1.0", "arterial"),
        ("CTA neck", "arterial"),
        ("PORTAL VENOUS 5mm", "venous"),
        ("Abdomen venös", "venous"),
        ("Temps portal", "venous"),
        ("Spätphase", "delayed"),
        ("Delayed 10 min", "delayed"),
        ("T1 post contrast", "given"),
        ("Thorax mit KM", "given"),
        ("Chest 1.0 soft", None),
        ("Cartilage knee", None),
        ("adventitia study", None),
        ("Abdomen portalvenös", "venous"),
        ("Leber portovenös", "venous"),
        ("non enhanced", "none"),
        ("unenhanced", "none"),
        ("contrast enhanced", "given"),
        ("PORTABLE HEAD", None),
        ("Portacath chest", None),
        ("Nicht nativ", None),
        ("EDGE ENHANCED", None),
        ("W/WO CONTRAST", None),
        ("W/O & W CONTRAST", None),
        ("WITH AND WITHOUT CONTRAST", None),
        ("without and with contrast", None),
        ("Abdomen ohne und mit KM", None),
        ("avec et sans injection", None),
        ("PRE/POST CONTRAST", None),
        ("nativ + KM venös", None),
        ("", None),
    ],
)
def test_words_of_the_description_say_the_phase(description, phase):
    assert taken(SeriesDescription=description) == phase


def test_the_phase_of_an_enhanced_object_comes_before_words():
    assert taken(ContrastBolusAgentPhase="PORTAL_VENOUS", SeriesDescription="arterial?") == "venous"
    assert taken(ContrastBolusAgentPhase="POST_CONTRAST", SeriesDescription="arterial") == "arterial"


@pytest.mark.parametrize(
    ("start", "after", "phase"),
    [
        ("101500", "101530.5", "arterial"),
        ("101500", "101610", "venous"),
        ("101500", "102000", "delayed"),
        ("235950", "000030", "arterial"),
        ("101500", "101502", "given"),
        ("101500", "", "given"),
        ("nonsense", "101530", "given"),
    ],
)
def test_without_words_the_time_since_the_injection_says_it(start, after, phase):
    times = {"ContrastBolusStartTime": start, "AcquisitionTime": after}
    assert taken(ContrastBolusAgent="IOMERON 400", **times) == phase


def test_times_without_an_agent_say_nothing():
    assert taken(ContrastBolusStartTime="101500", AcquisitionTime="101530") is None


@pytest.mark.parametrize(
    "agent", ["NONE", "no", "N", "N/A", "ohne", "Without contrast", "NON-CONTRAST", "none given"]
)
def test_an_agent_that_is_none_is_none(agent):
    assert taken(ContrastBolusAgent=agent) == "none"
    assert taken(ContrastBolusAgent=agent, SeriesDescription="arterial") == "none"


def test_an_agent_alone_is_given():
    assert taken(ContrastBolusAgent="OMNIPAQUE") == "given"


BESIDE_THE_BLOOD = (
    "ORAL",
    "Gastrografin oral",
    "Oral Omnipaque 240",
    "Barium",
    "water",
    "Oral contrast, 500 ml",
    "GASTROGRAFIN/WATER",
    "negative oral",
    "rectal enema",
)


@pytest.mark.parametrize("agent", BESIDE_THE_BLOOD)
def test_an_agent_that_is_drunk_says_nothing_of_a_phase(agent):
    assert taken(ContrastBolusAgent=agent) is None
    assert taken(ContrastBolusAgent=agent, SeriesDescription="Abdomen nativ") == "none"
    assert taken(ContrastBolusAgent=agent, SeriesDescription="Abdomen portalvenös") == "venous"
    times = {"ContrastBolusStartTime": "101500", "AcquisitionTime": "101530"}
    assert taken(ContrastBolusAgent=agent, **times) is None


@pytest.mark.parametrize(
    "agent", ["ORAL & IV", "Omnipaque 350 + oral", "Gastrografin and Iomeron 400", "oral/i.v.", "IV, water"]
)
def test_an_agent_beside_one_that_is_drunk_is_given(agent):
    assert taken(ContrastBolusAgent=agent, SeriesDescription="Abdomen nativ") == "given"


@pytest.mark.parametrize("route", ["ORAL", "Per os", "RECTAL", "NG tube", "Intrathecal", "INTRA-ARTICULAR"])
def test_the_route_says_that_an_agent_does_not_go_into_the_blood(route):
    told = {"ContrastBolusAgent": "OMNIPAQUE 240", "ContrastBolusRoute": route}
    assert taken(**told) is None
    assert taken(**told, SeriesDescription="Abdomen nativ") == "none"


@pytest.mark.parametrize("route", ["IV", "INTRAVENOUS", "I.V.", "ORAL & IV", "Intra-arterial", ""])
def test_an_agent_into_the_blood_is_given_whatever_the_protocol_is_called(route):
    told = {"ContrastBolusAgent": "OMNIPAQUE 240", "ContrastBolusRoute": route}
    assert taken(**told, SeriesDescription="Abdomen nativ") == "given"


def test_the_route_counts_more_than_the_name_of_the_agent():
    assert taken(ContrastBolusAgent="ORAL", ContrastBolusRoute="INTRAVENOUS") == "given"


@pytest.mark.parametrize(
    "agent",
    [
        "碘海醇",
        "オムニパーク300",
        "Омнипак 350",
        "요오드화조영제",
        "KM",
        "Gd",
        "CE",
        "C+",
        "JA",
        "Iohexol 100 ml",
    ],
)
def test_an_agent_of_any_script_and_length_is_given(agent):
    assert taken(ContrastBolusAgent=agent) == "given"
    assert taken(ContrastBolusAgent=agent, SeriesDescription="Abdomen nativ") == "given"


@pytest.mark.parametrize("agent", ["100 ml", "80", "350 mg"])
def test_an_amount_without_a_name_is_of_an_agent_that_was_given(agent):
    assert taken(ContrastBolusAgent=agent, SeriesDescription="Abdomen nativ") == "given"


@pytest.mark.parametrize("agent", ["NON-IONIC", "Nonionic 100 ml", "Nonat 5"])
def test_an_agent_whose_name_begins_with_no_is_one(agent):
    assert taken(ContrastBolusAgent=agent) == "given"


@pytest.mark.parametrize(
    "words", ["ABD W/WO CONTRAST", "CHEST WITH AND WITHOUT CONTRAST", "nativ", "W/O CONTRAST"]
)
def test_an_agent_that_is_there_counts_more_than_words_that_say_there_is_none(words):
    assert taken(SeriesDescription=words, ContrastBolusAgent="OMNIPAQUE 350") == "given"
    assert taken(ProtocolName=words, SeriesDescription="AX 5mm", ContrastBolusAgent="OMNIPAQUE") == "given"


def test_the_route_is_read_from_the_header():
    tags = {"ContrastBolusAgent": "OMNIPAQUE 240", "ContrastBolusRoute": "ORAL", "SeriesDescription": "nativ"}
    assert contrast_of(record_of(Series(tags=tags).datasets()[0])) == "none"
