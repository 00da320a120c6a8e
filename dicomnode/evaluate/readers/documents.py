"""The JSON of the readers of a data set: the same words as the values, absent means null. Nobody is named."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from dicomnode.evaluate.document_parts import (
    case_document,
    data_document,
    interval_document,
    resampling_document,
)
from dicomnode.evaluate.readers.readings import AnyReadings, ReadClasses, ReadNumbers, ReadOutlines
from dicomnode.evaluate.readers.results import PairOfReaders, ReadersReport, ReadersResult

SCHEMA: Final = 1

Document = dict[str, Any]


def readers_document(report: ReadersReport) -> Document:
    """Return the report as what `json` can write; numbers are finite or null."""
    return {
        "schema": SCHEMA,
        "data": data_document(report.data),
        "made_at": None if report.made_at is None else report.made_at.isoformat(),
        "node_version": report.node_version,
        "resampling": resampling_document(report.resampling),
        "warnings": list(report.warnings),
        "results": [_result(one) for one in report.results],
        "remarks": list(report.remarks),
    }


def _result(one: ReadersResult) -> Document:
    of = one.readings
    return {
        "title": of.title,
        "kind": _KIND[type(of)],
        "readers": list(of.readers),
        "told_apart": of.by,
        "cases": one.compared,
        "cases_of_one_reader": one.alone,
        "cases_of_all_readers": one.by_all,
        "patients": one.patients,
        "figures": [interval_document(figure) for figure in one.together],
        "pairs": [_pair(pair) for pair in one.pairs],
        "warnings": list(one.warnings),
        "remarks": list(one.remarks),
        **_more(of),
    }


_KIND: Final = {ReadClasses: "classes", ReadNumbers: "numbers", ReadOutlines: "outlines"}


def _pair(pair: PairOfReaders) -> Document:
    return {
        "first": pair.first,
        "second": pair.second,
        "cases": pair.cases,
        "figures": [interval_document(figure) for figure in pair.intervals],
        "counts": [list(row) for row in pair.counts] or None,
    }


def _more(of: AnyReadings) -> Document:
    """What each kind adds: every reading of every case."""
    if isinstance(of, ReadClasses):
        given = [
            {**case_document(case), "given": list(row)} for case, row in zip(of.cases, of.given, strict=True)
        ]
        return {"labels": list(of.labels), "ordered": of.ordered, "readings": given}
    if isinstance(of, ReadNumbers):
        rows = [[None if np.isnan(one) else float(one) for one in row] for row in of.given]
        given = [{**case_document(case), "given": row} for case, row in zip(of.cases, rows, strict=True)]
        return {"unit": None if of.unit is None else of.unit.value, "readings": given}
    return {
        "readings": [
            {
                **case_document(of.cases[one.case]),
                "first": of.readers[one.first],
                "second": of.readers[one.second],
                "dice": one.dice,
                "hd95_mm": one.hd95_mm,
                "first_ml": one.first_ml,
                "second_ml": one.second_ml,
            }
            for one in of.pairs
        ]
    }
