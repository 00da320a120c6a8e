"""From a chosen stack to Findings: the piece of the walk that `try` and the worker share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from dicomnode import __version__
from dicomnode.analyse import Analysis, Analyst
from dicomnode.assemble import Ahead, Stack, load_volume, nothing_ahead, source_of
from dicomnode.engine import EnginePackage
from dicomnode.faults import FAULTS, Fault, NodeError
from dicomnode.values import (
    Findings,
    Outcome,
    Progress,
    Provenance,
    Refusal,
    Remark,
    RemarkKind,
    Volume,
)

# Rows that say something about the images, not about this machine: a result ("not analysed, because …"),
# not a failure to be tried again.
_OF_THE_IMAGES: Final = "DN-3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """What a result is made for.

    made_at: the moment that its dates name, in the zone that they are written in (PS3.3 C.12.1.1.7: without
    a Timezone Offset From UTC, times are those of the site). salt: of its UIDs.
    """

    study_version: int
    made_at: datetime
    salt: bytes


def analyse_stack(
    analyst: Analyst, stack: Stack, occasion: Occasion, progress: Progress, ahead: Ahead = nothing_ahead
) -> tuple[Findings, Volume | None]:
    """Decode the stack, but for the slices that `ahead` has, and run the engine on it.

    Images that turn out not to be readable as a volume give Findings "not analysed"; then there is no
    volume. Raises NodeError for what is the machine's fault.
    """
    package = analyst.package
    if stack.facts.refusal is not None:
        return not_analysed(package, stack, stack.facts.refusal, occasion), None
    try:
        volume = load_volume(stack, progress, ahead)
    except NodeError as error:
        if not error.fault.code.startswith(_OF_THE_IMAGES):
            raise
        refusal = error.refusal
        return not_analysed(package, stack, refusal, occasion), None
    analysis = Analysis(
        volumes={package.manifest.input[0].name: volume},
        salt=occasion.salt,
        study_version=occasion.study_version,
        made_at=occasion.made_at,
    )
    return analyst.analyse(analysis, progress), volume


def not_analysed(package: EnginePackage, stack: Stack, refusal: Refusal, occasion: Occasion) -> Findings:
    """Say that the engine wanted the series and why it could not have it."""
    manifest = package.manifest
    fault: Fault = FAULTS[refusal.code]
    return Findings(
        outcome=Outcome.NOT_ANALYSED,
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
        remarks=(Remark(kind=RemarkKind.NOT_ANALYSED, text=refusal.text, code=fault.code),),
    )
