"""Work ahead of the analysis: while a study arrives, the slices that an engine may want are decoded.

Only in turns in which nothing else waits, a short while each: an analysis never waits for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Final

from dicomnode.assemble import DecodeSlices, Header, SlicesAhead
from dicomnode.engine import Manifest, may_want
from dicomnode.journal import Journal, StudyState
from dicomnode.values import FACT_TAGS, SeriesFacts

_TURN_S: Final = 0.1  # as long as a claim may be late by this work
# A study in one of these may still be analysed
_UNDECIDED: Final = frozenset(
    {
        StudyState.RECEIVING,
        StudyState.INCOMPLETE,
        StudyState.COMPLETE,
        StudyState.QUEUED,
        StudyState.ANALYSING,
    }
)


class AheadOfAnalysis:
    """Decodes what arrives, at most `limit_bytes` of it. manifests: of the engines that are loaded."""

    def __init__(
        self,
        journal: Journal,
        manifests: Callable[[], Iterable[Manifest]],
        limit_bytes: int,
        decode: DecodeSlices,
    ) -> None:
        self._journal = journal
        self._manifests = manifests
        self._limit_bytes = limit_bytes
        self._held: dict[str, set[Path]] = {}
        # When the journal had last heard of a study that was looked at to the end
        self._looked: dict[str, datetime] = {}
        self.slices = SlicesAhead(limit_bytes, decode)

    def turn(self) -> bool:
        """Decode for a short while; tell whether there is more to do. Raises NodeError of the journal."""
        if not self._limit_bytes:
            return False
        self._forget()
        end = time.monotonic() + _TURN_S
        arriving = dict(self._journal.arriving())
        self._looked = {study: at for study, at in self._looked.items() if study in arriving}
        for study, heard_at in arriving.items():
            if self._looked.get(study) == heard_at:
                continue
            for instance in self._journal.instances(study):
                if self.slices.knows(instance.path):
                    continue
                self._look(study, instance.path)
                if time.monotonic() > end:
                    return True
            self._looked[study] = heard_at
        return False

    def _look(self, study: str, path: Path) -> None:
        header = self.slices.header_of(path)
        if header is None:
            return
        if not self._is_wanted(header):
            self.slices.pass_over(path)
        elif self.slices.decode(header):
            self._held.setdefault(study, set()).add(path)

    def _is_wanted(self, header: Header) -> bool:
        facts = SeriesFacts(
            study_instance_uid=header.study_instance_uid,
            series_instance_uid=header.series_instance_uid,
            tags={keyword: header.tags[keyword] for keyword in FACT_TAGS if keyword in header.tags},
        )
        return any(may_want(manifest, facts) for manifest in self._manifests())

    def _forget(self) -> None:
        """Let go of the slices of studies that nobody will analyse any more."""
        for study in list(self._held):
            if self._journal.study(study).state not in _UNDECIDED:
                self.slices.let_go(frozenset(self._held.pop(study)))
