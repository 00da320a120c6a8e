"""What [[query]] tables may say: a peer of DIMSE or a DICOMweb service, and what a login needs around it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from dicomnode.settings.keys import AE_TITLE
from dicomnode.settings.problem import Problem
from dicomnode.settings.schema import Settings
from dicomnode.settings.sources import QuerySettings

_LOGIN = ("user", "password", "token")
_TLS = ("ca_file", "certificate", "certificate_key")


def check_queries(settings: Settings, table: Mapping[str, Any]) -> Iterator[Problem]:
    """Find peers that are named in two ways or in none, and logins that are half, or would be heard.

    table: what the settings were read from. An entry whose url is wrong, and so not read, is told of once.
    """
    for number, (entry, written) in enumerate(zip(settings.query, table.get("query", ()), strict=False), 1):
        where = f"query[{number}]"
        for place, title in enumerate(entry.senders, start=1):
            if not AE_TITLE.holds(title):
                key = f"{where}.senders[{place}]"
                yield Problem(key=key, value=title, expected=AE_TITLE.expected)
        if entry.url or not written.get("url"):
            yield from _by_dimse(where, entry)
            yield from _by_web(where, entry)


def _by_dimse(where: str, entry: QuerySettings) -> Iterator[Problem]:
    for name, value in {"ae_title": entry.ae_title, "host": entry.host}.items():
        if bool(value) == bool(entry.url):
            expected = "nothing beside a url" if value else "a value, or a url for QIDO-RS"
            yield Problem(key=f"{where}.{name}", value=value, expected=expected)


def _by_web(where: str, entry: QuerySettings) -> Iterator[Problem]:
    given = {name: str(value) for name in (*_LOGIN, *_TLS) if (value := getattr(entry, name))}
    if not entry.url:
        for name, value in given.items():
            yield Problem(key=f"{where}.{name}", value=value, expected="nothing without a url")
        return
    if entry.user and entry.token:
        yield Problem(
            key=f"{where}.token", value=entry.token, expected="nothing beside a user: one login is enough"
        )
    elif bool(entry.user) != bool(entry.password):
        missing = "password" if entry.user else "user"
        yield Problem(key=f"{where}.{missing}", value=None, expected="user and password, or neither")
    if entry.certificate_key and not entry.certificate:
        yield Problem(key=f"{where}.certificate", value=None, expected="the certificate of that key")
    if urlsplit(entry.url).scheme == "https":
        return
    for name in _TLS:
        if name in given:
            expected = "nothing, unless url begins with https://"
            yield Problem(key=f"{where}.{name}", value=given[name], expected=expected)
    if any(name in given for name in _LOGIN) and not _is_here(entry.url):
        hint = "Without TLS the login could be read by anybody on the way."
        yield Problem(
            key=f"{where}.url", value=entry.url, expected="https:// where there is a login", hint=hint
        )


def _is_here(url: str) -> bool:
    """Tell whether it is this machine: nothing goes over a network then."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
