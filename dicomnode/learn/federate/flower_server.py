"""Who leads: waits for the sites, adds up what they send, round by round (Flower; no torch, no image).

Flower's rounds, messages and service are used. Its `start_server` is left aside: it is deprecated, lets
anybody in at any time, and ends with status 0 on Ctrl-C (docs/decisions/0048).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import grpc
from flwr.common import EvaluateIns, FitIns, GetParametersIns, GetPropertiesIns, Parameters
from flwr.proto.transport_pb2_grpc import add_FlowerServiceServicer_to_server
from flwr.server.client_manager import ClientManager
from flwr.server.server import Server
from flwr.server.strategy import Strategy
from flwr.server.superlink.fleet.grpc_bidi.grpc_bridge import GrpcBridgeClosed

from dicomnode.faults import (
    FEDERATED_DIFFERS,
    FEDERATED_SITE_FAILED,
    FEDERATED_UNREACHABLE,
    NodeError,
)
from dicomnode.learn.federate.arrays import (
    Array,
    Contribution,
    fedavg,
    fedsgd,
    require_finite,
    require_like,
)
from dicomnode.learn.federate.channel import SERVER_OPTIONS, Tls, why_not_bound
from dicomnode.learn.federate.flower_sites import Came, Door, Sites
from dicomnode.learn.federate.kept import Kept, Method, Round
from dicomnode.learn.federate.messages import (
    Who,
    arrays_from,
    contribution_of,
    require_sendable,
    tensors_from,
    who_of,
)

_SPARE_STREAMS: Final = 8  # for those that are told that all are there
_GRACE_S: Final = 2.0
logging.getLogger("flwr").setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """What is led. sites: how many are waited for. learning_rate: of the steps of FedSGD, on the server.

    tls: None: nothing is encrypted. begun: rounds that are over already, and their weights.
    """

    address: str
    sites: int
    rounds: int
    method: Method = "fedavg"
    learning_rate: float = 0.01
    tls: Tls | None = None
    begun: Kept | None = None


Tell = Callable[[Kept], None]


def lead(plan: Lead, tell: Tell, came: Came) -> Kept:
    """Lead all rounds; returns what there is after the last, when the sites have been sent away.

    tell: is called after each round that is whole. came: with how many sites are there. Raises NodeError:
    FEDERATED_DIFFERS, FEDERATED_SITE_FAILED, FEDERATED_UNREACHABLE where the address cannot be listened on.
    However it ends, the sites are told.
    """
    sites = Sites(plan.sites, came)
    strategy = _Strategy(plan, tell, sites)
    server = Server(client_manager=sites, strategy=strategy)
    server.set_max_workers(plan.sites)
    door = _opened(plan, sites)
    # In a thread, so that Ctrl-C is heard in the middle of a round
    with ThreadPoolExecutor(1, "rounds") as rounds:
        try:
            rounds.submit(server.fit, plan.rounds - len(strategy.kept.rounds), None).result()
            sites.end()
        except NodeError as error:
            sites.end(error.fault.text(**error.values))
            raise
        finally:
            sites.end("the server was stopped")
            door.stop(_GRACE_S).wait()
    return strategy.kept


def _opened(plan: Lead, sites: Sites) -> Any:
    """Return the server of gRPC, which listens."""
    streams = plan.sites + _SPARE_STREAMS
    pool = ThreadPoolExecutor(streams, "site")
    server = grpc.server(pool, options=SERVER_OPTIONS, maximum_concurrent_rpcs=streams)
    add_FlowerServiceServicer_to_server(Door(sites), server)
    why = why_not_bound(plan.address)
    try:
        if not why and plan.tls is None:
            server.add_insecure_port(plan.address)
        elif not why and plan.tls is not None:
            server.add_secure_port(plan.address, plan.tls.of_server())
    except RuntimeError:
        why = "gRPC refuses"
    if why:
        error = f"it cannot be listened on: {why}"
        raise NodeError(FEDERATED_UNREACHABLE, address=plan.address, error=error)
    server.start()
    return server


class _Strategy(Strategy):  # type: ignore[misc, unused-ignore]  # Flower may not be installed
    """What is asked of the sites in each round, and what is made of their answers."""

    def __init__(self, plan: Lead, tell: Tell, sites: Sites) -> None:
        self.plan, self.tell, self.sites = plan, tell, sites
        self.kept = plan.begun or Kept(method=plan.method, of="", weights={}, rounds=())
        self.who: dict[str, Who] = {}
        self.weights: dict[str, Array] = {}
        self._before = len(self.kept.rounds)
        self._loss, self._samples = 0.0, 0

    def initialize_parameters(self, client_manager: ClientManager) -> Parameters:
        """Wait for all sites, see that they fit together, and take the first one's weights to begin with."""
        there = client_manager.sample(self.plan.sites)
        asked = GetPropertiesIns(config={})
        for site in there:
            told = self._answer(partial(site.get_properties, asked, None, None)).properties
            self.who[site.cid] = who_of(told, site.cid)
        self._require_alike()
        if self.kept.rounds:
            self.weights = dict(self.kept.weights)
        else:
            ask = partial(there[0].get_parameters, GetParametersIns(config={}), None, None)
            given = self._answer(ask)
            name = there[0].cid
            self.weights = self._named(arrays_from(given.parameters.tensors, name), name)
        return _parameters(self.weights)

    def configure_fit(self, server_round: int, parameters: Parameters, client_manager: ClientManager) -> Any:
        """Ask all sites to train from these weights."""
        config = {"round": self._number(server_round), "method": self.plan.method}
        return [(site, FitIns(parameters, config)) for site in client_manager.sample(self.plan.sites)]

    def aggregate_fit(self, server_round: int, results: Any, failures: Any) -> Any:
        """Add up what the sites sent."""
        self._require_all(server_round, results, failures)
        given = [self._contribution(site.cid, answer) for site, answer in _in_order(results)]
        if self.plan.method == "fedsgd":
            self.weights = fedsgd(self.weights, given, self.plan.learning_rate)
        else:
            self.weights = fedavg(given)
        self._samples = sum(one.samples for one in given)
        self._loss = sum(one.loss * one.samples for one in given) / self._samples
        return _parameters(self.weights), {}

    def configure_evaluate(
        self, server_round: int, parameters: Parameters, client_manager: ClientManager
    ) -> Any:
        """Ask all sites to judge these weights."""
        number = self._number(server_round)
        config = {"round": number, "last": number == self.plan.rounds}
        return [(site, EvaluateIns(parameters, config)) for site in client_manager.sample(self.plan.sites)]

    def aggregate_evaluate(self, server_round: int, results: Any, failures: Any) -> Any:
        """Take the mean of the sites' scores; the round is whole."""
        self._require_all(server_round, results, failures)
        scores = [
            (_score(site.cid, answer), self.who[site.cid].validated) for site, answer in _in_order(results)
        ]
        score = sum(one * count for one, count in scores) / sum(count for _, count in scores)
        done = Round(number=self._number(server_round), loss=self._loss, score=score, samples=self._samples)
        of = next(iter(self.who.values())).of
        self.kept = Kept(
            method=self.plan.method, of=of, weights=self.weights, rounds=(*self.kept.rounds, done)
        )
        self.tell(self.kept)
        return -score, {}

    def evaluate(self, server_round: int, parameters: Parameters) -> None:
        """Judge nothing here: there are no studies."""

    def _number(self, server_round: int) -> int:
        return self._before + server_round

    def _answer(self, ask: Callable[[], Any]) -> Any:
        """Return what a site answers before the first round; one that leaves meanwhile ends it."""
        try:
            return ask()
        except GrpcBridgeClosed as error:
            raise self._failed(0, len(self.who)) from error

    def _require_alike(self) -> None:
        """Before any weight travels."""
        if len(self.who) < self.plan.sites:
            raise self._failed(0, len(self.who))
        first = next(iter(self.who.values()))
        for name, one in self.who.items():
            if (one.of, one.names) != (first.of, first.names):
                raise NodeError(FEDERATED_DIFFERS, site=name, what="the recipe or the structures are others")
        if self.kept.rounds and (self.kept.of, tuple(self.kept.weights)) != (first.of, first.names):
            what = "the rounds that were kept are of another recipe or of other structures"
            raise NodeError(FEDERATED_DIFFERS, site="all sites", what=what)

    def _contribution(self, name: str, answer: Any) -> Contribution:
        arrays = arrays_from(answer.parameters.tensors, name)
        one = contribution_of(arrays, answer.num_examples, answer.metrics, name)
        if (one.samples, one.of) != (self.who[name].samples, self.who[name].of):
            raise NodeError(FEDERATED_DIFFERS, site=name, what="it said otherwise before the first round")
        require_like(self.weights, one.arrays, name)
        return one

    def _named(self, arrays: Sequence[Array], site: str) -> dict[str, Array]:
        names = self.who[site].names
        if len(names) != len(arrays):
            raise NodeError(FEDERATED_DIFFERS, site=site, what="names and tensors are not equally many")
        named = dict(zip(names, arrays, strict=True))
        require_finite(named, site)
        require_sendable(named)
        return named

    def _require_all(self, server_round: int, results: Any, failures: Any) -> None:
        if failures or len(results) < self.plan.sites:
            raise self._failed(self._number(server_round), len(results))

    def _failed(self, number: int, came: int) -> NodeError:
        why = self.sites.why or "one answered what was not asked"
        return NodeError(FEDERATED_SITE_FAILED, round=number, came=came, sites=self.plan.sites, why=why)


def _in_order(results: Any) -> list[Any]:
    """Flower gives answers as they came; sums in the same order are the same to the last bit."""
    return sorted(results, key=lambda one: str(one[0].cid))


def _score(name: str, answer: Any) -> float:
    score = answer.metrics.get("score")
    if not isinstance(score, int | float) or not math.isfinite(score):
        raise NodeError(FEDERATED_DIFFERS, site=name, what="its score is no number")
    return float(score)


def _parameters(weights: dict[str, Array]) -> Parameters:
    return Parameters(tensors=tensors_from(list(weights.values())), tensor_type="numpy.ndarray")
