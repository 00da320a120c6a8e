"""What [[destination]] tables may say: one place each, and kinds of objects that go together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args

from dicomnode.settings.logins import check_login
from dicomnode.settings.problem import Problem
from dicomnode.settings.schema import Settings
from dicomnode.settings.targets import DestinationSettings, ObjectKind

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_PLACES: Final = "ae_title and host of an archive, a url, a folder, or to_sender"


def check_destinations(settings: Settings, table: Mapping[str, Any]) -> Iterator[Problem]:
    """Find destinations that are no place or two, and what cannot be had there.

    table: what the settings were read from. A key whose value is wrong, and so not read, is told of once.
    """
    for number, (entry, written) in enumerate(
        zip(settings.destination, table.get("destination", ()), strict=False), 1
    ):
        where = f"destination[{number}]"
        if not any(written.get(name) and not getattr(entry, name) for name in ("url", "folder", "ae_title")):
            yield from _place(where, entry)
        if entry.url or not written.get("url"):
            yield from check_login(where, entry, tls=entry.tls)
        if entry.host in _LOOPBACK and entry.port == settings.receive.port:
            yield Problem(
                key=f"{where}.port",
                value=entry.port,
                expected="another node than this one",
                hint="[receive] listens there on this machine: results would come back in.",
            )
        if entry.retry_longest_s < entry.retry_first_s:
            yield Problem(
                key=f"{where}.retry_longest_s",
                value=entry.retry_longest_s,
                expected=f"retry_first_s ({entry.retry_first_s:g}) or more",
            )
        yield from _objects(where, entry)
        yield from _confirmation(where, entry)


def _place(where: str, entry: DestinationSettings) -> Iterator[Problem]:
    """One place: an archive by AE title and host, a web service, a folder, or who sent the study."""
    others = {"url": entry.url, "folder": entry.folder, "to_sender": entry.to_sender}
    named = [name for name, value in others.items() if value]
    by_dimse = {"ae_title": entry.ae_title, "host": entry.host}
    if not named:
        for name, value in by_dimse.items():
            if not value:
                yield Problem(key=f"{where}.{name}", value=None, expected=f"a value ({_PLACES})")
        return
    for name, value in by_dimse.items():
        if value:
            yield Problem(key=f"{where}.{name}", value=value, expected=f"nothing beside {named[0]}")
    for name in named[1:]:
        yield Problem(key=f"{where}.{name}", value=str(others[name]), expected=f"nothing beside {named[0]}")
    if entry.tls and (entry.url or entry.folder):
        yield Problem(key=f"{where}.tls", value=True, expected=f"nothing beside {named[0]}")


def _objects(where: str, entry: DestinationSettings) -> Iterator[Problem]:
    if not entry.objects:
        kinds = ", ".join(get_args(ObjectKind))
        hint = f"Leave the key out for SEG and SR, or take the [[destination]] out. Kinds: {kinds}."
        yield Problem(key=f"{where}.objects", value=[], expected="at least one kind", hint=hint)
    if "LABELMAP" in entry.objects and "SEG" not in entry.objects:
        hint = "Reports refer to the segments of a SEG, which more archives and viewers take."
        yield Problem(
            key=f"{where}.objects", value=list(entry.objects), expected="SEG beside LABELMAP", hint=hint
        )


def _confirmation(where: str, entry: DestinationSettings) -> Iterator[Problem]:
    """A folder confirms nothing, and DICOMweb knows no storage commitment here."""
    wrong = (entry.folder and entry.confirm in ("commitment", "query")) or (
        entry.url and entry.confirm == "commitment"
    )
    if wrong:
        possible = '"auto" or "status"' if entry.folder else '"auto", "query" or "status"'
        yield Problem(key=f"{where}.confirm", value=entry.confirm, expected=possible)
