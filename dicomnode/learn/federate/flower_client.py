"""Who joins: a site takes weights, trains, and sends weights or gradients with their count.

The messages are Flower's. Its `start_client` is left aside: it is deprecated, shows no certificate of its
own, does not wait for a server, and prints tracebacks (docs/decisions/0048).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Final

import grpc
from flwr.common import (
    Code,
    EvaluateRes,
    FitRes,
    GetParametersRes,
    GetPropertiesRes,
    Parameters,
    Status,
    serde,
)
from flwr.proto.transport_pb2 import ClientMessage, ServerMessage
from flwr.proto.transport_pb2_grpc import FlowerServiceStub

from dicomnode.faults import FEDERATED_DIFFERS, FEDERATED_UNREACHABLE, NodeError
from dicomnode.learn.federate.arrays import Array, Arrays, require_finite, require_like
from dicomnode.learn.federate.channel import Tls, channel_to
from dicomnode.learn.federate.local import LocalTrainer, SiteRound
from dicomnode.learn.federate.messages import (
    Scalar,
    arrays_from,
    message_of,
    require_sendable,
    tensors_from,
)

_SERVER: Final = "the server"
_DONE: Final = Status(code=Code.OK, message="")
_MOST_ROUNDS: Final = 1_000_000
_LONGEST: Final = 200
_GONE: Final = {
    grpc.StatusCode.UNAVAILABLE: "it left, or does not let this site in (--tls-certificate)",
    grpc.StatusCode.CANCELLED: "it left before the last round",
    grpc.StatusCode.UNIMPLEMENTED: "another program answers there",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "it takes no more sites, or a message was too large",
}


@dataclass(kw_only=True, eq=False)
class Joined:
    """What a site has at the end: the common weights, and how its rounds went."""

    weights: dict[str, Array] = field(default_factory=dict)
    rounds: list[SiteRound] = field(default_factory=list)
    complete: bool = False


class _Answers:
    """Answers what a site is asked. Nothing leaves it but what `message_of` and `Who` give."""

    def __init__(self, site: LocalTrainer, joined: Joined, tell: Callable[[int], None]) -> None:
        self.site, self.joined, self.tell = site, joined, tell
        self.own = site.weights()
        self.loss = 0.0

    def to(self, asked: ServerMessage) -> ClientMessage:
        """Return the answer. Raises NodeError(FEDERATED_DIFFERS), and those of the training."""
        field_ = asked.WhichOneof("msg")
        if field_ == "get_properties_ins":
            who = GetPropertiesRes(status=_DONE, properties=self.site.who().told)
            return ClientMessage(get_properties_res=serde.get_properties_res_to_proto(who))
        if field_ == "get_parameters_ins":
            given = GetParametersRes(status=_DONE, parameters=_parameters(list(self.own.values())))
            return ClientMessage(get_parameters_res=serde.get_parameters_res_to_proto(given))
        if field_ == "fit_ins":
            fit = serde.fit_ins_from_proto(asked.fit_ins)
            return ClientMessage(fit_res=serde.fit_res_to_proto(self._fit(fit.parameters, fit.config)))
        if field_ == "evaluate_ins":
            judge = serde.evaluate_ins_from_proto(asked.evaluate_ins)
            result = self._judge(judge.parameters, judge.config)
            return ClientMessage(evaluate_res=serde.evaluate_res_to_proto(result))
        raise NodeError(FEDERATED_DIFFERS, site=_SERVER, what="it asks what no site answers")

    def _fit(self, parameters: Parameters, config: Mapping[str, Scalar]) -> FitRes:
        number, method = _round_of(config), config.get("method")
        if method not in {"fedavg", "fedsgd"}:
            raise NodeError(FEDERATED_DIFFERS, site=_SERVER, what=f"it asks for the method {method!r:.40}")
        step = self.site.gradient if method == "fedsgd" else self.site.train
        contribution = step(self._weights(parameters), number)
        self.loss = contribution.loss
        self.tell(number)
        arrays, samples, told = message_of(contribution)
        return FitRes(status=_DONE, parameters=_parameters(arrays), num_examples=samples, metrics=told)

    def _judge(self, parameters: Parameters, config: Mapping[str, Scalar]) -> EvaluateRes:
        number, weights = _round_of(config), self._weights(parameters)
        score, count = self.site.judge(weights)
        if not math.isfinite(score):
            raise NodeError(FEDERATED_DIFFERS, site="this site", what="the common weights have no score here")
        self.joined.weights = dict(weights)
        self.joined.rounds.append(SiteRound(number=number, loss=self.loss, score=score))
        self.joined.complete = config.get("last") is True
        return EvaluateRes(status=_DONE, loss=-score, num_examples=count, metrics={"score": score})

    def _weights(self, parameters: Parameters) -> Arrays:
        arrays = arrays_from(parameters.tensors, _SERVER)
        if len(arrays) != len(self.own):
            what = f"it sent {len(arrays)} tensors, and this network has {len(self.own)}"
            raise NodeError(FEDERATED_DIFFERS, site=_SERVER, what=what)
        named = dict(zip(self.own, arrays, strict=True))
        require_like(self.own, named, _SERVER)
        require_finite(named, _SERVER)
        return named


def join(
    site: LocalTrainer, address: str, *, tls: Tls | None, wait_s: float, tell: Callable[[int], None]
) -> Joined:
    """Take part in all rounds. tls: None: nothing is encrypted. tell: is called with the number of each.

    wait_s: how long a server that is not there yet is waited for. Raises NodeError: FEDERATED_UNREACHABLE
    where there is none, or it left before the last round; FEDERATED_DIFFERS where it sends what does not fit;
    FEDERATED_TOO_LARGE; and those of the training.
    """
    require_sendable(site.weights())
    joined = Joined()
    answers = _Answers(site, joined, tell)
    with channel_to(address, tls, wait_s) as channel:
        given: SimpleQueue[Any] = SimpleQueue()
        asked = FlowerServiceStub(channel).Join(iter(given.get, None))
        try:
            for message in asked:
                given.put(answers.to(message))
        except grpc.RpcError as error:
            if not joined.complete:
                raise NodeError(FEDERATED_UNREACHABLE, address=address, error=_why(error)) from error
        finally:
            given.put(None)
            asked.cancel()
    if not joined.complete:
        raise NodeError(FEDERATED_UNREACHABLE, address=address, error="it ended before the last round")
    return joined


def _why(error: Any) -> str:
    """Return why a server left: its own words where it has any, in one line."""
    if error.code() in {grpc.StatusCode.ABORTED, grpc.StatusCode.FAILED_PRECONDITION}:
        words = "".join(one for one in error.details() or "" if one.isprintable())
        return "it says: " + words[:_LONGEST].rstrip(".")
    return _GONE.get(error.code(), f"the connection failed ({error.code().name})")


def _round_of(config: Mapping[str, Scalar]) -> int:
    number = config.get("round")
    if not isinstance(number, int) or not 1 <= number <= _MOST_ROUNDS:
        raise NodeError(FEDERATED_DIFFERS, site=_SERVER, what="its message is of another version")
    return number


def _parameters(arrays: list[Array]) -> Parameters:
    return Parameters(tensors=tensors_from(arrays), tensor_type="numpy.ndarray")
