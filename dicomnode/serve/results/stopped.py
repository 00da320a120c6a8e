"""What the geometry guard stopped: in quarantine, with a picture of what was found and one of what it says.

The names are made of digests. Pictures of masks and outlines show no image; those of maps and derived images
show their numbers. The patient's name is in neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

import structlog

from dicomnode.faults import GEOMETRY_GUARD, NodeError
from dicomnode.report import MismatchError, draw_mismatch
from dicomnode.serve.logs import fault_facts
from dicomnode.store import Store
from dicomnode.values import Findings

log = structlog.get_logger("dicomnode.serve")

_REASON = "geometry-guard"
_DIGITS = 24


@contextmanager
def put_aside(findings: Findings, store: Store) -> Iterator[None]:
    """Keep the objects that the guard stops while they are written; the failure then says where they lie."""
    try:
        yield
    except MismatchError as mismatch:
        raise _kept(mismatch, findings, store) from mismatch


def _kept(mismatch: MismatchError, findings: Findings, store: Store) -> NodeError:
    """Keep the objects as they were written, and draw them; where the disk takes nothing, do without."""
    names = [sha256(content).hexdigest()[:_DIGITS] for content in mismatch.contents]
    try:
        objects = {f"{name}.dcm": one for name, one in zip(names, mismatch.contents, strict=True)}
        paths = store.quarantine_new(objects, _REASON)
        pictures = draw_mismatch(mismatch.contents, findings, mismatch.difference)
        if pictures is not None:
            found, back = pictures
            both = {f"{names[0]}-found.png": found, f"{names[0]}-read-back.png": back}
            paths += store.quarantine_new(both, _REASON)
    except NodeError as error:
        log.error("quarantine.failed", **fault_facts(error))
        return mismatch
    where = ", ".join(map(str, paths))
    return NodeError(
        GEOMETRY_GUARD,
        difference=f"{mismatch.difference} (it is in quarantine, with pictures of both: {where})",
    )
