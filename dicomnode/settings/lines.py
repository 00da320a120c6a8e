"""On which line of a TOML file a key stands. The parser does not tell, so headers and keys are looked up."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"))*)\s*=""")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'|#.*')
_INDEX = re.compile(r"\[\d+\]$")


def find_lines(text: str) -> Mapping[str, int]:
    """Map key paths as `receive.port`, `destination[2]` and `destination[2].host` to their line, from 1.

    Entries of arrays of tables are counted from 1. Keys inside inline tables are not looked for: they stand
    on the line of their table.
    """
    lines: dict[str, int] = {}
    counts: dict[str, int] = {}
    where = ""
    for number, line in _statements(text):
        if header := _HEADER.fullmatch(line):
            name = _plain(header[2])
            where = _numbered(name, counts, several=header[1] == "[[")
            lines.setdefault(where, number)
            lines.setdefault(name, number)
        elif key := _KEY.match(line):
            name = _plain(key[1])
            lines.setdefault(f"{where}.{name}" if where else name, number)
    return lines


def line_of(key: str, lines: Mapping[str, int]) -> int | None:
    """Return the line of a key, or of the nearest table around it that stands in the file."""
    while key:
        if key in lines:
            return lines[key]
        key = key[: _INDEX.search(key).start()] if _INDEX.search(key) else key.rpartition(".")[0]  # type: ignore[union-attr]
    return None


def _numbered(name: str, counts: dict[str, int], *, several: bool) -> str:
    """Put the numbers of the current entries into a header's path: `step.gate` is `step[2].gate`."""
    parts = name.split(".")
    path = ""
    for depth, part in enumerate(parts):
        path = f"{path}.{part}" if path else part
        if several and depth == len(parts) - 1:
            counts[path] = counts.get(path, 0) + 1
        if path in counts:
            path = f"{path}[{counts[path]}]"
    return path


def _plain(name: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in name.split("."))


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that begin a statement; those within a long string or a list over lines do not."""
    until = ""
    depth = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if until:
            until = "" if until in line else until
            continue
        if depth <= 0:
            yield number, line
            depth = 0
        until = next((mark for mark in ('"""', "'''") if line.count(mark) == 1), "")
        if not _HEADER.fullmatch(line):
            bare = _QUOTED.sub("", line)
            depth += bare.count("[") + bare.count("{") - bare.count("]") - bare.count("}")
