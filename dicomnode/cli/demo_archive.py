"""The archive of the demonstration: Orthanc where it is installed, else a plain Storage SCP; both real."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dicomnode.faults import NodeError
from dicomnode.serve.process.line import die_with_parent

if TYPE_CHECKING:
    from dicomnode.deliver import ReadBack
    from dicomnode.net import Peer

_LOOPBACK: Final = "127.0.0.1"
_CALLING_AE: Final = "SCANNER"
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

    def start(self) -> None:  # noqa: B027  what somebody named runs already
        """Start it, and wait until it answers. Raises NodeError(PEER_UNREACHABLE …)."""

    def close(self) -> None:  # noqa: B027  what was not started need not be ended
        """End what was started for the demonstration."""


class GivenArchive(Archive):
    """An archive that somebody named (`--archive AE@HOST:PORT`); its copies are fetched by C-GET."""

    def __init__(self, peer: Peer, calling_ae: str) -> None:
        self.name = f"{peer.ae_title} at {peer.host}:{peer.port}"
        self.peer = peer
        self._calling_ae = calling_ae

    def start(self) -> None:
        """Ask whether it answers."""
        from dicomnode.net import echo

        echo(self.peer, self._calling_ae)

    def read_back(self, study_uid: str, sent: Sequence[Path], folder: Path) -> ReadBack:
        """Fetch by C-GET. Raises NodeError where the archive does not offer it."""
        from dicomnode.deliver import read_back

        folder.mkdir(parents=True, exist_ok=True)
        return read_back(self.peer, self._calling_ae, study_uid, sent, folder)


class OrthancArchive(GivenArchive):
    """Orthanc, started on free ports of the loopback, with its database in the demonstration's folder."""

    def __init__(self, binary: str, folder: Path, calling_ae: str) -> None:
        from dicomnode.net import Peer

        port = free_port()
        super().__init__(Peer(name="archive", ae_title="ORTHANC", host=_LOOPBACK, port=port), calling_ae)
        self.name = f"Orthanc (AE title ORTHANC, port {port})"
        self._binary = binary
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start Orthanc and wait until it answers C-ECHO."""
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "orthanc.json"
        settings = self._configuration(self._folder, self.peer.port)
        config.write_text(json.dumps(settings), encoding="utf-8")
        with (self._folder / "orthanc.log").open("wb") as log:
            self._process = subprocess.Popen(
                [self._binary, str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the whole group; this one is ended last, by us
                preexec_fn=partial(die_with_parent, os.getpid()),  # noqa: PLW1509  one thread is all there is
            )
        self._wait(self._process)

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
            # Orthanc listens on every address; who calls from elsewhere is turned away
            "DicomCheckModalityHost": True,
            "DicomAlwaysAllowEcho": False,
            "DicomAlwaysAllowStore": False,
            "DicomAlwaysAllowFind": False,
            "DicomAlwaysAllowGet": False,
            "DicomModalities": {
                "sender": {"AET": _CALLING_AE, "Host": _LOOPBACK, "Port": 104},
                # Its port is not known yet: no commitment can be reported to it
                "node": {"AET": "DICOMNODE", "Host": _LOOPBACK, "Port": 104},
            },
            "UnknownSopClassAccepted": True,
        }

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        from dicomnode.net import echo

        end = time.monotonic() + _START_S
        while True:
            try:
                echo(self.peer, _CALLING_AE)
            except NodeError:
                if time.monotonic() > end or process.poll() is not None:
                    raise
                time.sleep(_POLL_S)
            else:
                return

    def close(self) -> None:
        """Stop Orthanc."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class PlainArchive(Archive):
    """A Storage SCP that keeps what it gets: the node's own receiver with a store of its own."""

    def __init__(self, folder: Path) -> None:
        from dicomnode.receive import Receiver
        from dicomnode.settings import ReceiveSettings
        from dicomnode.store import Store

        self._store = Store.open(folder / "store")
        settings = ReceiveSettings(address=_LOOPBACK, port=0, unknown_senders="accept")
        self._receiver = Receiver(settings, "ARCHIVE", (), self._store)
        self.name = "a plain Storage SCP (AE title ARCHIVE); Orthanc is not installed"

    def start(self) -> None:
        """Listen."""
        from dicomnode.net import Peer

        self._receiver.start()
        self.peer = Peer(name="archive", ae_title="ARCHIVE", host=_LOOPBACK, port=self._receiver.port)

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


def choose_archive(given: Peer | None, folder: Path, calling_ae: str) -> Archive:
    """Take the archive that was named, else Orthanc, else a plain Storage SCP; nothing is started yet."""
    if given is not None:
        return GivenArchive(given, calling_ae)
    binary = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")
    return PlainArchive(folder) if binary is None else OrthancArchive(binary, folder, calling_ae)
