"""How many instances a DICOMweb service has of a study, by QIDO-RS (PS3.18 section 10.6)."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from dicomnode.faults import FETCH_LATE, WEB_FAILED, NodeError
from dicomnode.net.dicomweb import query
from dicomnode.net.limits import FetchLimits, Meter
from dicomnode.net.query import ANSWERS_OF_A_STUDY, StudyCount, series_count, told
from dicomnode.net.web import WebPeer
from dicomnode.values import is_valid_uid

_MOST_SERIES: Final = 1000  # of a study, and the instances of a series, as by C-FIND
_MOST_INSTANCES: Final = 50_000


def count_by_web(peer: WebPeer, study_uid: str) -> StudyCount:
    """Ask how many instances the service has of a study; no series when it does not know the study.

    By Number of Series Related Instances; where a series has none, its instances are listed. Raises NodeError
    as `dicomweb.query`; WEB_FAILED also where that is less than the service says of the whole study: some cut
    their answers off without a word, and give the rest by no offset; and where all answers together take more
    than 20 times the wait for one.
    """
    seconds = ANSWERS_OF_A_STUDY * peer.timeout_s
    try:
        return _counted(peer, study_uid, Meter(peer.name, FetchLimits(seconds=seconds)))
    except NodeError as error:
        if error.fault is not FETCH_LATE:
            raise
        raise _no_count(peer, f"its answers did not end within {seconds:g} s") from error


def _counted(peer: WebPeer, study_uid: str, meter: Meter) -> StudyCount:
    whole = _said_of_study(peer, study_uid, meter)  # first: images may come meanwhile
    study = f"studies/{study_uid}"
    keys = {"SeriesInstanceUID": "", "NumberOfSeriesRelatedInstances": ""}
    counts: dict[str, int] = {}
    for match in query(peer, f"{study}/series", keys, limit=_MOST_SERIES, meter=meter):
        uid, count = str(match.SeriesInstanceUID), series_count(match)
        if not is_valid_uid(uid):  # it becomes a part of the next path
            raise _no_count(peer, "the Series Instance UID of an answer is none")
        if count is None:
            path = f"{study}/series/{uid}/instances"
            listed = query(peer, path, {"SOPInstanceUID": ""}, limit=_MOST_INSTANCES, meter=meter)
            count = len(listed)
        counts[uid] = count
    found = StudyCount(counts)
    if found.instances < whole:
        reason = f"of {whole} images of the study it lists {found.instances}: raise its limit of results"
        raise _no_count(peer, reason)
    return found


def _no_count(peer: WebPeer, reason: str) -> NodeError:
    return NodeError(WEB_FAILED, name=peer.name, request="QIDO-RS", reason=reason)


def _said_of_study(peer: WebPeer, study_uid: str, meter: Meter) -> int:
    """Number of Study Related Instances (0020,1208); 0 where the service does not tell."""
    keys = {"StudyInstanceUID": study_uid, "NumberOfStudyRelatedInstances": ""}
    for match in query(peer, "studies", keys, limit=_MOST_SERIES, meter=meter):
        if str(match.StudyInstanceUID) == study_uid:
            with suppress(ValueError, TypeError):
                return int(str(told(match, "NumberOfStudyRelatedInstances")))
    return 0
