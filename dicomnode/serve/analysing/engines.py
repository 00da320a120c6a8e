"""The engines of a worker: loaded once, kept warm, and let go by least use where memory is short."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

import structlog

from dicomnode import __version__
from dicomnode.analyse import Analyst
from dicomnode.device.cuda import ends_process
from dicomnode.engine import EnginePackage, Manifest, RuntimeWish, configured_engine, wish_of
from dicomnode.faults import (
    DEVICE_OUT,
    ENGINE_LEFT_OUT,
    PLAN_AWAITED,
    RUNTIME_MISSING,
    RUNTIME_REFUSED,
    NodeError,
)
from dicomnode.serve.logs import bug, fault_facts
from dicomnode.serve.process.place import DEVICE_BROKE, LEFT_OUT, OUT_BECAUSE, Place
from dicomnode.settings import Settings

log = structlog.get_logger("dicomnode.serve")

_NO_RUNTIME: Final = (RUNTIME_MISSING, RUNTIME_REFUSED)


class Engines:
    """Gives the analyst of an engine. For one thread.

    tell: is called when the loading of an engine begins and ends. awaited: says in words what plan an engine
    waits for, "" for none.
    """

    def __init__(
        self,
        settings: Settings,
        place: Place,
        tell: Callable[[], None] = lambda: None,
        awaited: Callable[[str], str] = lambda _: "",
    ) -> None:
        self._settings = settings
        self._place = place
        self._tell = tell
        self._awaited = awaited
        self._analysts: dict[str, Analyst] = {}  # the one that was used last stands last
        self.loading: tuple[str, float] | None = None  # which engine, since when (monotonic)

    def __len__(self) -> int:
        return len(self._analysts)

    @property
    def manifests(self) -> list[Manifest]:
        """Of the engines that are loaded."""
        return [analyst.package.manifest for analyst in self._analysts.values()]

    def wanted(self) -> list[str]:
        """Names of the engines that are not off; those that have ended a process when loaded come last."""
        names = [one.name for one in self._settings.engine if one.mode != "off"]
        return sorted(names, key=lambda name: self._place.lost.get(name, 0))

    def get(self, name: str) -> Analyst:
        """Return the analyst of an engine, loaded if it is not; raises NodeError when it cannot be loaded."""
        analyst = self._analysts.pop(name, None)
        self._analysts[name] = analyst = self._load(name) if analyst is None else analyst
        return analyst

    def load(self, names: Iterable[str], goes_on: Callable[[], bool] = lambda: True) -> None:
        """Load engines; one that fails is left out, loudly: its tasks then say why they cannot be done."""
        for name in names:
            if not goes_on():
                return
            try:
                self.get(name)
            except NodeError as error:
                if error.fault is PLAN_AWAITED:
                    log.info("engine.waits", engine=name, **fault_facts(error))
                else:
                    log.error("engine.failed", engine=name, **fault_facts(error))

    def reload(self, name: str) -> None:
        """Load an engine anew, as there is a plan that it has not tried."""
        self.let_go(name)
        self.load([name])

    def make_room(self, wanted_bytes: int) -> bool:
        """Let go of engines, the longest unused first; False when there is none.

        Never of the one at work, which stands last; while an engine is loaded, none is. Counted is what
        each gives back for certain: its weights. A study that wants one has it loaded again.
        """
        freed, at_work = 0, 1 if self.loading is None else 0
        while freed < wanted_bytes and len(self._analysts) > at_work:
            name, analyst = next(iter(self._analysts.items()))
            freed += _weights(analyst.package)
            self.let_go(name)
            log.warning("engine.evicted", engine=name)
        return freed > 0

    def let_go(self, name: str) -> None:
        """Close an engine, if it is loaded."""
        analyst = self._analysts.pop(name, None)
        if analyst is not None:
            analyst.close()

    def close(self) -> None:
        """Let go of all."""
        while self._analysts:
            self.let_go(next(iter(self._analysts)))

    def _load(self, name: str) -> Analyst:
        began = time.monotonic()
        self.loading = (name, began)
        self._tell()
        try:
            return self._loaded(name, began)
        except NodeError as error:
            end_if_broken(error, engine=name)
            raise self._later(name, error) from error
        # An engine's libraries can raise what nobody foresaw; the other engines serve all the same
        except Exception as error:
            raise bug(error, f"loading engine {name}") from error
        finally:
            self.loading = None
            self._tell()

    def _loaded(self, name: str, began: float) -> Analyst:
        wish = self._wish(name)
        wanted = next(engine for engine in self._settings.engine if engine.name == name)
        package = configured_engine(wanted)
        analyst = Analyst(
            package,
            threads=self._threads,
            node_version=__version__,
            wish=wish,
            make_room=self.make_room,
        )
        try:
            analyst.warm()
        except BaseException:
            analyst.close()
            raise
        log.info(
            "engine.ready",
            engine=name,
            version=package.manifest.version,
            digest=package.digest,
            load_s=round(time.monotonic() - began, 2),
        )
        return analyst

    @property
    def _threads(self) -> int:
        cores = len(os.sched_getaffinity(0))
        return self._settings.analyse.threads or max(1, cores // self._place.workers)

    def _wish(self, name: str) -> RuntimeWish:
        """How it shall run here; raises NodeError(ENGINE_LEFT_OUT) for one that ends who loads it."""
        wish = wish_of(self._settings, name)
        suspect = self._place.is_suspect(name)
        count = self._place.lost.get(name, 0)
        if count >= LEFT_OUT or (suspect and not wish.others_allowed):
            raise NodeError(ENGINE_LEFT_OUT, engine=name, count=count)
        return replace(wish, plans=None) if suspect else wish

    def _later(self, name: str, error: NodeError) -> NodeError:
        """Say what an engine without a runtime waits for, where that will come."""
        if error.fault not in _NO_RUNTIME:
            return error
        if words := self._awaited(name):
            return NodeError(PLAN_AWAITED, engine=name, words=words)
        if self._place.without:
            return NodeError(DEVICE_OUT, device=self._place.without, reason=OUT_BECAUSE)
        return error


def _weights(package: EnginePackage) -> int:
    """Size in bytes of the networks of an engine."""
    return sum((package.folder / str(step.network)).stat().st_size for step in package.manifest.networks)


def end_if_broken(error: BaseException, **facts: object) -> None:
    """End this process at once where its device broke down: nothing that it would compute any more is right.

    What it has at work stays its own; the supervisor sees to that, as after any other death.
    """
    if ends_process(error):
        told = fault_facts(error) if isinstance(error, NodeError) else {}
        log.error("device.broken", **facts, **told)
        os._exit(DEVICE_BROKE)
