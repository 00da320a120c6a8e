"""What `dicomnode init --for orthanc` prints works: Orthanc routes its series to the node, results stay."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite

from dicomnode.settings import ReceiveSettings, SenderSettings, Settings, peer_side
from tests.wire.peers import DEADLINE_S, Orthanc, orthanc, program
from tests.wire.receive_peer import CT, EXPLICIT_LE, running, wait_until

pytestmark = [pytest.mark.wire, pytest.mark.judge, pytest.mark.slow]


def instance(path: Path, number: int, modality: str, sop_class: str) -> Path:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, f"1.2.3.{modality.encode().hex()}.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3", f"1.2.3.{len(modality)}.{ord(modality[0])}"
    ds.PatientName, ds.PatientID, ds.Modality = "Phantom^Thorax", "P1", modality
    ds.StudyDate = ds.StudyTime = ds.AccessionNumber = ds.StudyID = ds.ReferringPhysicianName = ""
    ds.InstanceNumber = number
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = sop_class
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = EXPLICIT_LE
    dcmwrite(path, ds, enforce_file_format=True)
    return path


def test_orthanc_routes_a_study_to_the_node_and_keeps_results(tmp_path: Path) -> None:
    senders = [SenderSettings(ae_title="ORTHANC", address="127.0.0.1")]
    sent = [instance(tmp_path / f"{n}.dcm", n, "CT", CT) for n in range(3)]
    sent.append(instance(tmp_path / "sr.dcm", 1, "SR", "1.2.840.10008.5.1.4.1.1.88.34"))
    sent.append(instance(tmp_path / "seg.dcm", 1, "SEG", "1.2.840.10008.5.1.4.1.1.66.4"))
    folder = tmp_path / "orthanc"
    folder.mkdir()
    with running(tmp_path / "store", senders=senders) as node:
        with orthanc(folder, StableAge=1, **peers_side(folder, node.port)) as archive:
            to_archive = ["--required", "-aec", archive.peer.ae_title, "127.0.0.1", str(archive.peer.port)]
            command = [program("storescu"), *to_archive, *map(str, sent)]
            subprocess.run(command, check=True, timeout=DEADLINE_S)
            node.wait_stored(3)
            series = json.loads(archive.rest("/series"))
            assert len(series) == 3
            # all three are stable, so Orthanc has decided for each
            wait_until(lambda: all(is_stable(archive, name) for name in series), "all series are stable")
        received = [pydicom.dcmread(sealed.path) for sealed, _ in node.stored]
    assert sorted(str(ds.SOPInstanceUID) for ds in received) == [f"1.2.3.4354.{n}" for n in range(3)]


def peers_side(folder: Path, port: int) -> dict[str, Any]:
    """Do what the text says: the configuration and the script, with the address filled in."""
    text = peer_side("orthanc", Settings(receive=ReceiveSettings(port=port)))
    entry = text[text.index('"DicomModalities"') : text.index("Put the address")]
    configuration: dict[str, Any] = json.loads("{" + entry.replace("THIS-MACHINE", "127.0.0.1") + "}")
    start = text.index("function OnStableSeries")
    script = folder / "dicomnode.lua"
    script.write_text(text[start : text.index("\n\n", start)], encoding="utf-8")
    configuration["LuaScripts"] = [str(script)]
    return configuration


def is_stable(archive: Orthanc, series: str) -> bool:
    return bool(json.loads(archive.rest(f"/series/{series}"))["IsStable"])
