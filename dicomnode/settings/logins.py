"""What a login, a certificate or TLS needs around it, in a table that may name a web service."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from dicomnode.settings.problem import Problem

LOGIN: Final = ("user", "password", "token")
TLS: Final = ("ca_file", "certificate", "certificate_key")


def check_login(where: str, entry: Any, *, tls: bool = False) -> Iterator[Problem]:
    """Find logins that are half, for nobody, or would be heard.

    entry: a table with a `url` and the keys of LOGIN and TLS. tls: whether it goes over TLS without a url.
    """
    given = {name: str(value) for name in (*LOGIN, *TLS) if (value := getattr(entry, name))}
    if entry.certificate_key and not entry.certificate:
        yield Problem(key=f"{where}.certificate", value=None, expected="the certificate of that key")
    if not entry.url:
        wrong = LOGIN if tls else (*LOGIN, *TLS)
        for name in (one for one in given if one in wrong):
            yield Problem(key=f"{where}.{name}", value=given[name], expected="nothing without a url")
        return
    if entry.user and entry.token:
        yield Problem(
            key=f"{where}.token", value=entry.token, expected="nothing beside a user: one login is enough"
        )
    elif bool(entry.user) != bool(entry.password):
        missing = "password" if entry.user else "user"
        yield Problem(key=f"{where}.{missing}", value=None, expected="user and password, or neither")
    if urlsplit(entry.url).scheme == "https":
        return
    for name in TLS:
        if name in given:
            expected = "nothing, unless url begins with https://"
            yield Problem(key=f"{where}.{name}", value=given[name], expected=expected)
    if any(name in given for name in LOGIN) and not _is_here(entry.url):
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
