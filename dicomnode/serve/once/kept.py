"""Kept findings once more: objects, and the volume for pictures, of what an engine found, in shadow, too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from dicomnode.assemble import DecodeSlices, decode_here
from dicomnode.faults import NO_FINDINGS_KEPT, NodeError
from dicomnode.journal import FindingRecord, Journal, analysis_of
from dicomnode.report import ReportProfile, make_objects
from dicomnode.serve.analysing.looked_at import looked_at
from dicomnode.serve.identity.whose import renaming_of
from dicomnode.serve.once.trial import EngineResult
from dicomnode.store import load_findings
from dicomnode.values import Findings, Volume


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptResult:
    """What one engine found of a study's latest version that it saw.

    without_volume: why the volume is not there that pictures are drawn on; "" where it is, or where none was
    analysed.
    """

    result: EngineResult
    without_volume: str


def kept_results(
    journal: Journal, study_uid: str, profile: ReportProfile, salt: bytes, decode: DecodeSlices = decode_here
) -> Iterator[tuple[str, KeptResult | NodeError]]:
    """Make the objects anew of what each engine found; give them by the engine's name, one volume at a time.

    The objects say that they are for a look only. salt: of their UIDs.
    decode: as `load_volume`.
    What cannot be read or made of one engine is given, and keeps no other from its turn.
    Raises NodeError(NO_FINDINGS_KEPT).
    """
    latest: dict[str, FindingRecord] = {}
    for record in journal.findings(study_uid):  # by study version, and a failure behind what worked since
        before = latest.get(analysis := analysis_of(record.engine))
        if before is None or before.study_version < record.study_version:
            latest[analysis] = record
    if not latest:
        raise NodeError(NO_FINDINGS_KEPT, study=study_uid)
    for_a_look = replace(profile, for_a_look=True)
    paths = {instance.sop_instance_uid: instance.path for instance in journal.instances(study_uid)}
    for engine, record in sorted(latest.items()):
        try:
            findings = load_findings(record.path)
            renaming = renaming_of(study_uid, record.study_version, journal)
            objects = make_objects(findings, for_a_look, salt, renaming)
        except NodeError as error:
            yield engine, error
            continue
        volume, why_not = _volume(findings, paths, decode)
        result = EngineResult(findings=findings, volume=volume, objects=objects)
        yield engine, KeptResult(result=result, without_volume=why_not)


def _volume(findings: Findings, paths: dict[str, Path], decode: DecodeSlices) -> tuple[Volume | None, str]:
    """Decode what was analysed, or say why that cannot be."""
    source = findings.sources[0]
    if source.grid is None:
        return None, ""
    if source.plane is not None:
        return None, "no overlays are drawn on pictures yet"
    images, why_not = looked_at(findings, paths, decode)
    first = images[0] if images else None
    return (first, "") if isinstance(first, Volume) else (None, why_not)
