"""The page of a site's acceptance: one file of HTML that needs nothing else. Nobody is named."""

from __future__ import annotations

from typing import Final

from dicomnode.evaluate.page.frames import section, table
from dicomnode.evaluate.page.markup import Markup, element, joined
from dicomnode.evaluate.page.shell import alarm, page_of
from dicomnode.evaluate.site.acceptance import SiteAcceptance, SiteState, SiteTimes

_FOOT: Final = (
    "Made by dicomnode from the journal of a node, for research and engineering: no part of it is for "
    "clinical use. All numbers, with every study, stand in site.json."
)


def site_html(of: SiteAcceptance) -> str:
    """Make the page; equal acceptances give equal bytes."""
    parts = [
        element(
            "header",
            element("p", "Acceptance of an engine at a site", class_="kind"),
            element("h1", f"{of.engine}, {of.mode}"),
            element("p", f"The first {len(of.cases)} studies that it was asked about."),
        ),
        section("first", "What matters most", alarm(of.warnings) or element("p", "There is no warning.")),
        section("states", "What became of the studies", _states(of), _codes(of)),
        section("times", "How long it took", _times(of)),
        section("found", "What it found", element("p", found_text(of))),
        section("answers", "What those said who answered", _answers(of)),
    ]
    return page_of(f"Acceptance of {of.engine}", parts, _FOOT)


def found_text(of: SiteAcceptance) -> str:
    """How much was found, as a sentence."""
    if not of.found:
        return "Nothing was analysed."
    mean, some = sum(of.found) / len(of.found), sum(count > 0 for count in of.found)
    return (
        f"{mean:.2f} segments and regions a study on average, {max(of.found)} at most; "
        f"something in {some} of {len(of.found)}."
    )


def _states(of: SiteAcceptance) -> Markup:
    rows = [(str(state), str(of.count(state))) for state in SiteState]
    return table(("What came of it", "Studies"), rows, told="Every study, none left out")


def _codes(of: SiteAcceptance) -> Markup:
    if not of.codes:
        return joined()
    rows = [(code, str(state), str(count)) for (state, code), count in of.codes.items()]
    return table(("Code", "State", "Studies"), rows, told="Refused and failed, by code", numbers_from=2)


def _times(of: SiteAcceptance) -> Markup:
    rows = [
        (name, *_seconds(times))
        for name, times in (("from the last image", of.wait), ("from when it was wanted", of.work))
        if times is not None
    ]
    if not rows:
        return element("p", "Nothing was analysed.")
    return table(("Until the result was there", "Studies", "Median, s", "95 %, s", "Most, s"), rows, told="")


def _seconds(times: SiteTimes) -> tuple[str, str, str, str]:
    return str(times.cases), f"{times.p50_s:.1f}", f"{times.p95_s:.1f}", f"{times.most_s:.1f}"


def _answers(of: SiteAcceptance) -> Markup:
    if not of.answered:
        return element("p", "Nobody has answered.")
    rows = [(one.title, one.text) for one in of.figures]
    told = f"{of.answered} studies were answered, {len(of.records)} findings"
    return table(("Figure", "Value"), rows, told=told)
