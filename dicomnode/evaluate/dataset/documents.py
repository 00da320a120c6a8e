"""The JSON of the look of a data set: the words of the values, lists in a stable order, absent means null."""

from __future__ import annotations

from typing import Any, Final

from dicomnode.evaluate.dataset.look import DataSetLook
from dicomnode.evaluate.outcomes import CaseName

SCHEMA: Final = 1


def look_document(look: DataSetLook) -> dict[str, Any]:
    """Return the look as what `json` can write. Cases are told by their place within the data and UIDs."""
    outliers = {one.case: one for one in look.outliers}
    cases = []
    for n, case in enumerate(look.cases):
        apart = outliers.get(n)
        cases.append(
            {
                **_case(case),
                "place_xy": [float(value) for value in look.places[n]],
                "group": int(look.groups[n]),
                "label": look.labels[n] or None,
                "local_outlier_factor": None if apart is None else apart.local_outlier_factor,
                "isolation": None if apart is None else apart.isolation,
            }
        )
    return {
        "schema": SCHEMA,
        "features": look.features,
        "features_are": look.by,
        "explained": list(look.explained),
        "silhouette": look.silhouette,
        "typical_cases": [list(cases) for cases in look.middles],
        "cases": cases,
        "near_duplicates": [
            {
                "first": one.first,
                "second": one.second,
                "cosine": one.cosine,
                "bits_apart": one.bits_apart,
                "same_patient": one.same_patient,
                "turned": one.turned or None,
            }
            for one in look.duplicates
        ],
        "label_suspects": {
            "judged": look.suspects.asked,
            "reason": look.suspects.reason or None,
            "found": [
                {
                    "case": one.case,
                    "given": one.given,
                    "likelier": one.likelier,
                    "probability": one.probability,
                    "likelier_probability": one.likelier_probability,
                }
                for one in look.suspects.found
            ],
        },
        "remarks": list(look.remarks),
    }


def _case(case: CaseName) -> dict[str, Any]:
    return {
        "patient": case.patient,
        "study_instance_uid": case.study_instance_uid,
        "series_instance_uid": case.series_instance_uid or None,
        "place": case.place or None,
    }
