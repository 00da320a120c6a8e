"""Plugged into Orthanc as `init --for orthanc` says: images out by its rule, results back, opened again."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from dicomnode.journal import StudyState
from dicomnode.net import Peer
from tests.judges.planes import planes_of
from tests.wire.node import Node
from tests.wire.peers import DEADLINE_S, Orthanc, free_port, orthanc, program, until
from tests.wire.plain_engines import block_series, bright_engine
from tests.wire.test_next_best import kinds_of, referenced
from tests.wire.test_receive_orthanc import is_stable, peers_side

pytestmark = [pytest.mark.wire, pytest.mark.long]

KINDS = ("SEG", "SR", "GSPS", "SC", "RTSTRUCT", "PDF")


@dataclass
class NodeAtItsPort(Node):
    """A node on a port that its archive was told before; Orthanc may send to it."""

    fixed_port: int = 0

    def write_config(self) -> None:
        super().write_config()
        text = self.config.read_text(encoding="utf-8")
        text = text.replace("port = 0\n", f"port = {self.fixed_port}\n", 1)
        text += '\n[[sender]]\nae_title = "ORTHANC"\naddress = "127.0.0.1"\n'
        self.config.write_text(text, encoding="utf-8")


@contextlib.contextmanager
def node_at(port: int, folder: Path, engine: Path, archive: Peer) -> Iterator[Node]:
    objects = f"objects = {json.dumps(KINDS)}"
    node = NodeAtItsPort(folder, [engine], archive, more=[objects], fixed_port=port)
    try:
        node.start()
        yield node
    finally:
        node.close()


def all_stable(archive: Orthanc) -> bool:
    """Tell whether Orthanc has decided for each series whether it is sent on."""
    series: list[str] = json.loads(archive.rest("/series"))
    return all(is_stable(archive, one) for one in series)


def no_job_left(archive: Orthanc) -> bool:
    jobs = json.loads(archive.rest("/jobs?expand"))
    return all(job["State"] not in ("Pending", "Running", "Retry") for job in jobs)


def test_orthanc_sends_by_its_rule_and_has_the_results_in_the_same_study_where_they_are_opened(
    tmp_path: Path,
) -> None:
    engine = bright_engine(tmp_path / "engine" / "bright")
    files = block_series(tmp_path / "ct", 1)
    uid = str(dcmread(files[0]).StudyInstanceUID)
    folder, port = tmp_path / "orthanc", free_port()
    folder.mkdir()
    with (
        orthanc(folder, StableAge=1, **peers_side(folder, port)) as archive,
        node_at(port, tmp_path / "node", engine, archive.peer) as node,
    ):
        to_archive = ["-aec", archive.peer.ae_title, "127.0.0.1", str(archive.peer.port)]
        subprocess.run([program("storescu"), *to_archive, *map(str, files)], check=True, timeout=DEADLINE_S)
        until(lambda: node.lines("study.complete"), "Orthanc's rule has sent the study")
        assert node.wait_for(uid).state is StudyState.DONE
        with node.journal() as journal:
            ways = {one.kind: one.confirmed_by for one in journal.deliveries(uid)}
        assert ways == dict.fromkeys(KINDS, "commitment")
        (study,) = json.loads(archive.rest("/studies?expand"))
        assert study["MainDicomTags"]["StudyInstanceUID"] == uid
        held = archive.files()
        opened(held.values(), files, tmp_path)

        # Results are stable there, too, and none of them was sent round again
        until(lambda: all_stable(archive), "all series are stable")
        until(lambda: no_job_left(archive), "Orthanc has nothing more to send")
        with node.journal() as journal:
            received = {one.sop_instance_uid for one in journal.instances(uid)}
            told = [one.what for one in journal.events(uid)]
        assert received == {str(dcmread(file).SOPInstanceUID) for file in files}
        assert "object.returned" not in told
        assert archive.files().keys() == held.keys()


def opened(contents: Collection[bytes], files: Collection[Path], folder: Path) -> None:
    """Open what Orthanc has: every kind, beside the images that it names, outlined where these are bright."""
    images = {str(one.SOPInstanceUID): one for one in map(dcmread, files)}
    read = [dcmread(BytesIO(content)) for content in contents]
    results = [one for one in read if str(one.SOPInstanceUID) not in images]
    assert kinds_of(results) == set(KINDS)
    assert {str(one.PatientID) for one in read} == {str(next(iter(images.values())).PatientID)}
    there = {str(one.SOPInstanceUID) for one in read}
    there |= {str(one.StudyInstanceUID) for one in read}  # of a structure set: PS3.3 C.8.8.6.4
    for one in results:
        assert referenced(one) <= there, one.SOPClassUID
    (content,) = (content for content in contents if dcmread(BytesIO(content)).Modality == "SEG")
    copy = folder / "copy.dcm"
    copy.write_bytes(content)
    planes = planes_of(copy)
    assert len(planes) == 3
    for plane in planes:
        assert np.array_equal(plane.pixels > 0, bright(images[plane.source_uid]))


def bright(image: Dataset) -> np.ndarray:
    values = image.pixel_array * float(image.RescaleSlope) + float(image.RescaleIntercept)
    return np.asarray(values > 0)
