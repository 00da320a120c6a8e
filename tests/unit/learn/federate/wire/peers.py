"""What the tests of the wire share: a door without rounds, and what becomes of a federation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from dicomnode.faults import NodeError
from dicomnode.learn.federate import Tls, flower_server
from dicomnode.learn.federate.flower_client import Joined, join
from dicomnode.learn.federate.flower_server import Lead, _opened
from dicomnode.learn.federate.flower_sites import Sites
from tests.unit.learn.federate.plain_sites import Federation, Line, free_port, points

SOON_S = 60  # of a machine that does much else


@pytest.fixture(autouse=True)
def ended(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No server of a test that failed waits for its sites for good."""
    begun: list[Sites] = []

    def recorded(*given: Any) -> Sites:
        begun.append(Sites(*given))
        return begun[-1]

    monkeypatch.setattr(flower_server, "Sites", recorded)
    yield
    for sites in begun:
        sites.end("the test is over")


def fault_of(future: Any) -> NodeError:
    with pytest.raises(NodeError) as raised:
        future.result(SOON_S)
    return raised.value


def text_of(error: NodeError) -> str:
    return f"{error.fault.code} {error.fault.text(**error.values)}"


def both_fail(made: Federation) -> tuple[str, list[str]]:
    return text_of(fault_of(made.led)), [text_of(fault_of(one)) for one in made.joined]


@contextmanager
def door(tls: Tls | None, count: int = 1) -> Iterator[tuple[str, Sites]]:
    """A server that lets sites in and asks them nothing."""
    plan = Lead(address=f"127.0.0.1:{free_port()}", sites=count, rounds=1, tls=tls)
    sites = Sites(count, lambda came: None)
    opened = _opened(plan, sites)
    try:
        yield plan.address, sites
    finally:
        sites.end("the test is over")
        opened.stop(0).wait()


def refused(address: str, tls: Tls | None, wait_s: float) -> str:
    with pytest.raises(NodeError) as raised:
        join(Line(points(1, 5)), address, tls=tls, wait_s=wait_s, tell=lambda n: None)
    return text_of(raised.value)


def taking_part(address: str, site: Line) -> Future[Joined]:
    pool = ThreadPoolExecutor(1)
    joined = pool.submit(join, site, address, tls=None, wait_s=SOON_S, tell=lambda n: None)
    pool.shutdown(wait=False)
    return joined


class Liar(Line):
    """Answers rightly but for what `lie` makes of it."""

    def __init__(self, lie: Callable[[Any], Any]) -> None:
        super().__init__(points(7, 4))
        self.lie = lie

    def train(self, weights: Any, number: int) -> Any:
        return self.lie(super().train(weights, number))


def changed(name: str, value: Any) -> Callable[[Any], Any]:
    return lambda one: replace(one, arrays={**one.arrays, name: value})
