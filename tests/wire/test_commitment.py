"""An archive answers a request for storage commitment on the same association, on the next one, or later."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from dicomnode.net.commitment import CommitmentAnswer, request_commitment
from tests.wire.archives import NO_SUCH_INSTANCE, running_archive
from tests.wire.peers import CT

pytestmark = pytest.mark.wire

FIRST, SECOND = "2.25.1", "2.25.2"
KEPT, LOST = "1.2.3.1", "1.2.3.2"
ANSWER = CommitmentAnswer(committed=frozenset({KEPT}), failed={LOST: NO_SUCH_INSTANCE})

# What is heard on the association of the first request, and on that of the second
WAYS = [("same", {FIRST: ANSWER}, {SECOND: ANSWER}), ("next", {}, {FIRST: ANSWER}), ("never", {}, {})]


@pytest.mark.parametrize(("commits", "at_first", "then"), WAYS)
def test_p34_what_it_answers_is_heard_whichever_request_it_is_to(
    commits: str, at_first: dict[str, CommitmentAnswer], then: dict[str, CommitmentAnswer]
) -> None:
    with running_archive([CT], commits=commits) as archive:
        archive.objects[KEPT] = Dataset()
        asked = [(uid, CT) for uid in (KEPT, LOST)]
        heard = [request_commitment(archive.peer, "DICOMNODE", uid, asked) for uid in (FIRST, SECOND)]
    assert heard == [at_first, then]
