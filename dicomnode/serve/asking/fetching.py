"""Fetching one series of a prior from a peer into the store, by whichever way the peer offers."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from dicomnode.faults import FETCH_INCOMPLETE, FETCH_LATE, NO_PRESENTATION_CONTEXT, QUERY_FAILED, NodeError
from dicomnode.journal import ExpectedPrior, Journal
from dicomnode.net import Meter, Peer, WebPeer, get_series, move_series, retrieve_series
from dicomnode.net.login import login_of, trust_of
from dicomnode.receive import FetchedDoor
from dicomnode.settings import QuerySettings, Settings
from dicomnode.store import Store
from dicomnode.values import Instance, Sender

AnyPeer = Peer | WebPeer

_LOOK_S: Final = 0.1
# Most archives do not offer C-GET, and some that do refuse it
_WITHOUT_GET: Final = (NO_PRESENTATION_CONTEXT, QUERY_FAILED)


def peer_to_ask(query: QuerySettings) -> AnyPeer:
    """The peer of a [[query]]: a DICOMweb service where it has a url."""
    if query.url:
        return WebPeer(query.name, query.url, query.timeout_s, login_of(query), trust_of(query))
    return Peer(query.name, query.ae_title.strip(), query.host, query.port, query.timeout_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedSeries:
    """A series of an earlier study, and for which study it is wanted."""

    study_instance_uid: str
    series_instance_uid: str
    wanted_by: str


class SeriesFetch:
    """Brings series into the store and the journal, and knows what is there already."""

    def __init__(self, settings: Settings, store: Store, journal: Journal, stopping: threading.Event) -> None:
        self._settings, self._store, self._journal, self._stopping = settings, store, journal, stopping
        self._calling_ae = settings.node.ae_title.strip()

    def here(self, wanted: WantedSeries) -> list[Instance]:
        """The instances of a series that are here."""
        return [
            one
            for one in self._journal.instances(wanted.study_instance_uid)
            if one.series_instance_uid == wanted.series_instance_uid
        ]

    def bring(self, peer: AnyPeer, wanted: WantedSeries, count: int | None, meter: Meter) -> list[Instance]:
        """Return the instances of a series, fetched unless they are here already.

        count: how many the peer says that it has. A study that is here as one of its own is not added to:
        what is here of it is taken. Raises NodeError where the peer does not give them within the limits.
        """
        there = self.here(wanted)
        if there and count is not None and len(there) >= count:
            return there
        if not self._expect(peer, wanted, 0.0):
            return there
        meter.check_instances(count or 0)
        came = self._fetch(peer, wanted, meter)
        return self._arrived(peer, wanted, came, meter)

    def _expect(self, peer: AnyPeer, wanted: WantedSeries, seconds: float) -> bool:
        """Say what is fetched. seconds: how long it may come without a Move Originator."""
        return self._journal.expect_prior(
            ExpectedPrior(
                study_instance_uid=wanted.study_instance_uid,
                wanted_by=wanted.wanted_by,
                calling_ae=_ae_of(peer),
                until=datetime.now(UTC) + timedelta(seconds=seconds),
            )
        )

    def _fetch(self, peer: AnyPeer, wanted: WantedSeries, meter: Meter) -> int:
        uids = (wanted.study_instance_uid, wanted.series_instance_uid)
        sender = Sender(calling_ae=_ae_of(peer), called_ae=self._calling_ae, address=_host_of(peer))
        door = FetchedDoor(
            self._store,
            sender,
            uids,
            self._settings.receive.maximum_object_gb,
            lambda: datetime.now(UTC),
        )
        if isinstance(peer, WebPeer):
            return retrieve_series(peer, *uids, door.take, meter)
        try:
            return get_series(peer, self._calling_ae, *uids, door.take, meter)
        except NodeError as error:
            if error.fault not in _WITHOUT_GET:
                raise
        return self._move(peer, wanted, meter)

    def _move(self, peer: Peer, wanted: WantedSeries, meter: Meter) -> int:
        """Let the peer send to our listening side; what came there as any other image is counted here."""
        meter.check_time()
        self._expect(peer, wanted, meter.left_s)
        before = self._bytes_here(wanted)
        uids = (wanted.study_instance_uid, wanted.series_instance_uid)
        try:
            came = move_series(
                peer, self._calling_ae, *uids, meter, weigh=lambda: self._bytes_here(wanted) - before
            )
        finally:
            self._expect(peer, wanted, 0.0)
        self._arrived(peer, wanted, came, meter)
        meter.count(came, self._bytes_here(wanted) - before)
        return came

    def _bytes_here(self, wanted: WantedSeries) -> int:
        return sum(one.size for one in self.here(wanted))

    def _arrived(self, peer: AnyPeer, wanted: WantedSeries, came: int, meter: Meter) -> list[Instance]:
        """Wait until all that was taken has left `incoming/`; give what the journal has of the series then.

        That may be fewer than `came`: copies, conflicts, and what was rejected, or cannot be read, are none.
        Raises NodeError where nothing has come, or it is not entered in time.
        """
        waiting = self._waiting(peer)
        while waiting := [path for path in waiting if path.exists()]:
            if self._stopping.is_set() or not meter.left_s:
                there = self.here(wanted)
                if not there:
                    raise NodeError(FETCH_LATE, name=peer.name, seconds=meter.limits.seconds)
                reason, most = "the rest was not entered in time", len(there) + len(waiting)
                raise NodeError(FETCH_INCOMPLETE, name=peer.name, came=len(there), wanted=most, reason=reason)
            time.sleep(_LOOK_S)
        there = self.here(wanted)
        if came and not there:
            reason = "nothing of it is here"
            raise NodeError(FETCH_INCOMPLETE, name=peer.name, came=0, wanted=came, reason=reason)
        return there

    def _waiting(self, peer: AnyPeer) -> list[Path]:
        """Files that wait to be entered and may be of the fetch: they were there when it was answered."""
        return [
            one.path
            for one in self._store.sealed()
            if one.sender.fetched or one.sender.calling_ae == _ae_of(peer)
        ]


def _ae_of(peer: AnyPeer) -> str:
    # A DICOMweb service has no AE title: its name stands where people look for who sent something
    return peer.ae_title.strip() if isinstance(peer, Peer) else peer.name[:16]


def _host_of(peer: AnyPeer) -> str:
    return peer.host if isinstance(peer, Peer) else (urlsplit(peer.url).hostname or "")
