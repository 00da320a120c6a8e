"""What one key alone cannot tell: names given twice, missing sections, values that exclude each other."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from dicomnode.settings.destinations import check_destinations
from dicomnode.settings.problem import Problem
from dicomnode.settings.queries import check_queries
from dicomnode.settings.reader import nearest
from dicomnode.settings.rules import check_rules
from dicomnode.settings.schema import Settings

_UID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")


def check(settings: Settings, table: Mapping[str, Any]) -> list[Problem]:
    """Find what is wrong between the keys of settings that were read from `table`."""
    return [
        *_missing_sections(settings, table),
        *_addresses(settings),
        *_duplicates("destination", [entry.name for entry in settings.destination], "name"),
        *_duplicates("query", [entry.name for entry in settings.query], "name"),
        *_duplicates("expect", [entry.name for entry in settings.expect], "name"),
        *_duplicates("engine", [entry.name for entry in settings.engine], "name"),
        *_duplicates("sender", [f"{e.ae_title.strip()} {e.address}" for e in settings.sender], "ae_title"),
        *check_destinations(settings, table),
        *check_rules(settings),
        *check_queries(settings, table),
        *_hl7(settings),
        *_journal(settings),
        *_triton(settings),
        *_storage_classes(settings.receive.storage_classes),
    ]


def _missing_sections(settings: Settings, table: Mapping[str, Any]) -> Iterator[Problem]:
    if not table.get("engine"):
        hint = 'Add [[engine]] with name = "lung-ct"; `dicomnode engine list` shows what there is.'
        yield Problem(key="engine", value=None, expected="at least one [[engine]]", hint=hint)
    if not table.get("destination"):
        hint = "Add [[destination]] with name, ae_title, host and port of the archive that results go to."
        yield Problem(key="destination", value=None, expected="at least one [[destination]]", hint=hint)
    if not table.get("sender") and settings.receive.unknown_senders == "deny":
        hint = "Add [[sender]] with the ae_title of the scanner or archive that sends to this node."
        yield Problem(
            key="sender",
            value=None,
            expected='at least one [[sender]], since [receive] unknown_senders is "deny"',
            hint=hint,
        )


def _addresses(settings: Settings) -> Iterator[Problem]:
    if not _is_address(settings.receive.address) and settings.receive.address != "localhost":
        yield Problem(
            key="receive.address",
            value=settings.receive.address,
            expected="an IP address of this machine, 0.0.0.0 for all of them",
        )
    for number, sender in enumerate(settings.sender, start=1):
        if sender.address and not _is_network(sender.address):
            yield Problem(
                key=f"sender[{number}].address",
                value=sender.address,
                expected="an IP address (10.1.2.3) or a network (10.1.2.0/24)",
                hint="Names are not looked up: an association is let in by the address that it comes from.",
            )


def _duplicates(section: str, names: Sequence[str], key: str) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        if name in first:
            yield Problem(
                key=f"{section}[{number}].{key}",
                value=name.strip(),
                expected=f"another {key} than [[{section}]] number {first[name]} has",
            )
        first.setdefault(name, number)


def _hl7(settings: Settings) -> Iterator[Problem]:
    hl7 = settings.hl7
    if hl7.port and not hl7.senders:
        hint = "Name the interface engine: a message of anybody else would change whose results are."
        yield Problem(key="hl7.senders", value=[], expected="at least one IP address or network", hint=hint)
    if hl7.port and not _is_address(hl7.address):
        yield Problem(key="hl7.address", value=hl7.address, expected="an IP address of this machine")
    for number, sender in enumerate(hl7.senders, start=1):
        if not _is_network(sender):
            expected = "an IP address (10.1.2.3) or a network (10.1.2.0/24)"
            yield Problem(key=f"hl7.senders[{number}]", value=sender, expected=expected)


def _journal(settings: Settings) -> Iterator[Problem]:
    if settings.journal.url and "://" not in settings.journal.url:
        yield Problem(
            key="journal.url",
            value=settings.journal.url,
            expected="an SQLAlchemy URL as sqlite:////var/lib/dicomnode/journal.sqlite",
        )


def _triton(settings: Settings) -> Iterator[Problem]:
    if settings.analyse.triton.url:
        return
    asked: dict[str, str] = {"analyse.runtime": settings.analyse.runtime}
    asked |= {f"engine[{number}].runtime": entry.runtime for number, entry in enumerate(settings.engine, 1)}
    for key, runtime in asked.items():
        if runtime == "triton":
            hint = "Say where the server is: [analyse.triton] with url."
            yield Problem(key=key, value=runtime, expected="a runtime that is configured", hint=hint)


def _storage_classes(names: Iterable[str]) -> Iterator[Problem]:
    names = list(names)
    if not names:
        return
    # A table of 2,000 lines: loaded only by those who name a class
    from pydicom._uid_dict import UID_dictionary  # noqa: PLC0415

    known = {entry[4]: uid for uid, entry in UID_dictionary.items() if "Storage" in entry[0]}
    for number, name in enumerate(names, start=1):
        if _UID.fullmatch(name) and len(name) <= 64:
            continue
        if name not in known:
            yield Problem(
                key=f"receive.storage_classes[{number}]",
                value=name,
                expected="a SOP Class UID or the DICOM keyword of a storage class",
                hint=nearest(name, list(known)),
            )


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
