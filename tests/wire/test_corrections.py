"""A running node whose data is corrected, merged, killed in between, and taken back."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from dicomnode.deliver import push_study
from dicomnode.journal import StudyState
from tests.unit.receive.test_hl7_message import message
from tests.unit.serve.test_corrections import ENHANCED_SR, KOS, changed
from tests.wire.node import running_node
from tests.wire.peers import EXPLICIT_LE, Scp, answers, free_port, store_scp, until
from tests.wire.plain_engines import mean_engine, series

pytestmark = pytest.mark.wire


def arrived(archive: Scp, sop_class: str = ENHANCED_SR) -> list[Dataset]:
    found = [dcmread(io.BytesIO(archive.datasets[uid]), force=True) for uid in list(archive.stored)]
    return [one for one in found if one.SOPClassUID == sop_class]


def tell(port: int, content: bytes) -> str:
    with socket.create_connection(("127.0.0.1", port), 20) as peer:
        peer.sendall(b"\x0b" + content + b"\x1c\r")
        return peer.recv(4096).decode().split("MSA|")[1][:2]


def dicomnode(*arguments: object) -> dict[str, object]:
    command = [sys.executable, "-m", "dicomnode", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.long
def test_a_study_is_corrected_merged_and_taken_back_and_the_archive_follows(tmp_path: Path) -> None:
    files = series(tmp_path / "ct", 1)
    hl7 = free_port()
    more = ["[hl7]", f"port = {hl7}", 'senders = ["127.0.0.1"]']
    engine = mean_engine(tmp_path / "mean")
    with (
        store_scp(contexts=[(one, (EXPLICIT_LE,)) for one in (ENHANCED_SR, KOS)]) as archive,
        running_node(tmp_path / "node", [engine], archive.peer, more=more) as node,
    ):
        assert not push_study(node.peer, "SCANNER", files).failed
        uid = str(dcmread(files[0]).StudyInstanceUID)
        assert node.wait_for(uid).state is StudyState.DONE

        for path in files:
            path.write_bytes(changed(path, PatientID="P0", PatientName="Corrected^Name"))
        assert not push_study(node.peer, "SCANNER", files).failed
        node.kill()  # what was acknowledged holds
        node.start()
        until(lambda: len(arrived(archive)) == 2, "the result of the corrected study")
        assert [one.PatientID for one in arrived(archive)][-1] == "P0"

        until(lambda: answers(hl7), "the node listens for HL7")
        assert tell(hl7, message("PID|||P1||Merged^Name", "MRG|P0", kind="ADT^A40")) == "AA"
        until(lambda: len(arrived(archive)) == 3, "the result of the merged patient")
        last = arrived(archive)[-1]
        assert (last.PatientID, str(last.PatientName)) == ("P1", "Merged^Name")

        assert node.wait_for(uid).version == 3
        done = dicomnode(
            "retract", uid, "--reason", "safety", "--by", "A. Smith", "--yes-retract", "1",
            "--config", node.config,
        )  # fmt: skip
        assert (done["objects"], done["destinations"], done["ended"]) == (3, ["archive"], True)
        until(lambda: len(arrived(archive, KOS)) == 1, "the rejection note")
        (note,) = arrived(archive, KOS)
        rejected = {
            one.ReferencedSOPInstanceUID
            for of_series in note.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
            for one in of_series.ReferencedSOPSequence
        }
        assert rejected == {one.SOPInstanceUID for one in arrived(archive)}
        why = dicomnode("why", uid, "--config", node.config)
        told = [event["what"] for event in why["what_happened"]]  # type: ignore[index,union-attr,attr-defined]
        for what in ("study.corrected", "study.identity", "results.retracted"):
            assert what in told
        logs = "".join(log.read_text() for log in node.folder.glob("node-*.log"))
        for value in ("Corrected", "Merged"):
            assert value not in logs
            assert value not in json.dumps(why)
