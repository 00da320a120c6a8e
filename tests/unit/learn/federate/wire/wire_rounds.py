"""Rounds over real gRPC are the sums that they should be, and go on after a break."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dicomnode.faults import NodeError
from dicomnode.learn.federate.arrays import fedavg
from dicomnode.learn.federate.flower_client import join
from dicomnode.learn.federate.flower_server import Lead, lead
from dicomnode.learn.federate.kept import read_kept
from tests.unit.learn.federate.plain_sites import Line, federate, free_port, points
from tests.unit.learn.federate.wire.peers import (  # noqa: F401  ended: a fixture
    SOON_S,
    both_fail,
    door,
    ended,
    text_of,
)


def test_rounds_of_fedavg_over_the_wire_are_those_of_the_same_sums_without_it():
    sites = [Line(points(1, 5)), Line(points(2, 20)), Line(points(3, 11))]
    made = federate(sites, rounds=4)
    kept = made.led.result(SOON_S)
    weights = sites[0].weights()
    for number in range(1, 5):
        weights = fedavg([one.train(weights, number) for one in sites])
    for joined in (one.result(SOON_S) for one in made.joined):
        assert joined.complete
        assert [one.number for one in joined.rounds] == [1, 2, 3, 4]
        for name, value in weights.items():
            np.testing.assert_array_equal(joined.weights[name], kept.weights[name])
            # Sums of three sites in another order: at most the last bit
            np.testing.assert_allclose(kept.weights[name], value, rtol=1e-6)
    assert [one.samples for one in kept.rounds] == [36] * 4
    assert [len(one.rounds) for one in made.kept] == [1, 2, 3, 4]
    assert kept.rounds[-1].score > kept.rounds[0].score


def test_a_step_of_fedsgd_over_the_wire_is_the_step_of_all_points_in_one_place():
    apart = [points(1, 3), points(2, 20)]
    kept = federate([Line(one) for one in apart], rounds=1, method="fedsgd", learning_rate=0.5)
    found = kept.led.result(SOON_S).weights
    pooled = Line(np.concatenate(apart))
    step = pooled.gradient(pooled.weights(), 1).arrays
    for name in ("w", "b"):
        assert np.abs(step[name]).max() > 1e-2
        np.testing.assert_allclose(found[name], -0.5 * step[name], atol=1e-5, rtol=0)
    assert found["n"] == 1  # a count of batches is no gradient


def test_a_training_that_broke_off_goes_on_after_its_last_whole_round(tmp_path):
    sites = [Line(points(1, 5)), Line(points(2, 9))]
    straight = federate(sites, rounds=4).led.result(SOON_S)
    half = federate(sites, rounds=2).led.result(SOON_S)
    (tmp_path / "w.rounds").write_bytes(half.written())
    made = federate(sites, rounds=4, begun=read_kept(tmp_path / "w.rounds"))
    rest = made.led.result(SOON_S)
    assert rest.rounds == straight.rounds
    assert [one.number for one in made.joined[0].result(SOON_S).rounds] == [3, 4]
    assert all((rest.weights[name] == value).all() for name, value in straight.weights.items())


def test_rounds_of_another_recipe_are_not_gone_on_with():
    half = federate([Line(points(1, 5), of="before")], rounds=1).led.result(SOON_S)
    said, _ = both_fail(federate([Line(points(1, 5))], rounds=2, begun=half))
    assert "another recipe" in said


def test_a_site_may_come_before_the_server_is_there():
    address = f"127.0.0.1:{free_port()}"
    started = threading.Event()
    results: list[Any] = []

    def site() -> None:
        started.set()
        results.append(join(Line(points(1, 5)), address, tls=None, wait_s=SOON_S, tell=lambda n: None))

    thread = threading.Thread(target=site)
    thread.start()
    started.wait()
    thread.join(1.0)  # it waits meanwhile
    assert thread.is_alive()
    lead(Lead(address=address, sites=1, rounds=1), lambda kept: None, lambda came: None)
    thread.join(SOON_S)
    assert results[0].complete


def test_a_server_that_never_comes_is_told_after_the_wait():
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(NodeError, match=r"DN-7258.*nobody answered for 1 s"):
        join(Line(points(1, 5)), address, tls=None, wait_s=1.0, tell=lambda n: None)


def test_ipv6_works_as_well():
    try:
        made = federate([Line(points(1, 5))], rounds=1, address=f"[::1]:{free_port()}")
        assert made.led.result(SOON_S).rounds[0].samples == 5
    except NodeError as error:
        if "cannot assign" in text_of(error) or "not supported" in text_of(error):
            pytest.skip("this machine has no IPv6")
        raise


def test_two_servers_do_not_share_a_port():
    plan = Lead(address=f"127.0.0.1:{free_port()}", sites=1, rounds=1)
    with door(None) as (address, _), pytest.raises(NodeError, match=r"DN-7258.*address already in use"):
        lead(replace(plan, address=address), lambda kept: None, lambda came: None)
