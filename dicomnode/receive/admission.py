"""Who may open an association: a decision on AE titles, address and number, without I/O.

An AE title is no proof of who calls (PS3.8 names none): where it matters, bind it to an address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from dicomnode.faults import CALLED_AE_UNKNOWN, SENDER_UNKNOWN, TOO_MANY_ASSOCIATIONS, Fault
from dicomnode.settings import SenderSettings
from dicomnode.values import Sender

_PERMANENT: Final = 1
_TRANSIENT: Final = 2
_SERVICE_USER: Final = 1
_PRESENTATION: Final = 3


@dataclass(frozen=True, slots=True)
class Rejection:
    """What A-ASSOCIATE-RJ says (PS3.8 table 9-21), and the row of the table of faults with its values."""

    result: int
    source: int
    reason: int
    fault: Fault
    values: dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """The rules: who this node is, who may send, and how many at a time. also_called: its further names.

    asked: AE titles that this node asks for storage commitment: they may call to answer, and for that alone.
    """

    ae_title: str
    senders: Sequence[SenderSettings]
    unknown_senders: Literal["deny", "accept"]
    maximum: int
    also_called: Sequence[str] = ()
    asked: frozenset[str] = frozenset()

    def may_send(self, sender: Sender) -> bool:
        """Whether instances may come from there."""
        return self.unknown_senders == "accept" or any(_is_from(entry, sender) for entry in self.senders)

    def decide(self, sender: Sender, open_now: int) -> Rejection | None:
        """Say why an association is rejected, None when it is accepted.

        open_now: associations that are open without this one. Checks stand in order of their cost to
        the peer's administrator: a wrong called AE title is the first thing to correct.
        """
        values: dict[str, object] = {
            "calling_ae": sender.calling_ae,
            "called_ae": sender.called_ae,
            "address": sender.address,
        }
        if sender.called_ae not in {name.strip() for name in (self.ae_title, *self.also_called)}:
            values["ae_title"] = self.ae_title.strip()
            return Rejection(_PERMANENT, _SERVICE_USER, 7, CALLED_AE_UNKNOWN, values)
        if not self.may_send(sender) and sender.calling_ae not in self.asked:
            return Rejection(_PERMANENT, _SERVICE_USER, 3, SENDER_UNKNOWN, values)
        if open_now >= self.maximum:
            values["limit"] = self.maximum
            return Rejection(_TRANSIENT, _PRESENTATION, 2, TOO_MANY_ASSOCIATIONS, values)
        return None


def plain_address(address: str) -> str:
    """Write an IPv4 address that came through an IPv6 socket (::ffff:10.1.2.3) as IPv4; drop the zone."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(parsed)


def _is_from(entry: SenderSettings, sender: Sender) -> bool:
    if entry.ae_title.strip() != sender.calling_ae:
        return False
    if not entry.address:
        return True
    return ipaddress.ip_address(sender.address) in ipaddress.ip_network(entry.address, strict=False)
