"""What an engine takes on this machine: the node's own path, round after round, against its networks alone.

Nothing is computed in another way than for a patient: an `Analyst` analyses the study, and its sessions are
watched (see `watched`). In each round the networks then run alone on the very tensors that the analysis gave
them, so that both are met by the same other work on the machine.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from dicomnode.analyse.analysis import Analysis
from dicomnode.analyse.analyst import Analyst
from dicomnode.analyse.clock import Stage
from dicomnode.analyse.watched import Arrays, WatchedSession, alone
from dicomnode.engine import EnginePackage, RuntimeWish, Session
from dicomnode.engine.runtimes import cuda_of
from dicomnode.faults import BENCH_NOT_ANALYSED, NodeError
from dicomnode.values import Findings, Outcome, Picture, Progress, RemarkKind, Volume, no_progress

# Stages of what is told while it is measured
FIRST: Final = "first study"
SECOND: Final = "second study"
WATCHED: Final = "study with tensors kept"
ROUNDS: Final = "rounds"
BATCHED: Final = "batches"
BATCHES: Final = (1, 2, 4, 8)
_BATCH_ROUNDS: Final = 3
_OF_MEMORY: Final = 0.5  # of what is free: a batch that may take more is left out
_WHEN: Final = datetime(2026, 1, 1, tzinfo=UTC)
_SALT: Final = b"bench" * 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Seconds from a volume to its Findings, over the rounds; percentiles interpolated between rounds."""

    p50: float
    p90: float
    p99: float
    least: float
    most: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Latency:
        """Take them of some rounds, one at least."""
        p50, p90, p99 = (float(one) for one in np.percentile(seconds, (50, 90, 99)))
        return cls(p50=p50, p90=p90, p99=p99, least=min(seconds), most=max(seconds))


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTime:
    """Median seconds of a stage.

    parts: of a network's step: gather, infer, interpret. network: of that, the runtime alone; None of a stage
    without a network. runs: how often the network ran.
    """

    name: str
    seconds: float
    parts: Mapping[str, float]
    network: float | None = None
    runs: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchTime:
    """What a network takes alone with so many items at a time: the least of three runs, in seconds."""

    step: str
    batch: int
    seconds: float
    items_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTimes:
    """What was measured of a loaded engine on one study; seconds, unless they say otherwise.

    network: median of the runtime within the analysis. plain: median of the same sessions on the same tensors
    with no node around. around_percent: what the analysis takes beside its networks, of `plain`; None for an
    engine without networks. cpu: median processor time of an analysis, all threads. ready_mb, peak_mb:
    resident memory of the process when it was ready, and at most until the second study had ended.
    device_mb: memory of the GPU in use by then, whoever has it; None without one.
    """

    runtime: str
    precision: str
    device: str
    outcome: str
    rounds: int
    first: float
    second: float
    latency: Latency
    volumes_per_hour: float
    cpu: float
    stages: tuple[StageTime, ...]
    network: float | None
    plain: float | None
    around_percent: float | None
    batches: tuple[BatchTime, ...]
    ready_mb: float
    peak_mb: float
    device_mb: float | None

    def document(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return asdict(self)


class Bench:
    """An engine that is loaded to be measured. Raises NodeError as `Analyst` does."""

    def __init__(self, package: EnginePackage, threads: int, wish: RuntimeWish) -> None:
        self._sessions: dict[str, WatchedSession] = {}
        self.analyst = Analyst(package, threads=threads, node_version="bench", wish=wish, watch=self._watch)

    def _watch(self, step: str, session: Session) -> Session:
        self._sessions[step] = WatchedSession(session)
        return cast("Session", self._sessions[step])

    def measure(
        self, volumes: Mapping[str, Volume | Picture], rounds: int, progress: Progress = no_progress
    ) -> EngineTimes:
        """Analyse a study `rounds` times, after a first, a second, and one to see what networks are given.

        Raises NodeError: BENCH_NOT_ANALYSED when the engine does not take the study, and as
        `Analyst.analyse` does.
        """
        analysis = Analysis(volumes=volumes, salt=_SALT, study_version=1, made_at=_WHEN)
        ready_mb = memory_mb("VmRSS")
        with _told(progress, FIRST):
            first, findings = self._once(analysis)
        with _told(progress, SECOND):
            second, _ = self._once(analysis)
        peak_mb, device_mb = memory_mb("VmHWM"), _device_mb(one.session for one in self._sessions.values())
        with _told(progress, WATCHED):
            self._once(analysis, keep=True)
        done: list[_Round] = []
        progress(ROUNDS, 0, rounds)
        for number in range(rounds):
            one, _ = self._once(analysis)
            plain = {name: alone(each.session, each.kept) for name, each in self._sessions.items()}
            done.append(replace(one, plain=plain))
            progress(ROUNDS, number + 1, rounds)
        whole = [one.seconds for one in done]
        network, plain_s, around = _shares(done) if self._sessions else (None, None, None)
        told = findings.provenance
        return EngineTimes(
            runtime=told.runtime,
            precision=told.precision,
            device=told.device,
            outcome=str(findings.outcome),
            rounds=rounds,
            first=first.seconds,
            second=second.seconds,
            latency=Latency.of(whole),
            volumes_per_hour=3600.0 * len(whole) / sum(whole),
            cpu=_median([one.cpu for one in done]),
            stages=tuple(_stage(done, index) for index in range(len(done[0].stages))),
            network=network,
            plain=plain_s,
            around_percent=around,
            batches=tuple(self._batches(progress)),
            ready_mb=ready_mb,
            peak_mb=peak_mb,
            device_mb=device_mb,
        )

    def _batches(self, progress: Progress) -> Iterator[BatchTime]:
        watched = [(name, one) for name, one in self._sessions.items() if one.kept]
        for number, (name, one) in enumerate(watched):
            progress(BATCHED, number, len(watched))
            yield from batch_times(name, one.session, one.kept[0])
            progress(BATCHED, number + 1, len(watched))

    def _once(self, analysis: Analysis, *, keep: bool = False) -> tuple[_Round, Findings]:
        for watched in self._sessions.values():
            watched.begin(keep=keep)
        cpu, begun = time.process_time(), time.perf_counter()
        findings = self.analyst.analyse(analysis)
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
        if findings.outcome is Outcome.NOT_ANALYSED:
            why = [one.text for one in findings.remarks if one.kind is RemarkKind.NOT_ANALYSED]
            name = self.analyst.package.manifest.name
            raise NodeError(BENCH_NOT_ANALYSED, engine=name, reason=" ".join(why).rstrip("."))
        network = {name: (one.seconds, one.calls) for name, one in self._sessions.items()}
        return _Round(seconds=seconds, cpu=cpu, stages=self.analyst.stages, network=network), findings


@contextmanager
def _told(progress: Progress, stage: str) -> Iterator[None]:
    """Tell when a stage of one analysis begins and ends; nothing is told while the clock runs."""
    progress(stage, 0, 1)
    yield
    progress(stage, 1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Round:
    """One analysis. network: seconds and runs of each session in it; plain: seconds of each alone."""

    seconds: float
    cpu: float
    stages: tuple[Stage, ...]
    network: Mapping[str, tuple[float, int]]
    plain: Mapping[str, float] | None = None


def _shares(done: Sequence[_Round]) -> tuple[float, float, float | None]:
    """Return medians of the networks within and alone, and what is around them in percent of the latter.

    Each share is that of one round, whose two halves met the same load; the median is that of the shares.
    """
    network = [sum(seconds for seconds, _ in one.network.values()) for one in done]
    plain = [sum((one.plain or {}).values()) for one in done]
    shares = [
        100.0 * (one.seconds - within) / outside
        for one, within, outside in zip(done, network, plain, strict=True)
        if outside > 0
    ]
    return _median(network), _median(plain), _median(shares) if shares else None


def _stage(done: Sequence[_Round], index: int) -> StageTime:
    stages = [one.stages[index] for one in done]
    name = stages[0].name
    seconds, runs = [0.0], 0
    if has_network := name in done[0].network:
        seconds = [one.network[name][0] for one in done]
        runs = done[0].network[name][1]
    return StageTime(
        name=name,
        seconds=_median([one.seconds for one in stages]),
        parts={part: _median([one.parts[part] for one in stages]) for part in stages[0].parts},
        network=_median(seconds) if has_network else None,
        runs=runs,
    )


def batch_times(step: str, session: Session, given: Arrays) -> list[BatchTime]:
    """Run a network alone with more and more items at a time; nothing where its batch is fixed.

    given: what it takes of one item or more; the first is repeated. A batch that may not fit the memory is
    left out, and all that are larger.
    """
    if not all(spec.shape and spec.shape[0] is None for spec in session.inputs):
        return []
    times = []
    for batch in BATCHES:
        arrays = {name: np.concatenate([array[:1]] * batch) for name, array in given.items()}
        largest = max((array.shape for array in arrays.values()), key=lambda shape: int(np.prod(shape)))
        if session.memory(largest) > _OF_MEMORY * _free_bytes(session):
            break
        alone(session, [arrays])
        seconds = min(alone(session, [arrays]) for _ in range(_BATCH_ROUNDS))
        times.append(BatchTime(step=step, batch=batch, seconds=seconds, items_per_s=batch / seconds))
    return times


def _free_bytes(session: Session) -> float:
    """Return the memory that is free where a session computes."""
    context = cuda_of(session)
    if context is not None:
        return float(context.memory().free)
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    (available,) = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return 1024.0 * int(available)


def _device_mb(sessions: Iterable[Session]) -> float | None:
    """Return the memory in use of the GPU that the first of these computes on; None where none does."""
    for context in filter(None, map(cuda_of, sessions)):
        memory = context.memory()
        return (memory.total - memory.free) / 1e6
    return None


def memory_mb(line: str) -> float:
    """Return resident memory of this process in MB: VmHWM, the most so far, or VmRSS, now."""
    # getrusage gives the most of the parent where that was larger, as a child begins as its copy
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split(f"{line}:")[1].split()[0]) * 1024 / 1e6


def _median(values: Sequence[float]) -> float:
    return float(np.median(values))
