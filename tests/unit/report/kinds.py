"""Findings of every kind that an engine can have: one table for sentences, reports, pictures and judges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dicomnode.analyse.concepts import OF_CHANGES
from dicomnode.values import (
    Change,
    ChangeKind,
    Classification,
    ClassProbability,
    Code,
    DerivedImage,
    FeatureVector,
    FindingKind,
    Findings,
    FrameScore,
    Measurement,
    Outcome,
    Region,
    RegionKind,
    Remark,
    RemarkKind,
    ScalarMap,
)
from dicomnode.values.codes import HOUNSFIELD, LEFT, NO_UNIT
from tests.unit.report.sources import BEFORE, LUNG, NODULE, findings, not_analysed, nothing_found

PNEUMONIA = Code("233604007", "SCT", "Pneumonia")
ANOMALY = Code("ANOMALY", "99DICOMNODE", "Anomaly")
BONE_AGE = Code("BONEAGE", "99DICOMNODE", "Bone age")
MONTHS = Code("mo", "UCUM", "month")
ERROR = Code("ERROR", "99DICOMNODE", "Reconstruction error")

UNSEEN = Remark(kind=RemarkKind.NOT_ANALYSED, text="Nodule: not looked for, as …", type=NODULE, site=LUNG)
ABSENT = Remark(kind=RemarkKind.NO_FINDING, text="Nodule: none found.", type=NODULE, site=LUNG)
_PLAIN = findings(segments=(), remarks=())
_GRID = _PLAIN.sources[0].grid
assert _GRID is not None
_ORGANS = findings().segments[:2]
_NODULE = findings().segments[2]
_SPOT = Region(
    label="nodule-2",
    kind=RegionKind.POINT,
    points_lps_mm=((-2.5, -95.0, -300.0),),
    type=NODULE,
    tracking_uid="1.2.3",
    tracking_id="Nodule 2",
    algorithm="nodules 1",
    site=LUNG,
    laterality=LEFT,
    score=0.5,
)
_BOX = replace(
    _SPOT,
    label="nodule-3",
    kind=RegionKind.BOX,
    points_lps_mm=((-5.0, -99.0, -308.0), (1.0, -92.0, -295.0)),
    tracking_uid="1.2.4",
    score=None,
)
_PRESENT = Classification(label="pneumonia", type=PNEUMONIA, probability=0.87, threshold=0.5)
_ONE_OF = replace(
    _PRESENT,
    probabilities=tuple(
        ClassProbability(label=name, probability=part)
        for name, part in (("normal", 0.1), ("pneumonia", 0.87), ("effusion", 0.03))
    ),
)
_ABSENT_CLASS = replace(_PRESENT, probability=0.04)
SOLID = Code("SOLID", "99DICOMNODE", "Solid nodule")
GROUND_GLASS = Code("GROUNDGLASS", "99DICOMNODE", "Ground-glass nodule")
TYPED = (
    Classification(
        label="solid", type=SOLID, probability=0.91, threshold=0.5, algorithm="type 1.0.0", calibrated=True
    ),
    Classification(label="glass", type=GROUND_GLASS, probability=0.07, threshold=0.5, algorithm="type 1.0.0"),
)
"""What a step for each lesion says of one."""

COMPOSITION = Code("RDE1301", "RADELEMENT", "Composition")
COMPOSED = tuple(
    replace(one, type=type_, threshold=0.6, attribute=COMPOSITION, calibrated=True)
    for one, type_ in zip(
        TYPED,
        (Code("RDE1301.0", "RADELEMENT", "solid"), Code("RDE1301.1", "RADELEMENT", "ground glass")),
        strict=True,
    )
)
"""The same as values of one attribute."""
UNSURE = (replace(COMPOSED[0], probability=0.55), replace(COMPOSED[1], probability=0.4))
"""None of them is sure."""

_AGE = Measurement(
    name="bone_age",
    concept=BONE_AGE,
    value=123.4,
    unit=MONTHS,
    interval=(110.0, 137.0),
    interval_percent=95.0,
)
_HU = Measurement(name="mean_hu", concept=Code("112031", "DCM", "Attenuation"), value=-8.25, unit=HOUNSFIELD)
_SCORES = tuple(
    FrameScore(label="pneumonia", type=PNEUMONIA, frame=frame, k=k, score=0.9 if k in {4, 5} else 0.05 * k)
    for k, frame in enumerate(_PLAIN.sources[0].frames)
)
_VALUES = np.zeros(_GRID.shape_kji, dtype=np.float32)
_VALUES[3, 10, 20] = 2.5
_MAP = ScalarMap(label="heat", type=ERROR, unit=NO_UNIT, values=_VALUES, grid=_GRID, algorithm="a")
_MADE = DerivedImage(
    label="clean", description="Noise reduced", unit=HOUNSFIELD, values=_VALUES + 1, grid=_GRID, algorithm="a"
)
_FEATURES = FeatureVector(
    label="radiomics", names=("f0", "f1"), values=np.zeros(2, dtype=np.float32), algorithm="a"
)
_LOOKED = Outcome.NO_FINDINGS
_GREW = Change(
    kind=ChangeKind.MEASURED,
    type=NODULE,
    centre_lps_mm=(-2.5, -95.0, -300.0),
    label="nodule-1",
    earlier_volume_mm3=20.0,
    percent=75.0,
    days=365,
    doubling_days=452.1,
)
_UNPAIRED = replace(
    _GREW, kind=ChangeKind.NEW, percent=None, doubling_days=None, earlier_volume_mm3=None, label="nodule-3"
)
_GROWN = replace(
    _NODULE,
    measurements=(
        *_NODULE.measurements,
        *(
            Measurement(name=name, concept=of.code, value=value, unit=of.unit)
            for (name, of), value in zip(OF_CHANGES.items(), (0.02, 20.0, 75.0, 365.0, 452.1), strict=True)
            if name != "earlier_volume_ml"
        ),
    ),
)
_CHANGES = (
    _GREW,
    replace(_UNPAIRED, kind=ChangeKind.FOUND_IN_BOTH, label="nodule-2"),
    _UNPAIRED,
    replace(
        _UNPAIRED,
        kind=ChangeKind.NOT_FOUND_NOW,
        label=None,
        site=LUNG,
        laterality=LEFT,
        earlier_volume_mm3=1234.0,
    ),
    replace(_UNPAIRED, kind=ChangeKind.NOT_IMAGED_NOW, label=None, days=None, centre_lps_mm=(1.0, 2.0, 3.0)),
)

BOTH = "Right lung (1.79 ml) and left lung (1.39 ml) segmented"
NOT_SAID = "This is not a statement that nothing is there."

# What it is, the findings, and all that the conclusion says of them, word for word
KINDS: dict[str, tuple[Findings, list[str]]] = {
    "organs of an engine that looks for no lesion": (
        replace(_PLAIN, segments=_ORGANS),
        [f"{BOTH}."],
    ),
    "organs, and no lesion": (
        replace(_PLAIN, segments=_ORGANS, outcome=_LOOKED),
        [f"{BOTH}; no lesion marked."],
    ),
    "organs, and nothing of what was looked for": (
        replace(_PLAIN, segments=_ORGANS, outcome=_LOOKED, remarks=(ABSENT,)),
        [f"{BOTH}; no nodule marked (lung)."],
    ),
    "organs, and a lesion not looked for": (
        replace(_PLAIN, segments=_ORGANS, outcome=Outcome.NOT_ANALYSED, remarks=(UNSEEN,)),
        [f"{BOTH}; nodule not looked for (lung). {NOT_SAID}"],
    ),
    "organs, and nobody says what was not looked for": (
        replace(_PLAIN, segments=_ORGANS, outcome=Outcome.NOT_ANALYSED),
        [f"{BOTH}; lesions not looked for. {NOT_SAID}"],
    ),
    "organs and a lesion": (
        replace(_PLAIN, segments=(*_ORGANS, _NODULE)),
        [f"{BOTH}; nodule: 1 marked (35 mm3)."],
    ),
    "one lesion found, another not looked for": (
        replace(_PLAIN, segments=(_NODULE,), remarks=(replace(UNSEEN, type=PNEUMONIA),)),
        ["Nodule: 1 marked (35 mm3); pneumonia not looked for (lung)."],
    ),
    "two lesions": (
        replace(_PLAIN, segments=(_NODULE, replace(_NODULE, label="nodule-2", tracking_uid="1.2.5"))),
        ["Nodule: 2 marked (35 mm3, 35 mm3)."],
    ),
    "tissue": (
        replace(_PLAIN, segments=(replace(_ORGANS[0], kind=FindingKind.TISSUE),)),
        ["Right lung (1.79 ml) segmented."],
    ),
    "lesions, and what became of them since an earlier study": (
        replace(_PLAIN, segments=(_GROWN,), regions=(_SPOT, _BOX), changes=_CHANGES, earlier=(BEFORE,)),
        [
            "Nodule: 1 marked (35 mm3); nodule: 2 marked without outline.",
            "Lesions, compared with 365 days before: 1 grown, 1 new, 1 not found now, 2 not compared.",
        ],
    ),
    "lesions with classes of their own": (
        replace(
            _PLAIN,
            segments=(replace(_NODULE, classes=TYPED, score=0.8),),
            regions=(replace(_SPOT, classes=TYPED), replace(_BOX, classes=TYPED[:1])),
        ),
        ["Nodule: 1 marked (35 mm3); nodule: 2 marked without outline."],
    ),
    "lesions with an attribute, which of one is not sure": (
        replace(
            _PLAIN,
            segments=(replace(_NODULE, classes=COMPOSED, score=0.8),),
            regions=(
                replace(_SPOT, classes=UNSURE),
                replace(_BOX, classes=(replace(TYPED[0], label="firm"), *COMPOSED)),
            ),
        ),
        ["Nodule: 1 marked (35 mm3); nodule: 2 marked without outline."],
    ),
    "points and boxes": (
        replace(_PLAIN, regions=(_SPOT, _BOX)),
        ["Nodule: 2 marked without outline."],
    ),
    "a class": (
        replace(_PLAIN, classifications=(_PRESENT,)),
        ["Pneumonia: present, score 87.0 %, threshold 50.0 %."],
    ),
    "one of several classes": (
        replace(_PLAIN, classifications=(_ONE_OF,)),
        [
            (
                "Pneumonia: present, score 87.0 %, threshold 50.0 %; "
                "of 3 classes the next are normal 10.0 %, effusion 3.0 %."
            ),
        ],
    ),
    "a class that is not there": (
        replace(_PLAIN, outcome=_LOOKED, classifications=(_ABSENT_CLASS,)),
        ["Pneumonia: absent, score 4.0 %, threshold 50.0 %."],
    ),
    "organs and a class that is not there": (
        replace(_PLAIN, outcome=_LOOKED, segments=_ORGANS, classifications=(_ABSENT_CLASS,)),
        [f"{BOTH}.", "Pneumonia: absent, score 4.0 %, threshold 50.0 %."],
    ),
    "a sequence of slices": (
        replace(_PLAIN, classifications=(_PRESENT,), frame_scores=_SCORES),
        [
            "Pneumonia: present, score 87.0 %, threshold 50.0 %.",
            "Pneumonia: of 12 slices the highest score is 90.0 %, on image 5; 4 reach 50.0 %.",
        ],
    ),
    "a regression": (
        replace(_PLAIN, measurements=(_AGE, _HU)),
        [
            "Bone age: 123.4 mo; 95 % of such cases lie between 110 mo and 137 mo.",
            "Attenuation: -8.25 HU.",
        ],
    ),
    "an anomaly": (
        replace(
            _PLAIN,
            classifications=(replace(_PRESENT, label="anomaly", type=ANOMALY, probability=0.97),),
            measurements=(replace(_HU, concept=ERROR, value=2.5, unit=NO_UNIT),),
            maps=(_MAP,),
        ),
        [
            "Anomaly: present, score 97.0 %, threshold 50.0 %.",
            "Reconstruction error: 2.5.",
            "Map of reconstruction error (heat): 0 to 2.5, highest at 4.5 mm L, 93.2 mm A, 305.0 mm F.",
        ],
    ),
    "an image and features": (
        replace(_PLAIN, images=(_MADE,), features=(_FEATURES,)),
        ["Image made: noise reduced, 28 × 20 × 12 voxels.", "Features radiomics: 2 numbers."],
    ),
    "nothing found": (nothing_found(), ["No nodule marked (lung)."]),
    "nothing found, and no word more": (replace(_PLAIN, outcome=_LOOKED), ["No lesion marked."]),
    "done, and nothing to tell": (_PLAIN, ["The analysis was done."]),
    "not analysed": (not_analysed(), [f"The study was not analysed. {NOT_SAID}"]),
    "failed": (
        not_analysed(outcome=Outcome.FAILED),
        [f"The analysis failed. {NOT_SAID}"],
    ),
    "failed after the organs": (
        replace(_PLAIN, segments=_ORGANS, outcome=Outcome.FAILED),
        [f"The analysis failed. {NOT_SAID}", f"{BOTH}."],
    ),
}
