"""The JSON of an engine beside its readers."""

from __future__ import annotations

from dicomnode.evaluate.document_parts import Document, interval_document
from dicomnode.evaluate.readers.company import Company, InCompany


def company_document(one: Company) -> Document:
    """One output beside its readers: nobody is named."""
    return {
        "output": one.output,
        "task": str(one.task),
        "measure": one.measure,
        "told_apart": one.by,
        "cases": one.cases,
        "patients": one.patients,
        "patients_of_whom_not_all_say_the_same": one.differing,
        "engine_with_readers": interval_document(one.engine),
        "readers_among_themselves": interval_document(one.among),
        "difference": interval_document(one.difference),
        "verdict": one.verdict,
        "readers": [_reader(each) for each in one.readers],
        "remarks": list(one.remarks),
    }


def _reader(one: InCompany) -> Document:
    made: Document = {
        "reader": one.reader,
        "cases": one.cases,
        "with_engine": interval_document(one.engine),
        "with_other_readers": interval_document(one.others),
    }
    for name in ("recall", "specificity"):
        both = getattr(one, name)
        made[name] = None if both is None else interval_document(both[0])
        made[f"{name}_of_engine"] = None if both is None else interval_document(both[1])
    return made
