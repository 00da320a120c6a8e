"""Sites of straight lines instead of networks, with numpy alone, and a federation of them over real gRPC."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dicomnode.learn.federate.arrays import Arrays, Contribution
from dicomnode.learn.federate.messages import Who

RATE = 0.1


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(eq=False)
class Line:
    """y = w x + b by least squares; points: (n, 2) float64. The loss is half the mean square."""

    points: np.ndarray
    of: str = "one recipe"
    counted: int = 0
    seen: list[Arrays] = field(default_factory=list)
    during: Callable[[int], None] = lambda number: None

    def who(self) -> Who:
        return Who(of=self.of, names=tuple(self.weights()), samples=self._count, validated=len(self.points))

    def weights(self) -> Arrays:
        return {"w": np.zeros(3, np.float32), "b": np.zeros((), np.float32), "n": np.array(0, np.int64)}

    def train(self, weights: Arrays, number: int) -> Contribution:
        """One step of gradient descent, and what there is of batches counted."""
        found = self.gradient(weights, number)
        moved = {
            name: value if name in found.values else (weights[name] - RATE * value).astype(np.float32)
            for name, value in found.arrays.items()
        }
        return Contribution(arrays=moved, samples=found.samples, loss=found.loss, of=self.of)

    def gradient(self, weights: Arrays, number: int) -> Contribution:
        self.during(number)
        self.seen.append(dict(weights))
        x, y = self._powers(), self.points[:, 1]
        error = x @ weights["w"].astype(float) + float(weights["b"]) - y
        arrays = {
            "w": (x.T @ error / len(y)).astype(np.float32),
            "b": np.asarray(error.mean(), np.float32),
            "n": np.asarray(weights["n"] + 1),
        }
        loss = float((error**2).mean() / 2)
        return Contribution(
            arrays=arrays, samples=self._count, loss=loss, of=self.of, values=frozenset({"n"})
        )

    def judge(self, weights: Arrays) -> tuple[float, int]:
        x, y = self._powers(), self.points[:, 1]
        error = x @ weights["w"].astype(float) + float(weights["b"]) - y
        return -float((error**2).mean()), len(y)

    @property
    def _count(self) -> int:
        return self.counted or len(self.points)

    def _powers(self) -> np.ndarray:
        return self.points[:, :1] ** np.array([1, 2, 3])


def points(seed: int, count: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    x = draw.uniform(-1, 1, count)
    return np.stack([x, np.sin(2 * x) + draw.normal(0, 0.1, count)], axis=1)


@dataclass(eq=False)
class Federation:
    """A server and its sites, each in a thread; `led` and `joined` are their results to come."""

    led: Future[Any]
    joined: list[Future[Any]]
    address: str
    kept: list[Any]


def federate(here: Sequence[Any], *, rounds: int = 2, wait_s: float = 60.0, **more: Any) -> Federation:
    """Lead these sites over gRPC on the loopback; more: of Lead, and `site_tls`."""
    from dicomnode.learn.federate.flower_client import join
    from dicomnode.learn.federate.flower_server import Lead, lead

    address = more.pop("address", None) or f"127.0.0.1:{free_port()}"
    site_tls = more.pop("site_tls", [None] * len(here))
    plan = Lead(**{"address": address, "sites": len(here), "rounds": rounds, **more})
    pool = ThreadPoolExecutor(len(here) + 1)
    kept: list[Any] = []
    listening = threading.Event()
    led = pool.submit(lead, plan, kept.append, lambda came: listening.set())
    joined = [
        pool.submit(join, site, address, tls=tls, wait_s=wait_s, tell=lambda number: None)
        for site, tls in zip(here, site_tls, strict=True)
    ]
    pool.shutdown(wait=False)
    return Federation(led, joined, address, kept)
