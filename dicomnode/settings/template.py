"""A complete dicomnode.toml with a comment above each key, made from the schema."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from dicomnode.settings.problem import toml_text
from dicomnode.settings.schema import SCHEMA, Settings

_WIDTH: Final = 100

_HEAD: Final = """\
# Settings of a dicomnode. Every key is here; one that is commented out has its default.
# `dicomnode check` reads this file and lists every problem at once.
"""

# 192.0.2.0/24 is kept for documentation (RFC 5737): what is not filled in reaches nobody
_EXAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "sender": {"ae_title": "CT_SCANNER", "address": "192.0.2.10"},
    "engine": {"name": "lung-ct"},
    "destination": {"name": "archive", "ae_title": "ARCHIVE", "host": "192.0.2.20"},
}
# What few sites need stands there as a comment, section and keys
_OPTIONAL: Final[Mapping[str, Mapping[str, Any]]] = {
    "query": {"name": "pacs", "ae_title": "PACS", "host": "192.0.2.20"},
    "rule": {"name": "emergency", "station": ["CT_EMERGENCY"], "priority": "stat"},
    "expect": {"name": "pet-ct", "modalities": ["CT", "PT"]},
}
_PEERS: Final[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {
    # Ports and AE titles that the two come with
    "orthanc": {
        "sender": {"ae_title": "ORTHANC", "address": "127.0.0.1"},
        "destination": {"name": "orthanc", "ae_title": "ORTHANC", "host": "127.0.0.1", "port": 4242},
    },
    "dcm4chee": {
        "sender": {"ae_title": "DCM4CHEE", "address": "192.0.2.20"},
        "destination": {"name": "dcm4chee", "ae_title": "DCM4CHEE", "host": "192.0.2.20", "port": 11112},
    },
}


def template(for_peer: Literal["orthanc", "dcm4chee"] | None = None) -> str:
    """Write a commented dicomnode.toml that is valid as it stands.

    It has one [[sender]], one [[engine]] and one [[destination]] to fill in; for_peer fills them with what
    that archive comes with.
    """
    examples = {**_EXAMPLES, **_PEERS.get(for_peer or "", {})}
    parts = [_HEAD, f"schema = {SCHEMA}\n"]
    hints = get_type_hints(Settings)
    for entry in fields(Settings):
        kinds: tuple[Any, ...] = get_args(hints[entry.name]) or (hints[entry.name],)
        if is_dataclass(kinds[0]):
            header = f"[[{entry.name}]]" if get_args(hints[entry.name]) else f"[{entry.name}]"
            if entry.name in _OPTIONAL:
                section = _section(header, kinds[0], _OPTIONAL[entry.name])
                parts.append("\n".join(_as_comment(line) for line in section.splitlines()) + "\n")
            else:
                parts.append(_section(header, kinds[0], examples.get(entry.name, {})))
    return "\n".join(parts)


def _section(header: str, cls: Any, example: Mapping[str, Any]) -> str:
    """Write one table: what it is, then its keys; those of the example stand there, others as comments."""
    about = " ".join((cls.__doc__ or "").split()).partition(": ")[2]
    more = " There can be several." if header.startswith("[[") else ""
    lines = [*_comment(f"── {about[:1].upper()}{about[1:]}{more}"), header]
    hints = get_type_hints(cls)
    within: list[str] = []
    for entry in fields(cls):
        if is_dataclass(hints[entry.name]):
            within.append(_section(f"{header[:-1]}.{entry.name}]", hints[entry.name], {}))
            continue
        lines += _comment(_doc(entry, hints[entry.name]))
        if entry.name in example:
            lines.append(f"{entry.name} = {toml_text(example[entry.name])}")
        else:
            lines.append(f"#{entry.name} = {_default(entry)}")
    return "\n".join(["\n".join(lines) + "\n", *within])


def _doc(entry: Field[Any], hint: Any) -> str:
    """The line of documentation, with the words that the key can be where it does not name them all."""
    doc = str(entry.metadata.get("doc", ""))
    choices = [str(choice) for choice in get_args(hint)] if get_origin(hint) is Literal else []
    return doc if all(choice in doc for choice in choices) else f"{doc} One of: {', '.join(choices)}."


def _default(entry: Field[Any]) -> str:
    if entry.default is MISSING:
        raise TypeError(f"the template's example must give {entry.name!r}, which has no default")
    if entry.default is None:
        return '""'
    value = str(entry.default) if isinstance(entry.default, Path) else entry.default
    return toml_text(value)


def _as_comment(line: str) -> str:
    return line if line.startswith("# ") else f"# {line.removeprefix('#')}"


def _comment(text: str) -> Iterator[str]:
    for line in textwrap.wrap(text, _WIDTH - 2):
        yield f"# {line}"
