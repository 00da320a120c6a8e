"""Decodes in processes that may die: what ends one costs the slice that it was at, and nothing else.

A study's slices are decoded on as many cores as there are. The pool is for one thread; a process ends with
the thread that started it.
"""

from __future__ import annotations

import os
import selectors
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Final, Self

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicomnode.assemble.decoders.file import DecodingError, UndecodableError
from dicomnode.assemble.decoders.process import (
    DEPTH,
    BrokenProcessError,
    DecoderProcess,
    Request,
    Result,
    how_ended,
)
from dicomnode.assemble.kinds import class_name
from dicomnode.assemble.record import Header
from dicomnode.assemble.slices import DecodedSlice, decode_here, first_of_instance
from dicomnode.faults import (
    DECODER_DIED,
    DECODER_MEMORY,
    DECODER_TOO_LONG,
    DECODERS_DO_NOT_START,
    NodeError,
)

# -P: what lies in the folder that the service was started in is not imported
_COMMAND: Final = (sys.executable, "-P", "-m", "dicomnode.assemble.decoders.child")
_START_S: Final = 60.0  # a process that has not loaded its libraries by then will not
_STARTS: Final = 3  # in a row that may fail
# More of them wait for the one that puts slices together, which takes about a tenth of a slice's time
_MOST: Final = 16
# How many slices may be decoded and wait for an earlier one, a process
_AHEAD: Final = 2 * DEPTH


@dataclass(frozen=True, slots=True, kw_only=True)
class DecoderLimits:
    """What decoders may take. processes: 0 for as many as help; the others are for each image."""

    processes: int = 0
    memory_bytes: int = 2 * 10**9
    time_s: float = 60.0

    def __post_init__(self) -> None:
        if self.processes < 0 or self.memory_bytes <= 0 or not self.time_s > 0:
            raise ValueError(f"no decoder can work within {self}")

    @property
    def count(self) -> int:
        """How many processes there are."""
        return self.processes or min(len(os.sched_getaffinity(0)), _MOST)


class _Loss(Enum):
    """Why a process is given up."""

    ENDED = auto()
    TOO_LONG = auto()
    BROKEN = auto()


@dataclass(slots=True)
class _Job:
    """What is decoded now: what is still to be asked for, and what has come before its turn."""

    todo: deque[Request]
    turn: int = 0
    results: dict[int, Result] = field(default_factory=dict)


class DecoderPool:
    """Decoder processes, started when there is first something to decode; a `DecodeSlices`.

    command: what they are. clock: seconds that only go up.
    """

    def __init__(
        self,
        limits: DecoderLimits,
        *,
        command: Sequence[str] = _COMMAND,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._command = tuple(command)
        self._clock = clock
        self._processes: list[DecoderProcess] = []
        self._selector = selectors.DefaultSelector()
        self._failed_starts = 0

    def __enter__(self) -> Self:
        """Use it as a context; its processes end with it."""
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that there are now."""
        return tuple(process.pid for process in self._processes)

    def close(self) -> None:
        """End all processes."""
        for process in list(self._processes):
            self._end(process)
        self._selector.close()

    def start(self, count: int | None = None) -> None:
        """Start what is missing of `count` processes, without waiting until they are ready."""
        wanted = self._limits.count if count is None else min(count, self._limits.count)
        while len(self._processes) < wanted:
            deadline_s = self._clock() + _START_S
            try:
                process = DecoderProcess(self._command, self._limits.memory_bytes, deadline_s)
            except OSError as error:
                why = error.strerror or type(error).__name__
                raise NodeError(DECODERS_DO_NOT_START, reason=why) from error
            self._processes.append(process)
            self._selector.register(process, selectors.EVENT_READ, process)

    def __call__(
        self, headers: Sequence[Header], *, other_than: str | None = None
    ) -> Iterator[DecodedSlice | DecodingError]:
        """Decode slices in the order asked; see `DecodeSlices`.

        Native pixels are read here: nothing is decoded that could go wrong, and they would only be copied.
        Raises NodeError(DECODER_DIED, DECODER_TOO_LONG, DECODER_MEMORY) when the turn of such a slice comes.
        """
        native = decode_here([header for header in headers if _is_native(header)], other_than=other_than)
        there = self._there([header for header in headers if not _is_native(header)], other_than)
        try:
            for header in headers:
                yield next(native if _is_native(header) else there)
        finally:
            native.close()
            there.close()

    def _there(
        self, headers: Sequence[Header], other_than: str | None
    ) -> Generator[DecodedSlice | DecodingError]:
        """Decode slices in the processes."""
        firsts = first_of_instance(headers)
        requests = [
            Request(number=number, header=header, other_than=other_than, with_header=first)
            for number, (header, first) in enumerate(zip(headers, firsts, strict=True))
        ]
        job = _Job(deque(one for one in requests if self._fits(one.header)))
        job.results = {one.number: _too_large(one.header) for one in requests if not self._fits(one.header)}
        for process in [one for one in self._processes if one.has_ended]:
            self._end(process, has_ended=True)  # killed while it had nothing to do: no image is to blame
        try:
            self._make_room(job)
            for job.turn in range(len(requests)):
                while job.turn not in job.results:
                    self._feed(job)
                    self._wait(job)
                result = job.results.pop(job.turn)
                if isinstance(result, NodeError):
                    raise result
                yield result
        finally:
            # What is left undone when nobody wants the rest would be answered to the next who asks
            for process in [one for one in self._processes if one.requests]:
                self._end(process)

    def _fits(self, header: Header) -> bool:
        return 0 < 4 * header.values <= self._limits.memory_bytes

    def _make_room(self, job: _Job) -> None:
        if job.todo:
            self._pixels = max(one.header.values for one in job.todo)

    def _feed(self, job: _Job) -> None:
        """Give the processes what is next, each little at a time."""
        self.start(len(job.todo) + sum(1 for one in self._processes if one.requests))
        furthest = job.turn + _AHEAD * self._limits.count
        for _ in range(DEPTH):
            for process in list(self._processes):
                if not job.todo or job.todo[0].number > furthest:
                    return
                if len(process.requests) == DEPTH:
                    continue
                if not process.requests:
                    process.make_room(self._pixels)
                    if process.is_ready:
                        process.deadline_s = self._clock() + self._limits.time_s
                request = job.todo.popleft()
                try:
                    process.send(request)
                except BrokenPipeError:
                    self._lost(process, job, _Loss.ENDED)

    def _wait(self, job: _Job) -> None:
        """Wait until one process says something, ends, or takes too long."""
        busy = [one for one in self._processes if one.requests or not one.is_ready]
        deadlines = [one.deadline_s for one in busy if one.deadline_s is not None]
        timeout_s = max(min(deadlines) - self._clock(), 0.0) if deadlines else 0.0
        for key, _ in self._selector.select(timeout_s):
            process: DecoderProcess = key.data
            try:
                results = process.receive()
            except BrokenProcessError:
                self._lost(process, job, _Loss.BROKEN)
                continue
            if results is None:
                self._lost(process, job, _Loss.ENDED)
                continue
            job.results |= {request.number: result for request, result in results}
            if process.is_ready:
                self._failed_starts = 0
                process.deadline_s = self._clock() + self._limits.time_s if process.requests else None
        now = self._clock()
        for process in list(self._processes):
            if process.deadline_s is not None and now >= process.deadline_s:
                self._lost(process, job, _Loss.TOO_LONG)

    def _lost(self, process: DecoderProcess, job: _Job, loss: _Loss) -> None:
        """Give a process up; what it was at has failed, the rest is asked of others."""
        was_ready, requests = process.is_ready, list(process.requests)
        status = self._end(process, has_ended=loss is _Loss.ENDED)
        if not was_ready:
            self._failed_starts += 1
            if self._failed_starts >= _STARTS:
                raise NodeError(DECODERS_DO_NOT_START, reason=f"they end with {how_ended(status)}")
        elif requests:
            culprit = requests.pop(0)
            # No decoder ends itself by SIGKILL: the kernel did, whose memory was short, or a person
            if loss is _Loss.ENDED and status == -signal.SIGKILL and not culprit.again:
                requests.insert(0, replace(culprit, again=True))
            else:
                job.results[culprit.number] = self._failure(culprit.header, loss, status)
        job.todo.extendleft(reversed(requests))

    def _failure(self, header: Header, loss: _Loss, status: int) -> NodeError:
        facts = {
            "sop_instance_uid": header.sop_instance_uid,
            "transfer_syntax": class_name(header.transfer_syntax_uid),
        }
        if loss is _Loss.TOO_LONG:
            return NodeError(DECODER_TOO_LONG, limit_s=self._limits.time_s, **facts)
        how = "replies that make no sense" if loss is _Loss.BROKEN else how_ended(status)
        return NodeError(DECODER_DIED, how=how, **facts)

    def _end(self, process: DecoderProcess, *, has_ended: bool = False) -> int:
        self._selector.unregister(process)
        self._processes.remove(process)
        return process.end(has_ended=has_ended)


def _is_native(header: Header) -> bool:
    return header.transfer_syntax_uid in (ImplicitVRLittleEndian, ExplicitVRLittleEndian)


def _too_large(header: Header) -> Result:
    if not header.rows or not header.columns:
        return UndecodableError("it says no Rows or Columns")
    return NodeError(DECODER_MEMORY, sop_instance_uid=header.sop_instance_uid)
