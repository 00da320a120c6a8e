"""The studies of files that wait in `incoming/`: of these nothing is decided before ingest has taken them."""

from __future__ import annotations

from dicomnode.faults import STORE_WRITE_FAILED, NodeError
from dicomnode.store import SealedFile, Store, read_ids


class WaitingFiles:
    """Tells whose files wait. Each file is read once, however often it is asked."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._study_of: dict[str, str] = {}  # by name of file; empty of one that is none

    def studies(self) -> frozenset[str]:
        """Give the Study Instance UIDs of the files that wait now.

        A file that is none says nothing: ingest will set it aside. Raises NodeError(STORE_WRITE_FAILED).
        """
        known = self._study_of
        waiting = {sealed.path.name: sealed for sealed in self._store.sealed()}
        self._study_of = {
            name: known[name] if name in known else _study_of(sealed) for name, sealed in waiting.items()
        }
        return frozenset(uid for uid in self._study_of.values() if uid)


def _study_of(sealed: SealedFile) -> str:
    try:
        return read_ids(sealed.path).study_instance_uid
    except NodeError as error:
        if error.fault is STORE_WRITE_FAILED:
            raise  # the disk did not give it: that says nothing about the instance
        return ""
