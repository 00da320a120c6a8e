"""How many instances a DICOMweb service has of a study, by QIDO-RS (PS3.18 section 10.6)."""

from __future__ import annotations

from typing import Final

from dicomnode.net.dicomweb import WebPeer, query
from dicomnode.net.query import StudyCount, series_count

# More series or instances than any study has: an answer that is longer is cut, and then counts too few
_MOST: Final = 100_000


def count_by_web(peer: WebPeer, study_uid: str) -> StudyCount:
    """Ask how many instances the service has of a study; no series when it does not know the study.

    By Number of Series Related Instances; where a series has none, its instances are listed.
    Raises NodeError WEB_UNREACHABLE, WEB_FAILED or FETCH_LATE.
    """
    study = f"studies/{study_uid}"
    keys = {"SeriesInstanceUID": "", "NumberOfSeriesRelatedInstances": ""}
    counts: dict[str, int] = {}
    for match in query(peer, f"{study}/series", keys, limit=_MOST):
        uid, count = str(match.get("SeriesInstanceUID") or ""), series_count(match)
        if uid and count is None:
            path = f"{study}/series/{uid}/instances"
            listed = query(peer, path, {"SOPInstanceUID": ""}, limit=_MOST)
            count = len({str(one.get("SOPInstanceUID")) for one in listed if one.get("SOPInstanceUID")})
        if uid:
            counts[uid] = count or 0
    return StudyCount(counts)
