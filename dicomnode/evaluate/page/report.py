"""The page of an evaluation: one file of HTML that needs nothing else, on a screen, offline, on paper.

First what matters most, with what is wrong with it; then its limits, each output with its plots, the worst
cases, what was refused, how it was done. Equal evaluations give equal bytes. Nobody is named: cases go by
their folder within the data and the end of their UID.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dicomnode.evaluate.dataset.look import DataSetLook
from dicomnode.evaluate.evaluation import Evaluation
from dicomnode.evaluate.page.answers import answer_sections
from dicomnode.evaluate.page.compared import comparison_section
from dicomnode.evaluate.page.gallery import WorstPicture, gallery_section
from dicomnode.evaluate.page.looks import look_section
from dicomnode.evaluate.page.markup import Markup, element, joined
from dicomnode.evaluate.page.method import method_section, runs_section
from dicomnode.evaluate.page.style import POLICY, STYLE
from dicomnode.evaluate.page.summary import head, leads, limits
from dicomnode.faults import FILE_NOT_WRITTEN, NodeError

NAME: Final = "report.html"

_FOOT: Final = (
    "Made by dicomnode, for research and engineering: no part of it is for clinical use. All numbers, with "
    "every case, stand in evaluation.json. Cases are named by their place within the data: where folders "
    "carry names, so does this page."
)


def write_report(
    evaluation: Evaluation,
    folder: Path,
    pictures: Sequence[WorstPicture] = (),
    look: DataSetLook | None = None,
) -> Path:
    """Write the page as report.html into a folder, which is there. pictures: of the worst cases, in order.

    look: what the data set looks like, where that was asked. Raises NodeError: FILE_NOT_WRITTEN.
    """
    path = folder / NAME
    try:
        path.write_bytes(report_html(evaluation, pictures, look).encode())
    except OSError as error:
        raise NodeError(FILE_NOT_WRITTEN, path=path, error=error.strerror or type(error).__name__) from error
    return path


def report_html(
    evaluation: Evaluation, pictures: Sequence[WorstPicture] = (), look: DataSetLook | None = None
) -> str:
    """Make the page."""
    compared = evaluation.comparison
    parts = [
        head(evaluation),
        leads(evaluation),
        limits(evaluation),
        comparison_section(evaluation, compared) if compared else "",
        *answer_sections(evaluation),
        gallery_section(pictures) if pictures else "",
        runs_section(evaluation),
        look_section(look) if look else "",
        method_section(evaluation),
        element("footer", element("p", _FOOT)),
    ]
    title = f"Evaluation of {evaluation.engine.name} {evaluation.engine.version}"
    page = element("html", _head(title), element("body", element("main", *parts)), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _head(title: str) -> Markup:
    # The only text that is not escaped: our own style sheet, whose hash the policy names
    style = Markup(f"<style>{STYLE}</style>")
    return joined(
        element(
            "head",
            element("meta", charset="utf-8"),
            element("meta", http_equiv="Content-Security-Policy", content=POLICY),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("meta", name="color-scheme", content="light dark"),
            element("title", title),
            style,
        )
    )
