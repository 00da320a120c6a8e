"""The receiving side: associations in, sealed files out; nothing is decoded, no database is touched.

Private points of pynetdicom 3.0 that this room leans on, to be looked at when its version changes:
`Association._serve_request`, `_accepted_cx`, `run_reactor`, `acse`, `dimse`, `dul`;
`ACSE.negotiate_association`; `DIMSEServiceProvider.receive_primitive`, `get_msg`, `msg_queue`;
`DULServiceProvider._is_transport_event`, `event_queue`, `to_user_queue`, `state_machine.current_state`;
`AssociationSocket.recv`, `send`, `ready`, `_is_connected`, `_shutdown_socket`; the names of events and
states of PS3.8 table 9-10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.receive.fetched import FetchedDoor
    from dicomnode.receive.listener import open_listening
    from dicomnode.receive.receiver import Receiver

# Loaded when first used: who only opens the port, or is asked for --help, does not pay for pynetdicom
_HOMES = {
    "fetched": ("FetchedDoor",),
    "listener": ("open_listening",),
    "receiver": ("Receiver",),
}

__all__ = ["FetchedDoor", "Receiver", "open_listening"]

__getattr__ = lazy_face(__name__, _HOMES)
