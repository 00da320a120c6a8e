"""The way to a destination: how files get there, and how it is asked what it keeps.

One contract for archives, web services and folders, so that the courier does not know which it is.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dicomnode.deliver.by_web import WebRoute
from dicomnode.deliver.dimse import send_files
from dicomnode.deliver.outcome import FileOutcome
from dicomnode.deliver.plan import peer_of
from dicomnode.deliver.sending import OnNegotiated, OnOutcome
from dicomnode.deliver.to_folder import FolderRoute
from dicomnode.net import Peer, WebPeer, probe
from dicomnode.net.commitment import CommitmentAnswer, request_commitment
from dicomnode.net.login import login_of, trust_of
from dicomnode.net.query import list_instances
from dicomnode.net.rate import Rate
from dicomnode.settings import DestinationSettings
from dicomnode.values import Sender


class Route(Protocol):
    """What a courier needs of a destination."""

    def send(
        self,
        files: Sequence[Path],
        *,
        on_outcome: OnOutcome,
        on_negotiated: OnNegotiated,
        stop: threading.Event,
    ) -> list[FileOutcome]:
        """Send Part 10 files as `send_files` does: one outcome each; only the hooks raise."""
        ...

    def lists(self, study_uid: str, series: Collection[str]) -> frozenset[str] | None:
        """SOP Instance UIDs that the destination says it has of these series; None where it cannot be asked.

        Raises NodeError where it can be asked and does not answer.
        """
        ...

    def ask_commitment(
        self, transaction: str, instances: Sequence[tuple[str, str]]
    ) -> Mapping[str, CommitmentAnswer]:
        """Ask for storage commitment of instances (SOP Instance UID, SOP Class UID).

        Gives what it answers meanwhile, by Transaction UID: this request or earlier ones. Raises NodeError,
        COMMITMENT_REFUSED where the destination does not offer it.
        """
        ...

    def takes(self, classes: Sequence[str]) -> Mapping[str, bool]:
        """Ask whether the destination is there, and which SOP Classes (by UID) it takes, as far as it tells.

        Raises NodeError where it is not there.
        """
        ...


def route_to(
    destination: DestinationSettings,
    calling_ae: str,
    *,
    sender: Sender | None = None,
    rate: Rate | None = None,
) -> Route:
    """The way to a destination. calling_ae: AE title of this node. sender: of the study; rate: see `Rate`.

    Raises NodeError as `peer_of`.
    """
    if destination.folder is not None:
        return FolderRoute(destination.name, destination.folder, rate)
    if destination.url:
        login, trust = login_of(destination), trust_of(destination)
        return WebRoute(WebPeer(destination.name, destination.url, destination.timeout_s, login, trust), rate)
    return DimseRoute(peer_of(destination, sender), calling_ae, rate)


@dataclass(frozen=True, slots=True)
class DimseRoute:
    """To an archive by C-STORE."""

    peer: Peer
    calling_ae: str
    rate: Rate | None = None

    def send(
        self,
        files: Sequence[Path],
        *,
        on_outcome: OnOutcome,
        on_negotiated: OnNegotiated,
        stop: threading.Event,
    ) -> list[FileOutcome]:
        """Send by C-STORE."""
        return send_files(
            self.peer,
            self.calling_ae,
            files,
            on_outcome=on_outcome,
            on_negotiated=on_negotiated,
            stop=stop,
            rate=self.rate,
        )

    def lists(self, study_uid: str, series: Collection[str]) -> frozenset[str] | None:
        """Ask by C-FIND, series by series."""
        found = list_instances(self.peer, self.calling_ae, study_uid, series=sorted(series))
        return frozenset(one.sop_instance_uid for one in found)

    def ask_commitment(
        self, transaction: str, instances: Sequence[tuple[str, str]]
    ) -> Mapping[str, CommitmentAnswer]:
        """Ask by N-ACTION."""
        return request_commitment(self.peer, self.calling_ae, transaction, instances)

    def takes(self, classes: Sequence[str]) -> Mapping[str, bool]:
        """Ask by C-ECHO, in an association for all of them."""
        return probe(self.peer, self.calling_ae, classes)
