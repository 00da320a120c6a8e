"""The page of an evaluation: one file of HTML that needs nothing else, on a screen, offline, on paper.

First what matters most, with what is wrong with it; then its limits, each output with its plots, the worst
cases, what was refused, how it was done. Equal evaluations give equal bytes. Nobody is named: cases go by
their folder within the data and the end of their UID.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dicomnode.evaluate.dataset.look import DataSetLook
from dicomnode.evaluate.evaluation import Evaluation
from dicomnode.evaluate.page.answers import answer_sections
from dicomnode.evaluate.page.company import company_section
from dicomnode.evaluate.page.compared import comparison_section
from dicomnode.evaluate.page.gallery import WorstPicture, gallery_section
from dicomnode.evaluate.page.looks import look_section
from dicomnode.evaluate.page.method import method_section, runs_section
from dicomnode.evaluate.page.shell import page_of
from dicomnode.evaluate.page.summary import head, leads, limits

_FOOT: Final = (
    "Made by dicomnode, for research and engineering: no part of it is for clinical use. All numbers, with "
    "every case, stand in evaluation.json. Cases are named by their place within the data: where folders "
    "carry names, so does this page."
)


def report_html(
    evaluation: Evaluation, pictures: Sequence[WorstPicture] = (), look: DataSetLook | None = None
) -> str:
    """Make the page. pictures: of the worst cases, in order; look: what the data look like, where asked."""
    compared = evaluation.comparison
    parts: list[str] = [
        head(evaluation),
        leads(evaluation),
        limits(evaluation),
        comparison_section(evaluation, compared) if compared else "",
        company_section(evaluation.companies) if evaluation.companies else "",
        *answer_sections(evaluation),
        gallery_section(pictures) if pictures else "",
        runs_section(evaluation),
        look_section(look) if look else "",
        method_section(evaluation),
    ]
    return page_of(f"Evaluation of {evaluation.engine.name} {evaluation.engine.version}", parts, _FOOT)
