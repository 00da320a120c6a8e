"""The supervisor: children that die are started again, those that hang are ended, and nothing is left."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from dicomnode.faults import PORT_IN_USE, NodeError
from dicomnode.journal import Journal, TaskKind, TaskState
from dicomnode.serve import supervisor as room
from dicomnode.serve.process.notify import Notifier
from dicomnode.serve.process.place import DEVICE_BROKE, Place, read_place
from dicomnode.serve.supervisor import Supervisor, open_listener
from dicomnode.serve.work.clerk import is_of
from dicomnode.settings import ReceiveSettings, Settings
from tests.unit.journal.world import NOON, STUDY, claim, complete, receive


@dataclass
class FakeProcess:
    """A child without a process: it beats through its end of the line when the test says so."""

    role: str
    line: socket.socket
    pid: int
    status: int | None = None
    obeys: bool = True
    killed: bool = False
    place: Place | None = None
    env: dict[str, str] = field(default_factory=dict)

    def beat(self, **beat: object) -> None:
        self.line.send(json.dumps({"state": "well", **beat}).encode())

    def poll(self) -> int | None:
        if self.status is None and self.obeys:
            try:
                self.status = 0 if self.line.recv(100, socket.MSG_DONTWAIT) == b"stop" else None
            except BlockingIOError:
                return None
        return self.status

    def kill(self) -> None:
        self.killed, self.status = True, -signal.SIGKILL

    def wait(self, timeout: float | None = None) -> int:
        assert self.status is not None, f"{self.role} was waited for and does not end ({timeout} s)"
        return self.status


@dataclass
class World:
    """A supervisor with children that are not there, a clock that the test turns, and what was told."""

    folder: Path
    now: float = 1000.0
    started: list[FakeProcess] = field(default_factory=list)
    refuse: OSError | None = None
    places: tuple[Place, ...] | None = (Place(),)

    def __post_init__(self) -> None:
        listening = ReceiveSettings(address="127.0.0.1", port=0)
        settings = Settings(receive=listening)
        self.settings = replace(
            settings,
            store=replace(settings.store, path=self.folder / "store", reserve_gb=0.0),
            analyse=replace(settings.analyse, time_limit_s=300.0, load_limit_s=30.0),
            serve=replace(settings.serve, stop_timeout_s=0.3),
        )
        (self.folder / "store").mkdir(parents=True, exist_ok=True)
        self.node = Supervisor(
            self.settings,
            self.folder / "x.toml",
            notifier=Notifier({}),
            clock=lambda: self.now,
            survey=lambda: self.places,
        )
        self.listener = socket.socket()

    def popen(
        self, command: list[str], *, pass_fds: list[int], stdin: int, env: dict[str, str]
    ) -> FakeProcess:
        assert stdin == subprocess.DEVNULL
        if self.refuse is not None:
            raise self.refuse
        role = command[3]
        assert (str(self.listener.fileno()) in command) is (role == "receiver")
        line = socket.socket(fileno=os.dup(pass_fds[0]))
        # A process that is there, so that a descriptor of it can be had; it is never signalled
        place = read_place(command[command.index("--place") + 1]) if role == "worker" else None
        self.started.append(FakeProcess(role, line, os.getpid(), place=place, env=env))
        return self.started[-1]

    def turn(self, seconds: float = 0.0) -> None:
        """One turn of the loop, `seconds` later."""
        self.now += seconds
        self.node._turn(self.listener, self.now)

    def last(self, role: str) -> FakeProcess:
        return [process for process in self.started if process.role == role][-1]

    def count(self, role: str) -> int:
        return sum(process.role == role for process in self.started)

    def journal(self) -> Journal:
        return Journal.open(self.settings.journal_url)

    def close(self) -> None:
        self.listener.close()
        for process in self.started:
            process.line.close()
        for child in self.node._children:
            if child.line is not None:
                child.line.close()


@pytest.fixture
def world(tmp_path, monkeypatch):
    world = World(tmp_path)
    monkeypatch.setattr(room.subprocess, "Popen", world.popen)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield world
    for number, handler in before.items():
        signal.signal(number, handler)
    world.close()


def test_all_children_are_started_and_only_the_receiver_gets_the_port(world):
    world.turn()
    assert [process.role for process in world.started] == ["receiver", "scheduler", "worker"]


def test_a_child_that_dies_again_and_again_is_started_again_after_a_growing_wait(world, logged):
    world.turn()
    waits = []
    for _ in range(8):
        world.last("worker").status = -signal.SIGSEGV
        world.turn()
        died, count = world.now, world.count("worker")
        while world.count("worker") == count:
            for role in ("receiver", "scheduler"):
                world.last(role).beat()
            world.turn(0.25)
            assert world.now - died < 60
        waits.append(world.now - died)
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]
    assert (world.count("receiver"), world.count("scheduler")) == (1, 1)
    ended = [line for line in logged if line["event"] == "process.ended"]
    assert "worker-0 ended with signal 11" in ended[0]["text"]


def test_a_child_that_lived_long_is_started_again_soon(world):
    world.turn()
    for _ in range(3):
        for _ in range(70):
            for process in ("receiver", "scheduler", "worker"):
                world.last(process).beat()
            world.turn(1)
        world.last("worker").status = 1
        count = world.count("worker")
        world.turn()
        world.turn(0.5)
        assert world.count("worker") == count + 1


def test_a_child_that_falls_silent_is_killed_and_started_again(world):
    world.turn()
    world.last("worker").beat()
    world.turn(29)
    assert not world.last("worker").killed
    hanging = world.last("worker")
    world.turn(31)
    assert hanging.killed
    world.turn()  # it is buried
    world.turn(2)
    assert world.last("worker") is not hanging


def test_a_child_that_hangs_before_its_first_beat_is_killed(world):
    world.turn()
    world.turn(119)
    assert not world.last("worker").killed, "imports may take long"
    hanging = world.last("worker")
    world.turn(2)
    assert hanging.killed


@pytest.mark.parametrize(("busy_s", "killed"), [(299.0, False), (301.0, True), (None, False)])
def test_work_that_takes_longer_than_its_limit_is_ended(world, busy_s, killed):
    world.turn()
    world.last("worker").beat(busy_s=busy_s)
    world.turn(1)
    assert world.last("worker").killed is killed


def test_a_child_that_cannot_be_started_is_tried_again_later(world, logged):
    world.refuse = OSError(11, "Resource temporarily unavailable")
    world.turn()
    world.turn(0.1)
    assert len([line for line in logged if line["event"] == "process.not_started"]) == 3
    world.refuse = None
    world.turn(2)
    assert [process.role for process in world.started] == ["receiver", "scheduler", "worker"]


def sigterm() -> None:
    """What Python does for a SIGTERM. A real one would end a process of the tests where it is not caught."""
    handler = signal.getsignal(signal.SIGTERM)
    assert callable(handler), "SIGTERM is not caught"
    handler(signal.SIGTERM, None)


def _running_task(world) -> None:
    """A task that the worker, which is this process here, has claimed."""
    with world.journal() as journal:
        receive(journal)
        complete(journal)
        claim(journal, TaskKind.DISPATCH, owner=f"worker-{os.getpid()}", lease_s=10**9)


def _task(world):
    with world.journal() as journal:
        (task,) = journal.tasks(STUDY)
        return task, [event.what for event in journal.events(STUDY)]


def test_what_a_killed_child_had_claimed_waits_for_no_lease(world):
    world.turn()
    _running_task(world)
    world.last("worker").status = -signal.SIGKILL
    world.turn()
    with world.journal() as journal:
        again = journal.claim([TaskKind.DISPATCH], "w2", 60, NOON.replace(year=2100))
        assert again is not None
        assert "dispatch.lease_expired" in [event.what for event in journal.events(STUDY)]


def test_a_task_is_not_blamed_for_a_child_that_ended_by_itself(world):
    world.turn()
    _running_task(world)
    world.last("worker").status = 11
    world.turn()
    task, events = _task(world)
    assert task.state is TaskState.READY
    assert "dispatch.given_back" in events


def test_a_journal_that_cannot_be_opened_does_not_end_the_receiving(world, logged):
    world.turn()
    (world.folder / "store" / "journal.sqlite").write_bytes(b"no database" * 100)
    world.last("worker").status = 1
    world.turn()
    world.turn(2)
    assert world.count("worker") == 2
    assert "release.failed" in [line["event"] for line in logged]


def test_ready_is_said_once_and_as_soon_as_the_receiver_listens(world, monkeypatch):
    said: list[dict[str, object]] = []
    monkeypatch.setattr(world.node._notifier, "tell", lambda **words: said.append(words))
    world.turn()
    world.last("scheduler").beat()
    world.turn(1)
    assert {"READY": 1} not in said
    for _ in range(2):
        world.last("receiver").beat(port=11112)
        world.turn(1)
    assert said.count({"READY": 1}) == 1


class Ends(Exception):  # noqa: N818
    """Ends a loop of a test."""


@pytest.mark.parametrize(
    ("role", "status", "exit_code"), [("receiver", 11, 11), ("scheduler", 11, 11), ("worker", 11, None)]
)
def test_a_disk_that_cannot_be_believed_ends_the_node(world, role, status, exit_code, monkeypatch):
    turns = 0

    def wait(*_: object) -> None:
        nonlocal turns
        turns += 1
        world.now += 1
        if turns == 1:
            world.last(role).status = status
        if turns > 5:
            raise Ends

    monkeypatch.setattr(room, "open_listener", lambda *_: world.listener)
    monkeypatch.setattr(room, "wait_readable", wait)
    if exit_code is None:
        with pytest.raises(Ends):
            world.node.run()
        return
    assert world.node.run() == exit_code
    assert all(process.poll() is not None for process in world.started), "the others were stopped"


def test_a_stop_gives_back_what_runs_and_kills_who_does_not_listen(world, monkeypatch, logged):
    turns = 0

    def wait(*_: object) -> None:
        nonlocal turns
        turns += 1
        world.last("worker").obeys = False
        if turns == 1:
            _running_task(world)
        else:
            sigterm()

    monkeypatch.setattr(room, "open_listener", lambda *_: world.listener)
    monkeypatch.setattr(room, "wait_readable", wait)
    monkeypatch.setattr(world.node, "_clock", time.monotonic)
    assert world.node.run() == 0
    assert [process.killed for process in world.started] == [False, False, True]
    task, events = _task(world)
    assert (task.state, events[-1]) == (TaskState.READY, "dispatch.given_back")
    assert [line["process"] for line in logged if line["event"] == "process.killed"] == ["worker-0"]


def test_what_the_last_run_left_running_is_claimed_again_at_once(world, monkeypatch):
    with world.journal() as journal:
        receive(journal)
        complete(journal)
        claim(journal, TaskKind.DISPATCH, owner="scheduler-1-desk", lease_s=10**9)
    monkeypatch.setattr(room, "open_listener", lambda *_: world.listener)
    monkeypatch.setattr(room, "wait_readable", lambda *_: sigterm())
    assert world.node.run() == 0
    with world.journal() as journal:
        assert journal.claim([TaskKind.DISPATCH], "w2", 60, NOON.replace(year=2100)) is not None


@pytest.mark.parametrize(
    ("owner", "mine"),
    [("worker-12", True), ("worker-12-desk", True), ("worker-123", False), ("scheduler-12", False)],
)
def test_the_owner_of_a_task_is_told_by_role_and_number(owner, mine):
    assert is_of(owner, "worker", 12) is mine


def test_the_socket_that_systemd_opened_is_taken():
    script = textwrap.dedent("""
        import os, socket, sys
        from dicomnode.serve.supervisor import open_listener
        from dicomnode.settings import ReceiveSettings
        given = socket.create_server(("127.0.0.1", 0))
        port = given.getsockname()[1]
        os.dup2(given.fileno(), 3)
        taken = {}
        for name, pid in (("ours", os.getpid()), ("another's", 1)):
            environ = {"LISTEN_PID": str(pid), "LISTEN_FDS": "1"}
            listener = open_listener(ReceiveSettings(address="127.0.0.1", port=0), environ)
            print(name, listener.getsockname()[1] == port)
            listener.detach()
        assert "pynetdicom" not in sys.modules, "who only opens the port does not pay for it"
    """)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, close_fds=True
    )
    assert done.stdout.split("\n")[:2] == ["ours True", "another's False"]


def test_a_port_that_is_taken_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(NodeError) as caught:
            open_listener(ReceiveSettings(address="127.0.0.1", port=port), {})
    assert (caught.value.fault, caught.value.values["port"]) == (PORT_IN_USE, port)


TWO = tuple(Place(number=n, workers=2, device=f"NVIDIA H200 (GPU-{n})", visible=f"GPU-{n}") for n in range(2))


def workers(world) -> list[FakeProcess]:
    return [process for process in world.started if process.role == "worker"]


def crash(world, number: int, status: int = -signal.SIGSEGV) -> None:
    """End the newest worker of a number, and wait until its successor, if any, was started."""
    of_number = [process for process in workers(world) if process.place.number == number]
    of_number[-1].status = status
    world.turn()
    for _ in range(70):
        for process in world.started:
            if process.status is None:
                process.beat()
        world.turn(0.5)


def test_one_worker_is_started_for_each_device_and_sees_no_other(world):
    world.places = TWO
    world.turn()
    assert [process.place for process in workers(world)] == list(TWO)
    assert [process.env["CUDA_VISIBLE_DEVICES"] for process in workers(world)] == ["GPU-0", "GPU-1"]
    assert all("CUDA_VISIBLE_DEVICES" not in one.env for one in world.started if one.role != "worker")


def test_workers_wait_for_the_driver_and_nothing_else_does(world):
    world.places = None
    world.turn()
    assert [process.role for process in world.started] == ["receiver", "scheduler"]
    world.places = TWO
    world.turn(1)
    assert len(workers(world)) == 2


def test_a_device_that_ends_three_workers_is_out_of_service_and_says_so(world, logged):
    world.places = TWO
    world.turn()
    for _ in range(3):
        crash(world, 0)
    assert [process.place.number for process in workers(world)] == [0, 1, 0, 0]
    (out,) = [line for line in logged if line["event"] == "device.out"]
    assert out["code"] == "DN-4250"
    assert "NVIDIA H200 (GPU-0) is out of service: it ended 3 processes within an hour" in out["text"]


def test_the_cpu_serves_when_the_last_device_is_out(world, logged):
    world.places = TWO[:1]
    world.turn()
    for _ in range(3):
        crash(world, 0, DEVICE_BROKE)
    last = workers(world)[-1]
    assert (last.place.visible, last.place.without) == ("", "NVIDIA H200 (GPU-0)")
    assert last.env["CUDA_VISIBLE_DEVICES"] == ""
    assert [line["process"] for line in logged if line["event"] == "device.out"] == ["worker-0"]


def test_workers_that_end_by_themselves_take_no_device_with_them(world):
    world.places = TWO[:1]
    world.turn()
    for _ in range(5):
        crash(world, 0, status=1)
    assert [process.place for process in workers(world)] == [TWO[0]] * 6


def test_a_worker_whose_device_broke_is_counted_as_lost_by_its_task(world):
    world.turn()
    _running_task(world)
    world.last("worker").status = DEVICE_BROKE
    world.turn()
    with world.journal() as journal:
        assert journal.claim([TaskKind.DISPATCH], "w2", 60, NOON.replace(year=2100)) is not None
        happened = [event.what for event in journal.events(STUDY)]
    assert "dispatch.lease_expired" in happened
    assert "dispatch.given_back" not in happened


def test_loading_has_a_limit_of_its_own_and_what_was_loaded_is_told_to_the_next_worker(world):
    world.turn()
    world.last("worker").beat(busy_s=29.0, loading="lung-ct")
    world.turn(1)
    assert not world.last("worker").killed
    world.last("worker").beat(busy_s=31.0, loading="lung-ct")
    world.turn(1)
    assert world.last("worker").killed
    world.turn()
    world.turn(5)
    assert workers(world)[-1].place.lost == {"lung-ct": 1}


def test_the_last_word_of_a_worker_that_has_ended_is_heard(world):
    world.turn()
    world.last("worker").beat()
    world.turn(1)
    world.last("worker").beat(busy_s=0.0, loading="lung-ct")
    world.last("worker").status = -signal.SIGSEGV
    world.turn()
    world.turn(5)
    assert workers(world)[-1].place.lost == {"lung-ct": 1}
