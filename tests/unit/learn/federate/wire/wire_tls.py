"""Who is let in over TLS, and which server is believed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from dicomnode.faults import NodeError
from dicomnode.learn.federate import Tls
from tests.unit.learn.federate.plain_sites import Line, federate, points
from tests.unit.learn.federate.wire.peers import (  # noqa: F401  ended: a fixture
    SOON_S,
    Liar,
    both_fail,
    changed,
    door,
    ended,
    refused,
)
from tests.wire.certificates import Authority, Pair


@pytest.fixture(scope="module")
def house(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server_pair(house) -> Pair:
    return house.issue("server")


def tls_of(pair: Pair | None, root: Path | None) -> Tls:
    return Tls(
        root=None if root is None else root.read_bytes(),
        certificate=None if pair is None else pair.certificate.read_bytes(),
        key=None if pair is None else pair.key.read_bytes(),
    )


def test_over_tls_a_site_needs_the_root_alone(house, server_pair):
    site = tls_of(None, house.pair.certificate)
    made = federate([Line(points(1, 5))], rounds=1, tls=tls_of(server_pair, None), site_tls=[site])
    assert made.led.result(SOON_S).rounds[0].samples == 5


def test_sites_are_let_in_by_certificate_and_named_by_it(house, server_pair):
    root = house.pair.certificate
    north, south = (tls_of(house.issue(name), root) for name in ("north", "south"))
    made = federate(
        [Line(points(1, 5)), Liar(changed("w", np.full(3, np.nan, np.float32)))],
        tls=tls_of(server_pair, root),
        site_tls=[north, south],
    )
    server, _ = both_fail(made)
    assert "south: it sent values that are not numbers" in server


def test_the_same_certificate_is_one_site_once(house, server_pair):
    root = house.pair.certificate
    north = tls_of(house.issue("north"), root)
    with door(tls_of(server_pair, root), 2) as (address, sites), ThreadPoolExecutor(1) as pool:
        first = pool.submit(refused, address, north, SOON_S)
        with sites._changed:
            assert sites._changed.wait_for(lambda: sites.num_available() == 1, SOON_S)
        assert "site north is there already" in refused(address, north, SOON_S)
        assert list(sites.all()) == ["north"]
        sites.end("the test is over")
        assert "the test is over" in first.result(SOON_S)


@pytest.mark.parametrize("shown", ["none", pytest.param("of another root", marks=pytest.mark.long)])
def test_who_has_no_certificate_of_the_root_is_not_let_in(tmp_path, house, server_pair, shown):
    root = house.pair.certificate
    pair = None if shown == "none" else Authority(tmp_path / "others").issue("north")
    with door(tls_of(server_pair, root)) as (address, sites):
        assert "DN-7258" in refused(address, tls_of(pair, root), 3.0)
        assert sites.num_available() == 0


CERTIFICATES = {
    "its certificate is not accepted: ": lambda house, other: other.issue("server"),
    "not valid for '127.0.0.1'": lambda house, other: house.issue("elsewhere", "192.0.2.1"),
    "has expired": lambda house, other: house.issue_expired("old"),
}


@pytest.mark.parametrize(
    "said",
    [one if not at else pytest.param(one, marks=pytest.mark.long) for at, one in enumerate(CERTIFICATES)],
)
def test_a_server_of_another_root_or_of_another_name_or_expired_is_refused_at_once(tmp_path, house, said):
    pair = CERTIFICATES[said](house, Authority(tmp_path / "others"))
    with door(tls_of(pair, None)) as (address, sites):
        assert said in refused(address, tls_of(None, house.pair.certificate), 600)
        assert sites.num_available() == 0


def test_a_site_without_tls_is_told_at_once_that_the_server_has_it(server_pair):
    with door(tls_of(server_pair, None)) as (address, sites):
        assert "it speaks TLS" in refused(address, None, 600)
        assert sites.num_available() == 0


def test_a_key_that_is_not_of_the_certificate_is_refused(house, server_pair):
    other = house.issue("other")
    with pytest.raises(NodeError, match="DN-7263"):
        Tls(certificate=server_pair.certificate.read_bytes(), key=other.key.read_bytes())
    with pytest.raises(NodeError, match="DN-7263"):
        Tls(root=b"no certificate")
