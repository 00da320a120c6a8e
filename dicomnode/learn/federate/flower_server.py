"""Who leads: waits for the sites, adds up what they send, round by round (Flower; no torch, no image)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from flwr.common import Parameters, ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server import ServerConfig, start_server
from flwr.server.strategy import FedAvg

from dicomnode.faults import FEDERATED_SITE_FAILED, FEDERATED_UNREACHABLE, NodeError
from dicomnode.learn.federate.arrays import Array, contribution_of, fedavg, fedsgd

Method = Literal["fedavg", "fedsgd"]
Certificates = tuple[bytes, bytes, bytes]
logging.getLogger("flwr").setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """What is led. sites: how many are waited for. learning_rate: of the steps of FedSGD, on the server.

    certificates: PEM of the root, of the server, and its key; None: no TLS.
    """

    address: str
    sites: int
    rounds: int
    method: Method = "fedavg"
    learning_rate: float = 0.01
    certificates: Certificates | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Of all sites together, weighted by their samples. score: of the weights after the round."""

    number: int
    loss: float
    score: float
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Led:
    """The weights after the last round, by name."""

    weights: dict[str, Array]
    rounds: tuple[Round, ...]


Tell = Callable[[Round], None]


def lead(plan: Lead, tell: Tell) -> Led:
    """Lead all rounds; returns when the last is over and the sites have been sent away.

    tell: is called after each round. Raises NodeError: FEDERATED_DIFFERS, FEDERATED_SITE_FAILED,
    FEDERATED_UNREACHABLE where the address cannot be listened on.
    """
    strategy = _Strategy(plan, tell)
    try:
        start_server(
            server_address=plan.address,
            config=ServerConfig(num_rounds=plan.rounds),
            strategy=strategy,
            certificates=plan.certificates,
        )
    except (RuntimeError, OSError, SystemExit) as error:
        raise NodeError(
            FEDERATED_UNREACHABLE, address=plan.address, error="it cannot be listened on"
        ) from error
    return Led(weights=strategy.weights, rounds=tuple(strategy.rounds))


class _Strategy(FedAvg):  # type: ignore[misc, unused-ignore]  # Flower may not be installed
    """Flower's way through the rounds, with the sums of `arrays`."""

    def __init__(self, plan: Lead, tell: Tell) -> None:
        super().__init__(
            min_fit_clients=plan.sites,
            min_evaluate_clients=plan.sites,
            min_available_clients=plan.sites,
            accept_failures=False,
            on_fit_config_fn=lambda number: {"round": number, "method": plan.method},
            on_evaluate_config_fn=lambda number: {"round": number, "last": number == plan.rounds},
        )
        self.plan, self.tell = plan, tell
        self.weights: dict[str, Array] = {}
        self.rounds: list[Round] = []
        self._sent: list[Array] = []
        self._loss, self._samples = 0.0, 0

    def configure_fit(self, server_round: int, parameters: Parameters, client_manager: Any) -> Any:
        """Remember what the sites begin with."""
        self._sent = parameters_to_ndarrays(parameters)
        return super().configure_fit(server_round, parameters, client_manager)

    def aggregate_fit(self, server_round: int, results: Any, failures: Any) -> Any:
        """Add up what the sites sent."""
        self._require_all(server_round, results, failures)
        given = [
            contribution_of(parameters_to_ndarrays(one.parameters), one.num_examples, one.metrics)
            for _, one in results
        ]
        if self.plan.method == "fedsgd":
            before = dict(zip(given[0].arrays, self._sent, strict=True))
            self.weights = fedsgd(before, given, self.plan.learning_rate)
        else:
            self.weights = fedavg(given)
        self._samples = sum(one.samples for one in given)
        self._loss = sum(one.loss * one.samples for one in given) / self._samples
        return ndarrays_to_parameters(list(self.weights.values())), {}

    def aggregate_evaluate(self, server_round: int, results: Any, failures: Any) -> Any:
        """Take the mean of the sites' scores."""
        self._require_all(server_round, results, failures)
        count = sum(one.num_examples for _, one in results)
        score = sum(float(one.metrics["score"]) * one.num_examples for _, one in results) / count
        done = Round(number=server_round, loss=self._loss, score=score, samples=self._samples)
        self.rounds.append(done)
        self.tell(done)
        return -score, {}

    def _require_all(self, number: int, results: Any, failures: Any) -> None:
        if failures or len(results) < self.plan.sites:
            raise NodeError(FEDERATED_SITE_FAILED, round=number, came=len(results), sites=self.plan.sites)
