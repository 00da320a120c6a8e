"""The archive of the demonstration: Orthanc where it is installed, else a plain Storage SCP; both real."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dicomnode.faults import NodeError

if TYPE_CHECKING:
    from dicomnode.deliver import ReadBack
    from dicomnode.net import Peer

_LOOPBACK: Final = "127.0.0.1"
_START_S: Final = 60.0
_POLL_S: Final = 0.2


def free_port() -> int:
    """Find a port of the loopback that nobody uses now."""
    with closing(socket.socket()) as probe:
        probe.bind((_LOOPBACK, 0))
        return int(probe.getsockname()[1])


class Archive(ABC):
    """An archive to deliver to, and what it holds afterwards."""

    name: str
    peer: Peer

    @abstractmethod
    def read_back(self, study_uid: str, sent: Sequence[Path], folder: Path) -> ReadBack:
        """Fetch the archive's copies of what was sent into `folder` (`<SOP Instance UID>.dcm`); compare."""

    def close(self) -> None:  # noqa: B027  what was not started need not be ended
        """End what was started for the demonstration."""


class GivenArchive(Archive):
    """An archive that somebody named (`--archive AE@HOST:PORT`); its copies are fetched by C-GET."""

    def __init__(self, peer: Peer, calling_ae: str) -> None:
        self.name = f"{peer.ae_title} at {peer.host}:{peer.port}"
        self.peer = peer
        self._calling_ae = calling_ae

    def read_back(self, study_uid: str, sent: Sequence[Path], folder: Path) -> ReadBack:
        """Fetch by C-GET."""
        from dicomnode.deliver import read_back

        folder.mkdir(parents=True, exist_ok=True)
        return read_back(self.peer, self._calling_ae, study_uid, sent, folder)


class OrthancArchive(GivenArchive):
    """Orthanc, started on free ports of the loopback, with its database in the demonstration's folder."""

    def __init__(self, binary: str, folder: Path, calling_ae: str) -> None:
        from dicomnode.net import Peer

        folder.mkdir(parents=True, exist_ok=True)
        dicom_port = free_port()
        super().__init__(
            Peer(name="archive", ae_title="ORTHANC", host=_LOOPBACK, port=dicom_port), calling_ae
        )
        self.name = f"Orthanc (AE title ORTHANC, port {dicom_port})"
        config = folder / "orthanc.json"
        config.write_text(json.dumps(self._configuration(folder, dicom_port)), encoding="utf-8")
        self._log = (folder / "orthanc.log").open("wb")
        self._process = subprocess.Popen(
            [binary, str(config)], stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the whole group; this one is ended last, by us
        )  # fmt: skip
        self._wait()

    @staticmethod
    def _configuration(folder: Path, dicom_port: int) -> dict[str, object]:
        return {
            "Name": "dicomnode demonstration",
            "StorageDirectory": str(folder / "db"),
            "IndexDirectory": str(folder / "db"),
            "Plugins": [],
            "HttpServerEnabled": False,
            "DicomServerEnabled": True,
            "DicomAet": "ORTHANC",
            "DicomPort": dicom_port,
            "DicomAlwaysAllowEcho": True,
            "DicomAlwaysAllowStore": True,
            "DicomAlwaysAllowFind": True,
            "DicomAlwaysAllowGet": True,
            "UnknownSopClassAccepted": True,
        }

    def _wait(self) -> None:
        from dicomnode.net import echo

        end = time.monotonic() + _START_S
        while True:
            try:
                echo(self.peer, "DICOMNODE")
            except NodeError:
                if time.monotonic() > end or self._process.poll() is not None:
                    self.close()
                    raise
                time.sleep(_POLL_S)
            else:
                return

    def close(self) -> None:
        """Stop Orthanc."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


class PlainArchive(Archive):
    """A Storage SCP that keeps what it gets: the node's own receiver with a store of its own."""

    def __init__(self, folder: Path) -> None:
        from dicomnode.net import Peer
        from dicomnode.receive import Receiver
        from dicomnode.settings import ReceiveSettings
        from dicomnode.store import Store

        self._store = Store.open(folder / "store")
        settings = ReceiveSettings(address=_LOOPBACK, port=0, unknown_senders="accept")
        self._receiver = Receiver(settings, "ARCHIVE", (), self._store)
        self._receiver.start()
        self.peer = Peer(name="archive", ae_title="ARCHIVE", host=_LOOPBACK, port=self._receiver.port)
        self.name = f"a plain Storage SCP (AE title ARCHIVE, port {self.peer.port}); Orthanc is not installed"

    def read_back(self, study_uid: str, sent: Sequence[Path], folder: Path) -> ReadBack:  # noqa: ARG002
        """Copy what was stored; it holds nothing but this study."""
        from dicomnode.deliver import ReadBack, differing_tags
        from dicomnode.store import read_ids

        folder.mkdir(parents=True, exist_ok=True)
        kept = {read_ids(sealed.path).sop_instance_uid: sealed.path for sealed in self._store.sealed()}
        wanted = {read_ids(path).sop_instance_uid: path for path in sent}
        tags: dict[str, tuple[str, ...]] = {}
        for uid, path in wanted.items():
            if uid in kept:
                copy = shutil.copyfile(kept[uid], folder / f"{uid}.dcm")
                tags[uid] = differing_tags(path, copy)
        return ReadBack(
            same=tuple(uid for uid, differing in tags.items() if not differing),
            missing=tuple(uid for uid in wanted if uid not in tags),
            different={uid: differing for uid, differing in tags.items() if differing},
        )

    def close(self) -> None:
        """Stop listening."""
        self._receiver.stop(drain_s=2.0)
        self._store.close()


def open_archive(given: Peer | None, folder: Path, calling_ae: str) -> Archive:
    """Open the archive that was named, else start one. Raises NodeError(PEER_UNREACHABLE …)."""
    if given is not None:
        from dicomnode.net import echo

        echo(given, calling_ae)
        return GivenArchive(given, calling_ae)
    binary = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")
    if binary is None:
        return PlainArchive(folder)
    return OrthancArchive(binary, folder, calling_ae)
