"""Which SOP classes and transfer syntaxes this node takes as a Storage SCP, and which it picks.

An association can *propose* 128 presentation contexts (PS3.8 9.3.2.2); what an acceptor *supports* has no
such limit, since only what is proposed is answered. So all storage classes are supported that the standard
has, for images, waveforms, reports, presentation states, segmentations (label maps too), registrations,
radiotherapy and documents: what the node cannot analyse it keeps, and a study arrives whole.

Left out, and to be named in [receive] storage_classes by a site that needs them: retired classes (their
definitions are withdrawn, so nothing can be promised about them), the classes of other industries (DICOS,
DICONDE), and objects that belong to no patient (hanging protocols, colour palettes, implant templates).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from pydicom._uid_dict import UID_dictionary
from pynetdicom import AllStoragePresentationContexts
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # they are made at import
    StorageCommitmentPushModel,
    Verification,
)

# Of these the better first: Explicit VR keeps the VRs of private elements
UNCOMPRESSED: Final = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2")

# Stored as they come, whether or not this node can decode them; retired JPEG processes stand in archives.
# Left out: deflated ones (1.2.1.99, JPIP 4.95 and 4.205, 8.1), where a few kB may stand for gigabytes;
# 1.2.6.x and 1.20 (retired, not used by DIMSE); 1.2.7.x (live video, no files).
TRANSFER_SYNTAXES: Final = (
    *UNCOMPRESSED,
    "1.2.840.10008.1.2.1.98",
    *(f"1.2.840.10008.1.2.4.{number}" for number in (*range(50, 67), 70, 80, 81, *range(90, 95))),
    *(f"1.2.840.10008.1.2.4.{number}{part}" for number in range(100, 107) for part in ("", ".1")),
    *(f"1.2.840.10008.1.2.4.{number}" for number in (107, 108, 110, 111, 112, 201, 202, 203, 204)),
    "1.2.840.10008.1.2.5",
)

_RANK: Final = {syntax: rank for rank, syntax in enumerate(UNCOMPRESSED)}
_TRANSFER_SYNTAXES: Final = frozenset(TRANSFER_SYNTAXES)


def storage_classes(extra: Iterable[str] = ()) -> frozenset[str]:
    """Return the storage SOP Class UIDs that this node takes, and those of `extra` (UIDs or keywords).

    Raises ValueError for a keyword that is not known; the settings have been checked for that before.
    """
    known = {entry[4]: uid for uid, entry in UID_dictionary.items()}
    uids = {str(context.abstract_syntax) for context in AllStoragePresentationContexts}
    for name in extra:
        uid = name if name[:1].isdigit() else known.get(name)
        if uid is None:
            raise ValueError(f"{name!r} is no keyword of a SOP Class")
        uids.add(uid)
    return frozenset(uids)


def narrow(proposed: Iterable[PresentationContext]) -> list[PresentationContext]:
    """Return the proposals of one association, each with the one transfer syntax that we pick of it.

    pynetdicom would take the first syntax of the *acceptor's* list that was proposed, the same for all
    contexts of a class: senders would convert their images, or even compress them with loss. A proposal
    without any syntax that this node takes stays as it is, to be rejected.
    """
    narrowed = []
    for context in proposed:
        syntaxes = [str(syntax) for syntax in context.transfer_syntax]
        picked = _context(str(context.abstract_syntax), pick_order(syntaxes)[:1] or syntaxes)
        picked.context_id = context.context_id
        narrowed.append(picked)
    return narrowed


def supported_contexts(
    proposed: Iterable[PresentationContext], classes: frozenset[str]
) -> list[PresentationContext]:
    """Return what this node supports as far as one association asks for it: to make them all takes long."""
    wanted: dict[str, list[str]] = {}
    for context in proposed:
        uid = str(context.abstract_syntax)
        if uid in classes or uid == Verification:
            syntaxes = [str(syntax) for syntax in context.transfer_syntax]
            wanted.setdefault(uid, []).extend(pick_order(syntaxes))
    supported = [_context(uid, syntaxes) for uid, syntaxes in wanted.items() if syntaxes]
    for context in supported:
        if context.abstract_syntax == StorageCommitmentPushModel:
            # Whoever reports comes as the SCP (PS3.4 J.3.3), whoever asks as the SCU: both roles are accepted
            context.scu_role = context.scp_role = True
    return supported


def pick_order(proposed: Sequence[str]) -> list[str]:
    """Sort the transfer syntaxes of one proposal that this node takes, the one to pick first.

    A sender names first what it has: a compressed original is taken as it is. Where it begins with an
    uncompressed one, Explicit VR Little Endian is preferred among these (PS3.5 A.2).
    """
    supported = [syntax for syntax in proposed if syntax in _TRANSFER_SYNTAXES]
    if supported and supported[0] in _RANK:
        supported.sort(key=lambda syntax: _RANK.get(syntax, len(_RANK)))
    return supported


def _context(uid: str, syntaxes: Sequence[str]) -> PresentationContext:
    context = PresentationContext()
    context.abstract_syntax = uid
    context.transfer_syntax = list(syntaxes)
    return context
