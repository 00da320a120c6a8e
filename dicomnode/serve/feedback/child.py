"""Compares what somebody sent with our results: `python -m dicomnode.serve.feedback.child PARENT MEMORY`.

A request of paths comes on stdin, JSON; the answer goes to stdout, JSON. It reads what strangers sent, so it
may take so much memory, opens no socket, starts nothing and writes no file; its death costs one comparison.
"""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from dicomnode.assemble import Stack, read_studies
from dicomnode.assemble.annotations import read_annotations
from dicomnode.assemble.decoders.confine import confine, end_with_parent
from dicomnode.evaluate.feedback import Feedback, Judgement, OwnObject, OwnResult, compare, recognise
from dicomnode.faults import ANNOTATION_OF_OTHERS, NOT_MEASUREMENT_REPORT, NodeError
from dicomnode.serve.feedback.assessments import read_assessments
from dicomnode.store import load_findings
from dicomnode.values import Annotation, SetAside

_OF_OTHERS: Final = (ANNOTATION_OF_OTHERS.code, NOT_MEASUREMENT_REPORT.code)
_NICE: Final = 10  # what is to be analysed goes first: nobody waits for a comparison


def main() -> int:
    """Answer one request."""
    end_with_parent(int(sys.argv[1]))
    os.nice(_NICE)
    answers = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)  # what a library prints may quote what a header held
    os.dup2(nowhere, 2)
    request = json.load(sys.stdin)
    answer = _answer(request, int(sys.argv[2]))
    with os.fdopen(answers, "wb") as stream:
        stream.write(json.dumps(answer).encode())
    return 0


def _answer(request: Mapping[str, Any], memory_bytes: int) -> dict[str, Any]:
    try:
        studies = read_studies([Path(one) for one in request["images"]]).studies
        stacks = [stack for study in studies for series in study.series for stack in series.stacks]
        confine(memory_bytes)
        return _compared(request, stacks)
    except NodeError as error:
        # As text, but for numbers, which the row may want to round
        values = {k: v if isinstance(v, int | float) else str(v) for k, v in error.values.items()}
        return {"failed": error.fault.code, "values": values}
    except MemoryError:
        return {"unreadable": "it needs more memory than it may have."}


def _compared(request: Mapping[str, Any], stacks: Sequence[Stack]) -> dict[str, Any]:
    path = Path(request["theirs"])
    reading = read_annotations([path], stacks)
    said = [_whole(reading.annotations)] if reading.annotations else read_assessments(path)
    if not said:
        return _nothing_said(reading.set_aside)
    own = [_own(one, request["study"], stacks) for one in request["own"]]
    told: list[dict[str, Any]] = []
    for annotation in said:
        found = recognise(annotation, own)
        results = [one.own for one in found]
        for one in found:
            judgements = compare(one, [other for other in results if other is not one.own])
            told.append(_document(one, judgements))
    return {"verified": said[0].verified, "of_series": said[0].of_series, "recognised": told}


def _whole(annotations: Sequence[Annotation]) -> Annotation:
    """What one object says of several stacks, as one; masks lie on one of them."""
    first = annotations[0]
    return replace(
        first,
        regions=tuple(one for annotation in annotations for one in annotation.regions),
        answers=tuple(one for annotation in annotations for one in annotation.answers),
        measurements=tuple(one for annotation in annotations for one in annotation.measurements),
    )


def _nothing_said(set_aside: Sequence[SetAside]) -> dict[str, Any]:
    """A report of another kind, or on other images, says nothing of us; what is damaged is told."""
    if all(one.code in _OF_OTHERS for one in set_aside):
        return {"verified": False, "of_series": "", "recognised": []}
    return {"unreadable": " ".join(f"{one.text} ({one.code})" for one in set_aside)}


def _own(of: Mapping[str, Any], study_uid: str, stacks: Sequence[Stack]) -> OwnResult:
    findings = load_findings(Path(of["findings"]))
    made_by = findings.provenance
    paths = [Path(one["path"]) for one in of["objects"] if Path(one["path"]).exists()]
    said: dict[str, Annotation] = {}
    if paths:
        by_object: dict[str, list[Annotation]] = defaultdict(list)
        for annotation in read_annotations(paths, stacks).annotations:
            by_object[annotation.sop_instance_uid].append(annotation)
        said = {uid: _whole(some) for uid, some in by_object.items()}
    return OwnResult(
        engine=of["engine"],
        version=made_by.version,
        digest=made_by.engine_digest,
        study_instance_uid=study_uid,
        study_version=of["study_version"],
        findings=findings,
        objects=tuple(
            OwnObject(sop_instance_uid=one["uid"], said=said.get(one["uid"])) for one in of["objects"]
        ),
    )


def _document(feedback: Feedback, judgements: Sequence[Judgement]) -> dict[str, Any]:
    own = feedback.own
    return {
        "engine": own.engine,
        "engine_version": own.version,
        "engine_digest": own.digest,
        "study_version": own.study_version,
        "recognised_by": str(feedback.by),
        "series": sorted(own.series_instance_uids),
        "judgements": [
            {
                "kind": str(one.kind),
                "finding": one.finding,
                "label": one.label,
                "object_uid": one.object_uid,
                "tracking_uid": one.tracking_uid,
                "dice": one.dice,
                "difference_ml": one.difference_ml,
            }
            for one in judgements
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
