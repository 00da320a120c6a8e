"""The page of an evaluation, for people: one file of HTML with its plots, pictures and tables inside."""

from __future__ import annotations

from dicomnode.evaluate.page.gallery import WorstPicture
from dicomnode.evaluate.page.matrix_page import matrix_html
from dicomnode.evaluate.page.readers import readers_html
from dicomnode.evaluate.page.report import report_html

__all__ = ["WorstPicture", "matrix_html", "readers_html", "report_html"]
