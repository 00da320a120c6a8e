"""Builders for tests, run by the child process as the real ones are: what they give is no real plan."""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import sys
import tempfile
import time

from dicomnode.faults import PLANS_UNSAFE, NodeError

HERE = "tests.unit.engine.plan_builders"


def steady(job, content, tell):
    """Tell of half and of all, write to the log, and give a plan that names what it was made of."""
    tell("halfway", 0.5)
    sys.stdout.write("a line of the log\n")
    tell("nearly", 1.0)
    return f"{job.flavour} {job.precision} {dict(job.options)} ".encode() + content


def counting(job, content, tell):
    """Leave a mark for each build in the folder that the options name."""
    fd, _ = tempfile.mkstemp(dir=job.options["marks"])
    os.close(fd)
    return b"plan of " + content


def refusing(job, content, tell):
    raise NodeError(PLANS_UNSAFE, path="a path", reason=f"{job.engine} cannot be built")


def raising(job, content, tell):
    raise ZeroDivisionError("of all things")


def empty(job, content, tell):
    return b""


def crashing(job, content, tell):
    sys.stdout.write("the last words\n")
    sys.stdout.flush()
    ctypes.string_at(0)


def killed(job, content, tell):
    sys.stdout.write("memory is short\n")
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)


def endless(job, content, tell):
    """Tell its process id, and never end."""
    tell(str(os.getpid()), 0.0)
    while True:
        time.sleep(60)


def dying_at_exit(job, content, tell):
    atexit.register(os.abort)
    return b"the plan"
