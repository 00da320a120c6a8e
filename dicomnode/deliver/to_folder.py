"""Results as files in a folder: STUDY/SERIES/INSTANCE.dcm, each there whole or not at all."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from dicomnode.deliver.outcome import FileOutcome
from dicomnode.deliver.sending import STOPPED, OnNegotiated, OnOutcome, tell
from dicomnode.faults import COMMITMENT_REFUSED, FOLDER_FAILED, SEND_UNREADABLE, NodeError
from dicomnode.net.commitment import CommitmentAnswer
from dicomnode.net.rate import Rate
from dicomnode.store.disk import SharedDisk
from dicomnode.store.foreign import UNREADABLE, quiet
from dicomnode.store.whole import write_whole
from dicomnode.values import is_valid_uid

_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


@dataclass(frozen=True, slots=True)
class FolderRoute:
    """To a folder, which others may look into at any moment. name: of the destination."""

    name: str
    folder: Path
    rate: Rate | None = None

    def send(
        self,
        files: Sequence[Path],
        *,
        on_outcome: OnOutcome,
        on_negotiated: OnNegotiated,
        stop: threading.Event,
    ) -> list[FileOutcome]:
        """Write one after the other; a folder takes all SOP Classes."""
        del on_negotiated
        outcomes: list[FileOutcome] = []
        for path in files:
            outcome = _later(path) if stop.is_set() else self._write(path)
            tell(outcome, self.name)
            on_outcome(outcome)
            outcomes.append(outcome)
        return outcomes

    def _write(self, path: Path) -> FileOutcome:
        try:
            content = path.read_bytes()
            with quiet():
                header = dcmread(path, specific_tags=list(_UIDS))
                uids = [str(header.get(keyword) or "") for keyword in _UIDS]
        except OSError as error:
            return _unreadable(path, error.strerror or str(error))
        except InvalidDicomError:
            return _unreadable(path, "it is not a DICOM Part 10 file")
        except UNREADABLE as error:
            return _unreadable(path, f"it cannot be read ({type(error).__name__})")
        if not all(is_valid_uid(uid) for uid in uids):  # they become names of folders
            return _unreadable(path, "one of its UIDs is none")
        study, series, instance = uids
        place = self.folder / study / series
        try:
            # The folder itself is not made: where a share is not mounted, nothing may lie below its name
            if not self.folder.is_dir():
                raise FileNotFoundError("the folder is not there")
            place.mkdir(parents=True, exist_ok=True)
            if self.rate is not None:
                self.rate.take(len(content))
            write_whole(SharedDisk(), place / f"{instance}.dcm", content)
        except OSError as error:
            said = error.strerror or str(error)
            fault = NodeError(FOLDER_FAILED, name=self.name, folder=self.folder, error=said)
            return FileOutcome(path=path, sop_instance_uid=instance, outcome="retry", fault=fault)
        return FileOutcome(path=path, sop_instance_uid=instance, outcome="stored")

    def lists(self, study_uid: str, series: Collection[str]) -> frozenset[str] | None:
        """Say nothing: what is not there any more was taken by whom the folder is for."""
        del study_uid, series
        return None

    def ask_commitment(
        self, transaction: str, instances: Sequence[tuple[str, str]]
    ) -> Mapping[str, CommitmentAnswer]:
        """Refuse: a folder commits itself to nothing."""
        del transaction, instances
        raise NodeError(COMMITMENT_REFUSED, name=self.name, reason="it is a folder")

    def takes(self, classes: Sequence[str]) -> Mapping[str, bool]:
        """Look whether the folder is there and this user may write in it; it takes everything."""
        error = "it is not there" if not self.folder.is_dir() else ""
        if not error and not os.access(self.folder, os.W_OK | os.X_OK):
            error = "this user may not write in it"
        if error:
            raise NodeError(FOLDER_FAILED, name=self.name, folder=self.folder, error=error)
        return dict.fromkeys(classes, True)


def _unreadable(path: Path, error: str) -> FileOutcome:
    fault = NodeError(SEND_UNREADABLE, path=path, error=error)
    return FileOutcome(path=path, sop_instance_uid="", outcome="refused", fault=fault)


def _later(path: Path) -> FileOutcome:
    return FileOutcome(path=path, sop_instance_uid="", outcome="retry", note=STOPPED)
