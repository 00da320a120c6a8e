"""Codes for the names that people give to classes: from DICOM's own dictionary of concepts (PS3.16).

A name that the dictionary does not know gets a code of a private scheme, so that the engine runs; the card
says that it wants a real one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from dicomnode.values.codes import Code

# PS3.16 section 8.2: schemes that begin with 99 are private
LOCAL_SCHEME: Final = "99LOCAL"
_COLOURS_RGB: Final = (
    (255, 160, 0),
    (102, 170, 255),
    (102, 220, 190),
    (230, 110, 160),
    (190, 150, 255),
    (220, 220, 90),
    (150, 200, 90),
    (240, 120, 90),
)
_LESIONS: Final = re.compile(
    r"(?i)nodule|tumou?r|lesion|cancer|carcinoma|metasta|neoplasm|\bmass\b|cyst|ha?emorrh|infarct|(o)?edema|"
    r"bleed|fracture|candidate|finding"
)
_TISSUES: Final = re.compile(r"(?i)matter|\bfat\b|muscle|tissue|fluid|\bcsf\b|myocardium")
_SIDES: Final = re.compile(r"(?i)(?:^|[\s_-])(left|right)(?=$|[\s_-])")
_KINDS: Final[Mapping[str, Code]] = {
    "anatomy": Code("91723000", "SCT", "Anatomical Structure"),
    "lesion": Code("49755003", "SCT", "Morphologically Abnormal Structure"),
    "tissue": Code("85756007", "SCT", "Tissue"),
}
_BRITISH: Final = (("Grey", "Gray"), ("Tumour", "Tumor"), ("Haemo", "Hemo"), ("Oedema", "Edema"))
_LONGEST_NAME: Final = 48


def stem_of(name: str) -> str:
    """Return a name as a label of engine.toml may be: lower case, with "-" between words."""
    stem = re.sub(r"[^a-z0-9]+", "-", name.strip().lower()).strip("-")[:_LONGEST_NAME].strip("-")
    return stem if stem[:1].isalpha() else f"class-{stem}".strip("-")


def concept_of(name: str) -> Code:
    """Return the code for a name, of SNOMED CT as DICOM has it, or of a private scheme."""
    from pydicom.sr.codedict import codes  # noqa: PLC0415  a large table, for who makes an engine

    for keyword in _keywords(name):
        try:
            found = getattr(codes.SCT, keyword)
        except (AttributeError, RuntimeError):  # none, or several
            continue
        return Code(found.value, "SCT", found.meaning[:64])
    words = stem_of(name).replace("-", " ")
    return Code(stem_of(name).replace("-", "")[:16].upper(), LOCAL_SCHEME, words[:1].upper() + words[1:])


def _keywords(name: str) -> Iterator[str]:
    """Yield how the dictionary may call it: "left lungs" as LeftLungs, LeftLung, Lungs, Lung."""
    for words in (name, _SIDES.sub(" ", name)):
        keyword = "".join(word[:1].upper() + word[1:].lower() for word in re.split(r"[^A-Za-z0-9]+", words))
        for old, new in _BRITISH:
            keyword = keyword.replace(old, new)
        yield keyword
        yield keyword.removesuffix("s")


def segment_output(name: str, number: int, measure: list[str]) -> dict[str, Any]:
    """Return the [[output]] of a class that is voxels; number: its place among the classes, from 0."""
    kind = "lesion" if _LESIONS.search(name) else "tissue" if _TISSUES.search(name) else "anatomy"
    words = stem_of(name).replace("-", " ")
    title = words[:1].upper() + words[1:]
    made: dict[str, Any] = {"segment": stem_of(name), "kind": kind}
    side = _SIDES.search(name)
    if side is not None:
        made["laterality"] = side[1].lower()
        made["segment"] = stem_of(_SIDES.sub(" ", name)) or made["segment"]
    return made | {
        "category": code_table(_KINDS[kind]),
        "type": code_table(concept_of(name)),
        "tracking": f"{title} {{number}}" if kind == "lesion" else title,
        "colour_rgb": list(_COLOURS_RGB[number % len(_COLOURS_RGB)]),
        "measure": measure,
    }


def code_table(code: Code) -> dict[str, str]:
    """Return a code as engine.toml writes it."""
    return {"scheme": code.scheme, "code": code.value, "meaning": code.meaning}
