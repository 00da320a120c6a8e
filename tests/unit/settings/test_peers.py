"""The peer's side, as `dicomnode init --for` prints it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from dicomnode.settings import (
    DestinationSettings,
    NodeSettings,
    ReceiveSettings,
    SenderSettings,
    Settings,
    peer_side,
)

_SETTINGS = Settings(
    node=NodeSettings(ae_title="AINODE"),
    receive=ReceiveSettings(port=11119),
    sender=(SenderSettings(ae_title="MYPACS"),),
    destination=(DestinationSettings(name="pacs", ae_title="MYPACS", host="10.0.0.7", port=4242),),
)


def orthanc_entry(text: str) -> dict[str, object]:
    start = text.index('"DicomModalities"')
    entry: dict[str, object] = json.loads("{" + text[start : text.index("Put the address")] + "}")
    return entry


def test_orthanc_gets_this_nodes_ae_title_and_port() -> None:
    text = peer_side("orthanc", _SETTINGS)
    modality = orthanc_entry(text)["DicomModalities"]["dicomnode"]  # type: ignore[index]
    assert (modality["AET"], modality["Port"]) == ("AINODE", 11119)
    assert modality["AllowStorageCommitment"] is modality["AllowFind"] is True
    assert "function OnStableSeries" in text


def test_a_folder_or_a_web_service_is_no_archive_of_the_other_kind() -> None:
    others = (
        DestinationSettings(name="share", folder=Path("/srv/results")),
        DestinationSettings(name="web", url="https://pacs.example/dicom-web"),
        DestinationSettings(name="back", to_sender=True),
    )
    text = peer_side("orthanc", replace(_SETTINGS, destination=others))
    assert 'ae_title = "ORTHANC"' in text
    assert "still needs" in text
    assert "MYPACS" in peer_side(
        "dcm4chee", replace(_SETTINGS, destination=(*others, *_SETTINGS.destination))
    )


def test_dcm4chee_gets_exporter_and_rule_that_leave_results_out() -> None:
    text = peer_side("dcm4chee", _SETTINGS)
    assert "dicom:AINODE" in text
    assert "SendingApplicationEntityTitle!=AINODE" in text
    assert "MYPACS" in text
    assert "11119" in text


def test_what_is_missing_here_is_said_and_what_is_there_is_not() -> None:
    assert "still needs" not in peer_side("orthanc", _SETTINGS)
    alone = peer_side("orthanc", replace(_SETTINGS, sender=(), destination=()))
    assert "[[sender]]" in alone
    assert "[[destination]]" in alone
    assert "port = 4242" in alone
    assert 'address = "THE-ARCHIVE"' in alone
    assert "DicomAet" in alone
    assert 'address = "10.0.0.7"' in peer_side("orthanc", replace(_SETTINGS, sender=()))
    unsent = peer_side("dcm4chee", replace(_SETTINGS, sender=()))
    assert '[[sender]]\n     ae_title = "MYPACS"' in unsent
    assert "[[destination]]" not in unsent
