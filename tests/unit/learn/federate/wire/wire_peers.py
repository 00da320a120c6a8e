"""Sites and servers that are broken or mean ill, over real gRPC: nothing of theirs is added or trained on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import grpc
import numpy as np
import pytest
from flwr.common import EvaluateIns, FitIns, Parameters, serde
from flwr.proto.transport_pb2 import ClientMessage, Reason, ServerMessage
from flwr.proto.transport_pb2_grpc import FlowerServiceStub

from dicomnode.faults import NodeError
from dicomnode.learn.federate import flower_client
from dicomnode.learn.federate.flower_client import Joined, join
from dicomnode.learn.federate.messages import tensors_from
from tests.unit.learn.federate.plain_sites import Line, federate, points
from tests.unit.learn.federate.wire.peers import (  # noqa: F401  ended: a fixture
    SOON_S,
    Liar,
    both_fail,
    changed,
    door,
    ended,
    fault_of,
    refused,
    text_of,
)


def backwards(one: Any) -> Any:
    return replace(one, arrays=dict(reversed(one.arrays.items())))


LIES = [
    (changed("w", np.zeros(4, np.float32)), "w has shape (4,)"),
    (changed("w", np.zeros(3, np.float64)), "(float64)"),
    (changed("w", np.full(3, np.nan, np.float32)), "not numbers (w)"),
    (changed("b", np.array(np.inf, np.float32)), "not numbers (b)"),
    (changed("more", np.zeros(1, np.float32)), "other names (more)"),
    (backwards, "other names (the order)"),
    (lambda one: replace(one, of="another"), "otherwise before the first round"),
    (lambda one: replace(one, samples=5), "otherwise before the first round"),
]


@pytest.mark.parametrize(("lie", "said"), LIES)
def test_what_a_site_sends_wrongly_is_added_to_nothing_and_the_others_hear_why(lie, said):
    server, (honest, _) = both_fail(federate([Line(points(1, 5)), Liar(lie)]))
    assert server.startswith("DN-7256")
    assert said in server
    assert "127.0.0.1" in server  # whose it is
    assert honest.startswith("DN-7258")
    assert said in honest


class Raw:
    """A peer that speaks Flower without our client. answers: by question; None, or who gives it, hangs up."""

    def __init__(self, address: str, **answers: Any) -> None:
        self.address, self.answers = address, answers
        self.line = Line(points(7, 4))

    def run(self) -> None:
        with grpc.insecure_channel(self.address) as channel:
            grpc.channel_ready_future(channel).result(SOON_S)
            waiting: list[ClientMessage] = []
            come = threading.Semaphore(0)

            def out() -> Any:
                while True:
                    come.acquire()
                    if not waiting:
                        return
                    yield waiting.pop(0)

            stream = FlowerServiceStub(channel).Join(out())
            ours = flower_client._Answers(self.line, Joined(), lambda n: None)
            try:
                for asked in stream:
                    answer = ours.to(asked)
                    lie = self.answers.get(asked.WhichOneof("msg"), lambda one: one)
                    said = None if lie is None else lie(answer)
                    if said is None:
                        break
                    waiting.append(said)
                    come.release()
            except grpc.RpcError:
                pass
            finally:
                come.release()
                stream.cancel()


def told(part: str, **values: Any) -> Callable[[ClientMessage], ClientMessage]:
    """Change fields, or entries of the metrics, of an answer."""

    def lie(answer: ClientMessage) -> ClientMessage:
        inside = getattr(answer, part)
        for key, value in values.items():
            if key == "num_examples":
                setattr(inside, key, value)
            elif key == "tensors":
                del inside.parameters.tensors[:]
                inside.parameters.tensors.extend(value)
            else:
                entries = inside.properties if part == "get_properties_res" else inside.metrics
                entries[key].CopyFrom(serde.scalar_to_proto(value))
        return answer

    return lie


HUGE = (
    b"\x93NUMPY\x01\x00\x76\x00"
    + b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }".ljust(117)
    + b"\n"
)
OBJECT = HUGE.replace(b"<f4", b"|O").replace(b" (1000000000000,)", b" (1,)").ljust(len(HUGE) - 1) + b"\n"
LIES_OF_RAW = [
    ("get_properties_ins", told("get_properties_res", samples=0), "does not fit together"),
    ("get_properties_ins", told("get_properties_res", samples=10**12), "does not fit together"),
    ("get_properties_ins", told("get_properties_res", samples="4"), "does not fit together"),
    ("get_properties_ins", told("get_properties_res", of="another recipe"), "recipe or the structures"),
    ("get_properties_ins", lambda one: ClientMessage(), "does not fit together"),
    ("fit_ins", told("fit_res", num_examples=0), "at least one sample"),
    ("fit_ins", told("fit_res", num_examples=-4), "at least one sample"),
    ("fit_ins", told("fit_res", num_examples=10**12), "at least one sample"),
    ("fit_ins", told("fit_res", loss=float("nan")), "the loss is no number"),
    ("fit_ins", told("fit_res", loss="low"), "another version"),
    ("fit_ins", told("fit_res", names="w\nw\nn"), "not equally many"),
    ("fit_ins", told("fit_res", tensors=[b"", b"no array", b"\x93NUMPY"]), "cannot be read"),
    ("fit_ins", told("fit_res", tensors=[HUGE] * 3), "cannot be read"),
    ("fit_ins", told("fit_res", tensors=[OBJECT] * 3), "cannot be read"),
    ("fit_ins", lambda one: ClientMessage(), "does not fit together"),
    ("evaluate_ins", told("evaluate_res", score=float("nan")), "its score is no number"),
    ("evaluate_ins", told("evaluate_res", score=float("inf")), "its score is no number"),
    ("evaluate_ins", lambda one: ClientMessage(), "its score is no number"),
    ("fit_ins", None, "has left"),
    ("evaluate_ins", None, "has left"),
    ("get_properties_ins", None, "has left"),
]


@pytest.mark.parametrize(("asked", "lie", "said"), LIES_OF_RAW)
def test_a_peer_that_is_no_site_of_ours_ends_the_training_with_a_reason(asked, lie, said):
    made = federate([Line(points(1, 5))], sites=2)
    peer = threading.Thread(target=Raw(made.address, **{asked: lie}).run)
    peer.start()
    server, (honest,) = both_fail(made)
    peer.join(SOON_S)
    assert not peer.is_alive()
    assert said in server
    assert said in honest


def test_when_a_site_leaves_in_a_round_the_others_are_not_waited_for():
    hold, begun = threading.Event(), threading.Event()

    def during(number: int) -> None:
        begun.set()
        hold.wait(SOON_S)

    def leave(answer: ClientMessage) -> None:
        begun.wait(SOON_S)  # not before the other one trains

    made = federate([Line(points(1, 5), during=during)], sites=2)
    threading.Thread(target=Raw(made.address, fit_ins=leave).run).start()
    try:
        said = text_of(fault_of(made.led))
        assert "DN-7257 Round 1 is not whole: 0 of 2 sites answered; site ipv4:127.0.0.1:" in said
        assert not made.joined[0].done()  # it trains still, and hears of it afterwards
    finally:
        hold.set()
    assert "has left" in text_of(fault_of(made.joined[0]))


def test_a_site_that_leaves_before_all_are_there_may_come_again():
    def wait_for(count: int) -> None:
        with sites._changed:
            assert sites._changed.wait_for(lambda: sites.num_available() == count, SOON_S)

    with door(None, 2) as (address, sites):
        with grpc.insecure_channel(address) as channel:
            stream = FlowerServiceStub(channel).Join(iter(threading.Event().wait, True))
            wait_for(1)
            stream.cancel()
        wait_for(0)
        assert sites.why == ""
        with ThreadPoolExecutor(2) as pool:
            joined = [pool.submit(refused, address, None, SOON_S) for _ in range(2)]
            wait_for(2)
            sites.end("the test is over")
            assert all("the test is over" in one.result(SOON_S) for one in joined)


def test_a_site_too_many_is_sent_away_and_disturbs_nobody():
    hold, begun = threading.Event(), threading.Event()

    def during(number: int) -> None:
        begun.set()
        hold.wait(SOON_S)

    made = federate([Line(points(1, 5), during=during)], rounds=1)
    assert begun.wait(SOON_S)
    with pytest.raises(NodeError, match=r"DN-7258.*all 1 sites are there"):
        join(Line(points(2, 5)), made.address, tls=None, wait_s=SOON_S, tell=lambda n: None)
    hold.set()
    assert made.led.result(SOON_S).rounds[0].samples == 5


def test_a_step_that_leaves_the_range_of_numbers_is_told_and_not_sent_on():
    sites = [Line(points(1, 5)), Line(points(2, 5))]
    server, _ = both_fail(federate(sites, method="fedsgd", learning_rate=1e39))
    assert "smaller --learning-rate" in server
    assert [len(one.seen) for one in sites] == [1, 1]


# ── a server that is broken or means ill ──


def fit_of(arrays: list[np.ndarray] | list[bytes], **config: Any) -> ServerMessage:
    tensors = [one if isinstance(one, bytes) else tensors_from([one])[0] for one in arrays]
    ins = FitIns(Parameters(tensors, "numpy.ndarray"), {"round": 1, "method": "fedavg", **config})
    return ServerMessage(fit_ins=serde.fit_ins_to_proto(ins))


W, B, N = np.zeros(3, np.float32), np.zeros((), np.float32), np.array(0, np.int64)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (fit_of([np.full(3, np.nan, np.float32), B, N]), "not numbers"),
        (fit_of([np.zeros(4, np.float32), B, N]), "shape"),
        (fit_of([W, B]), "2 tensors"),
        (fit_of([W, B, b"\x80\x04."]), "cannot be read"),
        (fit_of([W, B, HUGE]), "cannot be read"),
        (fit_of([W, B, N], method="upload_studies"), "method 'upload_studies'"),
        (fit_of([W, B, N], round=0), "another version"),
        (fit_of([W, B, N], round="1"), "another version"),
        (ServerMessage(reconnect_ins=ServerMessage.ReconnectIns(seconds=5)), "what no site answers"),
        (ServerMessage(), "what no site answers"),
    ],
)
def test_a_site_does_not_train_on_what_does_not_fit(asked, said):
    site = Line(points(1, 5))
    with pytest.raises(NodeError, match=said) as raised:
        flower_client._Answers(site, Joined(), lambda n: None).to(asked)
    assert raised.value.fault.code == "DN-7256"
    assert site.seen == []


def test_weights_without_a_score_are_not_taken():
    site = Line(points(1, 5))
    site.judge = lambda weights: (float("nan"), 5)
    joined = Joined()
    ins = EvaluateIns(Parameters(tensors_from([W, B, N]), "numpy.ndarray"), {"round": 1, "last": True})
    with pytest.raises(NodeError, match="no score here"):
        flower_client._Answers(site, joined, lambda n: None).to(
            ServerMessage(evaluate_ins=serde.evaluate_ins_to_proto(ins))
        )
    assert (joined.complete, joined.weights) == (False, {})


def test_weights_that_no_message_holds_are_refused_before_anything_is_sent():
    class Large(Line):
        def weights(self) -> Any:
            return {"w": np.broadcast_to(np.float32(0), (1 << 29,))}

    with pytest.raises(NodeError, match=r"DN-7262 The weights are 2048 MB"):
        join(Large(points(1, 5)), "127.0.0.1:1", tls=None, wait_s=0.1, tell=lambda n: None)


def test_who_speaks_without_being_asked_is_sent_away():
    with door(None) as (address, sites), grpc.insecure_channel(address) as channel:
        grpc.channel_ready_future(channel).result(SOON_S)
        spoken = ClientMessage(disconnect_res=ClientMessage.DisconnectRes(reason=Reason.ACK))
        assert list(FlowerServiceStub(channel).Join(iter([spoken, spoken]), timeout=SOON_S)) == []
        assert (sites.num_available(), sites.why) == (0, "")
