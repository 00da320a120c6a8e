"""Who joins: a site takes weights, trains, and sends weights or gradients with their count (Flower)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc
from flwr.client import NumPyClient, start_client

from dicomnode.faults import FEDERATED_UNREACHABLE, NodeError
from dicomnode.learn.federate.arrays import Array, Arrays, Scalar, message_of
from dicomnode.learn.federate.site import LocalTrainer

Told = tuple[list[Array], int, dict[str, Scalar]]
logging.getLogger("flwr").setLevel(logging.ERROR)


@dataclass(kw_only=True, eq=False)
class Joined:
    """What a site has at the end: the common weights, and loss and score of each round on its own studies."""

    weights: dict[str, Array] = field(default_factory=dict)
    rounds: list[tuple[float, float]] = field(default_factory=list)
    complete: bool = False


class _Client(NumPyClient):  # type: ignore[misc, unused-ignore]  # Flower may not be installed
    """Answers what is asked of a site. Nothing leaves it but what `message_of` gives."""

    def __init__(self, site: LocalTrainer, joined: Joined, tell: Callable[[int], None]) -> None:
        self.site, self.joined, self.tell = site, joined, tell
        self.names = list(site.weights())
        self.loss = 0.0

    def get_parameters(self, config: dict[str, Scalar]) -> list[Array]:
        del config
        return list(self.site.weights().values())

    def fit(self, parameters: list[Array], config: dict[str, Scalar]) -> Told:
        number = int(config["round"])
        step = self.site.gradient if config["method"] == "fedsgd" else self.site.train
        contribution = step(self._named(parameters), number)
        self.loss = contribution.loss
        self.tell(number)
        return message_of(contribution)

    def evaluate(
        self, parameters: list[Array], config: dict[str, Scalar]
    ) -> tuple[float, int, dict[str, Scalar]]:
        weights = self._named(parameters)
        score, count = self.site.judge(weights)
        self.joined.weights = dict(weights)
        self.joined.rounds.append((self.loss, score))
        self.joined.complete = bool(config.get("last"))
        return -score, count, {"score": score}

    def _named(self, parameters: list[Array]) -> Arrays:
        return dict(zip(self.names, parameters, strict=True))


def join(
    site: LocalTrainer,
    address: str,
    *,
    root: bytes | None,
    wait_s: float,
    tell: Callable[[int], None],
) -> Joined:
    """Take part in all rounds. root: PEM of the root that signed the server's certificate; None: no TLS.

    wait_s: how long an unreachable server is asked again. tell: is called with the number of each round.
    Raises NodeError(FEDERATED_UNREACHABLE): no server there, or it left before the last round.
    """
    joined = Joined()
    client = _Client(site, joined, tell).to_client()
    try:
        start_client(
            server_address=address,
            client=client,
            root_certificates=root,
            insecure=root is None,
            max_wait_time=wait_s,
        )
    except (grpc.RpcError, OSError, RuntimeError) as error:
        raise NodeError(FEDERATED_UNREACHABLE, address=address, error=type(error).__name__) from error
    if not joined.complete:
        raise NodeError(FEDERATED_UNREACHABLE, address=address, error="it left before the last round")
    return joined
