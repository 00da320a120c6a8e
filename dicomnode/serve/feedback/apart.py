"""A comparison in a process of its own, which is ended when it takes too long or the service stops."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from dicomnode.faults import FEEDBACK_CHILD_ENDED, NodeError
from dicomnode.serve.work.pulse import Pulse

CHILD: Final = "dicomnode.serve.feedback.child"
_LONGEST_S: Final = 900.0
_LOOK_S: Final = 0.5


class StoppedError(Exception):
    """The service stops: the comparison is begun again later."""


def answer_of(
    request: Mapping[str, Any], memory_bytes: int, stopping: threading.Event, pulse: Pulse
) -> dict[str, Any]:
    """Ask the process; give its answer.

    Raises NodeError: FEEDBACK_CHILD_ENDED where it dies or takes too long, LEASE_LOST where the task is not
    ours any more. Raises StoppedError.
    """
    # -P: what lies in the folder that the service was started in is not imported
    command = [sys.executable, "-P", "-m", CHILD, str(os.getpid()), str(memory_bytes)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        try:
            content = _waited(child, json.dumps(request).encode(), stopping, pulse)
        except BaseException:
            child.kill()
            raise
    with suppress(ValueError):
        found = json.loads(content)
        if child.returncode == 0 and isinstance(found, dict):
            return found
    raise NodeError(FEEDBACK_CHILD_ENDED, status=_status(child.returncode))


def _waited(child: subprocess.Popen[bytes], request: bytes, stopping: threading.Event, pulse: Pulse) -> bytes:
    end = time.monotonic() + _LONGEST_S
    given: bytes | None = request
    while True:
        try:
            return child.communicate(given, timeout=_LOOK_S)[0]
        except subprocess.TimeoutExpired:
            given = None  # it has been written; communicate goes on where it was
        if stopping.is_set():
            raise StoppedError
        if time.monotonic() > end:
            raise NodeError(FEEDBACK_CHILD_ENDED, status=f"nothing after {_LONGEST_S:.0f} s")
        pulse.progress("comparing", 0, 1)


def _status(returncode: int) -> str:
    if returncode >= 0:
        return f"exit status {returncode}"
    with suppress(ValueError):
        return signal.Signals(-returncode).name
    return f"signal {-returncode}"
