"""Plans for the GPU, built while the service runs: in a thread that waits for the processes that build them.

Never on a study's way: what served before, or the CPU, serves until a plan is there; then the worker loads
it between two studies, and the gate decides. Where no runtime needs plans there is not even the thread.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Final

import structlog

from dicomnode.engine import RuntimeWish, configured_engine, wish_of
from dicomnode.engine.plans import (
    BuildProgress,
    Compiler,
    Following,
    PlanOrder,
    PlanState,
    ensure_plan,
    find_compilers,
    open_plans,
    orders_of,
)
from dicomnode.engine.precision import site_folder
from dicomnode.engine.runtimes.tensorrt import FLAVOURS
from dicomnode.engine.runtimes.tensorrt.flavours import installed
from dicomnode.engine.runtimes.wish import AUTO
from dicomnode.faults import NodeError
from dicomnode.serve.logs import bug, fault_facts
from dicomnode.serve.process.crew import NO_GPU
from dicomnode.serve.process.place import Place
from dicomnode.settings import EngineSettings, Settings

if TYPE_CHECKING:
    from dicomnode.engine.plans import PlanCache, PlanKey

log = structlog.get_logger("dicomnode.serve")

_LOOK_S: Final = 0.2
_JOIN_S: Final = 5.0


class _StoppedError(Exception):
    """The worker stops."""


class PlanBuilding:
    """Builds what the engines want on this worker's device, one plan after the other.

    Of the plans that a network may have here, best first, it builds until one is accepted: those after it
    would never serve.
    """

    def __init__(self, settings: Settings, place: Place, stopping: threading.Event) -> None:
        self._settings = settings
        self._place = place
        self._waiting: list[str] = []  # engines with a plan that is not decided yet
        self._stopping = stopping
        self._now = ""  # which plan is being built, and how far that is
        self._offered: set[str] = set()
        self._accepted: frozenset[str] = frozenset()  # plans that served before any engine was loaded
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, where a runtime that is installed needs plans and an engine may run on it.

        To be called before the engines are loaded: what is accepted by now they find themselves.
        """
        if self._place.visible == NO_GPU:
            return
        wanted = [one.name for one in self._settings.engine if one.mode != "off"]
        self._waiting = [name for name in wanted if self._wants_plans(name)]
        if not self._waiting:
            return
        try:
            records = open_plans(self._settings.store).records()
        except NodeError as error:
            log.error("plans.failed", **fault_facts(error))
            self._waiting = []
        else:
            self._accepted = frozenset(one.key.digest for one in records if one.state is PlanState.ACCEPTED)
            self._thread = threading.Thread(target=self._run, name="plans", daemon=True)
            self._thread.start()

    def join(self) -> None:
        """Wait until it has stopped: a build that runs is ended. Not for one that another process runs."""
        if self._thread is not None:
            self._thread.join(_JOIN_S)

    @property
    def words(self) -> str:
        """What is being built, and how far that is; "" when nothing is."""
        return self._now

    def awaited(self, engine: str) -> str:
        """Say what an engine waits for; "" when it has no plan to wait for."""
        if engine not in self._waiting:
            return ""
        return self._now or "it is looked up"

    @property
    def offered(self) -> list[str]:
        """Names of the engines that have a plan which the worker has not tried."""
        return sorted(self._offered)

    def taken(self, engine: str) -> None:
        """Say that an engine was loaded anew: its plan is judged now."""
        self._offered.discard(engine)

    # ── in the thread ──

    def _run(self) -> None:
        try:
            self._build_all()
        except _StoppedError:
            return
        except NodeError as error:
            log.error("plans.failed", **fault_facts(error))
        # Nobody waits for this thread: what ends it must not go unheard
        except Exception as error:  # noqa: BLE001
            log.error("plans.failed", **fault_facts(bug(error, "the building of plans")))
        finally:
            self._waiting, self._now = [], ""

    def _build_all(self) -> None:
        compilers, reasons = find_compilers()
        for reason in reasons:
            if reason.installed:
                log.info("plans.none", runtime=reason.runtime, reason=reason.text)
        if not compilers:
            return
        cache = open_plans(self._settings.store)
        wanted: set[PlanKey] = set()
        for name in list(self._waiting):
            try:
                wanted |= self._build_for(name, compilers, cache)
            except NodeError as error:
                log.error("plan.failed", engine=name, **fault_facts(error))
            self._waiting.remove(name)
        removed = cache.prune(wanted)
        log.info("plans.ready", count=len(wanted), dropped=len(removed))

    def _build_for(self, name: str, compilers: Sequence[Compiler], cache: PlanCache) -> set[PlanKey]:
        """Build for each network of an engine until one plan of it is accepted; give the keys it may use."""
        entry = self._entry(name)
        package = configured_engine(entry)
        orders = orders_of(
            package, compilers, calibration=site_folder(entry.calibration, self._settings.store.path, name)
        )
        used: set[PlanKey] = set()
        for _, of_network in groupby(orders, key=lambda order: order.key.network):
            for order in _wished(of_network, self._wish(name)):
                used.add(order.key)
                if self._serves(name, order, cache):
                    break
        return used

    def _serves(self, name: str, order: PlanOrder, cache: PlanCache) -> bool:
        """Build a plan, have it loaded, and tell whether those after it are not needed."""
        key = order.key
        self._now = _title(order)
        try:
            plan = ensure_plan(cache, order, Following(watch=lambda now: self._watch(order, now)))
        except NodeError as error:
            log.error("plan.failed", engine=name, **fault_facts(error))
            return False
        finally:
            self._now = ""
        if plan.record.state is PlanState.REJECTED:
            return False
        # One that is accepted may have been built by another worker, after this one's engines were loaded
        if not plan.accepted or key.digest not in self._accepted:
            self._offer(name)
        found = cache.find(key)
        return found is not None and found.record.state is not PlanState.REJECTED

    def _offer(self, name: str) -> None:
        """Tell the worker that there is a plan, and wait until it has loaded it."""
        self._offered.add(name)
        while name in self._offered:
            if self._stopping.wait(_LOOK_S):
                raise _StoppedError

    def _watch(self, order: PlanOrder, now: BuildProgress) -> None:
        if self._stopping.is_set():
            raise _StoppedError
        part = "" if now.part is None else f" {now.part:.0%}"
        left = "" if now.left_s is None else f", about {_duration(now.left_s)}"
        self._now = f"{_title(order)}{part}{left}"

    # ── what is wanted ──

    def _entry(self, name: str) -> EngineSettings:
        return next(one for one in self._settings.engine if one.name == name)

    def _wish(self, name: str) -> RuntimeWish:
        return wish_of(self._settings, name)

    def _wants_plans(self, name: str) -> bool:
        if self._place.is_suspect(name):
            return False
        return any(installed(flavour) and _may_run(self._wish(name), flavour.name) for flavour in FLAVOURS)


def _may_run(wish: RuntimeWish, flavour: str) -> bool:
    """Whether a plan of this flavour could ever serve as the site wishes."""
    others = wish.fallback and wish.runtime in {one.name for one in FLAVOURS}
    return wish.runtime in (AUTO, flavour) or others


def _wished(orders: Iterable[PlanOrder], wish: RuntimeWish) -> list[PlanOrder]:
    """The plans of a network that may serve as the site wishes, what it names first."""
    able = [
        order
        for order in orders
        if _may_run(wish, order.key.flavour)
        and (wish.fallback or wish.precision in ("", order.key.precision))
    ]
    return sorted(
        able, key=lambda one: (one.key.flavour != wish.runtime, one.key.precision != wish.precision)
    )


def _title(order: PlanOrder) -> str:
    key = order.key
    return f"building plan for {key.engine} ({key.flavour}, {key.precision})"


def _duration(seconds: float) -> str:
    return f"{round(seconds)} s" if seconds < 90 else f"{round(seconds / 60)} min"
