"""What the networks of an engine are given on studies of the site: inputs that 8 bits are calibrated with.

Nothing is prepared in another way than for a patient: an `Analyst` analyses each study on ONNX Runtime in
fp32, and what its sessions are given is looked at. So a network behind another one gets what that one finds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from dicomnode.analyse.analysis import Analysis
from dicomnode.analyse.analyst import Analyst
from dicomnode.engine import EnginePackage, RuntimeWish, Session
from dicomnode.engine.runtimes import REFERENCE
from dicomnode.faults import CALIBRATION_EMPTY, NodeError
from dicomnode.values import Outcome, Picture, Progress, RemarkKind, Volume, no_progress

Arrays = Mapping[str, NDArray[Any]]

WINDOWS: Final = 32
"""So many inputs of each network are kept at most: the ranges of its values settle with less."""

_KEPT_BYTES: Final = 1 << 29  # of each network: whole boxes are large
_WHEN: Final = datetime(2026, 1, 1, tzinfo=UTC)  # of findings that nobody sees
_SALT: Final = b"calibrate" * 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CalibrationInputs:
    """Inputs of an engine's networks.

    windows: by the name of the step, each the arrays of one item by the names of the network's inputs, in its
    own axes and dtypes. studies: that were analysed. passed_over: why others were not.
    """

    windows: Mapping[str, tuple[Arrays, ...]]
    studies: int
    passed_over: tuple[str, ...]


def calibration_windows(
    package: EnginePackage,
    studies: Iterable[Mapping[str, Volume | Picture]],
    *,
    limit: int = WINDOWS,
    progress: Progress = no_progress,
) -> CalibrationInputs:
    """Analyse studies and give what the networks were given, at most `limit` items each, spread over all.

    studies: volumes by name of each [[input]] that is a series, one study after another. The same studies
    give the same inputs. Raises NodeError: CALIBRATION_EMPTY where a network was given nothing, and as
    `Analyst` does.
    """
    tasters: dict[str, _Taster] = {}

    def watch(step: str, session: Session) -> Session:
        tasters[step] = _Taster(session, limit)
        return cast("Session", tasters[step])

    passed_over: list[str] = []
    analysed = 0
    analyst = Analyst(
        package, node_version="calibration", wish=RuntimeWish(runtime=REFERENCE.name), watch=watch
    )
    try:
        for volumes in studies:
            given = Analysis(volumes=volumes, salt=_SALT, study_version=1, made_at=_WHEN)
            findings = analyst.analyse(given, progress)
            analysed += 1
            if findings.outcome is Outcome.NOT_ANALYSED:
                why = (one.text for one in findings.remarks if one.kind is RemarkKind.NOT_ANALYSED)
                passed_over.append(" ".join(why).rstrip("."))
    finally:
        analyst.close()
    windows = {step: tuple(taster.kept) for step, taster in tasters.items()}
    for step, some in windows.items():
        if not some:
            reason = "; ".join(dict.fromkeys(passed_over)) or f"nothing reached its step {step}"
            raise NodeError(CALIBRATION_EMPTY, engine=package.manifest.name, reason=reason)
    return CalibrationInputs(windows=windows, studies=analysed, passed_over=tuple(passed_over))


class _Taster:
    """A `Session` that does what another one does, and keeps every 2ⁿ-th item of what it is given.

    n grows as often as the kept ones become too many: they lie evenly over all that there were, however many
    these are in the end.
    """

    def __init__(self, session: Session, limit: int) -> None:
        self._session = session
        self._limit = max(limit, 1)
        self._seen, self._every = 0, 1
        self.kept: list[Arrays] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """Look at the inputs, then run it."""
        for item in self._items(inputs):
            if self._seen % self._every == 0:
                self.kept.append({name: np.array(array) for name, array in item.items()})
            self._seen += 1
            while len(self.kept) > 1 and (len(self.kept) > self._limit or self._bytes > _KEPT_BYTES):
                self.kept = self.kept[::2]
                self._every *= 2
        return self._session.run(inputs)

    @property
    def _bytes(self) -> int:
        return sum(array.nbytes for item in self.kept for array in item.values())

    def _items(self, inputs: Arrays) -> Iterator[Arrays]:
        """Give the items of a batch one by one, where the network takes batches of any size."""
        if not all(spec.shape and spec.shape[0] is None for spec in self._session.inputs):
            yield inputs
            return
        for at in range(min(len(array) for array in inputs.values())):
            yield {name: array[at : at + 1] for name, array in inputs.items()}
