"""Elements of HTML and SVG as text: what is not an element already is escaped.

Elements without content are closed at once, so that a page is well-formed XML as well. The same calls give
the same bytes.
"""

from __future__ import annotations

import re
from html import escape
from typing import Final

# Control characters, halves of pairs and non-characters have no place in XML (XML 1.0, 2.2)
_NO_XML: Final = re.compile("[^\\t\\n\\r\\u0020-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
_EMPTY: Final = frozenset(
    {"meta", "img", "br", "hr", "line", "rect", "circle", "path", "polyline", "polygon"}
)


class Markup(str):
    """Text that is HTML or SVG already."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: str | float) -> Markup:
    """Make an element; children that are no `Markup` are escaped, "" is nothing.

    Attributes: `class_` is class, `stroke_width` is stroke-width; numbers as by `number`.
    """
    given = "".join(f' {_named(name)}="{_valued(value)}"' for name, value in attributes.items())
    if tag in _EMPTY:
        if any(children):
            raise ValueError(f"<{tag}> has no content")
        return Markup(f"<{tag}{given}/>")
    return Markup(f"<{tag}{given}>{joined(*children)}</{tag}>")


def joined(*parts: str) -> Markup:
    """Set parts one after the other, each escaped unless it is `Markup`."""
    return Markup("".join(one if isinstance(one, Markup) else _text(one) for one in parts))


def number(value: float) -> str:
    """At most two decimals, never an exponent or a negative zero: places on a drawing."""
    short = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if short == "-0" else short


def _text(text: str) -> str:
    return escape(_NO_XML.sub("\ufffd", text), quote=False)


def _named(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


def _valued(value: str | float) -> str:
    return escape(_NO_XML.sub("\ufffd", value), quote=True) if isinstance(value, str) else number(value)
