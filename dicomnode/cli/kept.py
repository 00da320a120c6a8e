"""`dicomnode why STUDY --out DIR`: kept findings as files, as `try` writes them, marked as not delivered."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from dicomnode.cli.output import console, failure_document, print_table
from dicomnode.faults import PICTURES_NOT_DRAWN, NodeError

if TYPE_CHECKING:
    from pathlib import Path

    from dicomnode.journal import Journal
    from dicomnode.settings import Settings

# It stands before the name of each file: nobody shall take it for what the archive has, or import it unawares
_MARK: Final = "not-delivered-"


def write_kept(journal: Journal, settings: Settings, study_uid: str, out: Path) -> dict[str, Any]:
    """Write objects and pictures of a study's kept findings; give what was written, and what could not be.

    The objects have UIDs of their own, made with a salt that is thrown away: none is that of a delivery.
    Raises NodeError: NO_FINDINGS_KEPT, FILE_NOT_WRITTEN.
    """
    from dicomnode.assemble import DecoderPool
    from dicomnode.cli.findings import write_results
    from dicomnode.report import ReportProfile
    from dicomnode.serve import decoder_limits, kept_results

    profile = ReportProfile(kinds=("SEG", "SR"), series_number=settings.report.series_number)
    objects: list[dict[str, Any]] = []
    pictures: list[str] = []
    problems: list[dict[str, Any]] = []
    with DecoderPool(decoder_limits(settings.assemble)) as decoders:
        for engine, kept in kept_results(journal, study_uid, profile, os.urandom(32), decoders):
            if isinstance(kept, NodeError):
                problems.append(_problem(engine, kept))
                continue
            written = write_results([kept.result], out, _MARK)
            objects += [
                {
                    "engine": engine,
                    "kind": made.kind,
                    "sop_instance_uid": made.sop_instance_uid,
                    "path": str(written.objects[made.sop_instance_uid]),
                }
                for made in kept.result.objects
            ]
            pictures += map(str, written.pictures)
            if kept.without_volume:
                reason = kept.without_volume
                problems.append(_problem(engine, NodeError(PICTURES_NOT_DRAWN, engine=engine, reason=reason)))
    return {"delivered": False, "objects": objects, "pictures": pictures, "problems": problems}


def _problem(engine: str, error: NodeError) -> dict[str, Any]:
    return {"engine": engine, **failure_document(error)["error"]}


def print_kept(written: dict[str, Any], out: Path) -> None:
    """Print what was written and that it is delivered nowhere; what could not be made, on stderr."""
    rows = [(one["engine"], one["kind"], one["path"]) for one in written["objects"]]
    of_pictures = [("", "picture", path) for path in written["pictures"]]
    if rows:
        print_table("Written anew, not delivered", ("engine", "kind", "file"), [*rows, *of_pictures])
    for one in written["problems"]:
        console.print(f"{one['code']} {one['text']}", markup=False)
        console.print(f"        {one['remedy']}", markup=False, style="dim")
    if rows:
        said = (
            f"Nothing in {out} was delivered: these objects have UIDs of their own, and the node sends none."
        )
        console.print(said, markup=False)
