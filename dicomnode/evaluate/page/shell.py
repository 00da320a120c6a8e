"""What every page is: one file of HTML with its own style sheet, and a policy that lets nothing else in."""

from __future__ import annotations

from collections.abc import Sequence

from dicomnode.evaluate.page.frames import listed
from dicomnode.evaluate.page.markup import Markup, element, joined
from dicomnode.evaluate.page.style import POLICY, STYLE


def page_of(title: str, parts: Sequence[str], foot: str) -> str:
    """Put a page together of its parts. title: of the window; foot: what stands at the end."""
    main = element("main", *parts, element("footer", element("p", foot)))
    return f"<!DOCTYPE html>\n{element('html', _head(title), element('body', main), lang='en')}\n"


def alarm(sentences: Sequence[str]) -> Markup:
    """A box that nobody reads past: a sign and a word as well as a colour; nothing without a sentence."""
    if not sentences:
        return joined()
    return element(
        "div", element("p", "⚠ Warning", class_="sign"), listed(sentences), class_="alarm", role="alert"
    )


def _head(title: str) -> Markup:
    # The only text that is not escaped: our own style sheet, whose hash the policy names
    style = Markup(f"<style>{STYLE}</style>")
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        style,
    )
