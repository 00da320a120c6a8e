"""The commented dicomnode.toml that `dicomnode init` writes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import pytest

from dicomnode.settings import Settings, read_settings, template

_FILE = Path("/etc/dicomnode/dicomnode.toml")

Peer = Literal["orthanc", "dcm4chee"] | None


@pytest.mark.parametrize("peer", [None, "orthanc", "dcm4chee"])
def test_the_template_is_valid_as_it_stands(peer: Peer) -> None:
    settings, problems = read_settings(_FILE, template(peer))
    assert problems == []
    assert settings is not None
    assert [entry.name for entry in settings.engine] == ["lung-ct"]
    assert len(settings.sender) == len(settings.destination) == 1


def test_what_is_commented_out_is_the_default() -> None:
    as_is, _ = read_settings(_FILE, template())
    text = re.sub(r"^#(?=[a-z_]+ = )", "", template(), flags=re.MULTILINE)
    uncommented, problems = read_settings(_FILE, text)
    assert problems == []
    assert uncommented == as_is
    assert as_is is not None
    assert replace(as_is, sender=(), engine=(), destination=()) == Settings()


def _tables(cls: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Give the header and the class of every table, those within a table too."""
    for name, hint in get_type_hints(cls).items():
        inner: Any = (get_args(hint) or (hint,))[0]
        if is_dataclass(inner):
            yield f"[[{above}{name}]]" if get_args(hint) else f"[{above}{name}]", inner
            yield from _tables(inner, f"{above}{name}.")


def test_every_key_of_the_schema_stands_there_with_its_documentation() -> None:
    lines = template().splitlines()
    for header, cls in _tables(Settings):
        start = lines.index(header if header in lines else f"# {header}")
        end = next((n for n in range(start + 1, len(lines)) if re.match(r"(# )?\[", lines[n])), len(lines))
        for entry in fields(cls):
            if is_dataclass(get_type_hints(cls)[entry.name]):
                continue
            (place,) = [n for n in range(start, end) if re.match(rf"(#|# )?{entry.name} = ", lines[n])]
            assert lines[place - 1].startswith("# ")
            assert entry.metadata["doc"][-20:] in " ".join(
                line.removeprefix("# ") for line in lines[place - 3 : place]
            )


def test_no_line_is_longer_than_a_screen() -> None:
    assert max(len(line) for line in template().splitlines()) <= 100


def test_a_peer_brings_its_usual_port_and_ae_title() -> None:
    settings, _ = read_settings(_FILE, template("orthanc"))
    assert settings is not None
    assert (settings.destination[0].ae_title, settings.destination[0].port) == ("ORTHANC", 4242)
    assert settings.sender[0].ae_title == "ORTHANC"


def test_an_optional_section_is_valid_when_its_marks_are_taken_off() -> None:
    text = re.sub(r"^# (?=\[\[(query|expect|rule)\]\]|[a-z_]+ = )", "", template(), flags=re.MULTILINE)
    settings, problems = read_settings(_FILE, text)
    assert problems == []
    assert settings is not None
    assert [entry.name for entry in (*settings.query, *settings.expect)] == ["pacs", "pet-ct"]
