"""What a report says of the patient by codes: birth, age, sex, size and weight.

In content items (PS3.16 TID 1007, TID 3602) these are no attributes of the patient, so no row of Table E.1-1
speaks of them.
"""

from __future__ import annotations

from typing import Final

from pydicom import Dataset, Sequence

_BIRTH_DATES: Final = frozenset({"121031", "21112-8"})
_AGES: Final = frozenset({"121033", "30525-0", "397669002", "424144002"})
_SEX: Final = frozenset({"121032"})
_SIZES: Final = frozenset(
    {"8302-2", "3137-7", "50373000", "29463-7", "3141-9", "27113001", "39156-5", "60621009"}
)
NO_DATE: Final = "19000101"
"""Stands for a date where one must stand; it is not moved."""
_OLDEST: Final = 89
_OF_A_YEAR: Final = {"a": 1.0, "mo": 12.0, "wk": 52.18, "d": 365.25}  # UCUM


def scrub_subject(dataset: Dataset, *, characteristics: bool) -> None:
    """Change a content item that speaks of the patient; others stay. Raises what pydicom raises."""
    concept = dataset.get("ConceptNameCodeSequence")
    if "ValueType" not in dataset or not concept:
        return
    code = str(concept[0].get("CodeValue", ""))
    if code in _BIRTH_DATES:  # no option retains it, and moved it would tell the age to the day
        _forget_birth(dataset)
    elif code in _AGES and characteristics:
        _cap_age(dataset)
    elif characteristics:
        return
    elif code in _AGES | _SIZES and "MeasuredValueSequence" in dataset:  # Type 2: it may be empty
        dataset.MeasuredValueSequence = Sequence()
    elif code in _SEX and "ConceptCodeSequence" in dataset:
        dataset.ConceptCodeSequence = Sequence([_undetermined()])


def _forget_birth(dataset: Dataset) -> None:
    for keyword in ("Date", "DateTime"):
        if keyword in dataset:
            del dataset[keyword]
            setattr(dataset, keyword, NO_DATE)


def _cap_age(dataset: Dataset) -> None:
    """Leave no age above 89 (45 CFR 164.514(b)(2)(i)(C))."""
    for measured in dataset.get("MeasuredValueSequence") or ():
        units = measured.get("MeasurementUnitsCodeSequence")
        unit = str(units[0].get("CodeValue", "")) if units else ""
        values = measured.get("NumericValue")
        if values is None or not float(values) / _OF_A_YEAR.get(unit, 1.0) <= _OLDEST:
            dataset.MeasuredValueSequence = Sequence()
            return


def _undetermined() -> Dataset:
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator = "121103", "DCM"
    made.CodeMeaning = "Undetermined sex"
    return made
