"""C-FIND: what a peer holds of a study (PS3.4 C.4.1, Study Root).

The query walks down the levels, series by series: that is what every archive must answer (PS3.4 C.4.1.3.1);
asking for all instances of a study at once is an extension.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from pydicom.dataset import Dataset

from dicomnode.faults import FETCH_LATE, NO_PRESENTATION_CONTEXT, QUERY_FAILED, NodeError
from dicomnode.net.association import VERIFICATION_TOO, Link, open_association
from dicomnode.net.limits import FetchLimits, Meter
from dicomnode.net.peer import Peer
from dicomnode.net.status import query_status_text
from dicomnode.store.foreign import UNREADABLE, quiet

_STUDY_ROOT_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
_EXPLICIT_LE: Final = "1.2.840.10008.1.2.1"
_IMPLICIT_LE: Final = "1.2.840.10008.1.2"
_PENDING: Final = (0xFF00, 0xFF01)
# Times the wait for an answer: all questions about a study, however their answers trickle
ANSWERS_OF_A_STUDY: Final = 20
_MOST_SERIES: Final = 1000  # of a study; a peer that ignores the keys would answer with all that it has
_MOST_INSTANCES: Final = 50_000  # of a study


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundInstance:
    """An instance that the peer says it holds. sop_class_uid: None when the peer does not tell."""

    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str | None


def find_instances(peer: Peer, calling_ae: str, study_uid: str) -> set[str]:
    """SOP Instance UIDs that the peer holds of the study; empty when it knows no such study.

    Raises NodeError PEER_UNREACHABLE, PEER_REJECTED, NO_PRESENTATION_CONTEXT or QUERY_FAILED.
    """
    return {found.sop_instance_uid for found in list_instances(peer, calling_ae, study_uid)}


@dataclass(frozen=True, slots=True)
class StudyCount:
    """How many instances a peer has of a study, by Series Instance UID; no series: it does not know it."""

    series: Mapping[str, int]

    @property
    def instances(self) -> int:
        """How many in all."""
        return sum(self.series.values())


def count_instances(peer: Peer, calling_ae: str, study_uid: str) -> StudyCount:
    """Ask how many instances a peer has of a study.

    By Number of Series Related Instances (0020,1209), which an archive may leave out (PS3.4 table C.6-3):
    the instances of such a series are listed. Raises NodeError as `find_instances`; QUERY_FAILED also where
    that is less than the archive says of the whole study: some cut their answers off without a word. Others
    count what they hide: which of the two it is cannot be told, and a count too low would end a study early.
    """
    with open_find(peer, calling_ae) as link:
        whole = _said_of_study(link, study_uid)  # first: images may come meanwhile
        counts = {
            uid: series_count(match)
            for uid, match in _series(link, study_uid, {"NumberOfSeriesRelatedInstances": ""})
        }
        found = StudyCount(
            {
                uid: len({one.sop_instance_uid for one in _images(link, study_uid, uid, {})})
                if count is None
                else count
                for uid, count in counts.items()
            }
        )
        if found.instances < whole:
            raise _unanswered(link, f"of {whole} images of the study it lists {found.instances}")
        return found


def _said_of_study(link: Link, study_uid: str) -> int:
    """Number of Study Related Instances (0020,1208), which an archive may leave out; then 0."""
    keys = {"StudyInstanceUID": study_uid, "NumberOfStudyRelatedInstances": ""}
    said = [
        count_told(match, "NumberOfStudyRelatedInstances") or 0
        for match in matches(link, "STUDY", keys, _MOST_SERIES)
        if _is_of(match, StudyInstanceUID=study_uid)
    ]
    return max(said, default=0)


def told(match: Dataset, keyword: str) -> Any:
    """Value of an attribute as a peer tells it; None where it tells none, or none that can be read.

    pydicom reads a value when it is asked for, and a peer may send anything.
    """
    with suppress(OSError, *UNREADABLE), quiet():
        return match.get(keyword)
    return None


def series_count(match: Dataset) -> int | None:
    """Number of Series Related Instances; None where it is missing, empty, or no number at all."""
    return count_told(match, "NumberOfSeriesRelatedInstances")


def count_told(match: Dataset, keyword: str) -> int | None:
    """A count as a peer tells it; None where it is missing, empty, or no number at all."""
    try:
        count = int(str(told(match, keyword)))
    except ValueError:
        return None
    return count if count > 0 else None


@contextmanager
def open_find(peer: Peer, calling_ae: str, meter: Meter | None = None) -> Iterator[Link]:
    """Open an association for C-FIND, which ends when the time of a fetch is over that it is a part of.

    Raises NodeError PEER_UNREACHABLE, PEER_REJECTED, NO_PRESENTATION_CONTEXT, FETCH_LATE; without a meter
    QUERY_FAILED when the answers do not end.
    """
    if meter is not None:
        with _opened(peer, calling_ae, meter) as link:
            yield link
        return
    seconds = ANSWERS_OF_A_STUDY * peer.timeout_s
    try:
        with _opened(peer, calling_ae, Meter(peer.name, FetchLimits(seconds=seconds))) as link:
            yield link
    except NodeError as error:
        if error.fault is not FETCH_LATE:
            raise
        reason = f"its answers did not end within {seconds:g} s"
        raise NodeError(
            QUERY_FAILED, name=peer.name, request="C-FIND", reason=reason, calling_ae=calling_ae
        ) from error


@contextmanager
def _opened(peer: Peer, calling_ae: str, meter: Meter) -> Iterator[Link]:
    proposed = [(_STUDY_ROOT_FIND, (_EXPLICIT_LE, _IMPLICIT_LE)), VERIFICATION_TOO]
    with open_association(peer, calling_ae, proposed) as link, meter.watching(link.drop):
        if not any(uid == _STUDY_ROOT_FIND for uid, _ in link.accepted):
            raise NodeError(
                NO_PRESENTATION_CONTEXT,
                name=peer.name,
                sop_class="Study Root Query/Retrieve Information Model - FIND",
                transfer_syntax="Explicit or Implicit VR Little Endian",
            )
        yield link


def list_instances(
    peer: Peer,
    calling_ae: str,
    study_uid: str,
    *,
    series: Collection[str] = (),
    meter: Meter | None = None,
) -> list[FoundInstance]:
    """As find_instances, with series and SOP Class of each; in the order in which the peer answers.

    series: Series Instance UIDs of those that are asked for, empty: all. meter: as of `open_find`.
    """
    found: list[FoundInstance] = []
    with open_find(peer, calling_ae, meter) as link:
        for uid in list(series) or [uid for uid, _ in _series(link, study_uid, {})]:
            found += _images(link, study_uid, uid, {"SOPClassUID": ""})
            if len(found) > _MOST_INSTANCES:
                raise _too_many(link, _MOST_INSTANCES)
    return found


def _series(link: Link, study_uid: str, more: Mapping[str, str]) -> list[tuple[str, Dataset]]:
    """The series of a study by UID, each once; what is said of another study is left out."""
    keys = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": "", **more}
    found = {
        str(uid): match
        for match in matches(link, "SERIES", keys, _MOST_SERIES)
        if (uid := told(match, "SeriesInstanceUID")) and _is_of(match, StudyInstanceUID=study_uid)
    }
    return list(found.items())


def _images(link: Link, study_uid: str, series_uid: str, more: Mapping[str, str]) -> list[FoundInstance]:
    of = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": series_uid}
    return [
        FoundInstance(
            series_instance_uid=series_uid,
            sop_instance_uid=str(uid),
            sop_class_uid=str(told(match, "SOPClassUID") or "") or None,
        )
        for match in matches(link, "IMAGE", {**of, "SOPInstanceUID": "", **more}, _MOST_INSTANCES)
        if (uid := told(match, "SOPInstanceUID")) and _is_of(match, **of)
    ]


def _is_of(match: Dataset, **uids: str) -> bool:
    """Tell whether an answer is of what was asked for, as far as it says."""
    return all(str(told(match, keyword) or uid) == uid for keyword, uid in uids.items())


def matches(link: Link, level: str, keys: Mapping[str, str], most: int) -> Iterator[Dataset]:
    """Ask for what there is on a level, and give the answers as they come.

    keys: DICOM keyword → value to match; an empty value only asks for the attribute. Raises
    NodeError(QUERY_FAILED), also where there are more than `most` answers.
    """
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(identifier, keyword, value or None)
    count = 0
    ask = partial(link.association.send_c_find, identifier, _STUDY_ROOT_FIND)
    for status, match in responses(link, "C-FIND", ask):
        if status.get("Status") in _PENDING and match is not None:
            count += 1
            if count > most:
                raise _too_many(link, most)
            yield match
        elif status.get("Status") != 0:
            raise query_failure(link, "C-FIND", status)


Responses = Iterator[tuple[Dataset, Dataset | None]]


def responses(link: Link, request: str, ask: Callable[[], Responses]) -> Responses:
    """Give what comes as `ask` sends a request; raises NodeError where the association has ended."""
    try:
        return ask()
    except RuntimeError as error:
        raise query_failure(link, request, Dataset()) from error


def _too_many(link: Link, most: int) -> NodeError:
    return _unanswered(link, f"it has more than {most} answers: it seems to ignore what is asked")


def _unanswered(link: Link, reason: str) -> NodeError:
    return NodeError(
        QUERY_FAILED,
        name=link.peer.name,
        request="C-FIND",
        reason=reason,
        calling_ae=link.association.requestor.ae_title,
    )


def query_failure(link: Link, request: str, status: Dataset) -> NodeError:
    """Make the failure of a C-FIND or C-GET from its last response; an empty one means there was none."""
    code = status.get("Status")
    if link.incoming.over:
        reason = link.incoming.over
    elif code is None:
        reason = f"no answer within {link.peer.timeout_s:g} s, or the association ended"
    else:
        reason = f"status 0x{code:04X}, {query_status_text(code)}"
    return NodeError(
        QUERY_FAILED,
        name=link.peer.name,
        request=request,
        reason=reason,
        calling_ae=link.association.requestor.ae_title,
    )
