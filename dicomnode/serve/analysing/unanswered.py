"""Findings of an engine that found nothing out, with the reason."""

from __future__ import annotations

from dicomnode import __version__
from dicomnode.assemble import Stack, source_of
from dicomnode.engine import EnginePackage
from dicomnode.faults import FAULTS, Fault
from dicomnode.serve.analysing.occasion import Occasion
from dicomnode.values import Findings, Outcome, Provenance, Refusal, Remark, RemarkKind


def not_analysed(package: EnginePackage, stack: Stack, refusal: Refusal, occasion: Occasion) -> Findings:
    """Say that the engine wanted the series and why it could not have it."""
    fault: Fault = FAULTS[refusal.code]
    remark = Remark(kind=RemarkKind.NOT_ANALYSED, text=refusal.text, code=fault.code)
    return without_answer(package, stack, Outcome.NOT_ANALYSED, remark, occasion)


def without_answer(
    package: EnginePackage, stack: Stack, outcome: Outcome, remark: Remark, occasion: Occasion
) -> Findings:
    """Make Findings of an engine that found nothing out; the remark says why."""
    manifest = package.manifest
    return Findings(
        outcome=outcome,
        sources=(source_of(stack, manifest.input[0].name),),
        provenance=Provenance(
            engine=manifest.name,
            version=manifest.version,
            title=manifest.title,
            use=manifest.use,
            engine_digest=package.digest,
            runtime="none",
            precision="none",
            device="none",
            node_version=__version__,
        ),
        made_at=occasion.made_at,
        study_version=occasion.study_version,
        remarks=(remark,),
    )
