"""The second look: whether anything of the patient is left in the bytes of an exported file.

It shares no code and no table with what made the file: it takes what the source says of the patient, and
looks for it, letter by letter, in what was written: as it stands there, without accents, with a dash or
none, glued to other words, dates in the ways that people write them. A hit is a refusal. Only the list of
ordinary words is shared: a name that is one of them is no leak where codes stand.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from pydicom import DataElement, Dataset
from pydicom.multival import MultiValue

from dicomnode.learn.deidentify.words import is_clean

# Attributes whose values say who the patient is, who treats, and where (beside all names of persons)
_LISTED: Final = """
AccessionNumber AdmissionID BreedRegistrationNumber ClinicalTrialSubjectID ClinicalTrialSubjectReadingID
ContainerIdentifier CountryOfResidence CurrentPatientLocation DeviceID DeviceSerialNumber
FillerOrderNumberImagingServiceRequest FillerOrderNumberImagingServiceRequestRetired
FillerOrderNumberProcedure InstitutionAddress InstitutionName InstitutionalDepartmentName
InsurancePlanIdentification IssuerOfPatientID MedicalRecordLocator MilitaryRank Occupation
PatientBirthDateInAlternativeCalendar PatientDeathDateInAlternativeCalendar PersonAddress
PersonTelephoneNumbers PlacerOrderNumberImagingServiceRequestRetired PlacerOrderNumberProcedure
ReferringPhysicianAddress ReferringPhysicianTelephoneNumbers ResponsibleOrganization SpecimenIdentifier
OtherPatientIDs PatientAddress PatientID PatientInsurancePlanCodeSequence PatientReligiousPreference
PatientTelephoneNumbers PatientTelecomInformation PerformedProcedureStepID PerformedStationName
PlacerOrderNumberImagingServiceRequest RegionOfResidence RequestedProcedureID RequestingService
ScheduledProcedureStepID ServiceEpisodeID StationName StudyID VerifyingOrganization
"""
_TELLING: Final = frozenset(_LISTED.split())
_DATES: Final = frozenset({"DA", "DT"})
# UIDs of the standard, and those that name kinds of things
_OF_KINDS: Final = ("Class", "TransferSyntax", "CodingScheme", "ContextUID", "MappingResource", "Template")
# What is written in these is of a vocabulary or of the maker of the machine, and a name may be a word, too
_OF_THE_MAKER: Final = frozenset({"Manufacturer", "ManufacturerModelName", "SoftwareVersions"})
# Texts of codes of others, and these two, are often typed by somebody
_PUBLIC_SCHEMES: Final = frozenset(
    {"99DICOMNODE", "DCM", "FMA", "LN", "RADLEX", "SCT", "SNM3", "SRT", "UCUM", "UMLS"}
)
_OFTEN_TYPED: Final = frozenset({"BodyPartExamined", "ImageType"})
_OF_CODES: Final = frozenset({"ContextGroupVersion", "ContextGroupLocalVersion"})
_PARTS_OF_NAMES: Final = re.compile(r"[\^=\s,.;\\]+")
_PARTS_OF_PARTS: Final = re.compile(r"[-'’‐]+")
_GLUED_NAME, _GLUED_NUMBER = 6, 10  # longer ones are found within other words and numbers, too
_GERMAN: Final = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "AE", "Ö": "OE", "Ü": "UE", "ß": "ss", "å": "aa", "Å": "AA"}
)
_NORDIC: Final = str.maketrans(
    {"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "æ": "ae", "Æ": "AE", "ß": "ss", "ı": "i"}
)
_ESCAPE: Final = re.compile(rb"\x1b(?:\$[()]?[@-C]|[()][@-J])")
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_YEAR_FIRST: Final = re.compile(rb"(?<!\d)((?:1[89]|2\d)\d\d)[-./](\d{1,2})[-./](\d{1,2})(?![\d.])")
_YEAR_LAST: Final = re.compile(rb"(?<![\d.])(\d{1,2})[-./](\d{1,2})[-./]((?:1[89]|2\d)?\d\d)(?![\d.])")
_NAMED: Final = re.compile(
    rb"(?<!\d)(\d{1,2})(?:st|nd|rd|th)?[ .-]{0,2}(%(m)s)[a-z]*[ .,-]{0,2}(\d{4})(?!\d)"
    rb"|(%(m)s)[a-z]*[ .]{1,2}(\d{1,2})(?:st|nd|rd|th)?[ ,]{1,2}(\d{4})(?!\d)"
    % {b"m": "|".join(_MONTHS).encode()},
    re.IGNORECASE,
)
_RUN_ON: Final = re.compile(rb"(?<!\d)((?:19|20)\d\d)(\d\d)(\d\d)(?!\d)")
_SHORTEST_NAME, _SHORTEST_TEXT, _SHORTEST_NUMBER = 3, 4, 6
_LONGEST_SAFE_PIXELS: Final = 8  # letters: what is shorter occurs in megabytes of pixels by chance
_EMPTY_WORDS: Final = frozenset(
    {"anonymized", "anonymous", "none", "null", "phantom", "synthetic", "unknown"}  # of nobody
)
# Those of Specific Character Set (PS3.3 C.12.1.1.2), and those that files have without saying so
_ENCODINGS: Final = (
    *("utf-8", "utf-16-le", "utf-16-be", "latin-1", "cp1251", "cp1252", "gb18030", "shift_jis"),
    *("euc_jp", "euc_kr", "iso2022_jp", "iso2022_jp_2", "iso2022_kr", "tis_620"),
    *(f"iso8859_{part}" for part in (2, 3, 4, 5, 6, 7, 8, 9, 15)),
)


@dataclass(slots=True)
class Traces:
    """What tells of a patient: texts by the attribute that they are of. short: too short to be looked for."""

    texts: dict[str, str] = field(default_factory=dict)
    dates: dict[str, str] = field(default_factory=dict)
    uids: dict[str, str] = field(default_factory=dict)
    short: set[str] = field(default_factory=set)

    def take(self, dataset: Dataset) -> None:
        """Take note of all that a data set tells, at every depth."""
        for element in dataset:
            if element.VR == "SQ":
                for item in element.value:
                    self.take(item)
            else:
                self._note(element)

    def of_file(self, uids: Traces) -> Traces:
        """What tells of the patient anywhere, with the UIDs of one file: those of others need no search."""
        return Traces(texts=self.texts, dates=self.dates, uids=uids.uids, short=self.short)

    def add(self, other: Traces) -> None:
        """Take over what other files of the patient tell."""
        self.add_texts(other)
        for date, keyword in other.dates.items():
            self.dates.setdefault(date, keyword)
        for uid, keyword in other.uids.items():
            self.uids.setdefault(uid, keyword)

    def add_texts(self, other: Traces) -> None:
        """Take over what others tell in words."""
        for text, keyword in other.texts.items():
            self.texts.setdefault(text, keyword)
        self.short |= other.short

    def _note(self, element: DataElement) -> None:
        keyword = element.keyword
        for text in _texts(element.value):
            if element.VR == "PN":
                self._text(keyword, text)
                for part in _PARTS_OF_NAMES.split(text):
                    self._text(keyword, part)
                    for half in _PARTS_OF_PARTS.split(part):
                        self._text(keyword, half)
            elif keyword in _TELLING:
                self._text(keyword, text)
            elif element.VR in _DATES and keyword not in _OF_CODES and re.match(r"(1[89]|2\d)\d{6}", text):
                self.dates.setdefault(text[:8], keyword)
            elif element.VR == "UI" and _is_of_a_thing(keyword, text):
                self.uids.setdefault(text, keyword)

    def _text(self, keyword: str, text: str) -> None:
        plain = text.strip()
        if not plain or plain.casefold() in _EMPTY_WORDS:
            return
        shortest = (
            _SHORTEST_NUMBER if plain.isdigit() else _SHORTEST_NAME if plain.isalpha() else _SHORTEST_TEXT
        )
        if len(plain) < shortest and plain.isascii():
            self.short.add(plain.casefold())
        else:
            self.texts.setdefault(plain, keyword)


def _is_of_a_thing(keyword: str, uid: str) -> bool:
    """Tell whether a UID names something of the patient's, and no kind of things."""
    return not uid.startswith("1.2.840.10008.") and not any(word in keyword for word in _OF_KINDS)


def look(written: bytes, read_back: Dataset, traces: Traces, meant_dates: Iterable[str] = ()) -> str | None:
    """Return the keyword of an attribute of the source whose value is still there; None where none is.

    written: the whole file. read_back: the same, read; its pixels are searched for longer values only.
    meant_dates: dates (YYYYMMDD) that moved ones became: they may equal another date of the patient.
    """
    pixels = _pixels(read_back)
    at = written.find(pixels) if pixels else -1
    rest = written if at < 0 else written[:at] + b"\0" + written[at + len(pixels) :]
    lowered, lowered_pixels = rest.lower(), pixels.lower()
    vocabulary = _vocabulary(read_back)
    meant = set(meant_dates)
    for text, keyword in traces.texts.items():
        if _count(lowered, text) > _in_words(vocabulary, text):
            return keyword
        if len(text) >= _LONGEST_SAFE_PIXELS and any(raw in lowered_pixels for raw in _encoded(text)):
            return keyword
    numbers, of_times = _without_decimals(rest), _dates_of_times(read_back)
    said = dates_in(rest)
    for date, keyword in traces.dates.items():
        if date not in meant and (date in of_times or date in said or _stands(date, numbers)):
            return keyword
    for uid, keyword in traces.uids.items():
        if re.search(rb"(?<![\d.])" + re.escape(uid.encode()) + rb"(?![\d.])", rest):
            return keyword
    return _same_short(read_back, traces)


def look_at_text(written: bytes, traces: Traces) -> str | None:
    """Return the keyword of an attribute of the source whose value a text tells; None where it tells none."""
    lowered = written.lower()
    of_words = (keyword for text, keyword in traces.texts.items() if _count(lowered, text))
    said = dates_in(written)
    of_dates = (keyword for date, keyword in traces.dates.items() if date in said or _stands(date, written))
    of_uids = (keyword for uid, keyword in traces.uids.items() if uid.encode() in written)
    return next((keyword for found in (of_words, of_dates, of_uids) for keyword in found), None)


def dates_in(content: bytes) -> set[str]:
    """Dates (YYYYMMDD) that a text tells, in the ways that people write them; both, where two are meant."""
    found = {(year, month, day) for year, month, day in _RUN_ON.findall(content)}
    found |= {(year, month, day) for year, month, day in _YEAR_FIRST.findall(content)}
    for one, two, year in _YEAR_LAST.findall(content):
        for whole in (year,) if len(year) == 4 else (b"19" + year, b"20" + year):
            found |= {(whole, two, one), (whole, one, two)}
    for day, month, year, month_first, day_second, year_last in _NAMED.findall(content):
        name = (month or month_first).decode().lower()
        number = str(_MONTHS.index(name) + 1).encode()
        found.add((year or year_last, number, day or day_second))
    return {
        f"{int(year):04d}{int(month):02d}{int(day):02d}"
        for year, month, day in found
        if 1 <= int(month) <= 12 and 1 <= int(day) <= 31
    }


def _same_short(read_back: Dataset, traces: Traces) -> str | None:
    """What is too short to be looked for in bytes must not stand in an attribute that tells of a patient."""
    found: list[str] = []

    def compare(_: Dataset, element: DataElement) -> None:
        if element.VR == "PN" or element.keyword in _TELLING:
            found.extend(element.keyword for text in _texts(element.value) if text.casefold() in traces.short)

    read_back.walk(compare)
    return found[0] if found else None


def _without_decimals(content: bytes) -> bytes:
    """Leave out UIDs and decimal numbers, whose digits may be those of a date by chance."""
    return re.sub(rb"\d*(\.\d+)+", b".", content)


def _stands(date: str, content: bytes) -> bool:
    return re.search(rb"(?<!\d)" + date.encode() + rb"(?!\d)", content) is not None


def _dates_of_times(dataset: Dataset) -> set[str]:
    """Dates at the beginning of a DT, whose digits go on."""
    found: set[str] = set()

    def collect(_: Dataset, element: DataElement) -> None:
        if element.VR == "DT":
            found.update(text[:8] for text in _texts(element.value))

    dataset.walk(collect)
    return found


def _count(content: bytes, text: str) -> int:
    """How often a text stands in bytes, in whatever encoding: as a whole word, if it is short."""
    before, after = _edges(text)
    patterns = [before.encode() + re.escape(raw) + after.encode() for raw in _encoded(text)]
    patterns += [re.escape(raw) for raw in _within_escapes(text)]
    return max(len(re.findall(pattern, content)) for pattern in patterns)


def _edges(text: str) -> tuple[str, str]:
    is_long = len(text) >= (_GLUED_NUMBER if text.isdigit() else _GLUED_NAME)
    return ("", "") if is_long else (r"(?<![a-z0-9])", r"(?![a-z0-9])")


def _spellings(text: str) -> set[str]:
    """A text as it stands, and as those write it who have no accents."""
    made = {text, unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)}
    for plain in (text.translate(_GERMAN), text.translate(_NORDIC)):
        apart = unicodedata.normalize("NFKD", plain)
        folded = "".join(one for one in apart if not unicodedata.combining(one))
        if len(folded) >= _SHORTEST_NAME and folded.isascii():
            made.add(folded)
    return made


def _encoded(text: str) -> set[bytes]:
    """A text as bytes, in all spellings, all encodings and in capitals; ASCII letters small."""
    made = set()
    for spelling in _spellings(text):
        encodings = ("ascii", "utf-16-le", "utf-16-be") if spelling.isascii() else _ENCODINGS
        for encoding in encodings:
            for variant in (spelling, spelling.upper(), spelling.lower()):
                with suppress(UnicodeEncodeError):
                    made.add(variant.encode(encoding).lower())
    return made


def _within_escapes(text: str) -> set[bytes]:
    """A text as bytes of ISO 2022 without its escapes: within a longer text they stand elsewhere."""
    made = set()
    for encoding in ("iso2022_jp_2", "iso2022_kr"):
        with suppress(UnicodeEncodeError):
            raw = text.encode(encoding)
            inner = _ESCAPE.sub(b"", raw).replace(b"\x0e", b"").replace(b"\x0f", b"")
            if inner != raw and not text.isascii() and len(inner) >= _SHORTEST_TEXT:
                made.add(inner.lower())
    return made


def _vocabulary(dataset: Dataset) -> list[str]:
    """Texts that are of a table of the standard, of a public one, or of the maker of the machine."""
    texts: list[str] = []

    def collect(within: Dataset, element: DataElement) -> None:
        values = _texts(element.value) if element.VR != "SQ" else []
        if element.keyword == "CodeMeaning":
            public = within.get("CodingSchemeDesignator") in _PUBLIC_SCHEMES
            texts.extend(one.casefold() for one in values if public)
        elif element.keyword in _OFTEN_TYPED:
            texts.extend(one.casefold() for one in values if is_clean(one))
        elif element.VR == "CS" or element.keyword in _OF_THE_MAKER:
            texts.extend(one.casefold() for one in values)

    dataset.walk(collect)
    return texts


def _in_words(vocabulary: Iterable[str], text: str) -> int:
    """How often a single word stands where names do not; numbers and names in full stand nowhere."""
    if not text.isalpha():
        return 0
    before, after = _edges(text)
    pattern = re.compile(before + re.escape(text.casefold()) + after)
    return sum(len(pattern.findall(one)) for one in vocabulary)


def _pixels(dataset: Dataset) -> bytes:
    value = dataset.get("PixelData")
    return value if isinstance(value, bytes) else b""


def _texts(value: Any) -> list[str]:
    values = list(value) if isinstance(value, MultiValue | list) else [value]
    return [
        text
        for one in values
        if one is not None and not isinstance(one, bytes) and (text := str(one).strip())
    ]
