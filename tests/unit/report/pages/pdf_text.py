"""The text of a PDF as a search finds it: page by page, by the fonts' own tables to Unicode (ISO 32000 9.10).

It reads what reportlab writes, and shares no code with it.
"""

from __future__ import annotations

import re
import zlib
from base64 import a85decode

_OBJECT = re.compile(rb"(\d+) 0 obj\s(.*?)\sendobj", re.DOTALL)
_STREAM = re.compile(rb"stream\r?\n(.*?)\r?\n?endstream", re.DOTALL)
_LETTER = re.compile(r"^<([0-9A-Fa-f]{2})> <([0-9A-Fa-f]{4})>$", re.MULTILINE)
_SHOWN = re.compile(rb"/(F\S+) [\d.]+ Tf|\(((?:[^()\\]|\\.)*)\) Tj", re.DOTALL)
_ESCAPED = re.compile(rb"\\([0-7]{1,3}|.)", re.DOTALL)
_PLAIN = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}


def texts_of(pdf: bytes) -> list[str]:
    """The text of each page, its parts joined as they were written."""
    objects = {int(number): body for number, body in _OBJECT.findall(pdf)}
    pages = [body for body in objects.values() if re.search(rb"/Type /Page\b", body)]
    return [_page(body, objects) for body in pages]


def _page(page: bytes, objects: dict[int, bytes]) -> str:
    resources = re.search(rb"/Font (\d+) 0 R", page)
    contents = re.search(rb"/Contents (\d+) 0 R", page)
    assert resources is not None
    assert contents is not None
    fonts = {
        name: _letters(objects[int(number)], objects)
        for name, number in re.findall(rb"/(F\S+) (\d+) 0 R", objects[int(resources[1])])
    }
    text, font = "", b""
    for named, shown in _SHOWN.findall(_content(objects[int(contents[1])])):
        if named:
            font = named
            continue
        codes = _ESCAPED.sub(_unescaped, shown)
        text += "".join(fonts[font].get(code, chr(code)) for code in codes)
    return text


def _content(body: bytes) -> bytes:
    found = _STREAM.search(body)
    assert found is not None
    content = found[1]
    if b"/ASCII85Decode" in body:
        content = a85decode(content.strip().removesuffix(b"~>"))
    return zlib.decompress(content) if b"/FlateDecode" in body else content


def _letters(font: bytes, objects: dict[int, bytes]) -> dict[int, str]:
    """Codes of a font's table to Unicode; nothing of a font of the standard's own."""
    table = re.search(rb"/ToUnicode (\d+) 0 R", font)
    if table is None:
        return {}
    listed = _content(objects[int(table[1])]).decode("ascii").partition("beginbfchar")[2]
    return {int(code, 16): chr(int(letter, 16)) for code, letter in _LETTER.findall(listed)}


def _unescaped(found: re.Match[bytes]) -> bytes:
    escaped = found[1]
    return bytes([int(escaped, 8)]) if escaped.isdigit() else _PLAIN.get(escaped, escaped)
