"""What the name of a class most likely means: codes of SNOMED CT, and the [[output]] of a segment.

People name classes in words, DICOM needs codes. For organs and findings that are named plainly the code is
proposed (PS3.16 CID 7151 and what it includes, and its dictionary of concepts); any other name gets a code of
the node's own scheme, made from the name, so that the same word has the same code everywhere and no two words
share one. A person should look: the card says so.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from dicomnode.values.codes import Code

Kind = Literal["anatomy", "lesion", "tissue"]
Side = Literal["left", "right"]
CodeTable = Mapping[str, str]

# PS3.16 section 8.2: schemes that begin with 99 are private
PRIVATE_SCHEME: Final = "99DICOMNODE"
CATEGORIES: Final[Mapping[Kind, CodeTable]] = {
    "anatomy": {"scheme": "SCT", "code": "91723000", "meaning": "Anatomical Structure"},
    "lesion": {"scheme": "SCT", "code": "49755003", "meaning": "Morphologically Abnormal Structure"},
    "tissue": {"scheme": "SCT", "code": "85756007", "meaning": "Tissue"},
}
_TISSUES: Final = frozenset({"csf", "fat", "fluid", "matter", "muscle", "myocardium", "tissue"})
_BRITISH: Final = (("Grey", "Gray"), ("Tumour", "Tumor"), ("Haemo", "Hemo"), ("Oedema", "Edema"))
_LONGEST_NAME: Final = 48
_LONGEST_MEANING: Final = 64

# Words in their plainest form → code and meaning as PS3.16 and SNOMED CT have them
_ORGANS: Final[Mapping[str, tuple[str, str]]] = {
    "adrenal gland": ("23451007", "Adrenal gland"),
    "aorta": ("15825003", "Aorta"),
    "bladder": ("89837001", "Bladder"),
    "bone": ("272673000", "Bone"),
    "brain": ("12738006", "Brain"),
    "colon": ("71854001", "Colon"),
    "duodenum": ("38848004", "Duodenum"),
    "esophagus": ("32849002", "Esophagus"),
    "femur": ("71341001", "Femur"),
    "gallbladder": ("28231008", "Gallbladder"),
    "heart": ("80891009", "Heart"),
    "hippocampus": ("5366008", "Hippocampus"),
    "inferior vena cava": ("64131007", "Inferior vena cava"),
    "kidney": ("64033007", "Kidney"),
    "left atrium": ("82471001", "Left atrium"),
    "liver": ("10200004", "Liver"),
    "lung": ("39607008", "Lung"),
    "mandible": ("91609006", "Mandible"),
    "pancreas": ("15776009", "Pancreas"),
    "portal vein": ("32764006", "Portal vein"),
    "prostate": ("41216001", "Prostate"),
    "pulmonary artery": ("81040000", "Pulmonary artery"),
    "rib": ("113197003", "Rib"),
    "right atrium": ("73829009", "Right atrium"),
    "sacrum": ("54735007", "Sacrum"),
    "skull": ("89546000", "Skull"),
    "small bowel": ("30315005", "Small intestine"),
    "spinal cord": ("2748008", "Spinal cord"),
    "spleen": ("78961009", "Spleen"),
    "stomach": ("69695003", "Stomach"),
    "thyroid": ("69748006", "Thyroid"),
    "trachea": ("44567001", "Trachea"),
    "uterus": ("35039007", "Uterus"),
    "vertebra": ("51282000", "Vertebra"),
    # The five lobes (SNOMED CT: Structure of … lobe of … lung)
    "left lung lower lobe": ("41224006", "Lower lobe of left lung"),
    "left lung upper lobe": ("44714003", "Upper lobe of left lung"),
    "right lung lower lobe": ("266005", "Lower lobe of right lung"),
    "right lung middle lobe": ("72481006", "Middle lobe of right lung"),
    "right lung upper lobe": ("42400003", "Upper lobe of right lung"),
}
# What may be disease: never an organ, though PS3.16 lists both alike. None: it has no code in PS3.16
_FINDINGS: Final[Mapping[str, tuple[str, str] | None]] = {
    "abscess": ("44132006", "Abscess"),
    "aneurysm": ("85659009", "Aneurysm"),
    "atelectasis": None,
    "calcification": None,
    "candidate": None,
    "consolidation": None,
    "cyst": ("367643001", "Cyst"),
    "edema": ("79654002", "Edema"),
    "effusion": None,
    "embolism": ("55584005", "Embolism"),
    "emphysema": None,
    "finding": None,
    "fracture": None,
    "hematoma": ("35566002", "Hematoma"),
    "hemorrhage": ("50960005", "Hemorrhage"),
    "infarct": None,
    "ischemia": None,
    "lesion": ("52988006", "Lesion"),
    "mass": ("4147007", "Mass"),
    "necrosis": ("6574001", "Necrosis"),
    "nodule": ("27925004", "Nodule"),
    "plaque": ("1522000", "Plaque"),
    "pneumonia": None,
    "pneumothorax": ("36118008", "Pneumothorax"),
    "polyp": None,
    "stenosis": ("415582006", "Stenosis"),
    "stroke": ("309966001", "Stroke"),
    "thrombus": ("396339007", "Thrombus"),
    "tumor": ("108369006", "Neoplasm"),
}
_SPELLINGS: Final[Mapping[str, str]] = {
    "abscesses": "abscess",
    "adrenal": "adrenal gland",
    "bleed": "hemorrhage",
    "bleeding": "hemorrhage",
    "cancer": "tumor",
    "cancerous": "tumor",
    "carcinoma": "tumor",
    "emboli": "embolism",
    "embolus": "embolism",
    "esophageal": "esophagus",
    "gall bladder": "gallbladder",
    "haematoma": "hematoma",
    "haemorrhage": "hemorrhage",
    "infarction": "infarct",
    "ischaemia": "ischemia",
    "ivc": "inferior vena cava",
    "kidneys": "kidney",
    "lungs": "lung",
    "masses": "mass",
    "metastases": "tumor",
    "metastasis": "tumor",
    "metastatic": "tumor",
    "neoplasm": "tumor",
    "oedema": "edema",
    "oesophagus": "esophagus",
    "postcava": "inferior vena cava",
    "small intestine": "small bowel",
    "thrombi": "thrombus",
    "thyroid gland": "thyroid",
    "tumour": "tumor",
    "urinary bladder": "bladder",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What a label is taken for. stem: of the segment's label. site: the organ that a finding lies in.

    known: the code is one of SNOMED CT, and not one of the node's own.
    """

    stem: str
    kind: Kind
    category: CodeTable
    type: CodeTable
    laterality: Side | None = None
    site: CodeTable | None = None
    known: bool = True


def stem_of(name: str) -> str:
    """Return a name as a label of engine.toml may be: lower case, with "-" between words."""
    stem = re.sub(r"[^a-z0-9]+", "-", name.strip().lower()).strip("-")[:_LONGEST_NAME].strip("-")
    return stem if stem[:1].isalpha() else f"class-{stem}".strip("-")


def meaning_of(name: str) -> Meaning:
    """Say what a label of this name most likely means."""
    words = re.sub(r"[^a-z0-9]+", " ", name.lower()).split()
    organ = _organ(words)
    if organ is not None:
        return organ
    finding = next((one for one in map(_plain, reversed(words)) if one in _FINDINGS), None)
    if finding is None:
        return _own(name, words)
    around = _organ([word for word in words if _plain(word) != finding])
    code = _FINDINGS[finding]
    return Meaning(
        stem=stem_of(name),
        kind="lesion",
        category=CATEGORIES["lesion"],
        type=_own(name, words).type if code is None else _snomed(code),
        site=around.type if around is not None else None,
        known=code is not None,
    )


def concept_of(name: str) -> Code:
    """Return the code for a name: of SNOMED CT, or of the node's own scheme."""
    found = meaning_of(name).type
    return Code(found["code"], found["scheme"], found["meaning"])


def segment_output(name: str, measure: Sequence[str]) -> dict[str, Any]:
    """Return the [[output]] of a class that is voxels."""
    words = re.sub(r"[^A-Za-z0-9]+", " ", name).strip()
    title = words[:1].upper() + words[1:].lower()
    return segment_of(meaning_of(name), title, measure)


def segment_of(meaning: Meaning, title: str, measure: Sequence[str]) -> dict[str, Any]:
    """Return the [[output]] of a segment. title: what people read; of lesions with a number."""
    # A Tracking Identifier is a form: what is in braces would be filled in
    tracking = title.replace("{", "(").replace("}", ")").strip() or "label"
    made: dict[str, Any] = {"segment": meaning.stem, "kind": meaning.kind}
    if meaning.laterality is not None:
        made["laterality"] = meaning.laterality
    made |= {"category": dict(meaning.category), "type": dict(meaning.type)}
    if meaning.site is not None:
        made["site"] = dict(meaning.site)
    return made | {
        "tracking": f"{tracking} {{number}}" if meaning.kind == "lesion" else tracking,
        "measure": list(measure),
    }


def code_table(code: Code) -> dict[str, str]:
    """Return a code as engine.toml writes it."""
    return {"scheme": code.scheme, "code": code.value, "meaning": code.meaning}


def _organ(words: Sequence[str]) -> Meaning | None:
    """Return the organ that all of the words name, with its side; None where they name none."""
    whole = _lobe(words) or " ".join(words)
    side: Side | None = None
    if whole not in _ORGANS and ("left" in words) != ("right" in words):
        side = "left" if "left" in words else "right"
        whole = " ".join(word for word in words if word != side)
    whole = _plain(whole)
    kind: Kind = "tissue" if _TISSUES.intersection(map(_plain, words)) else "anatomy"
    code = _ORGANS.get(whole)
    if code is None and side is not None:
        # The left ventricle is no left one of two like ventricles: it has a code of its own
        code = _of_dictionary(f"{side} {whole}")
        if code is not None and side in code[1].lower():
            return Meaning(
                stem=stem_of(f"{side} {whole}"), kind=kind, category=CATEGORIES[kind], type=_snomed(code)
            )
    code = code or _of_dictionary(whole)
    if code is None:
        return None
    return Meaning(
        stem=stem_of(whole), kind=kind, category=CATEGORIES[kind], type=_snomed(code), laterality=side
    )


def _of_dictionary(words: str) -> tuple[str, str] | None:
    """Return what PS3.16 calls so; None for findings, which are no organs, and what it does not know."""
    if not words or any(_plain(word) in _FINDINGS for word in words.split()):
        return None
    from pydicom.sr.codedict import codes  # noqa: PLC0415  a large table, for who makes an engine

    for keyword in _keywords(words):
        try:
            found = getattr(codes.SCT, keyword)
        except (AttributeError, RuntimeError):  # none, or several
            continue
        return found.value, found.meaning[:_LONGEST_MEANING]
    return None


def _keywords(name: str) -> Iterator[str]:
    """Yield how the dictionary may call it: "left lungs" as LeftLungs and LeftLung."""
    keyword = "".join(word[:1].upper() + word[1:].lower() for word in re.split(r"[^A-Za-z0-9]+", name))
    for old, new in _BRITISH:
        keyword = keyword.replace(old, new)
    yield keyword
    yield keyword.removesuffix("s")


def _lobe(words: Sequence[str]) -> str:
    """Return "left lung upper lobe" for the many orders of these words; empty for others."""
    sides, levels = {"left", "right"} & set(words), {"upper", "middle", "lower"} & set(words)
    if not {"lobe", "lung"} <= set(words) or len(sides) != 1 or len(levels) != 1:
        return ""
    return f"{sides.pop()} lung {levels.pop()} lobe"


def _plain(words: str) -> str:
    """Return words as the tables have them: in their plainest spelling, and one for several."""
    for spelling in (words, words.removesuffix("s")):
        plain = _SPELLINGS.get(spelling, spelling)
        if plain in _ORGANS or plain in _FINDINGS:
            return plain
    return _SPELLINGS.get(words, words)


def _snomed(code: tuple[str, str]) -> CodeTable:
    return {"scheme": "SCT", "code": code[0], "meaning": code[1]}


def _own(name: str, words: Sequence[str]) -> Meaning:
    digest = hashlib.sha256(" ".join(words).encode()).hexdigest()
    code = f"L{digest[:12].upper()}"
    meaning = name.strip()[:_LONGEST_MEANING] or "label"
    return Meaning(
        stem=stem_of(name),
        kind="tissue",
        category=CATEGORIES["tissue"],
        type={"scheme": PRIVATE_SCHEME, "code": code, "meaning": meaning},
        known=False,
    )
