"""Names of those that a destination is: itself, or one after the other of the senders."""

from __future__ import annotations

from collections.abc import Collection
from hashlib import blake2b
from typing import Final

from sqlalchemy import Connection, delete, or_

from dicomnode.journal import schema
from dicomnode.values import Sender

_NAME: Final = 47  # so much of a name, "@" and 16 digits are as long as a name may be
_DIGEST: Final = 8  # bytes


def place_of(destination: str, sender: Sender | None) -> str:
    """Name whom a destination is, for what is remembered of it: each sender that it is, is another."""
    if sender is None:
        return destination
    who = f"{sender.calling_ae}@{sender.address}".encode()
    return f"{_begin(destination)}{blake2b(who, digest_size=_DIGEST).hexdigest()}"


def forget_classes(connection: Connection, destinations: Collection[str]) -> None:
    """Forget which SOP Classes destinations have refused, and all senders that they may be."""
    said_by = schema.peer_class.c.destination
    names = sorted(destinations)
    senders = [said_by.startswith(_begin(name), autoescape=True) for name in names]
    connection.execute(delete(schema.peer_class).where(or_(said_by.in_(names), *senders)))


def _begin(destination: str) -> str:
    return f"{destination[:_NAME]}@"  # no name of a destination has one
