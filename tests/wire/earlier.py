"""A patient with two examinations, a year apart, and an archive that has the earlier one."""

from __future__ import annotations

import contextlib
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pynetdicom import AE, build_context, evt

from dicomnode.net import Peer, WebPeer
from dicomnode.phantom import write_series
from dicomnode.values import Grid
from tests.wire.peers import CT, DEADLINE_S, STEP_S, Orthanc, http_server, peer_at

PATIENT_ID = "PRIOR-1"
NOW_UID, BEFORE_UID, OLD_UID, OTHER_UID = "1.2.3.100", "1.2.3.200", "1.2.3.300", "1.2.3.400"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
GET = "1.2.840.10008.5.1.4.1.2.2.3"
SLICES = 8
GRID = Grid((SLICES, 24, 32), np.diag([2.0, 2.0, 3.0, 1.0]), "1.2.3.9")
_PLUGINS = (
    Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so"),
    Path("/usr/local/share/orthanc/plugins/libOrthancDicomWeb.so"),
)


def examination(
    folder: Path, study_uid: str, study_date: str, *, patient_id: str = PATIENT_ID, description: str = "Chest"
) -> list[Path]:
    """Write a small CT of a study; the patient lay elsewhere each time."""
    seed = int(study_uid.rpartition(".")[2])
    voxels = np.random.default_rng(seed).integers(-900, 200, GRID.shape_kji).astype(np.int16)
    paths = write_series(voxels, GRID, folder / study_uid, seed=seed)
    for path in paths:
        image = pydicom.dcmread(path)
        image.StudyInstanceUID = study_uid
        image.SeriesInstanceUID = f"{study_uid}.1"
        image.FrameOfReferenceUID = f"{study_uid}.9"
        image.PatientID, image.PatientName = patient_id, "Prior^Phantom"
        image.StudyDate, image.StudyTime = study_date, "101500"
        image.StudyDescription = image.SeriesDescription = description
        image.save_as(path)
    return paths


def earlier_ones(folder: Path) -> list[Path]:
    """What the archive has: a year ago, ten years ago, and a study of somebody else."""
    files = examination(folder, BEFORE_UID, "20250601")
    files += examination(folder, OLD_UID, "20160601")
    return files + examination(folder, OTHER_UID, "20250701", patient_id="PRIOR-2")


def fill(archive: Orthanc, files: list[Path]) -> None:
    """Put files into an Orthanc by its REST interface."""
    import urllib.request

    for file in files:
        request = urllib.request.Request(
            f"http://127.0.0.1:{archive.http_port}/instances", file.read_bytes(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
            assert answer.status == 200


def dicomweb_plugin() -> Path:
    """The DICOMweb plug-in of Orthanc; the test is skipped where there is none."""
    named = os.environ.get("DICOMNODE_TEST_ORTHANC_DICOMWEB")
    for path in (Path(named),) if named else _PLUGINS:
        if path.exists():
            return path
    pytest.skip("the DICOMweb plug-in of Orthanc is not installed (orthanc-dicomweb)")


@contextlib.contextmanager
def query_scp(
    contexts: tuple[str, ...], *handlers: tuple[evt.EventType, Callable[..., object]], timeout_s: float = 30.0
) -> Iterator[Peer]:
    """A pynetdicom archive that answers by `handlers`."""
    ae = AE("ARCHIVE")
    storage = build_context(CT)
    storage.scu_role = storage.scp_role = True  # in a C-GET the archive sends
    supported = [build_context(uid) for uid in contexts] + ([storage] if GET in contexts else [])
    server = ae.make_server(("127.0.0.1", 0), contexts=supported, evt_handlers=list(handlers))
    ae._servers.append(server)  # as start_server does, whose loop takes half a second to end
    thread = threading.Thread(target=server.serve_forever, args=(STEP_S,), daemon=True)
    thread.start()
    try:
        yield peer_at(server.socket.getsockname()[1], timeout_s=timeout_s)
    finally:
        server.shutdown()
        thread.join(DEADLINE_S)


@contextlib.contextmanager
def web_server(
    answer: Callable[[BaseHTTPRequestHandler], None],
    timeout_s: float = 30.0,
    context: ssl.SSLContext | None = None,
) -> Iterator[WebPeer]:
    """A web service that does with each GET what `answer` does. context: of its TLS."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            with contextlib.suppress(OSError):  # who asked may be gone: that is tested
                answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with http_server(Handler, context) as address:
        yield WebPeer("WEB1", f"{address}/dicom-web", timeout_s)


def until_gone(connection: BaseHTTPRequestHandler, deadline_s: float = 20.0) -> None:
    """Say nothing until the other side has closed the connection."""
    connection.connection.settimeout(deadline_s)
    end = time.monotonic() + deadline_s
    while time.monotonic() < end and connection.connection.recv(1):
        pass
    connection.close_connection = True
