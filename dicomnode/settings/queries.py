"""What [[query]] tables may say: a peer of DIMSE or a DICOMweb service, and what a login needs around it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dicomnode.settings.keys import AE_TITLE
from dicomnode.settings.logins import check_login
from dicomnode.settings.problem import Problem
from dicomnode.settings.schema import Settings
from dicomnode.settings.sources import QuerySettings


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
            yield from check_login(where, entry)


def _by_dimse(where: str, entry: QuerySettings) -> Iterator[Problem]:
    for name, value in {"ae_title": entry.ae_title, "host": entry.host}.items():
        if bool(value) == bool(entry.url):
            expected = "nothing beside a url" if value else "a value, or a url for QIDO-RS"
            yield Problem(key=f"{where}.{name}", value=value, expected=expected)
