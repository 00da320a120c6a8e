"""The register of connections."""

from __future__ import annotations

import threading
from typing import cast

from dicomnode.receive.association import StorageAssociation
from dicomnode.receive.desk import Desk


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def somebody() -> StorageAssociation:
    return cast("StorageAssociation", object())


def test_silent_connections_of_one_address_are_limited() -> None:
    clock = Clock()
    desk = Desk(clock)
    for _ in range(8):
        desk.enter(somebody(), "10.0.0.1")
    assert desk.has_room("10.0.0.1")  # a burst is no attack
    clock.now = 2.0
    assert not desk.has_room("10.0.0.1")
    assert desk.has_room("10.0.0.2")


def test_connections_that_wait_are_limited_in_all() -> None:
    desk = Desk(Clock())
    everybody = [somebody() for _ in range(32)]
    for number, association in enumerate(everybody):
        assert desk.has_room(f"10.0.0.{number}")
        desk.enter(association, f"10.0.0.{number}")
    assert not desk.has_room("10.0.1.1")
    desk.leave(everybody[0])
    assert desk.has_room("10.0.1.1")


def test_an_association_that_is_open_no_longer_waits() -> None:
    clock = Clock()
    desk = Desk(clock)
    for _ in range(40):
        association = somebody()
        desk.enter(association, "10.0.0.1")
        assert desk.open(association, lambda _: True)
    clock.now = 5.0
    assert desk.open_now == 40
    assert desk.has_room("10.0.0.1")


def test_who_may_open_is_asked_with_the_number_of_open_ones() -> None:
    desk = Desk(Clock())
    asked: list[int] = []

    def at_most_two(open_now: int) -> bool:
        asked.append(open_now)
        return open_now < 2

    answers = []
    for _ in range(3):
        association = somebody()
        desk.enter(association, "10.0.0.1")
        answers.append(desk.open(association, at_most_two))
    assert (asked, answers, desk.open_now) == ([0, 1, 2], [True, True, False], 2)


def test_waiting_ends_when_the_last_one_has_left() -> None:
    desk = Desk(Clock())
    association = somebody()
    desk.enter(association, "10.0.0.1")
    assert not desk.wait_empty(0.0)
    thread = threading.Thread(target=desk.leave, args=(association,))
    thread.start()
    assert desk.wait_empty(10.0)
    thread.join()
    desk.leave(association)  # once more does no harm
    assert desk.everybody() == []
