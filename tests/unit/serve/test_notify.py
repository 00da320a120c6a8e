"""What systemd hears."""

from __future__ import annotations

import socket

from dicomnode.serve.process.notify import Notifier


def _listening(path) -> socket.socket:
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    channel.bind(str(path) if not isinstance(path, bytes) else path)
    channel.settimeout(5)
    return channel


def test_words_arrive_at_the_socket_that_systemd_names(tmp_path):
    with _listening(tmp_path / "notify") as channel:
        Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}).tell(READY=1, STATUS="receiving")
        assert channel.recv(1000) == b"READY=1\nSTATUS=receiving"


def test_an_at_sign_names_an_abstract_socket():
    with _listening(b"\0dicomnode-test-notify") as channel:
        Notifier({"NOTIFY_SOCKET": "@dicomnode-test-notify"}).tell(WATCHDOG=1)
        assert channel.recv(1000) == b"WATCHDOG=1"


def test_the_variables_are_taken_from_the_environment_so_that_no_child_sees_them():
    environ = {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "60000000", "PATH": "/bin"}
    notifier = Notifier(environ)
    assert environ == {"PATH": "/bin"}
    assert notifier.watchdog_s == 20.0


def test_without_systemd_nothing_is_said_and_nothing_fails():
    notifier = Notifier({})
    notifier.tell(READY=1)
    assert notifier.watchdog_s == 0.0


def test_a_socket_that_is_gone_does_not_stop_the_node(tmp_path):
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).tell(READY=1)
