"""The one table of refusals and failures.

Codes are never reused or renumbered. `dicomnode fault CODE` prints a row, `docs/reference/faults.md` is
made from the table. A *refusal* is a value that travels on (`Fault.refusal`); a *failure* is an exception
with a row (`NodeError`). Titles and remedies take their values by name; no patient attribute is one of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath
from string import Formatter
from typing import Final

from dicomnode.values import Refusal


class Retry(StrEnum):
    """What the node does by itself after a failure."""

    NEVER = "never"
    BACKOFF = "backoff"
    NEEDS_PERSON = "needs_person"


class Severity(StrEnum):
    """How loud a fault is: an error needs somebody, a warning does not."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


# Exit codes (design section 8). A code that is not in this list is a failure.
EXIT_DONE: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_NOTHING: Final = 3
EXIT_PARTLY: Final = 4
EXIT_CONFIGURATION: Final = 10  # systemd does not restart on this one
EXIT_STORAGE: Final = 11
EXIT_ENGINE: Final = 12
EXIT_UNREACHABLE: Final = 13
EXIT_INTERRUPTED: Final = 130

EXIT_MEANINGS: Final[Mapping[int, str]] = {
    EXIT_DONE: "done",
    EXIT_FAILED: "it failed",
    EXIT_USAGE: "the command was used wrongly",
    EXIT_NOTHING: "not found, or nothing to do",
    EXIT_PARTLY: "partly done",
    EXIT_CONFIGURATION: "the configuration is wrong",
    EXIT_STORAGE: "the storage failed",
    EXIT_ENGINE: "an engine failed",
    EXIT_UNREACHABLE: "a peer could not be reached",
    EXIT_INTERRUPTED: "interrupted",
}


_PLACEHOLDER: Final = re.compile(r"\{(\w+)[^}]*\}")


# Values that are a path, whatever stands in it; and what looks like one in a text, but no part of a URL
_PATHS: Final = frozenset({"file", "folder", "path", "place"})
_PATH: Final = re.compile(r"(?:(?<![\w:/.])|(?<=\bfile:))/(?:[^\s/'\"]+/)+([^\s/'\"]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One row: what happened (title), what to do (remedy), and what the node does itself.

    dimse_status: of the C-STORE response where the fault refuses an instance (PS3.4 Table B.2-1, PS3.7
    Annex C). exit_code: of the command that ends with it.
    """

    code: str
    title: str
    remedy: str
    retry: Retry = Retry.NEVER
    severity: Severity = Severity.ERROR
    exit_code: int = EXIT_FAILED
    dimse_status: int | None = None

    def names(self) -> set[str]:
        """Names of the values that title and remedy want."""
        texts = (self.title, self.remedy)
        return {name for text in texts for _, name, _, _ in Formatter().parse(text) if name}

    @property
    def title_shown(self) -> str:
        """The title with <name> where a value will stand."""
        return _PLACEHOLDER.sub(r"<\1>", self.title)

    @property
    def remedy_shown(self) -> str:
        """The remedy with <name> where a value will stand."""
        return _PLACEHOLDER.sub(r"<\1>", self.remedy)

    def text(self, **values: object) -> str:
        """The title with its values; a value that is missing is a bug of the caller (KeyError)."""
        return self.title.format(**values)

    def refusal(self, sop_instance_uids: tuple[str, ...] = (), **values: object) -> Refusal:
        """Make the refusal that travels on with the study."""
        return Refusal(code=self.code, text=self.text(**values), sop_instance_uids=sop_instance_uids)


class NodeError(Exception):
    """A failure with a row of the table: `raise NodeError(STORE_FULL, reserve_gb=20, path=path)`."""

    def __init__(self, fault: Fault, /, **values: object) -> None:
        self.fault = fault
        self.values: Mapping[str, object] = values
        super().__init__(f"{fault.code} {fault.text(**values)}")

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return self.fault.remedy.format(**self.values)

    @property
    def refusal(self) -> Refusal:
        """The failure as a value that travels on, into results and out of the house: without local folders."""
        values = {name: _without_folders(name, value) for name, value in self.values.items()}
        return Refusal(code=self.fault.code, text=self.fault.text(**values))

    def __reduce__(self) -> tuple[object, ...]:  # it crosses process borders
        return _restore, (self.fault.code, dict(self.values))


def _without_folders(name: str, value: object) -> object:
    """Leave of a path its last name; of other texts, of each path in them."""
    if isinstance(value, PurePath):
        return value.name
    if not isinstance(value, str):
        return value
    if name in _PATHS and value.startswith(("/", "file:/")):
        return PurePath(value).name
    return _PATH.sub(r"\1", value)


def _restore(code: str, values: Mapping[str, object]) -> NodeError:
    return NodeError(FAULTS[code], **values)


_TABLE: list[Fault] = []


def _row(  # noqa: PLR0913  one argument a column of the table
    code: str,
    title: str,
    remedy: str,
    *,
    retry: Retry = Retry.NEVER,
    severity: Severity = Severity.ERROR,
    exit_code: int = EXIT_FAILED,
    dimse_status: int | None = None,
) -> Fault:
    fault = Fault(
        code=code,
        title=title,
        remedy=remedy,
        retry=retry,
        severity=severity,
        exit_code=exit_code,
        dimse_status=dimse_status,
    )
    _TABLE.append(fault)
    return fault


# ── 1xxx receive and store ────────────────────────────────────────────────────────────────────────
STORE_FULL = _row(
    "DN-1001",
    "The store at {path} has {free_gb:.1f} GB free, less than the reserve of {reserve_gb:.1f} GB.",
    "Free space on that disk or lower [store] reserve_gb; the node accepts again by itself.",
    retry=Retry.BACKOFF,
    exit_code=EXIT_STORAGE,
    dimse_status=0xA700,
)
STORE_WRITE_FAILED = _row(
    "DN-1002",
    "Writing to the store at {path} failed: {error}.",
    "Look at the disk (dmesg, smartctl). What was acknowledged before is safe; the sender keeps the rest.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_STORAGE,
    dimse_status=0xA700,
)
UID_MISSING = _row(
    "DN-1003",
    "A C-STORE request has no {attribute}.",
    "The sender is at fault (PS3.7 9.1.1): report calling AE title and time to its vendor.",
    severity=Severity.WARNING,
    dimse_status=0xC000,
)
UID_INVALID = _row(
    "DN-1004",
    "{attribute} {uid!r} is not a UID (PS3.5 9.1).",
    "The sender is at fault: report calling AE title and time to its vendor.",
    severity=Severity.WARNING,
    dimse_status=0x0117,
)
UID_MISMATCH = _row(
    "DN-1005",
    "{attribute} is {command_uid} in the C-STORE request and {dataset_uid} in the data set.",
    "The sender is at fault: nothing was stored; report calling AE title and time to its vendor.",
    severity=Severity.WARNING,
    dimse_status=0xA900,
)
CONTEXT_MISMATCH = _row(
    "DN-1006",
    "SOP Class {sop_class_uid} came on a presentation context negotiated for {abstract_syntax}.",
    "The sender is at fault: nothing was stored; report calling AE title and time to its vendor.",
    severity=Severity.WARNING,
    dimse_status=0x0122,
)
DATASET_UNREADABLE = _row(
    "DN-1007",
    "The data set of instance {sop_instance_uid} cannot be read: {error}.",
    "The instance was refused and not stored. Send it again; if it fails again, it is damaged at its source.",
    severity=Severity.WARNING,
    dimse_status=0xC000,
)
DUPLICATE_CONFLICT = _row(
    "DN-1008",
    "Instance {sop_instance_uid} came again with other content; the first is kept, the second is quarantined.",
    "Find out which of the two is right (`dicomnode why STUDY` tells of the conflict); the second lies in {path}.",
    retry=Retry.NEEDS_PERSON,
)
TORN_FILE = _row(
    "DN-1009",
    "{path} was never acknowledged (the seal is missing or does not fit its content) and was quarantined.",
    "Nothing to do: the sender was not told that it was stored, so it still has the instance.",
    severity=Severity.INFO,
)
STORE_NOT_LOCAL = _row(
    "DN-1010",
    "{path} lies on a network file system ({filesystem}), where nothing written is surely durable.",
    "Put [store] path and [journal] on a local disk.",
    exit_code=EXIT_CONFIGURATION,
)
STORE_IN_USE = _row(
    "DN-1011",
    "The store at {path} is in use by another node (process {pid}).",
    "Stop the other node (systemctl stop dicomnode), or give this one its own [store] path.",
    exit_code=EXIT_STORAGE,
)
FINDINGS_UNREADABLE = _row(
    "DN-1012",
    "The stored findings {path} cannot be read: {error}.",
    "Look at the disk (dmesg, smartctl) and keep the file for the bug report; this version cannot analyse a "
    "finished study again.",
    exit_code=EXIT_STORAGE,
)
SENDER_UNKNOWN = _row(
    "DN-1013",
    "Association from {address} rejected: calling AE title {calling_ae!r} to {called_ae!r} is not configured.",
    'If it may send, add to dicomnode.toml:  [[sender]]  ae_title = "{calling_ae}"  address = "{address}"',
    severity=Severity.WARNING,
    exit_code=EXIT_CONFIGURATION,
)
CALLED_AE_UNKNOWN = _row(
    "DN-1014",
    "Association from {calling_ae!r} at {address} rejected: it called {called_ae!r}, this node is {ae_title!r}.",
    "Correct the called AE title at the sender, or [node] ae_title here.",
    severity=Severity.WARNING,
    exit_code=EXIT_CONFIGURATION,
)
OBJECT_TOO_LARGE = _row(
    "DN-1015",
    "An instance from {calling_ae} has {size_mb:.0f} MB, more than the limit of {limit_mb:.0f} MB.",
    "Raise [receive] maximum_object_gb if such objects are wanted.",
    severity=Severity.WARNING,
    dimse_status=0xA700,
)
GROUPING_UID_WRONG = _row(
    "DN-1016",
    "The data set of instance {sop_instance_uid} has {found} as {attribute}, so it belongs nowhere.",
    "The sender is at fault: nothing was stored; report calling AE title and time to its vendor.",
    severity=Severity.WARNING,
    dimse_status=0xA900,
)
TOO_MANY_ASSOCIATIONS = _row(
    "DN-1017",
    "Association from {calling_ae!r} at {address} rejected for the moment: {limit} are open.",
    "The sender tries again later; raise [receive] maximum_associations if it happens often.",
    severity=Severity.WARNING,
)
ASSOCIATION_BROKEN = _row(
    "DN-1018",
    "The association with {calling_ae!r} at {address} was ended: {reason}.",
    "The sender is at fault, or the network: nothing incomplete was kept, and it still has the instance.",
    severity=Severity.WARNING,
)
OPERATION_UNKNOWN = _row(
    "DN-1019",
    "A request with Command Field 0x{command:04X} came; this node answers C-STORE, C-ECHO and the notices of its settings.",
    "Do not configure this node as a query, worklist or print provider at the peer.",
    severity=Severity.WARNING,
    dimse_status=0x0211,
)
NOTICE_UNREADABLE = _row(
    "DN-1040",
    "A notice of {calling_ae!r} ({kind}) cannot be read: {error}.",
    "Look into the log of the sender. Nothing depends on it alone: the study is complete by the other evidence.",
    severity=Severity.WARNING,
    dimse_status=0x0110,
)
NOTICE_LACKS = _row(
    "DN-1041",
    "A notice of {calling_ae!r} ({kind}) has no {attribute}.",
    "Look into the log of the sender. Nothing depends on it alone: the study is complete by the other evidence.",
    severity=Severity.WARNING,
    dimse_status=0x0120,
)
NOTICE_ACTION_UNKNOWN = _row(
    "DN-1042",
    "{calling_ae!r} asked for action {action} of {kind}, which there is not.",
    "Storage commitment has action 1 only; look into the log of the sender.",
    severity=Severity.WARNING,
    dimse_status=0x0123,
)
FILE_UNREADABLE = _row(
    "DN-1030",
    "{path} cannot be read: {error}.",
    "Look at the permissions of the file and at the disk (dmesg, smartctl).",
    retry=Retry.BACKOFF,
    exit_code=EXIT_STORAGE,
)

DECODERS_DO_NOT_START = _row(
    "DN-1031",
    "No process for decoding images can be started: {reason}.",
    "Look at the memory and the processes that the node may have (systemctl status, ulimit -u -v), and at its "
    "installation (`dicomnode check`).",
    retry=Retry.BACKOFF,
    exit_code=EXIT_FAILED,
)

SEALED_FILE_DAMAGED = _row(
    "DN-1020",
    "{path} was acknowledged, but its content no longer fits its seal; it was quarantined.",
    "The disk is at fault (dmesg, smartctl). Ask the sender for the study again.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_STORAGE,
)
STORE_TOO_NEW = _row(
    "DN-1021",
    "The store at {path} has layout {found}, this version knows {known}.",
    "Install the newer dicomnode again, or give this one its own [store] path.",
    exit_code=EXIT_STORAGE,
)
OBJECT_CONFLICT = _row(
    "DN-1022",
    "Result object {sop_instance_uid} was made again with other content; the first, {path}, is kept.",
    "If the first was never sent (`dicomnode why STUDY` tells), remove it and `dicomnode retry STUDY`. Report it.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_STORAGE,
)

# ── 2xxx network and delivery ─────────────────────────────────────────────────────────────────────
PEER_UNREACHABLE = _row(
    "DN-2001",
    "{name} ({host}:{port}, AE title {ae_title!r}) cannot be reached: {error}.",
    "Check that the peer runs and that no firewall is between. Deliveries are tried again by themselves; an "
    "archive that is asked ([[query]]) is asked anew with each study.",
    retry=Retry.BACKOFF,
    severity=Severity.WARNING,
    exit_code=EXIT_UNREACHABLE,
)
PEER_REJECTED = _row(
    "DN-2002",
    "{name} ({host}:{port}, AE title {ae_title!r}) rejected the association: {reason}.",
    "Register AE title {calling_ae!r} with this machine's address at the peer, and check the AE title that "
    "the peer is called by. Deliveries are tried again by themselves; an archive that is asked ([[query]]) is "
    "asked anew with each study.",
    retry=Retry.BACKOFF,
    exit_code=EXIT_UNREACHABLE,
)
NO_PRESENTATION_CONTEXT = _row(
    "DN-2003",
    "{name} does not accept {sop_class} (transfer syntax {transfer_syntax}).",
    "Allow this SOP Class at the peer, or take it out of [[destination]] objects; then `dicomnode retry`.",
    retry=Retry.NEEDS_PERSON,
)
STORE_REFUSED = _row(
    "DN-2004",
    "{name} refused {sop_class} {sop_instance_uid} with status 0x{status:04X}: {meaning}.",
    "Look for the reason in the log of the peer; then `dicomnode retry --destination {name}`.",
    retry=Retry.NEEDS_PERSON,
)
PEER_BUSY = _row(
    "DN-2005",
    "{name} could not take {sop_instance_uid} now: status 0x{status:04X}, {meaning}.",
    "Look at the disk and the log of the peer; the node tries again by itself.",
    retry=Retry.BACKOFF,
    severity=Severity.WARNING,
)
PEER_ABORTED = _row(
    "DN-2006",
    "The association with {name} ended before {sop_instance_uid} was answered: {reason}.",
    "The node sends the instance again by itself; sending it twice is harmless.",
    retry=Retry.BACKOFF,
    severity=Severity.WARNING,
    exit_code=EXIT_UNREACHABLE,
)
ECHO_FAILED = _row(
    "DN-2007",
    "{name} accepted the association, but C-ECHO failed: {reason}.",
    "The network and the AE titles are right; ask the administrator of the peer about Verification.",
    exit_code=EXIT_UNREACHABLE,
)

SEND_UNREADABLE = _row(
    "DN-2008",
    "{path} cannot be sent: {error}.",
    "Nothing was sent of this file. Look at it with `dcmdump`; if it is an object of the node itself, look at the "
    "disk (dmesg, smartctl).",
    retry=Retry.NEEDS_PERSON,
)
QUERY_FAILED = _row(
    "DN-2009",
    "{name} did not answer {request} with success: {reason}.",
    "Allow AE title {calling_ae!r} to query and retrieve at the peer, and look into the log of the peer.",
    exit_code=EXIT_UNREACHABLE,
)
DESTINATION_UNKNOWN = _row(
    "DN-2010",
    "Results were to go to {destination!r}, which dicomnode.toml does not name (any more).",
    "Put its [[destination]] back, restart the node, and run `dicomnode retry --destination {destination}`.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_CONFIGURATION,
)

# What others say of a study: how many images it has, what was done, what shall be kept
STUDY_INCOMPLETE = _row(
    "DN-2500",
    "The study is incomplete: {shortfall}.",
    "Send the study again from there: what comes makes a new version of it. [assemble] incomplete says what is "
    "done without the rest.",
    severity=Severity.WARNING,
)
STUDY_HELD = _row(
    "DN-2501",
    "The study is held because it is incomplete: {shortfall}.",
    "Send the rest of it; or, to have it analysed as it is, `dicomnode retry STUDY`.",
    retry=Retry.NEEDS_PERSON,
    severity=Severity.WARNING,
)
COMMITMENT_NOT_REPORTED = _row(
    "DN-2502",
    "{calling_ae!r} cannot be told what is committed (transaction {transaction_uid}): {error}.",
    "Check [[sender]] commitment_port, and that the sender takes reports; it will ask again, or it keeps its images.",
    severity=Severity.WARNING,
    exit_code=EXIT_UNREACHABLE,
)

# Delivery
RESULTS_HELD = _row(
    "DN-2600",
    "The results for {destination} are held until a person lets them go.",
    "Look at them (`dicomnode why STUDY`), then `dicomnode release STUDY --by NAME`, or `dicomnode retract STUDY "
    "--by NAME`.",
    retry=Retry.NEEDS_PERSON,
    severity=Severity.WARNING,
)
COMMITMENT_REFUSED = _row(
    "DN-2602",
    "{name} does not take the request for storage commitment: {reason}.",
    "Allow Storage Commitment (1.2.840.10008.1.20.1) for this node there, or set [[destination]] confirm to "
    "query or status.",
    severity=Severity.WARNING,
)
FOLDER_FAILED = _row(
    "DN-2605",
    "{name} cannot take results into {folder}: {error}.",
    "Let the folder be there, writable for the user of the service, with space; the node tries again by itself.",
)
SENDER_NOT_KNOWN = _row(
    "DN-2606",
    "{name} wants results to go back to the sender, and it is not known who sent the study.",
    "Name a destination for it: its images came from a folder, or before this version.",
    retry=Retry.NEEDS_PERSON,
)
PEER_NOT_TRUSTED = _row(
    "DN-2607",
    "The certificate of {name} ({host}:{port}) is not trusted: {reason}.",
    "If the hospital has a certificate authority of its own, enter its certificate as ca_file of {name}; the host "
    "must be one that the certificate names. Deliveries are tried again by themselves.",
    retry=Retry.BACKOFF,
    severity=Severity.WARNING,
    exit_code=EXIT_UNREACHABLE,
)
OUTSIDE_HOURS = _row(
    "DN-2608",
    "{name} gets results from {hours} only: they wait until then.",
    "Nothing is wrong. To send earlier, change [[destination]] hours.",
    severity=Severity.INFO,
)
WEB_REFUSED = _row(
    "DN-2609",
    "{name} does not take {sop_instance_uid} by STOW-RS: {reason}.",
    "Look into its log: it may want another transfer syntax, or smaller objects. Then `dicomnode retry "
    "--destination {name}`.",
    retry=Retry.NEEDS_PERSON,
)
COMMITMENT_LATE = _row(
    "DN-2603",
    "{name} has not said within {seconds:.0f} s whether it commits itself to {count} object(s).",
    "See whether it can open associations to this node, and knows its address and port; then `dicomnode retry`.",
    retry=Retry.NEEDS_PERSON,
)
LOST_THERE = _row(
    "DN-2604",
    "{name} has said {times} times that it stored {count} object(s), and does not have them.",
    "Look into its log and its disk: it loses what it takes. Then `dicomnode retry --destination {name}`.",
    retry=Retry.NEEDS_PERSON,
)
NOTHING_TAKEN = _row(
    "DN-2601",
    "{destination} takes no kind of object that it could get: {refused}.",
    "Allow these SOP Classes at the peer, or name others in [[destination]] objects; then "
    "`dicomnode retry --destination {destination}`.",
    retry=Retry.NEEDS_PERSON,
)

WEB_UNREACHABLE = _row(
    "DN-2540",
    "{name} ({url}) cannot be reached: {error}.",
    "Check that the DICOMweb service runs, and its address and certificate.",
    severity=Severity.WARNING,
    exit_code=EXIT_UNREACHABLE,
)
WEB_FAILED = _row(
    "DN-2541",
    "{name} did not answer {request} with success: {reason}.",
    "Look into the log of the DICOMweb service; let this machine query, and retrieve or store there.",
    severity=Severity.WARNING,
    exit_code=EXIT_UNREACHABLE,
)
FETCH_TOO_LARGE = _row(
    "DN-2542",
    "{name} has more of the series than is taken: {limit}.",
    "Raise the limit in [priors], or let the rules of the engine ask for a smaller series.",
    severity=Severity.WARNING,
)
FETCH_LATE = _row(
    "DN-2543",
    "{name} did not send the series within {seconds:.0f} s.",
    "Raise [priors] time_s, or find out why the archive is slow.",
    severity=Severity.WARNING,
)
FETCH_INCOMPLETE = _row(
    "DN-2544",
    "{name} sent {came} of {wanted} images of the series: {reason}.",
    "Look into the log of the archive; for C-MOVE it must know this node by its AE title, host and port, and this "
    "node must have it as a [[sender]].",
    severity=Severity.WARNING,
)
NO_PRIOR = _row(
    "DN-2545",
    "No prior for input {name!r}: {reason}.",
    "Nothing to do where there is none. Archives that are asked are named by [[query]].",
    severity=Severity.INFO,
)
FETCHED_AS_PRIOR = _row(
    "DN-2546",
    "The study was fetched as a prior of study {study}; it is not analysed itself.",
    "Send the study to the node to have it analysed.",
    severity=Severity.INFO,
)
OTHER_THAN_ASKED = _row(
    "DN-2547",
    "{name} sent an instance that was not asked for: its {attribute} is another one.",
    "It was not taken. Look into the log of the archive.",
    severity=Severity.WARNING,
)
FETCH_NOT_TAKEN = _row(
    "DN-2548",
    "An instance that {name} sent was not taken: {reason}.",
    "If it is the disk, make room; else the instance is damaged in the archive.",
    severity=Severity.WARNING,
)
SEARCH_LOST = _row(
    "DN-2549",
    "The search for priors of study {study} ended its process {count} times and was given up.",
    "The study is analysed without a prior. Keep the log (journalctl -u dicomnode) and report the bug; the archives "
    "that were asked are in the study's story (`dicomnode why STUDY`).",
)
WEB_LOGIN_REFUSED = _row(
    "DN-2550",
    "{name} ({url}) does not let this node in: {reason}.",
    "Check user and password, or token, of {name} ([[query]] or [[destination]]); they must be allowed to query, and to "
    "retrieve or store there.",
    severity=Severity.WARNING,
    exit_code=EXIT_UNREACHABLE,
)
WEB_SECRET_UNREADABLE = _row(
    "DN-2551",
    "The {what} that {name} wants cannot be read from {place}: {reason}.",
    "Let the file be there for the user of the service and for nobody else (chown, chmod 600), or give it as "
    "credential:NAME with LoadCredential= in the unit.",
    severity=Severity.WARNING,
    exit_code=EXIT_CONFIGURATION,
)
WEB_NOT_TRUSTED = _row(
    "DN-2552",
    "The certificate of {name} ({url}) is not trusted: {reason}.",
    "If the hospital has a certificate authority of its own, enter its certificate as ca_file of {name}; the host "
    "in url must be one that the certificate names.",
    severity=Severity.WARNING,
    exit_code=EXIT_UNREACHABLE,
)

# What is put right, set aside or taken back
CORRECTION_OUTDATED = _row(
    "DN-2520",
    "Instance {sop_instance_uid} came again as it was before its correction; it stays corrected.",
    "If the correction was wrong, correct the instance once more at its source: a sender may have had an old copy. "
    "Where it had followed a merge that was undone, have that sent the other way round (ADT^A40).",
    severity=Severity.WARNING,
)
REJECTION_NOTE_UNREADABLE = _row(
    "DN-2521",
    "The key object document {path} cannot be read, so nothing is set aside by it: {error}.",
    "If it is a rejection note, have it sent again; `dicomnode retract STUDY --by NAME` takes the results back meanwhile.",
    severity=Severity.WARNING,
)
NOTHING_TO_REJECT = _row(
    "DN-2522",
    "No rejection note can be written for {destination}: none of the results is there.",
    "Nothing to do: what was not delivered needs no rejection.",
    severity=Severity.INFO,
)
RESULT_GONE = _row(
    "DN-2523",
    "No rejection note can be written: the result object {path} cannot be read ({error}).",
    "Look at the disk (dmesg, smartctl), or restore the outbox; else reject the results at the archive by hand.",
    retry=Retry.NEEDS_PERSON,
)
RESULTS_REJECTED = _row(
    "DN-2524",
    "Its results were taken back, or rejected by a note of somebody else (DCM {codes}), and nothing was "
    "corrected since that could put that right: they are not sent again.",
    "Nothing to do if they were wrong. What was of the wrong one (DCM 113038) is made anew when all images come with "
    "another (0010,0020) or (0008,0050). To have the study analysed again: `dicomnode retry STUDY --retracted "
    "--by NAME`.",
    severity=Severity.WARNING,
)
MESSAGE_WRONG = _row(
    "DN-2530",
    "An HL7 message of {sender} was not understood: {problem}.",
    "Look into the log of the interface engine; the message was answered with AE and changed nothing.",
    severity=Severity.WARNING,
)
MESSAGE_UNWANTED = _row(
    "DN-2531",
    "An HL7 message of {sender} is not for this node: {problem}.",
    "Send ADT^A08 and ADT^A40 of HL7 2.2 to 2.9 only; the message was answered with AR and changed nothing.",
    severity=Severity.WARNING,
)
IDENTITY_UNREADABLE = _row(
    "DN-2532",
    "The record {path} of whose a study is cannot be read: {error}.",
    "Look at the disk (dmesg, smartctl); have the message (ADT^A08 or A40) sent again.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_STORAGE,
)
PATIENT_UNREAD = _row(
    "DN-2533",
    "It cannot be read whose study {study} is ({error}), so HL7 messages do not reach it.",
    "Look at the disk (dmesg, smartctl) or restore the files of the study; then have the messages on its patient "
    "sent again.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_STORAGE,
)
ENTRY_BEHIND = _row(
    "DN-2534",
    "{count} images that were acknowledged before an HL7 message are still to be entered after {wait_s} s.",
    "Nothing to do where many images come at once: the message was answered with AR and may come again. Else look "
    "at the log of the scheduler (journalctl -u dicomnode).",
    retry=Retry.BACKOFF,
    severity=Severity.WARNING,
)
ID_LEFT_OUT = _row(
    "DN-2535",
    "{source} merges patients, but does not say which ID follows that of this study, so the study stays as it is.",
    "Where it should follow, have the message sent again with the new ID of that issuer and type in PID-3.",
    severity=Severity.WARNING,
)
REPLACED_ID_CAME = _row(
    "DN-2536",
    "Images came again under the (0010,0020) that an HL7 message had replaced; the results keep the new one.",
    "Nothing to do where the sender had not heard of the message. Where the merge was undone, have that sent the "
    "other way round (ADT^A40 from the new ID to the old one): the results are written again. What had been "
    "written under the other ID: `dicomnode retract STUDY --earlier --reason worklist --by NAME`.",
    severity=Severity.WARNING,
)
WAITS_FOR_ANOTHER = _row(
    "DN-2537",
    "The study stays taken back as of the wrong patient or order (DCM 113038): what comes of it is kept, and not "
    "analysed.",
    "It is analysed anew once each image that may be used has come again since with another Patient ID or Accession "
    "Number than it ever had, or once a person says that it is right: `dicomnode retry STUDY --retracted --by NAME`.",
    severity=Severity.WARNING,
)
PATIENTS_MIXED = _row(
    "DN-2538",
    "Results of the study were of the wrong patient or order once (DCM 113038), and its images disagree in {tag} "
    "{keyword} now: nothing of it is analysed.",
    "Correct the headers of those that are wrong at their source and send them again, or reject them there; that "
    "goes on by itself. Where it is right so: `dicomnode retry STUDY --retracted --by NAME`.",
    retry=Retry.NEEDS_PERSON,
)

# ── 3xxx assemble: from instances to a volume ─────────────────────────────────────────────────────
NOT_DICOM = _row(
    "DN-3001",
    "{file} is not a DICOM Part 10 file: {error}.",
    "Leave the file out, or export it again from its source.",
    severity=Severity.INFO,
)
NO_PIXELS = _row(
    "DN-3002",
    "{sop_class} holds no image to analyse.",
    "Nothing to do: reports, segmentations, presentation states and the like are kept but not analysed.",
    severity=Severity.INFO,
)
TAG_MISSING = _row(
    "DN-3003",
    "{tag} {keyword} is missing, empty or not valid in {count} of {total} instances.",
    "The series cannot be placed in the patient. Send it again from the scanner, not from a secondary system.",
)
TAG_INCONSISTENT = _row(
    "DN-3004",
    "{tag} {keyword} differs {among}: {values}.",
    "Images that do not belong together were mixed: export the parts of a series as series of their own; correct a study "
    "of two patients in the archive and send it again.",
)
SLICE_GAP = _row(
    "DN-3005",
    "Slices are missing in {count} place(s): the distance is {found_mm:.3f} mm after slice {index} (position "
    "{position_mm:.2f} mm along the normal), {usual_mm:.3f} mm elsewhere.",
    "Send the missing images; the study is analysed again by itself.",
)
SLICES_IRREGULAR = _row(
    "DN-3006",
    "The distance between slices varies from {smallest_mm:.3f} to {largest_mm:.3f} mm: one lies {off_mm:.3f} mm "
    "from its place in an even grid (tolerance {tolerance_mm:.3f} mm).",
    "The engine needs evenly spaced slices; reconstruct the series with one interval.",
)
TOO_FEW_SLICES = _row(
    "DN-3007",
    "The series has {count} slice(s); a volume needs at least {minimum}.",
    "Nothing to do: single images and localizers are not volumes.",
    severity=Severity.INFO,
)
SAME_POSITION = _row(
    "DN-3008",
    "{count} images lie at one position ({position_mm:.2f} mm along the normal) and differ in {keyword}.",
    "The series holds several phases or reconstructions that could not be told apart; export them separately.",
)
GANTRY_TILT = _row(
    "DN-3009",
    "The slices are shifted against each other by {degrees:.1f} degrees, more than any gantry tilts ({limit:.0f} degrees).",
    "The positions in the headers are not those of a stack; send the series again from the scanner.",
)
DECODE_FAILED = _row(
    "DN-3010",
    "Pixel data of {count} of {total} instances cannot be decoded (transfer syntax {transfer_syntax}): {error}.",
    "Send the images uncompressed or lossless compressed; if they open in a viewer, report this as a bug.",
)
DECODE_SUSPECT = _row(
    "DN-3011",
    "Decoded pixels of instance {sop_instance_uid} are not plausible: {reason}.",
    "Open the image in a viewer. If it is right there, report this as a bug with its transfer syntax.",
)
NOT_A_VOLUME_CLASS = _row(
    "DN-3012",
    "{sop_class} is not read as a volume by this version.",
    "Nothing to do: it is kept, and a later version may analyse it.",
    severity=Severity.INFO,
)
LOCALIZER = _row(
    "DN-3013",
    "Image Type (0008,0008) says {image_type}: not part of the volume.",
    "Nothing to do: localizers and dose pages are set aside.",
    severity=Severity.INFO,
)
DUPLICATE_INSTANCE = _row(
    "DN-3014",
    "Instance {sop_instance_uid} has the position and the pixels of {kept_uid}, which is used.",
    "Nothing to do.",
    severity=Severity.INFO,
)
NO_INSTANCES = _row(
    "DN-3015",
    "{path} holds no DICOM instance.",
    "Name the folder that holds the study's files.",
    exit_code=EXIT_NOTHING,
)
HEADER_DAMAGED = _row(
    "DN-3016",
    "{file} is DICOM, but its header cannot be read: {error}.",
    "Send the image again; if it fails again, it is damaged at its source.",
    severity=Severity.WARNING,
)
SLICES_SHIFTED = _row(
    "DN-3017",
    "A slice is shifted within its plane by {shift_mm:.3f} mm against the line of the others (tolerance "
    "{tolerance_mm:.3f} mm).",
    "The table or the patient moved between the slices; reconstruct the series with one centre.",
)
GEOMETRY_IMPLAUSIBLE = _row(
    "DN-3018",
    "The headers cannot be true: {claim}.",
    "The header is damaged, or its lengths are not in mm; send the series again from the scanner.",
)
VOLUME_TOO_LARGE = _row(
    "DN-3019",
    "The series has {slices} slices of {rows} x {columns} pixels, more than the {limit} voxels of a volume.",
    "Send a reconstruction with fewer pixels or slices.",
)
SAME_UID = _row(
    "DN-3020",
    "{count} images of the series have the SOP Instance UID of another one, and are not the same image.",
    "A result could not say which image it means. Give each image a UID of its own and send them again.",
)
RANGE_NOT_SEEN = _row(
    "DN-3040",
    "Of this series {taken_mm:.1f} mm were looked at, from {first_mm:.1f} to {last_mm:.1f} mm along the normal of the "
    "slices; not looked at: {ranges}.",
    "The series holds several stacks, of which the engine takes one. Look at the rest, or send it as a series.",
    severity=Severity.WARNING,
)
FRAMES_UNPLACED = _row(
    "DN-3050",
    "{sop_class} has {frames} frame(s), but not as many items of (5200,9230) PerFrameFunctionalGroupsSequence, "
    "which say where each lies.",
    "Send it again from the scanner; a system between may have dropped the functional groups.",
)
TOO_MANY_FRAMES = _row(
    "DN-3053",
    "(0028,0008) NumberOfFrames is {frames}: of one object at most {most} frames are taken apart.",
    "Send it as several objects, or as single images. Such a number may also be damage: compare it with the "
    "images at the scanner.",
)
PROJECTION = _row(
    "DN-3051",
    "{tag} says {value}: rendered, projected or bent, not slices of a volume.",
    "Nothing to do: the series that it was made from is analysed, where it is sent.",
    severity=Severity.INFO,
)
VALUES_NOT_HU = _row(
    "DN-3052",
    "{tag} {keyword} is {found}, but the values are not Hounsfield units: no value is below 0, air lies near "
    "{air:.0f} and tissue near {tissue:.0f}.",
    "The rescale was lost on the way. Send the series again from the scanner.",
)
PICTURE_COLOURS = _row(
    "DN-3075",
    "{tag} {keyword} is {found}: this version reads grey pictures, palettes, RGB and YBR.",
    "Send it in one of these; open it in a viewer to see whether it is whole.",
)
PICTURE_TOO_LARGE = _row(
    "DN-3076",
    "Its {frames} frame(s) of {rows} × {columns} pixels take {gigabytes} GB, more than the {limit_gb} GB that "
    "a picture may.",
    "Send a shorter or smaller copy of it; a volume or a whole slide is no picture.",
)
PICTURE_TABLE = _row(
    "DN-3077",
    "The values of instance {sop_instance_uid} cannot be had by its {what}: {error}.",
    "Its header is damaged. Send it again from the device that made it.",
)
PICTURE_UNORIENTED = _row(
    "DN-3078",
    "Engine {engine} wants {wanted} of input {name}, and (0020,0020) PatientOrientation is {found}.",
    "Which way the picture lies is not told, and it is not guessed. Set Patient Orientation at the device that sends.",
)
PICTURES_DIFFER = _row(
    "DN-3079",
    "Input {name} of engine {engine} has {found} frames, rows and columns once it is prepared, and the first input "
    "{first}.",
    "Let the engine's `prepare` bring all pictures to one size: resize or letterbox.",
)
CINE_UNTIMED = _row(
    "DN-3080",
    "Engine {engine} wants {rate} frames a second of input {name}, and neither (0018,1063) FrameTime nor (0018,1065) "
    "FrameTimeVector nor (0018,0040) CineRate says when its frames were made.",
    "Send it again from the scanner; a system between may have dropped the times.",
)
DECODER_DIED = _row(
    "DN-3060",
    "The decoder ended with {how} on instance {sop_instance_uid} (transfer syntax {transfer_syntax}): its pixels are "
    "damaged, or the decoder is not right.",
    "Nothing else was hurt. Send the image again, best uncompressed; if it opens in a viewer, report this as a bug.",
)
DECODER_TOO_LONG = _row(
    "DN-3061",
    "Decoding instance {sop_instance_uid} (transfer syntax {transfer_syntax}) took longer than {limit_s:.0f} s and was "
    "ended.",
    "Send the image again, best uncompressed. If the machine is slow or the images are large, raise [assemble] "
    "decoder_time_s.",
)
DECODER_MEMORY = _row(
    "DN-3062",
    "Decoding instance {sop_instance_uid} needs more memory than a decoder may take.",
    "If the images are large, raise [assemble] decoder_memory_gb; else the image is damaged: send it again.",
)
PIXELS_MISSING = _row(
    "DN-3063",
    "{sop_class} has no (7FE0,0010) PixelData: only the header of the image came.",
    "Send the image again from where it was made; a system between has dropped its pixels.",
    severity=Severity.WARNING,
)
SERIES_TIED = _row(
    "DN-3085",
    "{count} series fit engine {engine} equally well, and it takes one only.",
    "`dicomnode why STUDY` shows them. Tell them apart by `prefer` of the engine's input, or let `ties` take the first "
    "of them or all.",
    severity=Severity.WARNING,
)

# ── 4xxx engine and analyse ───────────────────────────────────────────────────────────────────────
ENGINE_NOT_FOUND = _row(
    "DN-4001",
    "There is no engine {name!r} in {searched}.",
    "`dicomnode engine list` shows what there is; [[engine]] path names a folder of your own.",
    exit_code=EXIT_ENGINE,
)
MANIFEST_WRONG = _row(
    "DN-4002",
    "{path} is not right: {problems}.",
    "Correct engine.toml; `dicomnode engine check` tries it.",
    exit_code=EXIT_ENGINE,
)
DIGEST_MISMATCH = _row(
    "DN-4003",
    "{path} has SHA-256 {found}, engine.toml says {expected}: the network is not the one that was released.",
    "Install the engine again from its source; do not use this file.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_ENGINE,
)
RUNTIME_MISSING = _row(
    "DN-4004",
    "No runtime can run engine {engine}: {reasons}.",
    "Install one of them, for example `pip install onnxruntime`.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_ENGINE,
)
GATE_FAILED = _row(
    "DN-4005",
    "Engine {engine} did not pass its gate: {reason}.",
    "The engine is not used. Install it again; if it fails again on this machine, report it as a bug.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_ENGINE,
)
NETWORK_FAILED = _row(
    "DN-4006",
    "The network of engine {engine} failed: {error}.",
    "The study is tried again by itself; `dicomnode engine check {engine}` tries the engine alone.",
    retry=Retry.BACKOFF,
    exit_code=EXIT_ENGINE,
)
NO_ENGINE_WANTS = _row(
    "DN-4007",
    "No engine wants this study.",
    "`dicomnode why STUDY` shows each engine's first rule that failed, for each series.",
    severity=Severity.INFO,
    exit_code=EXIT_NOTHING,
)
NO_LUNGS = _row(
    "DN-4008",
    "No lungs were found: {reason}.",
    "Look at the series: it may show another part of the body.",
)
NETWORK_UNSAFE = _row(
    "DN-4009",
    "The engine cannot be used, as {path} of its package is refused: {reason}.",
    "Expected are all the files that its engine.toml names, regular ones in the engine's own folder, that only root and "
    "the node's user may change. Is one missing, copy the package again as a whole, from a source that you trust; then "
    "`dicomnode engine check NAME` tries it.",
    exit_code=EXIT_ENGINE,
)
EXPORT_FAILED = _row(
    "DN-4240",
    "{path} cannot be written: {error}.",
    "Name a folder that you may write to, with room for the networks.",
    exit_code=EXIT_FAILED,
)

PLAN_REFUSED = _row(
    "DN-4100",
    "TensorRT cannot read {file} of engine {engine}: {reasons}.",
    "Export the network again without these nodes, or leave the engine on another runtime (`dicomnode engine list` "
    "shows which there are).",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_ENGINE,
)
PLAN_NOT_BUILT = _row(
    "DN-4101",
    "TensorRT made no plan of {file} of engine {engine}: {reasons}.",
    "Give the GPU's memory free and run `dicomnode engine build {name}` again; meanwhile the engine runs on another "
    "runtime.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_ENGINE,
)
PLAN_MISSING = _row(
    "DN-4102",
    "There is no plan of {file} of engine {engine} for {device}: {reason}.",
    "Run `dicomnode engine build {name}` on this machine.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_ENGINE,
)
PLAN_NOT_LOADED = _row(
    "DN-4103",
    "The plan of {file} of engine {engine} does not load on {device}: {reasons}.",
    "Run `dicomnode engine build {name}` on this machine; a plan serves one version of TensorRT and one device.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_ENGINE,
)
CALIBRATION_EMPTY = _row(
    "DN-4104",
    "No study gives engine {engine} inputs to calibrate with: {reason}.",
    "Give a folder of studies that it analyses (`dicomnode try FOLDER` shows whether it does), or leave it on the "
    "seeded inputs of its gate.",
    exit_code=EXIT_NOTHING,
)
CALIBRATION_NOT_KEPT = _row(
    "DN-4105",
    "Inputs to calibrate with cannot be kept in {path}: {error}.",
    "Look at the disk that holds it, and whether this user may write there; then run the command again.",
    retry=Retry.BACKOFF,
    exit_code=EXIT_STORAGE,
)
PLANS_UNSAFE = _row(
    "DN-4120",
    "{path} is not used for plans: {reason}.",
    "A plan is code that the node runs. Give the folder to the user of the service with mode 0700 (`chown`, `chmod "
    "0700`), on a path that not everybody may write to, or name another one in [store] plans.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_ENGINE,
)
PLAN_QUARANTINED = _row(
    "DN-4121",
    "A plan was not loaded, and lies in {quarantine} now: {reason}.",
    "It is built again by itself at the next start, or by `dicomnode engine build`. If nobody can say who changed "
    "it, treat this as an intrusion.",
    retry=Retry.BACKOFF,
    exit_code=EXIT_ENGINE,
)
PLAN_BUILD_FAILED = _row(
    "DN-4122",
    "The plan of {plan} cannot be built: {reason}.",
    "Read {log}. The engine goes on with its previous plan, or on the CPU.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_ENGINE,
)
PLAN_BUILD_DIED = _row(
    "DN-4123",
    "The process that built the plan of {plan} ended with {status}; its last words: {tail}.",
    "Read {log}. Killed by signal 9 usually means that memory was short: stop what else uses it and run `dicomnode "
    "engine build` again. The engine goes on with its previous plan, or on the CPU.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_ENGINE,
)
PLAN_BUILD_TOO_LONG = _row(
    "DN-4124",
    "The plan of {plan} was not built within {limit_s:.0f} s; the build was ended.",
    "Read {log}. Run `dicomnode engine build --time-limit` with more seconds while nothing else uses the GPU.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_ENGINE,
)
PLAN_SECRET_WRONG = _row(
    "DN-4125",
    "The key that plans are signed with cannot be used: {reason}.",
    "Remove {path} and run `dicomnode engine build --all`: a new key is made, and all plans with it; or correct "
    "[store] plan_key.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_CONFIGURATION,
)
PLAN_NOT_WRITTEN = _row(
    "DN-4126",
    "A plan cannot be kept in {path}: {error}.",
    "Look at the disk that holds it (df, dmesg); then `dicomnode engine build`.",
    retry=Retry.BACKOFF,
    exit_code=EXIT_STORAGE,
)
CONVERTER_MISSING = _row(
    "DN-4127",
    "A network cannot be made {precision} here: {package} is missing ({error}).",
    "Install it where dicomnode is installed: `pip install 'dicomnode[convert]'`.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_ENGINE,
)
CONVERSION_REFUSED = _row(
    "DN-4128",
    "The network cannot be made {precision}: {reason}.",
    "Run it in another of its precisions; fp32 always works. bf16 has the range of fp32.",
    exit_code=EXIT_ENGINE,
)
CALIBRATION_WRONG = _row(
    "DN-4129",
    "The inputs to calibrate with cannot be used: {reason}.",
    "Give a folder of .npz files, each with one array per input of the network, under the input's name.",
    exit_code=EXIT_ENGINE,
)
RUNTIME_REFUSED = _row(
    "DN-4140",
    "Engine {engine} shall run on {runtime}, which may not serve it: {reasons}.",
    'Mend that, or allow another runtime: runtime = "auto", or fallback = true. `dicomnode engine check NAME '
    "--runtime {runtime}` tries it again.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_ENGINE,
)
CUDA_MISSING = _row(
    "DN-4160",
    "No CUDA device can be used: {reason}.",
    "`nvidia-smi` shows whether the driver sees a GPU; without one the engines run on the CPU.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_ENGINE,
)
CUDA_MEMORY = _row(
    "DN-4161",
    "{device} ran out of memory while {doing}: this process uses {used_mb:.0f} MB of it, {free_mb:.0f} MB are free.",
    "The study is tried again by itself; `nvidia-smi` shows who else holds memory of the GPU.",
    retry=Retry.BACKOFF,
    exit_code=EXIT_ENGINE,
)
CUDA_BROKEN = _row(
    "DN-4162",
    "{device} broke down while {doing}: {error}; this process cannot use it any more and must end.",
    "A fresh process takes the study again by itself; if it happens again, look for Xid messages in the kernel's log.",
    retry=Retry.BACKOFF,
    exit_code=EXIT_ENGINE,
)
CUDA_FAILED = _row(
    "DN-4163",
    "{device} failed while {doing}: {error}.",
    "The study is tried again by itself; if it fails again, report it as a bug.",
    retry=Retry.BACKOFF,
    exit_code=EXIT_ENGINE,
)
CUDA_UNFIT = _row(
    "DN-4164",
    "{device} cannot run the node's own kernels: {error}.",
    "The kernels need compute capability 7.5 or later, and a driver of release 535 or later (CUDA 12) or 580 or later "
    "(CUDA 13); update the driver.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_ENGINE,
)
KERNELS_MISSING = _row(
    "DN-4170",
    "The node's own GPU kernels are not in this installation: {file}: {problem}.",
    "Install a wheel that carries them, or make them where nvcc of CUDA 13 is: `make kernels`; without them engines run on the CPU.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_ENGINE,
)
KERNELS_ALTERED = _row(
    "DN-4171",
    "The node's own GPU kernels in {file} are not those that belong to it: {problem}.",
    "Install the node again, or make them again from its source: `make kernels`; until then engines run on the CPU.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_ENGINE,
)
KERNELS_UNFIT = _row(
    "DN-4172",
    "The driver is of CUDA {driver}; the node's own GPU kernels need CUDA 12 or later.",
    "Update the driver to release 535 or later; until then engines run on the CPU.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_ENGINE,
)

PREPARATION_NEEDS = _row(
    "DN-4190",
    "Engine {engine} prepares its input with {steps}, which need {packages}.",
    "Install what is missing: `pip install 'dicomnode[imaging]'`.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_ENGINE,
)
PREPARATION_FAILED = _row(
    "DN-4191",
    "The input of the engine cannot be prepared: {reason}.",
    "Compare `prepare` in engine.toml with the size and the spacing of the series.",
    exit_code=EXIT_ENGINE,
)

INPUT_MISSING = _row(
    "DN-4180",
    "Engine {engine} needs a series for its input {name!r}, and this study has none that holds all its rules: {reason}.",
    "Send the series that is missing; the study is analysed again by itself. `dicomnode why STUDY` shows the rules.",
)
NEEDS_REGISTRATION = _row(
    "DN-4181",
    "Engine {engine} cannot put the series for its input {name!r} onto that for {first!r}: they lie in different "
    "Frames of Reference, {frame} and {first_frame}, so they need registration.",
    "Send series of one examination in one Frame of Reference, or register them first.",
)
ATTRIBUTE_MISSING = _row(
    "DN-4182",
    "Engine {engine} needs {keyword} of the series as a number, and it {problem}.",
    "Correct the header at its source and send the study again, or give the number a default in engine.toml.",
)
REGISTRATION_FAILED = _row(
    "DN-4183",
    "Engine {engine} cannot lay the series for its input {name!r} over that for {first!r}: {reason}.",
    "Look at both series: they must show the same part of one patient. Without a match nothing is compared.",
    severity=Severity.WARNING,
)
NOT_COMPARED = _row(
    "DN-4184",
    "Lesions are not compared with those of the earlier study for input {name!r}: {reason}.",
    "Look at the earlier series: the engine runs on it as on the current one, and must find there what it needs.",
    severity=Severity.WARNING,
)
SOURCE_UNKNOWN = _row(
    "DN-4200",
    "{path} is nothing that an engine can be made of: {reason}.",
    "{advice} An engine is made of an ONNX file, a MONAI bundle, an nnU-Net v2 result, a TorchScript file or a scikit-learn model.",
    exit_code=EXIT_ENGINE,
)
NETWORK_UNFIT = _row(
    "DN-4201",
    "{path} cannot become an engine: {reason}.",
    "{advice} Then run `dicomnode engine add` again.",
    exit_code=EXIT_ENGINE,
)
QUESTIONS_OPEN = _row(
    "DN-4202",
    "{path} does not tell all that an engine must know. Missing:{missing}.",
    "Answer with --set, or in a file with --answers, such as: {example}. --yes takes what is proposed.",
    exit_code=EXIT_USAGE,
)
ANSWER_WRONG = _row(
    "DN-4203",
    "The answer {key} = {value} cannot be: expected {expected}.",
    "Correct it where it was given: --set, or the file of --answers.",
    exit_code=EXIT_USAGE,
)
ENGINE_EXISTS = _row(
    "DN-4204",
    "{path} is there already{what}.",
    "Give the new engine another name or another folder (`engine add`: --name, --into; `train`: --out); --replace puts it in the place of an engine.",
    exit_code=EXIT_USAGE,
)
ENGINE_NOT_WRITTEN = _row(
    "DN-4205",
    "The engine cannot be written to {path}: {error}.",
    "Name a folder that you may write to (--into), with room for the networks.",
    exit_code=EXIT_FAILED,
)
TRIAL_FAILED = _row(
    "DN-4206",
    "{file} was tried in a process of its own, and may not serve: {problem}.",
    "{advice} Nothing was written.",
    exit_code=EXIT_ENGINE,
)
DRAFT_WRONG = _row(
    "DN-4208",
    "What would be engine.toml of {name} is not right: {problems}.",
    "Correct the answers that it was made of; their pieces have the keys of engine.toml.",
    exit_code=EXIT_USAGE,
)
BUNDLE_UNSAFE = _row(
    "DN-4210",
    "{path} is refused: {reason}.",
    "Nothing of it was run or unpacked. Get it again from its maker, as a plain folder or zip file with tensors, numbers and texts only.",
    exit_code=EXIT_ENGINE,
)
CODE_NOT_RUN = _row(
    "DN-4211",
    "{source}: {where} is Python, {code}, which this node never runs.",
    "Say its value in the answers, in the table [config]; docs/how-to/add-an-engine.md shows how.",
    exit_code=EXIT_ENGINE,
)
NO_FORM = _row(
    "DN-4212",
    "{source}: {what} has no form in an engine: {reason}.",
    "Where its work can be done without, say so: `--set 'leave_out=[\"{what}\"]'`; the card of the engine tells of it.",
    exit_code=EXIT_ENGINE,
)
PICKLE_REFUSED = _row(
    "DN-4213",
    "{path} is a pickle: whoever reads such a file runs the code that is in it, so this node never does.",
    'Save it where it was trained, as skops (`import skops.io; skops.io.dump(model, "model.skops")`) or as ONNX '
    '(`from skl2onnx import to_onnx; open("model.onnx", "wb").write(to_onnx(model, X[:1].astype("float32"), '
    "options=dict(zipmap=False)).SerializeToString())`), and add that file.",
    exit_code=EXIT_ENGINE,
)
CONVERSION_DIED = _row(
    "DN-4214",
    "The limited process that read {source} came to an end: {status}.",
    "Nothing was written. If the file is what it should be, it may need more memory or time than a conversion is given; convert it on a larger machine.",
    exit_code=EXIT_ENGINE,
)
CHECKPOINT_REFUSED = _row(
    "DN-4220",
    "{path} is refused: beside tensors and plain values it wants {wanted}, and such a file can run code when it is read.",
    "Nothing of it was run. Where you trust its maker, save it again with tensors, numbers and texts only "
    "(`torch.save` of its network_weights, init_args, trainer_name and inference_allowed_mirroring_axes).",
    exit_code=EXIT_ENGINE,
)
CHECKPOINT_UNFIT = _row(
    "DN-4221",
    "{path} does not hold the weights of the network: {problem}.",
    "Copy the result folder again, and give the plans and the checkpoints of the same training.",
    exit_code=EXIT_ENGINE,
)
SOURCE_INCOMPLETE = _row(
    "DN-4222",
    "{path} is no {kind}: {problem}.",
    "Give the whole folder or file as the framework wrote it.",
    exit_code=EXIT_ENGINE,
)
NOT_CONVERTIBLE = _row(
    "DN-4223",
    "{source} cannot become an engine: {reason}.",
    "Nothing was written. docs/how-to/engine-forms.md lists what can be converted.",
    exit_code=EXIT_ENGINE,
)
EXPORT_DIFFERS = _row(
    "DN-4224",
    "The ONNX network made of {source} does not give what torch gives: {difference}.",
    "Nothing was written. Report this as a bug, with the kind of network.",
    exit_code=EXIT_ENGINE,
)
TRAIN_MISSING = _row(
    "DN-4225",
    "{what} needs {package}, which is not installed: {error}.",
    "Install it: `pip install 'dicomnode[train]'`.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_ENGINE,
)
CASCADE_STAGE = _row(
    "DN-4226",
    "{source} is the second stage of a cascade: it sees what {previous} found on a grid of its own, and the steps of an engine share one grid.",
    "Nothing was written. Take a configuration of one stage: {instead}.",
    exit_code=EXIT_ENGINE,
)

DEVICE_OUT = _row(
    "DN-4250",
    "{device} is out of service: {reason}.",
    "Look for Xid messages in the kernel's log (dmesg) and at `nvidia-smi`; a restart of the service takes the device "
    "in again. What waits for it can run elsewhere meanwhile with fallback = true.",
    retry=Retry.BACKOFF,
    exit_code=EXIT_ENGINE,
)
ENGINE_LEFT_OUT = _row(
    "DN-4251",
    "Engine {engine} is left out: {count} processes ended or hung while they loaded it.",
    "`dicomnode engine check {engine}` tries it alone; a restart of the service tries it again, then `dicomnode retry "
    "STUDY` its studies.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_ENGINE,
)
PLAN_AWAITED = _row(
    "DN-4252",
    "Engine {engine} waits for its plan: {words}.",
    "Nothing to do: the study is analysed when the plan is there; `dicomnode engine build` shows how far it is.",
    retry=Retry.BACKOFF,
    severity=Severity.WARNING,
    exit_code=EXIT_ENGINE,
)
DEVICE_FULL = _row(
    "DN-4260",
    "{device} has too little memory while {doing}, which takes about {wanted_mb:.0f} MB more in its smallest form; at last: {reason}.",
    "The study is tried again by itself. `nvidia-smi` shows who holds memory of the GPU; smaller windows in engine.toml "
    "take less.",
    retry=Retry.BACKOFF,
    exit_code=EXIT_ENGINE,
)

BENCH_NOT_ANALYSED = _row(
    "DN-4270",
    "Engine {engine} cannot be measured on this study: {reason}.",
    "Give a study that it takes: `dicomnode engine bench {engine} --study DIR`.",
    exit_code=EXIT_NOTHING,
)
BENCH_ENDED = _row(
    "DN-4271",
    "The process that measured engine {engine} came to an end: {status}.",
    "See whether it passes its gate (`dicomnode engine check {engine}`) and whether memory was short (dmesg).",
    exit_code=EXIT_ENGINE,
)

PLANS_NOT_BUILT_HERE = _row(
    "DN-4280",
    "No plans can be built for {runtime} on this machine: {reason}.",
    "Install what is missing in the node's environment (docs/gpu.md, Install for a GPU), and run the same command again. "
    "Without it engines run on OpenVINO and ONNX Runtime, which need no plans.",
    exit_code=EXIT_ENGINE,
)
NO_FINDINGS_KEPT = _row(
    "DN-4281",
    "No findings of study {study} are kept, so there are no objects and pictures to write.",
    "`dicomnode why {study}` tells which engine wanted it and what goes on; findings are kept when an engine has analysed "
    'it, in mode = "live" and "shadow".',
    exit_code=EXIT_NOTHING,
)
PICTURES_NOT_DRAWN = _row(
    "DN-4282",
    "No picture of what engine {engine} found is drawn: {reason}.",
    "SEG and SR need the images' headers alone, which are kept with the findings. For pictures send the study again, or "
    "`dicomnode try DIR --out FOLDER` its images.",
    severity=Severity.WARNING,
)

# ── 5xxx report ───────────────────────────────────────────────────────────────────────────────────
SOURCE_HEADER_WRONG = _row(
    "DN-5001",
    "No result object can be made: {tag} {keyword} of the source is {problem}.",
    "Correct the header at its source and send the study again, or have a message (ADT^A08 or A40) say it; then "
    "`dicomnode retry STUDY`.",
    retry=Retry.NEEDS_PERSON,
)
SOURCES_DISAGREE = _row(
    "DN-5002",
    "No result object can be made: the source images disagree in {tag} {keyword}.",
    "The study mixes patients or studies; correct it in the archive and send it again, then `dicomnode retry STUDY`.",
    retry=Retry.NEEDS_PERSON,
)
GEOMETRY_GUARD = _row(
    "DN-5003",
    "An object, read back, does not say what the engine found: {difference}.",
    "Nothing was sent and the findings are kept. Look at the two pictures in quarantine, and report this as a bug, "
    "with this sentence.",
    retry=Retry.NEEDS_PERSON,
)
REPORT_FAILED = _row(
    "DN-5004",
    "The {kind} object cannot be made: {error}.",
    "Report this as a bug; the findings are kept and nothing needs to be analysed again.",
    retry=Retry.NEEDS_PERSON,
)
IDENTITY_UNSURE = _row(
    "DN-5005",
    "No result object can be made: an HL7 message said whose the study is, and the images cannot be shown to be of "
    "whom it meant.",
    "Compare the images with the message, and correct them at their source; where they are of the same one, have the "
    "message (ADT^A40 or A08) sent again. Then `dicomnode retry STUDY`.",
    retry=Retry.NEEDS_PERSON,
)
NOTHING_MADE = _row(
    "DN-5006",
    "No result object can be made of what was found: {why}.",
    "The findings are kept. Name more kinds in [[destination]] objects (SR and SC can be made of every source), or "
    "allow the next best there (fallback = true); then `dicomnode retry STUDY`.",
    retry=Retry.NEEDS_PERSON,
)

# ── 6xxx journal and service ──────────────────────────────────────────────────────────────────────
JOURNAL_BROKEN = _row(
    "DN-6001",
    "The journal {path} cannot be opened: {error}.",
    "Restore it from the backup, or move it away: the node makes it again from the store at start.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_STORAGE,
)
JOURNAL_MISSING = _row(
    "DN-6008",
    "There is no journal {path}: the node has not run with this configuration yet.",
    "Start the node (`dicomnode serve`), or name the configuration that it runs with by --config.",
    exit_code=EXIT_NOTHING,
)
JOURNAL_NOT_ALLOWED = _row(
    "DN-6009",
    "This user may not open the journal {path}: {error}.",
    "Run the command as the user of the service: `sudo -u dicomnode /opt/dicomnode/bin/dicomnode …`.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_STORAGE,
)
STUDY_AMBIGUOUS = _row(
    "DN-6010",
    "{study!r} is the accession number of several studies: {studies}.",
    "Name one of them by its Study Instance UID.",
    exit_code=EXIT_USAGE,
)
JOURNAL_TOO_NEW = _row(
    "DN-6002",
    "The journal {path} has schema {found}, this version knows up to {known}.",
    "Install the newer dicomnode again, or restore the backup made before the upgrade.",
    exit_code=EXIT_STORAGE,
)
STUDY_NOT_FOUND = _row(
    "DN-6003",
    "There is no study {study!r} in the journal.",
    "`dicomnode studies` lists what the node knows.",
    exit_code=EXIT_NOTHING,
)
KILLED_ITS_WORKER = _row(
    "DN-6004",
    "Task {task} ended its process {count} times; it is parked.",
    "Look at the log of the worker; `dicomnode retry STUDY` tries once more.",
    retry=Retry.NEEDS_PERSON,
)
LEASE_LOST = _row(
    "DN-6005",
    "Task {task} was given to another worker; this one's result is dropped.",
    "Nothing to do.",
    severity=Severity.INFO,
)
CHILD_DIED = _row(
    "DN-6006",
    "Process {process} ended with {status}; it is started again.",
    "If it happens again and again, look at its log lines just before.",
    retry=Retry.BACKOFF,
)
JOURNAL_FAILED = _row(
    "DN-6007",
    "The journal could not be read or written: {error}.",
    "Look at the disk that holds it (df, dmesg); the node tries again by itself.",
    retry=Retry.BACKOFF,
    exit_code=EXIT_STORAGE,
)
RESULTS_LATE = _row(
    "DN-6020",
    "{count} result object(s) wait for {destination}, the oldest since {since}: {why}.",
    "Nothing is lost and nothing need be sent again: the node goes on trying by itself. See that the destination runs "
    "and can be reached (`dicomnode check --probe`); `dicomnode studies` shows what waits.",
    retry=Retry.BACKOFF,
    severity=Severity.WARNING,
)
CONFIRMATION_LATE = _row(
    "DN-6021",
    "{destination} stored {count} result object(s) and nothing tells that it keeps them, the oldest since {since}.",
    "The node goes on asking by itself. See that the destination answers storage commitment and queries of this node "
    "(its log), or change `confirm` of that [[destination]].",
    retry=Retry.BACKOFF,
    severity=Severity.WARNING,
)
BUG = _row(
    "DN-6099",
    "Unexpected error in {where}: {error}.",
    "This is a bug: run again with --debug and report what it prints.",
    retry=Retry.BACKOFF,
)

# ── 7xxx learning, evaluating, feedback ───────────────────────────────────────────────────────────
ANNOTATION_DAMAGED = _row(
    "DN-7000",
    "{file} is a {kind}, but it cannot be read: {error}.",
    "Export it again from the program that made it; if it opens in a viewer, report this as a bug.",
    severity=Severity.WARNING,
)
ANNOTATION_OF_OTHERS = _row(
    "DN-7001",
    "{file} is a {kind} of images that are not here: neither its series ({series}) nor its Frame of Reference "
    "is that of a volume or picture among those given.",
    "Put the images that it was made on beside it. If they are there, see why no volume was made of them: "
    "dicomnode try.",
    severity=Severity.WARNING,
)
ANNOTATION_OTHER_SPACE = _row(
    "DN-7002",
    "{file} is a {kind} in Frame of Reference {found}; its images lie in {expected}.",
    "Make it again on these images: what is drawn in another space does not lie where it seems to.",
    severity=Severity.WARNING,
)
ANNOTATION_UNPLACED = _row(
    "DN-7003",
    "{file} is a {kind} that does not say where it lies: {error}.",
    "Export it again from the program that made it, with positions, orientation and pixel spacing of its frames.",
    severity=Severity.WARNING,
)
ANNOTATION_TOO_LARGE = _row(
    "DN-7004",
    "{file} is a {kind} that asks for more than this version reads: {error}.",
    "Split it into several objects; such numbers may also be damage.",
    severity=Severity.WARNING,
)
ANNOTATION_OUTSIDE = _row(
    "DN-7005",
    "{file} is a {kind}, all of which lies outside the images: {error}.",
    "It may belong to another part of the series, or another series of the study; put these images beside it.",
    severity=Severity.WARNING,
)
NOT_MEASUREMENT_REPORT = _row(
    "DN-7006",
    "{file} is a structured report, but no Imaging Measurement Report (TID 1500): {error}.",
    "Nothing to do: other reports say nothing that can be compared or learnt from.",
    severity=Severity.INFO,
)
ANNOTATION_NOT_READ = _row(
    "DN-7007",
    "{file} is a {kind}: this version does not read {error}.",
    "Export it as a binary segmentation, label map or RT Structure Set of closed planar contours.",
    severity=Severity.WARNING,
)
LABELS_WRONG = _row(
    "DN-7020",
    "{path} has {count} problem(s): {problems}.",
    "Correct the table: a header row, a column of keys, a row a study; empty cells are not known.",
)
LABELS_OF_OTHERS = _row(
    "DN-7021",
    "No row of {path} names a study of the data ({rows} rows, keys in {column}).",
    "Name the labels of this data; keys are UIDs, accession numbers, or paths of files within the data.",
    exit_code=EXIT_NOTHING,
)
LABEL_ROW_UNUSED = _row(
    "DN-7022",
    "Row {row} of {file} names no study of the data.",
    "Nothing to do where the table speaks of more studies than lie here.",
    severity=Severity.INFO,
)
STUDY_OF_TWO = _row(
    "DN-7023",
    "The study in {place} has images of more than one person: it is nobody's in particular.",
    "Part it by person; no label and no part of a split can be given to such a study.",
)
SPLIT_WRONG = _row(
    "DN-7024",
    "{path} cannot be used as a split: {problem}.",
    "Name the split that was kept, or another file for a new one; a kept split is not drawn again.",
)
SPLIT_LEAKS = _row(
    "DN-7025",
    "The parts of the split are not apart ({count}): {problems}.",
    "Take the doubles out, or give both patients one Patient ID: else figures come out too good.",
)
PART_EMPTY = _row(
    "DN-7026",
    "No study of the data is in the part {part!r} of the split.",
    "Choose another part, or evaluate all of the data without --part.",
    exit_code=EXIT_NOTHING,
)
NOTHING_JUDGED = _row(
    "DN-7027",
    "No label of the data answers what {engine} gives: {problem}.",
    "Name counterparts by hand: --match OUTPUT=LABEL, the label of a segment or the column of a table.",
    exit_code=EXIT_NOTHING,
)
MATCH_WRONG = _row(
    "DN-7028",
    "--match {text!r} cannot be meant: {problem}.",
    "Write OUTPUT=LABEL: an output of engine.toml, and a segment's label or a column's name.",
    exit_code=EXIT_USAGE,
)
MATRIX_WRONG = _row(
    "DN-7029",
    "{path} is no confusion matrix: {problem}.",
    "Write JSON: labels, counts (a row for each true class), and positive, the label that is looked for.",
)
LABELS_BY_MACHINES = _row(
    "DN-7030",
    "{count} object(s) in the data were made by machines and verified by nobody: they are no truth.",
    "Have a person verify them; --machine-labels takes them as they are, and the report says so.",
    exit_code=EXIT_NOTHING,
)
READERS_WRONG = _row(
    "DN-7031",
    "The readers {text!r} cannot be meant: {problem}.",
    "Write --reader-columns [NAME=]COLUMN,COLUMN: columns of the table of --labels, one for each reader.",
    exit_code=EXIT_USAGE,
)
READERS_NONE = _row(
    "DN-7032",
    "In these {studies} studies no two readers can be compared: {problem}.",
    "Give columns by --reader-columns, or SEG, RTSTRUCT or SR of several people beside the same images; what "
    "machines made counts with --machine-labels only.",
    exit_code=EXIT_NOTHING,
)
EVALUATE_MISSING = _row(
    "DN-7050",
    "{what} needs {package}, which is not installed: {error}.",
    "Install it: `pip install 'dicomnode[evaluate]'`.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_ENGINE,
)
DATA_WITHOUT_IMAGES = _row(
    "DN-7051",
    "None of the {stacks} stacks of images of these studies can be looked at: they were refused or cannot be decoded.",
    "See why: `dicomnode try DIR` names the reason of each.",
    exit_code=EXIT_NOTHING,
)
RECIPE_WRONG = _row(
    "DN-7100",
    "{path} is no recipe: it has {count} problem(s).",
    "Correct what is listed above; docs/training.md has all keys of a recipe.",
    exit_code=EXIT_USAGE,
)
NOTHING_TO_LEARN = _row(
    "DN-7101",
    "There is nothing to learn {task} from: {reason}.",
    "{advice} docs/training.md says what each task learns from.",
    exit_code=EXIT_NOTHING,
)
NETWORK_UNBUILT = _row(
    "DN-7102",
    "The network {network} cannot be built: {reason}.",
    "Change network, patch_kji or levels of the recipe.",
    exit_code=EXIT_USAGE,
)
VISION_MISSING = _row(
    "DN-7103",
    "The network {network} is one of torchvision, which cannot be loaded: {error}.",
    "Install the torchvision that was built for your torch, from where torch came from: for one for the CPU alone `pip install torchvision --index-url https://download.pytorch.org/whl/cpu`. Or take another network.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_ENGINE,
)
RUN_DIFFERS = _row(
    "DN-7104",
    "The training in {run} cannot go on: {what}.",
    "Give the recipe and the data that it was begun with, or begin another one: --run FOLDER without --resume.",
    exit_code=EXIT_USAGE,
)
RUN_THERE = _row(
    "DN-7105",
    "{run} holds a training that was begun.",
    "Go on with it by --resume, or name another folder by --run.",
    exit_code=EXIT_USAGE,
)
DIVERGED = _row(
    "DN-7106",
    "The training broke off in epoch {epoch}: the loss is not a number any more.",
    'Lower learning_rate, or take precision = "fp32"; then begin again.',
    exit_code=EXIT_FAILED,
)
INIT_UNFIT = _row(
    "DN-7107",
    "The training cannot begin from {path}: {reason}.",
    "Name an engine that `dicomnode train` made, or its weights.pt, of the same network, width and levels; or a file of torchvision's weights of that network (docs/training.md).",
    exit_code=EXIT_USAGE,
)
RUN_NOT_WRITTEN = _row(
    "DN-7108",
    "The folder of the training, {path}, cannot be written: {error}.",
    "Name another by --run, or make room there; `--resume` goes on from the last epoch that was kept.",
    exit_code=EXIT_STORAGE,
)
CASE_LEFT_OUT = _row(
    "DN-7109",
    "A study is left out of the training ({case}): {reason}.",
    "Correct it at its source; the card of the engine counts what was left out.",
    severity=Severity.WARNING,
)
LABELS_UNFIT = _row(
    "DN-7110",
    "Column {column} of the labels cannot be learned: {reason}.",
    "{advice} A cell that is empty means that it is not known.",
    exit_code=EXIT_USAGE,
)
RUN_TAKEN = _row(
    "DN-7111",
    "Another process trains in {run}.",
    "Wait until it has ended, or name another folder by --run.",
    exit_code=EXIT_USAGE,
)
QUESTIONS_UNFIT = _row(
    "DN-7112",
    "These questions cannot be learned together: {reason}.",
    "{advice} docs/training.md (several questions at once) says what can be asked.",
    exit_code=EXIT_USAGE,
)
RECIPE_UNKNOWN = _row(
    "DN-7120",
    "There is no recipe {name} for {task}; {there}.",
    "`dicomnode train recipes` lists those that ship; a file of your own is named with its ending, .toml.",
    exit_code=EXIT_USAGE,
)
LESIONS_WRONG = _row(
    "DN-7130",
    "{path} has {count} problem(s) as a table of lesions: {problems}.",
    "Correct the table: a column of keys (seriesuid, SOPInstanceUID or file), places in LPS mm (coordX, coordY, coordZ) "
    "or in pixels (column, row); diameter_mm and label where they are known.",
    exit_code=EXIT_USAGE,
)
LESIONS_OF_OTHERS = _row(
    "DN-7131",
    "No row of {path} names a series, image or file of the data ({rows} rows, keys in {column}).",
    "Name the lesions of this data; docs/training.md says what stands in the table.",
    exit_code=EXIT_NOTHING,
)
LESION_ROW_UNUSED = _row(
    "DN-7132",
    "Row {row} of {file} names no volume or picture of the data.",
    "Nothing to do where the table speaks of more than lies here.",
    severity=Severity.INFO,
)
LESIONS_UNNAMED = _row(
    "DN-7133",
    "{path} does not say what its lesions are, and the engine looks for {outputs}.",
    "Add a column `label` with one of these in each row.",
    exit_code=EXIT_USAGE,
)
FEATURE_TABLE_WRONG = _row(
    "DN-7150",
    "{path} is no table of features: {problem}.",
    "`dicomnode train features` writes one; docs/how-to/classical-heads.md says what stands in it.",
    exit_code=EXIT_USAGE,
)
NO_FEATURES = _row(
    "DN-7151",
    "No row of features came of {data}: {reason}.",
    "Look at the reason of each study (--json); the engine, or --of, may want another series or segment.",
    exit_code=EXIT_NOTHING,
)
TOO_FEW_PATIENTS = _row(
    "DN-7152",
    "{what} is in {found} patients, and {folds} parts of the data that never share a patient need {needed}.",
    "Add studies of other patients, or ask for fewer parts: --folds.",
    exit_code=EXIT_FAILED,
)
ENGINE_WITHOUT_FEATURES = _row(
    "DN-7153",
    "Engine {engine} gives no features{which}.",
    'Add a step with interpret = "features", or algorithm = "radiomics", and its [[output]]: docs/how-to/engine-forms.md.',
    exit_code=EXIT_ENGINE,
)
HEAD_NOT_EXPORTED = _row(
    "DN-7154",
    "The head {head} cannot become ONNX: {reason}.",
    "Nothing was written. Take another head (--head); the table of all of them stands in heads.json.",
    exit_code=EXIT_ENGINE,
)
HEAD_DIFFERS = _row(
    "DN-7155",
    "The ONNX of the head {head} does not give what scikit-learn gives on the data it was judged on: {difference}.",
    "Nothing was written. Take another head (--head), and report this as a bug, with the kind of head.",
    exit_code=EXIT_ENGINE,
)
LABEL_COLUMN_WRONG = _row(
    "DN-7156",
    "Column {column} of {path} cannot be learnt: {problem}.",
    "Name the column with --label, and what is looked for with --positive; rows without a label are left out.",
    exit_code=EXIT_USAGE,
)
SCORES_WRONG = _row(
    "DN-7157",
    "The scores of {name} in {path} cannot stand beside the heads: {problem}.",
    "A CSV with study_instance_uid, lesion where rows are lesions, and score: a number for each row that is judged.",
    exit_code=EXIT_USAGE,
)
FEATURES_DIFFER = _row(
    "DN-7158",
    "The head was trained on other features than {engine} gives: {difference}.",
    "Make the table with the same engine: `dicomnode train features --engine`.",
    exit_code=EXIT_ENGINE,
)
SHAPES_NEED_IMAGING = _row(
    "DN-7159",
    "The shapes of lesions are measured on a mesh, which needs scikit-image, and that is not installed.",
    "Install it: `pip install 'dicomnode[imaging]'`.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_ENGINE,
)
SYNTH_WRONG = _row(
    "DN-7180",
    "Nothing was generated: {problem}.",
    "`dicomnode synth --help` says what can be asked for.",
    exit_code=EXIT_USAGE,
)
SYNTH_NOT_EMPTY = _row(
    "DN-7181",
    "{path} is there already and is not an empty folder: generated studies are not mixed with others.",
    "Name a folder that is not there yet, or empty this one.",
    exit_code=EXIT_USAGE,
)
SYNTH_NOT_WRITTEN = _row(
    "DN-7182",
    "Generated studies cannot be written to {path}: {error}.",
    "Make room there or name another folder with --out.",
    exit_code=EXIT_STORAGE,
)
REGISTER_CHOICE = _row(
    "DN-7190",
    "No single volume to register was found in {path}: {reason}.",
    "Name the series: --{which}-series UID. `dicomnode try` lists what a folder holds.",
    exit_code=EXIT_NOTHING,
)
REGISTER_REFUSED = _row(
    "DN-7191",
    "The two volumes cannot be laid over each other: {reason}.",
    "See that both show the same part of the same patient; --kind rigid asks for the least.",
)
REGISTER_PATIENTS = _row(
    "DN-7192",
    "The two series may be of different patients: {reason}.",
    "Register series of one patient. Where one was de-identified, --same-patient says that you know it is one.",
)
REGISTER_NEEDS = _row(
    "DN-7193",
    "Registration needs {package}, which is not installed.",
    "Install it: `pip install 'dicomnode[imaging]'`.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_ENGINE,
)
NOT_EXPLAINABLE = _row(
    "DN-7220",
    "Engine {engine} cannot be explained: {reason}.",
    "Explain engines that `dicomnode train classify` made, with recipe.toml and weights.pt in their folder.",
    exit_code=EXIT_ENGINE,
)
METHOD_UNFIT = _row(
    "DN-7221",
    "The method {method} does not fit this network: {reason}.",
    "Take --method integrated-gradients, which fits every network.",
    exit_code=EXIT_ENGINE,
)
EXPLANATION_CLASS = _row(
    "DN-7222",
    "Engine {engine} has no class {name!r}.",
    "Name one of these by --class: {known}.",
    exit_code=EXIT_USAGE,
)
EXPLANATION_INCOMPLETE = _row(
    "DN-7223",
    "Integrated gradients add up to {total} after {steps} steps, and not to the difference of the evidence, "
    "{difference}: they explain something else.",
    "Take another method: --method cam or grad-cam.",
    exit_code=EXIT_ENGINE,
)
EXPLANATION_DIFFERS = _row(
    "DN-7224",
    "The weights.pt of {engine} says {here} where the engine says {there}: they are not of one training.",
    "Put the weights.pt of this version beside it, or train it again.",
    exit_code=EXIT_ENGINE,
)
NOTHING_EXPLAINED = _row(
    "DN-7225",
    "No study in {path} could be explained by {engine}: {reason}.",
    "See what the engine wants: `dicomnode try DIR --engine NAME`.",
    exit_code=EXIT_NOTHING,
)
GENERATOR_WRONG = _row(
    "DN-7226",
    "{path} is no generator that can draw: {reason}.",
    "Name the folder that `dicomnode train generator --out` wrote, with all its files as they were written.",
    exit_code=EXIT_ENGINE,
)
GENERATOR_NO_ENGINE = _row(
    "DN-7227",
    "{path} is a generator: it draws images and analyses none, so that no study can be given to it.",
    "Draw with it: `dicomnode synth --generator {path} --out DIR`. Here name the folder of an engine.",
    exit_code=EXIT_ENGINE,
)
GENERATOR_COPIES = _row(
    "DN-7228",
    "{generator} gives its training images back: {tries} times in a row what it drew was nearer to one of them "
    "({image}) than images of different patients are to each other.",
    "Nothing more was drawn; delete what was. Train it on more patients, for fewer epochs, or with a smaller width.",
)
GENERATOR_FORM = _row(
    "DN-7229",
    "Images of {what} cannot be drawn: {reason}.",
    "Train on single pictures (CR, DX, MG, US, photographs, fundus, captures) or on volumes of CT or MR.",
    exit_code=EXIT_USAGE,
)
GENERATOR_LABEL = _row(
    "DN-7230",
    "{generator} has not learned to draw {label!r}.",
    "It can draw {known}.",
    exit_code=EXIT_USAGE,
)
EXPORT_MISSING = _row(
    "DN-7240",
    "A de-identified export needs {package}, which is not installed: {error}.",
    "Install it: `pip install 'dicomnode[export]'`.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_ENGINE,
)
EXPORT_BURNED_IN = _row(
    "DN-7241",
    "{file} is not exported, it may show who the patient is: {why}.",
    "Look at it. Make the place black by --mask X,Y,W,H, or all outside ultrasound regions by --mask regions; "
    "or set Burned In Annotation to NO at the source, if nothing is written there.",
    severity=Severity.WARNING,
)
EXPORT_KIND = _row(
    "DN-7242",
    "{file} is not exported: nothing is known that would make a {kind} nobody's.",
    "Images, segmentations, structured reports and RT structure sets are exported; leave others at home.",
    severity=Severity.WARNING,
)
EXPORT_LEAK = _row(
    "DN-7243",
    "{file} is not exported: the second look found the value of {keyword} in what would have been written.",
    "See where it stands in the source (dcmdump, a viewer). If a part of a name is an ordinary word of a label, "
    "change the label; if it is a leak, report it as a bug, without the file.",
)
EXPORT_KEY = _row(
    "DN-7244",
    "The key {path} is of no use: {error}.",
    "Name another file by --key; one that is not there is made. Keep it for yourself, outside of data and export.",
    exit_code=EXIT_USAGE,
)
EXPORT_DAMAGED = _row(
    "DN-7245",
    "{file} is not exported: it cannot be read or written whole ({error}).",
    "Export it again from the program that made it.",
    severity=Severity.WARNING,
)
EXPORT_MASK = _row(
    "DN-7246",
    "{file} is not exported, its pixels cannot be made black: {error}.",
    "Give a mask that fits, or leave the image out.",
    severity=Severity.WARNING,
)
EXPORT_PLACE = _row(
    "DN-7247",
    "The export cannot go to {path}: {error}.",
    "Name a folder of its own by --out, outside of the data.",
    exit_code=EXIT_USAGE,
)
EXPORT_LABELS = _row(
    "DN-7248",
    "The table {path} does not go with the export: {error}.",
    "Correct the table, or export without --labels.",
    exit_code=EXIT_USAGE,
)
FEDERATED_MISSING = _row(
    "DN-7255",
    "Federated training needs {package}, which is not installed: {error}.",
    "Install it: `pip install 'dicomnode[federated]'`; in an environment of its own where versions contradict.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_ENGINE,
)
FEDERATED_DIFFERS = _row(
    "DN-7256",
    "What was sent does not fit together, {site}: {what}.",
    "Give all sites the same recipe file, structures and version of dicomnode, and begin again.",
    exit_code=EXIT_FAILED,
)
FEDERATED_SITE_FAILED = _row(
    "DN-7257",
    "Round {round} is not whole: {came} of {sites} sites answered; {why}.",
    "See what the missing site says; then go on after the last whole round by --resume. A mean without it would "
    "be of other studies.",
    exit_code=EXIT_FAILED,
)
FEDERATED_UNREACHABLE = _row(
    "DN-7258",
    "The federated training at {address} cannot be taken part in: {error}.",
    "See whether the server runs, whether address and port are right and open, and whether both sides use TLS.",
    exit_code=EXIT_UNREACHABLE,
)
FEDERATED_RECIPE = _row(
    "DN-7259",
    "The recipe leaves to the data what all sites must do alike: {keys}.",
    "Set these keys in the recipe that all sites share: what one site's data decide, another's decide otherwise.",
    exit_code=EXIT_USAGE,
)
FEDERATED_OPEN = _row(
    "DN-7260",
    "{address} is not this machine, and weights would go there without encryption.",
    "Give the certificates (at a site --tls-root, at the server --tls-certificate and --tls-key); or --insecure, "
    "where a tunnel encrypts.",
    exit_code=EXIT_USAGE,
)
FEDERATED_DATA_TAKEN = _row(
    "DN-7261",
    "Another site of this machine trains by {path}: its studies would count twice.",
    "Wait until it has ended. Where the studies are others, give each site a --split of its own.",
    exit_code=EXIT_USAGE,
)
FEDERATED_TOO_LARGE = _row(
    "DN-7262",
    "The weights are {megabytes} MB, and a message holds {most} MB.",
    "Take a smaller network: in the recipe lower width or levels.",
    exit_code=EXIT_USAGE,
)
FEDERATED_CERTIFICATE = _row(
    "DN-7263",
    "TLS cannot be made with the files given: {what} is no PEM that fits.",
    "Give certificates and keys in PEM, the key without a passphrase and of the same certificate.",
    retry=Retry.NEEDS_PERSON,
    exit_code=EXIT_STORAGE,
)
FEDERATED_BEGUN = _row(
    "DN-7264",
    "{path} holds {rounds} rounds of a training that broke off.",
    "Go on after them by --resume, or remove the file.",
    exit_code=EXIT_USAGE,
)
FEDERATED_KEPT = _row(
    "DN-7265",
    "The rounds in {path} cannot be gone on with: {problem}.",
    "Give the options of the training that broke off, or remove the file and begin again.",
    exit_code=EXIT_USAGE,
)
FEW_NORMALS = _row(
    "DN-7270",
    "There are too few normal studies to learn what is normal: {reason}.",
    "Give normal studies of more patients, or change threshold_part, validate_part and test_part of the recipe.",
    exit_code=EXIT_NOTHING,
)
SERIES_MISSING = _row(
    "DN-7271",
    "No other series of the study is what [[series]] {name} of the recipe wants: {reason}.",
    "Correct its rules in the recipe, or give studies that have such a series.",
    severity=Severity.WARNING,
)
ATTRIBUTE_UNFIT = _row(
    "DN-7272",
    "{keyword} cannot be learned from: {reason}.",
    "Leave it out of tags, or give studies, or a column of that name in the table, that say it.",
    exit_code=EXIT_USAGE,
)
SITE_NOTHING = _row(
    "DN-7290",
    "Engine {engine} has not been asked about any study of this node yet.",
    'Set mode = "shadow" in its [[engine]] table, start the node again, and let studies come.',
    severity=Severity.INFO,
    exit_code=EXIT_NOTHING,
)
SITE_UNKNOWN = _row(
    "DN-7291",
    "There is no [[engine]] {engine} in {path}.",
    "`dicomnode engine list` shows the names; what a node has never run, it can tell nothing of.",
    exit_code=EXIT_CONFIGURATION,
)
FEEDBACK_UNREADABLE = _row(
    "DN-7300",
    "What somebody sent after the results ({sop_instance_uid}) cannot be compared with them: {reason}.",
    "The object is kept with its study. If it opens in a viewer beside these images, report this as a bug.",
    severity=Severity.WARNING,
)
FEEDBACK_CHILD_ENDED = _row(
    "DN-7301",
    "The process that compares what others say with the results ended before its answer: {status}.",
    "It is tried again by itself. If it happens again, the object is damaged or very large: see `dicomnode why`.",
    retry=Retry.BACKOFF,
)
FEEDBACK_NONE = _row(
    "DN-7302",
    "There is no feedback{of}.",
    "It comes by itself: a corrected SEG or report, or an assessment, that is sent to this node after its results; "
    "or by `dicomnode feedback accept` and `reject`.",
    severity=Severity.INFO,
    exit_code=EXIT_NOTHING,
)
EXPORT_NOT_EMPTY = _row(
    "DN-7303",
    "{path} is not an empty folder.",
    "Name another --out: what lies there would be mixed with other labels.",
    exit_code=EXIT_USAGE,
)
LABEL_GONE = _row(
    "DN-7304",
    "The labels of study {study} were left out: {reason}.",
    "Send the study to this node again, or leave it out of the training.",
    severity=Severity.WARNING,
)
PROMOTE_UNKNOWN = _row(
    "DN-7305",
    "There is no [[engine]] {engine} in {path}, or its `mode` does not stand on a line of its own.",
    "Write an [[engine]] table with name and mode, each on its line; `dicomnode engine list` shows the names.",
    exit_code=EXIT_ENGINE,
)
PROMOTE_NOT_SHADOW = _row(
    "DN-7306",
    "Engine {engine} is not in shadow: its mode is {mode}.",
    'Only what runs in shadow is promoted: set mode = "shadow" first, and evaluate it.',
    exit_code=EXIT_ENGINE,
)
PROMOTE_UNJUDGED = _row(
    "DN-7307",
    "Engine {engine} is not promoted: {reason}.",
    "Evaluate it: `dicomnode evaluate {engine} --data DIR --compare OTHER --out FOLDER`, then name its "
    "evaluation.json by --evaluation. --force promotes it all the same, and that is kept.",
    exit_code=EXIT_ENGINE,
)
PROMOTE_WORSE = _row(
    "DN-7308",
    "Engine {engine} is not promoted, it is worse than {other}: {reason}.",
    "Leave the other engine live. --force promotes it all the same, and that is kept.",
    exit_code=EXIT_ENGINE,
)
EVALUATION_UNREADABLE = _row(
    "DN-7309",
    "{path} is no evaluation that this version reads: {error}.",
    "Name the evaluation.json that `dicomnode evaluate --out FOLDER` has written.",
    exit_code=EXIT_ENGINE,
)
ANSWER_NO_RESULT = _row(
    "DN-7310",
    "There is no finding of {engine} in study {study} that could be accepted or rejected; {there}.",
    "`dicomnode why {study}` tells what was found. Draw what was missed in a viewer, and send it to this node.",
    exit_code=EXIT_NOTHING,
)
ANSWER_WHICH_ENGINE = _row(
    "DN-7311",
    "Several engines have findings in study {study}: {engines}.",
    "Say which one is answered: --engine NAME.",
    exit_code=EXIT_USAGE,
)
ANSWER_UNKNOWN_FINDING = _row(
    "DN-7312",
    "Engine {engine} has no finding {finding!r} in study {study}; it has {there}.",
    "Name one of these by --finding, or leave it out to answer all of them.",
    exit_code=EXIT_NOTHING,
)
SEED_RESERVED = _row(
    "DN-7330",
    "Seed {seed} belongs to the frozen suite (seeds {first} to {last}), on which engines are measured.",
    "Train on other seeds: figures on patients that were trained on say nothing.",
    exit_code=EXIT_USAGE,
)
BACKGROUND_LEFT_OUT = _row(
    "DN-7340",
    "The series {series} of --backgrounds was left out: {reason}.",
    "Nodules are planted only where the node is sure of the lungs. Take it out, or give other scans.",
    severity=Severity.WARNING,
)
BACKGROUNDS_NONE = _row(
    "DN-7341",
    "None of the {count} CT series in {path} can be planted into: {reasons}.",
    "Give whole chest CTs with slices of at most 5 mm, or leave --backgrounds out: phantoms are learned from alone.",
    exit_code=EXIT_NOTHING,
)
PLANTED_WORKER_ENDED = _row(
    "DN-7343",
    "A process that draws what is learned from came to an end: {reason}.",
    "Look whether memory ran out (each takes about 0.5 GB); then go on by --resume, with fewer --workers.",
)
PLANTED_DIVERGED = _row(
    "DN-7344",
    "The training broke off in step {step}: the loss is not a number any more.",
    "Begin again with another --seed; if it happens again, report this as a bug.",
)
TABLE_MISSING = _row(
    "DN-7345",
    "The engine lung-ct, whose table the new engine takes, is not there: {error}.",
    "Install dicomnode again: the engines that ship lie beside the package.",
    exit_code=EXIT_ENGINE,
)
PATTERNS_TOO_FEW = _row(
    "DN-7360",
    "There is too little to learn {pattern} from: {found} patients are with it or without it, and of each {least} are needed.",
    "Ask for more patients: --patients.",
)
NO_BODY = _row(
    "DN-7365",
    "No body was found: {reason}.",
    "Look at the series: it may show a phantom, a localizer, or nothing but air.",
)
NORMALS_TOO_FEW = _row(
    "DN-7370",
    "In {found} of the drawn normal chests lungs were found, and at least {least} are needed.",
    "Ask for more patients: --chests, --usual.",
)
UNDECIDED = _row(
    "DN-7371",
    "{what}: not determined, as {reason}.",
    "Read the images as if the engine had not run: it has candidates, and cannot say whether they are anything.",
    severity=Severity.WARNING,
)
FOREST_TOO_FEW = _row(
    "DN-7380",
    "There is too little to grow trees on: {nodules} candidates lie on a nodule, and of each kind {least} are needed.",
    "Ask for more patients: --worlds, or more nodules in each: --plantings.",
)
TYPES_TOO_FEW = _row(
    "DN-7390",
    "There is too little to grow trees on: {found} nodules of the type {kind} were found, and {least} are needed.",
    "Ask for more patients: --chests. If it stays so, the engine does not find nodules of this type.",
)
TYPES_NO_LESIONS = _row(
    "DN-7391",
    "The engine {engine} gives no lesions with outlines, whose type could be learned.",
    'Name one that has an [[output]] with `segment` and kind = "lesion", such as lung-ct.',
    exit_code=EXIT_ENGINE,
)

# ── 9xxx configuration and use ────────────────────────────────────────────────────────────────────
SETTINGS_WRONG = _row(
    "DN-9001",
    "{path} has {count} problem(s).",
    "`dicomnode check --config {path}` lists them all.",
    exit_code=EXIT_CONFIGURATION,
)
SETTINGS_NOT_FOUND = _row(
    "DN-9002",
    "There is no configuration file {path}.",
    "`dicomnode init` writes a commented one.",
    exit_code=EXIT_CONFIGURATION,
)
PORT_IN_USE = _row(
    "DN-9003",
    "Port {port} on {address} cannot be opened: {error}.",
    "Stop what uses it (ss -ltnp), or set another [receive] port; ports below 1024 need the right to bind them.",
    exit_code=EXIT_CONFIGURATION,
)
USAGE = _row(
    "DN-9004",
    "{problem}.",
    "See `dicomnode COMMAND --help`.",
    exit_code=EXIT_USAGE,
)
MIXED_INSTALLATION = _row(
    "DN-9005",
    "The folder {path} holds files of another package named dicomnode: {files}.",
    "Install dicomnode in an environment of its own (`make setup`); the two projects are not affiliated.",
    exit_code=EXIT_CONFIGURATION,
)
DEMO_INCOMPLETE = _row(
    "DN-9006",
    "The demonstration did not end within {seconds:.0f} s: {state}.",
    "Look at the node's log in {log}.",
    exit_code=EXIT_FAILED,
)
DEMO_BROKEN = _row(
    "DN-9010",
    "The demonstration's node ended, or took nothing: {state}.",
    "Look at the node's log in {log}.",
)
FILE_NOT_WRITTEN = _row(
    "DN-9008",
    "{path} cannot be written: {error}.",
    "Name another place, or make room and the right to write there.",
)
PHANTOM_NOT_WRITTEN = _row(
    "DN-9007",
    "The phantom of the demonstration cannot be written to {path}: {error}.",
    "Make room there, or name another folder for caches in the environment variable XDG_CACHE_HOME.",
    exit_code=EXIT_STORAGE,
)

FAULTS: Final[Mapping[str, Fault]] = {fault.code: fault for fault in _TABLE}
