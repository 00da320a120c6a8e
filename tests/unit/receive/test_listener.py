"""The listening socket when descriptors run out."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from dicomnode.receive import listener as room
from dicomnode.receive.listener import Listener


@pytest.fixture
def listener():
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    return Listener(listening, lambda _address: True, lambda _connection, _address: None)


def test_a_descriptor_that_another_thread_got_is_never_closed(listener, monkeypatch):
    """Closed twice, the spare's number would by then be the file of an instance."""
    spare, really_open = listener._spare, os.open

    def none_left(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(room.os, "open", none_left)
        listener._turn_away()
    others = []
    while spare not in others:
        others.append(really_open(os.devnull, os.O_RDONLY))
    listener._turn_away()
    listener.server_close()
    for descriptor in others:
        os.fstat(descriptor)  # raises when somebody closed it
        os.close(descriptor)


def test_a_connection_that_finds_no_descriptor_is_closed_and_does_not_wait(listener):
    with socket.create_connection(("127.0.0.1", listener.port), timeout=5) as peer:
        listener._turn_away()
        assert peer.recv(1) == b""
    assert listener._spare is not None, "there is a spare one for the next"
    listener.server_close()
