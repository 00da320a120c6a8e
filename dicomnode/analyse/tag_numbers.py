"""Numbers for a network from attributes of the first series: age, sex, dose; never written anywhere.

What an attribute holds is not said in any message or remark: only which one it is, and what is wrong.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date
from typing import Final

import numpy as np

from dicomnode.analyse.grids import Float32
from dicomnode.analyse.header_texts import first_texts
from dicomnode.engine import InputSpec, TagNumber
from dicomnode.values import Remark, RemarkKind, SourceHeaders

_AGE: Final = re.compile(r"(\d{3})([DWMY])")  # PS3.5 6.2, AS
_PER_YEAR: Final = {"D": 365.25, "W": 365.25 / 7.0, "M": 12.0, "Y": 1.0}
_DATE: Final = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")  # DA, and the form of ACR-NEMA
_DATES: Final = ("PatientBirthDate", "StudyDate")
_OLDEST_YEARS: Final = 130.0  # beyond it a slip, or what somebody wrote to hide the age


class NoNumberError(ValueError):
    """An attribute gives no number: `keyword` says which one, `problem` why."""

    def __init__(self, keyword: str, problem: str) -> None:
        super().__init__(f"{keyword} {problem}")
        self.keyword = keyword
        self.problem = problem


def numbers_of(spec: InputSpec, headers: SourceHeaders) -> tuple[Float32, list[Remark]]:
    """Return the numbers of an [[input]] of kind "tags", float32 (n,), and what must be said of them.

    Raises NoNumberError where an attribute has no number and engine.toml no default.
    """
    said = first_texts(headers, [*(number.tag for number in spec.tags), *_DATES])
    numbers, remarks = [], []
    for number in spec.tags:
        value = _value(said, number)
        if isinstance(value, str):
            if number.default is None:
                raise NoNumberError(number.tag, value)
            text = f"{number.tag} {value}; the analysis went on with a value that engine.toml gives."
            remarks.append(Remark(kind=RemarkKind.LIMIT, text=text))
            value = number.default
        numbers.append((value - number.mean) / number.sd)
    return np.array(numbers, dtype=np.float32), remarks


def _value(said: Mapping[str, str], number: TagNumber) -> float | str:
    """Return the number, or why there is none."""
    text = said[number.tag]
    if number.values:
        if text in number.values:
            return number.values[text]
        return "is absent" if not text else "has a value that engine.toml gives no number"
    if number.tag == "PatientAge":
        return _age_years(said)
    if not text:
        return "is absent"
    try:
        value = float(text)
    except ValueError:
        return "is not a number"
    return value if math.isfinite(value) else "is not a number"


def _age_years(said: Mapping[str, str]) -> float | str:
    text = said["PatientAge"]
    found = _AGE.fullmatch(text)
    if found is not None:
        years = int(found[1]) / _PER_YEAR[found[2]]
        return years if years <= _OLDEST_YEARS else "is not an age"
    born, seen = (_date(said[keyword]) for keyword in _DATES)
    if born is None or seen is None:
        return "is not an age" if text else "is absent, and so is Patient's Birth Date or Study Date"
    years = seen.year - born.year - ((seen.month, seen.day) < (born.month, born.day))
    if not 0 <= years <= _OLDEST_YEARS:
        return "is not an age" if text else "is absent, and Patient's Birth Date and Study Date give no age"
    return float(years)


def _date(text: str) -> date | None:
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    try:
        return date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        return None
