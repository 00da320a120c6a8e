"""A child process of the service: `python -m dicomnode.serve.child ROLE …`, started by the supervisor."""

from __future__ import annotations

import argparse
import faulthandler
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

import structlog

from dicomnode.faults import EXIT_DONE, EXIT_FAILED, NodeError
from dicomnode.serve.logs import bug, fault_facts, set_up_logging
from dicomnode.serve.process.frame import ChildFrame
from dicomnode.serve.process.line import ChildLine, die_with_parent
from dicomnode.serve.process.place import Place, read_place
from dicomnode.settings import LogSettings, load_settings


@contextmanager
def _loading() -> Iterator[None]:
    """Load modules a fifth faster: nobody looks for garbage in them, now or later."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _receiver(frame: ChildFrame) -> None:
    with _loading():
        from dicomnode.serve.receiver import run_receiver

    run_receiver(frame)


def _scheduler(frame: ChildFrame) -> None:
    with _loading():
        from dicomnode.serve.scheduler import run_scheduler

    run_scheduler(frame)


def _worker(frame: ChildFrame) -> None:
    with _loading():
        from dicomnode.serve.worker import run_worker

    run_worker(frame)


# Imports stand in the functions: the receiver must not load what only the worker needs.
ROLES: Final[dict[str, Callable[[ChildFrame], None]]] = {
    "receiver": _receiver,
    "scheduler": _scheduler,
    "worker": _worker,
}


def main(arguments: list[str] | None = None) -> int:
    """Run one role until the supervisor says stop."""
    parser = argparse.ArgumentParser(prog="python -m dicomnode.serve.child")
    parser.add_argument("role", choices=sorted(ROLES))
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--line", type=int, required=True)
    parser.add_argument("--listener", type=int)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--place", type=read_place, default=Place())
    given = parser.parse_args(arguments)
    die_with_parent(given.parent)
    faulthandler.enable()  # a watchdog's SIGABRT leaves the stacks in the log
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the supervisor decides
    line = ChildLine(socket.socket(fileno=given.line))

    def stop(_signal: int, _frame: FrameType | None) -> None:
        line.stopping.set()

    signal.signal(signal.SIGTERM, stop)
    listener = None if given.listener is None else socket.socket(fileno=given.listener)
    set_up_logging(LogSettings())
    log = structlog.get_logger("dicomnode.serve")
    try:
        settings = load_settings(given.config)
        set_up_logging(settings.log)
        frame = ChildFrame(settings=settings, line=line, listener=listener, place=given.place)
        ROLES[given.role](frame)
    except NodeError as error:
        log.error("process.failed", process=given.role, pid=os.getpid(), **fault_facts(error))
        return error.fault.exit_code or EXIT_FAILED
    # The last door of this process: a traceback may quote what a header held, and never leaves
    except Exception as error:  # noqa: BLE001
        facts = fault_facts(bug(error, f"process {given.role}"))
        log.error("process.failed", process=given.role, pid=os.getpid(), **facts)
        return EXIT_FAILED
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main())
