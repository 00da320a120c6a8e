"""Reads the page back, with the parsers of the standard library: elements, tables, drawings."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

_VOID = {"meta", "img", "br", "hr"}
SVG = "{http://www.w3.org/2000/svg}"


class Balance(HTMLParser):
    """Finds elements that are never closed, or closed in another order; gathers the text that is shown."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)


def balance(page: str) -> Balance:
    reader = Balance()
    reader.feed(page)
    reader.close()
    return reader


def tree(page: str) -> ET.Element:
    """The page as XML, which it is as well."""
    return ET.fromstring(page.removeprefix("<!DOCTYPE html>\n"))


def drawings(page: str) -> list[ET.Element]:
    return [one for one in tree(page).iter(f"{SVG}svg") if one.get("class") != "swatch"]


def shown(node: ET.Element) -> str:
    return " ".join("".join(node.itertext()).split())


def section(page: str, key: str) -> ET.Element:
    return next(one for one in tree(page).iter("section") if one.get("id") == key)


def rows(node: ET.Element) -> list[list[str]]:
    """Rows of all tables of a part of the page, as texts."""
    return [[shown(cell) for cell in row if cell.tag in {"td", "th"}] for row in node.iter("tr")]


def points(line: ET.Element) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in line.get("points", "").split())]


def lines(drawing: ET.Element, style: str) -> list[list[tuple[float, float]]]:
    """Lines of a drawing that have a class."""
    found = drawing.iter(f"{SVG}polyline")
    return [points(one) for one in found if re.search(rf"\b{style}\b", one.get("class", ""))]
