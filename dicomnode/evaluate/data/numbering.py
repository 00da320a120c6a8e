"""Patients by numbers: what is written and shown of an evaluation holds nothing of a Patient ID.

A hash of an ID can be undone by trying all IDs; a number cannot. The keys of a kept split stay hashes: a
patient must be known again there when studies are added.
"""

from __future__ import annotations

from dataclasses import replace

from dicomnode.evaluate.data.studies import LabelledData


def numbered(data: LabelledData, among: LabelledData | None = None) -> LabelledData:
    """Call each patient by a number, in the order of the Study Instance UIDs of `among`, or of the data.

    Equal data give equal numbers; those of a part are the ones of the whole, which is then `among`. The
    numbers have as many digits each, so that they sort as they count.
    """
    whole = data if among is None else among
    order = sorted(whole.studies, key=lambda one: one.study.study_instance_uid)
    numbers: dict[str, int] = {}
    for study in order:
        numbers.setdefault(study.patient, len(numbers) + 1)
    digits = max(4, len(str(len(numbers))))
    return replace(
        data,
        studies=tuple(
            replace(study, patient=f"patient-{numbers[study.patient]:0{digits}d}") for study in data.studies
        ),
    )
