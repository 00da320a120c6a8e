"""Who may open an association."""

from __future__ import annotations

from typing import Literal

import pytest

from dicomnode.receive.admission import Admission, plain_address
from dicomnode.settings import SenderSettings
from dicomnode.values import Sender

_SENDERS = (
    SenderSettings(ae_title="CT1", address="10.1.2.3"),
    SenderSettings(ae_title="CT1", address="2001:db8::/32"),
    SenderSettings(ae_title="MR", address="10.2.0.0/16"),
    SenderSettings(ae_title="ANYWHERE"),
    SenderSettings(ae_title=" PADDED "),
)


def decide(
    calling: str, address: str, called: str = "NODE", *, open_now: int = 0, unknown: str = "deny"
) -> object:
    mode: Literal["deny", "accept"] = "accept" if unknown == "accept" else "deny"
    admission = Admission(ae_title="NODE", senders=_SENDERS, unknown_senders=mode, maximum=2)
    rejection = admission.decide(Sender(calling_ae=calling, called_ae=called, address=address), open_now)
    if rejection is None:
        return None
    assert rejection.fault.text(**rejection.values)
    assert rejection.fault.remedy.format(**rejection.values)
    return rejection.result, rejection.source, rejection.reason, rejection.fault.code


CALLING = (1, 1, 3, "DN-1013")
CALLED = (1, 1, 7, "DN-1014")
FULL = (2, 3, 2, "DN-1017")


@pytest.mark.parametrize(
    ("calling", "address", "expected"),
    [
        ("CT1", "10.1.2.3", None),
        ("CT1", "10.1.2.4", CALLING),
        ("CT1", "2001:db8::7", None),
        ("MR", "10.2.200.1", None),
        ("MR", "10.3.0.1", CALLING),
        ("MR", "2001:db8::7", CALLING),
        ("ANYWHERE", "192.0.2.1", None),
        ("PADDED", "192.0.2.1", None),
        ("ct1", "10.1.2.3", CALLING),
        ("", "10.1.2.3", CALLING),
        ("OTHER", "10.1.2.3", CALLING),
    ],
)
def test_a_sender_is_let_in_by_ae_title_and_address(calling: str, address: str, expected: object) -> None:
    assert decide(calling, address) == expected


def test_unknown_senders_may_be_accepted() -> None:
    assert decide("OTHER", "192.0.2.1", unknown="accept") is None


@pytest.mark.parametrize("called", ["", "node", "NODE2"])
def test_another_called_ae_title_is_rejected_first(called: str) -> None:
    assert decide("OTHER", "10.1.2.3", called) == CALLED
    assert decide("OTHER", "10.1.2.3", called, unknown="accept") == CALLED


def test_the_number_of_associations_is_limited_for_the_moment() -> None:
    assert decide("ANYWHERE", "10.0.0.1", open_now=1) is None
    assert decide("ANYWHERE", "10.0.0.1", open_now=2) == FULL
    assert decide("OTHER", "10.0.0.1", open_now=2) == CALLING


@pytest.mark.parametrize(
    ("address", "plain"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("fe80::1%eth0", "fe80::1"),
        ("2001:db8:0::7", "2001:db8::7"),
    ],
)
def test_addresses_are_written_in_one_way(address: str, plain: str) -> None:
    assert plain_address(address) == plain
