"""A session that may serve: the best runtime whose numbers are right, and what was passed over for it.

Numbers first, speed second. Each session passes the package's own gate at each start; one that is not the
reference (ONNX Runtime in fp32) has agreed with it before, and the record of that is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NoReturn

import structlog

from dicomnode.device.cuda import ends_process
from dicomnode.engine.acceptance import (
    Acceptance,
    SessionFailedError,
    accept,
    find_record,
    keep_record,
    subject_of,
)
from dicomnode.engine.forests import is_forest
from dicomnode.engine.gate import GateCheck, failures, run_gate
from dicomnode.engine.manifest.tree import StepSpec
from dicomnode.engine.package import EnginePackage
from dicomnode.engine.planned import PlanFailedError, judge_plan, reject_plan, with_plans
from dicomnode.engine.runtimes import (
    REFERENCE,
    RUNTIMES,
    Candidate,
    Network,
    Reason,
    Runtime,
    RuntimeWish,
    Session,
    candidates,
)
from dicomnode.engine.served import ServingSession, Tried
from dicomnode.faults import (
    CUDA_MEMORY,
    GATE_FAILED,
    NETWORK_FAILED,
    PLAN_NOT_LOADED,
    RUNTIME_MISSING,
    RUNTIME_REFUSED,
    NodeError,
)

if TYPE_CHECKING:
    pass

_ANY: Final = RuntimeWish()

Proof = Callable[[Session], object]
"""Lets a session do what will be asked of it; raises NodeError where it cannot."""
_PLANS_TRIED: Final = 2  # the newest of a network, and the one that served before it

_DISAGREES: Final = f"it does not agree with {REFERENCE.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateReport:
    """All comparisons of an engine's networks on this machine, and what can run them.

    runtimes: of the sessions that would serve. acceptances: of those that are not the reference. reasons: why
    the other runtimes would not.
    """

    engine: str
    version: str
    digest: str
    checks: tuple[GateCheck, ...]
    runtimes: tuple[str, ...]
    reasons: tuple[Reason, ...]
    acceptances: tuple[Acceptance, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the engine may serve here."""
        return all(check.passed for check in self.checks)

    @property
    def text(self) -> str:
        """What did not pass, in a sentence; empty when all did."""
        return failures(self.checks)


def open_session(  # noqa: PLR0913  each is a fact of its own
    package: EnginePackage,
    network: str,
    threads: int = 0,
    wish: RuntimeWish = _ANY,
    runtimes: Sequence[Runtime] = RUNTIMES,
    *,
    make_room: Callable[[int], bool] = lambda _: False,
    proof: Proof = lambda _: None,
) -> Session:
    """Load a network of a package as it is wished; its numbers are right when this returns.

    network: name of the step or of its file. threads 0: all that this process may use. make_room: is asked
    for so many bytes before a runtime whose device is full is passed over; False when there is no more.
    proof: what one that agrees must be able to do besides, else it is passed over as well.
    Raises NodeError: RUNTIME_MISSING, RUNTIME_REFUSED when the one that is named may not serve,
    NETWORK_FAILED, GATE_FAILED, and as `EnginePackage.network_bytes`.
    """
    opening = _Opening(package, package.step(network), threads, wish, make_room, proof)
    session, tried = opening.choose(runtimes)
    failed = failures(tried.checks)
    if failed:
        session.close()
        raise NodeError(GATE_FAILED, engine=opening.engine, reason=failed)
    return ServingSession(session, wish, tried)


def check_engine(
    package: EnginePackage,
    threads: int = 0,
    wish: RuntimeWish = _ANY,
    runtimes: Sequence[Runtime] = RUNTIMES,
) -> GateReport:
    """Choose for all networks of a package, and report every comparison.

    An engine without networks passes without a comparison. Raises NodeError as `open_session` does, but
    not GATE_FAILED.
    """
    checks: list[GateCheck] = []
    served: list[str] = []
    acceptances: list[Acceptance] = []
    reasons: list[Reason] = []
    for step in package.manifest.networks:
        session, tried = _Opening(package, step, threads, wish).choose(runtimes)
        served.append(session.runtime)
        session.close()
        checks += tried.checks
        reasons += tried.passed_over
        if tried.acceptance is not None:
            acceptances.append(tried.acceptance)
    return GateReport(
        engine=package.manifest.name,
        version=package.manifest.version,
        digest=package.digest,
        checks=tuple(checks),
        runtimes=tuple(dict.fromkeys(served)),
        reasons=tuple(dict.fromkeys(reasons)),
        acceptances=tuple(acceptances),
    )


def _of_trees(wish: RuntimeWish) -> RuntimeWish:
    """Return the wish for a forest, which may stand beside a network: what is named for that has no trees."""
    return replace(wish, runtime=REFERENCE.name, precision="")


class _RefusedError(Exception):
    """A runtime may not serve this network; the text says why. again: loading it again gives another plan."""

    def __init__(self, text: str, *, again: bool = False) -> None:
        super().__init__(text)
        self.again = again


class _Opening:
    """The choice of a runtime for one network."""

    def __init__(
        self,
        package: EnginePackage,
        step: StepSpec,
        threads: int,
        wish: RuntimeWish,
        make_room: Callable[[int], bool] = lambda _: False,
        proof: Proof = lambda _: None,
    ) -> None:
        self.engine = f"{package.manifest.name} {package.manifest.version}"
        self._name = package.manifest.name
        self._steps = package.manifest.networks
        self._step = step
        self._threads = threads
        self._make_room = make_room
        self._proof = proof
        self._log = structlog.get_logger("dicomnode.engine").bind(engine=self._name, step=step.name)
        content = package.network_bytes(step)
        self._wish = _of_trees(wish) if is_forest(content) else wish
        self._network = Network(
            engine=self.engine,
            file=step.network or "",
            content=content,
            memory_bytes_per_voxel=step.memory_bytes_per_voxel,
        )

    def choose(self, runtimes: Sequence[Runtime]) -> tuple[Session, Tried]:
        """Take the first candidate that may serve. What the reference says of the network is final."""
        passed_over: list[Reason] = []
        able = with_plans(runtimes, self._steps, self._wish)
        for one in candidates(self._step.precisions, self._wish, self._threads, able):
            if isinstance(one, Reason):
                self._pass_over(one, passed_over)
                continue
            for _ in range(_PLANS_TRIED):
                try:
                    session, tried = self._try(one)
                except _RefusedError as error:
                    self._pass_over(Reason(one.runtime.name, str(error)), passed_over)
                    if not error.again:
                        break
                else:
                    return session, replace(tried, passed_over=tuple(passed_over))
        reasons = "; ".join(f"{one.runtime}: {one.text}" for one in passed_over) or "none is installed"
        if self._wish.others_allowed:
            raise NodeError(RUNTIME_MISSING, engine=self.engine, reasons=reasons)
        raise NodeError(RUNTIME_REFUSED, engine=self.engine, runtime=self._wish.runtime, reasons=reasons)

    def _pass_over(self, reason: Reason, passed_over: list[Reason]) -> None:
        say = self._log.warning if reason.installed and self._wish.state is not None else self._log.debug
        say("runtime.passed_over", runtime=reason.runtime, reason=reason.text)
        passed_over.append(reason)

    def _try(self, one: Candidate) -> tuple[Session, Tried]:
        """Load a candidate and look at its numbers. Raises _RefusedError; of the reference NodeError."""
        if one.is_reference:
            session = one.runtime.load(self._network, one.capability)
            with _closed_on_failure(session):
                checks = tuple(run_gate(session, self._step))
                if not failures(checks):
                    self._proof(session)
                return session, Tried(checks=checks)
        try:
            session = self._loaded(one)
            with _closed_on_failure(session):
                checks = self._gate(one, session)
                acceptance = self._acceptance(one, session)
                if not acceptance.passed:
                    self._refuse(session, f"in {one.precision} {_DISAGREES}: {acceptance.worst}")
                self._prove(one, session, acceptance)
                return session, Tried(checks=checks, acceptance=acceptance)
        except NodeError as error:
            if ends_process(error):
                raise  # no other runtime is right in this process either
            # A plan that TensorRT makes nothing of is gone by now: one that served before may stand in
            again = error.fault is PLAN_NOT_LOADED and self._wish.plans is not None
            raise _RefusedError(f"in {one.precision}: {_text(error)}", again=again) from error

    def _loaded(self, one: Candidate) -> Session:
        """Load a candidate; while its device is full, ask for room first. Raises as `_try`."""
        network = replace(self._network, precision=one.precision)
        while True:
            try:
                return one.runtime.load(network, one.capability)
            except PlanFailedError as error:
                # As in the gate: without a verdict it would be loaded, and fail, at every start
                what = f"in {one.precision} its plan does not run: {_text(error)}"
                reject_plan(self._wish, error.plan, what)
                raise _RefusedError(what, again=True) from error
            except NodeError as error:
                if error.fault is not CUDA_MEMORY or not self._make_room(len(network.content)):
                    raise

    def _gate(self, one: Candidate, session: Session) -> tuple[GateCheck, ...]:
        """Run the engine's gate. Raises _RefusedError where it does not pass, and does not run."""
        try:
            checks = tuple(run_gate(session, self._step))
        except NodeError as error:
            if error.fault is not NETWORK_FAILED:
                raise
            checks, failed = (), _text(error)
        else:
            failed = failures(checks)
        if failed:
            what = f"in {one.precision} it does not pass the engine's gate: {failed}"
            reject_plan(self._wish, _plan(session), what)
            self._refuse(session, what)
        return checks

    def _acceptance(self, one: Candidate, session: Session) -> Acceptance:
        """Find the record of this session's acceptance, or make it."""
        state = self._wish.state
        subject = subject_of(self._name, self._step, one.capability, session)
        found = find_record(state, subject, self._step)
        if found is not None:
            if state is not None and found != found.measured:
                keep_record(state, found.measured)
            return found.measured
        capability = REFERENCE.probe(self._threads)
        if isinstance(capability, Reason):
            raise _RefusedError(
                f"{REFERENCE.name}, which it is compared with, cannot be used: {capability.text}"
            )
        reference = REFERENCE.load(self._network, capability)
        try:
            found = accept(subject, self._step, session, reference)
        except SessionFailedError as error:
            if error.fault is not NETWORK_FAILED:
                raise
            what = f"in {one.precision} {_DISAGREES}: {_text(error)}"
            reject_plan(self._wish, subject.plan, what)
            self._refuse(session, what)
        finally:
            reference.close()
        say = {"runtime": session.runtime, "precision": session.precision, "passed": found.passed}
        self._log.info("runtime.tried", **say, worst=found.worst)
        # The plan first: with a record nobody would judge it again
        if judge_plan(self._wish, found) and state is not None:
            keep_record(state, found)
        return found

    def _prove(self, one: Candidate, session: Session, acceptance: Acceptance) -> None:
        """Let a session that agrees do what is asked of it first. Raises as `_try`."""
        while True:
            try:
                self._proof(session)
            except NodeError as error:
                if error.fault is CUDA_MEMORY and self._make_room(len(self._network.content)):
                    continue
                if error.fault is not NETWORK_FAILED:
                    raise
                problem = f"it does not run on what the engine gives it: {_text(error)}"
                what = f"in {one.precision} {problem}"
                reject_plan(self._wish, _plan(session), what)
                if self._wish.state is not None:
                    keep_record(self._wish.state, acceptance.failed(problem))
                self._refuse(session, what)
            return

    def _refuse(self, session: Session, what: str) -> NoReturn:
        """Raise _RefusedError. A plan that was rejected is not given out again: an older one may stand in."""
        raise _RefusedError(what, again=bool(_plan(session)) and self._wish.plans is not None)


def _plan(session: Session) -> str:
    return session.provenance.get("plan", "")


def _text(error: NodeError) -> str:
    return error.fault.text(**error.values)


@contextmanager
def _closed_on_failure(session: Session) -> Iterator[None]:
    try:
        yield
    except (NodeError, _RefusedError):
        session.close()
        raise
