"""The page of an evaluation, for people: one file of HTML with its plots, pictures and tables inside."""

from __future__ import annotations

from dicomnode.evaluate.page.gallery import WorstPicture
from dicomnode.evaluate.page.report import report_html, write_report

__all__ = ["WorstPicture", "report_html", "write_report"]
